//! The queue of what will happen, and the order of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use hobnob_peer::network::LinkEvent;
use hobnob_peer::talk::{Input, Invite};

use super::ledger::Ledger;
use super::people::Person;
use super::server::{Answer, Request, Server};
use super::shortcut::{Shortcut, TalkShortcut};
use super::trouble::Mood;
use super::wires::Wire;
use crate::chance::Chance;

/// After the last trouble: longer than anything may stand.
const SETTLED_AFTER: Duration = Duration::from_secs(900);
/// Until everything that was stopped in the end is gone.
const STOPPED_AFTER: Duration = Duration::from_secs(100);

/// What will happen.
#[derive(Debug)]
pub(super) enum Event {
    /// A person does something.
    Type {
        who: usize,
        life: u64,
    },
    /// A machine's deadline.
    Tick {
        who: usize,
        life: u64,
    },
    /// Something goes wrong.
    Trouble,
    /// A person's process starts again.
    Start {
        who: usize,
    },
    /// A process has ended, after what it had to say.
    End {
        who: usize,
        life: u64,
    },
    /// The network of a person works again.
    Heal {
        who: usize,
    },
    /// The server starts again.
    ServerStarts,
    // ---- a person's connection to the server
    Connect {
        who: usize,
        life: u64,
    },
    ToServer {
        who: usize,
        connection: u64,
        id: u64,
        request: Request,
    },
    ToPerson {
        who: usize,
        connection: u64,
        id: u64,
        answer: Answer,
    },
    PersonNotices {
        who: usize,
        connection: u64,
    },
    ServerNotices {
        who: usize,
        connection: u64,
    },
    GraceOver {
        who: usize,
        connection: u64,
    },
    ServerTick,
    /// A person's connection to the relay is found dead, or is made.
    Relay {
        who: usize,
        life: u64,
        up: bool,
    },
    // ---- links
    Attempted {
        who: usize,
        life: u64,
        number: u64,
        invite: Invite,
    },
    DialerUp {
        wire: u64,
        number: u64,
    },
    Pump {
        wire: u64,
    },
    Idle {
        wire: u64,
        side: usize,
        outage: u64,
    },
    Replaced {
        wire: u64,
        side: usize,
    },
    Finished {
        wire: u64,
        side: usize,
    },
}

/// Everything there is.
pub(super) struct World {
    pub(super) now: Duration,
    queue: BTreeMap<(Duration, u64), Event>,
    events: u64,
    pub(super) chance: Chance,
    pub(super) mood: Mood,
    pub(super) shortcut: Shortcut,
    pub(super) ledger: Ledger,
    pub(super) people: Vec<Person>,
    pub(super) server: Server,
    pub(super) wires: BTreeMap<u64, Wire>,
    /// Nothing goes wrong and nobody types any more.
    pub(super) calm: bool,
    names: u64,
}

impl World {
    pub(super) fn new(seed: u64, shortcut: Option<TalkShortcut>, keep_lines: bool) -> Self {
        let chance = Chance::new(seed, "talks");
        let mood = Mood::new(&chance);
        Self {
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            events: 0,
            people: (0..mood.people).map(Person::new).collect(),
            chance,
            mood,
            shortcut: Shortcut::new(shortcut),
            ledger: Ledger::new(keep_lines),
            server: Server::default(),
            wires: BTreeMap::new(),
            calm: false,
            names: 0,
        }
    }

    /// A whole run.
    pub(super) fn play(&mut self) {
        self.server.up = true;
        (0..self.people.len()).for_each(|who| self.start(who));
        self.after(self.mood.pause(&self.chance), Event::Trouble);
        self.run_until(self.mood.trouble);
        self.calm_down();
        self.run_until(self.now + SETTLED_AFTER);
        self.check_settled();
        self.stop_everything();
        self.run_until(self.now + STOPPED_AFTER);
        self.check_end();
    }

    fn run_until(&mut self, end: Duration) {
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= end) {
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            self.happen(event);
            self.refresh_wires();
        }
        self.now = end;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Type { who, life } => self.type_something(who, life),
            Event::Tick { who, life } => self.tick(who, life),
            Event::Trouble => self.trouble(),
            Event::Start { who } => self.start(who),
            Event::End { who, life } => self.end(who, life),
            Event::Heal { who } => self.heal(who),
            Event::ServerStarts => self.server_starts(),
            Event::Connect { who, life } => self.connect(who, life),
            Event::ToServer { who, connection, id, request } => self.at_server(who, connection, id, request),
            Event::ToPerson { who, connection, id, answer } => self.at_person(who, connection, id, answer),
            Event::PersonNotices { who, connection } => self.person_notices(who, connection),
            Event::ServerNotices { who, connection } => self.server_notices(who, connection),
            Event::GraceOver { who, connection } => self.grace_over(who, connection),
            Event::ServerTick => self.server_tick(),
            Event::Relay { who, life, up } => self.relay(who, life, up),
            Event::Attempted { who, life, number, invite } => self.attempted(who, life, number, invite),
            Event::DialerUp { wire, number } => self.dialer_up(wire, number),
            Event::Pump { wire } => self.pump(wire),
            Event::Idle { wire, side, outage } => self.idle(wire, side, outage),
            Event::Replaced { wire, side } => self.replaced(wire, side),
            Event::Finished { wire, side } => self.finished(wire, side),
        }
    }

    pub(super) fn at(&mut self, at: Duration, event: Event) {
        self.events += 1;
        self.queue.insert((at.max(self.now), self.events), event);
    }

    pub(super) fn after(&mut self, pause: Duration, event: Event) {
        self.at(self.now + pause, event);
    }

    /// A number that was never used before.
    pub(super) fn name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        self.ledger.line(self.now, what);
    }

    pub(super) fn link_event(&mut self, who: usize, event: LinkEvent) {
        self.input(who, Input::Link(event));
    }
}
