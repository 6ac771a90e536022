//! Those who wait and say nothing, or a byte now and then: each phase has its limit.

use std::{net::SocketAddr, time::Duration};

use hobnob_protocol::{
    CONNECT_PATH,
    close::Close,
    limits::HANDSHAKE_TIMEOUT,
    v1::{Lookup, client_frame::Body as Request, reply::Body as Reply},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, interval, timeout},
};

use crate::{
    client::Client,
    frame::{BINARY, promise},
    net::{Tls, tcp, tls, within},
    pair::Pair,
    server::Server,
};

/// The pace of those who dribble.
const DRIBBLE: Duration = Duration::from_millis(200);
/// What a busy machine adds.
const SLACK: Duration = Duration::from_secs(3);

#[tokio::test]
async fn silent_and_slow_connections_are_closed_within_the_limit_of_their_phase() {
    let server = Server::start(&[]);
    let mut pair = Pair::open(server.address).await;
    let address = server.address;
    tokio::join!(
        closed_in_time("silent before TLS", async { (tcp(address).await, Vec::new()) }),
        closed_in_time("slow within TLS", async { (tcp(address).await, client_hello()) }),
        closed_in_time("silent before HTTP", async { (tls(address).await, Vec::new()) }),
        closed_in_time("slow within HTTP", async { (tls(address).await, request()) }),
        closed_in_time("silent after a request", async { (asked(address).await, Vec::new()) }),
        closed_in_time("slow after a request", async { (asked(address).await, request()) }),
        stays_open(address),
        async {
            let mut turn = interval(Duration::from_secs(1));
            for _ in 0..HANDSHAKE_TIMEOUT.as_secs() {
                turn.tick().await;
                pair.talk().await;
            }
        },
    );
    pair.talk().await;
    drop(pair);
    server.stop();
}

/// Makes a connection and dribbles bytes into it; the server ends it when its time is over, and not before.
async fn closed_in_time<S: AsyncRead + AsyncWrite>(case: &str, begun: impl Future<Output = (S, Vec<u8>)>) {
    let start = Instant::now();
    let (stream, bytes) = begun.await;
    let (mut read, write) = tokio::io::split(stream);
    let drain = async {
        let mut buffer = [0; 1024];
        while read.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    };
    let ended = async {
        tokio::select! {
            () = drain => {}
            () = dribble(write, bytes) => {}
        }
    };
    within("end of a silent connection", ended).await;
    let took = start.elapsed();
    let limit = HANDSHAKE_TIMEOUT - DRIBBLE..HANDSHAKE_TIMEOUT + SLACK;
    assert!(limit.contains(&took), "{case}: closed after {took:?}");
}

/// Writes byte by byte, and then nothing any more, until the connection is gone.
async fn dribble(mut stream: impl AsyncWrite + Unpin, bytes: Vec<u8>) {
    let mut turn = interval(DRIBBLE);
    for byte in bytes {
        turn.tick().await;
        if stream.write_all(&[byte]).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
    std::future::pending().await
}

/// The beginning of a TLS handshake that would take minutes.
fn client_hello() -> Vec<u8> {
    [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[0; 500]].concat()
}

fn request() -> Vec<u8> {
    format!("GET {CONNECT_PATH} HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(500)).into_bytes()
}

/// A connection whose first request was answered.
async fn asked(server: SocketAddr) -> Tls {
    let mut stream = tls(server).await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("it is open");
    let mut answer = Vec::new();
    while !answer.ends_with(b"alive\n") {
        let count = within("answer", stream.read_buf(&mut answer)).await.expect("it is open");
        assert!(count > 0, "{answer:?}");
    }
    stream
}

/// Who has got as far as the WebSocket is a person who types a password: that takes longer, and so may a frame.
async fn stays_open(server: SocketAddr) {
    let mut silent = Client::connect(server).await;
    let mut slow = Client::greeted(server).await;
    slow.raw(&promise(BINARY, 1000)).await;
    let quiet = timeout(HANDSHAKE_TIMEOUT + SLACK / 2, async { tokio::join!(silent.read(), slow.read()) });
    assert!(quiet.await.is_err(), "nothing comes, and no end");
    silent.hello().await;
    let lookup = Lookup { name: "luke".to_owned() };
    assert!(matches!(silent.request(Request::Lookup(lookup)).await, Ok(Reply::Found(_))));
    slow.raw(&[0; 1000]).await;
    // The frame is complete now, if nonsense.
    slow.expect_close(Close::BadFrame, "a frame that took its time").await;
}
