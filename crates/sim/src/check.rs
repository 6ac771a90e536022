//! The invariants, checked when all is quiet.

use std::collections::{BTreeMap, BTreeSet};

use hobnob_protocol::v1::submitted::Outcome;
use hobnob_server::store::{AccountId, StreamId};

use crate::chronicle::{self, Fact};
use crate::ledger::{Book, Kind, Problem, Shown, Typed, number};
use crate::person::State;
use crate::sim::Sim;

/// What is checked against what.
struct Check<'a> {
    book: &'a Book,
    facts: &'a [Fact],
    names: BTreeMap<AccountId, String>,
    ids: BTreeMap<String, AccountId>,
    /// Where each text was committed.
    commits: BTreeMap<u64, Vec<usize>>,
    problems: Vec<Problem>,
}

/// Checks everything and writes down what is wrong.
pub(crate) fn check(sim: &Sim, people: &[(String, State)]) {
    let truth = sim.chronicle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut book = sim.ledger.book();
    let names = truth.names();
    let mut check = Check {
        book: &book,
        facts: &truth.facts,
        ids: names.iter().map(|(id, name)| (name.clone(), *id)).collect(),
        names,
        commits: commits(&truth.facts),
        problems: Vec::new(),
    };
    for hole in &truth.holes {
        check.problem(Kind::Numbers, hole.clone());
    }
    let online = truth.online();
    for (number, typed) in &book.typed {
        check.typed(*number, typed);
        match &typed.to {
            Some(to) => check.direct(*number, typed, to),
            None => check.broadcast(*number, typed, &online, people),
        }
    }
    for (person, shown) in &book.shown {
        check.order(person, shown);
        check.strangers(person, shown);
    }
    check.entries();
    check.presence(people);
    let problems = check.problems;
    book.problems.extend(problems);
}

fn commits(facts: &[Fact]) -> BTreeMap<u64, Vec<usize>> {
    let mut commits: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (at, fact) in facts.iter().enumerate() {
        if let Fact::Entry { text, .. } = fact {
            commits.entry(number(text).unwrap_or(0)).or_default().push(at);
        }
    }
    commits
}

fn is_accepted(typed: &Typed) -> bool {
    matches!(typed.judged, Some(Outcome::Accepted | Outcome::AcceptedForSome))
}

impl Check<'_> {
    fn problem(&mut self, kind: Kind, what: String) {
        self.problems.push(Problem { kind, what });
    }

    /// What a sender typed was judged once, and stored once if accepted.
    fn typed(&mut self, number: u64, typed: &Typed) {
        let commits = self.commits.get(&number).map_or(0, Vec::len);
        if typed.durable && typed.judged.is_none() {
            self.problem(Kind::Answer, format!("m{number} of {} got no answer", typed.from));
        }
        match (is_accepted(typed), commits) {
            (true, 1) | (false, 0) => {}
            (true, 0) => self.problem(Kind::Lost, format!("m{number} was accepted but never stored")),
            (true, _) => self.problem(Kind::Doubled, format!("m{number} was stored {commits} times")),
            (false, _) => {
                let what = format!("m{number} was stored {commits} times and answered {:?}", typed.judged);
                self.problem(Kind::Phantom, what);
            }
        }
    }

    /// Every entry is its sender's own, in the inbox of whom it was typed to.
    fn entries(&mut self) {
        for fact in self.facts {
            let Fact::Entry { stream, sender, text, .. } = fact else { continue };
            let typed = number(text).and_then(|number| self.book.typed.get(&number));
            let right = typed.is_some_and(|typed| {
                let to = match stream {
                    StreamId::Broadcast => None,
                    StreamId::Inbox(id) => self.names.get(id),
                };
                typed.to.as_ref() == to && self.names.get(sender) == Some(&typed.from)
            });
            if !right {
                self.problem(Kind::Phantom, format!("{fact:?} is {typed:?}"));
            }
        }
    }

    /// How often a person has seen a text, and how often it may have come again.
    fn seen(&self, person: &str, text: u64) -> (usize, usize) {
        let shown = self.book.shown.get(person).into_iter().flatten();
        let again = self.book.again.get(person).into_iter().flatten();
        let seen = shown.filter(|shown| number(&shown.text) == Some(text)).count();
        (seen, again.filter(|again| number(again) == Some(text)).count())
    }

    fn at_most_once(&mut self, person: &str, text: u64) {
        let (seen, again) = self.seen(person, text);
        if seen > 1 + again {
            self.problem(
                Kind::Doubled,
                format!("{person} saw m{text} {seen} times, {again} of them may come again"),
            );
        }
    }

    fn direct(&mut self, number: u64, typed: &Typed, to: &str) {
        self.at_most_once(to, number);
        let (seen, _) = self.seen(to, number);
        let refused = typed.judged.is_some() && !is_accepted(typed);
        if seen > 0 && (refused || !typed.durable) {
            self.problem(Kind::Phantom, format!("{to} saw m{number}, which was answered {:?}", typed.judged));
        }
        if seen == 0 && is_accepted(typed) && !self.is_blocked_later(number, to, &typed.from) {
            let at = self.commits.get(&number).and_then(|at| self.facts.get(*at.first()?));
            self.problem(Kind::Lost, format!("{to} never saw m{number} of {}: {at:?}", typed.from));
        }
    }

    /// Whether the recipient blocked the sender after a message was committed.
    fn is_blocked_later(&self, text: u64, blocker: &str, blocked: &str) -> bool {
        let Some(at) = self.commits.get(&text).and_then(|at| at.first()) else { return false };
        self.facts[*at..].iter().any(|fact| self.is_block(fact, blocker, blocked) == Some(true))
    }

    /// Whether the block is in force at a commit.
    fn is_blocked_at(&self, at: usize, blocker: &str, blocked: &str) -> bool {
        let mut changes =
            self.facts[..at].iter().rev().filter_map(|fact| self.is_block(fact, blocker, blocked));
        changes.next().unwrap_or(false)
    }

    /// Set or removed, if the fact is about this block.
    fn is_block(&self, fact: &Fact, by: &str, of: &str) -> Option<bool> {
        let Fact::Block { blocker, blocked, on } = fact else { return None };
        (self.ids.get(by) == Some(blocker) && self.ids.get(of) == Some(blocked)).then_some(*on)
    }

    fn broadcast(
        &mut self,
        number: u64,
        typed: &Typed,
        online_at_last: &BTreeSet<(hobnob_server::store::SessionId, AccountId)>,
        people: &[(String, State)],
    ) {
        let Some(at) = self.commits.get(&number).and_then(|at| at.first().copied()) else { return };
        let mut online = BTreeSet::new();
        self.facts[..at].iter().for_each(|fact| chronicle::apply(&mut online, fact));
        for (person, _) in people {
            self.at_most_once(person, number);
            let Some(id) = self.ids.get(person).copied() else { continue };
            let (seen, _) = self.seen(person, number);
            let was_online = online.iter().any(|(_, account)| *account == id);
            let all_the_while = online.intersection(online_at_last).any(|(_, account)| *account == id);
            let blocked = self.is_blocked_at(at, person, &typed.from)
                || self.is_blocked_later(number, person, &typed.from);
            let own = *person == typed.from;
            if seen > 0 && (own || !was_online) {
                self.problem(
                    Kind::Phantom,
                    format!("{person} saw broadcast m{number}, online: {was_online}"),
                );
            }
            if seen == 0 && all_the_while && !blocked && !own {
                let what =
                    format!("{person} never saw broadcast m{number} of {}: {:?}", typed.from, self.facts[at]);
                self.problem(Kind::Lost, what);
            }
        }
    }

    /// First sights are in the order typed, for each sender and stream.
    fn order(&mut self, person: &str, shown: &[Shown]) {
        let mut last: BTreeMap<(&str, bool), u64> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for one in shown {
            let Some(number) = number(&one.text).filter(|number| seen.insert(*number)) else { continue };
            let before = last.insert((&one.sender, one.broadcast), number);
            if before.is_some_and(|before| before > number) {
                self.problem(Kind::Disorder, format!("{person} saw m{number} after m{before:?}"));
            }
        }
    }

    /// Nobody sees what was not for them, or under another name.
    fn strangers(&mut self, person: &str, shown: &[Shown]) {
        for one in shown {
            let typed = number(&one.text).and_then(|number| self.book.typed.get(&number));
            let right = typed.is_some_and(|typed| {
                typed.from == one.sender
                    && typed.to.is_none() == one.broadcast
                    && typed.to.as_deref().is_none_or(|to| to == person)
            });
            if !right {
                self.problem(
                    Kind::Phantom,
                    format!("{person} saw {} of {}: {typed:?}", one.text, one.sender),
                );
            }
        }
    }

    /// In the end everybody is here, but for those who block the asker; and the lists of blocks are right.
    fn presence(&mut self, people: &[(String, State)]) {
        for (person, state) in people {
            let in_force = |by: &str, of: &str| self.is_blocked_at(self.facts.len(), by, of);
            let others = || people.iter().map(|(name, _)| name).filter(|name| *name != person);
            let here: Vec<String> = others().filter(|name| !in_force(name, person)).cloned().collect();
            let blocks: Vec<String> = others().filter(|name| in_force(person, name)).cloned().collect();
            if state.here.as_ref() != Some(&here) {
                let what = format!("{person} is told {:?} are here, but it is {here:?}", state.here);
                self.problem(Kind::Presence, what);
            }
            if state.blocks.as_ref() != Some(&blocks) {
                let what = format!("{person} is told {:?} are blocked, but it is {blocks:?}", state.blocks);
                self.problem(Kind::Presence, what);
            }
        }
    }
}
