//! A real server process in a folder of its own.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

/// A running `hobnob serve`; killed when dropped.
pub struct Server {
    pub child: Child,
    /// `HOST:PORT`.
    pub address: String,
    /// The line it printed when it was ready.
    pub ready: String,
}

impl Server {
    /// Starts a server and waits until it listens.
    pub fn start<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(listen: &str, data: &Path, flags: I) -> Self {
        Self::start_by(Command::new(env!("CARGO_BIN_EXE_hobnob")), listen, data, flags)
    }

    /// The same by a command that the server's own command line is added to, a tracer for example.
    pub fn start_by<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(
        mut command: Command,
        listen: &str,
        data: &Path,
        flags: I,
    ) -> Self {
        command.args(["serve", "--listen", listen, "--data"]).arg(data).args(flags);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let address = ready.strip_prefix("hobnob is listening on ").and_then(|rest| rest.split_once(','));
        let Some((address, _)) = address else { panic!("the server did not start: {ready:?}") };
        Self { child, address: address.to_owned(), ready }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, and waits. A tracer does not pass a signal on, so its child is asked.
    pub fn stop(mut self) -> std::process::ExitStatus {
        let pid = self.child.id();
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let traced = children.split_whitespace().next().and_then(|child| child.parse().ok());
        let server = traced.unwrap_or(i32::try_from(pid).unwrap());
        let server = rustix::process::Pid::from_raw(server).unwrap();
        rustix::process::kill_process(server, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
