//! Limits by source address: connections without a login, failed logins, new accounts. In memory; a restart
//! forgets them, the lock-out of names (in the store) does not.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Connections of one source without a login; the one that waits longest is closed for a new one.
const CONNECTIONS_MAX: usize = 256;
const FAILED_LOGINS: Window = Window { most: 100, period: Duration::from_secs(600) };
const NEW_ACCOUNTS: Window = Window { most: 300, period: Duration::from_secs(3600) };
/// Sources whose counts are kept; a source beyond them shares one count with the others beyond.
const SOURCES_MAX: usize = 65_536;

struct Window {
    most: usize,
    period: Duration,
}

/// Where a connection comes from: an IPv4 address or an IPv6 /64, since one subscriber has all of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
            v4 => v4,
        })
    }
}

/// What a source may try only so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// A password was wrong.
    FailedLogin,
    /// An account was made.
    NewAccount,
}

#[derive(Debug, Default)]
struct Counts {
    waiting: VecDeque<(u64, CancellationToken)>,
    failed_logins: VecDeque<Instant>,
    new_accounts: VecDeque<Instant>,
}

impl Counts {
    fn recent(&mut self, attempt: Attempt, now: Instant) -> (&mut VecDeque<Instant>, usize) {
        let (times, window) = match attempt {
            Attempt::FailedLogin => (&mut self.failed_logins, FAILED_LOGINS),
            Attempt::NewAccount => (&mut self.new_accounts, NEW_ACCOUNTS),
        };
        while times.front().is_some_and(|time| now.duration_since(*time) >= window.period) {
            times.pop_front();
        }
        (times, window.most)
    }

    fn is_idle(&mut self, now: Instant) -> bool {
        self.waiting.is_empty()
            && self.recent(Attempt::FailedLogin, now).0.is_empty()
            && self.recent(Attempt::NewAccount, now).0.is_empty()
    }
}

/// Counts by source.
#[derive(Clone, Debug, Default)]
pub struct Throttle {
    sources: Arc<Mutex<Sources>>,
}

#[derive(Debug, Default)]
struct Sources {
    counts: HashMap<Source, Counts>,
    next_id: u64,
}

impl Sources {
    fn of(&mut self, source: Source, now: Instant) -> &mut Counts {
        let counted_as = self.counted_as(source, now);
        self.counts.entry(counted_as).or_default()
    }

    /// The source itself, or the one that stands for all for which there is no room.
    fn counted_as(&mut self, source: Source, now: Instant) -> Source {
        if self.counts.len() >= SOURCES_MAX && !self.counts.contains_key(&source) {
            self.counts.retain(|_, counts| !counts.is_idle(now));
            if self.counts.len() >= SOURCES_MAX {
                return Source(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
            }
        }
        source
    }
}

/// A connection without a login; stops counting when dropped.
#[derive(Debug)]
pub struct Waiting {
    sources: Arc<Mutex<Sources>>,
    /// What it is counted as; `None`: not counted yet.
    source: Option<Source>,
    id: u64,
    /// Cancelled when the connection has to go because its source has too many.
    pub evicted: CancellationToken,
}

impl Waiting {
    /// Counts it where it comes from, and nowhere else. If that source has too many, the one that waited longest is
    /// evicted.
    pub fn place(&mut self, source: Source) {
        let mut sources = lock(&self.sources);
        let source = sources.counted_as(source, Instant::now());
        if self.source == Some(source) {
            return;
        }
        self.leave(&mut sources);
        let waiting = &mut sources.counts.entry(source).or_default().waiting;
        if waiting.len() >= CONNECTIONS_MAX
            && let Some((_, oldest)) = waiting.pop_front()
        {
            oldest.cancel();
        }
        waiting.push_back((self.id, self.evicted.clone()));
        self.source = Some(source);
    }

    fn leave(&self, sources: &mut Sources) {
        if let Some(counts) = self.source.and_then(|source| sources.counts.get_mut(&source)) {
            counts.waiting.retain(|(id, _)| *id != self.id);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.leave(&mut lock(&self.sources));
    }
}

fn lock(sources: &Mutex<Sources>) -> MutexGuard<'_, Sources> {
    sources.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Throttle {
    /// A connection begins. If its source has too many, the one that waited longest is evicted.
    #[must_use]
    pub fn wait(&self, source: Source) -> Waiting {
        let mut waiting = self.arrive();
        waiting.place(source);
        waiting
    }

    /// A connection begins of which it is not known yet whose it is: it counts from when it is placed.
    #[must_use]
    pub fn arrive(&self) -> Waiting {
        let mut sources = lock(&self.sources);
        let id = sources.next_id;
        sources.next_id += 1;
        Waiting { sources: self.sources.clone(), source: None, id, evicted: CancellationToken::new() }
    }

    /// Whether the source may try that now.
    #[must_use]
    pub fn allows(&self, source: Source, attempt: Attempt) -> bool {
        let now = Instant::now();
        let mut sources = lock(&self.sources);
        let (times, most) = sources.of(source, now).recent(attempt, now);
        times.len() < most
    }

    /// Counts one.
    pub fn count(&self, source: Source, attempt: Attempt) {
        let now = Instant::now();
        let mut sources = lock(&self.sources);
        let (times, most) = sources.of(source, now).recent(attempt, now);
        if times.len() < most {
            times.push_back(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> Source {
        Source::from(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn a_source_is_an_ipv4_address_or_an_ipv6_network() {
        assert_eq!(source("::ffff:10.0.0.1"), source("10.0.0.1"));
        assert_ne!(source("10.0.0.1"), source("10.0.0.2"));
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
    }

    #[tokio::test]
    async fn the_connection_that_waits_longest_makes_room() {
        let throttle = Throttle::default();
        let mut waiting: Vec<_> = (0..CONNECTIONS_MAX).map(|_| throttle.wait(source("10.0.0.1"))).collect();
        assert!(waiting.iter().all(|one| !one.evicted.is_cancelled()));
        drop(throttle.wait(source("10.0.0.2")));
        waiting.remove(1);
        waiting.push(throttle.wait(source("10.0.0.1")));
        assert!(!waiting[0].evicted.is_cancelled());
        waiting.push(throttle.wait(source("10.0.0.1")));
        assert!(waiting[0].evicted.is_cancelled());
        assert!(waiting[1..].iter().all(|one| !one.evicted.is_cancelled()));
    }

    #[tokio::test]
    async fn a_connection_counts_where_it_was_placed_last() {
        let throttle = Throttle::default();
        let mut arrived: Vec<_> = (0..=CONNECTIONS_MAX).map(|_| throttle.arrive()).collect();
        assert!(arrived.iter().all(|one| !one.evicted.is_cancelled()));
        arrived[0].place(source("10.0.0.1"));
        arrived[0].place(source("10.0.0.2"));
        arrived[1..].iter_mut().for_each(|one| one.place(source("10.0.0.1")));
        assert!(arrived.iter().all(|one| !one.evicted.is_cancelled()));
        // Once more where it is already makes it no younger.
        arrived[1].place(source("10.0.0.1"));
        arrived[0].place(source("10.0.0.1"));
        assert!(arrived[1].evicted.is_cancelled());
        assert!(arrived[2..].iter().chain([&arrived[0]]).all(|one| !one.evicted.is_cancelled()));
        drop(arrived);
        assert!(lock(&throttle.sources).counts.values().all(|counts| counts.waiting.is_empty()));
    }

    #[tokio::test]
    async fn sources_beyond_those_that_are_kept_share_a_count_and_leave_it() {
        let throttle = Throttle::default();
        let kept = (0..SOURCES_MAX).map(|n| Source(IpAddr::from((n as u32 | 10 << 24).to_be_bytes())));
        let _kept: Vec<_> = kept.map(|source| throttle.wait(source)).collect();
        drop([throttle.wait(source("192.0.2.1")), throttle.wait(source("192.0.2.2"))]);
        let shared = Source(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        assert!(lock(&throttle.sources).counts[&shared].waiting.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_run_out_and_come_back() {
        let throttle = Throttle::default();
        for _ in 0..FAILED_LOGINS.most {
            assert!(throttle.allows(source("10.0.0.1"), Attempt::FailedLogin));
            throttle.count(source("10.0.0.1"), Attempt::FailedLogin);
        }
        assert!(!throttle.allows(source("10.0.0.1"), Attempt::FailedLogin));
        assert!(throttle.allows(source("10.0.0.2"), Attempt::FailedLogin));
        assert!(throttle.allows(source("10.0.0.1"), Attempt::NewAccount));
        tokio::time::advance(FAILED_LOGINS.period).await;
        assert!(throttle.allows(source("10.0.0.1"), Attempt::FailedLogin));
    }
}
