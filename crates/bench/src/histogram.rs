//! Latencies: exact to 3 %, in a table of fixed size.

use std::time::Duration;

/// Steps for each doubling.
const STEPS: usize = 32;
/// Doublings above the first [`STEPS`] microseconds; the last ends above an hour.
const DOUBLINGS: usize = 27;

/// Counts of durations.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; STEPS * (DOUBLINGS + 1)] }
    }
}

impl Histogram {
    /// Counts one.
    pub(crate) fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket(micros)] += 1;
    }

    /// Adds what another has counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// What `share` of all durations do not exceed; `None` when nothing was counted.
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        let total: u64 = self.counts.iter().sum();
        let wanted = ((total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        found.map(|bucket| Duration::from_micros(upper(bucket)))
    }
}

fn bucket(micros: u64) -> usize {
    if micros < STEPS as u64 {
        return micros as usize;
    }
    let doubling = (micros.ilog2() - STEPS.ilog2()) as usize;
    if doubling >= DOUBLINGS {
        return STEPS * (DOUBLINGS + 1) - 1;
    }
    STEPS * (doubling + 1) + (micros >> doubling) as usize - STEPS
}

/// The largest number of microseconds in a bucket.
fn upper(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let (doubling, step) = (bucket / STEPS - 1, bucket % STEPS);
    (((STEPS + step + 1) as u64) << doubling) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_dense_and_narrow() {
        for micros in 0..100_000 {
            let bucket = bucket(micros);
            assert!(upper(bucket) >= micros && (bucket == 0 || upper(bucket - 1) < micros), "{micros}");
            assert!((upper(bucket) - micros) as f64 <= micros as f64 / 31.0, "{micros}");
        }
        assert_eq!(bucket(u64::MAX), STEPS * (DOUBLINGS + 1) - 1);
    }

    #[test]
    fn quantiles_are_those_of_what_was_counted() {
        assert_eq!(Histogram::default().quantile(0.5), None);
        let (mut low, mut high) = (Histogram::default(), Histogram::default());
        (1..=15).for_each(|micros| low.record(Duration::from_micros(micros)));
        (16..=30).for_each(|micros| high.record(Duration::from_micros(micros)));
        low.merge(&high);
        assert_eq!(low.quantile(0.5), Some(Duration::from_micros(15)));
        assert_eq!(low.quantile(1.0), Some(Duration::from_micros(30)));
    }
}
