//! One talk: from the introduction to its end.

use std::time::Duration;

use hobnob_protocol::limits::{LINK_SILENCE_MAX, TALK_RETURN_MAX};
use hobnob_protocol::v1;

use crate::network::Link;

use super::event::Invite;
use super::mail::Mail;

/// Pause after the first attempt to make a link that failed; doubles with each further one.
const DIAL_PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause between two attempts.
const DIAL_PAUSE_MAX: Duration = Duration::from_secs(3);
/// Shortest time between two attempts because the other has moved: whoever says so without end keeps nobody busy.
const MOVED_PAUSE: Duration = Duration::from_millis(500);
/// An interruption is told if it lasts for this long.
const INTERRUPTION_TOLD_AFTER: Duration = Duration::from_secs(1);
/// Longest interruption, whatever server and relay do.
const INTERRUPTION_MAX: Duration = Duration::from_secs(600);

/// One talk.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) invite: Invite,
    /// As the server writes the name.
    pub(super) user: String,
    /// The other's device key.
    pub(super) key: [u8; 32],
    pub(super) contact: v1::Contact,
    /// This side makes the links.
    pub(super) dials: bool,
    /// The user blocks the other, who is not to be told when the user leaves.
    pub(super) blocked: bool,
    pub(super) phase: Phase,
    /// At hand, though perhaps cut without anybody knowing yet.
    pub(super) link: Option<Link>,
    pub(super) relayed: bool,
    pub(super) dialling: Dialling,
    pub(super) mail: Mail,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Introduced; there was no link yet.
    Connecting {
        until: Duration,
    },
    Open,
    Interrupted(Interruption),
}

/// A relayed talk while the relay is away, and for a while after.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interruption {
    since: Duration,
    /// When to tell the person; `None`: told.
    pub(super) tell_at: Option<Duration>,
    /// When it ends in the end of the talk.
    pub(super) until: Duration,
    /// When a link that is still there must have proven to be alive.
    pub(super) proven_at: Option<Duration>,
}

/// Attempts to make a link.
#[derive(Debug)]
pub(super) struct Dialling {
    pub(super) under_way: bool,
    /// When the next one is due.
    pub(super) next: Option<Duration>,
    pause: Duration,
    /// When an attempt because of a move may begin at once again.
    rested: Duration,
}

impl Default for Dialling {
    fn default() -> Self {
        Self { under_way: false, next: None, pause: DIAL_PAUSE_MIN, rested: Duration::ZERO }
    }
}

impl Dialling {
    /// The other has moved; true: try there at once.
    pub(super) fn moved(&mut self, now: Duration) -> bool {
        let at_once = now >= self.rested;
        if at_once {
            self.rested = now + MOVED_PAUSE;
        } else {
            self.next = Some(self.next.map_or(self.rested, |next| next.min(self.rested)));
        }
        at_once
    }

    /// An attempt came to nothing.
    pub(super) fn failed(&mut self, now: Duration) {
        self.under_way = false;
        self.next = Some(now + self.pause);
        self.pause = (self.pause * 2).min(DIAL_PAUSE_MAX);
    }
}

impl Interruption {
    pub(super) fn new(now: Duration) -> Self {
        let (tell_at, until) = (Some(now + INTERRUPTION_TOLD_AFTER), now + INTERRUPTION_MAX);
        Self { since: now, tell_at, until, proven_at: None }
    }

    /// Server and relay are back, since then.
    pub(super) fn returned(&mut self, at: Duration) {
        self.until = (at + TALK_RETURN_MAX).min(self.since + INTERRUPTION_MAX);
    }

    /// They are away once more.
    pub(super) fn away_again(&mut self) {
        (self.until, self.proven_at) = (self.since + INTERRUPTION_MAX, None);
    }

    /// A link that was there all the time works again, or will be found dead by then.
    pub(super) fn prove(&mut self, now: Duration) {
        self.proven_at = Some(now + LINK_SILENCE_MAX);
    }
}

impl Talk {
    pub(super) fn is_connecting(&self) -> bool {
        matches!(self.phase, Phase::Connecting { .. })
    }

    /// This side has to make a link and none is there.
    pub(super) fn wants_link(&self) -> bool {
        self.dials && self.link.is_none()
    }

    pub(super) fn interruption(&mut self) -> Option<&mut Interruption> {
        match &mut self.phase {
            Phase::Interrupted(interruption) => Some(interruption),
            _ => None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let (one, two, three) = match &self.phase {
            Phase::Connecting { until } => (Some(*until), None, None),
            Phase::Open => (None, None, None),
            Phase::Interrupted(it) => (Some(it.until), it.tell_at, it.proven_at),
        };
        [one, two, three, self.dialling.next].into_iter().flatten().min()
    }
}
