//! What one connection can hold at most before its login, in whatever it has begun and does not finish.

use hobnob_protocol::{CONNECT_PATH, limits::FRAME_BYTES_MAX};
use tokio::io::AsyncWriteExt;

use crate::{
    client::Client,
    frame::{BINARY, promise},
    net::{self, ELSEWHERE, Tls},
    pair::Pair,
    server::Server,
};

/// A few less than one source may have.
const CONNECTIONS: usize = 240;

enum Begun {
    Tcp(tokio::net::TcpStream),
    Tls(Box<Tls>),
    WebSocket(Box<Client>),
}

/// As far as it goes, and as much of the next step as fits.
async fn begin(server: &Server, phase: &str) -> Begun {
    match phase {
        // A handshake of 64 KiB in records of 16 KiB, of which the last is missing.
        "TLS" => {
            let mut stream = net::tcp_from(server.address, ELSEWHERE, None).await;
            let mut body = vec![1, 0, 0xff, 0xfb];
            body.resize(3 * 16_384, 0);
            for part in body.chunks(16_384) {
                let head = [0x16, 3, 1, (part.len() >> 8) as u8, part.len() as u8];
                // It may have had enough already.
                let _ = stream.write_all(&[&head, part].concat()).await;
            }
            Begun::Tcp(stream)
        }
        "HTTP" => {
            let mut stream = net::tls_over(net::tcp_from(server.address, ELSEWHERE, None).await).await;
            let head =
                format!("GET {CONNECT_PATH} HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(15 * 1024));
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.flush().await;
            Begun::Tls(Box::new(stream))
        }
        _ => {
            let stream = net::tls_over(net::tcp_from(server.address, ELSEWHERE, None).await).await;
            let mut client = Client::over(stream).await;
            client.hello().await;
            if phase == "frame" {
                client.raw(&promise(BINARY, FRAME_BYTES_MAX as u64)).await;
                client.raw(&vec![0; FRAME_BYTES_MAX - 1]).await;
            }
            Begun::WebSocket(Box::new(client))
        }
    }
}

#[tokio::test]
async fn what_was_begun_before_a_login_is_bounded_for_each_connection() {
    for (phase, kib_max) in [("TLS", 96), ("HTTP", 96), ("hello", 64), ("frame", 64 + 2 * 128)] {
        let server = Server::start(&[]);
        let mut pair = Pair::open(server.address).await;
        let before = server.rss_kib();
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            held.push(begin(&server, phase).await);
        }
        let mut grown = 0;
        for _ in 0..10 {
            pair.talk().await;
            grown = server.rss_kib().saturating_sub(before).max(grown);
        }
        println!(
            "{phase}: {grown} KiB for {CONNECTIONS} connections, {} KiB each",
            grown / CONNECTIONS as u64
        );
        assert!(grown < CONNECTIONS as u64 * kib_max, "{phase}: {grown} KiB for {CONNECTIONS} connections");
        for begun in held {
            match begun {
                Begun::Tcp(stream) => drop(stream),
                Begun::Tls(stream) => drop(stream),
                Begun::WebSocket(client) => drop(client),
            }
        }
        pair.talk().await;
        drop(pair);
        server.stop();
    }
}
