//! Plausible shortcuts, put on between the machine and the rest of the world. A run with one has to fail, or
//! the simulation would not notice if somebody took it.

use std::collections::BTreeMap;
use std::time::Duration;

use hobnob_peer::network::{Link, LinkEvent};
use hobnob_peer::talk::{Effect, Input, Invite, News};
use hobnob_protocol::v1::talk_frame::Body;

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TalkShortcut {
    /// What was shown before a link died is shown again when it is sent again.
    NoDedupe,
    /// Nothing has a time of its own: the server and the network will say.
    NoClock,
    /// Nobody says good-bye: the link just closes.
    NoBye,
    /// What was sent once is not sent again on a new link.
    NoResend,
    /// Nothing is acknowledged.
    NoAck,
    /// What was not acknowledged is not reported.
    NoReport,
}

/// One of them, or none, and what it has to remember.
pub(super) struct Shortcut {
    which: Option<TalkShortcut>,
    talks: BTreeMap<(usize, Link), Invite>,
    seen: BTreeMap<(usize, Invite), Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Texts that were taken.
    taken: u64,
    /// Highest number that the other has given them.
    highest: u64,
    /// Highest number that was sent.
    sent: u64,
}

impl Shortcut {
    pub(super) fn new(which: Option<TalkShortcut>) -> Self {
        Self { which, talks: BTreeMap::new(), seen: BTreeMap::new() }
    }

    pub(super) fn clock(&self, now: Duration) -> Duration {
        if self.has_no_clock() { Duration::ZERO } else { now }
    }

    pub(super) fn has_no_clock(&self) -> bool {
        self.which == Some(TalkShortcut::NoClock)
    }

    /// A process knows nothing of an earlier one.
    pub(super) fn restarted(&mut self, who: usize) {
        self.talks.retain(|(one, _), _| *one != who);
        self.seen.retain(|(one, _), _| *one != who);
    }

    fn seen(&mut self, who: usize, link: Link) -> Option<&mut Seen> {
        let invite = self.talks.get(&(who, link))?.clone();
        Some(self.seen.entry((who, invite)).or_default())
    }

    pub(super) fn input(&mut self, who: usize, mut input: Input) -> Input {
        match &mut input {
            Input::Link(LinkEvent::Up { invite, link, .. }) => {
                self.talks.insert((who, *link), invite.clone());
            }
            Input::Link(LinkEvent::Frame { link, frame: Body::Text(text) })
                if self.which == Some(TalkShortcut::NoDedupe) =>
            {
                if let Some(seen) = self.seen(who, *link) {
                    seen.taken += 1;
                    seen.highest = seen.highest.max(text.number);
                    text.number = seen.taken;
                }
            }
            _ => {}
        }
        input
    }

    pub(super) fn effect(&mut self, who: usize, mut effect: Effect) -> Option<Effect> {
        let Some(which) = self.which else { return Some(effect) };
        let keep = match &mut effect {
            Effect::Send { link, frame } => self.sends(which, who, *link, frame),
            Effect::Tell(News::Undelivered { .. }) => which != TalkShortcut::NoReport,
            _ => true,
        };
        keep.then_some(effect)
    }

    fn sends(&mut self, which: TalkShortcut, who: usize, link: Link, frame: &mut Body) -> bool {
        match (which, frame) {
            (TalkShortcut::NoBye, Body::Bye(_)) | (TalkShortcut::NoAck, Body::Ack(_)) => false,
            (TalkShortcut::NoDedupe, Body::Ack(ack)) => {
                self.seen(who, link).into_iter().for_each(|seen| ack.upto = seen.highest);
                true
            }
            (TalkShortcut::NoResend, Body::Text(text)) => self.seen(who, link).is_none_or(|seen| {
                let is_new = text.number > seen.sent;
                seen.sent = seen.sent.max(text.number);
                is_new
            }),
            _ => true,
        }
    }
}
