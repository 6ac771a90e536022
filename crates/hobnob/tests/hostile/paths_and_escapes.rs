//! Nothing that others say reaches a terminal or a log as it is, and no name leads out of a folder: against a server that
//! puts escapes into every name and every text that it sends. That the function in between lets nothing through is a
//! property test of `hobnob_protocol::text`; hostile names of files are in `tests/files/names.rs`,
//! `tests/oneshot_files/hostile.rs` and `crates/peer/src/file/name.rs`.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use hobnob_protocol::v1::{Refused, login_refused::Reason, refused, reply::Body as Reply};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::{
    client::Client,
    fake::{Fake, Says, reply},
    server::Server,
};

/// Clears the screen, sets a title, colours, turns the direction, hides, goes back to the beginning of the line, and says
/// something in the name of others on a line of its own.
const NASTY: &str = "\u{1b}[2Jx\u{1b}]0;t\u{7}\u{9b}31m\u{202e}\u{2066}\u{200b}\u{2028}\rError. forged\nyoda: forged\n/../../etc/x";
const DEADLINE: Duration = Duration::from_secs(30);

/// Whether a terminal or a reader of a log would be misled by it.
fn is_harmless(said: &str) -> bool {
    let steers = |c: char| {
        c.is_control() && c != '\n' && c != '\t'
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}' | '\u{2028}' | '\u{2029}')
    };
    !said.contains(steers)
        && !said.lines().any(|line| line.starts_with("Error. forged") || line.starts_with("yoda: "))
}

/// Runs a command to its end, with this on its standard input; what it says on both its outputs. One that fetches waits for
/// sources for ever, and is interrupted when it has said something.
async fn run(home: &Path, arguments: &[&str], input: &str) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
    command.env_clear().env("HOME", home).env("HOBNOB_PASSWORD", "secret").current_dir(home).args(arguments);
    let (out, log) = (home.join("out"), home.join("log"));
    command.stdout(fs::File::create(&out).expect("a file")).stderr(fs::File::create(&log).expect("a file"));
    let mut child = command.stdin(Stdio::piped()).spawn().expect("it starts");
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input.as_bytes());
    }
    let begun = Instant::now();
    let said = || {
        let both = [fs::read(&out), fs::read(&log)].map(|bytes| bytes.expect("a file")).concat();
        String::from_utf8(both).expect("UTF-8")
    };
    loop {
        if let Some(status) = child.try_wait().expect("it is ours") {
            return (status.code().unwrap_or(-1), said());
        }
        if arguments[0] == "get" && said().contains("forged") {
            kill_process(Pid::from_child(&child), Signal::INT).expect("it is ours");
        }
        if begun.elapsed() > DEADLINE {
            child.kill().and_then(|()| child.wait()).expect("it is ours");
            panic!("{arguments:?} does not end; it says\n{}", said());
        }
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn no_word_of_a_hostile_server_steers_the_terminal_of_a_chat() {
    let fake = Fake::start(Says::Everything { text: NASTY.to_owned(), kicks: false }).await;
    let home = tempfile::tempdir().expect("a folder");
    let server = format!("ws://{}", fake.address);
    let data = home.path().join("data").display().to_string();
    let commands = "refused\nsecret\nhans\nsecret\nwhoelse\nwhoelsesince 60\nblocks\nmessage yoda 1\nmessage yoda 2\n\
        message yoda 3\nbroadcast 4\nblock yoda\nunblock yoda\nstartprivate yoda\nprivate yoda hi\npath yoda\n\
        verify yoda\nfiles\nsearchFile a\nsearchChunk a 1\nshares\ndownloads\nn\nlogout\n";
    let (code, said) = run(home.path(), &["chat", &server, "--data", &data], commands).await;
    assert!(said.contains("forged"), "what the server says is shown: {said:?}");
    assert!(is_harmless(&said), "{said:?}");
    assert!(said.contains("Goodbye.") && code == 0, "{code}: {said:?}");
    // Nor has a folder been made of a name.
    for folder in [home.path().parent().expect("a folder"), Path::new("/")] {
        assert!(!folder.join("etc/x").exists());
    }
}

#[tokio::test]
async fn no_word_of_a_hostile_server_steers_the_terminal_of_a_command() {
    let fake = Fake::start(Says::Everything { text: NASTY.to_owned(), kicks: true }).await;
    let server = format!("ws://{}", fake.address);
    let mut shown = 0;
    for arguments in [
        &["tail"][..],
        &["tail", "--json"],
        &["send", "yoda", "hi"],
        &["files"],
        &["files", "--json"],
        &["get", "a"],
        &["get", "a", "--json"],
        &["doctor", &server],
    ] {
        let home = tempfile::tempdir().expect("a folder");
        let data = home.path().join("data").display().to_string();
        let mut all: Vec<&str> = arguments.to_vec();
        if arguments[0] != "doctor" {
            all.extend(["--server", &server, "--user", "hans"]);
        }
        all.extend(["--data", &data]);
        let (_, said) = run(home.path(), &all, "").await;
        assert!(is_harmless(&said), "{arguments:?}: {said:?}");
        shown += usize::from(said.contains("forged"));
    }
    assert!(shown >= 4, "what the server says is shown");
}

/// A refusal in the server's own words, before anybody has logged in.
#[tokio::test]
async fn no_refusal_of_a_hostile_server_steers_a_terminal() {
    let refused = Refused { reason: refused::Reason::Internal as i32, text: NASTY.to_owned() };
    let fake = Fake::start(reply(Reply::Refused(refused))).await;
    let server = format!("ws://{}", fake.address);
    for arguments in [
        &["chat", &server][..],
        &["doctor", &server],
        &["send", "yoda", "hi", "--user", "hans", "--server", &server],
        &["tail", "--json", "--user", "hans", "--server", &server],
        &["files", "--user", "hans", "--server", &server],
    ] {
        let home = tempfile::tempdir().expect("a folder");
        let data = home.path().join("data").display().to_string();
        let (code, said) = run(home.path(), &[arguments, &["--data", &data]].concat(), "").await;
        assert!(is_harmless(&said), "{arguments:?}: {said:?}");
        assert!(said.contains("forged") && code == 1, "{arguments:?}: {code} {said:?}");
    }
}

/// What strangers and users say to a server is in its log and before its keeper without what steers.
#[tokio::test]
async fn nothing_that_is_said_to_a_server_steers_a_log_or_the_keeper() {
    let server = Server::start(&["--log", "debug"]);
    let (mut hans, _) = Client::registered(server.address, "hans").await;
    for name in [NASTY, "a\u{1b}[2Jb", "\nFATAL forged", "hans\u{202e}", "x\u{9b}31m"] {
        let mut stranger = Client::greeted(server.address).await;
        let refused = stranger.log_in(name, "guess", false).await;
        assert_eq!(refused.err(), Some(Reason::WrongPassword), "{name:?}");
        let refused = stranger.log_in(name, "guess", true).await;
        assert!(refused.is_err(), "{name:?}");
        let lookup = hobnob_protocol::v1::Lookup { name: name.to_owned() };
        let _ = stranger.request(hobnob_protocol::v1::client_frame::Body::Lookup(lookup)).await;
        for (code, said, warned) in [
            server.command(&["admin", "unlock", name]),
            server.command(&["admin", "add", name, "--generate"]),
            server.command(&["admin", "rename", "hans", name]),
            server.command(&["admin", "kick", name, "--json"]),
        ] {
            assert_ne!(code, 0, "{name:?}");
            assert!(is_harmless(&said) && is_harmless(&warned), "{said:?} {warned:?}");
        }
    }
    let said = hans.submit(1, crate::client::message("hans\u{1b}[2J", NASTY)).await;
    assert!(is_harmless(&said.user));
    for arguments in
        [&["admin", "users"][..], &["admin", "sessions"], &["admin", "status"], &["admin", "users", "--json"]]
    {
        let (code, said, warned) = server.command(arguments);
        assert!(code == 0 && is_harmless(&said) && is_harmless(&warned), "{said:?} {warned:?}");
    }
    let log = server.log();
    assert!(log.contains("refused") && is_harmless(&log), "{log:?}");
    assert!(!log.lines().any(|line| line.starts_with("FATAL forged") || line.is_empty()), "{log:?}");
    drop(hans);
    server.stop();
}
