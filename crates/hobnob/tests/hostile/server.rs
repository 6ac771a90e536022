//! A real server process in a folder of its own, and what the system knows about it.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A running `hobnob serve`; asked to stop when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    folder: TempDir,
}

impl Server {
    /// Starts a server and waits until it listens.
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), flags)
    }

    /// Stops it, has something done to its data folder, and starts it there again.
    pub(crate) fn restarted(mut self, meanwhile: impl FnOnce(&Path)) -> Self {
        assert!(self.end(), "the server failed:\n{}", self.log());
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a folder"));
        drop(self);
        meanwhile(&folder.path().join("data"));
        Self::start_in(folder, &[])
    }

    fn start_in(folder: TempDir, flags: &[&str]) -> Self {
        let log = File::create(folder.path().join("log")).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
        command
            .env_clear()
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path().join("data"));
        command.args(flags).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the server starts");
        let mut ready = String::new();
        let stdout = child.stdout.take().expect("its stdout is a pipe");
        BufReader::new(stdout).read_line(&mut ready).expect("its stdout can be read");
        let address = ready.strip_prefix("hobnob is listening on ").and_then(|rest| rest.split(',').next());
        let address = address.and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| {
            let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            panic!("the server did not start: {ready:?}\n{log}")
        });
        Self { child, address, folder }
    }

    /// Resident memory, in KiB.
    pub(crate) fn rss_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Runs a command of this server's folder; its exit code, its output and what it says on standard error.
    pub(crate) fn command(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
        command.env_clear().args(arguments).arg("--data").arg(self.folder.path().join("data"));
        let output = command.stdin(Stdio::null()).output().expect("the command runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join("log")).expect("its log")).into_owned()
    }

    /// Open file descriptors.
    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs").count()
    }

    fn end(&mut self) -> bool {
        if let Ok(Some(status)) = self.child.try_wait() {
            return status.success();
        }
        // It may have ended by itself, which its status then tells.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        self.child.wait().is_ok_and(|status| status.success())
    }

    /// Stops it as an operator does: it ends well, and nothing panicked meanwhile.
    pub(crate) fn stop(mut self) {
        self.stopped(&["panicked", "ERROR"]);
    }

    /// The same where its data was damaged, which it may call an error.
    pub(crate) fn stop_whatever_it_logged(mut self) {
        self.stopped(&["panicked"]);
    }

    fn stopped(&mut self, never: &[&str]) {
        let ended_well = self.end();
        let log = self.log();
        assert!(ended_well, "the server failed:\n{log}");
        for sign in never {
            assert!(!log.contains(sign), "{sign} in the server's log:\n{log}");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
