//! What comes of requests.

use super::limits::{BUSY_MAX, BUSY_MIN, DENIED, NOT_HERE_MAX, RETRY_MAX};
use super::source::{Ask, backoff};
use super::{BTreeMap, Effect, Fault, Peer, Phase, Refusal, Room, Source, Swarm};

impl Swarm {
    /// Some of a chunk came.
    pub(super) fn progress(&mut self, peer: Peer, chunk: u32, bytes: u64) {
        let (now, bytes) = (self.now, bytes.min(self.bytes_of(chunk)));
        let Some(ask) = ask_of(&mut self.flights, peer, chunk) else { return };
        let more = bytes.saturating_sub(ask.bytes);
        if more == 0 {
            return;
        }
        let began = ask.bytes == 0;
        ask.bytes = bytes;
        ask.heard = now;
        let waited = now.saturating_sub(ask.since);
        let Some(source) = self.sources.get_mut(&peer) else { return };
        source.sent(more, now);
        if began {
            source.latency = Some(source.latency.map_or(waited, |shortest| shortest.min(waited)));
        }
        self.something_came();
    }

    fn something_came(&mut self) {
        if std::mem::take(&mut self.stalled) {
            self.out.push(Effect::GoesOn);
        }
    }

    /// A chunk is complete. Who sends what is wrong is done with.
    pub(super) fn arrived(&mut self, peer: Peer, chunk: u32, bytes: u64, verified: bool) {
        if !verified {
            return self.lied(peer);
        }
        self.progress(peer, chunk, bytes);
        if self.take_back(peer, chunk).is_some() {
            self.praise(peer);
            self.room_at(peer);
        }
        if self.phase != Phase::Running || chunk >= self.have.chunks() || !self.have.insert(chunk) {
            return;
        }
        let others =
            self.flights.get(&chunk).map_or(Vec::new(), |asks| asks.iter().map(|ask| ask.peer).collect());
        others.into_iter().for_each(|other| self.cancel(other, chunk));
        self.rarity.close(chunk);
        let links = self.linked().count();
        self.telling.add(chunk, links, self.now);
        self.finish_if_full();
    }

    fn praise(&mut self, peer: Peer) {
        let Some(source) = self.sources.get_mut(&peer) else { return };
        source.fails = 0;
        source.busy = 0;
        source.not_here = 0;
        if source.rate.get() >= self.median / 2 {
            source.slow = 0;
        }
    }

    fn lied(&mut self, peer: Peer) {
        self.ban(peer);
        self.unlink(peer, self.now);
        self.sources.remove(&peer);
        self.out.push(Effect::Drop { peer, why: Fault::Lied });
    }

    /// A request will not be answered.
    pub(super) fn refused(&mut self, peer: Peer, chunk: u32, why: Refusal) {
        if self.take_back(peer, chunk).is_none() {
            return;
        }
        self.room = Room::All;
        let (now, random) = (self.now, self.chance.next());
        let Some(source) = self.sources.get_mut(&peer) else { return };
        source.heard = now;
        match why {
            Refusal::NotHere => self.not_here(peer, chunk),
            Refusal::Busy => {
                // Several at once are one.
                if source.rest_until <= now {
                    source.rest_until = now + backoff(BUSY_MIN, BUSY_MAX, source.busy, random);
                    source.busy += 1;
                }
                let until = source.rest_until;
                self.wake_by(until);
            }
            Refusal::Denied => {
                let wait = backoff(DENIED, RETRY_MAX, source.fails, random);
                self.fail(peer, wait, Effect::Disconnect { peer });
            }
        }
    }

    /// The map was wrong about it. One that is wrong again and again is worth nothing.
    fn not_here(&mut self, peer: Peer, chunk: u32) {
        let random = self.chance.next();
        let Some(source) = self.sources.get_mut(&peer) else { return };
        source.not_here += 1;
        if source.map.remove(chunk) && source.is_linked() {
            self.rarity.subtract(chunk);
        }
        if source.not_here >= NOT_HERE_MAX {
            let wait = backoff(DENIED, RETRY_MAX, source.fails, random);
            self.fail(peer, wait, Effect::Disconnect { peer });
        }
    }

    /// Everything is here: says so, and lets go of those who have everything too.
    pub(super) fn finish_if_full(&mut self) {
        if !self.have.is_full() || self.phase != Phase::Running {
            return;
        }
        self.phase = Phase::Complete;
        self.wake = None;
        self.idle_since = None;
        self.tell_everything();
        let is_full = |(peer, source): (Peer, &Source)| source.map.is_full().then_some(peer);
        let full: Vec<_> = self.linked().filter_map(is_full).collect();
        for peer in full {
            self.unlink(peer, self.now);
            self.out.push(Effect::Disconnect { peer });
        }
        self.out.push(Effect::Completed);
    }
}

fn ask_of(flights: &mut BTreeMap<u32, Vec<Ask>>, peer: Peer, chunk: u32) -> Option<&mut Ask> {
    flights.get_mut(&chunk)?.iter_mut().find(|ask| ask.peer == peer)
}
