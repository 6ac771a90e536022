//! Sources: how they are found, linked, left and lost.

use std::time::Duration;

use super::limits::{
    BANNED_MAX, CONNECTING_MAX, DENIED, KNOWN_MAX, LINKS_AT_END, LINKS_MAX, LINKS_WANTED, RETRY_MAX,
    RETRY_MIN,
};
use super::limits::{CONNECT_TIMEOUT, ROTATE_PERIOD, USELESS_AFTER};
use super::source::{Link, backoff};
use super::{ChunkSet, Effect, Fault, Found, Peer, Room, Source, Swarm};

impl Swarm {
    /// The server's answer.
    pub(super) fn server_sources(&mut self, list: Vec<Found>) {
        let known = self.sources.len();
        list.into_iter().for_each(|found| self.found(found));
        if self.sources.len() > known {
            self.in_vain = 0;
        }
    }

    /// A source, or more about one.
    pub(super) fn found(&mut self, found: Found) {
        let new = !self.sources.contains_key(&found.peer);
        if !self.remember(found.peer) {
            return;
        }
        if let Some(map) = found.map {
            let map = map.resized(self.have.chunks());
            self.learn(found.peer, map.iter());
        }
        if new {
            self.wake_by(self.now);
        }
    }

    /// Whether it is one of those known, now if not before.
    fn remember(&mut self, peer: Peer) -> bool {
        if self.banned.contains(&peer) {
            return false;
        }
        if self.sources.len() >= KNOWN_MAX && !self.sources.contains_key(&peer) && !self.forget_one() {
            return false;
        }
        self.sources.entry(peer).or_insert_with(|| Source::new(self.have.chunks(), self.now));
        true
    }

    /// Makes place: the one that failed most often goes.
    fn forget_one(&mut self) -> bool {
        let idle = self.sources.iter().filter(|(_, source)| matches!(source.link, Link::None { .. }));
        let worst = idle.max_by_key(|(_, source)| source.fails).map(|(peer, _)| *peer);
        worst.is_some_and(|peer| self.sources.remove(&peer).is_some())
    }

    pub(super) fn ban(&mut self, peer: Peer) {
        if self.banned.len() >= BANNED_MAX {
            self.banned.pop_first();
        }
        self.banned.insert(peer);
    }

    /// It is remembered: whoever names it again shall not make it a new one, which would be tried at once.
    pub(super) fn gone(&mut self, peer: Peer) {
        let (chunks, random) = (self.have.chunks(), self.chance.next());
        let Some(source) = self.sources.get_mut(&peer) else { return };
        let wait = backoff(RETRY_MIN, DENIED, source.fails, random);
        source.fails = source.fails.saturating_add(1);
        self.unlink(peer, self.now + wait);
        if let Some(source) = self.sources.get_mut(&peer) {
            source.map = ChunkSet::none(chunks);
        }
    }

    pub(super) fn link_up(&mut self, peer: Peer, relayed: bool) {
        if !self.remember(peer) {
            if self.banned.contains(&peer) {
                self.out.push(Effect::Disconnect { peer });
            }
            return;
        }
        let (full, now) = (self.linked().count() >= LINKS_MAX, self.now);
        let Some(source) = self.sources.get_mut(&peer) else { return };
        match &mut source.link {
            Link::Up { relayed: was, .. } => *was = relayed,
            Link::None { .. } | Link::Waiting | Link::Making { .. } if full => return,
            link => {
                *link = Link::Up { relayed, since: now };
                source.map.iter().for_each(|chunk| self.rarity.add(chunk));
            }
        }
        self.room_at(peer);
        self.wake_by(self.check_at);
    }

    pub(super) fn link_waits(&mut self, peer: Peer) {
        let Some(source) = self.sources.get_mut(&peer) else { return };
        if matches!(source.link, Link::Making { .. }) {
            source.link = Link::Waiting;
        }
    }

    pub(super) fn link_begins(&mut self, peer: Peer) {
        let now = self.now;
        let Some(source) = self.sources.get_mut(&peer) else { return };
        if source.link == Link::Waiting {
            source.link = Link::Making { since: now };
            // Nothing could come while it waited.
            self.idle_since = self.idle_since.map(|_| now);
            self.wake_by(now);
        }
    }

    pub(super) fn link_failed(&mut self, peer: Peer) {
        let random = self.chance.next();
        let Some(source) = self.sources.get_mut(&peer) else { return };
        let wait = backoff(RETRY_MIN, RETRY_MAX, source.fails, random);
        source.fails = source.fails.saturating_add(1);
        self.unlink(peer, self.now + wait);
    }

    /// Leaves a source alone for a while, with this effect.
    pub(super) fn fail(&mut self, peer: Peer, wait: Duration, effect: Effect) {
        let Some(source) = self.sources.get_mut(&peer) else { return };
        source.fails = source.fails.saturating_add(1);
        source.not_here = 0;
        source.slow = 0;
        self.unlink(peer, self.now + wait);
        self.out.push(effect);
    }

    /// Drops a source that may be tried again later.
    pub(super) fn drop_for_now(&mut self, peer: Peer, why: Fault) {
        let (fails, random) = (self.sources.get(&peer).map_or(0, |source| source.fails), self.chance.next());
        let wait = backoff(RETRY_MIN, RETRY_MAX, fails, random);
        self.fail(peer, wait, Effect::Drop { peer, why });
    }

    /// What it had counts no more, what it was asked for is open again.
    pub(super) fn unlink(&mut self, peer: Peer, retry_at: Duration) {
        let Some(source) = self.sources.get_mut(&peer) else { return };
        if source.is_linked() {
            source.map.iter().for_each(|chunk| self.rarity.subtract(chunk));
        }
        source.link = Link::None { retry_at };
        for chunk in source.asked.clone() {
            self.take_back(peer, chunk);
        }
        self.room = Room::All;
        self.wake_by(self.now);
    }

    pub(super) fn map_delta(&mut self, peer: Peer, chunks: &[u32]) {
        self.learn(peer, chunks.iter().copied());
    }

    /// It has these too.
    fn learn(&mut self, peer: Peer, chunks: impl Iterator<Item = u32>) {
        for chunk in chunks {
            let Some(source) = self.sources.get_mut(&peer) else { return };
            if source.map.insert(chunk) && source.is_linked() {
                self.rarity.add(chunk);
                self.release(chunk);
            }
        }
        self.room_at(peer);
    }

    /// Links that are there or are being made.
    pub(super) fn links_used(&self) -> usize {
        self.sources.values().filter(|source| !matches!(source.link, Link::None { .. })).count()
    }

    fn links_wanted(&self) -> usize {
        if self.rarity.has_open() { LINKS_WANTED } else { LINKS_AT_END }
    }

    /// Those that may be tried now, the most promising first.
    fn candidates(&mut self) -> Vec<Peer> {
        let now = self.now;
        let ready = self
            .sources
            .iter()
            .filter(|(_, source)| matches!(source.link, Link::None { retry_at } if retry_at <= now));
        let mut ready: Vec<_> = ready
            .map(|(peer, source)| {
                let of_use = source.map.is_empty() || source.map.has_beyond(&self.have);
                (source.fails, !of_use, self.chance.next(), *peer)
            })
            .collect();
        ready.sort_unstable();
        ready.into_iter().map(|(.., peer)| peer).collect()
    }

    /// Makes links while there are too few.
    pub(super) fn connect_some(&mut self) {
        let making =
            self.sources.values().filter(|source| matches!(source.link, Link::Making { .. })).count();
        let place =
            self.links_wanted().saturating_sub(self.links_used()).min(CONNECTING_MAX.saturating_sub(making));
        if place == 0 {
            return;
        }
        for peer in self.candidates().into_iter().take(place) {
            if let Some(source) = self.sources.get_mut(&peer) {
                source.link = Link::Making { since: self.now };
                self.out.push(Effect::Connect { peer });
            }
        }
    }

    /// When the next source may be tried again, if there is place.
    pub(super) fn next_retry(&self) -> Option<Duration> {
        let retry = |source: &Source| match source.link {
            Link::None { retry_at } if retry_at > self.now => Some(retry_at),
            _ => None,
        };
        let place = self.links_used() < self.links_wanted();
        self.sources.values().filter(|_| place).filter_map(retry).min()
    }

    /// Attempts that nobody answered.
    pub(super) fn give_up_attempts(&mut self) {
        let now = self.now;
        let late = self.sources.iter().filter(
            |(_, source)| matches!(source.link, Link::Making { since } if now >= since + CONNECT_TIMEOUT),
        );
        let late: Vec<_> = late.map(|(peer, _)| *peer).collect();
        for peer in late {
            self.link_failed(peer);
            self.out.push(Effect::Disconnect { peer });
        }
    }

    /// With all links made, the one that brings least makes place for another now and then: otherwise those who were
    /// unlucky in whom they met would be last, while fast sources are idle elsewhere.
    pub(super) fn rotate(&mut self) {
        if self.now < self.rotate_at || self.links_used() < self.links_wanted() {
            return;
        }
        self.rotate_at = self.now + ROTATE_PERIOD;
        let enough = self.median / 4 * 3;
        let poor = self.linked().filter(|(_, source)| {
            let tried = matches!(source.link, Link::Up { since, .. } if self.now >= since + USELESS_AFTER);
            tried && (source.asked.is_empty() || source.rate.get() < enough)
        });
        let poor = poor.filter(|(peer, source)| !self.has_begun(*peer) && !self.is_precious(source));
        let poorest = poor.min_by_key(|(_, source)| (!source.asked.is_empty(), source.rate.get()));
        let Some(peer) = poorest.map(|(peer, _)| peer) else { return };
        if !self.candidates().is_empty() {
            self.unlink(peer, self.now + DENIED);
            self.out.push(Effect::Disconnect { peer });
        }
    }

    /// Some of a chunk came from it that is not complete.
    fn has_begun(&self, peer: Peer) -> bool {
        self.flights.values().flatten().any(|ask| ask.peer == peer && ask.bytes > 0)
    }

    /// It alone has something that is missing.
    fn is_precious(&self, source: &Source) -> bool {
        source.map.iter().any(|chunk| !self.have.contains(chunk) && self.rarity.count(chunk) == 1)
    }
}
