//! Names: of several contents, taken, of what is there, and of those who mean harm.

use std::fs;

use crate::{content, downloads, fetch, file, id, is_there, person, share, support::World};

#[test]
fn one_name_with_several_contents_is_ambiguous() {
    let world = World::new();
    let (hans, bob, eva) = (person(&world, "hans"), person(&world, "bob"), person(&world, "eva"));
    let small = share(&world, "hans", &hans, "a", b"small");
    let large = content(2048, 2);
    share(&world, "bob", &bob, "a", &large);
    let mut lines = [format!("  {small}  5 bytes  a"), format!("  {}  2.0 KiB  a", id(&large))];
    lines.sort();
    eva.asks("download a", &["Error. a is ambiguous:", &lines[0], &lines[1]]);
    fetch(&world, "eva", &eva, &id(&large), "a", &large);
    // The name is taken now, and nothing is overwritten.
    eva.types(&format!("download {small}"));
    crate::downloaded(&eva, "a (1)");
    is_there(&downloads(&world, "eva").join("a"), &large);
    is_there(&downloads(&world, "eva").join("a (1)"), b"small");
    // Both are offered under the name that others know.
    eva.types("unshare a");
    for line in ["Error. a is ambiguous:", &lines[0], &lines[1]] {
        eva.sees(line);
    }
    eva.types(&format!("unshare {small}"));
    eva.sees("Stopped sharing a");
}

#[test]
fn a_target_that_exists_stays_and_what_is_there_already_is_not_fetched() {
    let world = World::new();
    let (hans, bob) = (person(&world, "hans"), person(&world, "bob"));
    let folder = downloads(&world, "bob");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("a.txt"), b"mine").expect("a file");
    fs::write(folder.join("b.txt"), b"the same").expect("a file");
    share(&world, "hans", &hans, "a.txt", b"theirs");
    bob.types("download a.txt");
    crate::downloaded(&bob, "a (1).txt");
    is_there(&folder.join("a.txt"), b"mine");
    is_there(&folder.join("a (1).txt"), b"theirs");
    bob.types("download a.txt");
    bob.finds("a.txt is already there: ");
    share(&world, "hans", &hans, "b.txt", b"the same");
    bob.types("download b.txt");
    bob.sees(&format!("b.txt is already there: {}", folder.join("b.txt").display()));
    // What one shares oneself is there as well.
    let own = file(&world, "bob", "c.txt", b"both have it");
    share(&world, "hans", &hans, "c.txt", b"both have it");
    share(&world, "bob", &bob, "c.txt", b"both have it");
    bob.types("download c.txt");
    bob.sees(&format!("c.txt is already there: {}", own.display()));
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 3);
}

#[test]
fn a_hostile_name_reaches_neither_terminal_nor_disk() {
    let world = World::new();
    let (hans, bob) = (person(&world, "hans"), person(&world, "bob"));
    let names = [".ssh", "\u{1b}[2Jx\u{7}", "fake\nbob: hi", "-rf", "\u{202e}gpj.exe"];
    for (number, name) in names.iter().enumerate() {
        let bytes = content(10 + number, 1 + number as u64);
        let path = file(&world, "hans", name, &bytes);
        if name.contains('\n') {
            // No line can say this path, so its folder is shared.
            continue;
        }
        hans.types(&format!("share {}", path.display()));
        hans.finds("Sharing ");
        bob.types(&format!("download {}", id(&bytes)));
        bob.finds("Downloaded ");
    }
    hans.types(&format!("share {}", world.path("hans-files").display()));
    hans.finds("Sharing hans-files: ");
    bob.types("download hans-files");
    bob.finds("Downloaded hans-files: ");
    for chat in [&hans, &bob] {
        let everything = chat.everything();
        assert!(!everything.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{everything:?}");
        assert!(!everything.contains("\nbob: hi"), "{everything}");
    }
    let folder = downloads(&world, "bob");
    let inside = fs::read_dir(folder.join("hans-files")).expect("a folder");
    let all: Vec<_> = fs::read_dir(&folder).expect("a folder").chain(inside).collect();
    for entry in all {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        assert!(!name.starts_with(['.', '-']), "{name:?}");
        assert!(!name.contains(|c: char| c.is_control() || c == '\u{202e}'), "{name:?}");
    }
}
