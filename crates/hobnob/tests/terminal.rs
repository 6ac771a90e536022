//! The line client in a real terminal: tmux is the screen and the keyboard.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;

use std::{path::Path, process::Command, time::Duration};

use server::Server;
use tokio::time::Instant;

/// What takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(20);

/// A terminal with a chat in it. Its tmux server is its own, and ends with it.
struct Terminal {
    socket: String,
}

impl Terminal {
    fn open_with(folder: &Path, name: &str, address: &str, arguments: &str) -> Self {
        let terminal = Self { socket: folder.join(format!("{name}.tmux")).display().to_string() };
        let data = folder.join("clients");
        let chat = format!(
            "{} chat {address} --data {} {arguments}; echo left with $?; exec cat",
            env!("CARGO_BIN_EXE_hobnob"),
            data.display()
        );
        terminal.tmux(&["new-session", "-d", "-x", "80", "-y", "24", &chat]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output =
            Command::new("tmux").args(["-f", "/dev/null", "-S", &self.socket]).args(arguments).output();
        let output = output.expect("tmux is installed, see scripts/test");
        assert!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Types text, without Enter.
    fn types(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    fn presses(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    fn enters(&self, line: &str) {
        self.types(line);
        self.presses("Enter");
    }

    /// The lines on the screen, without the empty ones at its end.
    fn screen(&self) -> Vec<String> {
        let screen = self.tmux(&["capture-pane", "-p"]);
        screen.trim_end().lines().map(|line| line.trim_end().to_owned()).collect()
    }

    /// Waits until a line is on the screen.
    fn shows(&self, line: &str) {
        let begin = Instant::now();
        while !self.screen().iter().any(|shown| shown == line) {
            assert!(begin.elapsed() < DEADLINE, "expected {line:?} in {:#?}", self.screen());
        }
    }

    /// Waits until the last lines of the screen are these. Every look starts a process, which is pause enough.
    fn ends_with(&self, expected: &[&str]) {
        let begin = Instant::now();
        loop {
            let screen = self.screen();
            if screen.len() >= expected.len() && screen[screen.len() - expected.len()..] == *expected {
                return;
            }
            assert!(begin.elapsed() < DEADLINE, "expected {expected:#?} at the end of {screen:#?}");
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}: {:#?}", self.socket, self.screen());
        }
        // It may be gone already.
        let _ = Command::new("tmux").args(["-S", &self.socket, "kill-server"]).output();
    }
}

/// Two people who are logged in.
fn two_people(folder: &Path, server: &Server) -> (Terminal, Terminal) {
    two_people_with(folder, server, "")
}

/// The same with more arguments.
fn two_people_with(folder: &Path, server: &Server, arguments: &str) -> (Terminal, Terminal) {
    let hans = Terminal::open_with(folder, "hans", &server.address, arguments);
    hans.ends_with(&["Username:"]);
    hans.enters("hans");
    hans.ends_with(&["Username: hans", "This is a new user. Enter a password:"]);
    hans.enters("falcon");
    hans.ends_with(&["Welcome to the greatest messaging application ever!", ">"]);
    let yoda = Terminal::open_with(folder, "yoda", &server.address, arguments);
    yoda.ends_with(&["Username:"]);
    yoda.enters("yoda");
    yoda.ends_with(&["This is a new user. Enter a password:"]);
    yoda.enters("wise");
    hans.ends_with(&["yoda logged in", ">"]);
    (hans, yoda)
}

#[test]
fn passwords_are_not_shown_and_a_half_typed_line_stays_whole() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start("127.0.0.1:0", &folder.path().join("server"), [""; 0]);
    let (hans, yoda) = two_people(folder.path(), &server);
    hans.types("message yoda half ty");
    hans.ends_with(&["> message yoda half ty"]);
    yoda.enters("broadcast to everyone");
    hans.ends_with(&["yoda: to everyone", "> message yoda half ty"]);
    hans.enters("ped");
    yoda.ends_with(&["hans: half typed", ">"]);
    assert!(!hans.screen().join("\n").contains("falcon"), "{:#?}", hans.screen());
    assert!(!yoda.screen().join("\n").contains("wise"), "{:#?}", yoda.screen());
}

#[test]
fn tab_completes_and_ctrl_c_logs_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start("127.0.0.1:0", &folder.path().join("server"), [""; 0]);
    let (hans, yoda) = two_people(folder.path(), &server);
    hans.types("mes");
    hans.presses("Tab");
    hans.types("yo");
    hans.presses("Tab");
    hans.enters("completed");
    yoda.ends_with(&["hans: completed", ">"]);
    hans.presses("Up");
    hans.ends_with(&["> message yoda completed"]);
    hans.presses("C-u");
    hans.types("never sent");
    hans.presses("C-c");
    hans.ends_with(&["Goodbye.", "left with 0"]);
    yoda.ends_with(&["hans logged out", ">"]);
    yoda.presses("C-d");
    yoda.ends_with(&["Goodbye.", "left with 0"]);
}

#[test]
fn a_question_stands_above_the_row_that_answers_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start("127.0.0.1:0", &folder.path().join("server"), [""; 0]);
    let (hans, yoda) = two_people(folder.path(), &server);
    hans.types("message yoda half ty");
    yoda.enters("startprivate hans");
    hans.ends_with(&["yoda would like to private message, enter y or n:", "> message yoda half ty"]);
    hans.enters("ped");
    yoda.ends_with(&["hans: half typed", ">"]);
    hans.enters("y");
    hans.ends_with(&["> y", "Start private messaging with yoda", ">"]);
    yoda.ends_with(&["hans accepts private messaging", ">"]);
    hans.enters("private yoda hello");
    yoda.ends_with(&["hans(private): hello", ">"]);
    hans.presses("C-d");
    hans.ends_with(&["Goodbye.", "left with 0"]);
    yoda.shows("Private messaging with hans ended: hans logged out");
    yoda.presses("C-d");
    yoda.ends_with(&["Goodbye.", "left with 0"]);
}

#[test]
fn progress_stands_above_the_row_that_is_typed() {
    let folder = tempfile::tempdir().unwrap();
    // So slow that there is time to look.
    let flags = ["--relay-rate", "512K/s"];
    let server = Server::start("127.0.0.1:0", &folder.path().join("server"), flags);
    let downloads = folder.path().join("downloads");
    let arguments = format!("--relay-only --downloads {}", downloads.display());
    let (hans, yoda) = two_people_with(folder.path(), &server, &arguments);
    let file = folder.path().join("large.bin");
    std::fs::write(&file, vec![7; 4 << 20]).unwrap();
    hans.enters(&format!("share {}", file.display()));
    let begin = Instant::now();
    while !hans.screen().iter().any(|line| line.starts_with("Sharing large.bin: 4.0 MiB, 16 chunks, ")) {
        assert!(begin.elapsed() < DEADLINE, "{:#?}", hans.screen());
    }
    yoda.enters("get large.bin");
    yoda.types("message hans half ty");
    // The words of the row change, its place does not.
    let rows = |screen: &[String]| screen.iter().filter(|line| line.starts_with("large.bin  ")).count();
    let begin = Instant::now();
    loop {
        let screen = yoda.screen();
        if let [.., before, row, typed] = &screen[..]
            && row.starts_with("large.bin  ")
            && row.ends_with(" 1 source, relayed")
            && typed == "> message hans half ty"
        {
            assert_eq!((before.as_str(), rows(&screen)), ("> get large.bin", 1), "{screen:#?}");
            break;
        }
        assert!(begin.elapsed() < DEADLINE, "{screen:#?}");
    }
    hans.enters("message yoda what is printed comes above both");
    let begin = Instant::now();
    loop {
        let screen = yoda.screen();
        if screen.iter().any(|line| line.starts_with("hans: what is")) {
            let [.., message, row, typed] = &screen[..] else { panic!("{screen:#?}") };
            assert_eq!(message, "hans: what is printed comes above both");
            assert!(row.starts_with("large.bin  ") && rows(&screen) == 1, "{screen:#?}");
            assert_eq!(typed, "> message hans half ty");
            break;
        }
        assert!(begin.elapsed() < DEADLINE, "{screen:#?}");
    }
    yoda.enters("ped");
    hans.ends_with(&["yoda: half typed", ">"]);
    let begin = Instant::now();
    loop {
        let screen = yoda.screen();
        if let [.., done, typed] = &screen[..]
            && done.starts_with("Downloaded large.bin: 4.0 MiB from 1 peers in ")
        {
            assert_eq!((typed.as_str(), rows(&screen)), (">", 0), "{screen:#?}");
            break;
        }
        assert!(begin.elapsed() < 2 * DEADLINE, "{screen:#?}");
    }
}

#[test]
fn an_invitation_is_seen_while_it_is_typed_and_the_password_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("server");
    let server = Server::start("127.0.0.1:0", &data, ["--registration", "invite"]);
    let mut invite = Command::new(env!("CARGO_BIN_EXE_hobnob"));
    let made = invite.args(["admin", "invite", "--data"]).arg(&data).output().unwrap();
    let made = String::from_utf8(made.stdout).unwrap();
    let code = made.lines().find_map(|line| line.strip_prefix("Code  ")).unwrap();
    let hans = Terminal::open_with(folder.path(), "hans", &server.address, "");
    hans.ends_with(&["Username:"]);
    hans.enters("hans");
    hans.ends_with(&[
        "Username: hans",
        "New users need an invitation here. If you have one, leave the password empty",
        "Password:",
    ]);
    hans.presses("Enter");
    hans.ends_with(&["Invitation:"]);
    hans.types(code);
    let typed = format!("Invitation: {code}");
    hans.ends_with(&[&typed]);
    hans.presses("Enter");
    hans.ends_with(&[&typed, "This is a new user. Enter a password:"]);
    hans.enters("falcon");
    hans.ends_with(&["Welcome to the greatest messaging application ever!", ">"]);
    assert!(!hans.screen().join("\n").contains("falcon"), "{:#?}", hans.screen());
    // What was typed at a prompt is no command to go back to.
    hans.presses("Up");
    hans.types("help");
    hans.ends_with(&["> help"]);
}
