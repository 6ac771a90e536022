//! How fast one user may send over the relay: a token bucket of bytes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

/// What may be sent at once before the rate counts, as a time at that rate.
const BURST: Duration = Duration::from_millis(250);
/// What the smallest frame counts: handling one has its price, however short it is.
const FRAME_BYTES_MIN: usize = 256;

/// Bytes a second for one user, the same for all, which may change; without a limit by default.
#[derive(Clone, Debug, Default)]
pub(super) struct Rate(Arc<AtomicU32>);

impl Rate {
    /// `None`: no limit.
    pub(super) fn new(rate: Option<u32>) -> Self {
        let new = Self::default();
        new.set(rate);
        new
    }

    pub(super) fn set(&self, rate: Option<u32>) {
        self.0.store(rate.map_or(0, |rate| rate.max(1)), Relaxed);
    }

    pub(super) fn get(&self) -> Option<u32> {
        Some(self.0.load(Relaxed)).filter(|rate| *rate > 0)
    }
}

/// What one user may still send.
#[derive(Debug)]
pub(super) struct Allowance {
    /// When the bucket would be (or was) full again, if nothing more is taken.
    full_at: Instant,
}

impl Allowance {
    /// A full bucket.
    pub(super) fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes a frame of that size from a bucket that gains `rate` bytes a second, on credit if need be: it was read
    /// already.
    pub(super) fn take(&mut self, bytes: usize, rate: u32, now: Instant) {
        let bytes = bytes.max(FRAME_BYTES_MIN) as u64;
        let cost = Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / u64::from(rate.max(1)));
        self.full_at = self.full_at.max(now) + cost;
    }

    /// When the next frame may be read; `None`: now.
    pub(super) fn ready_at(&self, now: Instant) -> Option<Instant> {
        let debt = self.full_at.saturating_duration_since(now);
        (debt > BURST).then(|| now + (debt - BURST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    /// Takes frames as fast as it may for that long; returns the bytes.
    fn taken(frame: usize, rate: u32, lasting: Duration) -> usize {
        let start = Instant::now();
        let (mut bucket, mut now, mut bytes) = (Allowance::new(start), start, 0);
        loop {
            now = bucket.ready_at(now).unwrap_or(now);
            if now - start > lasting {
                return bytes;
            }
            bucket.take(frame, rate, now);
            bytes += frame;
        }
    }

    #[test]
    fn over_time_no_more_passes_than_burst_and_rate_allow() {
        for frame in [256, 1200, 64 * KIB] {
            let bytes = taken(frame, 64 * KIB as u32, Duration::from_secs(10));
            let allowed = 10 * 64 * KIB + 16 * KIB;
            assert!((allowed - frame..=allowed + 2 * frame).contains(&bytes), "{frame}: {bytes}");
        }
    }

    #[test]
    fn small_frames_count_for_more_than_they_are() {
        assert!(taken(1, 64 * KIB as u32, Duration::from_secs(10)) < 2700);
    }

    #[test]
    fn who_was_quiet_has_the_burst_and_no_more() {
        let start = Instant::now();
        let mut bucket = Allowance::new(start);
        let later = start + Duration::from_secs(3600);
        bucket.take(250, 1000, later);
        assert_eq!(bucket.ready_at(later), Some(later + Duration::from_millis(6)));
        assert_eq!(bucket.ready_at(later + Duration::from_millis(6)), None);
    }
}
