//! What the tests of the network share: a network with the events it has told.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod relay;

use std::time::Duration;

use bytes::Bytes;
use hobnob_peer::network::{Link, LinkEvent, Network, NetworkEvents, Relay, Setup, Tuning};
use hobnob_peer::talk::Effect;
use hobnob_protocol::v1::{self, talk_frame::Body};
use tokio::time::timeout;

/// Whatever is waited for comes within this time, or the test fails.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Times that let a test see a loss within seconds.
pub(crate) fn brisk() -> Tuning {
    Tuning { silence: Duration::from_secs(2), keep_alive: Duration::from_millis(500), ..Tuning::default() }
}

pub(crate) fn invite(name: u8) -> Bytes {
    Bytes::from(vec![name; 16])
}

pub(crate) fn text(number: u64) -> Body {
    Body::Text(v1::TalkText { number, text: format!("text {number}") })
}

pub(crate) struct Node {
    pub(crate) network: Network,
    pub(crate) events: NetworkEvents,
    pub(crate) key: [u8; 32],
    pub(crate) contact: v1::Contact,
}

impl Node {
    pub(crate) async fn open(seed: u8) -> Self {
        Self::open_with(seed, None, false, brisk()).await
    }

    pub(crate) async fn open_with(seed: u8, relay: Option<Relay>, relay_only: bool, tuning: Tuning) -> Self {
        let seed = [seed; 32];
        let key = *iroh::SecretKey::from_bytes(&seed).public().as_bytes();
        let (network, events) =
            Network::open_tuned(Setup { seed, relay, relay_only }, tuning).await.expect("it opens");
        Self { network, events, key, contact: v1::Contact::default() }
    }

    pub(crate) fn expect(&self, name: u8, other: &Self) {
        self.network.carry_out(Effect::Expect { invite: invite(name), key: other.key });
    }

    pub(crate) fn dial(&self, name: u8, other: &Self) {
        let contact = other.contact.clone();
        self.network.carry_out(Effect::Dial { invite: invite(name), key: other.key, contact });
    }

    pub(crate) fn forget(&self, name: u8) {
        self.network.carry_out(Effect::Forget(invite(name)));
    }

    pub(crate) fn send(&self, link: Link, frame: Body) {
        self.network.carry_out(Effect::Send { link, frame });
    }

    pub(crate) fn close_link(&self, link: Link) {
        self.network.carry_out(Effect::Close(link));
    }

    /// The next event, whatever it is.
    pub(crate) async fn any(&mut self) -> LinkEvent {
        let event =
            timeout(SOON, self.events.next()).await.expect("an event comes soon").expect("it is open");
        if let LinkEvent::Contact(contact) = &event {
            self.contact = contact.clone();
        }
        event
    }

    /// The next event of a link or a talk, passing over what is told of this client itself.
    pub(crate) async fn next(&mut self) -> LinkEvent {
        loop {
            match self.any().await {
                LinkEvent::Contact(_) | LinkEvent::Relay(_) | LinkEvent::NoRelay(_) => {}
                event => return event,
            }
        }
    }

    /// As `next`, passing over changes of the path too.
    pub(crate) async fn next_but_path(&mut self) -> LinkEvent {
        loop {
            match self.next().await {
                LinkEvent::Path { .. } => {}
                event => return event,
            }
        }
    }

    /// Waits until this client knows where it is.
    pub(crate) async fn settle(&mut self) {
        while self.contact.addresses.is_empty() {
            self.any().await;
        }
    }

    /// Waits until this client is known to be at the relay.
    pub(crate) async fn relayed(&mut self) {
        while !self.contact.relay {
            self.any().await;
        }
    }

    pub(crate) async fn up(&mut self, name: u8) -> Link {
        match self.next_but_path().await {
            LinkEvent::Up { invite: of, link, .. } if of == invite(name) => link,
            other => panic!("no link came up but {other:?}"),
        }
    }

    /// As `silent`, but for changes of the path.
    pub(crate) async fn silent_but_path(&mut self, time: Duration) {
        if let Ok(event) = timeout(time, self.next_but_path()).await {
            panic!("something was told: {event:?}");
        }
    }

    /// Nothing of links or talks is told for a while.
    pub(crate) async fn silent(&mut self, time: Duration) {
        if let Ok(event) = timeout(time, self.next()).await {
            panic!("something was told: {event:?}");
        }
    }
}

/// Two who know where they are; the first is to dial the second.
pub(crate) async fn pair() -> (Node, Node) {
    let (mut dialer, mut other) = (Node::open(1).await, Node::open(2).await);
    dialer.settle().await;
    other.settle().await;
    (dialer, other)
}

/// Two with a link.
pub(crate) async fn linked(name: u8) -> (Node, Link, Node, Link) {
    let (mut dialer, mut other) = pair().await;
    other.expect(name, &dialer);
    dialer.dial(name, &other);
    let (dialers, others) = (dialer.up(name).await, other.up(name).await);
    (dialer, dialers, other, others)
}

/// Waits until it is so.
pub(crate) async fn until(mut it_is_so: impl FnMut() -> bool) {
    let wait = async {
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        while !it_is_so() {
            looks.tick().await;
        }
    };
    timeout(SOON, wait).await.expect("it is so soon");
}
