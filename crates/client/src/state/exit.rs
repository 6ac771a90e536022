//! How a session ends.

use std::time::Duration;

use hobnob_protocol::v1;
use v1::client_frame::Body;

use super::{Effect, Phase, Session};
use crate::event::End;

/// How long a logout waits for the next answer, and for the server to confirm it: one that does not answer any more
/// is as good as away.
const LOGOUT_TIMEOUT: Duration = Duration::from_secs(8);

/// How far a logout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    No,
    /// A logout, once all is answered, or at the latest by then.
    Wanted {
        until: Duration,
    },
    /// The logout is sent.
    Sent {
        id: u64,
        until: Duration,
    },
}

impl Exit {
    pub(super) fn wanted(now: Duration) -> Self {
        Self::Wanted { until: now + LOGOUT_TIMEOUT }
    }

    /// Something was answered, so it is worth waiting on.
    pub(super) fn put_off(&mut self, now: Duration) {
        if let Self::Wanted { until } = self {
            *until = now + LOGOUT_TIMEOUT;
        }
    }
}

impl Session {
    /// Takes the next step of a logout, if one is wanted and due.
    pub(super) fn log_out(&mut self, now: Duration) {
        match (self.exit, &self.phase) {
            (Exit::No, _) | (_, Phase::Ended) => {}
            (Exit::Wanted { .. }, Phase::Renewing | Phase::Offline { lost: false }) => {}
            (Exit::Wanted { .. }, Phase::Offline { lost: true }) => {
                if self.queue.is_written() {
                    let waiting = self.messages_waiting();
                    self.end(End::LoggedOut { waiting });
                }
            }
            (Exit::Wanted { until }, Phase::Online(online)) => {
                let shown = self.background || self.inbox.shown() >= online.inbox_head;
                if shown && self.queue.is_empty() && self.beside.is_empty() && self.queue.is_written() {
                    self.say_goodbye(now);
                } else if (now >= until || self.queue.is_in_trouble()) && self.queue.is_written() {
                    // What the server cannot store now is not waited for.
                    let waiting = self.messages_waiting();
                    self.end(End::LoggedOut { waiting });
                }
            }
            (Exit::Sent { until, .. }, _) => {
                if now >= until {
                    self.end(End::LoggedOut { waiting: 0 });
                }
            }
        }
    }

    fn say_goodbye(&mut self, now: Duration) {
        if self.background {
            return self.end(End::LoggedOut { waiting: 0 });
        }
        if self.told != (self.inbox.shown(), self.broadcast.shown()) {
            self.send_received();
        }
        if let Some(id) = self.request(Body::Logout(v1::Logout {})) {
            self.exit = Exit::Sent { id, until: now + LOGOUT_TIMEOUT };
        }
    }

    pub(super) fn end(&mut self, end: End) {
        let forget = match end {
            End::LoggedOut { .. } => !self.background,
            End::TimedOut | End::Replaced | End::Expired | End::Kicked => true,
            End::Failed(_) => false,
        };
        self.phase = Phase::Ended;
        self.tell_answers();
        self.effects.push(Effect::Drop);
        self.effects.push(Effect::End { end, forget });
    }
}
