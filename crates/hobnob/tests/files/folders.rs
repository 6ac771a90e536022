//! A folder is one thing to share and to download.

use std::fs;

use crate::{CHUNK, content, downloads, is_there, person, support::World};

#[test]
fn a_folder_comes_as_it_was() {
    let world = World::new();
    let (hans, bob, eva) = (person(&world, "hans"), person(&world, "bob"), person(&world, "eva"));
    let root = world.path("holiday");
    fs::create_dir_all(root.join("day 1/late")).expect("a folder");
    let files = [
        ("list.txt", b"a list".to_vec()),
        ("empty", Vec::new()),
        ("day 1/a.jpg", content(CHUNK + 1, 1)),
        ("day 1/late/b.jpg", content(10, 2)),
        // The same content twice.
        ("day 1/copy.jpg", content(10, 2)),
    ];
    for (path, bytes) in &files {
        fs::write(root.join(path), bytes).expect("a file");
    }
    hans.types(&format!("share {}", root.display()));
    let line = hans.finds("Sharing holiday: ");
    assert!(line.starts_with("Sharing holiday: 256.0 KiB, "), "{line}");
    let id = line.trim_end().rsplit(' ').next().expect("an id");
    bob.types("files");
    bob.sees(&format!("{id}  256.0 KiB  1 source  holiday/ (5 files)"));
    // It is one thing: what is in it is not offered by its name.
    bob.asks("searchFile list.txt", &["Not available"]);
    bob.asks("files *.jpg", &["No files are shared now."]);
    for (who, chat) in [("bob", &bob), ("eva", &eva)] {
        chat.types("download holiday");
        crate::downloaded(chat, "holiday");
        for (path, bytes) in &files {
            is_there(&downloads(&world, who).join("holiday").join(path), bytes);
        }
    }
    eva.types("download holiday");
    eva.finds("holiday is already there: ");
    eva.asks("files *.jpg", &["No files are shared now."]);
    bob.types("shares");
    bob.finds(&format!("{id}  5 files  holiday  "));
}
