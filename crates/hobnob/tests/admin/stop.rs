//! `drain`: everything accepted reaches the disk, clients are told and come back.

use std::{fs, thread};

use super::{admin, done};
use crate::support::World;

#[test]
fn a_drain_under_traffic_loses_nothing() {
    let mut world = World::new();
    let (hans, bob) = (world.user("hans"), world.user("bob"));
    hans.sees("bob logged in");
    let count = 400;
    for n in 0..count {
        hans.types(&format!("message bob {n}"));
    }
    bob.sees("hans: 0");
    assert_eq!(done(&world, &["drain"]), "The server has stopped, everything it accepted is on disk\n");
    assert_eq!(admin(&world, &["status"]).0, 3);
    assert_eq!(world.ended(), 0, "a drained server exits 0");
    bob.sees("Lost the connection to the server, trying again");
    world.start();
    bob.sees("Connected again");
    bob.sees(&format!("hans: {}", count - 1));
    let shown = bob.everything();
    let texts: Vec<&str> = shown.lines().filter_map(|line| line.strip_prefix("hans: ")).collect();
    let expected: Vec<String> = (0..count).map(|n| n.to_string()).collect();
    assert_eq!(texts, expected, "each once, in order");
}

#[test]
fn no_password_is_in_an_argument_list() {
    let world = World::new();
    let mut child = super::command(&world, &["add", "hans"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let arguments = fs::read(format!("/proc/{}/cmdline", child.id())).expect("it waits for its input");
    let mut input = child.stdin.take().expect("a pipe");
    let writer = thread::spawn(move || std::io::Write::write_all(&mut input, b"the-secret\n"));
    writer.join().expect("no panic").expect("written");
    assert!(child.wait().expect("it ends").success());
    assert!(!String::from_utf8_lossy(&arguments).contains("the-secret"));
    let chat = world.chat("hans");
    chat.logs_in("hans", "the-secret");
    chat.leaves();
    assert!(!super::log(&world).contains("the-secret"));
}
