//! What a client keeps between runs, so that a simulation can put its own in place of files.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use hobnob_protocol::v1;

use crate::{OpenError, Slot};

/// Keeps the folders of one server's users.
pub trait Storage: Send + Sync {
    /// Opens the folder of `slot`, or the next that no other process has, and locks it.
    ///
    /// # Errors
    /// It cannot be made, read or locked.
    fn open(&self, user: &str, slot: Slot) -> Result<Folder, OpenError>;

    /// The folder with the lowest number above `after` in which something waits, or was damaged, and that no process
    /// has; locked. What cannot be opened is passed over. `after` of the first call is 0.
    fn left_behind(&self, user: &str, after: u32) -> Option<(u32, Folder)> {
        let _ = (user, after);
        None
    }

    /// A session's token that somebody saved: this slot's, a one-shot's or the chat's.
    fn saved_token(&self, user: &str, slot: Slot) -> Option<Bytes>;

    /// Forgets this token wherever it is saved: the server does not take it any more.
    fn forget_token(&self, user: &str, token: &[u8]);
}

/// One device's folder. The lock is held until it is dropped.
pub struct Folder {
    /// Seed of the device's Ed25519 key.
    pub seed: [u8; 32],
    /// What the server has not judged yet.
    pub outbox: Box<dyn Outbox>,
    /// What was in the outbox when it was opened.
    pub waiting: Waiting,
    /// Where the streams stand.
    pub cursor: Box<dyn CursorFile>,
    /// The session's token.
    pub token: Box<dyn TokenFile>,
    /// What is known of other people's devices; `None`: nothing is kept of that here.
    pub peers: Option<Arc<dyn PeersFile>>,
    /// A folder for what is known of files, not made yet; `None`: nothing is kept of them.
    pub files: Option<PathBuf>,
}

/// What an outbox held when it was opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Waiting {
    /// In ascending order of their numbers.
    pub submits: Vec<v1::Submit>,
    /// The number that the next one gets.
    pub next: u64,
}

/// A change of the outbox.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// It has to reach the server. Durable before [`Outbox::write`] returns.
    Added(v1::Submit),
    /// The server has judged this number.
    Answered(u64),
    /// The outbox starts over under a new name with these alone, numbered from 1. Durable as well.
    Renewed(Vec<v1::Submit>),
}

/// The outbox: an append-only record of what was submitted and what was answered.
pub trait Outbox: Send {
    /// Its name, by which the server knows its numbers.
    fn name(&self) -> [u8; 16];

    /// Writes these in order; what they add is durable afterwards.
    ///
    /// # Errors
    /// Nothing may be sent any more: what is on the disk is not known.
    fn write(&mut self, records: &[Record]) -> std::io::Result<()>;

    /// Whether [`write`](Self::write) may block and so must run on a thread of its own.
    fn blocks(&self) -> bool;

    /// Whether it was found damaged when it was opened, so that something in it may be lost.
    fn damaged(&self) -> bool {
        false
    }
}

/// Where a client stands in its streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The server's database; numbers of another mean nothing. At most 64 bytes.
    pub epoch: Vec<u8>,
    /// The last inbox entry that was shown.
    pub inbox: u64,
    /// The last broadcast entry that was shown.
    pub broadcast: u64,
}

/// Keeps a [`Cursor`].
pub trait CursorFile: Send {
    /// What was saved last; nothing, if nothing was.
    fn load(&self) -> Cursor;

    /// Saves it so that a crash of this process does not lose it.
    ///
    /// # Errors
    /// It is not saved.
    fn save(&mut self, cursor: &Cursor) -> std::io::Result<()>;
}

/// Keeps a session's token.
pub trait TokenFile: Send {
    /// Saves it, readable by the owner alone.
    ///
    /// # Errors
    /// It is not saved.
    fn save(&mut self, token: &[u8]) -> std::io::Result<()>;

    /// Removes it.
    fn remove(&mut self);
}

/// Keeps what private talk remembers of other people's devices: a small text, of which this library knows no more.
pub trait PeersFile: Send + Sync {
    /// What was saved last; empty, if nothing was. What is no UTF-8 any more is replaced.
    ///
    /// # Errors
    /// It cannot be read.
    fn load(&self) -> std::io::Result<String>;

    /// Saves it as a whole, readable by the owner alone: a crash leaves the old text or the new one.
    ///
    /// # Errors
    /// It is not saved.
    fn save(&self, text: &str) -> std::io::Result<()>;
}
