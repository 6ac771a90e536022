//! The wish to leave: first everything that was typed before is judged, then peers are told good-bye.

use std::time::Duration;

use hobnob_peer::talk;

use super::{Effect, Pending, Session};

/// How long a server that is there may take to judge what was typed before.
const JUDGED_MAX: Duration = Duration::from_secs(30);

/// Somebody wants to leave.
pub(super) struct Leaving {
    /// Commands up to this number were typed before.
    upto: u64,
    until: Duration,
}

impl Session {
    /// Whoever blocks somebody and leaves has the block judged first: it says what the other may be told. Without the
    /// server there is nothing to wait for.
    pub(super) fn log_out(&mut self, now: Duration) -> Vec<Effect> {
        if self.pending.is_empty() && self.files.is_settled() || self.is_away() || self.stuck {
            return self.leave(now);
        }
        self.leaving = Some(Leaving { upto: self.submitted, until: now + JUDGED_MAX });
        vec![Effect::Wait]
    }

    /// Says good-bye without waiting any more. What was not judged counts as done.
    pub(crate) fn leave(&mut self, now: Duration) -> Vec<Effect> {
        let mut effects = self.unfinished();
        effects.push(Effect::LogOut);
        effects.extend(self.part(now));
        effects
    }

    /// The same when the session is over anyway.
    pub(super) fn part(&mut self, now: Duration) -> Vec<Effect> {
        self.leaving = None;
        let blocks = self.pending.iter().filter_map(|pending| match pending {
            (_, Pending::Block(user)) => Some(talk::Input::Block { user: user.clone(), on: true }),
            _ => None,
        });
        let inputs: Vec<_> = blocks.chain([talk::Input::Leave]).collect();
        inputs.into_iter().flat_map(|input| self.talk(input, now)).collect()
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    pub(in crate::chat) fn leaving_until(&self) -> Option<Duration> {
        self.leaving.as_ref().map(|leaving| leaving.until)
    }

    /// Leaves, if that is wanted and everything typed before has its answer.
    pub(in crate::chat) fn go_if_settled(&mut self, now: Duration) -> Vec<Effect> {
        let first = self.pending.front().map(|(number, _)| *number);
        let settled =
            self.leaving.as_ref().is_some_and(|leaving| first.is_none_or(|first| first > leaving.upto));
        if settled && self.files.is_settled() { self.leave(now) } else { Vec::new() }
    }

    /// There was time enough, or the server is away or cannot store anything: what is left is not judged now.
    pub(in crate::chat) fn wait_no_more(&mut self, now: Duration) -> Vec<Effect> {
        let over = |until: Duration| until <= now || self.is_away() || self.stuck;
        if self.leaving_until().is_some_and(over) { self.leave(now) } else { Vec::new() }
    }
}
