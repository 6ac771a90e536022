//! A running server that reads its settings again, what it tells a service manager, and what its logs say: real
//! processes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod certificate;
mod logs;
mod manager;
mod secrets;
mod settings;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;
use support::{World, hobnob};
use tokio::time::Instant;

/// What takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(30);

/// A server whose settings are in a file, and its folder.
fn world_with(settings: &str, arguments: &[&str], variables: &[(&str, &str)]) -> World {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hobnob.toml");
    fs::write(&file, settings.replace("FOLDER", folder.path().to_str().unwrap())).unwrap();
    let mut all = vec!["--config", file.to_str().unwrap()];
    all.extend(arguments);
    World::around(folder, &all, variables)
}

/// Replaces the settings in the file.
fn write(world: &World, settings: &str) {
    let file = world.path("hobnob.toml");
    fs::write(&file, settings.replace("FOLDER", file.parent().unwrap().to_str().unwrap())).unwrap();
}

/// Sends SIGHUP, and waits for the line of the log that tells what came of it.
fn hang_up(world: &World, expected: &str) {
    let before = log(world).len();
    world.signal(Signal::HUP);
    wait_for(expected, || log(world)[before..].contains(expected));
}

/// The server's log so far.
fn log(world: &World) -> String {
    read(&world.path("server.log"))
}

fn read(path: &Path) -> String {
    String::from_utf8(fs::read(path).unwrap()).unwrap()
}

/// Waits until something is so.
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < end, "this did not come: {what}");
        std::thread::yield_now();
    }
}

/// Runs `hobnob admin` with this on standard input: exit code, standard output, standard error.
fn admin_with(world: &World, arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut command: Command = hobnob(&world.path("home"));
    command.args(["admin", "--data"]).arg(world.path("server")).args(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that wants no input may be gone by now.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn admin(world: &World, arguments: &[&str]) -> (i32, String, String) {
    admin_with(world, arguments, "")
}
