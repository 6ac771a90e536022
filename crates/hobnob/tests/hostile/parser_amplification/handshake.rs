//! Before the protocol begins: what is no TLS, no HTTP, or no request for a WebSocket.

use std::fmt::Write;

use hobnob_protocol::CONNECT_PATH;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    frame::Chance,
    net::{rest, tcp, tls},
    pair::Pair,
    server::Server,
};

#[tokio::test]
async fn what_is_no_tls_is_turned_away() {
    let server = Server::start(&[]);
    let mut pair = Pair::open(server.address).await;
    let cases: [(&str, Vec<u8>); 6] = [
        ("random", Chance(1).bytes(4096)),
        ("zeros", vec![0; 4096]),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("a record of 65535 bytes", [&[0x16, 3, 1, 0xff, 0xff][..], &[0; 65_535]].concat()),
        ("a handshake that is none", [&[0x16, 3, 1, 0x10, 0][..], &[0xaa; 4096]].concat()),
        ("application data first", [&[0x17, 3, 3, 0, 16][..], &[0; 16]].concat()),
    ];
    for (case, bytes) in cases {
        let mut stream = tcp(server.address).await;
        // The server may be gone before all is written.
        let _ = stream.write_all(&bytes).await;
        let answer = rest(&mut stream).await;
        // An alert at most: nothing in plain text, above all no HTTP.
        assert!(answer.len() < 16 && answer.first().is_none_or(|byte| *byte == 0x15), "{case}: {answer:?}");
    }
    pair.talk().await;
    end_within_the_handshake(server.address).await;
    pair.talk().await;
    drop(pair);
    server.stop();
}

/// Half a handshake, and the client's end of the connection closed.
async fn end_within_the_handshake(server: std::net::SocketAddr) {
    let mut stream: TcpStream = tcp(server).await;
    stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).await.expect("it is open");
    stream.shutdown().await.expect("it is open");
    rest(&mut stream).await;
}

#[tokio::test]
async fn what_is_no_request_for_a_websocket_is_told_so() {
    let server = Server::start(&[]);
    let mut pair = Pair::open(server.address).await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    let connect = |headers: &str| format!("GET {CONNECT_PATH} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    let cases: [(&str, String, &str); 11] = [
        ("no HTTP", "so what?\r\n\r\n".to_owned(), "400"),
        ("HTTP 2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), ""),
        ("a long header", connect(&format!("X: {}\r\n", "x".repeat(64 * 1024))), "431"),
        ("many headers", connect(&many_headers(1000)), "431"),
        ("a long path", format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(64 * 1024)), "4"),
        ("an unknown path", "GET /v9 HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), "404"),
        ("no upgrade", connect("Connection: close\r\n"), "426"),
        ("no key", connect(&format!("{upgrade}Connection: close\r\n")), "426"),
        ("an old version", connect(&upgrade.replace("13", "8")).replace("\r\n\r\n", KEY_AND_CLOSE), "426"),
        ("a body that never comes", promise_of_a_body(), "404"),
        ("a control character", connect("X: \x00\r\n"), "400"),
    ];
    for (case, request, status) in cases {
        // Who speaks another version could not read an answer.
        let expected = if status.is_empty() { String::new() } else { format!("HTTP/1.1 {status}") };
        let mut stream = tls(server.address).await;
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.flush().await;
        let answer = rest(&mut stream).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(&expected), "{case}: {answer:?}");
    }
    pair.talk().await;
    drop(pair);
    server.stop();
}

const KEY_AND_CLOSE: &str = "\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: close\r\n\r\n";

fn many_headers(count: usize) -> String {
    (0..count).fold(String::new(), |mut headers, number| {
        let _ = write!(headers, "X-{number}: x\r\n");
        headers
    })
}

/// Answered without waiting for it.
fn promise_of_a_body() -> String {
    "POST / HTTP/1.1\r\nContent-Length: 1000000000\r\nConnection: close\r\n\r\nx".to_owned()
}
