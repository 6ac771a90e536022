//! Number before commit: an entry has its number, but is not there yet when younger ones are. What reads the stream
//! meanwhile sees a hole.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hobnob_server::hub::{Committed, Wake};
use hobnob_server::mailbox::Round;
use hobnob_server::store::{Entry, Result, Store, StreamId, Tx};
use tokio::time::Instant;

use crate::chance::Chance;
use crate::hooks::{pass_other_reads, pass_reads};
use crate::sim::Sim;

/// Entries of a thousand that are late.
const LATE_PER_MILLE: u64 = 100;

/// A disk on which some entries appear late.
pub(super) struct Disk {
    sim: Arc<Sim>,
    chance: Chance,
    inner: Arc<dyn Store>,
    late: Mutex<BTreeMap<(StreamId, u64), Instant>>,
}

impl Disk {
    pub(super) fn new(sim: &Arc<Sim>, inner: Arc<dyn Store>) -> Self {
        let chance = Chance::new(sim.seed, "early number");
        Self { sim: sim.clone(), chance, inner, late: Mutex::default() }
    }

    fn late(&self) -> MutexGuard<'_, BTreeMap<(StreamId, u64), Instant>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_there(&self, stream: StreamId, seq: u64) -> bool {
        self.late().get(&(stream, seq)).is_none_or(|until| *until <= Instant::now())
    }
}

impl Store for Disk {
    fn write(&self, work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>) -> Result<()> {
        self.inner.write(work)
    }

    fn entries(
        &self,
        stream: StreamId,
        after: u64,
        entries_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Entry>> {
        let mut entries = self.inner.entries(stream, after, entries_max, bytes_max)?;
        entries.retain(|entry| self.is_there(stream, entry.seq));
        Ok(entries)
    }

    pass_other_reads!(inner);
    pass_reads! { inner: heads(streams: &[StreamId]) -> Vec<u64>; }
}

/// The wake-up of a late entry would come with its commit; by then it is too late for it, so it does not come.
pub(super) struct LateWake {
    inner: Arc<dyn Wake>,
    disk: Arc<Disk>,
}

impl LateWake {
    pub(super) fn new(inner: Arc<dyn Wake>, disk: Arc<Disk>) -> Self {
        Self { inner, disk }
    }
}

impl Wake for LateWake {
    fn wake(&self, entry: &Committed, round: &mut Round) {
        if self.disk.chance.per_mille(LATE_PER_MILLE) {
            self.disk.sim.count("entry late");
            let until = Instant::now() + self.disk.chance.ms(20..=500);
            self.disk.late().insert((entry.stream, entry.seq), until);
        } else {
            self.inner.wake(entry, round);
        }
    }
}
