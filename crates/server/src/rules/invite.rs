//! Who has asked whom for private talk, and who is introduced to whom: a pure machine.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use hobnob_protocol::v1;
use tokio::time::Instant;

use crate::store::{AccountId, SessionId};

/// One end of a request: a session, and the device that logged in on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// Whose.
    pub account: AccountId,
    /// Which session.
    pub session: SessionId,
    /// The user's name as first registered.
    pub name: Arc<str>,
    /// The device's Ed25519 key, which it has proven at login.
    pub key: Bytes,
}

/// Whom to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// One session.
    Session(AccountId, SessionId),
    /// Every connected session of the user.
    Account(AccountId),
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Tell {
    /// Whom.
    pub to: To,
    /// What.
    pub event: v1::PeerEvent,
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq)]
pub enum Asking {
    /// The other is asked under this name.
    Asked(Bytes, Vec<Tell>),
    /// The other had asked already, under this name: both are introduced.
    Consented(Bytes, Vec<Tell>),
    /// Too many requests stand.
    Full,
}

/// All requests and introductions that stand, in memory alone.
#[derive(Debug, Default)]
pub struct Invites {
    _standing: BTreeMap<Bytes, Instant>,
}
