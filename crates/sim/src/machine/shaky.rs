//! A store and a hub that fail at times, and a server that dies in between.

use std::sync::{Arc, Mutex, PoisonError};

use hobnob_server::hub::{Committed, Wake};
use hobnob_server::mailbox::Round;
use hobnob_server::store::{Entry, Result, Store, StoreError, StreamId, Tx};
use tokio::sync::Notify;

use crate::chance::Chance;
use crate::hooks::{pass_other_reads, pass_reads};
use crate::sim::{Life, Sim, crash};

/// How a server dies from inside.
#[derive(Clone)]
pub(super) struct Dying {
    pub(super) sim: Arc<Sim>,
    pub(super) life: Life,
    pub(super) died: Arc<Notify>,
}

impl Dying {
    /// Now: nothing of it runs on.
    fn now(&self, how: &'static str) {
        self.sim.count(how);
        self.life.end();
        self.died.notify_one();
        crash();
    }
}

/// A store that fails at times, and a server that dies when it has just committed.
pub(super) struct Shaky {
    pub(super) inner: Arc<dyn Store>,
    pub(super) chance: Chance,
    pub(super) dying: Dying,
}

impl Shaky {
    fn rolls(&self, per_mille: u64) -> bool {
        !self.dying.sim.is_calm() && self.chance.per_mille(per_mille)
    }
}

impl Store for Shaky {
    fn write(&self, work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>) -> Result<()> {
        if self.rolls(self.dying.sim.mood.failed_write) {
            self.dying.sim.count("write failed");
            return Err(StoreError::Full);
        }
        self.inner.write(work)?;
        if self.rolls(self.dying.sim.mood.crash_after_commit) {
            self.dying.now("server crash after a commit");
        }
        Ok(())
    }

    fn entries(
        &self,
        stream: StreamId,
        after: u64,
        entries_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Entry>> {
        if self.rolls(self.dying.sim.mood.failed_read) {
            self.dying.sim.count("read failed");
            return Err(StoreError::Database("a read failed".to_owned()));
        }
        self.inner.entries(stream, after, entries_max, bytes_max)
    }

    pass_other_reads!(inner);
    pass_reads! { inner: heads(streams: &[StreamId]) -> Vec<u64>; }
}

/// Wake-ups that get lost, come twice or late, or never because the server died.
pub(super) struct ShakyWake {
    pub(super) inner: Arc<dyn Wake>,
    pub(super) chance: Chance,
    pub(super) dying: Dying,
    pub(super) late: Mutex<Option<Committed>>,
}

impl Wake for ShakyWake {
    fn wake(&self, entry: &Committed, round: &mut Round) {
        let sim = &self.dying.sim;
        let mood = &sim.mood;
        // Lost ones are counted on when all is calm, too: the sweep has to find them.
        if self.chance.per_mille(mood.lost_wake) {
            return sim.count("wake-up lost");
        }
        let calm = sim.is_calm();
        if !calm && self.chance.per_mille(mood.crash_at_wake) {
            return self.dying.now("server crash between answer and wake-up");
        }
        if !calm && self.chance.per_mille(mood.late_wake) {
            sim.count("wake-up late");
            let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
            if late.is_none() {
                *late = Some(entry.clone());
                return;
            }
        }
        self.inner.wake(entry, round);
        if !calm && self.chance.per_mille(mood.doubled_wake) {
            sim.count("wake-up doubled");
            self.inner.wake(entry, round);
        }
        let late = self.late.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(late) = late {
            self.inner.wake(&late, round);
        }
    }
}
