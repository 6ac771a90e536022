//! docs/PROTOCOL.md says what the code does: its tables and its bytes are compared.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use hobnob_protocol::close::Close;
use hobnob_protocol::codec::encode;
use hobnob_protocol::v1::{self, client_frame, reply, server_frame};
use hobnob_protocol::{TICKET_DOMAIN, device_challenge, limits};
use ring::signature::{Ed25519KeyPair, KeyPair};

const DOCUMENT: &str = include_str!("../../../docs/PROTOCOL.md");

#[test]
fn close_codes() {
    for close in Close::ALL {
        let again = if close.may_reconnect() { "yes" } else { "no" };
        let row = format!("| {} | {} | {again} |", close.code(), close.reason());
        assert!(DOCUMENT.contains(&row), "{row}");
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}

#[test]
fn limits_of_both_sides() {
    for (limit, value) in [
        ("text of a message", format!("{} bytes of UTF-8", limits::TEXT_BYTES_MAX)),
        ("frame after login", format!("{} bytes", limits::FRAME_BYTES_MAX)),
        ("outcomes kept of an outbox", limits::OUTCOMES_KEPT.to_string()),
        ("frame from the server", format!("{} bytes", limits::ANSWER_BYTES_MAX)),
        ("frame before login", format!("{} bytes", limits::LOGIN_FRAME_BYTES_MAX)),
        ("frames before login", limits::LOGIN_FRAMES_MAX.to_string()),
        ("time before login", format!("{} s", limits::LOGIN_TIMEOUT.as_secs())),
        ("TLS handshake, first HTTP request", format!("{} s", limits::HANDSHAKE_TIMEOUT.as_secs())),
        ("name", format!("{} characters", limits::NAME_CHARS_MAX)),
        ("password", format!("{} characters", limits::PASSWORD_CHARS_MAX)),
        ("unanswered submits", limits::IN_FLIGHT_MAX.to_string()),
        ("server pings every", format!("{} s", limits::PING_PERIOD.as_secs())),
        ("pong expected within", format!("{} s", limits::PONG_TIMEOUT.as_secs())),
        ("silence after which a client reconnects", format!("{} s", limits::SILENCE_MAX.as_secs())),
        ("broken session counts as online for", format!("{} s", limits::GRACE.as_secs())),
        ("token lives after its last use", format!("{} days", limits::TOKEN_LIFETIME.as_secs() / 86_400)),
        ("entries before `Received` is due", limits::RECEIVED_ENTRIES.to_string()),
        ("time before `Received` is due", format!("{} ms", limits::RECEIVED_DELAY.as_millis())),
        ("time without progress in writing to a client", format!("{} s", limits::WRITE_TIMEOUT.as_secs())),
        ("a request for private talk waits for", seconds(limits::INVITE_LIFETIME)),
        ("time for a first connection after consent", seconds(limits::INTRODUCTION_LIFETIME)),
        ("an introduction is told again for", seconds(2 * limits::INTRODUCTION_LIFETIME)),
        ("requests of one session that wait", limits::INVITES_OUT_MAX.to_string()),
        ("requests to one user that wait", limits::INVITES_IN_MAX.to_string()),
        ("addresses in a contact", limits::CONTACT_ADDRESSES_MAX.to_string()),
        ("frame between peers", format!("{} bytes", limits::TALK_FRAME_BYTES_MAX)),
        ("silence after which a link between peers is lost", seconds(limits::LINK_SILENCE_MAX)),
        ("an interrupted talk goes on within", seconds(limits::TALK_RETURN_MAX)),
        ("unacknowledged texts of one talk", limits::TALK_UNACKED_MAX.to_string()),
        ("name of a file", format!("{} bytes", limits::FILE_NAME_BYTES_MAX)),
        ("chunks of a file", limits::FILE_CHUNKS_MAX.to_string()),
        ("smallest chunk", format!("{} bytes", limits::FILE_CHUNK_BYTES_MIN)),
        ("files that one session holds", limits::FILES_HELD_MAX.to_string()),
        ("sources in an answer", limits::SOURCES_MAX.to_string()),
        ("a ticket is good for", format!("{} h", limits::TICKET_LIFETIME.as_secs() / 3600)),
    ] {
        let row = format!("| {limit} | {value} |");
        assert!(DOCUMENT.contains(&row), "{row}");
    }
}

#[test]
fn every_answer_is_explained() {
    let outcomes = (1..100).filter_map(|n| Some(v1::submitted::Outcome::try_from(n).ok()?.as_str_name()));
    let logins = (1..100).filter_map(|n| Some(v1::login_refused::Reason::try_from(n).ok()?.as_str_name()));
    let refusals = (1..100).filter_map(|n| Some(v1::refused::Reason::try_from(n).ok()?.as_str_name()));
    for name in outcomes.chain(logins).chain(refusals) {
        assert!(DOCUMENT.contains(&format!("`{name}`")), "{name}");
    }
}

/// The rows of the table whose first column has this title: the name at the beginning of each.
fn names_in_table(title: &str) -> Vec<&'static str> {
    let (_, table) = DOCUMENT.split_once(&format!("\n| {title} |")).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('`').nth(1).unwrap()).collect()
}

#[test]
fn everything_about_private_talk_is_explained() {
    let outcomes = (1..100).filter_map(|n| Some(v1::invited::Outcome::try_from(n).ok()?.as_str_name()));
    assert_eq!(names_in_table("`Invited.outcome`"), outcomes.collect::<Vec<_>>());
    let ends = (1..100).filter_map(|n| Some(v1::invite_ended::Reason::try_from(n).ok()?.as_str_name()));
    assert_eq!(names_in_table("`InviteEnded.reason`"), ends.collect::<Vec<_>>());
    // Here zero is a reason, and the one to take an unknown one for.
    let byes = (0..100).filter_map(|n| Some(v1::talk_bye::Reason::try_from(n).ok()?.as_str_name()));
    assert_eq!(names_in_table("`TalkBye.reason`"), byes.collect::<Vec<_>>());
}

#[test]
fn everything_about_files_is_explained() {
    let whys = (1..100).filter_map(|n| Some(v1::file_refused::Why::try_from(n).ok()?.as_str_name()));
    assert_eq!(names_in_table("`FileRefused.why`"), whys.collect::<Vec<_>>());
    assert_eq!(limits::FILE_BYTES_MAX, 1 << 62);
    let domain = str::from_utf8(TICKET_DOMAIN.strip_suffix(b"\0").unwrap()).unwrap();
    assert!(DOCUMENT.contains(&format!("\n\"{domain}\" 0x00\nticket\n")), "{domain}");
}

#[test]
fn bytes_of_the_example() {
    let written = hex_blocks();
    let expected = example();
    assert_eq!(written.len(), expected.len(), "{:?}", written.keys());
    let mut wrong = String::new();
    for (title, bytes) in expected {
        if written.get(title).is_none_or(|block| *block != bytes) {
            writeln!(wrong, "```hex {title}\n{}\n```", hex(&bytes)).unwrap();
        }
    }
    assert!(wrong.is_empty(), "these blocks should read:\n{wrong}");
}

/// The fenced blocks marked `hex`, by their titles; what follows `#` in a line is for the reader.
fn hex_blocks() -> BTreeMap<&'static str, Vec<u8>> {
    let blocks = DOCUMENT.split("\n```hex ").skip(1).map(|rest| {
        let (title, rest) = rest.split_once('\n').unwrap();
        let (block, _) = rest.split_once("```").unwrap();
        let digits = block.lines().flat_map(|line| line.split('#').next().unwrap().split_whitespace());
        (title, digits.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect())
    });
    blocks.collect()
}

fn hex(bytes: &[u8]) -> String {
    let lines = bytes
        .chunks(24)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}

/// So many bytes that count up.
fn counting(from: u8, length: u8) -> Bytes {
    (from..from + length).collect()
}

fn example() -> Vec<(&'static str, Vec<u8>)> {
    let (nonce, server_key) = (counting(0x20, 32), counting(0x40, 32));
    let challenge = device_challenge(&nonce, "hans", &server_key);
    let hello = v1::Hello { version: 1, features: Vec::new(), agent: "example/1".into() };
    let greeting = v1::Greeting { version: 1, features: Vec::new(), nonce, server_key, relay: None };
    let entry = v1::Entry {
        stream: v1::Stream::Inbox as i32,
        seq: 5,
        sender: "Yoda".into(),
        text: "Here, are you?".into(),
        sent_ms: 1_700_000_000_000,
    };
    let submitted = v1::Submitted {
        outcome: v1::submitted::Outcome::Accepted as i32,
        user: "Yoda".into(),
        ..v1::Submitted::default()
    };
    vec![
        ("hello", client(1, client_frame::Body::Hello(hello))),
        ("greeting", answer(1, reply::Body::Greeting(greeting))),
        ("challenge", challenge.clone()),
        ("login", client(2, client_frame::Body::Login(login(&challenge)))),
        ("opened", answer(2, reply::Body::Opened(opened()))),
        ("entry", server(server_frame::Body::Entry(entry))),
        ("received", client(0, client_frame::Body::Received(v1::Received { inbox: 5, broadcast: 17 }))),
        ("submit", client(3, client_frame::Body::Submit(submit()))),
        ("submitted", answer(3, reply::Body::Submitted(submitted))),
    ]
}

fn client(id: u64, body: client_frame::Body) -> Vec<u8> {
    encode(&v1::ClientFrame { id, body: Some(body) }).into()
}

fn server(body: server_frame::Body) -> Vec<u8> {
    encode(&v1::ServerFrame { body: Some(body) }).into()
}

fn answer(id: u64, body: reply::Body) -> Vec<u8> {
    server(server_frame::Body::Reply(v1::Reply { id, body: Some(body) }))
}

fn login(challenge: &[u8]) -> v1::Login {
    let device = Ed25519KeyPair::from_seed_unchecked(&counting(0, 32)).unwrap();
    let device = v1::Device {
        key: Bytes::copy_from_slice(device.public_key().as_ref()),
        signature: Bytes::copy_from_slice(device.sign(challenge).as_ref()),
        outbox: counting(0x60, 16),
    };
    v1::Login {
        name: "hans".into(),
        proof: Some(v1::login::Proof::Password("secret".into())),
        device: Some(device),
        ..v1::Login::default()
    }
}

fn opened() -> v1::Opened {
    v1::Opened {
        name: "Hans".into(),
        token: counting(0x80, 32),
        welcome: "Welcome!".into(),
        failed_logins: 0,
        epoch: counting(0xa0, 16),
        inbox: 4,
        broadcast: 17,
        inbox_head: 5,
        outbox_last: 0,
        limits: Some(v1::Limits {
            send_rate: 50,
            send_burst: 200,
            broadcast_rate: 1,
            broadcast_burst: 10,
            in_flight: 32,
        }),
        ticket_key: counting(0xc0, 32),
    }
}

fn submit() -> v1::Submit {
    let message = v1::DirectMessage { to: "yoda".into(), text: "I am.".into() };
    v1::Submit { number: 1, op: Some(v1::submit::Op::Message(message)) }
}
