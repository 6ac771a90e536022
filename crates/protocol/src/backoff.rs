//! How long to wait before trying again.

use std::time::Duration;

/// Exponential back-off with full jitter (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    attempt: u32,
}

impl Backoff {
    /// Waits up to `base` at first, up to twice as long each time, never longer than `cap`.
    #[must_use]
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, attempt: 0 }
    }

    /// The next wait. `random` is a uniform number; the wait is never shorter than a tenth of its bound, so that
    /// an unlucky draw does not become a busy loop.
    pub fn next_delay(&mut self, random: u64) -> Duration {
        let bound = self.base.saturating_mul(1 << self.attempt.min(20)).min(self.cap);
        self.attempt = self.attempt.saturating_add(1);
        let share = (random % 901 + 100) as u32;
        bound * share / 1000
    }

    /// Starts over: the last try went well.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_the_cap_and_no_further() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let longest: Vec<_> = (0..40).map(|_| backoff.next_delay(900)).collect();
        assert_eq!(longest[0], Duration::from_millis(100));
        assert_eq!(longest[1], Duration::from_millis(200));
        assert_eq!(longest[39], Duration::from_secs(5));
        assert!(longest.windows(2).all(|pair| pair[0] <= pair[1]));
        backoff.reset();
        assert_eq!(backoff.next_delay(0), Duration::from_millis(10));
    }
}
