//! The thin driver below [`Talks`](crate::talk::Talks): one QUIC endpoint with the device's key, and its links. The only
//! place that knows iroh.

use std::sync::Arc;

use bytes::Bytes;
use hobnob_protocol::v1;
use rustls::client::danger::ServerCertVerifier;

use crate::talk::Effect;

/// Names one link of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Link(pub u64);

/// What happens on the network.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkEvent {
    /// A link for this talk: both ends have proven their keys and named the talk. An earlier one of the same talk is
    /// gone without a word of its own.
    Up {
        /// The talk, as in `Effect::Expect` or `Effect::Dial`.
        invite: Bytes,
        /// What to call it.
        link: Link,
        /// It runs over the relay, for now.
        relayed: bool,
    },
    /// A link could not be made; nobody tries any more.
    Failed {
        /// The talk.
        invite: Bytes,
    },
    /// A frame came.
    Frame {
        /// On this link.
        link: Link,
        /// What it says.
        frame: v1::talk_frame::Body,
    },
    /// The link runs over the relay now, or does no longer.
    Path {
        /// Which.
        link: Link,
        /// Over the relay.
        relayed: bool,
    },
    /// The link is lost: closed by the other, silent for 15 s, or nonsense came.
    Down {
        /// Which.
        link: Link,
    },
    /// This client is connected to the server's relay, or is no longer.
    Relay(bool),
    /// Where this client is now: for the server to know.
    Contact(v1::Contact),
    /// The relay refuses or cannot be reached for a while, in words for a person; told once.
    NoRelay(String),
}

/// How a link runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// The other's address; `None`: over the relay.
    pub direct: Option<std::net::SocketAddr>,
    /// The relay's host.
    pub relay: Option<String>,
    /// Round trip.
    pub round_trip: std::time::Duration,
    /// Bytes sent and received on the link.
    pub bytes: (u64, u64),
}

/// What a network is opened with.
#[derive(Clone)]
pub struct Setup {
    /// Seed of the device's Ed25519 key.
    pub seed: [u8; 32],
    /// The server's relay; `None`: it has none.
    pub relay: Option<Relay>,
    /// Never show an address to the other side: everything goes over the relay.
    pub relay_only: bool,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").field("relay_only", &self.relay_only).finish_non_exhaustive()
    }
}

/// How to reach the server's relay, and how to know it.
#[derive(Clone, Debug)]
pub struct Relay {
    /// The server's host, as the client connects to it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether the server speaks TLS there.
    pub tls: bool,
    /// UDP port for address discovery; 0: none.
    pub discovery_port: u16,
    /// Believes the server's certificate, as the chat connection does.
    pub verifier: Arc<dyn ServerCertVerifier>,
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// No socket, no thread, or the settings make no sense.
    #[error("private talk is not possible here: {0}")]
    Bind(String),
}

/// One endpoint and its links. Dropped, everything ends without a word; [`close`](Self::close) is better.
#[derive(Debug)]
pub struct Network {}

/// What happens on a network, in order. Not reading it stops the links from reading.
#[derive(Debug)]
pub struct NetworkEvents {}

impl Network {
    /// Opens it. Returns at once; where this client can be reached comes as [`LinkEvent::Contact`].
    ///
    /// # Errors
    /// The endpoint cannot be bound.
    pub async fn open(setup: Setup) -> Result<(Self, NetworkEvents), NetworkError> {
        let _ = setup;
        Err(NetworkError::Bind(String::new()))
    }

    /// Carries out `Expect`, `Dial`, `Forget`, `Send` and `Close`; other effects are none of its business. Does not wait: what is
    /// sent and not yet acknowledged is bounded by the machine.
    pub fn carry_out(&self, effect: Effect) {
        let _ = effect;
    }

    /// How a link runs now; `None`: it is gone.
    #[must_use]
    pub fn path(&self, link: Link) -> Option<Path> {
        let _ = link;
        None
    }

    /// Closes the links, once what was sent on them has arrived, and the endpoint; takes 2 s at most.
    pub async fn close(self) {}
}

impl NetworkEvents {
    /// The next event; never ends while the network is open.
    pub async fn next(&mut self) -> Option<LinkEvent> {
        None
    }
}
