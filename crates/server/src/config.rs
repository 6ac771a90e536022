//! What a server is told: checked values only. How they are typed, read and reported is the binary's affair.

use std::{path::PathBuf, time::Duration};

use hobnob_protocol::{limits, v1};

use crate::proxy::Proxies;

/// Everything `run` needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of the database, the key and the lock.
    pub data: PathBuf,
    /// `username password` lines to import before listening.
    pub credentials: Option<PathBuf>,
    /// Where the certificate comes from.
    pub tls: Tls,
    /// The rules.
    pub policy: Policy,
    /// What the relay may do; `None`: there is none.
    pub relay: Option<RelayPolicy>,
    /// Who may say where a connection comes from.
    pub proxies: Proxies,
}

/// What the relay may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayPolicy {
    /// Bytes a second that one user may send over it; `None`: no limit.
    pub rate: Option<u32>,
}

impl Default for RelayPolicy {
    fn default() -> Self {
        Self { rate: Some(limits::RELAY_RATE) }
    }
}

/// Where the TLS certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// A key made at first start, which clients pin.
    SelfSigned,
    /// Plain text, for loopback.
    Off,
    /// PEM files: a certificate chain and its key.
    Files {
        /// The chain, leaf first.
        certificate: PathBuf,
        /// The private key.
        key: PathBuf,
    },
}

/// Who may make an account, beside the server's keeper.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Registration {
    /// Everybody.
    #[default]
    Open,
    /// Nobody.
    Closed,
    /// Who has an invitation of the keeper's.
    Invite,
}

impl Registration {
    /// As it is typed.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Invite => "invite",
        }
    }
}

/// The rules that sessions live by.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long three failures block a name.
    pub block_duration: Duration,
    /// How long a session may do nothing; `None`: for ever.
    pub idle_timeout: Option<Duration>,
    /// Who may make an account.
    pub registration: Registration,
    /// What a login is answered with.
    pub welcome: String,
    /// How long delivered entries are kept; `None`: not at all.
    pub history: Option<Duration>,
    /// Sessions a user may have at once.
    pub sessions_per_user: u32,
    /// Submits per second and session; `None`: no limit.
    pub send_rate: Option<u32>,
    /// Bounds of an inbox.
    pub inbox: InboxLimits,
    /// How often all heads are compared with what was sent.
    pub sweep_period: Duration,
    /// How long a broken session counts as online.
    pub grace: Duration,
}

/// Bounds of what an inbox may hold unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxLimits {
    /// Entries.
    pub entries: u64,
    /// Bytes of text.
    pub bytes: u64,
    /// Entries of one sender.
    pub entries_per_sender: u64,
}

impl InboxLimits {
    /// Whether an inbox with this many unread entries has room for one more, whoever sent them and however long they are.
    #[must_use]
    pub fn have_room(&self, unread: u64) -> bool {
        let bytes_at_most = (unread + 1).saturating_mul(limits::TEXT_BYTES_MAX as u64);
        unread < self.entries && unread < self.entries_per_sender && bytes_at_most <= self.bytes
    }
}

impl Default for InboxLimits {
    fn default() -> Self {
        Self { entries: 10_000, bytes: 64 << 20, entries_per_sender: 1_000 }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            block_duration: Duration::from_secs(60),
            idle_timeout: None,
            registration: Registration::Open,
            welcome: "Welcome to the greatest messaging application ever!".to_owned(),
            history: None,
            sessions_per_user: 1,
            send_rate: Some(50),
            inbox: InboxLimits::default(),
            sweep_period: limits::SWEEP_PERIOD,
            grace: limits::GRACE,
        }
    }
}

/// Submits at once before the rate counts, as a multiple of the rate.
const SEND_BURST_FACTOR: u32 = 4;
/// Broadcasts reach everybody, so their rate is their own.
const BROADCAST_RATE: u32 = 1;
const BROADCAST_BURST: u32 = 10;

impl Policy {
    /// What a client is told at login, so that it can pace itself.
    #[must_use]
    pub fn limits(&self) -> v1::Limits {
        let rate = self.send_rate.unwrap_or(0);
        let limited = u32::from(rate > 0);
        v1::Limits {
            send_rate: rate,
            send_burst: rate.saturating_mul(SEND_BURST_FACTOR),
            broadcast_rate: limited * BROADCAST_RATE,
            broadcast_burst: limited * BROADCAST_BURST,
            in_flight: limits::IN_FLIGHT_MAX as u32,
        }
    }
}
