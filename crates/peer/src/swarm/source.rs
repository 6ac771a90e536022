//! What is known of one source.

use std::time::Duration;

use super::limits::{DEPTH_MAX, DEPTH_MIN, PIPELINE};
use super::{ChunkSet, Peer};

/// How the source can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// Not at the moment; an attempt may be made from then on.
    None { retry_at: Duration },
    /// An attempt is to be made when there is place for it.
    Waiting,
    /// An attempt is being made, since then.
    Making { since: Duration },
    /// There is a link.
    Up { relayed: bool, since: Duration },
}

/// One source.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) link: Link,
    /// What it says it has.
    pub(super) map: ChunkSet,
    /// Chunks asked for and not here yet.
    pub(super) asked: Vec<u32>,
    pub(super) rate: Rate,
    /// When it last sent or refused something, or was asked while it had nothing to do.
    pub(super) heard: Duration,
    /// It is not asked before.
    pub(super) rest_until: Duration,
    /// When it last looked for something to take over.
    pub(super) helped: Option<Duration>,
    /// Shortest time from a request to its first byte.
    pub(super) latency: Option<Duration>,
    /// Failures in a row.
    pub(super) fails: u32,
    /// Refusals in a row, as busy and as not here.
    pub(super) busy: u32,
    pub(super) not_here: u32,
    /// Chunks that took far too long.
    pub(super) slow: u32,
}

impl Source {
    pub(super) fn new(chunks: u32, now: Duration) -> Self {
        Self {
            link: Link::None { retry_at: now },
            map: ChunkSet::none(chunks),
            asked: Vec::new(),
            rate: Rate::default(),
            heard: now,
            rest_until: Duration::ZERO,
            helped: None,
            latency: None,
            fails: 0,
            busy: 0,
            not_here: 0,
            slow: 0,
        }
    }

    pub(super) fn is_linked(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    pub(super) fn is_relayed(&self) -> bool {
        matches!(self.link, Link::Up { relayed: true, .. })
    }

    /// How many requests shall stand at it.
    pub(super) fn depth(&self, chunk_bytes: u64) -> u32 {
        if self.slow > 0 || self.busy > 0 {
            return 1;
        }
        let ahead = PIPELINE.max(self.latency.unwrap_or_default() * 2);
        let bytes = u128::from(self.rate.get()) * ahead.as_millis() / 1000;
        let chunks = u32::try_from(bytes / u128::from(chunk_bytes.max(1))).unwrap_or(DEPTH_MAX);
        (chunks + 1).clamp(DEPTH_MIN, DEPTH_MAX)
    }

    /// Whether one more request may stand at it.
    pub(super) fn has_room(&self, chunk_bytes: u64, now: Duration) -> bool {
        self.is_linked() && self.rest_until <= now && (self.asked.len() as u32) < self.depth(chunk_bytes)
    }

    /// So many bytes came.
    pub(super) fn sent(&mut self, bytes: u64, now: Duration) {
        self.rate.add(bytes, now);
        self.heard = now;
    }

    /// It was asked for a chunk.
    pub(super) fn ask(&mut self, chunk: u32, now: Duration) {
        if self.asked.is_empty() {
            self.heard = now;
            self.rate.begin(now);
        }
        self.asked.push(chunk);
    }

    /// A request does not stand any more.
    pub(super) fn answered(&mut self, chunk: u32) {
        self.asked.retain(|asked| *asked != chunk);
        if self.asked.is_empty() {
            self.rate.pause();
        }
    }
}

/// How long so many bytes take at a rate in bytes a second, which is not 0. An hour is for ever.
pub(super) fn time(bytes: u64, rate: u64) -> Duration {
    let ms = u128::from(bytes) * 1000 / u128::from(rate.max(1));
    Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX).min(3_600_000))
}

/// A failed peer and when it may be tried again are drawn from this: exponential, with jitter between a half and all.
pub(super) fn backoff(min: Duration, max: Duration, times: u32, random: u64) -> Duration {
    let bound = min.saturating_mul(1 << times.min(16)).min(max);
    bound / 2 + bound / 2 * (random % 1000) as u32 / 1000
}

/// Bytes a second while something was asked for, over the last second or so.
#[derive(Debug, Default)]
pub(super) struct Rate {
    since: Option<Duration>,
    bytes: u64,
    rate: u64,
}

/// What is measured at once.
const WINDOW: Duration = Duration::from_millis(250);

impl Rate {
    /// 0: not known yet.
    pub(super) fn get(&self) -> u64 {
        self.rate
    }

    pub(super) fn begin(&mut self, now: Duration) {
        self.since.get_or_insert(now);
    }

    fn pause(&mut self) {
        // What came since the last window ended is too little to judge by.
        self.since = None;
        self.bytes = 0;
    }

    fn add(&mut self, bytes: u64, now: Duration) {
        self.bytes = self.bytes.saturating_add(bytes);
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_sub(since);
        // The first figure comes soon, so that a fast source is asked for more at once.
        if passed < if self.rate == 0 { WINDOW / 10 } else { WINDOW } {
            return;
        }
        let figure = u128::from(self.bytes) * 1_000_000 / passed.as_micros().max(1);
        let figure = u64::try_from(figure).unwrap_or(u64::MAX).max(1);
        self.rate = if self.rate == 0 { figure } else { self.rate / 4 * 3 + figure / 4 + 1 };
        self.since = Some(now);
        self.bytes = 0;
    }
}

/// One request for a chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) peer: Peer,
    pub(super) since: Duration,
    /// When its last bytes came.
    pub(super) heard: Duration,
    /// Bytes that came.
    pub(super) bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: u64 = 256 << 10;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_fast_source_is_asked_for_more_at_once() {
        let mut source = Source::new(100, at(0));
        assert_eq!(source.depth(CHUNK), DEPTH_MIN);
        source.ask(0, at(0));
        (1..100).for_each(|step| source.sent(50_000, at(step * 10)));
        assert!((4_000_000..6_000_000).contains(&source.rate.get()), "{:?}", source.rate);
        assert_eq!(source.depth(CHUNK), 8);
        assert_eq!(source.depth(16 << 20), DEPTH_MIN);
        (100..300).for_each(|step| source.sent(1_000_000, at(step * 10)));
        assert_eq!(source.depth(CHUNK), DEPTH_MAX);
        source.busy = 1;
        assert_eq!(source.depth(CHUNK), 1);
    }

    #[test]
    fn waiting_counts_and_a_pause_does_not() {
        let mut source = Source::new(100, at(0));
        source.ask(0, at(0));
        source.sent(100_000, at(1000));
        assert_eq!(source.rate.get(), 100_000);
        source.answered(0);
        source.ask(1, at(60_000));
        source.sent(100_000, at(61_000));
        assert!((99_000..101_000).contains(&source.rate.get()), "{:?}", source.rate);
    }

    #[test]
    fn back_off_doubles_to_its_bound() {
        let of = |times| backoff(at(2000), at(300_000), times, 999);
        assert!(of(0) < at(2001) && of(1) > of(0) && of(60) > at(290_000) && of(60) <= at(300_000));
        assert_eq!(backoff(at(2000), at(300_000), 0, 0), at(1000));
    }
}
