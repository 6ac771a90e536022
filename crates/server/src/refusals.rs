//! Which refusals are told in the log: a refused client comes again for ever.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::throttle::Source;

/// How often a source is spoken of.
const PERIOD: Duration = Duration::from_secs(60);
/// Sources that are remembered; of more nothing is told.
const SOURCES_MAX: usize = 1024;

/// When each source was last spoken of, and how often it was refused since.
#[derive(Debug, Default)]
pub(crate) struct Refusals(HashMap<Source, (Instant, u64)>);

impl Refusals {
    /// Notes one. If it is to be told: how many there were of the source since the last that was.
    pub(crate) fn tell(&mut self, source: Source, now: Instant) -> Option<u64> {
        if let Some((told, others)) = self.0.get_mut(&source) {
            if now.duration_since(*told) < PERIOD {
                *others += 1;
                return None;
            }
            *told = now;
            return Some(std::mem::take(others));
        }
        if self.0.len() >= SOURCES_MAX {
            self.0.retain(|_, (told, _)| now.duration_since(*told) < PERIOD);
        }
        if self.0.len() >= SOURCES_MAX {
            return None;
        }
        self.0.insert(source, (now, 0));
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn source(number: u32) -> Source {
        IpAddr::from(Ipv4Addr::from_bits(number)).into()
    }

    #[test]
    fn a_source_is_told_of_once_a_minute() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        assert_eq!(refusals.tell(source(1), now), Some(0));
        assert!((1..60).all(|second| refusals.tell(source(1), now + Duration::from_secs(second)).is_none()));
        assert_eq!(refusals.tell(source(2), now), Some(0));
        assert_eq!(refusals.tell(source(1), now + PERIOD), Some(59));
    }

    #[test]
    fn of_many_sources_not_all_are_told() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let told = (0..5000).filter(|number| refusals.tell(source(*number), now).is_some()).count();
        assert_eq!((told, refusals.0.len()), (SOURCES_MAX, SOURCES_MAX));
        assert_eq!(refusals.tell(source(5000), now + PERIOD), Some(0));
    }
}
