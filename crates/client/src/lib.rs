//! hobnob's client library: one connection that mends itself, an outbox that survives a crash, and cursors.
//!
//! [`Door::open`] connects, [`Door::login`] opens a session: a [`Client`] to give commands to and [`Events`] to read
//! from. What happens in between is decided by a pure machine (`state`) and carried out by one task (`driver`).
//! The library reads neither environment nor home directory nor terminal.

mod address;
mod client;
mod cursor;
mod door;
mod driver;
mod errand;
mod error;
pub mod event;
mod file;
mod folder;
mod greet;
mod knock;
pub mod link;
mod notes;
mod outbox;
mod peering;
mod places;
mod random;
mod state;
pub mod storage;
mod trust;
mod websocket;

use std::path::PathBuf;
use std::sync::Arc;

pub use address::{Address, AddressError, DEFAULT_PORT};
pub use client::{Client, Closed, Events};
pub use door::{Door, Login, Proof, Welcome};
pub use error::OpenError;
pub use event::{Answer, Aside, Command, End, Event, Message, Ticket};
pub use folder::Disk;
pub use knock::{Knock, Trust, knock};
pub use peering::Peering;
pub use random::{Random, SystemRandom};
pub use websocket::Network;

/// Where to connect, and as which kind of client.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server.
    pub address: Address,
    /// Where folders and known servers are kept.
    pub data: PathBuf,
    /// The fingerprint that the server must show, `SHA256:…`.
    pub pin: Option<String>,
    /// Program and version, for the server's log.
    pub agent: String,
    /// What kind of client this is.
    pub slot: Slot,
}

/// The kinds of client that may run beside each other for one user. Each has a device of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The one a person sits at.
    Chat,
    /// One command, without coming online.
    OneShot,
    /// One that only listens.
    Tail,
    /// One that only shares files.
    Share,
}

impl Slot {
    /// The number of its folder, if no other process has that one.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Chat => 1,
            Self::OneShot => 2,
            Self::Tail => 3,
            Self::Share => 4,
        }
    }
}

/// What a client needs from outside, so that a simulation can put its own in place.
#[derive(Clone)]
pub struct Parts {
    /// Makes connections.
    pub connector: Arc<dyn link::Connector>,
    /// Keeps outbox, cursors, key and token.
    pub storage: Arc<dyn storage::Storage>,
    /// Where keys, names and waiting times come from.
    pub random: Arc<dyn Random>,
}
