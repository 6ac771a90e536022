//! A client that does not read: what it is sent waits on disk, and it gets all of it once it reads.

use std::{collections::VecDeque, net::SocketAddr};

use hobnob_protocol::{
    close::Close,
    v1::{Opened, reply::Body as Reply, server_frame::Body as Event, submitted::Outcome},
};

use crate::{
    client::{Client, message, submit},
    net::{self, HERE},
    pair::Pair,
    server::Server,
};

const MESSAGES: u64 = 256;
const TEXT_BYTES: usize = 60_000;
/// Submits without an answer.
const IN_FLIGHT: u64 = 16;
/// What the server may hold for the one that does not read, beyond what the same messages cost it otherwise.
const HELD_KIB_MAX: u64 = 5 * 1024;

#[tokio::test]
async fn what_a_client_does_not_read_waits_on_disk_and_comes_without_a_hole() {
    let server =
        Server::start(&["--send-rate", "off", "--inbox-per-sender", "10000", "--inbox-bytes", "1GiB"]);
    let mut pair = Pair::open(server.address).await;
    let (mut sender, _) = Client::registered(server.address, "sender").await;
    let (mut quick, session) = Client::registered(server.address, "quick").await;
    // What the database keeps in memory of new messages is the same for both.
    let before = server.rss_kib();
    tokio::join!(send_all(&mut sender, "quick", 1), read_all(server.address, &mut quick, &session));
    let usual = server.rss_kib().saturating_sub(before);

    let stream = net::tls_over(net::tcp_from(server.address, HERE, Some(4096)).await).await;
    let mut slow = Client::over(stream).await;
    slow.hello().await;
    let session = slow.log_in("slow", "secret", true).await.unwrap();
    let before = server.rss_kib();
    send_all(&mut sender, "slow", MESSAGES + 1).await;
    pair.talk().await;
    let grown = server.rss_kib().saturating_sub(before);
    assert!(grown < usual + HELD_KIB_MAX, "{grown} KiB for unread messages, {usual} KiB for read ones");

    read_all(server.address, &mut slow, &session).await;
    pair.talk().await;
    drop((pair, sender, quick, slow));
    server.stop();
}

/// A text that tells its number and is far from short.
fn text(number: u64) -> String {
    format!("{number:0TEXT_BYTES$}")
}

/// All messages to one user, under the numbers from `first` on.
async fn send_all(sender: &mut Client, to: &str, first: u64) {
    let mut ids = VecDeque::new();
    for number in 1..=MESSAGES {
        ids.push_back(sender.ask(submit(first + number - 1, message(to, &text(number)))).await);
        if number >= IN_FLIGHT {
            accepted(sender, ids.pop_front()).await;
        }
    }
    while !ids.is_empty() {
        accepted(sender, ids.pop_front()).await;
    }
}

async fn accepted(sender: &mut Client, id: Option<u64>) {
    match sender.reply(id.expect("something is under way")).await {
        Ok(Reply::Submitted(submitted)) => assert_eq!(submitted.outcome(), Outcome::Accepted),
        other => panic!("an unexpected answer to submit: {other:?}"),
    }
}

/// Reads all messages in order, resuming where the server gave up waiting.
async fn read_all(server: SocketAddr, client: &mut Client, session: &Opened) {
    let mut cursor = 0;
    while cursor < MESSAGES {
        match client.event().await {
            Ok(Event::Entry(entry)) => {
                assert_eq!(entry.seq, cursor + 1, "a hole or a repeat");
                assert!(entry.text == text(entry.seq), "another text under {}", entry.seq);
                cursor = entry.seq;
            }
            Ok(Event::Presence(_)) => {}
            Err(closed) => {
                assert_eq!(closed, Some(Close::SlowConsumer.code()));
                *client = Client::resumed(server, session, cursor).await;
            }
            other => panic!("{other:?}"),
        }
    }
}
