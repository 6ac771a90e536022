//! HTTP that asks for much with little: bodies without an end, headers without an end, requests without an end, and
//! compression.

use std::time::Duration;

use hobnob_protocol::CONNECT_PATH;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::{
    net::{DEADLINE, rest, tls, within},
    pair::Pair,
    server::Server,
};

const GROWN_KIB_MAX: u64 = 4 * 1024;
/// Written at most before the server has to have had enough.
const FLOOD_BYTES: usize = 64 << 20;

/// A request whose body never ends: it is answered, and then its connection ends.
#[tokio::test]
async fn a_body_without_an_end_is_not_read() {
    let server = Server::start(&[]);
    let mut pair = Pair::open(server.address).await;
    let before = server.rss_kib();
    for path in ["/healthz", "/readyz", "/", CONNECT_PATH, "/nothing"] {
        let mut stream = tls(server.address).await;
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("it is open");
        let chunk = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
        let written = flood(&mut stream, &chunk).await;
        assert!(written < FLOOD_BYTES, "{path}: the server reads a body of {written} bytes");
        pair.talk().await;
    }
    let grown = server.rss_kib().saturating_sub(before);
    assert!(grown < GROWN_KIB_MAX, "{grown} KiB");
    drop(pair);
    server.stop();
}

/// Headers that go on and on.
#[tokio::test]
async fn headers_without_an_end_are_cut_off() {
    let server = Server::start(&[]);
    let mut pair = Pair::open(server.address).await;
    let before = server.rss_kib();
    for line in [&b"X: x\r\n"[..], b"Cookie: ", b"\r\n", b" ", b"GET / HTTP/1.1\r\nA: "] {
        let mut stream = tls(server.address).await;
        let request = format!("GET {CONNECT_PATH} HTTP/1.1\r\nHost: localhost\r\nX: ");
        stream.write_all(request.as_bytes()).await.expect("it is open");
        let written = flood(&mut stream, &line.repeat(1 + 1024 / line.len())).await;
        assert!(written < FLOOD_BYTES, "{line:?}: the server reads {written} bytes");
        pair.talk().await;
    }
    let grown = server.rss_kib().saturating_sub(before);
    assert!(grown < GROWN_KIB_MAX, "{grown} KiB");
    drop(pair);
    server.stop();
}

/// Writes until the server has had enough, and reads nothing meanwhile; how much it took.
async fn flood(stream: &mut crate::net::Tls, bytes: &[u8]) -> usize {
    let mut written = 0;
    let write = async {
        while written < FLOOD_BYTES && stream.write_all(bytes).await.is_ok() {
            written += bytes.len();
        }
    };
    // Where it neither reads nor ends the connection it has not had more than fits on the way.
    let _ = timeout(DEADLINE, write).await;
    written
}

/// Many requests at once on one connection, whose answers nobody reads.
#[tokio::test]
async fn requests_in_a_row_are_answered_one_by_one() {
    let server = Server::start(&[]);
    let mut pair = Pair::open(server.address).await;
    let before = server.rss_kib();
    let requests = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = tls(server.address).await;
        // It takes what fits, and no more while its answers are not read.
        let _ =
            timeout(Duration::from_millis(200), async { while stream.write_all(&requests).await.is_ok() {} })
                .await;
        streams.push(stream);
        pair.talk().await;
    }
    let grown = server.rss_kib().saturating_sub(before);
    println!("{grown} KiB for 20 connections full of requests");
    assert!(grown < 2 * GROWN_KIB_MAX, "{grown} KiB");
    drop((pair, streams));
    server.stop();
}

/// Whoever offers compression gets none, and no other extension.
#[tokio::test]
async fn compression_is_not_agreed_to() {
    let server = Server::start(&[]);
    let mut stream = tls(server.address).await;
    let request = format!(
        "GET {CONNECT_PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-webkit-deflate-frame\r\n\
         Accept-Encoding: gzip, br, zstd\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("it is open");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let count = within("an answer", stream.read_buf(&mut answer)).await.expect("it is open");
        assert!(count > 0, "{answer:?}");
    }
    let answer = String::from_utf8(answer).expect("text").to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    assert!(!answer.contains("sec-websocket-extensions") && !answer.contains("encoding"), "{answer}");
    // A compressed message: what it would have been is of no interest.
    stream.write_all(&crate::frame::frame(0xc2, b"\x00\x00\x00\xff\xff")).await.expect("it is open");
    let close = rest(&mut stream).await;
    assert!(close.starts_with(&[0x88]) && close.get(2..4) == Some(&4001_u16.to_be_bytes()[..]), "{close:?}");
    server.stop();
}
