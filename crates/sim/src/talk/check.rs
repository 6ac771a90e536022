//! When all is quiet: whether everybody believes the same.

use hobnob_peer::talk::{Effect, Input, News};

use super::people::NAMES;
use super::world::World;

impl World {
    /// A quarter of an hour after the last trouble there are only talks that run, and both sides know of
    /// them.
    pub(super) fn check_settled(&mut self) {
        for who in 0..self.people.len() {
            if !self.people[who].running || self.people[who].connection.is_none() {
                self.ledger.problem(format!("{who} is not back"));
            }
            if let Some(deadline) = self.people[who].talks.deadline() {
                self.ledger.problem(format!("{who} still waits for something: {deadline:?}"));
            }
        }
        for one in 0..self.people.len() {
            for other in 0..one {
                let (here, there) = (self.talk_between(one, other), self.talk_between(other, one));
                if here != there {
                    self.ledger.problem(format!("{one} and {other} do not agree: {here:?}, {there:?}"));
                }
                if here.is_some() {
                    self.ledger.count("talk outlives the trouble");
                }
            }
        }
        if !self.server.is_idle() {
            self.ledger.problem("the server still waits for something".to_owned());
        }
        self.ledger.check_messages();
    }

    /// The link that a person believes in.
    fn talk_between(&mut self, who: usize, other: usize) -> Option<u64> {
        let now = self.shortcut.clock(self.now);
        let effects = self.people[who].talks.handle(Input::Path(NAMES[other].to_owned()), now);
        match effects.first() {
            Some(Effect::Tell(News::Path { link: Some(link), .. })) => Some(link.0 / 2),
            Some(Effect::Tell(News::Path { link: None, .. })) => Some(u64::MAX - who as u64),
            _ => None,
        }
    }

    pub(super) fn stop_everything(&mut self) {
        for who in 0..self.people.len() {
            for other in (0..self.people.len()).filter(|other| *other != who) {
                self.input(who, Input::Stop(NAMES[other].to_owned()));
            }
        }
    }

    /// Nothing is left of anything.
    pub(super) fn check_end(&mut self) {
        for who in 0..self.people.len() {
            if !self.people[who].talks.is_idle() {
                self.ledger.problem(format!("something of {who} stands for ever"));
            }
            if !self.people[who].board.is_empty() {
                self.ledger.problem(format!("{who} still expects somebody"));
            }
        }
        if !self.wires.is_empty() {
            self.ledger.problem("a link is left".to_owned());
        }
        self.ledger.check_messages();
        self.ledger.check_talks();
    }
}
