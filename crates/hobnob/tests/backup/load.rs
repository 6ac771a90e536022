//! A backup under about a thousand messages a second, a server that is lost afterwards, and the same clients at what was
//! restored: nothing that was acknowledged before the backup is missing, nothing is shown twice, and what the senders
//! still hold arrives.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use hobnob_client::{Answer, Client, Command, Config, Door, Event, Events, Login, Proof, Slot};
use hobnob_protocol::v1::submitted::Outcome;
use tokio::{
    task::JoinSet,
    time::{Instant, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{done, server::Server};

const WRITERS: usize = 20;
/// Each writes every 20 ms: a thousand a second together, as far as the machine allows.
const PERIOD: Duration = Duration::from_millis(20);
/// Messages that one writer has sent without an answer.
const UNANSWERED_MAX: usize = 16;
/// How long anything may take that has to happen.
const DEADLINE: Duration = Duration::from_secs(60);
const FLAGS: [&str; 4] = ["--send-rate", "off", "--inbox-per-sender", "100000"];

/// What was sent, answered and shown, as the clients know it. A text says who sent it to whom as which.
#[derive(Default)]
struct Ledger {
    sent: BTreeMap<(usize, u64), String>,
    accepted: BTreeSet<String>,
    /// In the order shown, by receiver.
    shown: Vec<Vec<String>>,
}

impl Ledger {
    fn unanswered(&self) -> BTreeSet<String> {
        self.sent.values().filter(|text| !self.accepted.contains(*text)).cloned().collect()
    }

    fn count_shown(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for text in self.shown.iter().flatten() {
            *counts.entry(text.as_str()).or_insert(0) += 1;
        }
        counts
    }
}

type Shared = Arc<Mutex<Ledger>>;

/// Waits until something holds of the ledger.
async fn until(ledger: &Shared, what: &str, holds: impl Fn(&Ledger) -> bool) {
    let mut look = interval(Duration::from_millis(10));
    let waiting = async {
        while !holds(&ledger.lock().unwrap()) {
            look.tick().await;
        }
    };
    assert!(timeout(DEADLINE, waiting).await.is_ok(), "not in time: {what}");
}

fn name(writer: usize) -> String {
    // Far enough apart not to look alike.
    format!("writer-{}", char::from(b'a' + u8::try_from(writer).unwrap()))
}

async fn join(address: &str, data: &Path, writer: usize) -> (Client, Events) {
    let config = Config {
        address: address.parse().unwrap(),
        data: data.to_owned(),
        pin: None,
        agent: "backup".to_owned(),
        slot: Slot::Chat,
    };
    let mut door = Door::open(config).await.unwrap();
    match door.login(&name(writer), Proof::Password("secret".to_owned()), true).await.unwrap() {
        Login::In { client, events, .. } => (client, events),
        Login::Refused { reason, text } => panic!("{reason:?} {text}"),
    }
}

async fn write(client: Client, writer: usize, ledger: Shared, stop: CancellationToken) {
    let mut pause = interval(PERIOD);
    let (mut number, mut answered) = (0, 0);
    while !stop.is_cancelled() {
        pause.tick().await;
        let receiver = (writer + 1 + number % (WRITERS - 1)) % WRITERS;
        let text = format!("{writer} {receiver} {number:06}");
        {
            let ledger = ledger.lock().unwrap();
            let of_writer = ledger.sent.range((writer, answered)..(writer + 1, 0));
            answered = of_writer
                .clone()
                .find(|(_, text)| !ledger.accepted.contains(*text))
                .map_or(answered, |(key, _)| key.1);
            let waits = of_writer.filter(|(_, text)| !ledger.accepted.contains(*text)).count();
            if waits >= UNANSWERED_MAX {
                continue;
            }
        }
        let command = Command::Message { to: name(receiver), text: text.clone() };
        let ticket = client.submit(command).await.expect("the session goes on");
        ledger.lock().unwrap().sent.insert((writer, ticket.0), text);
        number += 1;
    }
}

async fn read(client: Client, mut events: Events, reader: usize, ledger: Shared) {
    while let Some(event) = events.next().await {
        match event {
            Event::Answer { command: Command::Message { text, .. }, answer, .. } => {
                let Answer::Submitted { outcome: Outcome::Accepted, .. } = answer else {
                    panic!("{answer:?}")
                };
                assert!(ledger.lock().unwrap().accepted.insert(text), "answered once");
            }
            Event::Message(message) => {
                ledger.lock().unwrap().shown[reader].push(message.text);
                client.shown(message.stream, message.seq);
            }
            Event::Ended(end) => panic!("{} ended: {end:?}", name(reader)),
            _ => {}
        }
    }
}

/// How the server is lost.
#[derive(Clone, Copy, PartialEq)]
enum Loss {
    Stopped,
    Killed,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_and_then_stopped() {
    lose(Loss::Stopped).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_and_then_killed() {
    lose(Loss::Killed).await;
}

async fn lose(loss: Loss) {
    let folder = tempfile::tempdir().unwrap();
    let (here, data, clients) = (folder.path(), folder.path().join("server"), folder.path().join("client"));
    let server = Server::start("127.0.0.1:0", &data, FLAGS);
    let address = server.address.clone();
    let ledger = Shared::new(Mutex::new(Ledger { shown: vec![Vec::new(); WRITERS], ..Ledger::default() }));
    let (stop, mut readers, mut writers) = (CancellationToken::new(), JoinSet::new(), JoinSet::new());
    let mut sessions = Vec::new();
    for writer in 0..WRITERS {
        sessions.push(join(&address, &clients, writer).await);
    }
    let began = Instant::now();
    for (writer, (client, events)) in sessions.into_iter().enumerate() {
        readers.spawn(read(client.clone(), events, writer, ledger.clone()));
        writers.spawn(write(client, writer, ledger.clone(), stop.clone()));
    }
    until(&ledger, "a load", |ledger| ledger.accepted.len() >= 1_000).await;

    let before = ledger.lock().unwrap().accepted.clone();
    let rate = before.len() as f64 / began.elapsed().as_secs_f64();
    let told = blocking(here, &["backup", "--data", "server", "b"]).await;
    until(&ledger, "more load", |ledger| ledger.accepted.len() >= before.len() + 1_000).await;

    tokio::task::spawn_blocking(move || match loss {
        Loss::Stopped => assert!(server.stop().success()),
        Loss::Killed => drop(server),
    })
    .await
    .unwrap();
    let all_write_on = |ledger: &Ledger| ledger.unanswered().len() >= WRITERS * UNANSWERED_MAX / 2;
    until(&ledger, "what the senders hold", all_write_on).await;
    fs::rename(&data, here.join("lost")).unwrap();
    blocking(here, &["restore", "--data", "server", "b"]).await;
    let held = ledger.lock().unwrap().unanswered();

    let moved = data.clone();
    let server = tokio::task::spawn_blocking(move || Server::start(&address, &moved, FLAGS)).await.unwrap();
    stop.cancel();
    writers.join_all().await;
    let settled = |ledger: &Ledger| {
        let counts = ledger.count_shown();
        ledger.unanswered().is_empty()
            && before.iter().chain(&held).all(|text| counts.contains_key(text.as_str()))
    };
    until(&ledger, "an answer to everything, and everything shown", settled).await;
    readers.shutdown().await;
    tokio::task::spawn_blocking(move || assert!(server.stop().success())).await.unwrap();
    assert!(blocking(here, &["verify", "--data", "server"]).await.contains(" is whole: "));

    let ledger = ledger.lock().unwrap();
    check(&ledger, &held, loss);
    let lost = ledger.accepted.len() - ledger.count_shown().len();
    println!("{rate:.0} messages/s; {told}{} before it, {} held, {lost} lost", before.len(), held.len());
}

async fn blocking(folder: &Path, arguments: &'static [&'static str]) -> String {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || done(&folder, arguments)).await.unwrap()
}

fn check(ledger: &Ledger, held: &BTreeSet<String>, loss: Loss) {
    for (text, count) in ledger.count_shown() {
        // Of what was on its way to its sender's answer when the server was killed, nobody who is left knows that it
        // was shown already.
        let may_come_twice = loss == Loss::Killed && held.contains(text);
        assert!(count == 1 || may_come_twice && count == 2, "{text:?} was shown {count} times");
    }
    for (receiver, shown) in ledger.shown.iter().enumerate() {
        let mut last: BTreeMap<&str, &str> = BTreeMap::new();
        for text in shown {
            let mut words = text.split(' ');
            let (from, to, number) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            assert_eq!(to, receiver.to_string());
            let before = last.insert(from, number);
            let again = loss == Loss::Killed && held.contains(text);
            assert!(again || before.is_none_or(|before| before < number), "{text:?} came after {before:?}");
        }
    }
}
