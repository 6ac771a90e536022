//! A server and two people at home, each with the real program in a namespace of its own.

use std::{process::Command, time::Duration};

use tempfile::TempDir;
use tokio::time::{Instant, interval};

use crate::{
    capture::{Capture, Packet},
    internet::{Internet, Router, SERVER},
    namespace::Namespace,
    support::{Running, WELCOME},
};

/// How often `path` is asked while it is not yet what it should be.
const LOOK: Duration = Duration::from_millis(100);

/// The port of the server, TCP and UDP.
pub(crate) const PORT: u16 = 4000;

/// How a server and its clients are started.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ways {
    /// Without TLS, so that captures show what the server and its relay carry.
    pub(crate) plain: bool,
    /// More arguments of the second person's chat.
    pub(crate) second: &'static [&'static str],
}

/// All of them.
pub(crate) struct Town {
    /// Who sits in which home: anna in the first, bert in the second.
    pub(crate) anna: Person,
    pub(crate) bert: Person,
    _server: Running,
    pub(crate) internet: Internet,
    folder: TempDir,
}

/// Somebody at a chat.
pub(crate) struct Person(Running);

/// What passes everywhere.
pub(crate) struct Captures {
    /// Between the routers and the server.
    public: [Capture; 2],
    /// At the homes' own interfaces.
    homes: [Capture; 2],
}

/// What has passed.
pub(crate) struct Passed {
    pub(crate) public: [Vec<Packet>; 2],
    pub(crate) homes: [Vec<Packet>; 2],
}

impl Town {
    /// Two people who have just registered.
    pub(crate) fn new(routers: [Router; 2], ways: Ways) -> Option<Self> {
        let internet = Internet::new(routers)?;
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = hobnob(&internet.public, &folder);
        command.args(["serve", "--listen", &format!("{SERVER}:{PORT}"), "--data"]);
        command.arg(folder.path().join("server"));
        command.args(if ways.plain { &["--tls", "off", "--insecure"][..] } else { &[] });
        let server = Running::start(command, folder.path().join("server.log"));
        server.line_with("hobnob is listening on ");
        let person = |home: usize, name: &str, more: &[&str]| {
            let mut command = hobnob(&internet.homes[home], &folder);
            let scheme = if ways.plain { "ws://" } else { "" };
            command.args(["chat", &format!("{scheme}{SERVER}:{PORT}"), "--data"]);
            command.arg(folder.path().join(name)).args(more);
            Person::registers(Running::start(command, folder.path().join(format!("{name}.log"))), name)
        };
        let anna = person(0, "anna", &[]);
        let bert = person(1, "bert", ways.second);
        anna.sees("bert logged in");
        Some(Self { anna, bert, _server: server, internet, folder })
    }

    /// Begins to note what passes.
    pub(crate) fn capture(&self, part: &str) -> Captures {
        let file = |place: &str, home: usize| self.folder.path().join(format!("{part}-{place}{home}.pcap"));
        let public = |home: usize| self.internet.capture_public(home, file("public", home));
        let own = |home: usize| self.internet.capture_home(home, file("home", home));
        Captures { public: [public(0), public(1)], homes: [own(0), own(1)] }
    }

    /// Runs the doctor at a home; the exit code and what it says.
    pub(crate) fn doctor(&self, home: usize) -> (i32, String) {
        doctor(&self.internet.homes[home], &self.folder)
    }

    /// The same where the server is.
    pub(crate) fn doctor_in_public(&self) -> (i32, String) {
        doctor(&self.internet.public, &self.folder)
    }
}

fn doctor(namespace: &Namespace, folder: &TempDir) -> (i32, String) {
    let mut command = hobnob(namespace, folder);
    command.args(["doctor", &format!("{SERVER}:{PORT}"), "--data"]).arg(folder.path().join("doctor"));
    let mut running = Running::start(command, folder.path().join("doctor.log"));
    let code = running.wait().code().expect("an exit code");
    (code, running.everything())
}

/// The program, with nothing of the environment that could change it.
fn hobnob(namespace: &Namespace, folder: &TempDir) -> Command {
    let mut command = namespace.command(env!("CARGO_BIN_EXE_hobnob"));
    command.env_clear().env("HOME", folder.path()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

impl Captures {
    /// Everything that passed until now.
    pub(crate) fn end(self) -> Passed {
        Passed { public: self.public.map(Capture::end), homes: self.homes.map(Capture::end) }
    }
}

impl Passed {
    /// Every packet that was seen anywhere.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Vec<Packet>> {
        self.public.iter().chain(&self.homes)
    }
}

impl Person {
    fn registers(chat: Running, name: &str) -> Self {
        let person = Self(chat);
        person.0.expect("Username: ");
        person.types(name);
        person.0.expect("This is a new user. Enter a password: ");
        person.types(&format!("{name}-secret"));
        person.sees(WELCOME);
        person
    }

    /// Types a line.
    pub(crate) fn types(&self, line: &str) {
        self.0.write(&format!("{line}\n"));
    }

    /// Waits for a whole line; what comes before it counts as read.
    pub(crate) fn sees(&self, line: &str) {
        self.0.expect(&format!("\n{line}\n"));
    }

    /// Waits for a question.
    pub(crate) fn is_asked(&self, question: &str) {
        self.0.expect(question);
    }

    /// What `path` says of the talk with somebody.
    pub(crate) fn path(&self, to: &str) -> String {
        self.types(&format!("path {to}"));
        self.types("help logout");
        let before = self.0.expect("\nlogout: leave\n");
        before.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// Asks for the path until it begins so; the last answer in any case.
    pub(crate) async fn path_becomes(&self, to: &str, beginning: &str, within: Duration) -> String {
        let deadline = Instant::now() + within;
        let mut look = interval(LOOK);
        loop {
            look.tick().await;
            let path = self.path(to);
            if path.starts_with(beginning) || Instant::now() > deadline {
                return path;
            }
        }
    }

    /// Logs out.
    pub(crate) fn leaves(&mut self) {
        self.types("logout");
        self.sees("Goodbye.");
        assert!(self.0.wait().success());
    }
}
