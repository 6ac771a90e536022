//! WebSocket frames that nobody should send, before a login and in a session.

use hobnob_protocol::{
    close::Close,
    codec,
    limits::{FRAME_BYTES_MAX, LOGIN_FRAME_BYTES_MAX, TEXT_BYTES_MAX},
    v1::{
        ClientFrame, Hello, Lookup, Opened, WhoElse, client_frame::Body as Request, reply::Body as Reply,
        server_frame::Body as Event, submitted::Outcome,
    },
};

use crate::{
    client::{Client, message, submit},
    frame::{BINARY, CLOSE, MORE, PING, TEXT, fragments, frame, promise, unmasked},
    pair::Pair,
    server::Server,
};

type Case = (&'static str, Vec<u8>, Close);

/// What is wrong at any time.
fn wrong() -> Vec<Case> {
    let bad = |case, bytes| (case, bytes, Close::BadFrame);
    let large = |case, bytes| (case, bytes, Close::TooLarge);
    vec![
        bad("a text message", frame(TEXT, b"hello")),
        bad("a text that is no text", frame(TEXT, &[0xff, 0xfe])),
        bad("an unmasked frame", unmasked(BINARY, &hello(1))),
        bad("a reserved bit", frame(BINARY | 0x40, &hello(1))),
        bad("all reserved bits", frame(BINARY | 0x70, &hello(1))),
        bad("an unknown kind of data", frame(0x83, &hello(1))),
        bad("an unknown control frame", frame(0x8b, &[])),
        bad("a continuation of nothing", frame(0x80, &hello(1))),
        bad("a message within a message", [frame(BINARY & MORE, b"x"), frame(BINARY, b"x")].concat()),
        bad("a ping in parts", frame(PING & MORE, b"x")),
        bad("a ping of 126 bytes", frame(PING, &[0; 126])),
        bad("a close of one byte", frame(CLOSE, &[3])),
        bad("a close with a reason that is no text", frame(CLOSE, &[3, 0xe8, 0xff, 0xfe])),
        bad("an empty message", frame(BINARY, &[])),
        bad("an endless varint", frame(BINARY, &[0xff; 64])),
        bad("a length beyond the end", frame(BINARY, &[0x08, 0x01, 0x12, 0xff, 0xff, 0xff, 0x7f])),
        bad("an agent that is no text", frame(BINARY, &[0x08, 0x01, 0x12, 0x04, 0x1a, 0x02, 0xff, 0xfe])),
        large("a message of a byte too many", frame(BINARY, &vec![0; FRAME_BYTES_MAX + 1])),
        large("a message of a mebibyte", frame(BINARY, &vec![0; 1 << 20])),
        large("the promise of a gibibyte", promise(BINARY, 1 << 30)),
        large("the promise of everything", promise(BINARY, i64::MAX as u64)),
        large("the promise of more than everything", promise(BINARY, u64::MAX)),
        large("parts that are too much together", fragments(&vec![0; FRAME_BYTES_MAX + 1], 4096)),
    ]
}

fn hello(version: u32) -> Vec<u8> {
    encoded(1, Request::Hello(Hello { version, ..Hello::default() }))
}

fn lookup(id: u64) -> Vec<u8> {
    encoded(id, Request::Lookup(Lookup { name: "hans".to_owned(), ..Lookup::default() }))
}

fn encoded(id: u64, body: Request) -> Vec<u8> {
    codec::encode(&ClientFrame { id, body: Some(body) }).to_vec()
}

#[tokio::test]
async fn bad_frames_before_a_login_close_the_connection_with_a_reason() {
    let server = Server::start(&[]);
    let mut pair = Pair::open(server.address).await;
    let mut cases = wrong();
    cases.extend([
        ("an unknown version", frame(BINARY, &hello(99)), Close::UnsupportedVersion),
        ("a lookup before hello", frame(BINARY, &lookup(1)), Close::BadFrame),
        ("too much for a login", frame(BINARY, &vec![0; LOGIN_FRAME_BYTES_MAX + 1]), Close::TooLarge),
        ("the same in parts", fragments(&vec![0; LOGIN_FRAME_BYTES_MAX + 1], 999), Close::TooLarge),
        ("hello a second time, id too", frame(BINARY, &hello(1)).repeat(2), Close::BadFrame),
        ("talk without an end", [frame(BINARY, &hello(1)), lookups(40)].concat(), Close::LoginTimeout),
    ]);
    for (case, bytes, expected) in cases {
        let mut client = Client::connect(server.address).await;
        client.raw(&bytes).await;
        client.expect_close(expected, case).await;
    }
    pair.talk().await;
    drop(pair);
    server.stop();
}

fn lookups(count: u64) -> Vec<u8> {
    (2..2 + count).flat_map(|id| frame(BINARY, &lookup(id))).collect()
}

#[tokio::test]
async fn bad_frames_in_a_session_close_its_connection_and_it_can_be_resumed() {
    let server = Server::start(&["--send-rate", "off"]);
    let mut pair = Pair::open(server.address).await;
    let (mut luke, session) = Client::registered(server.address, "luke").await;
    let mut cases = wrong();
    cases.extend([
        ("an id that was used", frame(BINARY, &lookup(2)), Close::BadFrame),
        (
            "a request without an id",
            frame(BINARY, &encoded(0, Request::WhoElse(WhoElse {}))),
            Close::BadFrame,
        ),
    ]);
    for (case, bytes, expected) in cases {
        luke.raw(&bytes).await;
        luke.expect_close(expected, case).await;
        luke = Client::resumed(server.address, &session, 0).await;
    }
    pair.talk().await;
    odd_but_allowed(&mut luke, &session).await;
    pair.talk().await;
    drop((pair, luke));
    server.stop();
}

/// Parts, pings between them, and the largest frames.
async fn odd_but_allowed(luke: &mut Client, session: &Opened) {
    let text = "x".repeat(TEXT_BYTES_MAX);
    let sent = encoded(10, submit(1, message("hans", &text)));
    let mut parts = frame(PING, b"between");
    parts.extend(frame(BINARY & MORE, &sent[..1]));
    parts.extend(frame(PING, &[0; 125]));
    parts.extend(frame(0x80 & MORE, &[]));
    parts.extend(frame(0x80, &sent[1..]));
    luke.raw(&parts).await;
    let Ok(Reply::Submitted(submitted)) = luke.reply(10).await else { panic!("no outcome") };
    assert_eq!((submitted.outcome(), &*submitted.user), (Outcome::Accepted, "hans"), "{session:?}");
    let long = encoded(11, submit(2, message("hans", &"x".repeat(FRAME_BYTES_MAX - 30))));
    assert!((FRAME_BYTES_MAX - 30..=FRAME_BYTES_MAX).contains(&long.len()));
    luke.raw(&fragments(&long, 1)).await;
    let Ok(Reply::Submitted(submitted)) = luke.reply(11).await else { panic!("no outcome") };
    assert_eq!(submitted.outcome(), Outcome::TooLong);
}

/// A reset would come before the reason, and take it away on some systems.
#[tokio::test]
async fn who_is_still_writing_when_the_connection_is_closed_is_not_cut_off_before_the_reason() {
    let server = Server::start(&[]);
    let mut pair = Pair::open(server.address).await;
    for _ in 0..10 {
        let mut client = Client::connect(server.address).await;
        let wrote = client.try_raw(&frame(BINARY, &vec![0; 1 << 20])).await;
        client.expect_close(Close::TooLarge, "a message of a mebibyte").await;
        assert!(wrote.is_ok(), "{wrote:?}");
    }
    pair.talk().await;
    drop(pair);
    server.stop();
}

#[tokio::test]
async fn a_good_bye_is_answered() {
    let server = Server::start(&[]);
    let mut pair = Pair::open(server.address).await;
    let (mut luke, _) = Client::registered(server.address, "luke").await;
    luke.raw(&frame(CLOSE, &1000_u16.to_be_bytes())).await;
    assert_eq!(luke.closed().await, Some(1000), "in a session");
    let mut stranger = Client::connect(server.address).await;
    stranger.raw(&frame(CLOSE, &1000_u16.to_be_bytes())).await;
    assert_eq!(stranger.closed().await, Some(1000), "before a login");
    pair.talk().await;
    drop(pair);
    server.stop();
}

/// Pings that nobody waits for the answers to.
const PINGS: usize = 40_000;
/// What may be held for one connection, and what an allocator adds.
const PING_KIB_MAX: u64 = 4 * 1024;

#[tokio::test]
async fn a_flood_of_pings_costs_others_nothing() {
    let server = Server::start(&[]);
    let mut pair = Pair::open(server.address).await;
    flood(&server, Client::greeted(server.address).await, &mut pair).await;
    let (luke, _) = Client::registered(server.address, "luke").await;
    flood(&server, luke, &mut pair).await;
    drop(pair);
    server.stop();
}

/// The connection itself goes on, too.
async fn flood(server: &Server, mut client: Client, pair: &mut Pair) {
    let before = server.rss_kib();
    let pings = frame(PING, &[b'x'; 125]).repeat(PINGS / 8);
    for _ in 0..8 {
        client.raw(&pings).await;
        pair.talk().await;
    }
    let grown = server.rss_kib().saturating_sub(before);
    assert!(grown < PING_KIB_MAX, "{grown} KiB for unread pongs");
    let last = encoded(1000, Request::Lookup(Lookup { name: "hans".to_owned(), ..Lookup::default() }));
    client.raw(&frame(BINARY, &last)).await;
    loop {
        match client.read().await {
            Ok(Event::Reply(reply)) if reply.id == 1000 => break,
            Ok(_) => {}
            Err(closed) => panic!("closed: {closed:?}"),
        }
    }
}
