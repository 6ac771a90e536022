//! A server behind a proxy: by itself, and behind nginx with the configuration that `deploy` has.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod nginx;

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use support::World;
use tokio::time::Instant;

/// Connections without a login that one source may have.
const CONNECTIONS_MAX: usize = 256;

/// A WebSocket as a proxy passes it on for `source`, on which nobody has said anything yet.
fn connect(world: &World, source: &str) -> TcpStream {
    let mut stream = TcpStream::connect(world.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let request = format!(
        "GET /v1/connect HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Forwarded-For: {source}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&answer));
        answer.extend(byte);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    stream
}

/// Waits until the server has said that this one has to go.
fn is_closed(stream: &mut TcpStream) {
    stream.set_nonblocking(false).unwrap();
    let mut byte = [0];
    assert_eq!(stream.read(&mut byte).unwrap(), 1);
    // A close frame of WebSocket.
    assert_eq!(byte, [0x88]);
}

fn is_open(stream: &mut TcpStream) {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0]);
    assert!(matches!(&read, Err(error) if error.kind() == ErrorKind::WouldBlock), "{read:?}");
}

#[test]
fn a_trusted_proxys_clients_are_counted_one_by_one() {
    let world = World::with(&["--tls", "off", "--trusted-proxy", "127.0.0.1"]);
    let mut other = connect(&world, "203.0.113.8");
    let mut crowd: Vec<_> = (0..CONNECTIONS_MAX).map(|_| connect(&world, "6.6.6.6, 203.0.113.7")).collect();
    is_open(&mut crowd[0]);
    crowd.push(connect(&world, "6.6.6.7, 203.0.113.7"));
    is_closed(&mut crowd[0]);
    is_open(&mut other);
}

#[test]
fn a_connection_that_has_to_go_is_logged_with_whom_it_is_for() {
    let world = World::with(&["--tls", "off", "--trusted-proxy", "127.0.0.1"]);
    let mut first = TcpStream::connect(world.address()).unwrap();
    first.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    first.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n").unwrap();
    // It is counted when it is answered, and stays in HTTP.
    assert_eq!(first.read(&mut [0]).unwrap(), 1);
    let _crowd: Vec<_> = (0..CONNECTIONS_MAX).map(|_| connect(&world, "203.0.113.7")).collect();
    let ended = first.read_to_end(&mut Vec::new());
    assert!(ended.is_ok() || ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    let log = || fs::read_to_string(world.path("server.log")).unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while !log().contains("event=connection-refused from=203.0.113.7 reason=too-many") {
        assert!(Instant::now() < end, "{}", log());
        std::thread::yield_now();
    }
}

#[test]
fn what_others_say_of_where_they_come_from_is_not_believed() {
    for arguments in [&["--tls", "off"][..], &["--tls", "off", "--trusted-proxy", "192.0.2.1"]] {
        let world = World::with(arguments);
        let mut first = connect(&world, "203.0.113.8");
        let _crowd: Vec<_> = (0..CONNECTIONS_MAX).map(|n| connect(&world, &format!("10.0.0.{n}"))).collect();
        is_closed(&mut first);
    }
}
