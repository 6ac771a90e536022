//! Names that would do harm.

use std::fs;

use crate::{Place, objects, same};

#[test]
fn no_name_reaches_a_terminal_or_another_folder() {
    let place = Place::new();
    let names =
        ["\u{1b}[2J\u{1b}]0;x\u{7}\nerror", ".bashrc", "-rf", "\u{202e}fdp.exe", "a\\..\\b", "two\nlines"];
    let paths: Vec<_> =
        names.iter().map(|name| place.file(&format!("offered/{name}"), name.as_bytes())).collect();
    let arguments: Vec<_> = paths.iter().map(String::as_str).collect();
    let sharing = place.share("hans", &arguments);
    for _ in names {
        sharing.expect("Sharing ");
        sharing.expect("\n");
    }
    let harmless = |text: &str| {
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
    };
    harmless(&sharing.everything());
    assert_eq!(sharing.everything().lines().count(), names.len());
    let (_, listed) = place.run("luke", &["files"]);
    harmless(&listed);
    assert_eq!(listed.lines().count(), names.len(), "{listed}");
    let (_, listed) = place.run("luke", &["files", "--json"]);
    harmless(&listed);
    let ids: Vec<_> =
        objects(&listed).iter().map(|file| file["id"].as_str().expect("an id").to_owned()).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let (code, said) = place.get("luke", &ids, "got");
    harmless(&said);
    assert_eq!((code, said.lines().count()), (0, names.len()), "{said}");
    let got: Vec<_> =
        fs::read_dir(place.path("got")).expect("a folder").map(|entry| entry.expect("a file")).collect();
    assert_eq!(got.len(), names.len());
    for file in got {
        let name = file.file_name().into_string().expect("UTF-8");
        harmless(&name);
        assert!(!name.starts_with(['.', '-']) && !name.contains(['\\', '\n']), "{name:?}");
        let content = fs::read_to_string(file.path()).expect("it is there");
        assert!(names.contains(&content.as_str()), "{name:?}");
    }
    let (code, said) = place.get("luke", &["no \u{1b}[2J such"], "got");
    harmless(&said);
    assert_eq!(code, 1);
    same(&place.path("offered/-rf"), b"-rf");
}
