//! All private talks of one user as a pure machine: what happens changes the state and yields effects, which the
//! driver carries out in their order. No socket, no clock, no random source.

mod event;

use std::time::Duration;

use crate::keys::Keys;

pub use event::{Effect, Input, Invite, News, TalkError};

/// All private talks of one user on one device.
#[derive(Debug)]
pub struct Talks {
    /// Whose keys were seen.
    keys: Keys,
}

impl Talks {
    /// For the user `name` (as the server writes it), whose device has this public key.
    #[must_use]
    pub fn new(name: &str, key: [u8; 32], keys: Keys) -> Self {
        let _ = (name, key);
        Self { keys }
    }

    /// What happens, when (since the beginning), and what follows from it.
    pub fn handle(&mut self, input: Input, now: Duration) -> Vec<Effect> {
        let _ = (input, now);
        Vec::new()
    }

    /// When to come back with a `Tick`, if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        None
    }

    /// So much waits to be acknowledged that nothing more should be typed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        false
    }

    /// Whose keys were seen, to be kept after `Effect::SaveKeys`.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }
}
