//! Whether the time of day can be believed. Everything that waits for something uses a clock that only goes forward;
//! the time of day is for what outlives the process: lock-outs, tokens, when somebody was last seen.

use std::time::Duration;

use tokio::time::Instant;

/// Less is not a jump: clocks are set right by a little all the time.
const JUMP_MS_MIN: i64 = 5_000;
/// How long a clock that jumped ahead has to stay there before anything is removed for its age.
const BELIEVED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Compares the time of day with a clock that only goes forward.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    last: Option<(Instant, i64)>,
    /// By how much the time of day jumped ahead, in ms, and when.
    ahead: Option<(i64, Instant)>,
}

impl Watch {
    /// Looks at both. A jump since the last look comes back, in ms: above 0 it was set forward.
    pub(crate) fn look(&mut self, now: Instant, time_ms: i64) -> Option<i64> {
        let (then, then_ms) = self.last.replace((now, time_ms))?;
        if self.ahead.is_some_and(|(_, since)| now.saturating_duration_since(since) >= BELIEVED_AFTER) {
            self.ahead = None;
        }
        let passed_ms = i64::try_from(now.saturating_duration_since(then).as_millis()).unwrap_or(i64::MAX);
        let jump_ms = time_ms.saturating_sub(then_ms).saturating_sub(passed_ms);
        if jump_ms.saturating_abs() < JUMP_MS_MIN {
            return None;
        }
        let ahead_ms = self.ahead_ms().saturating_add(jump_ms).max(0);
        self.ahead = (ahead_ms > 0).then_some((ahead_ms, now));
        Some(jump_ms)
    }

    /// By how much the time of day may be ahead, in ms: what is removed for its age has to be older by that.
    pub(crate) fn ahead_ms(&self) -> i64 {
        self.ahead.map_or(0, |(ms, _)| ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 60 * 60 * 1000;

    fn check(steps: &[(u64, i64, Option<i64>, i64)]) {
        let (start, mut watch) = (Instant::now(), Watch::default());
        for (seconds, time_ms, jump, ahead) in steps {
            let told = watch.look(start + Duration::from_secs(*seconds), *time_ms);
            assert_eq!((told, watch.ahead_ms()), (*jump, *ahead), "at {seconds} s");
        }
    }

    #[test]
    fn small_steps_are_no_jumps() {
        check(&[(0, 0, None, 0), (1, 1_300, None, 0), (2, 900, None, 0), (10, 12_000, None, 0)]);
    }

    #[test]
    fn a_day_ahead_is_not_believed_and_back_is_as_before() {
        check(&[(0, 0, None, 0), (1, 1_000 + DAY, Some(DAY), DAY), (2, 2_000 + DAY, None, DAY)]);
        check(&[(0, 0, None, 0), (1, 1_000 + DAY, Some(DAY), DAY), (2, 2_000, Some(-DAY), 0)]);
    }

    #[test]
    fn a_day_back_is_believed_at_once_and_ahead_again_is_not() {
        check(&[(0, 0, None, 0), (1, 1_000 - DAY, Some(-DAY), 0), (2, 2_000, Some(DAY), DAY)]);
    }

    #[test]
    fn what_stays_for_a_day_is_believed() {
        let day = 24 * 60 * 60;
        let later = |seconds: u64| seconds as i64 * 1_000 + DAY;
        check(&[
            (0, 0, None, 0),
            (1, later(1), Some(DAY), DAY),
            (day, later(day), None, DAY),
            (day + 1, later(day + 1), None, 0),
        ]);
    }

    #[test]
    fn nothing_overflows() {
        check(&[
            (0, i64::MIN, None, 0),
            (1, i64::MAX, Some(i64::MAX - 1_000), i64::MAX - 1_000),
            (2, i64::MIN, Some(i64::MIN), 0),
        ]);
    }
}
