//! The people: each a real machine, what its client does for it, and what the person types.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hobnob_peer::keys::Keys;
use hobnob_peer::network::LinkEvent;
use hobnob_peer::talk::{Effect, Input, Invite, Talks};
use hobnob_protocol::v1;

use super::ledger::Cause;
use super::server::{Answer, Request};
use super::wires::Place;
use super::world::{Event, World};

pub(super) const NAMES: [&str; 3] = ["Ann", "Bob", "Cyn"];

/// One person and the process that serves it.
pub(super) struct Person {
    pub(super) talks: Talks,
    /// Counts processes.
    pub(super) life: u64,
    pub(super) running: bool,
    /// It was killed, and has told nobody.
    pub(super) killed: bool,
    /// It types nothing more.
    leaves: bool,
    /// It has said good-bye.
    left: bool,
    pub(super) isolated: bool,
    /// As on disk.
    keys: String,
    tick_at: Option<Duration>,
    // ---- the client
    pub(super) connection: Option<u64>,
    /// Requests without an answer.
    pub(super) waiting: VecDeque<(u64, Request)>,
    // ---- the network
    pub(super) board: BTreeMap<Invite, Place>,
    pub(super) address: u64,
    pub(super) relay: bool,
    texts: u64,
}

impl Person {
    pub(super) fn new(who: usize) -> Self {
        Self {
            talks: Talks::new(NAMES[who], key(who), Keys::default()),
            life: 0,
            running: false,
            killed: false,
            leaves: false,
            left: false,
            isolated: false,
            keys: String::new(),
            tick_at: None,
            connection: None,
            waiting: VecDeque::new(),
            board: BTreeMap::new(),
            address: 1,
            relay: false,
            texts: 0,
        }
    }

    /// Where it is, for others to know.
    pub(super) fn contact(&self) -> v1::Contact {
        v1::Contact {
            addresses: vec![format!("192.0.2.1:{}", self.address)],
            relay: self.relay,
            tcp: Vec::new(),
        }
    }
}

/// A person's device key.
pub(super) fn key(who: usize) -> [u8; 32] {
    [who as u8 + 1; 32]
}

pub(super) fn person(name: &str) -> Option<usize> {
    NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))
}

impl World {
    /// A new process of a person, unless one runs.
    pub(super) fn start(&mut self, who: usize) {
        let person = &mut self.people[who];
        if person.running {
            return;
        }
        let keys = std::mem::take(&mut person.keys);
        *person = Person {
            talks: Talks::new(NAMES[who], key(who), Keys::from_text(&keys)),
            life: person.life + 1,
            running: true,
            isolated: person.isolated,
            keys,
            address: person.address + 1,
            texts: person.texts,
            ..Person::new(who)
        };
        let life = person.life;
        self.shortcut.restarted(who);
        self.note(|| format!("{who} starts, life {life}"));
        self.after(Duration::ZERO, Event::Connect { who, life });
        self.try_relay(who);
    }

    /// The process is gone.
    pub(super) fn end(&mut self, who: usize, life: u64) {
        if !self.people[who].running || self.people[who].life != life {
            return;
        }
        self.people[who].running = false;
        self.ledger.over(who, life, self.people[who].killed);
        self.silence_connection(who);
    }

    pub(super) fn type_something(&mut self, who: usize, life: u64) {
        let person = &self.people[who];
        if self.calm || !person.running || person.leaves || person.life != life {
            return;
        }
        let pause = self.chance.ms(1..=self.mood.typing_ms);
        self.after(pause, Event::Type { who, life });
        let others: Vec<_> = (0..self.people.len()).filter(|other| *other != who).collect();
        let other = *self.chance.pick(&others);
        let name = NAMES[other].to_owned();
        let input = match self.chance.next() % 100 {
            0..10 => Input::Start(name.to_lowercase()),
            10..26 => Input::Answer { user: None, accept: true },
            26..28 => Input::Answer { user: None, accept: false },
            28..34 => Input::Answer { user: Some(name), accept: true },
            34..94 => return self.write_somebody(who, other),
            94..96 => return self.block(who, other),
            96..98 if self.chance.per_mille(self.mood.restless) => Input::Stop(name),
            98 if self.chance.per_mille(self.mood.restless) => {
                self.people[who].leaves = true;
                Input::Leave
            }
            _ => Input::Path(name),
        };
        self.input(who, input);
    }

    /// Mostly to those who listen.
    fn write_somebody(&mut self, who: usize, other: usize) {
        let talks = self.ledger.talks_with(who, self.people[who].life);
        let heard = !talks.is_empty() && self.chance.per_mille(900);
        let to = if heard { *self.chance.pick(&talks) } else { other };
        if heard || self.chance.per_mille(100) {
            self.write(who, to);
        }
    }

    fn write(&mut self, who: usize, to: usize) {
        if self.people[who].talks.is_full() {
            return;
        }
        self.people[who].texts += 1;
        let number = self.people[who].texts;
        self.ledger.typed = Some((to, number));
        let text = format!("{who} {} {number}", self.people[who].life);
        self.input(who, Input::Private { to: NAMES[to].to_owned(), text });
    }

    fn block(&mut self, who: usize, other: usize) {
        let on = self.chance.per_mille(300);
        self.request(who, Request::Block { user: other, on });
        self.input(who, Input::Block { user: NAMES[other].to_owned(), on });
    }

    /// Something happens to a person's machine.
    pub(super) fn input(&mut self, who: usize, input: Input) {
        if !self.people[who].running || self.people[who].left {
            return;
        }
        self.note(|| format!("{who} < {input:?}"));
        let cause = match &input {
            Input::Link(LinkEvent::Up { invite, .. }) => Cause::Up(invite.clone()),
            Input::Server(_) => Cause::Server,
            _ => Cause::Other,
        };
        let input = self.shortcut.input(who, input);
        let now = self.shortcut.clock(self.now);
        let effects = self.people[who].talks.handle(input, now);
        let effects: Vec<_> = effects.into_iter().filter_map(|it| self.shortcut.effect(who, it)).collect();
        self.ledger.told(self.now, who, self.people[who].life, &effects, &cause);
        for effect in effects {
            self.carry_out(who, effect);
        }
        self.plan_tick(who);
    }

    fn plan_tick(&mut self, who: usize) {
        let person = &mut self.people[who];
        let deadline = person.talks.deadline().filter(|_| !self.shortcut.has_no_clock());
        if deadline != person.tick_at {
            person.tick_at = deadline;
            let life = person.life;
            deadline.into_iter().for_each(|at| self.at(at, Event::Tick { who, life }));
        }
    }

    pub(super) fn tick(&mut self, who: usize, life: u64) {
        let person = &mut self.people[who];
        if person.life == life && person.tick_at == Some(self.now) {
            person.tick_at = None;
            self.input(who, Input::Tick);
        }
    }

    fn carry_out(&mut self, who: usize, effect: Effect) {
        match effect {
            Effect::Invite(user) => self.request(who, Request::Invite(user)),
            Effect::Answer { invite, accept } => self.request(who, Request::Answer { invite, accept }),
            Effect::Cancel(invite) => self.request(who, Request::Cancel(invite)),
            Effect::MaySee(user) => self.request(who, Request::MaySee(user)),
            Effect::Expect { invite, key } => self.expect(who, invite, key),
            Effect::Dial { invite, key, contact } => self.dial(who, invite, key, contact),
            Effect::Forget(invite) => self.forget(who, &invite),
            Effect::Send { link, frame } => self.send(who, link, frame),
            Effect::Close(link) => self.close(who, link),
            Effect::SaveKeys => self.people[who].keys = self.people[who].talks.keys().to_text(),
            Effect::Done => self.leave(who),
            Effect::Active | Effect::Prepare | Effect::Tell(_) => {}
        }
    }

    /// Everything is said: the session ends, and the process when its links are closed.
    fn leave(&mut self, who: usize) {
        self.ledger.count("logout");
        self.request(who, Request::LogOut);
        let life = self.people[who].life;
        self.people[who].left = true;
        self.after(Duration::from_secs(2), Event::End { who, life });
        let pause = self.chance.ms(3_000..=60_000);
        self.after(pause, Event::Start { who });
    }

    // ---------------------------------------------------------------- the client

    /// Asks the server, as the client does: what makes sense only now comes to nothing without a connection,
    /// the rest is kept for the next.
    pub(super) fn request(&mut self, who: usize, request: Request) {
        let id = self.name();
        if self.people[who].connection.is_some() {
            self.give(who, id, request.clone());
        } else if request.is_for_now() {
            return self.came_to_nothing(who, request);
        }
        self.people[who].waiting.push_back((id, request));
    }

    fn came_to_nothing(&mut self, who: usize, request: Request) {
        match request {
            Request::Invite(typed) => self.input(who, Input::Invited { typed, answer: None }),
            Request::MaySee(user) => self.input(who, Input::Sight { user, may: true }),
            _ => {}
        }
    }

    /// The client finds its connection dead.
    pub(super) fn person_notices(&mut self, who: usize, connection: u64) {
        if self.people[who].connection != Some(connection) {
            return;
        }
        self.people[who].connection = None;
        let waiting = std::mem::take(&mut self.people[who].waiting);
        let (lost, kept) = waiting.into_iter().partition(|(_, request)| request.is_for_now());
        self.people[who].waiting = kept;
        let lost: VecDeque<(u64, Request)> = lost;
        self.input(who, Input::ServerUp(false));
        lost.into_iter().for_each(|(_, request)| self.came_to_nothing(who, request));
        let (life, pause) = (self.people[who].life, self.chance.ms(100..=3_000));
        self.after(pause, Event::Connect { who, life });
    }

    /// Something of the server's arrives.
    pub(super) fn at_person(&mut self, who: usize, connection: u64, id: u64, answer: Answer) {
        let person = &mut self.people[who];
        let gets_through = !person.isolated && self.server.is_alive(connection);
        if !person.running || person.connection != Some(connection) || !gets_through {
            return;
        }
        let asked = person.waiting.iter().position(|(one, _)| *one == id);
        let asked = asked.and_then(|at| person.waiting.remove(at)).map(|(_, request)| request);
        match (answer, asked) {
            (Answer::Event(event), _) => self.input(who, Input::Server(event)),
            (Answer::Invited(answer), Some(Request::Invite(typed))) => {
                self.input(who, Input::Invited { typed, answer: Some(answer) });
            }
            (Answer::Invited(_), Some(Request::Answer { invite, .. })) => {
                self.input(who, Input::Gone(invite))
            }
            (Answer::Sight(may), Some(Request::MaySee(user))) => self.input(who, Input::Sight { user, may }),
            _ => {}
        }
    }
}
