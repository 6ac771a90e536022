//! Links over a relay, and what is told of the relay.

mod network_common;

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use hobnob_peer::network::{FileIo, FileStream, Link, LinkEvent, Relay, Translation, Tuning, examine};
use hobnob_peer::talk::Effect;
use hobnob_protocol::v1;
use network_common::relay::TestRelay;
use network_common::{Node, SOON, brisk, invite, text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

async fn relay_only(seed: u8, relay: &TestRelay) -> Node {
    let mut node = Node::open_with(seed, Some(relay.without_discovery()), true, brisk()).await;
    node.relayed().await;
    node
}

/// Links two, the first dials, and says whether it began relayed.
async fn link(a: &mut Node, b: &mut Node) -> (Link, Link, bool) {
    b.expect(1, a);
    a.dial(1, b);
    let LinkEvent::Up { link: at_a, relayed, .. } = a.next().await else { panic!("no link came up") };
    (at_a, b.up(1).await, relayed)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_no_address_talks_over_the_relay() {
    let relay = TestRelay::start().await;
    let (mut a, mut b) = (relay_only(1, &relay).await, relay_only(2, &relay).await);
    assert_eq!(a.contact, v1::Contact { addresses: Vec::new(), relay: true, tcp: Vec::new() });
    let (at_a, at_b, relayed) = link(&mut a, &mut b).await;
    assert!(relayed);
    a.send(at_a, text(1));
    b.send(at_b, text(2));
    assert_eq!(b.next().await, LinkEvent::Frame { link: at_b, frame: text(1) });
    assert_eq!(a.next().await, LinkEvent::Frame { link: at_a, frame: text(2) });
    let path = a.network.path(at_a).unwrap();
    assert!(path.direct.is_none() && path.relay.as_deref() == Some("127.0.0.1"), "{path:?}");
    a.silent(Duration::from_secs(3)).await;
    a.network.close().await;
    assert_eq!(b.next().await, LinkEvent::Down { link: at_b });
    b.network.close().await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_is_reached_by_an_ipv6_address() {
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("skipped: there is no IPv6 here");
        return;
    }
    let relay = TestRelay::start_at(Ipv6Addr::LOCALHOST.into()).await;
    let (mut a, mut b) = (relay_only(1, &relay).await, relay_only(2, &relay).await);
    let (at_a, at_b, relayed) = link(&mut a, &mut b).await;
    assert!(relayed);
    a.send(at_a, text(1));
    assert_eq!(b.next().await, LinkEvent::Frame { link: at_b, frame: text(1) });
    assert_eq!(a.network.path(at_a).unwrap().relay.as_deref(), Some("[::1]"));
    a.network.close().await;
    b.network.close().await;
    let found = examine(&relay.reach()).await.unwrap();
    assert!(found.relay.is_some() && found.udp(), "{found:?}");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_shows_no_address_is_reached_over_the_relay_by_one_who_does() {
    let relay = TestRelay::start().await;
    let mut a = Node::open_with(1, Some(relay.reach()), false, brisk()).await;
    a.relayed().await;
    a.settle().await;
    let mut b = relay_only(2, &relay).await;
    let (at_b, at_a, relayed) = link(&mut b, &mut a).await;
    assert!(relayed);
    b.send(at_b, text(1));
    assert_eq!(a.next().await, LinkEvent::Frame { link: at_a, frame: text(1) });
    a.silent(Duration::from_secs(2)).await;
    assert!(a.network.path(at_a).unwrap().direct.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_began_over_the_relay_becomes_direct() {
    let relay = TestRelay::start().await;
    let (mut a, mut b) = (
        Node::open_with(1, Some(relay.reach()), false, brisk()).await,
        Node::open_with(2, Some(relay.reach()), false, brisk()).await,
    );
    for node in [&mut a, &mut b] {
        node.relayed().await;
        node.settle().await;
        // Nothing is told of addresses, as if the server had not heard of them yet.
        node.contact.addresses.clear();
    }
    let (at_a, at_b, relayed) = link(&mut a, &mut b).await;
    if relayed {
        assert_eq!(a.next().await, LinkEvent::Path { link: at_a, relayed: false });
    }
    assert!(a.network.path(at_a).unwrap().direct.is_some());
    // From now on, the relay is not needed.
    relay.stop().await;
    loop {
        if a.any().await == LinkEvent::Relay(false) {
            break;
        }
    }
    a.send(at_a, text(1));
    assert_eq!(b.next_but_path().await, LinkEvent::Frame { link: at_b, frame: text(1) });
    tokio::join!(a.silent_but_path(Duration::from_secs(4)), b.silent_but_path(Duration::from_secs(4)));
    b.send(at_b, text(2));
    assert_eq!(a.next_but_path().await, LinkEvent::Frame { link: at_a, frame: text(2) });
}

/// Calls a node for files, of which only the key is known, and begins a stream. `None`: nobody answers.
async fn call(from: &Node, to: &Node) -> Option<(FileStream, FileIo)> {
    let contact = v1::Contact { relay: true, ..Default::default() };
    let mut stream = from.network.files().dial(to.key, &contact).await?;
    let mut io = stream.take_io()?;
    io.write_all(&[1]).await.ok()?;
    Some((stream, io))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_calls_for_files_is_told_something_before_it_is_admitted_and_nothing_when_shunned() {
    let relay = TestRelay::start().await;
    let mut nodes = Vec::new();
    for seed in 1..=3 {
        let mut node = Node::open_with(seed, Some(relay.reach()), false, brisk()).await;
        node.relayed().await;
        node.settle().await;
        nodes.push(node);
    }
    let [node, stranger, taker] = &nodes[..] else { unreachable!() };
    let port = node.network.files();
    port.open(true);
    port.shun(stranger.key);
    tokio::select! {
        called = call(stranger, node) => assert!(called.is_none(), "it is not answered"),
        // Others are, however long it tries.
        () = async {
            for _ in 0..3 {
                let (_stream, mut io) = timeout(SOON, call(taker, node)).await.unwrap().unwrap();
                let mut call = timeout(SOON, port.accept()).await.unwrap().unwrap();
                assert_eq!(call.key(), taker.key);
                let mut refusing = call.take_io().unwrap();
                refusing.write_all(&[7]).await.unwrap();
                assert_eq!(timeout(SOON, io.read_u8()).await.unwrap().unwrap(), 7);
                drop((refusing, call));
                assert!(timeout(SOON, io.read_u8()).await.unwrap().is_err(), "it is put out");
            }
        } => {}
    }
    port.forgive();
    let (mut stream, _io) = timeout(SOON, call(stranger, node)).await.unwrap().unwrap();
    let call = timeout(SOON, port.accept()).await.unwrap().unwrap();
    assert_eq!(call.key(), stranger.key);
    assert!(call.admit().await);
    let direct = async {
        while stream.is_relayed() {
            stream.changed().await;
        }
    };
    timeout(SOON, direct).await.expect("who is admitted finds the direct way");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relayed_link_is_lost_with_the_relay_and_made_again_after_its_return() {
    let relay = TestRelay::start().await;
    let (mut a, mut b) = (relay_only(1, &relay).await, relay_only(2, &relay).await);
    let (at_a, at_b, _) = link(&mut a, &mut b).await;
    a.send(at_a, text(1));
    assert_eq!(b.next().await, LinkEvent::Frame { link: at_b, frame: text(1) });
    let relay = relay.restart().await;
    // What the two tell of the relay depends on how fast it was back; a dialer tries again until it works.
    let mut pause = tokio::time::interval(Duration::from_millis(100));
    a.dial(1, &b);
    let second_a = loop {
        match a.any().await {
            LinkEvent::Up { link, .. } => break link,
            LinkEvent::Failed { .. } => {
                pause.tick().await;
                a.dial(1, &b);
            }
            _ => {}
        }
    };
    let second_b = loop {
        if let LinkEvent::Up { link, .. } = b.any().await {
            break link;
        }
    };
    a.send(second_a, text(2));
    assert_eq!(b.next().await, LinkEvent::Frame { link: second_b, frame: text(2) });
    drop(relay);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_whose_relay_stays_away_is_lost_after_the_silence() {
    let relay = TestRelay::start().await;
    let (mut a, mut b) = (relay_only(1, &relay).await, relay_only(2, &relay).await);
    let (at_a, at_b, _) = link(&mut a, &mut b).await;
    relay.stop().await;
    assert_eq!(a.any().await, LinkEvent::Relay(false));
    assert_eq!(a.next().await, LinkEvent::Down { link: at_a });
    assert_eq!(b.next().await, LinkEvent::Down { link: at_b });
    assert_eq!(a.contact, v1::Contact::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_does_not_admit_the_device_is_told_and_is_no_contact() {
    let relay = TestRelay::start().await;
    let seed = 1;
    relay.deny(*iroh::SecretKey::from_bytes(&[seed; 32]).public().as_bytes());
    let mut a = Node::open_with(seed, Some(relay.reach()), false, brisk()).await;
    loop {
        match a.any().await {
            LinkEvent::NoRelay(words) => break assert!(words.contains("does not admit"), "{words}"),
            LinkEvent::Contact(contact) => assert!(!contact.relay),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_not_there_is_told_and_addresses_are_known_all_the_same() {
    let relay = TestRelay::start().await;
    let reach = relay.reach();
    relay.stop().await;
    let tuning = Tuning { relay_wait: Duration::from_secs(1), ..brisk() };
    let mut a = Node::open_with(1, Some(reach), false, tuning).await;
    loop {
        if let LinkEvent::NoRelay(words) = a.any().await {
            break assert!(words.contains("cannot be reached"), "{words}");
        }
    }
    a.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_with_another_certificate_is_not_believed() {
    let (relay, other) = (TestRelay::start().await, TestRelay::start().await);
    let wrong = Relay { verifier: other.reach().verifier, ..relay.reach() };
    let tuning = Tuning { relay_wait: Duration::from_secs(2), ..brisk() };
    let mut a = Node::open_with(1, Some(wrong), false, tuning).await;
    loop {
        match a.any().await {
            LinkEvent::NoRelay(_) => break,
            LinkEvent::Relay(up) => assert!(!up, "it is connected"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_the_server_a_client_is_found_at_loopback() {
    let relay = TestRelay::start().await;
    let (mut a, mut b) = (
        Node::open_with(1, Some(relay.reach()), false, brisk()).await,
        Node::open_with(2, Some(relay.reach()), false, brisk()).await,
    );
    a.settle().await;
    b.settle().await;
    let here = |address: &String| address.parse::<SocketAddr>().unwrap().ip().is_loopback();
    assert!(b.contact.addresses.iter().any(here), "{:?}", b.contact);
    b.contact.addresses.retain(here);
    b.contact.relay = false;
    b.expect(1, &a);
    a.network.carry_out(Effect::Dial { invite: invite(1), key: b.key, contact: b.contact.clone() });
    let (at_a, _) = (a.up(1).await, b.up(1).await);
    assert!(a.network.path(at_a).unwrap().direct.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_examination_tells_what_gets_through() {
    let relay = TestRelay::start().await;
    let found = examine(&relay.reach()).await.unwrap();
    assert!(found.udp() && found.relay.is_some(), "{found:?}");
    let translations: Vec<_> = found.translations().collect();
    assert_eq!(translations.len(), 1, "{found:?}");
    assert_eq!(
        (translations[0].0.ip().is_loopback(), translations[0].1),
        (true, Translation::None),
        "{found:?}"
    );

    let found = examine(&relay.without_discovery()).await.unwrap();
    assert!(!found.udp() && found.relay.is_some(), "{found:?}");

    let reach = relay.reach();
    relay.stop().await;
    let begin = tokio::time::Instant::now();
    let found = examine(&reach).await.unwrap();
    assert!(!found.udp() && found.relay.is_none() && found.public.is_empty(), "{found:?}");
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
}
