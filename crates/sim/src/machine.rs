//! The machine that the server runs on: starts it, kills it, keeps its disk.

mod shaky;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hobnob_client::link::BoxLink;
use hobnob_server::config::{InboxLimits, Policy};
use hobnob_server::hub::Hub;
use hobnob_server::node::{Boxed, Epoch, Node, Passwords};
use hobnob_server::reader::Reader;
use hobnob_server::store::{Secret, Store};
use hobnob_server::ticket::TicketKey;
use hobnob_server::{session, upkeep, writer};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::shaky::{Dying, Shaky, ShakyWake};
use crate::chance::Chance;
use crate::hooks::Hooked;
use crate::ledger::Kind;
use crate::pipe::{self, Fate};
use crate::shortcut::Shortcut;
use crate::sim::{Life, Sim, World, is_crash};
use crate::watch::{Order, Watched};

/// SHA-256 of the server's key, as far as anybody here is concerned.
pub(crate) const SERVER_KEY: [u8; 32] = [7; 32];

/// The machine.
pub(crate) struct Machine {
    sim: Arc<Sim>,
    chance: Chance,
    shortcut: Shortcut,
    world: Arc<World>,
    running: Mutex<Option<Running>>,
    /// The server died by itself: somebody should call [`Machine::kill`].
    pub(crate) died: Arc<Notify>,
}

/// The server while it runs.
struct Running {
    node: Arc<Node>,
    life: Life,
    tasks: JoinSet<()>,
    fates: Vec<std::sync::Weak<Fate>>,
}

/// Passwords that cost nothing.
struct PlainPasswords;

impl Passwords for PlainPasswords {
    fn hash(&self, password: String) -> Boxed<'_, Secret> {
        Box::pin(std::future::ready(Secret(password)))
    }

    fn verify(&self, password: String, hash: Option<Secret>) -> Boxed<'_, bool> {
        Box::pin(std::future::ready(hash == Some(Secret(password))))
    }
}

impl Machine {
    pub(crate) fn new(sim: &Arc<Sim>, shortcut: Shortcut) -> Arc<Self> {
        Arc::new(Self {
            sim: sim.clone(),
            chance: Chance::new(sim.seed, "machine"),
            shortcut,
            world: World::new(sim, "server"),
            running: Mutex::default(),
            died: Arc::default(),
        })
    }

    fn policy(&self) -> Policy {
        let mood = &self.sim.mood;
        let policy = Policy::default();
        Policy {
            send_rate: mood.send_rate,
            inbox: InboxLimits { entries: mood.inbox_entries, ..policy.inbox },
            sweep_period: self.shortcut.sweep_period().unwrap_or(policy.sweep_period),
            ..policy
        }
    }

    /// Starts the server on what the disk holds.
    pub(crate) async fn start(&self) {
        let life = Life::default();
        let dying = Dying { sim: self.sim.clone(), life: life.clone(), died: self.died.clone() };
        let disk = Hooked::new(self.shortcut.disk(), self.sim.chronicle.clone());
        let chance = Chance::new(self.chance.next(), "store");
        let store: Arc<dyn Store> = Arc::new(Shaky { inner: Arc::new(disk), chance, dying: dying.clone() });
        let (writer, queue) = writer::queue();
        let hub = Arc::new(Hub::default());
        let wake = ShakyWake {
            inner: self.shortcut.wake(hub.clone()),
            chance: Chance::new(self.chance.next(), "wake"),
            dying,
            late: Mutex::default(),
        };
        let node = Arc::new(Node {
            policy: self.policy().into(),
            server_key: Bytes::from_static(&SERVER_KEY),
            reader: Reader::inline(store.clone()),
            writer,
            hub,
            wake: Arc::new(wake),
            passwords: Arc::new(PlainPasswords),
            throttle: Default::default(),
            gate: Default::default(),
            invites: Default::default(),
            shares: Default::default(),
            tickets: TicketKey::new(&[7; 32]),
            relay: None,
            security: Default::default(),
            epoch: Arc::new(Epoch::new(store.epoch().expect("memory can be read"))),
            world: self.world.clone(),
            shutdown: CancellationToken::new(),
        });
        let mut tasks = JoinSet::new();
        let pauses = Chance::new(self.chance.next(), "writer");
        tasks.spawn(life.clone().task(async move {
            queue.run_inline(&*store, || tokio::time::sleep(pauses.ms(0..=4))).await;
        }));
        if let Err(error) = upkeep::restore_sessions(&node).await {
            self.sim.ledger.problem(Kind::Ended, format!("the server does not start: {error}"));
        }
        tasks.spawn(life.clone().task(upkeep::sweep(node.clone())));
        tasks.spawn(life.clone().task(upkeep::expire(node.clone())));
        tasks.spawn(life.clone().task(upkeep::trim(node.clone())));
        self.sim.trace.note(format_args!("server starts"));
        *self.running() = Some(Running { node, life, tasks, fates: Vec::new() });
    }

    /// Asks the server to stop. Nobody waits for it: what is not done when it is killed is not done.
    pub(crate) fn stop(&self) {
        if let Some(running) = &*self.running() {
            running.node.shutdown.cancel();
        }
    }

    /// Kills the server. Connections end in the way of `how`.
    pub(crate) fn kill(&self, how: Death) {
        let Some(running) = self.running().take() else { return };
        running.life.end();
        for fate in running.fates.iter().filter_map(std::sync::Weak::upgrade) {
            match how {
                Death::Killed => {}
                Death::Reset => fate.cut(),
                Death::PowerCut => fate.silence(),
            }
        }
        self.reap(running.tasks);
        self.shortcut.crashed();
    }

    pub(crate) fn is_up(&self) -> bool {
        self.running().is_some()
    }

    /// A client connects; none if nobody listens.
    pub(crate) fn connect(&self, fate: &Arc<Fate>, number: u64, person: usize) -> Option<BoxLink> {
        let mut running = self.running();
        let running = running.as_mut()?;
        let (server, client) = pipe::connection(fate, number);
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, person as u8));
        let waiting = running.node.throttle.wait(address.into());
        let link = Watched::new(server, Order::new(&self.sim, number), self.shortcut.server_tap());
        running.tasks.spawn(running.life.clone().task(session::serve(
            running.node.clone(),
            link,
            address,
            waiting,
        )));
        running.fates.retain(|fate| fate.strong_count() > 0);
        running.fates.push(Arc::downgrade(fate));
        Some(Box::new(client))
    }

    /// Whether every task that ended did so by itself, or because it was killed.
    fn reap(&self, mut tasks: JoinSet<()>) {
        tasks.abort_all();
        while let Some(ended) = tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
                && !is_crash(&*error.into_panic())
            {
                self.sim.ledger.problem(Kind::Ended, "a task of the server panicked".to_owned());
            }
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the server's end looks from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Death {
    /// What is under way still arrives.
    Killed,
    /// What is under way is lost.
    Reset,
    /// The same, and nobody is told.
    PowerCut,
}

/// How long a machine may be down.
pub(crate) fn downtime(chance: &Chance) -> Duration {
    if chance.per_mille(200) { chance.ms(10_000..=50_000) } else { chance.ms(50..=4_000) }
}
