//! What all sessions of one server share.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Policy,
    current::Current,
    gate::Gate,
    hub::{Hub, Wake},
    reader::Reader,
    relay::Relay,
    rules::{invite::Invites, share::Shares},
    security::Security,
    store::Secret,
    throttle::Throttle,
    ticket::TicketKey,
    writer::Writer,
};

/// A boxed future, for the seams that are trait objects.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Hashes and checks passwords; slow on purpose, so it has its own threads in production.
pub trait Passwords: Send + Sync {
    /// The hash to store.
    fn hash(&self, password: String) -> Boxed<'_, Secret>;

    /// Whether the password belongs to the hash. Without a hash it is false, after the same time.
    fn verify(&self, password: String, hash: Option<Secret>) -> Boxed<'_, bool>;
}

/// Tells the time of day and draws random numbers: the two things that make a run unlike another.
pub trait World: Send + Sync {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64;

    /// Fills `bytes` with unpredictable bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// `N` unpredictable bytes.
pub(crate) fn random<const N: usize>(world: &dyn World) -> [u8; N] {
    let mut bytes = [0; N];
    world.fill(&mut bytes);
    bytes
}

/// One server. Everything in it is shared by all sessions; each part owns its own state.
pub struct Node {
    /// The rules, which may change while the server runs.
    pub policy: Current<Policy>,
    /// SHA-256 of the server's public key, for connections that do not know better.
    pub server_key: Bytes,
    /// Reads.
    pub reader: Reader,
    /// Writes.
    pub writer: Writer,
    /// Who is here.
    pub hub: Arc<Hub>,
    /// How committed entries reach the hub; the hub itself, but in the simulation.
    pub wake: Arc<dyn Wake>,
    /// Hashes passwords.
    pub passwords: Arc<dyn Passwords>,
    /// Limits by address.
    pub throttle: Throttle,
    /// One password check at a time for each name and class.
    pub gate: Gate,
    /// The name of the database's history, which changes at most once while the server runs: a database is
    /// restored while it does not, and a client must not be able to make all others start over.
    pub epoch: Arc<Epoch>,
    /// Who has asked whom for private talk. Taken after the hub's locks, never before.
    pub invites: Mutex<Invites>,
    /// Who holds which file. Taken after the hub's locks and before `invites`, where several are.
    pub shares: Mutex<Shares>,
    /// Signs what lets people fetch files from each other.
    pub tickets: TicketKey,
    /// Carries what goes straight nowhere; `None`: off.
    pub relay: Option<Arc<Relay>>,
    /// What of logins and limits is logged, and how.
    pub security: Security,
    /// Time and chance.
    pub world: Arc<dyn World>,
    /// Cancelled when the server stops.
    pub shutdown: CancellationToken,
}

/// The name of the database's history. Only the writer's transactions look at it.
#[derive(Debug)]
pub struct Epoch {
    state: Mutex<(Bytes, bool)>,
}

impl Epoch {
    /// As it stands in the database.
    #[must_use]
    pub fn new(epoch: Bytes) -> Self {
        Self { state: Mutex::new((epoch, false)) }
    }

    /// The name now.
    #[must_use]
    pub fn get(&self) -> Bytes {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Whether it may still change.
    #[must_use]
    pub fn may_renew(&self) -> bool {
        !self.state.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Changes it.
    pub fn renew(&self, epoch: Bytes) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = (epoch, true);
    }
}

/// The world as it is.
#[derive(Debug)]
pub struct RealWorld {
    random: ring::rand::SystemRandom,
}

impl Default for RealWorld {
    fn default() -> Self {
        Self { random: ring::rand::SystemRandom::new() }
    }
}

impl World for RealWorld {
    fn now_ms(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn fill(&self, bytes: &mut [u8]) {
        use ring::rand::SecureRandom;
        self.random.fill(bytes).expect("the operating system has random numbers");
    }
}
