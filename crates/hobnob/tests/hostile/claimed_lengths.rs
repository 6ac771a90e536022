//! Room is made for what has come, not for what is claimed. What is claimed beyond a limit is refused at once, see
//! `websocket.rs`; these claims are within it, or of where there is none.

use std::time::Duration;

use hobnob_protocol::limits::{ANSWER_BYTES_MAX, FRAME_BYTES_MAX};
use tokio::io::AsyncWriteExt;

use crate::{
    client::Client,
    fake::{Fake, Says},
    frame::{BINARY, promise, unmasked},
    net::{rest, tls},
    pair::Pair,
    parser_amplification::doctor,
    server::Server,
};

/// Connections that promise a frame, fewer than one source may have.
const PROMISES: usize = 200;
/// What each may cost for its promise.
const PROMISE_KIB_MAX: u64 = 8;

#[tokio::test]
async fn a_promised_frame_takes_no_memory_before_it_comes() {
    let server = Server::start(&[]);
    let mut pair = Pair::open(server.address).await;
    let mut clients = Vec::new();
    for _ in 0..PROMISES {
        clients.push(Client::greeted(server.address).await);
    }
    let before = server.rss_kib();
    for client in &mut clients {
        client.raw(&promise(BINARY, FRAME_BYTES_MAX as u64)).await;
    }
    let mut grown = 0;
    for _ in 0..20 {
        pair.talk().await;
        grown = server.rss_kib().saturating_sub(before).max(grown);
    }
    println!("{grown} KiB for {PROMISES} promises of {FRAME_BYTES_MAX} bytes");
    assert!(grown < PROMISES as u64 * PROMISE_KIB_MAX, "{grown} KiB for {PROMISES} promises");
    drop((pair, clients));
    server.stop();
}

#[tokio::test]
async fn a_promised_body_is_not_waited_for() {
    let server = Server::start(&[]);
    let mut pair = Pair::open(server.address).await;
    for path in ["/", "/healthz", "/readyz", "/nothing", "/v1/connect", "/relay"] {
        for claim in [
            "Content-Length: 18446744073709551615",
            "Content-Length: 99999999999999999999999999",
            "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
            "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx",
        ] {
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{claim}\r\n\r\nx");
            let mut stream = tls(server.address).await;
            let _ = stream.write_all(request.as_bytes()).await;
            let answer = String::from_utf8_lossy(&rest(&mut stream).await).into_owned();
            assert!(answer.starts_with("HTTP/1.1 "), "{path}, {claim}: {answer:?}");
        }
    }
    pair.talk().await;
    drop(pair);
    server.stop();
}

/// The other way round: what a server claims.
#[tokio::test]
async fn what_a_server_promises_takes_no_memory_of_a_client() {
    let field = |claim: &[u8]| [&[0x0a][..], claim].concat();
    for (case, says) in [
        (
            "the promise of everything",
            Says::Raw(
                unmasked(BINARY, &[]).into_iter().take(1).chain([127, 0x7f]).chain([0xff; 7]).collect(),
            ),
        ),
        ("a field that is longer than its frame", Says::Frame(field(&[0xff, 0xff, 0xff, 0xff, 0x7f]))),
        ("a frame that is too long", Says::Raw(too_long())),
    ] {
        let fake = Fake::start(says).await;
        let (code, said, peak_kib) = doctor(&fake, Duration::from_secs(20)).await;
        assert_eq!(code, 1, "{case}: {said}");
        println!("{case}: {peak_kib} KiB at most");
        assert!(peak_kib < 64 * 1024, "{case}: {peak_kib} KiB");
    }
}

/// A frame of a byte more than a client takes.
fn too_long() -> Vec<u8> {
    unmasked(BINARY, &vec![0; ANSWER_BYTES_MAX + 1])
}
