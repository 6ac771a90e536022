//! The relay over real sockets, with iroh's own client: who is let in, for how long, and how much they may send.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "relay/person.rs"]
mod person;
#[path = "relay/world.rs"]
mod world;

use std::{net::SocketAddr, time::Duration};

use futures_util::StreamExt;
use hobnob_server::{
    config::{Policy, RelayPolicy},
    relay::Counts,
    store::AccountId,
};
use iroh_base::PublicKey;
use iroh_relay::quic::QuicClient;
use person::{Person, Running};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
    time::Instant,
};
use world::{Setup, World, connect_plain, gone, in_time, key, receive, send, until};

const HANS: AccountId = AccountId(1);
const YODA: AccountId = AccountId(2);
/// Type, key and congestion bits of a packet.
const PACKET_HEAD: u64 = 34;

fn bytes(key: &iroh_base::SecretKey) -> [u8; PublicKey::LENGTH] {
    *key.public().as_bytes()
}

async fn two_exchange_packets(tls: bool) {
    let world = World::start(Setup { tls, ..Setup::default() }).await;
    let _hans = world.relay.admit(&bytes(&key(1)), HANS);
    let _yoda = world.relay.admit(&bytes(&key(2)), YODA);
    let (mut hans, mut yoda) = (world.connect(&key(1)).await, world.connect(&key(2)).await);
    for size in [1, 1200, 60_000] {
        send(&mut hans, &key(2), size).await;
        let (sender, received) = receive(&mut yoda).await;
        assert_eq!((sender.public(), received), (key(1).public(), size));
        send(&mut yoda, &key(1), size).await;
        assert_eq!(receive(&mut hans).await.1, size);
    }
    let carried = 2 * (1 + 1200 + 60_000 + 3 * PACKET_HEAD);
    let expected =
        Counts { keys: 2, connections: 2, refused: 0, received: carried, sent: carried, dropped: 0 };
    assert_eq!(world.relay.counts(), expected);
    world.stop().await;
}

#[tokio::test]
async fn two_sessions_exchange_packets_and_every_byte_is_counted() {
    two_exchange_packets(true).await;
}

#[tokio::test]
async fn without_tls_too() {
    two_exchange_packets(false).await;
}

#[tokio::test]
async fn a_key_without_a_session_is_refused() {
    let world = World::start(Setup::default()).await;
    let _hans = world.relay.admit(&bytes(&key(1)), HANS);
    let refused = world.try_connect(&key(2)).await.err().unwrap();
    assert!(format!("{refused:?}").contains("no session of this server has this key"), "{refused:?}");
    assert_eq!(world.relay.counts(), Counts { keys: 1, refused: 1, ..Counts::default() });
    // What is no key at all admits nobody.
    let _nobody = (world.relay.admit(b"short", HANS), world.relay.admit(&[0xff; 32], HANS));
    assert!(world.try_connect(&key(2)).await.is_err());
    world.stop().await;
}

#[tokio::test]
async fn the_end_of_a_session_ends_its_connections() {
    let world = World::start(Setup::default()).await;
    let (hans, yoda) = (world.relay.admit(&bytes(&key(1)), HANS), world.relay.admit(&bytes(&key(2)), YODA));
    let mut clients = [world.connect(&key(1)).await, world.connect(&key(1)).await];
    let mut other = world.connect(&key(2)).await;
    hans.end();
    for client in &mut clients {
        gone(client).await;
    }
    assert!(world.try_connect(&key(1)).await.is_err());
    // Others notice nothing.
    send(&mut other, &key(2), 100).await;
    assert_eq!(receive(&mut other).await.1, 100);
    yoda.end();
    assert_eq!(world.relay.counts().keys, 0);
    world.stop().await;
}

#[tokio::test]
async fn a_broken_session_keeps_its_connections_for_the_grace() {
    let grace = Duration::from_millis(1500);
    let world = World::start(Setup { grace, ..Setup::default() }).await;
    let hans = world.relay.admit(&bytes(&key(1)), HANS);
    let mut client = world.connect(&key(1)).await;
    let broke = Instant::now();
    drop(hans);
    send(&mut client, &key(1), 100).await;
    assert_eq!(receive(&mut client).await.1, 100);
    gone(&mut client).await;
    assert!(broke.elapsed() >= grace);
    until(|| world.relay.counts().keys == 0).await;
    assert!(world.try_connect(&key(1)).await.is_err());
    world.stop().await;
}

#[tokio::test]
async fn a_session_that_is_back_in_time_keeps_them() {
    let world = World::start(Setup { grace: Duration::from_millis(500), ..Setup::default() }).await;
    let first = world.relay.admit(&bytes(&key(1)), HANS);
    let mut client = world.connect(&key(1)).await;
    drop(first);
    let back = world.relay.admit(&bytes(&key(1)), HANS);
    // Another grace, which begins later, is over: so would be the first.
    drop(world.relay.admit(&bytes(&key(2)), YODA));
    until(|| world.relay.counts().keys == 1).await;
    send(&mut client, &key(1), 100).await;
    assert_eq!(receive(&mut client).await.1, 100);
    back.end();
    gone(&mut client).await;
    world.stop().await;
}

#[tokio::test]
async fn of_two_sessions_with_one_key_the_last_ends_its_connections() {
    let world = World::start(Setup::default()).await;
    let (first, second) =
        (world.relay.admit(&bytes(&key(1)), HANS), world.relay.admit(&bytes(&key(1)), HANS));
    let mut client = world.connect(&key(1)).await;
    first.end();
    send(&mut client, &key(1), 100).await;
    assert_eq!(receive(&mut client).await.1, 100);
    second.end();
    gone(&mut client).await;
    world.stop().await;
}

#[tokio::test]
async fn a_key_has_few_connections_and_the_oldest_makes_room() {
    let world = World::start(Setup::default()).await;
    let _hans = world.relay.admit(&bytes(&key(1)), HANS);
    let mut oldest = world.connect(&key(1)).await;
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(world.connect(&key(1)).await);
    }
    gone(&mut oldest).await;
    let newest = others.last_mut().unwrap();
    send(newest, &key(1), 100).await;
    assert_eq!(receive(newest).await.1, 100);
    world.stop().await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_holds_up_nobody_and_goes() {
    let world = World::start(Setup::default()).await;
    let _hans = world.relay.admit(&bytes(&key(1)), HANS);
    let yoda = world.relay.admit(&bytes(&key(2)), YODA);
    let (mut hans, mut yoda_client) = (world.connect(&key(1)).await, world.connect(&key(2)).await);
    // More than the system and the relay together hold for it.
    for _ in 0..600 {
        send(&mut hans, &key(2), 60_000).await;
    }
    send(&mut hans, &key(1), 100).await;
    assert_eq!(receive(&mut hans).await.1, 100);
    assert!(world.relay.counts().sent < 600 * 60_000);
    yoda.end();
    gone(&mut yoda_client).await;
    world.stop().await;
}

#[tokio::test]
async fn a_user_over_the_limit_is_slowed_down_and_loses_nothing() {
    const RATE: u32 = 256 * 1024;
    const PACKETS: usize = 10;
    const PACKET: usize = 32 * 1024;
    let world = World::start(Setup { rate: Some(RATE), ..Setup::default() }).await;
    // One user on two devices shares one limit; who receives has another.
    let _hans = (world.relay.admit(&bytes(&key(1)), HANS), world.relay.admit(&bytes(&key(2)), HANS));
    let _yoda = world.relay.admit(&bytes(&key(3)), YODA);
    let clients = [world.connect(&key(1)).await, world.connect(&key(2)).await];
    let mut yoda = world.connect(&key(3)).await;
    let start = Instant::now();
    let mut sending = JoinSet::new();
    for mut client in clients {
        sending.spawn(async move {
            for _ in 0..PACKETS {
                send(&mut client, &key(3), PACKET).await;
            }
            client
        });
    }
    for _ in 0..2 * PACKETS {
        assert_eq!(receive(&mut yoda).await.1, PACKET);
        // The burst, and for each connection a packet that is read on credit.
        let received = world.relay.counts().received as f64;
        let slack = f64::from(RATE) / 4.0 + 2.0 * PACKET as f64 + 4096.0;
        assert!(received <= f64::from(RATE) * start.elapsed().as_secs_f64() + slack, "{received}");
    }
    sending.join_all().await;
    world.stop().await;
}

#[tokio::test]
async fn what_is_no_relay_client_gets_nowhere() {
    let world = World::start(Setup { tls: false, ..Setup::default() }).await;
    let upgrade = "Host: hobnob\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let protocol = "Sec-WebSocket-Protocol: other, iroh-relay-v1 ,iroh-relay-v2\r\n";
    for (case, head, status) in [
        ("ping", "GET /ping HTTP/1.1\r\nHost: hobnob\r\n".to_owned(), "200"),
        ("no upgrade", "GET /relay HTTP/1.1\r\nHost: hobnob\r\n".to_owned(), "426"),
        ("no version", format!("GET /relay HTTP/1.1\r\n{upgrade}"), "400"),
        (
            "unknown version",
            format!("GET /relay HTTP/1.1\r\n{upgrade}Sec-WebSocket-Protocol: iroh-relay-v9\r\n"),
            "400",
        ),
        ("no key", format!("GET /relay HTTP/1.1\r\n{}{protocol}", upgrade.replace("Key", "Lock")), "426"),
        ("not GET", format!("POST /relay HTTP/1.1\r\n{upgrade}{protocol}"), "404"),
        (
            "bad proof",
            format!("GET /relay HTTP/1.1\r\n{upgrade}{protocol}X-Iroh-Relay-Client-Auth-V1: !\r\n"),
            "101",
        ),
    ] {
        let (_, answer) = world.ask(&format!("{head}\r\n"), "\r\n\r\n").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{case}: {answer}");
    }
    // Garbage instead of the proof, as a WebSocket message that says nothing, and as none.
    for garbage in [
        &[0x82, 0x84, 0, 0, 0, 0, 1, 2, 3, 4][..],
        &[0xff; 64],
        &[0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let request = format!("GET /relay HTTP/1.1\r\n{upgrade}{protocol}\r\n");
        let (mut stream, answer) = world.ask(&request, "\r\n\r\n").await;
        assert!(
            answer.contains("101 ") && answer.to_lowercase().contains("protocol: iroh-relay-v2\r\n"),
            "{answer}"
        );
        stream.write_all(garbage).await.unwrap();
        let _ = in_time(stream.read_to_end(&mut Vec::new())).await;
    }
    assert_eq!(world.relay.counts(), Counts::default());
    world.stop().await;
}

#[tokio::test]
async fn those_that_prove_nothing_make_room_for_others() {
    let world = World::start(Setup { tls: false, ..Setup::default() }).await;
    let request = "GET /relay HTTP/1.1\r\nHost: hobnob\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   Sec-WebSocket-Protocol: iroh-relay-v2\r\n\r\n";
    let (mut first, _) = world.ask(request, "\r\n\r\n").await;
    let mut silent = Vec::new();
    for _ in 0..256 {
        silent.push(world.ask(request, "\r\n\r\n").await.0);
    }
    let _ = in_time(first.read_to_end(&mut Vec::new())).await;
    // One whose key is admitted comes through all the same.
    let _hans = world.relay.admit(&bytes(&key(1)), HANS);
    drop(world.connect(&key(1)).await);
    world.stop().await;
}

async fn discover(world: &World) -> SocketAddr {
    let local = noq::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let client = QuicClient::new(local.clone(), world.client_tls.clone());
    let connection = in_time(client.create_conn(world.address, "127.0.0.1")).await.unwrap();
    let observed = in_time(connection.observed_external_addr().next()).await.unwrap();
    assert_eq!(observed, local.local_addr().unwrap());
    observed
}

#[tokio::test]
async fn a_client_learns_its_address() {
    for tls in [true, false] {
        let world = World::start(Setup { tls, ..Setup::default() }).await;
        assert_eq!(world.relay.discovery_port(), world.address.port());
        assert_ne!(discover(&world).await, discover(&world).await);
        world.stop().await;
    }
}

#[tokio::test]
async fn where_the_udp_port_is_taken_the_relay_works_without_discovery() {
    let (listener, _taken) = loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(taken) = UdpSocket::bind(listener.local_addr().unwrap()).await {
            break (listener, taken);
        }
    };
    let world = World::on(listener, Setup::default());
    assert_eq!(world.relay.discovery_port(), 0);
    let _hans = world.relay.admit(&bytes(&key(1)), HANS);
    drop(world.connect(&key(1)).await);
    world.stop().await;
}

#[tokio::test]
async fn stopping_ends_every_connection_soon() {
    let world = World::start(Setup::default()).await;
    let hans = world.relay.admit(&bytes(&key(1)), HANS);
    let mut client = world.connect(&key(1)).await;
    let _silent = TcpStream::connect(world.address).await.unwrap();
    let (relay, start) = (world.relay.clone(), Instant::now());
    world.stop().await;
    assert!(start.elapsed() < Duration::from_secs(4));
    gone(&mut client).await;
    // What sessions still do with it comes to nothing.
    hans.end();
    relay.admit(&bytes(&key(1)), HANS).end();
}

/// The status of the answer to `GET path`.
async fn status(server: &Running, path: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: hobnob\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    in_time(stream.read_to_string(&mut answer)).await.unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn a_server_has_a_relay_unless_told_otherwise() {
    let server = Running::start(Some(RelayPolicy::default()), Policy::default()).await;
    assert_eq!(
        (status(&server, "/relay").await, status(&server, "/ping").await),
        ("426".into(), "200".into())
    );
    let relay = Person::greet(server.address).await.greeting.relay.unwrap();
    assert_eq!(relay.discovery_port, u32::from(server.address.port()));
    server.stop().await;

    let server = Running::start(None, Policy::default()).await;
    assert_eq!(
        (status(&server, "/relay").await, status(&server, "/ping").await),
        ("404".into(), "404".into())
    );
    assert_eq!(Person::greet(server.address).await.greeting.relay, None);
    server.stop().await;
}

#[tokio::test]
async fn the_relay_follows_the_sessions_of_its_server() {
    let policy = Policy { grace: Duration::from_millis(1500), ..Policy::default() };
    let server = Running::start(Some(RelayPolicy::default()), policy).await;
    let connect = |seed| in_time(connect_plain(server.address, key(seed)));
    assert!(connect(1).await.is_err());
    let (mut hans, mut yoda) = (Person::greet(server.address).await, Person::greet(server.address).await);
    hans.register("hans", &key(1)).await;
    yoda.register("yoda", &key(2)).await;
    let (mut first, mut second) = (connect(1).await.unwrap(), connect(2).await.unwrap());
    send(&mut first, &key(2), 100).await;
    assert_eq!(receive(&mut second).await.1, 100);
    // One logs out, the other's connection breaks.
    hans.log_out().await;
    gone(&mut first).await;
    assert!(connect(1).await.is_err());
    let broke = Instant::now();
    drop(yoda);
    gone(&mut second).await;
    assert!(broke.elapsed() >= Duration::from_millis(1500));
    server.stop().await;
}
