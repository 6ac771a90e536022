//! What people typed and were told, and what of it cannot be right.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hobnob_peer::talk::{Effect, Invite, News, TalkError};

use super::people::person;

/// Problems after which it is clear that there are some.
const PROBLEMS_MAX: usize = 20;

/// A process, and the other person of a talk.
type Side = (usize, u64, usize);

/// How a talk ended, as one side was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Stopped,
    StoppedBy,
    /// The other logged out.
    Left,
    /// It ended, no more was said.
    Ended,
    /// This side has left.
    Leaves,
    Killed,
}

/// What brought something about.
#[derive(Debug)]
pub(super) enum Cause {
    /// A link came up.
    Up(Invite),
    Server,
    Other,
}

#[derive(Debug, Default)]
struct Talk {
    /// Who was told that it has begun: as the asker, or as the one who was asked.
    began: Vec<(usize, bool)>,
    ends: Vec<(usize, End)>,
}

/// The book of a run.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    keep: bool,
    pub(super) lines: Vec<String>,
    pub(super) problems: Vec<String>,
    pub(super) counts: BTreeMap<&'static str, u64>,
    /// A private message at hand: to whom, and its number.
    pub(super) typed: Option<(usize, u64)>,
    accepted: BTreeMap<Side, BTreeSet<u64>>,
    undelivered: BTreeMap<Side, usize>,
    /// By the process that wrote: which were shown.
    shown: BTreeMap<Side, BTreeSet<u64>>,
    killed: BTreeSet<(usize, u64)>,
    /// Pairs of which a link has died.
    troubled: BTreeSet<(usize, usize)>,
    talks: BTreeMap<Invite, Talk>,
    open: BTreeMap<Side, Invite>,
    /// The end is about to be told, once the server has said what may be said of it.
    parting: BTreeSet<Side>,
}

impl Ledger {
    pub(super) fn new(keep: bool) -> Self {
        Self { keep, ..Self::default() }
    }

    pub(super) fn line(&mut self, now: Duration, what: impl FnOnce() -> String) {
        if self.keep {
            self.lines.push(format!("{:>10.3} {}", now.as_secs_f64(), what()));
        }
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub(super) fn problem(&mut self, what: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(what);
        }
    }

    /// A link between the two has died.
    pub(super) fn trouble(&mut self, one: usize, other: usize) {
        self.troubled.insert((one.min(other), one.max(other)));
    }

    fn is_troubled(&self, one: usize, other: usize) -> bool {
        self.troubled.contains(&(one.min(other), one.max(other)))
    }

    /// A machine has answered.
    pub(super) fn told(&mut self, now: Duration, who: usize, life: u64, effects: &[Effect], cause: &Cause) {
        for effect in effects {
            self.line(now, || format!("{who} > {effect:?}"));
        }
        if let Some((to, number)) = self.typed.take() {
            let refused = matches!(
                effects.first(),
                Some(Effect::Tell(News::Error(TalkError::NotEnabled(_)) | News::Undelivered { .. }))
            );
            if refused {
                return self.count("message refused");
            }
            self.count("message accepted");
            self.accepted.entry((who, life, to)).or_default().insert(number);
        }
        let mut over = None;
        for effect in effects {
            match effect {
                Effect::Tell(news) => self.news((who, life), news, cause),
                Effect::Forget(invite) => over = Some(invite),
                Effect::MaySee(user) => self.parts((who, life, person(user).unwrap_or(usize::MAX)), over),
                _ => {}
            }
        }
    }

    fn news(&mut self, (who, life): (usize, u64), news: &News, cause: &Cause) {
        let side = |user: &str| (who, life, person(user).unwrap_or(usize::MAX));
        match news {
            News::Message { user, text } => self.message(side(user), text),
            News::Undelivered { user, .. } => {
                self.count("message undelivered");
                *self.undelivered.entry(side(user)).or_default() += 1;
            }
            News::Accepted(user) => self.begins(side(user), cause, true),
            News::Started(user) if matches!(cause, Cause::Up(_)) => self.begins(side(user), cause, false),
            News::Stopped(user) => self.ends(side(user), End::Stopped),
            // By the server's word it is a request.
            News::StoppedBy(user) if !matches!(cause, Cause::Server) => self.ends(side(user), End::StoppedBy),
            News::Ended { user, left } => {
                let side = side(user);
                if self.parting.remove(&side) {
                    return;
                }
                if !self.open.contains_key(&side) {
                    self.problem(format!("{side:?} is told the end of a talk that it has not"));
                }
                self.ends(side, if *left { End::Left } else { End::Ended });
            }
            News::Question(_) => self.count("question"),
            News::Declined(_) => self.count("declined"),
            News::NoAnswer(_) => self.count("no answer"),
            News::Expired(_) => self.count("expired"),
            News::Interrupted(_) => self.count("interrupted"),
            News::GoesOn(_) => self.count("goes on"),
            News::Error(TalkError::NoConnection(_)) => self.count("no connection"),
            News::NewKey { .. } => self.problem(format!("{who} is told of a new key")),
            _ => {}
        }
    }

    fn message(&mut self, (who, _, from): Side, text: &str) {
        self.count("message shown");
        let words: Vec<_> = text.split(' ').filter_map(|word| word.parse::<u64>().ok()).collect();
        let [sender, life, number] = words[..] else {
            return self.problem(format!("{who} is shown {text:?}"));
        };
        if sender as usize != from {
            self.problem(format!("{who} is shown {text:?} as from {from}"));
        }
        let shown = self.shown.entry((sender as usize, life, who)).or_default();
        let last = shown.last().copied();
        shown.insert(number);
        if last.is_some_and(|last| last >= number) {
            self.problem(format!("{who} is shown {text:?} twice or after a later one"));
        }
    }

    fn begins(&mut self, side: Side, cause: &Cause, asker: bool) {
        let Cause::Up(invite) = cause else {
            return self.problem(format!("{side:?} is told a beginning without a link"));
        };
        self.count("talk begun");
        self.talks.entry(invite.clone()).or_default().began.push((side.0, asker));
        if self.open.insert(side, invite.clone()).is_some() {
            self.problem(format!("{side:?} is told of a second talk"));
        }
    }

    fn ends(&mut self, side: Side, end: End) {
        if let Some(talk) = self.open.remove(&side).and_then(|invite| self.talks.get_mut(&invite)) {
            talk.ends.push((side.0, end));
        }
    }

    /// The link is gone without a word, and messages with it. `over`: the talk that was just given up.
    fn parts(&mut self, side: Side, over: Option<&Invite>) {
        if over.is_some_and(|over| self.open.get(&side) == Some(over)) {
            self.ends(side, End::Ended);
            self.parting.insert(side);
        }
    }

    /// Whether a talk runs, as far as the person was told.
    pub(super) fn talks_with(&self, who: usize, life: u64) -> Vec<usize> {
        self.open.keys().filter(|side| (side.0, side.1) == (who, life)).map(|side| side.2).collect()
    }

    /// A process is over.
    pub(super) fn over(&mut self, who: usize, life: u64, killed: bool) {
        let open: Vec<_> = self.open.keys().filter(|side| (side.0, side.1) == (who, life)).copied().collect();
        open.into_iter().for_each(|side| self.ends(side, if killed { End::Killed } else { End::Leaves }));
        if killed {
            self.killed.insert((who, life));
            (0..3).filter(|other| *other != who).for_each(|other| self.trouble(who, other));
        }
    }

    // ---------------------------------------------------------------- in the end

    /// Every message that was accepted was shown or reported; both only if a link has died.
    pub(super) fn check_messages(&mut self) {
        let mut problems = Vec::new();
        for (side, accepted) in &self.accepted {
            let (who, life, to) = *side;
            if self.killed.contains(&(who, life)) {
                continue;
            }
            let none = BTreeSet::new();
            let shown = self.shown.get(side).unwrap_or(&none);
            let lost = accepted.difference(shown).count();
            let reported = self.undelivered.get(side).copied().unwrap_or(0);
            let doubtful = reported > lost && !self.is_troubled(who, to);
            if reported < lost || doubtful || reported > accepted.len() {
                let of = accepted.len();
                problems
                    .push(format!("{side:?}: of {of} messages {lost} were not shown, {reported} reported"));
            }
            if shown.difference(accepted).next().is_some() {
                problems.push(format!("{side:?}: a message was shown that was not accepted"));
            }
        }
        problems.into_iter().for_each(|problem| self.problem(problem));
    }

    /// Beginnings and ends come in pairs.
    pub(super) fn check_talks(&mut self) {
        let talks = std::mem::take(&mut self.talks);
        for (invite, talk) in talks {
            if let Some(what) = self.what_is_odd(&talk) {
                self.problem(format!("{what}: {invite:?} {talk:?}"));
            }
        }
        if !self.open.is_empty() {
            self.problem(format!("never ended: {:?}", self.open));
        }
    }

    fn what_is_odd(&self, talk: &Talk) -> Option<&'static str> {
        match talk.began[..] {
            // The other end was gone before it heard of the link.
            [(_, false)] => return None,
            [(one, false), (other, true)] if self.is_troubled(one, other) => return None,
            [(_, false), (_, true)] => {}
            _ => return Some("beginnings that do not match"),
        }
        use End::{Ended, Leaves, Left, Stopped, StoppedBy};
        let [(_, one), (_, other)] = talk.ends[..] else { return Some("not two ends") };
        let fits = |one, other| match one {
            Stopped => matches!(other, Stopped | StoppedBy | Leaves),
            Leaves => matches!(other, Left | Ended | Stopped | Leaves),
            _ => false,
        };
        (!fits(one, other) && !fits(other, one)).then_some("ends that do not match")
    }
}
