//! `share`, `files` and `get` as people and scripts use them: real processes, nobody at a keyboard.

#[path = "../support/mod.rs"]
mod support;

mod get;
mod hostile;
mod interrupted;
mod share;

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::process::Signal;
use serde_json::Value;
use support::{Running, World, hobnob};

/// Accounts that exist: a name and `<name>-secret` each.
const USERS: [&str; 3] = ["hans", "luke", "yoda"];

/// A server, and a folder for files that are shared.
struct Place {
    world: World,
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self::with(&[])
    }

    /// A server with more arguments.
    fn with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let credentials = folder.path().join("credentials");
        let lines: String = USERS.iter().map(|name| format!("{name} {name}-secret\n")).collect();
        fs::write(&credentials, lines).expect("written");
        let credentials = ["--credentials", credentials.to_str().expect("UTF-8")];
        Self { world: World::with(&[&credentials[..], arguments].concat()), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file to share.
    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, content).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// Somebody who shares.
    fn share(&self, user: &str, arguments: &[&str]) -> Running {
        self.starts(user, &[&["share"], arguments].concat())
    }

    /// The same, once the server knows of a file.
    fn shares(&self, user: &str, path: &str) -> Running {
        let sharing = self.share(user, &[path]);
        sharing.expect("Sharing ");
        sharing
    }

    /// A command of somebody who has a place and a password.
    fn starts(&self, user: &str, arguments: &[&str]) -> Running {
        let mut command = hobnob(self.folder.path());
        command.args(arguments).args(["--user", user, "--server", self.world.address(), "--data"]);
        command.arg(self.world.path(user)).env("HOBNOB_PASSWORD", format!("{user}-secret"));
        command.current_dir(self.folder.path());
        Running::start(command, self.world.path(&format!("{user}.log")))
    }

    /// Runs a command to its end.
    fn run(&self, user: &str, arguments: &[&str]) -> (i32, String) {
        let mut running = self.starts(user, arguments);
        (code(&mut running), running.everything())
    }

    /// Downloads these into `to`.
    fn get(&self, user: &str, names: &[&str], to: &str) -> (i32, String) {
        let to = self.path(to);
        self.run(user, &[&["get"], names, &["--downloads", to.to_str().expect("UTF-8")]].concat())
    }
}

/// Waits for the end.
fn code(running: &mut Running) -> i32 {
    running.wait().code().expect("an exit code")
}

/// Ends it as Ctrl-C does.
fn interrupt(running: &mut Running) -> i32 {
    running.signal(Signal::INT);
    code(running)
}

/// Bytes that are not like each other, so that no chunk is like another.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2) + 1;
    let word = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    };
    (0..bytes.div_ceil(4)).map(word).flat_map(u32::to_le_bytes).take(bytes).collect()
}

fn same(path: &Path, content: &[u8]) {
    assert!(fs::read(path).expect("it is there") == content, "{} has another content", path.display());
}

/// What a program reads: every line is an object.
fn objects(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}
