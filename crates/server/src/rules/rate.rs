//! How fast a session may submit: a token bucket.

use std::time::Duration;

use tokio::time::Instant;

/// A token bucket; one with rate 0 never runs dry.
#[derive(Clone, Debug)]
pub struct Bucket {
    rate: u32,
    burst: u32,
    /// When the bucket would be (or was) full again, if nothing more is taken.
    full_at: Instant,
}

impl Bucket {
    /// A full bucket that gains `rate` tokens a second, up to `burst`.
    #[must_use]
    pub fn new(rate: u32, burst: u32, now: Instant) -> Self {
        Self { rate, burst: burst.max(1), full_at: now }
    }

    /// Goes on at another rate. What was taken so far stays taken.
    pub fn set(&mut self, rate: u32, burst: u32) {
        (self.rate, self.burst) = (rate, burst.max(1));
    }

    /// Takes a token, on credit if need be: returns how long to wait before the next.
    pub fn take(&mut self, now: Instant) -> Duration {
        if self.rate == 0 {
            return Duration::ZERO;
        }
        let token = Duration::from_secs(1) / self.rate;
        self.full_at = self.full_at.max(now) + token;
        let debt = self.full_at - now;
        debt.saturating_sub(token * self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_free_then_the_rate_counts() {
        let start = Instant::now();
        let mut bucket = Bucket::new(50, 200, start);
        assert!((0..200).all(|_| bucket.take(start).is_zero()));
        assert_eq!(bucket.take(start), Duration::from_millis(20));
        assert_eq!(bucket.take(start + Duration::from_millis(40)), Duration::ZERO);
        assert!((0..1000).all(|_| Bucket::new(0, 0, start).take(start).is_zero()));
    }

    #[tokio::test(start_paused = true)]
    async fn another_rate_counts_from_the_next_token_on() {
        let start = Instant::now();
        let mut bucket = Bucket::new(0, 0, start);
        assert!((0..1000).all(|_| bucket.take(start).is_zero()));
        bucket.set(10, 2);
        assert!((0..2).all(|_| bucket.take(start).is_zero()));
        assert_eq!(bucket.take(start), Duration::from_millis(100));
        bucket.set(0, 0);
        assert!(bucket.take(start).is_zero());
    }
}
