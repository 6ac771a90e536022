//! `hobnob backup`, `restore` and `verify` with the real program: under load, between people who talk, and misused.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../server/mod.rs"]
mod server;

mod load;
mod misuse;
mod people;

use std::{ffi::OsStr, path::Path};

use support::hobnob;

/// Runs a command to its end, in a folder: the exit code, and what is on standard output and error.
fn run(folder: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> (i32, String, String) {
    let output = hobnob(folder).current_dir(folder).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Runs a command that must do it; what it prints.
fn done(folder: &Path, arguments: &[&str]) -> String {
    let (code, printed, why) = run(folder, arguments);
    assert_eq!(code, 0, "{arguments:?}: {printed}{why}");
    printed
}

/// Runs a command that must not; its exit code, and the reason as a program reads it.
fn refused(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let (code, printed, _) = run(folder, arguments.iter().chain(&["--json"]));
    let object: serde_json::Value = serde_json::from_str(&printed).unwrap_or_default();
    (code, object["refused"].as_str().unwrap_or(&printed).to_owned())
}
