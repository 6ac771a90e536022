//! Whoever is not expected comes to nothing, and whoever does not keep to the rules loses the link; others notice nothing
//! of either.

mod network_common;

use std::time::Duration;

use bytes::Bytes;
use hobnob_peer::network::{Link, LinkEvent, Tuning};
use hobnob_peer::talk::Effect;
use hobnob_protocol::v1::{self, talk_frame::Body};
use iroh::endpoint::{Connection, ConnectionError, RecvStream, SendDatagramError, SendStream, presets};
use iroh::{Endpoint, EndpointAddr, PublicKey, RelayMode, SecretKey, TransportAddr};
use network_common::relay::TestRelay;
use network_common::{Node, SOON, brisk, invite, linked, text};
use prost::Message;
use tokio::time::timeout;

const ALPN: &[u8] = b"hobnob/private/1";
/// The code of a refusal.
const REFUSED: u32 = 1;

/// Somebody with a key and with code of their own.
struct Impostor {
    endpoint: Endpoint,
}

impl Impostor {
    async fn new(seed: u8) -> Self {
        let builder = Endpoint::builder(presets::Minimal)
            .secret_key(SecretKey::from_bytes(&[seed; 32]))
            .alpns(vec![ALPN.to_vec()])
            .relay_mode(RelayMode::Disabled);
        Self { endpoint: builder.bind().await.expect("it binds") }
    }

    fn key(&self) -> [u8; 32] {
        *self.endpoint.id().as_bytes()
    }

    fn contact(&self) -> v1::Contact {
        let ports = self.endpoint.bound_sockets().into_iter().filter(|socket| socket.is_ipv4());
        v1::Contact {
            addresses: ports.map(|socket| format!("127.0.0.1:{}", socket.port())).collect(),
            relay: false,
            tcp: Vec::new(),
        }
    }

    async fn connect(&self, to: &Node) -> Option<Connection> {
        self.endpoint.connect(address(to), ALPN).await.ok()
    }

    /// Connects and names a talk; `None`: refused before that.
    async fn call(&self, to: &Node, name: u8) -> Option<(Connection, SendStream, RecvStream)> {
        let connection = self.connect(to).await?;
        let (mut send, recv) = connection.open_bi().await.ok()?;
        send.write_all(&frame(hello(name))).await.ok()?;
        Some((connection, send, recv))
    }

    /// Has a link with a node that expects this key.
    async fn link(&self, to: &mut Node, name: u8) -> (Connection, SendStream, RecvStream, Link) {
        to.network.carry_out(Effect::Expect { invite: invite(name), key: self.key() });
        let (connection, send, mut recv) = self.call(to, name).await.expect("it is expected");
        let mut answer = vec![0; frame(hello(name)).len()];
        recv.read_exact(&mut answer).await.expect("it is answered");
        assert_eq!(answer, frame(hello(name)));
        let link = to.up(name).await;
        (connection, send, recv, link)
    }

    /// Calls and is refused.
    async fn is_refused(&self, by: &mut Node, name: u8) {
        if let Some((connection, _send, _recv)) = self.call(by, name).await {
            let closed = timeout(SOON, connection.closed()).await.expect("it is refused soon");
            assert!(is_refusal(&closed), "{closed:?}");
        }
        by.silent_but_path(Duration::from_millis(100)).await;
    }
}

fn is_refusal(closed: &ConnectionError) -> bool {
    matches!(closed, ConnectionError::ApplicationClosed(close) if close.error_code == REFUSED.into())
}

fn address(of: &Node) -> EndpointAddr {
    let addresses =
        of.contact.addresses.iter().map(|address| TransportAddr::Ip(address.parse().expect("it is one")));
    EndpointAddr::from_parts(PublicKey::from_bytes(&of.key).expect("it is one"), addresses)
}

fn hello(name: u8) -> Body {
    Body::Hello(v1::TalkHello { invite: invite(name) })
}

fn frame(body: Body) -> Vec<u8> {
    with_length(&v1::TalkFrame { body: Some(body) }.encode_to_vec())
}

fn with_length(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("it is short");
    [&length.to_be_bytes(), body].concat()
}

async fn settled(seed: u8, tuning: Tuning) -> Node {
    let mut node = Node::open_with(seed, None, false, tuning).await;
    node.settle().await;
    node
}

/// Sends something on a link and sees it arrive.
async fn talks(number: u64, from: &Node, at_from: Link, to: &mut Node, at_to: Link) {
    from.send(at_from, text(number));
    assert_eq!(to.next_but_path().await, LinkEvent::Frame { link: at_to, frame: text(number) });
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_is_expected_nobody_comes_in() {
    let mut node = settled(1, brisk()).await;
    let stranger = Impostor::new(9).await;
    assert!(stranger.connect(&node).await.is_none());
    assert_eq!(node.network.handshakes(), 0);
    node.silent(Duration::from_millis(100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_expected_is_refused_even_if_it_knows_the_talk() {
    let mut node = settled(1, brisk()).await;
    let (awaited, stranger) = (Impostor::new(8).await, Impostor::new(9).await);
    node.network.carry_out(Effect::Expect { invite: invite(1), key: awaited.key() });
    stranger.is_refused(&mut node, 1).await;
    let _link = awaited.link(&mut node, 1).await;
    stranger.is_refused(&mut node, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_names_another_talk_is_refused() {
    let mut node = settled(1, brisk()).await;
    let (awaited, other) = (Impostor::new(8).await, Impostor::new(9).await);
    node.network.carry_out(Effect::Expect { invite: invite(1), key: awaited.key() });
    node.network.carry_out(Effect::Expect { invite: invite(2), key: other.key() });
    awaited.is_refused(&mut node, 2).await;
    awaited.is_refused(&mut node, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_talk_that_is_over_cannot_be_taken_up_again() {
    let mut node = settled(1, brisk()).await;
    let (peer, other) = (Impostor::new(8).await, Impostor::new(9).await);
    node.network.carry_out(Effect::Expect { invite: invite(2), key: other.key() });
    let (connection, _send, _recv, _) = peer.link(&mut node, 1).await;
    node.forget(1);
    timeout(SOON, connection.closed()).await.unwrap();
    peer.is_refused(&mut node, 1).await;
    // Nor one that never came to a link.
    node.network.carry_out(Effect::Expect { invite: invite(3), key: peer.key() });
    node.forget(3);
    peer.is_refused(&mut node, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_talk_that_is_expected_of_another_key_now_is_not_the_first_ones_any_more() {
    let mut node = settled(1, brisk()).await;
    let (first, second) = (Impostor::new(8).await, Impostor::new(9).await);
    let (connection, _send, _recv, _) = first.link(&mut node, 1).await;
    node.network.carry_out(Effect::Expect { invite: invite(1), key: second.key() });
    timeout(SOON, connection.closed()).await.unwrap();
    first.is_refused(&mut node, 1).await;
    let _link = second.link(&mut node, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_after_the_handshake_is_put_out() {
    let tuning = Tuning { handshake: Duration::from_secs(1), silence: Duration::from_secs(10), ..brisk() };
    let mut node = settled(1, tuning).await;
    let peer = Impostor::new(8).await;
    node.network.carry_out(Effect::Expect { invite: invite(1), key: peer.key() });
    // Without a stream, and with a stream on which the first frame never ends.
    let silent = peer.connect(&node).await.unwrap();
    let half = peer.connect(&node).await.unwrap();
    let (mut send, _recv) = half.open_bi().await.unwrap();
    send.write_all(&frame(hello(1))[..6]).await.unwrap();
    for connection in [silent, half] {
        timeout(Duration::from_secs(5), connection.closed()).await.expect("it is closed in time");
    }
    network_common::until(|| node.network.handshakes() == 0).await;
    node.silent(Duration::from_millis(100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_nonsense_loses_the_link_and_nobody_else_does() {
    let (dialer, at_dialer, mut node, at_node) = linked(1).await;
    let peer = Impostor::new(8).await;
    let attacks: [(&str, Vec<u8>); 7] = [
        ("too long", 0x0100_0000_u32.to_be_bytes().to_vec()),
        ("as long as can be", u32::MAX.to_be_bytes().to_vec()),
        ("without content", with_length(&[])),
        ("without a body", with_length(&[0xf8, 0x01, 0x00])),
        ("no protobuf", with_length(&[0xff; 100])),
        ("no text", with_length(&[0x12, 0x04, 0x12, 0x02, 0xc3, 0x28])),
        ("a second first frame", frame(hello(2))),
    ];
    for (number, (name, attack)) in (1..).zip(attacks) {
        let (connection, mut send, _recv, link) = peer.link(&mut node, 2).await;
        send.write_all(&attack).await.unwrap();
        assert_eq!(node.next_but_path().await, LinkEvent::Down { link }, "{name}");
        timeout(SOON, connection.closed()).await.expect(name);
        talks(number, &dialer, at_dialer, &mut node, at_node).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_ends_within_a_frame_is_lost_after_the_frames_before() {
    let mut node = settled(1, brisk()).await;
    let peer = Impostor::new(8).await;
    let (_connection, mut send, _recv, link) = peer.link(&mut node, 1).await;
    let frames = [frame(text(1)), frame(text(2))[..9].to_vec()].concat();
    send.write_all(&frames).await.unwrap();
    send.finish().unwrap();
    assert_eq!(node.next_but_path().await, LinkEvent::Frame { link, frame: text(1) });
    assert_eq!(node.next_but_path().await, LinkEvent::Down { link });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_before_a_sudden_end_is_told() {
    let mut node = settled(1, brisk()).await;
    let peer = Impostor::new(8).await;
    let (connection, mut send, _recv, link) = peer.link(&mut node, 1).await;
    for number in 1..=100 {
        send.write_all(&frame(text(number))).await.unwrap();
    }
    let sent = send.finish().is_ok() && send.stopped().await.is_ok();
    assert!(sent);
    connection.close(0_u32.into(), b"");
    for number in 1..=100 {
        assert_eq!(node.next_but_path().await, LinkEvent::Frame { link, frame: text(number) });
    }
    assert_eq!(node.next_but_path().await, LinkEvent::Down { link });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_does_not_end_holds_up_nobody_else() {
    let (dialer, at_dialer, mut node, at_node) = linked(1).await;
    let peer = Impostor::new(8).await;
    let (_connection, mut send, _recv, _link) = peer.link(&mut node, 2).await;
    send.write_all(&100_000_u32.to_be_bytes()).await.unwrap();
    for number in 1..=100 {
        send.write_all(&[0; 10]).await.unwrap();
        talks(number, &dialer, at_dialer, &mut node, at_node).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_one_stream_and_nothing_beside_it() {
    let mut node = settled(1, brisk()).await;
    let peer = Impostor::new(8).await;
    let (connection, mut send, _recv, link) = peer.link(&mut node, 1).await;
    let while_ = Duration::from_millis(300);
    assert!(timeout(while_, connection.open_bi()).await.is_err(), "a second stream");
    assert!(timeout(while_, connection.open_uni()).await.is_err(), "a stream in one direction");
    let datagram = connection.send_datagram(Bytes::from_static(b"x"));
    assert!(matches!(datagram, Err(SendDatagramError::UnsupportedByPeer)), "{datagram:?}");
    send.write_all(&frame(text(1))).await.unwrap();
    assert_eq!(node.next_but_path().await, LinkEvent::Frame { link, frame: text(1) });
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_dialled_may_open_no_stream() {
    let mut node = settled(1, brisk()).await;
    let peer = Impostor::new(8).await;
    node.network.carry_out(Effect::Dial { invite: invite(1), key: peer.key(), contact: peer.contact() });
    let connection = peer.endpoint.accept().await.unwrap().await.unwrap();
    let (mut send, mut recv) = connection.accept_bi().await.unwrap();
    let mut said = vec![0; frame(hello(1)).len()];
    recv.read_exact(&mut said).await.unwrap();
    send.write_all(&frame(hello(1))).await.unwrap();
    node.up(1).await;
    assert!(timeout(Duration::from_millis(300), connection.open_bi()).await.is_err());
    assert!(timeout(Duration::from_millis(300), connection.open_uni()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_does_not_end_at_another_key_or_another_talk() {
    let mut node = settled(1, Tuning { dial: Duration::from_secs(2), ..brisk() }).await;
    let (peer, other) = (Impostor::new(8).await, Impostor::new(9).await);
    let dial = |key| Effect::Dial { invite: invite(1), key, contact: other.contact() };

    // The other key answers.
    node.network.carry_out(dial(peer.key()));
    let answering = async {
        while let Some(incoming) = other.endpoint.accept().await {
            let _ = incoming.await;
        }
    };
    tokio::select! {
        () = answering => unreachable!("the endpoint is open"),
        event = node.next() => assert_eq!(event, LinkEvent::Failed { invite: invite(1) }),
    }

    // The right key answers with another talk, with nonsense, and with nothing.
    for answer in [Some(frame(hello(2))), Some(vec![0xff; 64]), Some(frame(text(1))), None] {
        node.network.carry_out(dial(other.key()));
        let connection = other.endpoint.accept().await.unwrap().await.unwrap();
        let (mut send, _recv) = connection.accept_bi().await.unwrap();
        if let Some(answer) = answer {
            send.write_all(&answer).await.unwrap();
        }
        assert_eq!(node.next().await, LinkEvent::Failed { invite: invite(1) });
        timeout(SOON, connection.closed()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_strangers_disturbs_nobody() {
    const STRANGERS: u8 = 20;
    const CALLS: usize = 20;
    let (mut dialer, at_dialer, mut node, at_node) = linked(1).await;
    node.network.carry_out(Effect::Expect { invite: invite(2), key: [7; 32] });

    let mut flood = tokio::task::JoinSet::new();
    for seed in 100..100 + STRANGERS {
        let to = address(&node);
        flood.spawn(async move {
            let stranger = Impostor::new(seed).await;
            for _ in 0..CALLS {
                // Half of them say nothing more once they are connected.
                if let Ok(connection) = stranger.endpoint.connect(to.clone(), ALPN).await
                    && seed % 2 == 0
                    && let Ok((mut send, _recv)) = connection.open_bi().await
                {
                    let _ = send.write_all(&frame(hello(2))).await;
                    connection.closed().await;
                }
            }
        });
    }

    let mut most = 0;
    let mut number = 0;
    while !flood.is_empty() {
        number += 1;
        talks(number, &dialer, at_dialer, &mut node, at_node).await;
        talks(number, &node, at_node, &mut dialer, at_dialer).await;
        most = most.max(node.network.handshakes());
        while flood.try_join_next().is_some() {}
        tokio::task::yield_now().await;
    }
    assert!(most <= 32, "{most} handshakes at once");
    assert!(number > 1, "the honest ones have talked meanwhile");

    // Whoever is expected comes in afterwards, as before.
    dialer.dial(3, &node);
    node.expect(3, &dialer);
    loop {
        match dialer.next_but_path().await {
            LinkEvent::Up { .. } => break,
            LinkEvent::Failed { .. } => dialer.dial(3, &node),
            other => panic!("{other:?}"),
        }
    }
    node.up(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_at_the_relay_is_refused_before_the_handshake() {
    let relay = TestRelay::start().await;
    let mut node = Node::open_with(1, Some(relay.without_discovery()), true, brisk()).await;
    let mut awaited = Node::open_with(2, Some(relay.without_discovery()), true, brisk()).await;
    let mut stranger = Node::open_with(3, Some(relay.without_discovery()), true, brisk()).await;
    for node in [&mut node, &mut awaited, &mut stranger] {
        node.relayed().await;
    }
    node.expect(1, &awaited);
    stranger.dial(1, &node);
    assert_eq!(stranger.next().await, LinkEvent::Failed { invite: invite(1) });
    awaited.dial(1, &node);
    awaited.up(1).await;
    node.up(1).await;
    node.silent_but_path(Duration::from_millis(100)).await;
}
