//! When a name is blocked for failed logins.
//!
//! Failures are counted by class: strangers to a name share one count, a device that has logged in to it before has
//! its own (OWASP, "Slow Down Online Guessing Attacks with Device Cookies"), so that guesses by others do not
//! lock the owner out at home.

use crate::store::Failures;

/// Failures in a row that block.
pub const FAILURES_MAX: u32 = 3;

/// Whether the class is blocked at `now_ms`.
#[must_use]
pub fn is_blocked(failures: Failures, now_ms: i64) -> bool {
    failures.blocked_until_ms > now_ms
}

/// The failures after one more, which is blocked from then on if it was the third in a row. A block that has ended
/// set the count to 0.
#[must_use]
pub fn fail(failures: Failures, now_ms: i64, block_ms: i64) -> Failures {
    let over = failures.blocked_until_ms != 0 && failures.blocked_until_ms <= now_ms;
    let count = if over { 1 } else { failures.count.saturating_add(1) };
    let blocked_until_ms = if count >= FAILURES_MAX { now_ms.saturating_add(block_ms) } else { 0 };
    Failures { count, blocked_until_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_failure_blocks_and_the_end_of_the_block_starts_over() {
        let mut failures = Failures::default();
        for (now, count, blocked) in [(0, 1, false), (10, 2, false), (20, 3, true)] {
            failures = fail(failures, now, 1000);
            assert_eq!((failures.count, is_blocked(failures, now)), (count, blocked));
        }
        assert!(is_blocked(failures, 1019));
        assert!(!is_blocked(failures, 1020));
        failures = fail(failures, 1020, 1000);
        assert_eq!(failures, Failures { count: 1, blocked_until_ms: 0 });
    }

    #[test]
    fn a_block_of_no_length_never_blocks() {
        let failures = (0..5).fold(Failures::default(), |failures, now| fail(failures, now, 0));
        assert!(!is_blocked(failures, 5));
    }
}
