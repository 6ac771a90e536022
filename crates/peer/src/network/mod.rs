//! The thin driver below [`Talks`](crate::talk::Talks): one QUIC endpoint with the device's key, and its links. The only
//! place that knows iroh.
//!
//! All state is on one board behind a short lock: what is expected, and which links there are. Effects change it at
//! once, so there is no queue of commands that could be full. A task takes in who calls, one watches where this client
//! is, and each handshake, attempt and link has one of its own; all belong to the network and end with it.
//!
//! What happens goes into one queue of 64 events. While it is full, links are not read, and QUIC holds the others back.
//! What a link sends waits in a queue of its own; a peer that lets it fill up, because it sends without reading, loses
//! the link.

mod accept;
mod admission;
mod board;
mod dial;
mod endpoint;
mod examine;
mod files;
mod frame;
mod link;
mod resolver;
mod stand_in;
mod tuning;
mod whereabouts;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hobnob_protocol::v1;
use iroh::{Endpoint, RelayUrl, TransportAddr};
use rustls::client::danger::ServerCertVerifier;
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::talk::Effect;

use admission::Porch;
use board::SharedBoard;
use files::Callers;

pub(crate) use accept::source;
pub use dial::is_somebodys;
pub use files::{FileCall, FileIo, FileStream, FilesPort};

pub use examine::{Examination, Translation, examine};

#[doc(hidden)]
pub use tuning::Tuning;

/// Events that wait to be taken.
const EVENTS: usize = 64;
/// Longest orderly end.
const CLOSE_MAX: Duration = Duration::from_secs(2);

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
    /// The relay refuses or cannot be reached for a while, in words for a person; told once each time.
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
pub struct Network {
    shared: Arc<Shared>,
}

/// What happens on a network, in order. Not reading it stops the links from reading.
#[derive(Debug)]
pub struct NetworkEvents {
    events: mpsc::Receiver<LinkEvent>,
}

impl Network {
    /// Opens it. Returns at once; where this client can be reached comes as [`LinkEvent::Contact`].
    ///
    /// # Errors
    /// The endpoint cannot be bound.
    pub async fn open(setup: Setup) -> Result<(Self, NetworkEvents), NetworkError> {
        Self::open_tuned(setup, Tuning::default()).await
    }

    /// As [`open`](Self::open), with other times.
    ///
    /// # Errors
    /// The endpoint cannot be bound.
    #[doc(hidden)]
    pub async fn open_tuned(setup: Setup, tuning: Tuning) -> Result<(Self, NetworkEvents), NetworkError> {
        let board = SharedBoard::default();
        let files = Arc::new(Callers::default());
        let endpoint = endpoint::bind(&setup, &tuning, board.clone(), Arc::clone(&files)).await?;
        let (sender, events) = mpsc::channel(EVENTS);
        let shared = Arc::new(Shared {
            endpoint,
            board,
            files,
            porch: Mutex::default(),
            events: sender,
            relay: setup.relay.as_ref().map(endpoint::url).transpose()?,
            relay_only: setup.relay_only,
            beside_server: setup.relay.as_ref().is_some_and(endpoint::is_here),
            tuning,
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            stop: CancellationToken::new(),
        });
        shared.spawn(&shared.closing, accept::run(Arc::clone(&shared)));
        shared.spawn(&shared.closing, whereabouts::run(Arc::clone(&shared)));
        Ok((Self { shared }, NetworkEvents { events }))
    }

    /// Carries out `Expect`, `Dial`, `Forget`, `Send` and `Close`; other effects are none of its business. Does not wait: what is
    /// sent and not yet acknowledged is bounded by the machine. To be called within the runtime.
    pub fn carry_out(&self, effect: Effect) {
        let shared = &self.shared;
        match effect {
            Effect::Expect { invite, key } => shared.board.lock().expect(invite, key),
            Effect::Dial { invite, key, contact } => {
                let attempt = shared.board.lock().attempt(invite, key);
                shared.spawn(&shared.closing, dial::run(Arc::clone(shared), attempt, contact));
            }
            Effect::Forget(invite) => shared.board.lock().forget(&invite),
            Effect::Send { link, frame } => shared.board.lock().send(link, frame::encode(frame)),
            Effect::Close(link) => shared.board.lock().finish(link),
            _ => {}
        }
    }

    /// How a link runs now; `None`: it is gone.
    #[must_use]
    pub fn path(&self, link: Link) -> Option<Path> {
        let connection = self.shared.board.lock().connection(link)?;
        let stats = connection.stats();
        let paths = connection.paths();
        let carrying = paths.iter().find(|path| path.is_selected()).or_else(|| paths.iter().next())?;
        let (direct, relay) = match carrying.remote_addr() {
            TransportAddr::Ip(address) => (Some(*address), None),
            TransportAddr::Relay(url) => (None, url.host_str().map(stand_in::shown)),
            _ => (None, None),
        };
        let bytes = (stats.udp_tx.bytes, stats.udp_rx.bytes);
        Some(Path { direct, relay, round_trip: carrying.rtt(), bytes })
    }

    /// Handshakes under way with those who came in.
    #[doc(hidden)]
    #[must_use]
    pub fn handshakes(&self) -> usize {
        self.shared.porch().under_way()
    }

    /// Where streams of files come from and go to.
    #[must_use]
    pub fn files(&self) -> FilesPort {
        FilesPort(Arc::clone(&self.shared))
    }

    /// Closes the links, once what was sent on them has arrived, and the endpoint; takes 2 s at most.
    pub async fn close(self) {
        let deadline = Instant::now() + CLOSE_MAX;
        let shared = &self.shared;
        shared.closing.cancel();
        shared.board.lock().forget_all();
        shared.tasks.close();
        // A little more than a link takes, so that none is cut off that was about to be done.
        let _ = timeout(shared.tuning.flush + Duration::from_millis(200), shared.tasks.wait()).await;
        shared.stop.cancel();
        let _ = timeout_at(deadline, shared.endpoint.close()).await;
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.shared.closing.cancel();
        self.shared.stop.cancel();
        self.shared.board.lock().forget_all();
    }
}

impl NetworkEvents {
    /// The next event; never ends while the network is open.
    pub async fn next(&mut self) -> Option<LinkEvent> {
        self.events.recv().await
    }
}

/// What all tasks of a network share.
#[derive(Debug)]
struct Shared {
    endpoint: Endpoint,
    board: SharedBoard,
    files: Arc<Callers>,
    porch: Mutex<Porch>,
    events: mpsc::Sender<LinkEvent>,
    /// Under this client's own address of the server.
    relay: Option<RelayUrl>,
    relay_only: bool,
    /// The server is on this machine, and so may be the others.
    beside_server: bool,
    tuning: Tuning,
    tasks: TaskTracker,
    /// No new links.
    closing: CancellationToken,
    /// Nothing any more.
    stop: CancellationToken,
}

impl Shared {
    /// A place in the queue of events; `None`: nobody takes them any more.
    async fn permit(&self) -> Option<OwnedPermit<LinkEvent>> {
        self.events.clone().reserve_owned().await.ok()
    }

    /// Held shortly, never across an await, and never together with the board.
    fn porch(&self) -> MutexGuard<'_, Porch> {
        self.porch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a task of the network, which ends with the token at the latest.
    fn spawn(&self, until: &CancellationToken, task: impl Future<Output = ()> + Send + 'static) {
        let until = until.clone();
        self.tasks.spawn(async move {
            until.run_until_cancelled(task).await;
        });
    }
}
