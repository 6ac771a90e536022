//! What goes wrong, and how often.

use std::time::Duration;

use super::world::{Event, World};
use crate::chance::Chance;

/// How wild a run is.
#[derive(Debug)]
pub(super) struct Mood {
    pub(super) people: usize,
    pub(super) trouble: Duration,
    /// Longest pause between two troubles.
    trouble_ms: u64,
    /// Longest pause between two things that a person does.
    pub(super) typing_ms: u64,
    /// In a thousand: wishes to stop or to log out that are followed.
    pub(super) restless: u64,
    /// Longest way of a frame.
    pub(super) delay_ms: u64,
    /// The pairs whose links can do without the relay: Ann and Bob, Ann and Cyn, Bob and Cyn.
    pub(super) direct: [bool; 3],
}

impl Mood {
    pub(super) fn new(chance: &Chance) -> Self {
        Self {
            people: chance.within(2..=3) as usize,
            trouble: chance.ms(30_000..=240_000),
            trouble_ms: *chance.pick(&[2_000, 10_000, 40_000, u64::MAX]),
            typing_ms: *chance.pick(&[300, 2_000, 8_000]),
            restless: *chance.pick(&[50, 200, 1_000]),
            delay_ms: *chance.pick(&[5, 100, 1_000]),
            direct: std::array::from_fn(|_| chance.per_mille(200)),
        }
    }

    pub(super) fn pause(&self, chance: &Chance) -> Duration {
        if self.trouble_ms == u64::MAX { self.trouble } else { chance.ms(1..=self.trouble_ms) }
    }

    /// Time that something on its way takes.
    pub(super) fn delay(&self, chance: &Chance) -> Duration {
        chance.ms(1..=self.delay_ms)
    }
}

impl World {
    pub(super) fn trouble(&mut self) {
        if self.calm {
            return;
        }
        self.after(self.mood.pause(&self.chance), Event::Trouble);
        let who = self.chance.within(0..=self.people.len() as u64 - 1) as usize;
        match self.chance.next() % 100 {
            0..5 => self.kill(who),
            5..15 => self.isolate(who),
            15..25 => self.cut_connection(who),
            25..50 => self.kill_server(),
            50..65 => self.curse_a_link(),
            65..80 => self.lose_relay(who),
            80..85 => self.move_house(who),
            _ => self.change_path(),
        }
    }

    /// From now on nothing goes wrong, and all that is wrong is mended.
    pub(super) fn calm_down(&mut self) {
        self.calm = true;
        self.note(|| "calm".to_owned());
        for who in 0..self.people.len() {
            self.heal(who);
            self.after(Duration::from_secs(3), Event::Start { who });
        }
        self.server_starts();
        let now = self.now;
        self.wires.values_mut().for_each(|wire| wire.cursed = wire.cursed.min(now));
    }

    /// A process is killed.
    fn kill(&mut self, who: usize) {
        if self.people[who].running {
            self.ledger.count("process killed");
            self.note(|| format!("{who} is killed"));
            let life = self.people[who].life;
            self.people[who].killed = true;
            self.end(who, life);
            let pause = self.chance.ms(100..=60_000);
            self.after(pause, Event::Start { who });
        }
    }

    /// Nothing gets through to a person or back.
    fn isolate(&mut self, who: usize) {
        if self.people[who].isolated {
            return;
        }
        self.ledger.count("person isolated");
        self.note(|| format!("{who} is isolated"));
        self.people[who].isolated = true;
        self.silence_connection(who);
        let life = self.people[who].life;
        let found = self.chance.ms(100..=30_000);
        self.after(found, Event::Relay { who, life, up: false });
        let pause = self.chance.ms(100..=60_000);
        self.after(pause, Event::Heal { who });
    }

    pub(super) fn heal(&mut self, who: usize) {
        if std::mem::take(&mut self.people[who].isolated) {
            self.note(|| format!("{who} is back in the world"));
            self.try_relay(who);
        }
    }

    fn kill_server(&mut self) {
        if !self.server.up {
            return;
        }
        self.ledger.count("server killed");
        self.note(|| "the server is killed".to_owned());
        self.server.crash();
        for who in 0..self.people.len() {
            self.cut_connection(who);
            self.lose_relay(who);
        }
        let pause = if self.chance.per_mille(300) { 100..=15_000 } else { 15_000..=90_000 };
        let pause = self.chance.ms(pause);
        self.after(pause, Event::ServerStarts);
    }

    /// A link dies though all is well around it; or it comes back before anybody knows.
    fn curse_a_link(&mut self) {
        let all: Vec<_> = self.wires.keys().copied().collect();
        if !all.is_empty() {
            let wire = *self.chance.pick(&all);
            let until = self.now + self.chance.ms(100..=40_000);
            self.ledger.count("link cut");
            self.note(|| format!("link {wire} is cut until {} s", until.as_secs()));
            self.wires.get_mut(&wire).into_iter().for_each(|wire| wire.cursed = until);
            self.at(until, Event::Pump { wire });
        }
    }

    /// A person's machine has another address.
    fn move_house(&mut self, who: usize) {
        self.ledger.count("address changed");
        self.people[who].address += 1;
        self.tell_contact(who);
    }

    /// A relayed link finds a direct way, or a direct one needs the relay.
    fn change_path(&mut self) {
        let all: Vec<_> = self.wires.iter().filter(|(_, wire)| wire.works).map(|(name, _)| *name).collect();
        if !all.is_empty() {
            let name = *self.chance.pick(&all);
            self.flip_path(name);
        }
    }
}
