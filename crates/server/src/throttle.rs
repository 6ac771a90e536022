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
        if self.counts.len() >= SOURCES_MAX && !self.counts.contains_key(&source) {
            self.counts.retain(|_, counts| !counts.is_idle(now));
            if self.counts.len() >= SOURCES_MAX {
                return self.counts.entry(Source(IpAddr::V6(Ipv6Addr::UNSPECIFIED))).or_default();
            }
        }
        self.counts.entry(source).or_default()
    }
}

/// A connection without a login; stops counting when dropped.
#[derive(Debug)]
pub struct Waiting {
    sources: Arc<Mutex<Sources>>,
    source: Source,
    id: u64,
    /// Cancelled when the connection has to go because its source has too many.
    pub evicted: CancellationToken,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut sources = lock(&self.sources);
        if let Some(counts) = sources.counts.get_mut(&self.source) {
            counts.waiting.retain(|(id, _)| *id != self.id);
        }
    }
}

fn lock(sources: &Mutex<Sources>) -> MutexGuard<'_, Sources> {
    sources.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Throttle {
    /// A connection begins. If its source has too many, the one that waited longest is evicted.
    #[must_use]
    pub fn wait(&self, source: Source) -> Waiting {
        let mut sources = lock(&self.sources);
        let id = sources.next_id;
        sources.next_id += 1;
        let evicted = CancellationToken::new();
        let waiting = &mut sources.of(source, Instant::now()).waiting;
        if waiting.len() >= CONNECTIONS_MAX
            && let Some((_, oldest)) = waiting.pop_front()
        {
            oldest.cancel();
        }
        waiting.push_back((id, evicted.clone()));
        Waiting { sources: self.sources.clone(), source, id, evicted }
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
