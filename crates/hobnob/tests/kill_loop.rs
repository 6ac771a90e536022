//! `kill -9` at random moments, over and over, under many writers: nothing that was acknowledged is lost, nothing is
//! shown twice, and the order of each sender holds.
//!
//! Runs 50 kills by default. For longer: `HOBNOB_KILL_SECONDS=3600 cargo test --release --test kill_loop`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use hobnob_client::{Answer, Client, Command, Config, Door, Event, Events, Login, Proof, Slot};
use hobnob_protocol::v1::submitted::Outcome;
use server::Server;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

const WRITERS: usize = 20;
const KILLS: usize = 50;
/// Lines that one writer has typed without an answer.
const UNANSWERED_MAX: usize = 16;
/// How long everything may take to arrive once the killing is over.
const SETTLE: Duration = Duration::from_secs(90);

/// What was sent, answered and shown, as the clients know it.
#[derive(Default)]
struct Ledger {
    /// By ticket of the sender: receiver and text.
    sent: Vec<BTreeMap<u64, (usize, String)>>,
    answers: usize,
    /// Accepted texts by (sender, receiver), in the order of the answers.
    accepted: BTreeMap<(usize, usize), Vec<String>>,
    /// Shown texts by (sender, receiver), in the order shown.
    shown: BTreeMap<(usize, usize), Vec<String>>,
}

impl Ledger {
    fn settled(&self) -> bool {
        let sent: usize = self.sent.iter().map(BTreeMap::len).sum();
        let count = |texts: &BTreeMap<_, Vec<String>>| texts.values().map(Vec::len).sum::<usize>();
        self.answers == sent && count(&self.accepted) <= count(&self.shown)
    }
}

/// A small generator (Marsaglia's xorshift64), so that a run can be repeated as far as the machine allows.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
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
        agent: "kill loop".to_owned(),
        slot: Slot::Chat,
    };
    let mut door = Door::open(config).await.unwrap();
    match door.login(&name(writer), Proof::Password("secret".to_owned()), true).await.unwrap() {
        Login::In { client, events, .. } => (client, events),
        Login::Refused { reason, text } => panic!("{reason:?} {text}"),
    }
}

async fn write(client: Client, writer: usize, ledger: Arc<Mutex<Ledger>>, stop: CancellationToken) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (writer as u64 + 1));
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    for number in 0.. {
        if stop.is_cancelled() {
            return;
        }
        pause.tick().await;
        let receiver = (writer + 1 + random.below(WRITERS as u64 - 1) as usize) % WRITERS;
        let text = format!("{writer} {number}");
        let waits = {
            let ledger = ledger.lock().unwrap();
            ledger.sent[writer].len()
                - ledger
                    .accepted
                    .iter()
                    .filter(|((from, _), _)| *from == writer)
                    .map(|(_, texts)| texts.len())
                    .sum::<usize>()
        };
        if waits >= UNANSWERED_MAX {
            continue;
        }
        let command = Command::Message { to: name(receiver), text: text.clone() };
        let Ok(ticket) = client.submit(command).await else { panic!("{} is over", name(writer)) };
        ledger.lock().unwrap().sent[writer].insert(ticket.0, (receiver, text));
    }
}

async fn read(client: Client, mut events: Events, reader: usize, ledger: Arc<Mutex<Ledger>>) {
    while let Some(event) = events.next().await {
        match event {
            Event::Answer { ticket: Some(ticket), answer, .. } => {
                answered(&ledger, reader, ticket.0, answer).await
            }
            Event::Message(message) => {
                let sender = (0..WRITERS).find(|writer| name(*writer) == message.sender).unwrap();
                ledger.lock().unwrap().shown.entry((sender, reader)).or_default().push(message.text);
                client.shown(message.stream, message.seq);
            }
            Event::Ended(end) => panic!("{} ended: {end:?}", name(reader)),
            _ => {}
        }
    }
}

async fn answered(ledger: &Mutex<Ledger>, writer: usize, ticket: u64, answer: Answer) {
    let Answer::Submitted { outcome: Outcome::Accepted, .. } = answer else { panic!("{answer:?}") };
    // The answer may be here before the writer has noted its ticket.
    loop {
        {
            let mut ledger = ledger.lock().unwrap();
            if let Some((receiver, text)) = ledger.sent[writer].get(&ticket).cloned() {
                ledger.answers += 1;
                ledger.accepted.entry((writer, receiver)).or_default().push(text);
                return;
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Kills and restarts; the time is the chaos here, nothing waits for it.
async fn kill_again_and_again(mut server: Server, data: &Path, seed: u64) -> (Server, usize) {
    let mut random = Random(seed | 1);
    let seconds = std::env::var("HOBNOB_KILL_SECONDS").ok().and_then(|text| text.parse::<u64>().ok());
    let (begin, mut kills) = (Instant::now(), 0);
    loop {
        let done = match seconds {
            Some(seconds) => begin.elapsed() >= Duration::from_secs(seconds),
            None => kills >= KILLS,
        };
        if done {
            return (server, kills);
        }
        sleep(Duration::from_millis(20 + random.below(900))).await;
        server.kill();
        kills += 1;
        let address = server.address.clone();
        let data = data.to_owned();
        server = tokio::task::spawn_blocking(move || Server::start(&address, &data, FLAGS)).await.unwrap();
    }
}

const FLAGS: [&str; 4] = ["--send-rate", "off", "--inbox-per-sender", "100000"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_is_shown_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (server_data, client_data) = (folder.path().join("server"), folder.path().join("client"));
    let server = Server::start("127.0.0.1:0", &server_data, FLAGS);
    let ledger = Arc::new(Mutex::new(Ledger { sent: vec![BTreeMap::new(); WRITERS], ..Ledger::default() }));
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let mut sessions = Vec::new();
    for writer in 0..WRITERS {
        sessions.push(join(&server.address, &client_data, writer).await);
    }
    let mut writers = JoinSet::new();
    for (writer, (client, events)) in sessions.into_iter().enumerate() {
        tasks.spawn(read(client.clone(), events, writer, ledger.clone()));
        writers.spawn(write(client, writer, ledger.clone(), stop.clone()));
    }
    let seed = std::process::id().into();
    let (server, kills) = kill_again_and_again(server, &server_data, seed).await;
    stop.cancel();
    writers.join_all().await;
    let settle = async {
        let mut look = tokio::time::interval(Duration::from_millis(50));
        while !ledger.lock().unwrap().settled() {
            look.tick().await;
        }
    };
    let settled = timeout(SETTLE, settle).await.is_ok();
    tasks.shutdown().await;
    check(&ledger.lock().unwrap(), kills, seed);
    assert!(settled, "not everything was answered and shown in time, seed {seed}");
    assert!(server.stop().success());
}

fn check(ledger: &Ledger, kills: usize, seed: u64) {
    let sent: usize = ledger.sent.iter().map(BTreeMap::len).sum();
    let shown: usize = ledger.shown.values().map(Vec::len).sum();
    println!("{kills} kills, seed {seed}: {sent} sent, {} acknowledged, {shown} shown", ledger.answers);
    assert!(sent > kills, "the writers wrote");
    for (pair, accepted) in &ledger.accepted {
        let none = Vec::new();
        let shown = ledger.shown.get(pair).unwrap_or(&none);
        // Same texts, same order, each once: loss, doubling and disorder all show as a difference.
        let same = accepted.iter().zip(shown).take_while(|(left, right)| left == right).count();
        assert!(
            same == accepted.len() && shown.len() == accepted.len(),
            "seed {seed}, from {} to {}: accepted {:?} but shown {:?}",
            pair.0,
            pair.1,
            &accepted[same..],
            &shown[same..],
        );
    }
}
