//! What a restore means for people: what comes again, what does not, and what they still hold.

use std::fs;

use super::{done, run};
use crate::support::{WELCOME, World};

/// The server's folder is lost; the backup takes its place.
fn lose_and_restore(world: &World) {
    let folder = world.path("");
    fs::rename(folder.join("server"), folder.join("lost")).unwrap();
    let printed = done(&folder, &["restore", "--data", "server", "b"]);
    assert!(printed.contains("Key SHA256:"), "{printed}");
}

#[test]
fn what_was_read_after_the_backup_does_not_come_again() {
    let mut world = World::new();
    let hans = world.user("hans");
    world.user("yoda").leaves();
    hans.sees("yoda logged out");
    for n in 0..5 {
        hans.asks(&format!("message yoda {n}"), &[]);
    }
    let told = done(&world.path(""), &["backup", "--data", "server", "b"]);
    assert!(told.starts_with("Backed up to b: 2 accounts, 5 messages, "), "{told}");
    // Only after the backup yoda reads what it holds, and one message more.
    let yoda = world.user("yoda");
    yoda.sees("hans: 4");
    hans.sees("yoda logged in");
    hans.asks("message yoda lost", &[]);
    yoda.sees("hans: lost");
    yoda.leaves();
    hans.sees("yoda logged out");
    world.stop();
    lose_and_restore(&world);
    world.start();
    hans.sees("Connected again");
    hans.asks("message yoda new", &[]);
    // Same folder, same key of the server: no question, and nothing twice.
    let yoda = world.user("yoda");
    yoda.sees("hans: new");
    let shown = yoda.everything();
    assert!(!shown.contains("hans: 4") && !shown.contains("lost"), "{shown}");
    yoda.asks("message hans hello", &[]);
    hans.sees("yoda: hello");
    assert_eq!(hans.everything().matches("hello").count(), 1);
}

#[test]
fn a_session_that_began_after_the_backup_logs_in_again_and_sends_what_it_holds() {
    let mut world = World::new();
    world.user("hans").leaves();
    world.user("yoda").leaves();
    done(&world.path(""), &["backup", "--data", "server", "b"]);
    let mut hans = world.user("hans");
    hans.asks("message yoda lost", &[]);
    world.stop();
    hans.sees("Lost the connection to the server, trying again");
    hans.types("message yoda held");
    lose_and_restore(&world);
    world.start();
    hans.sees("Error. Your session has ended, please log in again");
    assert_eq!(hans.ends(), 1);
    let hans = world.user("hans");
    let yoda = world.user("yoda");
    yoda.sees("hans: held");
    hans.sees("yoda logged in");
    hans.asks("message yoda new", &[]);
    yoda.sees("hans: new");
    assert_eq!(yoda.everything().matches("held").count(), 1);
    assert!(!yoda.everything().contains("lost"));
}

#[test]
fn what_the_keeper_did_after_the_backup_is_undone() {
    let mut world = World::new();
    world.user("hans").leaves();
    done(&world.path(""), &["backup", "--data", "server", "b"]);
    done(&world.path(""), &["admin", "--data", "server", "delete", "hans"]);
    world.stop();
    lose_and_restore(&world);
    world.start();
    world.user("hans").leaves();
    assert!(done(&world.path(""), &["admin", "--data", "server", "users"]).contains("hans"));
}

#[test]
fn a_server_runs_on_the_store_of_each_version() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../server/tests/golden");
    for version in fs::read_dir(golden).unwrap() {
        let mut world = World::new();
        world.stop();
        fs::remove_dir_all(world.path("server")).unwrap();
        fs::create_dir(world.path("server")).unwrap();
        for file in fs::read_dir(version.unwrap().path()).unwrap() {
            let file = file.unwrap();
            let name = if file.file_name() == "backup" {
                "b".into()
            } else {
                world.path("server").join(file.file_name())
            };
            fs::copy(file.path(), world.path("").join(name)).unwrap();
        }
        let check = |world: &mut World| {
            world.start();
            let anna = world.user("anna");
            anna.sees("bert: waits");
            anna.sees("dora: of somebody who is gone");
            anna.sees("bert: two");
            let erna = world.chat("erna");
            erna.logs_in("erna", "emil-secret");
            erna.sees(WELCOME);
            anna.sees("Erna logged in");
            anna.asks("blocks", &["carl"]);
            erna.asks("message anna hello", &[]);
            anna.sees("Erna: hello");
            assert!(!anna.everything().contains("noted"));
            drop((anna, erna));
            world.stop();
            assert_eq!(run(&world.path(""), ["verify", "--data", "server"]).0, 0);
        };
        check(&mut world);
        lose_and_restore(&world);
        for place in ["anna", "erna"] {
            fs::remove_dir_all(world.path(place)).unwrap();
        }
        check(&mut world);
    }
}
