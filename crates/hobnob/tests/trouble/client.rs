//! A person's own disk is full.

use std::fs;

use crate::{TMPFS, disk, fill, support::World, with_a_disk};

#[test]
fn a_full_disk_of_the_client_is_an_error_and_nothing_it_has_kept_is_lost() {
    with_a_disk("client::the_disk_is_the_client_s", &TMPFS.replace("64m", "8m"));
}

#[test]
#[ignore = "another test begins it, with a small disk"]
fn the_disk_is_the_client_s() {
    let Some(disk) = disk() else { return };
    let mut world = World::new();
    let bob = world.user("bob");
    for name in ["hans", "nora"] {
        std::os::unix::fs::symlink(&disk, world.path(name)).unwrap();
    }
    let mut hans = world.user("hans");
    bob.sees("hans logged in");
    // Kept while the server is away, on a disk that has room.
    world.stop();
    hans.sees("Lost the connection to the server, trying again");
    hans.types("message bob kept");
    hans.types("logout");
    hans.sees("1 messages wait for the server");
    assert_eq!(hans.ends(), 0);
    world.start();
    bob.sees("Connected again");
    // No room for the next message: that one is an error, and the program ends with it.
    let filler = fill(&disk);
    let mut hans = world.user("hans");
    bob.sees("hans: kept");
    let long = "x".repeat(8_000);
    hans.types(&format!("message bob {long}"));
    let error = hans.finds("Error. ");
    assert!(error.contains("No space left on device"), "{error}");
    assert_eq!(hans.ends(), 1);
    // So it is for who begins.
    let (code, said) = world.run("nora", &["send", "--user", "nora", "bob", "no"], Some("nora-secret"), "");
    assert!(code == 1 && said.contains("No space left on device"), "{code}: {said}");
    fs::remove_file(filler).unwrap();
    let hans = world.user("hans");
    hans.types("message bob last");
    bob.sees("hans: last");
    let shown = bob.everything();
    assert_eq!((shown.matches("hans: kept\n").count(), shown.matches("hans: last\n").count()), (1, 1));
    hans.leaves();
    bob.leaves();
}
