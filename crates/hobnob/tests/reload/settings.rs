//! Settings that change while people talk.

use std::fs;

use rustix::process::Signal;

use super::{admin, hang_up, log, wait_for, world_with, write};
use crate::support::{WELCOME, World};

#[test]
fn what_is_new_counts_for_who_is_there_and_who_comes() {
    let world = world_with("", &["--block-duration", "5s"], &[]);
    let (mut hans, bob) = (world.user("hans"), world.user("bob"));
    hans.sees("bob logged in");
    write(
        &world,
        "welcome = \"Two\"\ninbox-per-sender = 2\nblock-duration = \"1h\"\nregistration = \"closed\"\n",
    );
    hang_up(&world, "changed=\"registration, welcome, inbox-per-sender\"");
    assert!(!log(&world).contains("Two"), "what people read is not in the log");
    bob.leaves();
    hans.sees("bob logged out");
    for n in 1..=3 {
        hans.types(&format!("message bob {n}"));
    }
    hans.sees("Error. bob's inbox is full");
    let bob = world.chat("bob");
    bob.logs_in("bob", "bob-secret");
    bob.sees("Two");
    bob.sees_all(&["hans: 1", "hans: 2"]);
    write(&world, "idle-timeout = \"1s\"\n");
    hang_up(&world, "reloaded");
    hans.sees("Timeout. You are logged out due to inactivity");
    assert_eq!(hans.ends(), 0);
}

#[test]
fn with_any_mistake_nothing_changes_and_all_are_told() {
    let world = world_with("welcome = \"One\"\n", &[], &[]);
    for (wrong, expected) in [
        ("welcome = = 2", "TOML parse error at line 1, column 11: extra `=`"),
        ("welcome = \"Two\"\nsend-rate = 0", "send-rate: `0` is not a rate"),
        ("welcome = \"Two\"\ntls = \"/nowhere/a,/nowhere/b\"", "/nowhere/a: No such file"),
        ("welcome = \"Two\"\nsecurity-log = \"/nowhere/log\"", "security-log: /nowhere/log: No such file"),
    ] {
        write(&world, wrong);
        hang_up(&world, expected);
        assert!(!log(&world).contains("changed="), "{}", log(&world));
    }
    write(&world, "welcome = \"Two\"\ncolour = \"red\"\nidle-timeout = \"soon\"\n");
    let (code, printed, told) = admin(&world, &["reload"]);
    assert_eq!((code, printed.as_str()), (1, ""));
    assert!(told.starts_with("hobnob: Nothing has changed, this needs to be put right first:\n  "), "{told}");
    assert!(told.contains("unknown key `colour`") && told.contains("`soon` is not a duration"), "{told}");
    assert_eq!(told.lines().count(), 3, "{told}");
    let (code, printed, _) = admin(&world, &["reload", "--json"]);
    let refused: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((code, refused["refused"].as_str()), (1, Some("settings-refused")));
    assert_eq!(refused["mistakes"].as_array().unwrap().len(), 2);
    fs::remove_file(world.path("hobnob.toml")).unwrap();
    hang_up(&world, "No such file");
    let chat = world.chat("hans");
    chat.logs_in("hans", "hans-secret");
    chat.sees("One");
}

#[test]
fn what_takes_a_restart_is_named_and_the_rest_counts() {
    let world = world_with("", &[], &[]);
    write(
        &world,
        "relay = false\nlog-format = \"json\"\ntls = \"off\"\nwelcome = \"Two\"\nlisten = \"127.0.0.1:1\"\n",
    );
    let (code, printed, _) = admin(&world, &["reload"]);
    assert_eq!(code, 0);
    assert_eq!(printed, "Changed: welcome\nCounts only after a restart: tls, relay, log-format\n");
    let (_, printed, _) = admin(&world, &["reload", "--json"]);
    let done: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        (&done["changed"], done["needs_restart"].as_array().unwrap().len()),
        (&serde_json::json!([]), 3)
    );
    assert!(log(&world).contains("needs_restart=\"tls, relay, log-format\""));
}

#[test]
fn the_level_of_the_log_changes() {
    let world = world_with("log = \"error\"\n", &[], &[]);
    world.user("hans").leaves();
    assert!(!log(&world).contains("logged in"));
    write(&world, "log = \"info\"\n");
    let (code, printed, _) = admin(&world, &["reload"]);
    assert_eq!((code, printed.as_str()), (0, "Changed: log\n"));
    world.user("bob").leaves();
    wait_for("the login", || log(&world).contains("logged in event=login"));
}

#[test]
fn without_a_file_there_is_little_to_read() {
    let world = World::new();
    hang_up(&world, "there is no file of settings to read again");
    let (code, printed, _) = admin(&world, &["reload"]);
    assert_eq!(code, 0);
    assert!(printed.starts_with("Nothing has changed\nThe server was started without a file"), "{printed}");
}

#[test]
fn a_storm_of_signals_disturbs_nobody() {
    let mut world = world_with("welcome = \"One\"\n", &[], &[]);
    let (hans, bob) = (world.chat("hans"), world.chat("bob"));
    for (chat, name) in [(&hans, "hans"), (&bob, "bob")] {
        chat.logs_in(name, "secret");
        chat.sees("One");
    }
    for n in 0..200 {
        write(&world, &format!("welcome = \"{n}\"\n"));
        world.signal(Signal::HUP);
        hans.types(&format!("message bob {n}"));
    }
    for n in 0..200 {
        bob.sees(&format!("hans: {n}"));
    }
    write(&world, &format!("welcome = \"{WELCOME}\"\n"));
    hang_up(&world, "reloaded");
    let _eva = world.user("eva");
    // One that stops is deaf to it.
    world.signal(Signal::TERM);
    world.signal(Signal::HUP);
    assert_eq!(world.ended(), 0);
}
