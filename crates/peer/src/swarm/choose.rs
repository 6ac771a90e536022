//! Which source is asked for which chunk.

use std::time::Duration;

use super::limits::{END_GAME, HELP_PERIOD, IN_FLIGHT_MAX, MOVE_AFTER, SLOW_TIMES, STALL_AFTER, STUCK_AFTER};
use super::source::{Ask, time};
use super::{ChunkSet, Effect, Peer, Phase, Room, Swarm};

/// How an idle source takes part in a chunk that another was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The request moves.
    Move,
    /// Both are asked.
    Twice,
}

/// Passes over those who may have room after one event: requests that move make room elsewhere.
const ROUNDS: usize = 4;
/// Nothing takes less time than this.
const SHORTEST: Duration = Duration::from_millis(20);
/// A direct source that has been busy so often does not keep a relayed one from being asked.
const BUSY_OFTEN: u32 = 3;

impl Swarm {
    /// This source may have room.
    pub(super) fn room_at(&mut self, peer: Peer) {
        self.room = match self.room {
            Room::Nobody => Room::One(peer),
            Room::One(other) if other == peer => self.room,
            Room::One(_) | Room::All => Room::All,
        };
    }

    /// Asks those who may have room.
    pub(super) fn fill_room(&mut self) {
        for _ in 0..ROUNDS {
            match std::mem::replace(&mut self.room, Room::Nobody) {
                Room::Nobody => return,
                Room::One(peer) => self.fill(peer),
                Room::All => self.fill_all(),
            }
        }
    }

    /// Direct links first, then those that will be done sooner.
    fn fill_all(&mut self) {
        let (chunk_bytes, now) = (self.chunk_bytes, self.now);
        let with_room = self.linked().filter(|(_, source)| source.has_room(chunk_bytes, now));
        let mut order: Vec<_> = with_room
            .map(|(peer, source)| (source.is_relayed(), self.time_for(peer, source.asked.len() + 1), peer))
            .collect();
        order.sort_unstable();
        order.into_iter().for_each(|(_, _, peer)| self.fill(peer));
    }

    /// Asks one source for as much as it shall have to do.
    fn fill(&mut self, peer: Peer) {
        let Some(relayed) = self.sources.get(&peer).map(|source| source.is_relayed()) else { return };
        let covered = relayed.then(|| self.covered());
        while self.phase == Phase::Running && self.in_flight < IN_FLIGHT_MAX {
            let Some(source) = self.sources.get(&peer) else { return };
            if !source.has_room(self.chunk_bytes, self.now) {
                return;
            }
            let first = self.have.len() + self.in_flight < self.random_first;
            let choose = if first { super::Rarity::any } else { super::Rarity::rarest };
            match choose(&self.rarity, &source.map, covered.as_ref(), &mut self.chance) {
                Some(chunk) => self.request(peer, chunk),
                None if self.help(peer, covered.as_ref()) => {}
                None => return,
            }
        }
    }

    /// What direct sources have: a relay carries only what nothing else does.
    fn covered(&self) -> ChunkSet {
        let mut covered = ChunkSet::none(self.have.chunks());
        let fit = self
            .linked()
            .filter(|(_, source)| !source.is_relayed() && source.slow == 0 && source.busy < BUSY_OFTEN);
        fit.for_each(|(_, source)| covered.insert_all(&source.map));
        covered
    }

    fn request(&mut self, peer: Peer, chunk: u32) {
        let Some(source) = self.sources.get_mut(&peer) else { return };
        source.ask(chunk, self.now);
        self.rarity.close(chunk);
        let ask = Ask { peer, since: self.now, heard: self.now, bytes: 0 };
        self.flights.entry(chunk).or_default().push(ask);
        self.in_flight += 1;
        self.idle_since = None;
        self.out.push(Effect::Request { peer, chunk });
    }

    /// A request does not stand any more. If it was the only one for its chunk, the chunk is open again.
    pub(super) fn take_back(&mut self, peer: Peer, chunk: u32) -> Option<Ask> {
        let asks = self.flights.get_mut(&chunk)?;
        let at = asks.iter().position(|ask| ask.peer == peer)?;
        let ask = asks.swap_remove(at);
        if asks.is_empty() {
            self.flights.remove(&chunk);
            if !self.have.contains(chunk) {
                self.rarity.open(chunk);
            }
        }
        self.in_flight -= 1;
        if self.in_flight == 0 {
            self.idle_since = Some(self.now);
            self.wake_by(self.now + STALL_AFTER);
        }
        if let Some(source) = self.sources.get_mut(&peer) {
            source.answered(chunk);
        }
        Some(ask)
    }

    /// Takes a request back and says so.
    pub(super) fn cancel(&mut self, peer: Peer, chunk: u32) {
        if self.take_back(peer, chunk).is_some() {
            self.out.push(Effect::CancelRequest { peer, chunk });
            self.room_at(peer);
        }
    }

    /// Another has it now too: if the one who was asked alone had it, and did not begin, it shall rather give what still
    /// nobody else has.
    pub(super) fn release(&mut self, chunk: u32) {
        if self.rarity.count(chunk) != 2 {
            return;
        }
        let Some([ask]) = self.flights.get(&chunk).map(Vec::as_slice) else { return };
        let peer = ask.peer;
        let precious = self.sources.get(&peer).is_some_and(|source| self.rarity.has_unique(&source.map));
        if ask.bytes == 0 && precious {
            self.cancel(peer, chunk);
        }
    }

    /// Everything that is missing and can be had was asked for, and it is not much.
    fn is_end_game(&self) -> bool {
        self.have.chunks() - self.have.len() <= END_GAME && !self.rarity.has_open()
    }

    /// A source with nothing to do takes over what waits elsewhere, or in the end game does it too.
    fn help(&mut self, peer: Peer, covered: Option<&ChunkSet>) -> bool {
        let now = self.now;
        let Some(source) = self.sources.get(&peer) else { return false };
        if source.helped.is_some_and(|helped| now < helped + HELP_PERIOD) {
            return false;
        }
        let mine = self.time_for(peer, source.asked.len() + 1).max(SHORTEST);
        let end_game = self.is_end_game();
        let fit = self.flights.iter().filter(|(chunk, asks)| {
            source.map.contains(**chunk)
                && asks.iter().all(|ask| ask.peer != peer)
                && covered.is_none_or(|covered| !covered.contains(**chunk))
        });
        let ways = fit.filter_map(|(chunk, asks)| {
            let (waits, other, way) = match asks.as_slice() {
                [ask] => self.way(*chunk, ask, mine, end_game)?,
                // Neither of two may ever answer: one who has shown that it does takes the place of one.
                asks if end_game && source.rate.get() > 0 => self.stuck(asks)?,
                _ => return None,
            };
            Some((waits, *chunk, other, way))
        });
        let Some((_, chunk, other, way)) = ways.max_by_key(|(waits, ..)| *waits) else {
            if let Some(source) = self.sources.get_mut(&peer) {
                source.helped = Some(now);
            }
            return false;
        };
        if way == Way::Move {
            self.cancel(other, chunk);
        }
        self.request(peer, chunk);
        true
    }

    /// Of several who were asked long ago and did not begin the one who was asked first.
    fn stuck(&self, asks: &[Ask]) -> Option<(Duration, Peer, Way)> {
        let waited = |ask: &Ask| self.now.saturating_sub(ask.since);
        let stuck = asks.iter().all(|ask| ask.bytes == 0 && waited(ask) >= STUCK_AFTER);
        let first = asks.iter().max_by_key(|ask| waited(ask)).filter(|_| stuck)?;
        Some((waited(first), first.peer, Way::Move))
    }

    /// Whether one who needs the time `mine` should take part in this chunk, in what way, and how long it would be waited
    /// for otherwise.
    fn way(&self, chunk: u32, ask: &Ask, mine: Duration, end_game: bool) -> Option<(Duration, Peer, Way)> {
        let other = self.sources.get(&ask.peer)?;
        if ask.bytes == 0 {
            let waits = self.time_for(ask.peer, other.asked.len()).max(self.now.saturating_sub(other.heard));
            let fit = self.now >= ask.since + MOVE_AFTER && waits > if end_game { mine } else { mine * 2 };
            return fit.then_some((waits, ask.peer, if end_game { Way::Twice } else { Way::Move }));
        }
        let rest = self.bytes_of(chunk).saturating_sub(ask.bytes);
        let waits = self.time_for_bytes(ask.peer, rest).max(self.now.saturating_sub(ask.heard));
        if end_game {
            return (waits > mine).then_some((waits, ask.peer, Way::Twice));
        }
        let slow = other.rate.get() < self.median / u64::from(SLOW_TIMES);
        (slow && waits > mine * SLOW_TIMES).then_some((waits, ask.peer, Way::Move))
    }

    /// How long the source takes for so many chunks.
    pub(super) fn time_for(&self, peer: Peer, chunks: usize) -> Duration {
        self.time_for_bytes(peer, self.chunk_bytes.saturating_mul(chunks as u64))
    }

    /// One that was not measured is taken for an ordinary one.
    fn time_for_bytes(&self, peer: Peer, bytes: u64) -> Duration {
        let rate = self.sources.get(&peer).map_or(0, |source| source.rate.get());
        match if rate == 0 { self.median } else { rate } {
            0 => Duration::from_secs(1),
            rate => time(bytes, rate),
        }
    }
}
