//! How fast a client may send, by the server's limits.

use std::time::Duration;

use hobnob_protocol::limits::IN_FLIGHT_MAX;
use hobnob_protocol::v1::Limits;

/// A token bucket. Holds nanoseconds of credit, so that nothing is lost to rounding.
#[derive(Clone, Debug)]
struct Bucket {
    /// What one costs; zero: no limit.
    cost: Duration,
    full: Duration,
    credit: Duration,
    at: Duration,
}

impl Bucket {
    fn new(rate: u32, burst: u32, now: Duration) -> Self {
        let cost = Duration::from_secs(1).checked_div(rate).unwrap_or_default();
        let full = cost * burst.max(1);
        Self { cost, full, credit: full, at: now }
    }

    fn fill(&mut self, now: Duration) {
        self.credit = self.full.min(self.credit + now.saturating_sub(self.at));
        self.at = now;
    }

    /// When there is enough for one.
    fn ready(&self) -> Duration {
        self.at + self.cost.saturating_sub(self.credit)
    }

    fn spend(&mut self) {
        self.credit = self.credit.saturating_sub(self.cost);
    }
}

/// The limits of a session.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    sends: Bucket,
    broadcasts: Bucket,
    pub(crate) in_flight_max: usize,
}

impl Pace {
    pub(crate) fn new(limits: Option<Limits>, now: Duration) -> Self {
        let limits = limits.unwrap_or_default();
        let in_flight_max = match limits.in_flight as usize {
            0 => IN_FLIGHT_MAX,
            told => told.min(IN_FLIGHT_MAX),
        };
        Self {
            sends: Bucket::new(limits.send_rate, limits.send_burst, now),
            broadcasts: Bucket::new(limits.broadcast_rate, limits.broadcast_burst, now),
            in_flight_max,
        }
    }

    /// Takes the place of one submit, or says when there will be one.
    pub(crate) fn take(&mut self, broadcast: bool, now: Duration) -> Result<(), Duration> {
        self.sends.fill(now);
        self.broadcasts.fill(now);
        let ready =
            if broadcast { self.sends.ready().max(self.broadcasts.ready()) } else { self.sends.ready() };
        if ready > now {
            return Err(ready);
        }
        self.sends.spend();
        if broadcast {
            self.broadcasts.spend();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(send_rate: u32, send_burst: u32, broadcast_rate: u32, broadcast_burst: u32) -> Option<Limits> {
        Some(Limits { send_rate, send_burst, broadcast_rate, broadcast_burst, in_flight: 0 })
    }

    fn sent_within(pace: &mut Pace, broadcast: bool, from: Duration, to: Duration) -> u32 {
        let (mut now, mut sent) = (from, 0);
        while now <= to && sent < 100_000 {
            match pace.take(broadcast, now) {
                Ok(()) => sent += 1,
                Err(ready) => {
                    assert!(ready > now);
                    now = ready;
                }
            }
        }
        sent
    }

    #[test]
    fn a_burst_and_then_the_rate_and_never_more() {
        let mut pace = Pace::new(limits(50, 200, 1, 10), Duration::ZERO);
        assert_eq!(sent_within(&mut pace, false, Duration::ZERO, Duration::from_secs(10)), 200 + 500);
        let later = Duration::from_secs(1000);
        assert_eq!(sent_within(&mut pace, true, later, later + Duration::from_secs(5)), 10 + 5);
        let then = later + Duration::from_secs(5);
        assert_eq!(sent_within(&mut pace, false, then, then), 199, "broadcasts count as sends as well");
    }

    #[test]
    fn no_rate_is_no_limit() {
        let mut pace = Pace::new(None, Duration::ZERO);
        assert_eq!(sent_within(&mut pace, true, Duration::ZERO, Duration::ZERO), 100_000);
        assert_eq!(pace.in_flight_max, IN_FLIGHT_MAX);
    }
}
