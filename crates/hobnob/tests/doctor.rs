//! `hobnob doctor` against real servers on this machine. What it says of routers is tested beside private talk, in `nat`.

mod support;

use std::path::Path;

use support::{Running, World, hobnob};

/// Runs the doctor; its exit code and what it says.
fn doctor(world: &World, place: &str, arguments: &[&str]) -> (i32, String) {
    run(world.path(place).as_path(), arguments)
}

fn run(data: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = hobnob(data);
    command.arg("doctor").args(arguments).arg("--data").arg(data);
    let mut running = Running::start(command, data.with_extension("log"));
    let code = running.wait().code().expect("an exit code");
    (code, running.everything())
}

#[test]
fn a_new_server_is_shown_and_not_noted() {
    let world = World::new();
    for _ in 0..2 {
        let (code, said) = doctor(&world, "new", &[world.address()]);
        for part in ["answers\n", "protocol version 1\n", "SHA256:", "is not noted", "relay answers in"] {
            assert!(said.contains(part), "{part} in:\n{said}");
        }
        assert!(said.ends_with("Private talk and files: direct with others on this machine.\n"), "{said}");
        assert_eq!(code, 0, "{said}");
    }
    assert!(!world.path("new").exists(), "nothing is kept");
}

#[test]
fn a_known_server_is_known_and_another_key_is_not() {
    let world = World::new();
    world.user("hans").leaves();
    let (code, said) = doctor(&world, "hans", &[world.address()]);
    assert!(code == 0 && said.contains(", as known here\n"), "{said}");
    let known = said.split_whitespace().find(|word| word.starts_with("SHA256:")).expect("a fingerprint");
    let known = known.trim_end_matches(',');
    let (code, said) = doctor(&world, "new", &[world.address(), "--pin", known]);
    assert!(code == 0 && said.contains(", as demanded\n"), "{said}");
    let other = format!("SHA256:{}", "A".repeat(43));
    let (code, said) = doctor(&world, "new", &[world.address(), "--pin", &other]);
    assert!(code == 1 && said.contains(&format!("no  {} shows the key {known}", world.address())), "{said}");
}

#[test]
fn a_key_that_has_changed_is_told() {
    let world = World::new();
    let other = World::new();
    world.user("hans").leaves();
    // The same file knows the other server by this one's key.
    let known = std::fs::read_to_string(world.path("hans").join("known_servers")).expect("a file");
    let forged = known.replace(world.address(), other.address());
    std::fs::create_dir(world.path("deceived")).expect("a folder");
    std::fs::write(world.path("deceived").join("known_servers"), &forged).expect("a file");
    let (code, said) = doctor(&world, "deceived", &[other.address()]);
    assert!(code == 1 && said.contains("has changed"), "{said}");
    let after = std::fs::read_to_string(world.path("deceived").join("known_servers")).expect("a file");
    assert_eq!(after, forged, "nothing is noted");
}

#[test]
fn without_a_relay_there_is_only_the_direct_way() {
    let world = World::with(&["--relay", "off"]);
    let (code, said) = doctor(&world, "new", &[world.address()]);
    assert!(said.contains("-   the server has no relay"), "{said}");
    assert!(said.contains("Private talk and files: only where one of the two can reach the other"), "{said}");
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_server_without_tls_is_told() {
    let world = World::with(&["--tls", "off"]);
    let (code, said) = doctor(&world, "new", &[&format!("ws://{}", world.address())]);
    assert!(code == 0 && said.contains("-   it speaks plain text"), "{said}");
}

#[test]
fn where_nobody_listens_there_is_no_private_talk() {
    let folder = tempfile::tempdir().expect("a folder");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    let (code, said) = run(&folder.path().join("new"), &[&address]);
    assert!(code == 1 && said.starts_with(&format!("no  {address} cannot be reached: ")), "{said}");
}
