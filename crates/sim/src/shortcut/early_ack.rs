//! Ack before commit: what the server takes for committed is durable only a little later.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hobnob_server::store::Store;
use hobnob_server::store::memory::MemoryStore;

use crate::chance::Chance;
use crate::hooks::{Hooked, Hooks, Replay};
use crate::sim::Sim;

/// Transactions that a crash loses, at most.
const LOST_MAX: u64 = 5;

/// A disk that loses the last transactions in a crash.
#[derive(Clone)]
pub(super) struct Disk {
    sim: Arc<Sim>,
    chance: Arc<Chance>,
    epoch: Bytes,
    journal: Arc<Mutex<Journal>>,
    store: Arc<Mutex<Arc<dyn Store>>>,
}

/// Every transaction, as the changes it made.
#[derive(Default)]
struct Journal {
    committed: Vec<Vec<Replay>>,
    open: Vec<Replay>,
}

impl Hooks for Journal {
    fn begin(&mut self) {
        self.open.clear();
    }

    fn end(&mut self, committed: bool) {
        let open = std::mem::take(&mut self.open);
        if committed && !open.is_empty() {
            self.committed.push(open);
        }
    }

    fn change(&mut self, replay: impl FnOnce() -> Replay) {
        self.open.push(replay());
    }
}

impl Disk {
    pub(super) fn new(sim: &Arc<Sim>, epoch: Bytes) -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(epoch.clone()));
        Self {
            sim: sim.clone(),
            chance: Arc::new(Chance::new(sim.seed, "early ack")),
            epoch,
            journal: Arc::default(),
            store: Arc::new(Mutex::new(store)),
        }
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        let inner = self.store.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Arc::new(Hooked::new(inner, self.journal.clone()))
    }

    /// Makes the disk what it was a few transactions ago.
    pub(super) fn crashed(&self) {
        let fresh = MemoryStore::new(self.epoch.clone());
        let mut journal = self.journal();
        let kept = journal.committed.len().saturating_sub(self.chance.within(0..=LOST_MAX) as usize);
        journal.committed.truncate(kept);
        for transaction in &journal.committed {
            let replayed = fresh.write(&mut |tx| transaction.iter().try_for_each(|change| change(tx)));
            debug_assert!(replayed.is_ok(), "what was committed once can be again");
        }
        self.sim.count("last commits lost");
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
    }
}
