//! What came of a simulated swarm.

use std::collections::BTreeMap;
use std::time::Duration;

use hobnob_peer::swarm::Fault;

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// When each member had everything; `None`: never, or from the beginning.
    pub done: Vec<Option<Duration>>,
    /// Who dropped whom.
    pub drops: Vec<Dropped>,
    /// Who was asked for what it should not have been, in words. Empty.
    pub wrong: Vec<String>,
    /// How often what happened.
    pub counts: BTreeMap<&'static str, u64>,
    /// Of everything that all machines decided, in order.
    pub hash: u64,
    /// Events that were simulated.
    pub events: u64,
}

/// A source that was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// By whom.
    pub by: usize,
    /// Who.
    pub peer: usize,
    /// Why.
    pub why: Fault,
    /// When.
    pub at: Duration,
}

impl Outcome {
    /// How often.
    #[must_use]
    pub fn count(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    /// When the last of those who finished did.
    #[must_use]
    pub fn last(&self) -> Duration {
        self.done.iter().flatten().max().copied().unwrap_or_default()
    }

    /// When the one in the middle of those who finished did.
    #[must_use]
    pub fn median(&self) -> Duration {
        let mut done: Vec<_> = self.done.iter().flatten().copied().collect();
        done.sort_unstable();
        done.get(done.len() / 2).copied().unwrap_or_default()
    }
}

/// A hash of words: what matters is that a difference shows.
#[derive(Debug)]
pub(super) struct Hash(u64);

impl Hash {
    pub(super) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(super) fn add(&mut self, words: &[u64]) {
        for word in words {
            self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3);
            self.0 ^= self.0 >> 29;
        }
    }

    pub(super) fn get(&self) -> u64 {
        self.0
    }
}
