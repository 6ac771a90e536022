//! That the routers are what they are meant to be, by plain sockets: what holds for these holds for the program.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use crate::{
    capture::{Capture, carries},
    internet::{Internet, PUBLIC, Router, SERVER},
};

/// How long to wait for a packet on wires that lose none.
const PATIENCE: Duration = Duration::from_millis(300);
/// How often each side knocks.
const KNOCKS: usize = 5;

/// Two homes send to each other's public address as the server sees it; whether both hear something.
fn punch(internet: &Internet) -> bool {
    let bind = |namespace: &crate::namespace::Namespace, address: &str| {
        let socket = namespace.inside(|| UdpSocket::bind(address)).expect("a namespace").expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        socket
    };
    let server = bind(&internet.public, &format!("{SERVER}:4000"));
    let homes = [0, 1].map(|home| bind(&internet.homes[home], "0.0.0.0:41000"));
    let seen = [0, 1].map(|home| {
        homes[home].send_to(b"where am I?", format!("{SERVER}:4000")).expect("a way to the server");
        server.recv_from(&mut [0; 64]).ok().map(|(_, from)| from)
    });
    let [Some(first), Some(second)] = seen else { return false };
    assert_eq!([first, second].map(|seen| seen.ip().to_string()), PUBLIC, "the routers' addresses are seen");
    thread::scope(|scope| {
        let threads = [(&homes[0], second), (&homes[1], first)]
            .map(|(socket, other)| scope.spawn(move || knock(socket, other)));
        threads.map(|thread| thread.join().expect("a knock")) == [true, true]
    })
}

fn knock(socket: &UdpSocket, other: SocketAddr) -> bool {
    let knocks = (0..KNOCKS).filter(|_| {
        socket.send_to(b"knock", other).expect("a way out");
        matches!(socket.recv_from(&mut [0; 64]), Ok((5, _)))
    });
    knocks.count() > 0
}

#[test]
fn two_routers_that_keep_ports_let_a_hole_be_punched() {
    let Some(internet) = Internet::new([Router::Keeps, Router::Keeps]) else { return };
    assert!(punch(&internet));
}

#[test]
fn a_router_with_random_ports_does_not() {
    for routers in [[Router::Random, Router::Keeps], [Router::Keeps, Router::Random]] {
        let Some(internet) = Internet::new(routers) else { return };
        assert!(!punch(&internet), "{routers:?}");
    }
}

#[test]
fn a_router_without_udp_lets_none_out() {
    let Some(internet) = Internet::new([Router::Keeps, Router::NoUdp]) else { return };
    assert!(!punch(&internet));
}

#[test]
fn a_capture_shows_what_passes() {
    let Some(internet) = Internet::new([Router::Keeps, Router::Keeps]) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let begin = |home: usize| internet.capture_public(home, folder.path().join(format!("{home}.pcap")));
    let captures = [begin(0), begin(1)];
    let (ready, listening): (SyncSender<()>, Receiver<()>) = sync_channel(1);
    let received = thread::scope(|scope| {
        let server = scope.spawn(|| {
            let socket = internet.public.inside(|| UdpSocket::bind(format!("{SERVER}:5000")));
            let socket = socket.expect("a namespace").expect("a socket");
            socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
            ready.send(()).expect("somebody waits");
            socket.recv_from(&mut [0; 64]).map(|(length, _)| length)
        });
        listening.recv().expect("the server listens");
        let sent = internet.homes[0].inside(|| -> io::Result<()> {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.send_to(b"a secret that is none", format!("{SERVER}:5000")).map(drop)
        });
        sent.expect("a namespace").expect("a way to the server");
        server.join().expect("the server").expect("a packet")
    });
    assert_eq!(received, 21);
    let [first, second] = captures.map(Capture::end);
    assert!(carries(&first, "a secret that is none"));
    assert!(!carries(&first, "a secret that is one"));
    assert!(!carries(&second, "a secret"), "nothing passed the other wire");
}
