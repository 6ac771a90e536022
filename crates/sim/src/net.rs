//! The network between the clients and the machine.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hobnob_client::link::{Connected, Connector};
use hobnob_client::{Address, OpenError};
use tokio::time::{Instant, sleep};

use crate::chance::Chance;
use crate::disk::Disk;
use crate::machine::{Machine, SERVER_KEY};
use crate::pipe::Fate;
use crate::shortcut::Shortcut;
use crate::sim::Sim;
use crate::watch::{ClientTap, Honesty, LosesEntries, Tapped};

/// A person's latest connection.
struct Connection {
    fate: Weak<Fate>,
    /// Whether it has lost entries.
    tainted: Arc<AtomicBool>,
}

/// The network.
pub(crate) struct Net {
    sim: Arc<Sim>,
    machine: Arc<Machine>,
    shortcut: Shortcut,
    next: AtomicU64,
    /// By person.
    connections: Mutex<BTreeMap<usize, Connection>>,
    /// Until when nothing reaches a person.
    unreachable: Mutex<BTreeMap<usize, Instant>>,
}

impl Net {
    pub(crate) fn new(sim: &Arc<Sim>, machine: &Arc<Machine>, shortcut: Shortcut) -> Arc<Self> {
        Arc::new(Self {
            sim: sim.clone(),
            machine: machine.clone(),
            shortcut,
            next: AtomicU64::new(1),
            connections: Mutex::default(),
            unreachable: Mutex::default(),
        })
    }

    fn connections(&self) -> MutexGuard<'_, BTreeMap<usize, Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fate(&self, person: usize) -> Option<Arc<Fate>> {
        self.connections().get(&person).and_then(|connection| connection.fate.upgrade())
    }

    /// Whether a person's connection is what it seems to be.
    pub(crate) fn is_sound(&self, person: usize) -> bool {
        self.fate(person).is_some_and(|fate| !fate.is_silent())
    }

    /// Cuts a person's connection; both ends notice.
    pub(crate) fn cut(&self, person: usize) {
        if let Some(fate) = self.fate(person) {
            fate.cut();
        }
    }

    /// The same, and neither end notices.
    pub(crate) fn silence(&self, person: usize) {
        if let Some(fate) = self.fate(person) {
            fate.silence();
        }
    }

    /// Nothing reaches a person for a while.
    pub(crate) fn isolate(&self, person: usize, span: Duration) {
        self.unreachable.lock().unwrap_or_else(PoisonError::into_inner).insert(person, Instant::now() + span);
        self.silence(person);
    }

    /// Everybody can be reached again; connections that have lost entries go.
    pub(crate) fn mend(&self) {
        self.unreachable.lock().unwrap_or_else(PoisonError::into_inner).clear();
        for connection in self.connections().values().filter(|one| one.tainted.load(Ordering::Relaxed)) {
            if let Some(fate) = connection.fate.upgrade() {
                fate.cut();
            }
        }
    }

    fn is_reachable(&self, person: usize) -> bool {
        let unreachable = self.unreachable.lock().unwrap_or_else(PoisonError::into_inner);
        unreachable.get(&person).is_none_or(|until| *until <= Instant::now())
    }

    fn tap(&self, number: u64, tainted: &Arc<AtomicBool>) -> Option<Box<dyn ClientTap>> {
        if let Some(tap) = self.shortcut.client_tap(&self.sim, number) {
            return Some(tap);
        }
        (self.sim.mood.lost_entry > 0)
            .then(|| Box::new(LosesEntries::new(&self.sim, number, tainted.clone())) as Box<dyn ClientTap>)
    }
}

/// One person's way to the server.
pub(crate) struct Way {
    pub(crate) net: Arc<Net>,
    pub(crate) person: usize,
    pub(crate) disk: Arc<Disk>,
    pub(crate) address: Address,
    pub(crate) chance: Chance,
}

impl Way {
    async fn make(&self) -> Result<Connected, OpenError> {
        let (net, sim) = (&self.net, &self.net.sim);
        if !sim.is_calm() && self.chance.per_mille(sim.mood.hanging_connect) {
            sim.count("connecting hangs");
            std::future::pending::<()>().await;
        }
        sleep(self.chance.ms(1..=30)).await;
        let number = net.next.fetch_add(1, Ordering::Relaxed);
        let fate = Fate::new(sim, number);
        let link = net.is_reachable(self.person).then(|| net.machine.connect(&fate, number, self.person));
        let Some(link) = link.flatten() else {
            return Err(OpenError::NoServer(self.address.clone()));
        };
        sim.trace.note(format_args!("#{number} connects {}", self.person));
        let tainted = Arc::new(AtomicBool::new(false));
        let tap = net.tap(number, &tainted);
        net.connections().insert(self.person, Connection { fate: Arc::downgrade(&fate), tainted });
        let link = Box::new(Tapped::new(link, Honesty::new(sim, &self.disk), tap));
        Ok(Connected { link, key: Some(SERVER_KEY), first_contact: None, tls: true })
    }
}

impl Connector for Way {
    fn connect(&self) -> Pin<Box<dyn Future<Output = Result<Connected, OpenError>> + Send + '_>> {
        Box::pin(self.make())
    }
}
