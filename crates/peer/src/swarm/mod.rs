//! The swarm: which source is asked for which chunk of a file, and when; and who is served first.
//!
//! [`Swarm`] is one download on one device as a pure machine: what happens changes its state and yields effects, which
//! the driver carries out in their order. [`Uploads`] decides the order in which those are served who ask this device.
//! No sockets, no clocks, no bytes; all chance comes from a seed, and no order of a hash reaches a decision.
//!
//! The driver owns the links, of which one serves both ends: it tells peers the own map when a link is made and what
//! [`Effect::TellPeers`] says on every link of the file, hands what they tell to both machines, and closes a link that
//! neither end needs. A swarm that has everything goes on as the seeder's: it needs no link and only counts them.
//!
//! - The first chunks are chosen at random, then the rarest among the linked sources, ties by chance.
//! - A chunk is asked of one source at a time. A source with nothing to do takes over what waits elsewhere, and in the
//!   end game (everything that is missing was asked for) the last chunks are asked for twice.
//! - A request that is silent for long, a lie, a refusal, a chunk that takes far longer than those of others: the source
//!   loses the chunk, and what it is asked for later, if ever, depends on what it did.
//! - What only one source had is not asked of it any more as soon as another has it, so that it can give what still
//!   nobody else has.

mod arrive;
mod chance;
mod choose;
mod event;
mod limits;
mod links;
mod rarity;
mod source;
mod tell;
mod uploads;
mod watch;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chance::Chance;
use hobnob_protocol::limits::FILE_CHUNKS_MAX;
use limits::LINKS_MAX;
use rarity::Rarity;
use source::{Ask, Link, Source};
use tell::Telling;

pub use crate::file::ChunkSet;
pub use event::{Effect, Event, Fault, Found, Peer, Refusal, Report, Setup};
pub use uploads::{UploadEffect, UploadEvent, Uploads};

/// One download of one file on one device.
#[derive(Debug)]
pub struct Swarm {
    size: u64,
    chunk_bytes: u64,
    random_first: u32,
    have: ChunkSet,
    rarity: Rarity,
    /// Chunks that were asked for, and of whom: of two in the end game.
    flights: BTreeMap<u32, Vec<Ask>>,
    /// Requests that stand.
    in_flight: u32,
    sources: BTreeMap<Peer, Source>,
    /// Who lied.
    banned: BTreeSet<Peer>,
    telling: Telling,
    chance: Chance,
    phase: Phase,
    /// Bytes a second of the source in the middle, 0: not known.
    median: u64,
    /// When the server was asked for sources, and how often that brought nothing new.
    asked_at: Option<Duration>,
    in_vain: u32,
    check_at: Duration,
    rotate_at: Duration,
    /// Since when nothing was asked for.
    idle_since: Option<Duration>,
    stalled: bool,
    /// The deadline: nothing is to be done before.
    wake: Option<Duration>,
    now: Duration,
    /// Who may have room for a request.
    room: Room,
    out: Vec<Effect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing happened yet.
    New,
    Running,
    /// Everything is here.
    Complete,
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Nobody,
    One(Peer),
    All,
}

impl Swarm {
    /// A download that the first event starts. The seed decides all chance.
    #[must_use]
    pub fn new(setup: Setup, seed: u64) -> Self {
        let chunk_bytes = setup.chunk_bytes.max(1);
        let chunks =
            u32::try_from(setup.size.div_ceil(chunk_bytes)).unwrap_or(FILE_CHUNKS_MAX).min(FILE_CHUNKS_MAX);
        let have = setup.have.resized(chunks);
        Self {
            size: setup.size,
            chunk_bytes,
            random_first: setup.random_first,
            rarity: Rarity::new(&have),
            telling: Telling::new(&have),
            have,
            flights: BTreeMap::new(),
            in_flight: 0,
            sources: BTreeMap::new(),
            banned: BTreeSet::new(),
            chance: Chance::new(seed),
            phase: Phase::New,
            median: 0,
            asked_at: None,
            in_vain: 0,
            check_at: Duration::ZERO,
            rotate_at: Duration::ZERO,
            idle_since: None,
            stalled: false,
            wake: Some(Duration::ZERO),
            now: Duration::ZERO,
            room: Room::Nobody,
            out: Vec::new(),
        }
    }

    /// What happens, when (since any beginning, never running backwards), and what follows from it.
    pub fn handle(&mut self, event: Event, now: Duration) -> Vec<Effect> {
        self.now = self.now.max(now);
        match self.phase {
            Phase::Stopped => return Vec::new(),
            Phase::New => self.start(),
            Phase::Running | Phase::Complete => {}
        }
        self.take(event);
        if self.phase == Phase::Running {
            self.fill_room();
            if self.wake.is_some_and(|wake| wake <= self.now) {
                self.watch();
            }
        }
        self.tell_what_is_due();
        std::mem::take(&mut self.out)
    }

    fn start(&mut self) {
        self.phase = Phase::Running;
        self.idle_since = Some(self.now);
        self.finish_if_full();
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::SourceFound(found) => self.found(found),
            Event::ServerSources(list) => self.server_sources(list),
            Event::SourceGone { peer } => self.gone(peer),
            Event::LinkUp { peer, relayed } => self.link_up(peer, relayed),
            Event::LinkWaits { peer } => self.link_waits(peer),
            Event::LinkBegins { peer } => self.link_begins(peer),
            Event::LinkFailed { peer } => self.link_failed(peer),
            Event::MapDelta { peer, chunks } => self.map_delta(peer, &chunks),
            Event::ChunkArrived { peer, chunk, bytes, verified } => {
                self.arrived(peer, chunk, bytes, verified)
            }
            Event::Progress { peer, chunk, bytes } => self.progress(peer, chunk, bytes),
            Event::Refused { peer, chunk, why } => self.refused(peer, chunk, why),
            Event::Tick => {}
            Event::Stop => self.stop(),
        }
    }

    fn stop(&mut self) {
        self.phase = Phase::Stopped;
        self.wake = None;
        self.tell_everything();
        let used = self.sources.iter().filter(|(_, source)| !matches!(source.link, Link::None { .. }));
        self.out.extend(used.map(|(peer, _)| Effect::Disconnect { peer: *peer }));
    }

    /// When to come back with a `Tick`, if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        [self.wake, self.telling.deadline()].into_iter().flatten().min()
    }

    /// What is here.
    #[must_use]
    pub fn have(&self) -> &ChunkSet {
        &self.have
    }

    /// How many linked sources have the chunk, as far as they told.
    #[must_use]
    pub fn copies(&self, chunk: u32) -> u16 {
        if chunk < self.have.chunks() { self.rarity.count(chunk) } else { 0 }
    }

    /// Sources linked directly and over the relay.
    #[must_use]
    pub fn links(&self) -> (usize, usize) {
        let relayed = self.linked().filter(|(_, source)| source.is_relayed()).count();
        (self.linked().count() - relayed, relayed)
    }

    /// Whether one more link that another device makes is welcome. Otherwise the driver refuses it, so that a crowd
    /// spreads over all who have something.
    #[must_use]
    pub fn has_place(&self) -> bool {
        self.links_used() < LINKS_MAX
    }

    /// Bytes of a chunk.
    fn bytes_of(&self, chunk: u32) -> u64 {
        let start = u64::from(chunk) * self.chunk_bytes;
        self.size.saturating_sub(start).min(self.chunk_bytes)
    }

    fn linked(&self) -> impl Iterator<Item = (Peer, &Source)> {
        self.sources.iter().filter(|(_, source)| source.is_linked()).map(|(peer, source)| (*peer, source))
    }

    /// Nothing later than this may be missed.
    fn wake_by(&mut self, at: Duration) {
        if self.phase == Phase::Running {
            self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
        }
    }
}
