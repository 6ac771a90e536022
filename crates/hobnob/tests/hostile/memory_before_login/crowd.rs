//! Ten thousand connections that never log in.

use std::{collections::VecDeque, net::SocketAddr};

use hobnob_protocol::{close::Close, v1::submitted::Outcome};
use tokio::net::TcpStream;

use crate::{
    client::{Client, message},
    net::{self, ELSEWHERE, rest, tcp},
    pair::Pair,
    server::Server,
};

const CONNECTIONS: usize = 10_000;
/// One in so many gets as far as a WebSocket; the first ones all do.
const WEBSOCKET_EVERY: usize = 14;
/// After so many the server holds what it will ever hold.
const FULL: usize = 300;
/// Connections of one source that the server keeps without a login.
const KEPT: usize = 256;
/// How far the server may be from the order of connecting, since it works on several at once.
const ABOUT: usize = 32;
/// Connections that the attacker holds, more than the server does.
const HELD: usize = 512;
/// How far the server's memory may grow beyond what it was with the first ones.
const GROWN_KIB_MAX: u64 = 12 * 1024;

enum Silent {
    Tcp(TcpStream),
    WebSocket(Box<Client>),
}

impl Silent {
    async fn connect(server: SocketAddr, number: usize) -> Self {
        if number < FULL || number.is_multiple_of(WEBSOCKET_EVERY) {
            Self::WebSocket(Box::new(Client::connect(server).await))
        } else {
            Self::Tcp(tcp(server).await)
        }
    }

    /// Fails if the server does not end it.
    async fn ended(self, number: usize) {
        match self {
            Self::Tcp(mut stream) => assert!(rest(&mut stream).await.is_empty()),
            Self::WebSocket(mut client) => client.expect_close(Close::TooMany, &number.to_string()).await,
        }
    }
}

#[tokio::test]
async fn ten_thousand_connections_that_never_log_in_leave_memory_flat_and_others_alone() {
    let server = Server::start(&[]);
    let mut pair = Pair::open(server.address).await;
    let mut held = VecDeque::new();
    let (mut full, mut logins, mut open_files) = (0, 0, 0);
    for number in 0..CONNECTIONS {
        held.push_back((number, Silent::connect(server.address, number).await));
        if held.len() > HELD {
            let (number, oldest) = held.pop_front().unwrap();
            oldest.ended(number).await;
        }
        if number == FULL {
            full = server.rss_kib();
        }
        if number % 1000 == FULL {
            pair.talk().await;
            open_files = open_files.max(server.open_files());
        }
        if number == CONNECTIONS / 2 {
            // Hashing a password takes memory, which is not the crowd's.
            let before = server.rss_kib();
            somebody_else_logs_in(server.address).await;
            logins = server.rss_kib().saturating_sub(before);
        }
    }
    let grown = server.rss_kib().saturating_sub(full + logins);
    println!("{CONNECTIONS} connections: {grown} KiB more than with the first {FULL}");
    assert!(grown < GROWN_KIB_MAX, "{grown} KiB more than with the first {FULL}, which took {full} KiB");
    assert!(open_files < KEPT + HELD, "{open_files} open files");
    only_the_last_stay(&server, held).await;
    let _ = Client::registered(server.address, "luke").await;
    pair.talk().await;
    drop(pair);
    server.stop();
}

/// From another address, while all that happens.
async fn somebody_else_logs_in(server: SocketAddr) {
    let stream = net::tls_over(net::tcp_from(server, ELSEWHERE, None).await).await;
    let mut leia = Client::over(stream).await;
    leia.hello().await;
    leia.log_in("leia", "secret", true).await.expect("the name is new");
    assert_eq!(leia.submit(1, message("hans", "Help me!")).await.outcome(), Outcome::Accepted);
}

/// The oldest are gone, the last ones can still log in.
async fn only_the_last_stay(server: &Server, mut held: VecDeque<(usize, Silent)>) {
    let kept = held.split_off(held.len() - (KEPT - ABOUT));
    held.truncate(held.len() - 2 * ABOUT);
    for (number, silent) in held {
        silent.ended(number).await;
    }
    let open_files = server.open_files();
    assert!(open_files < KEPT + 64, "{open_files} open files");
    for (_, silent) in kept {
        if let Silent::WebSocket(mut client) = silent {
            client.hello().await;
        }
    }
}
