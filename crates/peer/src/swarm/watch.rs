//! What is done from time to time: looking for silence and slowness, new sources, new links.

use std::time::Duration;

use super::limits::{ASK_MAX, ASK_MIN, ASK_MORE, CHECK_PERIOD, END_GAME, FEW, HELP_PERIOD, LINKS_WANTED};
use super::limits::{SILENCE, SLOW_MIN, SLOW_STRIKES, SLOW_TIMES, STALL_AFTER};
use super::source::{Link, backoff, time};
use super::{Effect, Fault, Peer, Room, Swarm};

impl Swarm {
    /// Everything that is due, and when to look again.
    pub(super) fn watch(&mut self) {
        if self.check_at <= self.now {
            self.check();
        }
        self.ask_for_sources();
        self.connect_some();
        self.end_rests();
        self.fill_room();
        self.look_for_stall();
        self.wake = self.next_wake();
    }

    fn check(&mut self) {
        self.median = self.median_rate();
        self.give_up_attempts();
        self.drop_silent();
        self.strike_slow();
        self.rotate();
        self.room = Room::All;
        let missing = self.have.chunks() - self.have.len();
        self.check_at = self.now + if missing <= END_GAME { HELP_PERIOD * 2 } else { CHECK_PERIOD };
    }

    /// Sources that said they were busy are asked again.
    fn end_rests(&mut self) {
        let over = |source: &super::Source| !source.rest_until.is_zero() && source.rest_until <= self.now;
        let over: Vec<_> = self.linked().filter(|(_, source)| over(source)).map(|(peer, _)| peer).collect();
        for peer in over {
            if let Some(source) = self.sources.get_mut(&peer) {
                source.rest_until = Duration::ZERO;
            }
            self.room_at(peer);
        }
    }

    fn median_rate(&self) -> u64 {
        let mut rates: Vec<_> =
            self.linked().map(|(_, source)| source.rate.get()).filter(|rate| *rate > 0).collect();
        rates.sort_unstable();
        rates.get(rates.len() / 2).copied().unwrap_or(0)
    }

    fn drop_silent(&mut self) {
        let silent: Vec<_> =
            self.linked().map(|(peer, _)| peer).filter(|peer| self.is_silent(*peer)).collect();
        silent.into_iter().for_each(|peer| self.drop_for_now(peer, Fault::Silent));
    }

    /// Requests that were taken back before it could answer do not tell much.
    fn is_silent(&self, peer: Peer) -> bool {
        let Some(source) = self.sources.get(&peer) else { return false };
        let asks = source.asked.iter().filter_map(|chunk| self.flights.get(chunk)).flatten();
        let oldest = asks.filter(|ask| ask.peer == peer).map(|ask| ask.since).min();
        let quiet = self.now.saturating_sub(source.heard);
        oldest
            .is_some_and(|oldest| quiet >= SILENCE && (self.now >= oldest + SILENCE || quiet >= SILENCE * 3))
    }

    /// Takes chunks from those who need far too long for them, if another has them.
    fn strike_slow(&mut self) {
        let long = match self.median {
            0 => return,
            median => (time(self.chunk_bytes, median) * SLOW_TIMES).max(SLOW_MIN),
        };
        let begun = self.flights.iter().flat_map(|(chunk, asks)| asks.iter().map(move |ask| (*chunk, ask)));
        let begun = begun.filter(|(_, ask)| ask.bytes > 0);
        let slow: Vec<_> = begun
            .filter(|(chunk, ask)| {
                let rate = self.sources.get(&ask.peer).map_or(0, |source| source.rate.get());
                let rest = self.bytes_of(*chunk).saturating_sub(ask.bytes);
                let passed = self.now.saturating_sub(ask.since);
                rate > 0
                    && time(self.chunk_bytes, rate) > long
                    && time(rest, rate) > long.saturating_sub(passed)
                    && self.is_had_by_another(*chunk, ask.peer)
            })
            .map(|(chunk, ask)| (chunk, ask.peer))
            .collect();
        for (chunk, peer) in slow {
            self.cancel(peer, chunk);
            let Some(source) = self.sources.get_mut(&peer) else { continue };
            source.slow += 1;
            if source.slow >= SLOW_STRIKES {
                self.drop_for_now(peer, Fault::Slow);
            }
        }
    }

    fn is_had_by_another(&self, chunk: u32, than: Peer) -> bool {
        self.linked().any(|(peer, source)| peer != than && source.slow == 0 && source.map.contains(chunk))
    }

    fn ask_for_sources(&mut self) {
        if self.ask_again_at() <= self.now {
            self.asked_at = Some(self.now);
            self.in_vain = self.in_vain.saturating_add(1);
            self.out.push(Effect::AskSources);
        }
    }

    /// When the server may be asked again: soon while there are few sources, but less and less often when that brings
    /// nothing.
    fn ask_again_at(&self) -> Duration {
        let Some(asked_at) = self.asked_at else { return Duration::ZERO };
        let linked = self.linked().count();
        let in_vain = self.in_vain.saturating_sub(1);
        let wait = match () {
            () if linked < FEW || self.in_flight == 0 => backoff(ASK_MIN * 2, ASK_MAX, in_vain, 0),
            () if linked < LINKS_WANTED => backoff(ASK_MORE * 2, ASK_MAX, in_vain, 0),
            () => ASK_MAX,
        };
        asked_at + wait
    }

    /// Some source has not had its turn.
    fn waits(&self) -> bool {
        self.sources.values().any(|source| source.link == Link::Waiting)
    }

    fn look_for_stall(&mut self) {
        let idle = self.idle_since.is_some_and(|since| self.now >= since + STALL_AFTER);
        if idle && !self.waits() && !self.stalled {
            self.stalled = true;
            self.out.push(Effect::Stalled);
        }
    }

    fn next_wake(&self) -> Option<Duration> {
        let used = self.sources.values().any(|source| !matches!(source.link, Link::None { .. }));
        let rests = self.linked().map(|(_, source)| source.rest_until).filter(|until| *until > self.now);
        let stall =
            self.idle_since.filter(|_| !self.stalled && !self.waits()).map(|since| since + STALL_AFTER);
        let others = [used.then_some(self.check_at), self.next_retry(), stall, Some(self.ask_again_at())];
        others.into_iter().flatten().chain(rests).min()
    }
}
