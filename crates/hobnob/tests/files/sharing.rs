//! From `share` to `unshare`.

use std::fs;

use crate::{CHUNK, content, downloaded, downloads, fetch, file, is_there, person, share, support::World};

#[test]
fn a_file_goes_from_one_to_others() {
    let world = World::new();
    let (hans, bob, eva) = (person(&world, "hans"), person(&world, "bob"), person(&world, "eva"));
    let bytes = content(3 * CHUNK + 1, 1);
    let path = file(&world, "hans", "a b.bin", &bytes);
    hans.types(&format!("share {}", path.display()));
    let id = crate::id(&bytes);
    hans.sees(&format!("Sharing a b.bin: 768.0 KiB, 4 chunks, {id}"));

    bob.sees("eva logged in");
    bob.asks("files", &[&format!("{id}  768.0 KiB  1 source  a b.bin")]);
    bob.asks("files A", &[&format!("{id}  768.0 KiB  1 source  a b.bin")]);
    bob.asks("files *.txt", &["No files are shared now."]);
    hans.asks("files", &["No files are shared now."]);
    bob.types("download a b.bin");
    let line = downloaded(&bob, "a b.bin");
    assert!(line.starts_with("Downloaded a b.bin: 768.0 KiB from 1 peers in "), "{line}");
    is_there(&downloads(&world, "bob").join("a b.bin"), &bytes);

    // Whoever has it is a source for the next.
    eva.asks("files", &[&format!("{id}  768.0 KiB  2 sources  a b.bin")]);
    fetch(&world, "eva", &eva, &id, "a b.bin", &bytes);
    eva.asks("searchFile a b.bin", &["Available", "bob", "hans"]);
    assert_eq!(fs::read_dir(downloads(&world, "eva")).expect("a folder").count(), 1);
    hans.types("shares");
    hans.sees(&format!("{id}  768.0 KiB  a b.bin  {}", path.display()));
}

#[test]
fn words_that_mean_the_same() {
    let world = World::new();
    let (hans, bob) = (person(&world, "hans"), person(&world, "bob"));
    let path = file(&world, "hans", "a", b"a");
    hans.types(&format!("register {}", path.display()));
    hans.sees(&format!("Sharing a: 1 byte, 1 chunks, {}", crate::id(b"a")));
    bob.types("p2pDownload a");
    downloaded(&bob, "a");
    share(&world, "hans", &hans, "b", b"b");
    bob.types("/get b");
    downloaded(&bob, "b");
}

#[test]
fn what_is_shared_no_more_is_not_found() {
    let world = World::new();
    let (hans, bob) = (person(&world, "hans"), person(&world, "bob"));
    let first = share(&world, "hans", &hans, "a", b"first");
    share(&world, "hans", &hans, "b", b"second");
    hans.types("unshare a");
    hans.sees("Stopped sharing a");
    bob.asks("searchFile a", &["Not available"]);
    bob.asks("download a", &["Error. No one shares a"]);
    bob.asks(&format!("download {first}"), &[&format!("Error. No one shares {first}")]);
    hans.types(&format!("unshare {}", &crate::id(b"second")[..8]));
    hans.sees("Stopped sharing b");
    hans.types("shares");
    hans.sees("You share nothing");
    hans.types("unshare b");
    hans.sees("Error. You neither share nor download b");
    bob.asks("files", &["No files are shared now."]);
}

#[test]
fn what_cannot_be_shared_says_why() {
    let world = World::new();
    let hans = person(&world, "hans");
    let missing = world.path("missing");
    hans.types(&format!("share {}", missing.display()));
    hans.finds(&format!("Error. Cannot share {}: ", missing.display()));
    for line in ["share", "unshare", "searchFile", "searchChunk a", "searchChunk 1", "download", "cancel"] {
        hans.types(line);
        hans.finds(&format!("Error. Usage: {}", line.split(' ').next().expect("a word")));
    }
    // Before anything was shared or downloaded.
    let bob = person(&world, "bob");
    bob.types("shares\ndownloads\nunshare x\ncancel x");
    bob.sees("You share nothing");
    bob.sees("Nothing is being downloaded");
    for _ in 0..2 {
        bob.sees("Error. You neither share nor download x");
    }
}

#[test]
fn shares_come_back_at_the_next_login_while_they_are_what_they_were() {
    let world = World::new();
    let (hans, bob) = (person(&world, "hans"), person(&world, "bob"));
    share(&world, "hans", &hans, "same", b"same");
    share(&world, "hans", &hans, "changed", b"changed");
    share(&world, "hans", &hans, "gone", b"gone");
    fetch(&world, "bob", &bob, "same", "same", b"same");
    hans.leaves();
    bob.leaves();
    file(&world, "hans", "changed", b"something else");
    fs::remove_file(world.path("hans-files").join("gone")).expect("a file");

    let eva = person(&world, "eva");
    eva.asks("files", &["No files are shared now."]);
    let hans = person(&world, "hans");
    hans.sees_all(&[
        "changed is not shared any more: it has changed",
        "gone is not shared any more: it is gone, or cannot be read",
    ]);
    // Nothing is said when it is back, so it is asked for until it is.
    let bob = person(&world, "bob");
    crate::wait_for("what was shared before", || {
        eva.types("files");
        eva.catches_up().iter().any(|line| line.contains("2 sources"))
    });
    let id = crate::id(b"same");
    eva.asks("files", &[&format!("{id}  4 bytes  2 sources  same")]);
    fetch(&world, "eva", &eva, "same", "same", b"same");
    assert!(!hans.everything().contains("Sharing"), "it is not said again");
    drop(bob);
}

#[test]
fn a_file_that_changes_while_it_is_shared_is_not_given() {
    let world = World::new();
    let (hans, bob) = (person(&world, "hans"), person(&world, "bob"));
    share(&world, "hans", &hans, "a", &content(2 * CHUNK, 1));
    file(&world, "hans", "a", b"short");
    bob.types("download a");
    hans.sees("a is not shared any more: it has changed");
    bob.sees("a waits: nobody who is online has what is missing");
    bob.types("cancel a");
    bob.sees("Cancelled a, what came is kept");
    bob.asks("download a", &["Error. No one shares a"]);
}
