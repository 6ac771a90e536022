//! Downloads, and what is listed.

use std::fs;

use crate::{Place, interrupt, noise, objects, same};

#[test]
fn a_file_comes_by_its_name_and_by_its_id() {
    let place = Place::new();
    let content = noise(3_000_000, 1);
    let path = place.file("report.pdf", &content);
    let sharing = place.share("hans", &[&path]);
    let line = sharing.line_with("Sharing report.pdf: 2.9 MiB, 12 chunks, ");
    let id = line.rsplit(' ').next().expect("an id").to_owned();
    for (to, name) in [("by name", "report.pdf"), ("by id", id.as_str())] {
        let (code, said) = place.get("luke", &[name], to);
        assert_eq!(code, 0, "{said}");
        assert!(said.starts_with("Downloaded report.pdf: 2.9 MiB from 1 peers in "), "{said}");
        assert!(said.ends_with(" s, verified\n"), "{said}");
        same(&place.path(to).join("report.pdf"), &content);
    }
    let (code, said) = place.get("luke", &["report.pdf"], "by name");
    let there = format!("report.pdf is already there: {}\n", place.path("by name/report.pdf").display());
    assert_eq!((code, said), (0, there));
    let (code, listed) = place.run("luke", &["files", "*.PDF"]);
    assert_eq!((code, listed), (0, format!("{id}  2.9 MiB  1 source  report.pdf\n")));
    assert_eq!(place.run("luke", &["files", "nothing"]).1, "No files are shared now.\n");
}

#[test]
fn several_come_at_once_and_the_current_folder_is_where_they_go() {
    let place = Place::new();
    let (one, two) = (noise(700_000, 1), noise(1_500_000, 2));
    let paths =
        [place.file("offered/one", &one), place.file("offered/two", &two), place.file("offered/empty", b"")];
    let sharing = place.share("hans", &[&paths[0], &paths[1], &paths[2]]);
    for _ in &paths {
        sharing.expect("Sharing ");
    }
    let (code, said) = place.run("luke", &["get", "one", "two", "empty", "missing", "one"]);
    assert_eq!(code, 1, "one of them is missing");
    assert_eq!(said.matches("Downloaded ").count(), 3, "{said}");
    assert!(said.contains("Error. No one shares missing\n"), "{said}");
    for (name, content) in [("one", &one[..]), ("two", &two), ("empty", b"")] {
        same(&place.path(name), content);
    }
}

#[test]
fn a_name_with_several_contents_is_ambiguous() {
    let place = Place::new();
    let (one, two) = (place.file("1/notes", b"one"), place.file("2/notes", b"two"));
    let _sharing = [place.shares("hans", &one), place.shares("luke", &two)];
    let (code, said) = place.get("yoda", &["notes"], "got");
    assert_eq!(code, 1);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "Error. notes is ambiguous:"), "{said}");
    let id = lines[1].split_whitespace().next().expect("an id");
    assert_eq!(place.get("yoda", &[id], "got").0, 0);
    assert!(
        ["one", "two"].contains(&fs::read_to_string(place.path("got/notes")).expect("it is there").as_str())
    );
}

#[test]
fn nobody_has_it() {
    let place = Place::new();
    assert_eq!(place.get("luke", &["x"], "got"), (1, "Error. No one shares x\n".to_owned()));
    assert!(!place.path("got").exists());
}

#[test]
fn nobody_is_told_and_an_open_session_does_not_mind() {
    let place = Place::new();
    let (luke, yoda) = (place.world.user("luke"), place.world.user("yoda"));
    luke.sees("yoda logged in");
    let path = place.file("a", b"content");
    let _sharing = place.shares("hans", &path);
    luke.sees("hans logged in");
    yoda.sees("hans logged in");
    assert_eq!(place.get("luke", &["a"], "got").0, 0);
    assert_eq!(place.run("luke", &["files"]).0, 0);
    same(&place.path("got/a"), b"content");
    assert_eq!((luke.catches_up(), yoda.catches_up()), (Vec::new(), Vec::new()));
    let (_, listed) = place.run("yoda", &["files"]);
    assert!(listed.contains("1 source  a\n"), "what was got is not offered: {listed}");
}

#[test]
fn a_blocker_is_not_found() {
    let place = Place::new();
    let hans = place.world.user("hans");
    hans.asks("block luke", &["luke is blocked"]);
    hans.leaves();
    let path = place.file("a", b"content");
    let _sharing = place.shares("hans", &path);
    assert_eq!(place.run("luke", &["files"]), (0, "No files are shared now.\n".to_owned()));
    assert_eq!(place.get("luke", &["a"], "got"), (1, "Error. No one shares a\n".to_owned()));
    assert_eq!(place.get("yoda", &["a"], "got").0, 0);
}

#[test]
fn a_folder_comes_as_it_is() {
    let place = Place::new();
    let files =
        [("album/1.jpg", noise(300_000, 1)), ("album/more/2.jpg", noise(10, 2)), ("album/x", Vec::new())];
    for (name, content) in &files {
        place.file(name, content);
    }
    let path = place.path("album");
    let sharing = place.share("hans", &[path.to_str().expect("UTF-8")]);
    sharing.expect("Sharing album: 293.0 KiB, ");
    let (_, listed) = place.run("luke", &["files", "album"]);
    assert!(listed.ends_with("  293.0 KiB  1 source  album/ (3 files)\n"), "{listed}");
    let (code, said) = place.get("luke", &["album"], "got");
    assert!(code == 0 && said.starts_with("Downloaded album: 293.0 KiB from 1 peers in "), "{said}");
    for (name, content) in &files {
        same(&place.path("got").join(name), content);
    }
}

#[test]
fn over_the_relay_where_no_address_is_shown() {
    let place = Place::new();
    let content = noise(1_000_000, 1);
    let path = place.file("a", &content);
    let mut hidden = place.share("hans", &["--relay-only", &path]);
    hidden.expect("Sharing ");
    let (code, said) = place.get("luke", &["a"], "from the hidden");
    assert!(code == 0 && said.contains(" from 1 peers in "), "{said}");
    same(&place.path("from the hidden/a"), &content);
    assert_eq!(interrupt(&mut hidden), 0);
    let _seen = place.shares("hans", &path);
    let (code, said) = place.get("luke", &["a", "--relay-only"], "hidden");
    assert!(code == 0 && said.contains(" from 1 peers in "), "{said}");
    same(&place.path("hidden/a"), &content);
}

#[test]
fn programs_read_objects() {
    let place = Place::new();
    let path = place.file("a", &noise(1_000_000, 1));
    let _sharing = place.shares("hans", &path);
    let (code, listed) = place.run("luke", &["files", "--json"]);
    let files = objects(&listed);
    assert_eq!((code, files.len()), (0, 1));
    assert_eq!(
        (&files[0]["name"], &files[0]["size"], &files[0]["sources"]),
        (&"a".into(), &1_000_000.into(), &1.into())
    );
    let id = files[0]["id"].as_str().expect("an id");
    assert_eq!(id.len(), 64);
    let (code, said) = place.get("luke", &[&id[..20], "missing", "--json"], "got");
    let said = objects(&said);
    assert_eq!(code, 1);
    let of = |kind: &str| said.iter().find(|object| object["type"] == kind).expect(kind);
    assert_eq!(
        (&of("failed")["name"], &of("failed")["why"]),
        (&"missing".into(), &"No one shares missing".into())
    );
    assert_eq!((&of("downloaded")["peers"], &of("downloaded")["size"]), (&1.into(), &1_000_000.into()));
    assert_eq!(of("downloaded")["path"], place.path("got/a").to_str().expect("UTF-8"));
}
