//! What keeps the store from being written: a full disk, a file system that is read-only. It is noticed by what fails,
//! said once, and tried again now and then; meanwhile messages wait at their senders.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hobnob_protocol::v1;
use tokio::time::Instant;

use crate::store::{Store, StoreError};

/// How often it is tried whether something can be written again.
const PROBE_PERIOD: Duration = Duration::from_secs(1);
/// Room that messages leave to everything else that goes on while nobody can send: logins, cursors, removals.
const KEPT_BYTES: u64 = 8 << 20;
/// Room there has to be before messages are taken again, so that it does not go back and forth.
const AGAIN_BYTES: u64 = 16 << 20;
/// What a byte of text may take at most: in the log, in the database, and what is noted about it.
const COST: u64 = 3;
/// What comes again so soon after it ended is not said again, unless it lasts as long.
const QUIET: Duration = Duration::from_secs(10);

/// What keeps the store from being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The disk is full, or nearly.
    DiskFull,
    /// The data folder cannot be written.
    NotWritable,
}

impl Trouble {
    /// What an error says of it.
    #[must_use]
    pub fn of(error: &StoreError) -> Option<Self> {
        match error {
            StoreError::Full => Some(Self::DiskFull),
            StoreError::Unwritable(_) => Some(Self::NotWritable),
            _ => None,
        }
    }

    /// A short name for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DiskFull => "disk-full",
            Self::NotWritable => "not-writable",
        }
    }

    /// For a person whose request cannot be served.
    #[must_use]
    pub fn for_clients(self) -> &'static str {
        match self {
            Self::DiskFull => "The server's disk is full. Please try again later",
            Self::NotWritable => "The server cannot write to its disk. Please try again later",
        }
    }

    /// Whether a refusal in these words is because of it, and not of who is refused.
    pub(crate) fn is_told_by(text: &str) -> bool {
        [Self::DiskFull, Self::NotWritable].iter().any(|trouble| trouble.for_clients() == text)
    }

    /// On the wire.
    #[must_use]
    pub fn wire(self) -> v1::Trouble {
        match self {
            Self::DiskFull => v1::Trouble::DiskFull,
            Self::NotWritable => v1::Trouble::NotWritable,
        }
    }
}

fn needed(bytes: usize) -> u64 {
    KEPT_BYTES.saturating_add(COST.saturating_mul(bytes as u64))
}

/// How the store is. The writer's thread changes it, everybody may look.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    trouble: Option<Found>,
    /// When the last trouble ended.
    ended: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Found {
    trouble: Trouble,
    since: Instant,
    probe_at: Instant,
    /// It was said.
    said: bool,
}

impl Health {
    /// What keeps the store from being written now.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        self.state().trouble.map(|found| found.trouble)
    }

    /// Whether there is room for so many bytes of text, as things are.
    pub(crate) fn has_room(&self, store: &dyn Store, bytes: usize) -> bool {
        store.room(0) >= needed(bytes)
    }

    /// Whether requests that add so many bytes of text may be tried. In trouble that is looked at again once a second.
    pub(crate) fn takes(&self, store: &dyn Store, bytes: usize) -> bool {
        let found = self.state().trouble;
        match found {
            None if store.room(needed(bytes)) >= needed(bytes) => true,
            None => {
                self.begin(&StoreError::Full);
                false
            }
            Some(found) if Instant::now() < found.probe_at => false,
            Some(_) => {
                // First of all the log is emptied: on a full disk that may be the only room there is.
                let room = store.room(u64::MAX);
                match store.probe() {
                    Ok(()) if room >= AGAIN_BYTES.max(needed(bytes)) => self.end(),
                    Ok(()) => self.still(&StoreError::Full),
                    Err(error) => self.still(&error),
                }
            }
        }
    }

    pub(crate) fn is_in_trouble(&self) -> bool {
        self.trouble().is_some()
    }

    /// What a request fails with that is not tried.
    pub(crate) fn error(&self) -> StoreError {
        match self.trouble() {
            Some(Trouble::NotWritable) => StoreError::Unwritable("it is tried again soon".to_owned()),
            _ => StoreError::Full,
        }
    }

    /// A write failed so.
    pub(crate) fn begin(&self, error: &StoreError) {
        let Some(trouble) = Trouble::of(error) else { return };
        let now = Instant::now();
        let mut state = self.state();
        if state.trouble.is_some() {
            return;
        }
        let said = state.ended.is_none_or(|ended| now - ended >= QUIET);
        state.trouble = Some(Found { trouble, since: now, probe_at: now + PROBE_PERIOD, said });
        drop(state);
        if said {
            say(error);
        }
    }

    /// It is as bad as it was, perhaps for another reason now.
    fn still(&self, error: &StoreError) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        let Some(found) = &mut state.trouble else { return false };
        found.probe_at = now + PROBE_PERIOD;
        found.trouble = Trouble::of(error).unwrap_or(found.trouble);
        let news = !found.said && now - found.since >= QUIET;
        found.said |= news;
        drop(state);
        if news {
            say(error);
        }
        false
    }

    fn end(&self) -> bool {
        let mut state = self.state();
        let found = state.trouble.take();
        state.ended = Some(Instant::now());
        drop(state);
        if found.is_some_and(|found| found.said) {
            tracing::info!("the disk can be written again");
        }
        true
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn say(error: &StoreError) {
    tracing::error!("{error}; messages wait at their senders");
}
