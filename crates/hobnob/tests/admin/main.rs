//! `hobnob admin` with the real program: every command against a running server, with people who talk meanwhile.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../server/mod.rs"]
mod server_process;

mod accounts;
mod invitations;
mod sessions;
mod socket;
mod stop;

use std::{
    fs,
    io::{Read, Write},
    process::{Command, Output, Stdio},
};

use support::{World, hobnob};

/// `hobnob admin` for the server of a world.
fn command(world: &World, arguments: &[&str]) -> Command {
    let mut command = hobnob(&world.path("home"));
    command.args(["admin", "--data"]).arg(world.path("server")).args(arguments);
    command
}

/// Runs it to its end.
fn output(mut command: Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    // One that wants no input may be gone by now.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

/// The exit code, and what is on standard output.
fn admin_with(world: &World, arguments: &[&str], input: &str) -> (i32, String) {
    let output = output(command(world, arguments), input);
    (output.status.code().expect("an exit code"), String::from_utf8(output.stdout).expect("UTF-8"))
}

fn admin(world: &World, arguments: &[&str]) -> (i32, String) {
    admin_with(world, arguments, "")
}

/// What a command that must be done prints.
fn done(world: &World, arguments: &[&str]) -> String {
    let (code, printed) = admin(world, arguments);
    assert_eq!(code, 0, "{arguments:?}: {printed}");
    printed
}

/// What a program reads of a refusal.
fn refusal(world: &World, arguments: &[&str]) -> String {
    let (code, printed) = admin(world, &[&["--json"], arguments].concat());
    assert_eq!(code, 1, "{arguments:?}: {printed}");
    let word = printed.strip_prefix("{\"refused\":\"").and_then(|rest| rest.split('"').next());
    word.unwrap_or_else(|| panic!("{printed}")).to_owned()
}

/// The server's log so far.
fn log(world: &World) -> String {
    let mut log = String::new();
    fs::File::open(world.path("server.log")).expect("a log").read_to_string(&mut log).expect("UTF-8");
    log
}
