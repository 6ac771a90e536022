//! When something is due on a session's connection: a ping, its answer, the end of idleness, reading on. Pure.

use std::time::Duration;

use hobnob_protocol::limits::{PING_PERIOD, PONG_TIMEOUT};
use tokio::time::Instant;

/// The times of one connection.
#[derive(Debug)]
pub(super) struct Times {
    /// How long its user may do nothing; `None`: for ever.
    idle_timeout: Option<Duration>,
    last_activity: Instant,
    /// When the next ping is due. Clients rely on hearing something that often.
    ping_at: Instant,
    /// A ping without any sign of life since.
    pinged: Option<Instant>,
    /// Nothing is read before this.
    read_at: Option<Instant>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// To ask the client for a sign of life.
    Ping,
    /// To end the session: its user has done nothing for too long.
    Idle,
    /// To break the connection: the client has not answered.
    Unresponsive,
}

impl Times {
    pub(super) fn new(now: Instant, idle_timeout: Option<Duration>) -> Self {
        Self { idle_timeout, last_activity: now, ping_at: now + PING_PERIOD, pinged: None, read_at: None }
    }

    /// The client gave a sign of life.
    pub(super) fn heard(&mut self) {
        self.pinged = None;
    }

    /// How long the user may do nothing may have changed.
    pub(super) fn set_idle_timeout(&mut self, idle_timeout: Option<Duration>) {
        self.idle_timeout = idle_timeout;
    }

    /// The person did something.
    pub(super) fn active(&mut self, now: Instant) {
        self.last_activity = now;
    }

    /// Nothing is to be read before `until`.
    pub(super) fn pause(&mut self, until: Instant) {
        self.read_at = self.read_at.max(Some(until));
    }

    /// Whether reading is paused; asked for every frame, so what is over ends with [`Times::tick`].
    pub(super) fn is_paused(&self) -> bool {
        self.read_at.is_some()
    }

    /// When the user will have done nothing for too long.
    pub(super) fn idle_at(&self) -> Option<Instant> {
        Some(self.last_activity + self.idle_timeout?)
    }

    /// When there is something to look at.
    pub(super) fn next(&self) -> Instant {
        let ping = self.pinged.map_or(self.ping_at, |at| at + PONG_TIMEOUT);
        [self.idle_at(), self.read_at].into_iter().flatten().fold(ping, Instant::min)
    }

    /// Says what is due, once. While a session itself does not read (`reads`), silence is not the client's fault.
    pub(super) fn tick(&mut self, now: Instant, reads: bool) -> Due {
        self.read_at = self.read_at.filter(|at| *at > now);
        if self.idle_at().is_some_and(|at| at <= now) {
            return Due::Idle;
        }
        if self.pinged.is_some_and(|at| at + PONG_TIMEOUT <= now) {
            if reads {
                return Due::Unresponsive;
            }
            self.pinged = Some(now);
        }
        if self.ping_at > now {
            return Due::Nothing;
        }
        self.ping_at = now + PING_PERIOD;
        self.pinged = Some(now);
        Due::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_ping_that_nobody_answers_is_the_end_unless_nobody_looked() {
        let begun = Instant::now();
        let mut times = Times::new(begun, None);
        assert_eq!(times.tick(begun, true), Due::Nothing);
        assert_eq!(times.next(), begun + PING_PERIOD);
        assert_eq!(times.tick(times.next(), true), Due::Ping);
        let late = times.next();
        assert_eq!(late, begun + PING_PERIOD + PONG_TIMEOUT);
        assert_eq!(times.tick(late, false), Due::Nothing);
        assert_eq!(times.tick(late + PONG_TIMEOUT, true), Due::Unresponsive);
        times.heard();
        assert_eq!(times.tick(late + PONG_TIMEOUT, true), Due::Nothing);
    }

    #[test]
    fn idleness_counts_from_what_was_done_last() {
        let begun = Instant::now();
        let mut times = Times::new(begun, Some(5 * SECOND));
        times.active(begun + SECOND);
        assert_eq!(times.next(), begun + 6 * SECOND);
        assert_eq!(times.tick(begun + 5 * SECOND, true), Due::Nothing);
        assert_eq!(times.tick(begun + 6 * SECOND, true), Due::Idle);
    }

    #[test]
    fn a_pause_lasts_until_its_latest_end() {
        let begun = Instant::now();
        let mut times = Times::new(begun, None);
        times.pause(begun + 2 * SECOND);
        times.pause(begun + SECOND);
        assert_eq!((times.is_paused(), times.next()), (true, begun + 2 * SECOND));
        assert_eq!((times.tick(begun + SECOND, true), times.is_paused()), (Due::Nothing, true));
        assert_eq!((times.tick(begun + 2 * SECOND, true), times.is_paused()), (Due::Nothing, false));
    }
}
