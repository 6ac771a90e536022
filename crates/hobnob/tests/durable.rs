//! The promise itself, seen from the outside: the disk has a message before anyone hears that it was accepted.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;

use std::{fs, process::Command as Process};

use hobnob_client::{Answer, Command, Config, Door, Event, Login, Proof, Slot};
use hobnob_protocol::v1::submitted::Outcome;
use server::Server;

const MARK: &str = "the-text-that-is-looked-for";

/// A line of the trace that matters.
#[derive(Debug, PartialEq)]
enum Step {
    /// The text was written to the write-ahead log.
    Written,
    /// The write-ahead log was synced.
    Synced,
    /// Something was sent to a client.
    Answered,
}

fn step(line: &str) -> Option<Step> {
    let log = line.contains("hobnob.db-wal");
    if log && line.contains("pwrite64(") && line.contains(MARK) {
        Some(Step::Written)
    } else if line.contains("fdatasync resumed>")
        || log && line.contains("fdatasync(") && line.ends_with("= 0")
    {
        Some(Step::Synced)
    } else if line.contains("TCP:[")
        && ["sendto(", "write(", "writev(", "sendmsg("].iter().any(|call| line.contains(call))
    {
        Some(Step::Answered)
    } else {
        None
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_synced_before_the_answer_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let mut strace = Process::new("strace");
    strace.args([
        "-f",
        "-yy",
        "-s",
        "70000",
        "-e",
        "trace=pwrite64,fdatasync,sendto,write,writev,sendmsg",
        "-o",
    ]);
    strace.arg(&trace).arg(env!("CARGO_BIN_EXE_hobnob"));
    let server = Server::start_by(strace, "127.0.0.1:0", &folder.path().join("server"), ["--tls", "off"]);
    let config = Config {
        address: format!("ws://{}", server.address).parse().unwrap(),
        data: folder.path().join("client"),
        pin: None,
        agent: "durable".to_owned(),
        slot: Slot::Chat,
    };
    let mut sessions = Vec::new();
    for name in ["hans", "yoda"] {
        let mut door = Door::open(config.clone()).await.unwrap();
        let login = door.login(name, Proof::Password("secret".to_owned()), true).await.unwrap();
        let Login::In { client, events, .. } = login else { panic!("{login:?}") };
        sessions.push((client, events));
    }
    let (hans, events) = &mut sessions[0];
    hans.submit(Command::Message { to: "yoda".to_owned(), text: MARK.to_owned() }).await.unwrap();
    loop {
        match events.next().await {
            Some(Event::Answer { answer: Answer::Submitted { outcome, .. }, .. }) => {
                break assert_eq!(outcome, Outcome::Accepted);
            }
            Some(_) => {}
            None => panic!("no answer"),
        }
    }
    drop(sessions);
    // The tracer writes its last lines when the server has ended.
    assert!(server.stop().success());
    let trace = fs::read(&trace).unwrap();
    let steps: Vec<_> = String::from_utf8_lossy(&trace).lines().filter_map(step).collect();
    let written =
        steps.iter().position(|step| *step == Step::Written).expect("the text was written to the log");
    assert_eq!(steps[written + 1..][..2], [Step::Synced, Step::Answered], "{steps:?}");
}
