//! One run: people talk while things go wrong, then all gets quiet and is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hobnob_client::{Address, Config, Parts, Slot};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::chance::Chance;
use crate::check;
use crate::disk::{Disk, OnDisk};
use crate::ledger::{Kind, Problem};
use crate::machine::{Death, Machine, downtime};
use crate::mood::Mood;
use crate::net::{Net, Way};
use crate::person::{Order, Person, State};
use crate::shortcut::{Shortcut, Which};
use crate::sim::{Sim, World};

/// What came out of a run.
#[derive(Debug)]
pub struct Report {
    /// By which it can be had again.
    pub seed: u64,
    /// What was wrong; nothing, if the product is right.
    pub problems: Vec<Problem>,
    /// Hash over everything that happened, frame by frame: the same for the same seed.
    pub hash: u64,
    /// The log, if it was asked for.
    pub lines: Vec<String>,
    /// What went wrong by intention, and other things worth counting.
    pub counts: BTreeMap<&'static str, u64>,
}

/// Longest simulated time until all is quiet: a dead connection is noticed after 45 s, and so is the next.
const QUIET_WITHIN: Duration = Duration::from_secs(200);
/// How long it has to stay quiet: two sweeps and then some, for what might come twice.
const QUIET_FOR: Duration = Duration::from_secs(11);
const NAMES: [&str; 5] = ["ann", "bob", "cyn", "dan", "eve"];

/// Runs one seed, with a shortcut if one is given.
///
/// # Panics
/// If the operating system gives no runtime.
#[must_use]
pub fn run(seed: u64, which: Option<Which>, keep_trace: bool) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing");
    // A door's futures stay on their thread.
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let sim = Sim::new(seed, Mood::new(seed), keep_trace);
        Play::new(&sim, which).run().await;
        let problems = std::mem::take(&mut sim.ledger.book().problems);
        let (hash, lines) = sim.trace.take();
        Report { seed, problems, hash, lines, counts: sim.counts() }
    })
}

/// Everything on the stage.
struct Play {
    sim: Arc<Sim>,
    chance: Chance,
    machine: Arc<Machine>,
    net: Arc<Net>,
    people: Vec<Role>,
    tasks: JoinSet<()>,
    /// When a dead server is started again.
    restart_at: Option<Instant>,
}

/// One person, as seen from the director's chair.
struct Role {
    name: String,
    orders: mpsc::Sender<Order>,
    disk: Arc<Disk>,
    state: Arc<Mutex<State>>,
}

impl Role {
    fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Play {
    fn new(sim: &Arc<Sim>, which: Option<Which>) -> Self {
        let shortcut = Shortcut::new(which, sim);
        let machine = Machine::new(sim, shortcut.clone());
        let net = Net::new(sim, &machine, shortcut);
        let chance = Chance::new(sim.seed, "play");
        let mut play = Self {
            sim: sim.clone(),
            chance,
            machine,
            net,
            people: Vec::new(),
            tasks: JoinSet::new(),
            restart_at: None,
        };
        for index in 0..sim.mood.people {
            play.cast(index);
        }
        play
    }

    fn cast(&mut self, index: usize) {
        let (sim, name) = (&self.sim, NAMES[index].to_owned());
        let (orders_in, orders) = mpsc::channel(4);
        let disk = Disk::new(sim, &name);
        let address = Address { host: "sim".to_owned(), port: 4000, plain: false };
        let config = Config {
            address: address.clone(),
            data: PathBuf::new(),
            pin: None,
            agent: "sim".to_owned(),
            slot: Slot::Chat,
        };
        let chance = Chance::new(sim.seed, &format!("way of {name}"));
        let way = Way { net: self.net.clone(), person: index, disk: disk.clone(), address, chance };
        let parts = Parts {
            connector: Arc::new(way),
            storage: Arc::new(OnDisk(disk.clone())),
            random: World::new(sim, &format!("client of {name}")),
        };
        let chance = Chance::new(sim.seed, &name);
        let last_words = chance.within(2..=4);
        let state = Arc::new(Mutex::new(State { last_words, ..State::default() }));
        let others = NAMES[..sim.mood.people].iter().filter(|other| **other != name);
        let person = Person {
            sim: sim.clone(),
            net: self.net.clone(),
            index,
            name: name.clone(),
            others: others.map(|other| (*other).to_owned()).collect(),
            chance,
            disk: disk.clone(),
            config,
            parts,
            orders,
            state: state.clone(),
            block_told: BTreeSet::new(),
            typed: 0,
            last_words,
        };
        self.tasks.spawn_local(person.live());
        self.people.push(Role { name, orders: orders_in, disk, state });
    }

    async fn run(mut self) {
        self.machine.start().await;
        self.trouble().await;
        self.sim.calm_down();
        self.net.mend();
        self.restart_at = self.restart_at.map(|_| Instant::now());
        self.quiet().await;
        self.wait(QUIET_FOR).await;
        self.ask().await;
        let people: Vec<_> = self.people.iter().map(|role| (role.name.clone(), role.state())).collect();
        check::check(&self.sim, &people);
        self.tasks.shutdown().await;
        self.machine.kill(Death::Killed);
    }

    async fn trouble(&mut self) {
        let end = Instant::now() + self.sim.mood.trouble;
        while Instant::now() < end {
            let pause = self.chance.ms(1..=self.sim.mood.trouble_ms);
            self.wait(pause.min(end - Instant::now())).await;
            self.make_trouble().await;
        }
    }

    /// Lets time pass, and sees to the machine meanwhile.
    async fn wait(&mut self, span: Duration) {
        let end = Instant::now() + span;
        loop {
            let restart_at = self.restart_at.unwrap_or(end);
            let machine = self.machine.clone();
            tokio::select! {
                biased;
                () = machine.died.notified() => self.kill(),
                () = sleep_until(restart_at), if self.restart_at.is_some() => {
                    self.restart_at = None;
                    self.machine.start().await;
                }
                () = sleep_until(end) => return,
            }
        }
    }

    fn kill(&mut self) {
        let death = *self.chance.pick(&[Death::Killed, Death::Reset, Death::PowerCut]);
        if self.machine.is_up() {
            self.sim.trace.note(format_args!("server dies: {death:?}"));
            self.machine.kill(death);
            let down = if self.sim.is_calm() { Duration::ZERO } else { downtime(&self.chance) };
            self.restart_at = Some(Instant::now() + down);
        }
    }

    async fn make_trouble(&mut self) {
        let person = self.chance.within(0..=self.people.len() as u64 - 1) as usize;
        let away = downtime(&self.chance);
        let order = |order| {
            // A person who has not yet obeyed the last ones has enough trouble.
            let _ = self.people[person].orders.try_send(order);
        };
        match self.chance.next() % 100 {
            0..20 => {
                self.sim.count("server crash");
                self.kill();
            }
            20..25 => {
                self.sim.count("server stopped");
                self.machine.stop();
                self.wait(self.chance.ms(1..=4000)).await;
                self.kill();
            }
            25..45 => {
                self.sim.count("connection cut");
                self.net.cut(person);
            }
            45..55 => {
                self.sim.count("connection silenced");
                self.net.silence(person);
            }
            55..65 => {
                self.sim.count("person isolated");
                self.net.isolate(person, self.chance.ms(1_000..=90_000));
            }
            65..85 => {
                self.sim.count("client crash");
                order(Order::Crash(away));
            }
            85..95 => {
                self.sim.count("logout");
                order(Order::LogOut(away));
            }
            _ => {
                self.sim.count("client left");
                order(Order::Leave(away));
            }
        }
    }

    /// Waits until everybody is online and has got everything.
    async fn quiet(&mut self) {
        let end = Instant::now() + QUIET_WITHIN;
        while !self.is_quiet() {
            if Instant::now() >= end {
                return self.say_who_is_not_quiet();
            }
            self.wait(Duration::from_millis(500)).await;
        }
        self.sim.trace.note(format_args!("quiet"));
    }

    fn is_quiet(&self) -> bool {
        let sound = (0..self.people.len()).all(|person| self.net.is_sound(person));
        sound && self.machine.is_up() && self.people.iter().all(|role| self.what_keeps(role).is_none())
    }

    /// Why a person is not quiet.
    fn what_keeps(&self, role: &Role) -> Option<String> {
        let (state, cursor, waiting) = (role.state(), role.disk.cursor(), role.disk.waiting().len());
        let heads = self.sim.truth(|truth| (truth.head(Some(&role.name)), truth.head(None)));
        let quiet = state.online
            && state.unanswered == 0
            && state.last_words == 0
            && waiting == 0
            && (cursor.inbox, cursor.broadcast) == heads;
        (!quiet).then(|| format!("{}: {waiting} wait, {cursor:?} of {heads:?}, {state:?}", role.name))
    }

    fn say_who_is_not_quiet(&self) {
        for what in self.people.iter().filter_map(|role| self.what_keeps(role)) {
            self.sim.ledger.problem(Kind::Stuck, what);
        }
    }

    /// Lets everybody ask who is there.
    async fn ask(&mut self) {
        for role in &self.people {
            let mut state = role.state.lock().unwrap_or_else(PoisonError::into_inner);
            (state.here, state.blocks) = (None, None);
            drop(state);
            // Who does not take it has no answer in the end, and that is found.
            let _ = role.orders.try_send(Order::Ask);
        }
        sleep(Duration::from_secs(5)).await;
    }
}
