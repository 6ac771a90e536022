//! One download: its swarm, its links, and what of it is on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use hobnob_protocol::v1;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Duration, Instant};

use super::dial::Route;
use super::event::{Content, Progress};
use super::fetching::Wish;
use super::limits::{COMMIT_AFTER, COMMIT_BYTES, DEVICES_MAX, HAVE_MAX, ORDERS_LOW, PROGRESS};
use super::note::StreamId;
use super::proof::Proof;
use super::shelf::File;
use crate::file::{Partial, Shape};
use crate::swarm::{ChunkSet, Effect, Event, Peer, Setup, Swarm};
use crate::transfer::fetch::Ask;

/// For whom it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// For the person.
    Itself,
    /// It lists a folder that is wanted.
    Listing,
    /// It is this file of a folder.
    OfFolder(Content, usize),
}

impl Purpose {
    /// The folder that it is a file of.
    pub(super) fn folder(&self) -> Option<Content> {
        match self {
            Self::OfFolder(folder, _) => Some(*folder),
            Self::Itself | Self::Listing => None,
        }
    }
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// What is there is being looked at.
    Opening,
    /// Chunks come.
    Going,
    /// All are here; the file gets its name.
    Finishing,
    /// It has its name.
    Named(PathBuf),
}

/// Tells one download from the next of the same content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RunId(pub(super) u64);

/// A download.
#[derive(Debug)]
pub(super) struct Download {
    /// Given when it begins.
    pub(super) run: RunId,
    pub(super) wish: Wish,
    pub(super) content: Content,
    pub(super) shape: Shape,
    pub(super) name: String,
    pub(super) purpose: Purpose,
    pub(super) phase: Phase,
    pub(super) partial: Option<Arc<Partial>>,
    swarm: Option<Swarm>,
    pub(super) begun: Instant,
    /// Which device is which.
    devices: BTreeMap<[u8; 32], Peer>,
    pub(super) known: BTreeMap<Peer, Known>,
    pub(super) links: BTreeMap<Peer, Link>,
    pub(super) streams: BTreeMap<StreamId, Peer>,
    /// Links that are wanted and not begun, and which came first.
    pub(super) waiting: BTreeMap<Peer, u64>,
    /// Sources that came with the command.
    pub(super) first: Option<v1::Sources>,
    /// The right to fetch it, and its signature.
    pub(super) ticket: Option<(Bytes, Bytes)>,
    pub(super) proof: Proof,
    pub(super) proven: bool,
    pub(super) commit: Commit,
    pub(super) meter: Meter,
    /// Who gave any of it.
    pub(super) givers: BTreeSet<String>,
    pub(super) stalled: bool,
    /// Of a listing: what it lists.
    pub(super) folder: Option<v1::Folder>,
    /// Complete, under its name.
    pub(super) file: Option<File>,
}

/// A device that may be a source.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) user: String,
    pub(super) route: Route,
}

/// A stream to a source, made or being made.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: StreamId,
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) task: AbortHandle,
    pub(super) relayed: bool,
    /// What it has, once it has opened.
    pub(super) map: Option<ChunkSet>,
    /// Bytes that came of chunks that are not whole.
    pub(super) bytes: BTreeMap<u32, u64>,
    /// What is to be told when there is place.
    haves: Vec<u32>,
}

/// What is verified and not yet durable.
#[derive(Debug, Default)]
pub(super) struct Commit {
    pub(super) running: bool,
    dirty: u64,
    since: Option<Instant>,
}

impl Commit {
    pub(super) fn add(&mut self, bytes: u64) {
        self.dirty += bytes;
        self.since.get_or_insert_with(Instant::now);
    }

    /// Whether it is time; then it is taken for done.
    pub(super) fn take_if_due(&mut self) -> bool {
        let due = self.deadline().is_some_and(|deadline| deadline <= Instant::now());
        if due {
            *self = Self { running: true, ..Self::default() };
        }
        due
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let since = self.since.filter(|_| !self.running)?;
        Some(if self.dirty >= COMMIT_BYTES { since } else { since + COMMIT_AFTER })
    }
}

/// How fast it comes.
#[derive(Debug)]
pub(super) struct Meter {
    bytes: u64,
    since: Instant,
    pub(super) rate: u64,
    /// Something came since the last time it was told.
    pub(super) news: bool,
}

impl Meter {
    fn new() -> Self {
        Self { bytes: 0, since: Instant::now(), rate: 0, news: true }
    }

    pub(super) fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.news = true;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        (self.news || self.rate > 0).then_some(self.since + PROGRESS)
    }

    /// Whether it is time to tell.
    pub(super) fn tick(&mut self) -> bool {
        let passed = self.since.elapsed();
        if passed < PROGRESS {
            return false;
        }
        let figure = u128::from(self.bytes) * 1_000_000 / passed.as_micros().max(1);
        let figure = u64::try_from(figure).unwrap_or(u64::MAX);
        self.rate = if self.rate == 0 { figure } else { self.rate / 2 + figure / 2 };
        // What is no kilobyte a second is nothing.
        self.rate = if self.bytes == 0 && self.rate < 1024 { 0 } else { self.rate };
        (self.bytes, self.since) = (0, Instant::now());
        std::mem::take(&mut self.news)
    }
}

impl Link {
    pub(super) fn new(stream: StreamId, asks: mpsc::Sender<Ask>, task: AbortHandle) -> Self {
        Self { stream, asks, task, relayed: false, map: None, bytes: BTreeMap::new(), haves: Vec::new() }
    }

    /// Tells what is here, while there is place.
    pub(super) fn tell(&mut self, chunks: &[u32]) {
        self.haves.extend_from_slice(chunks);
        while !self.haves.is_empty() && self.asks.capacity() > ORDERS_LOW {
            let rest = self.haves.split_off(self.haves.len().min(HAVE_MAX));
            let now = std::mem::replace(&mut self.haves, rest);
            // When the stream is gone, that is told by itself.
            let _ = self.asks.try_send(Ask::Have(now));
        }
    }
}

impl Download {
    pub(super) fn new(content: Content, shape: Shape, name: String, purpose: Purpose) -> Self {
        Self {
            run: RunId::default(),
            wish: Wish::default(),
            content,
            shape,
            name,
            purpose,
            phase: Phase::Opening,
            partial: None,
            swarm: None,
            begun: Instant::now(),
            devices: BTreeMap::new(),
            known: BTreeMap::new(),
            links: BTreeMap::new(),
            streams: BTreeMap::new(),
            waiting: BTreeMap::new(),
            first: None,
            ticket: None,
            proof: Proof::default(),
            proven: false,
            commit: Commit::default(),
            meter: Meter::new(),
            givers: BTreeSet::new(),
            stalled: false,
            folder: None,
            file: None,
        }
    }

    /// It was opened: what there is of it.
    pub(super) fn go(&mut self, partial: Arc<Partial>, seed: u64) {
        let have = partial.verified();
        self.partial = Some(partial);
        self.proven = !self.needs_proof();
        self.phase = Phase::Going;
        if let Some(setup) = Setup::new(self.shape.size(), self.shape.chunk_bytes()) {
            self.swarm = Some(Swarm::new(Setup { have, ..setup }, seed));
        }
    }

    /// What is here; `None`: it is not known yet.
    pub(super) fn have(&self) -> Option<ChunkSet> {
        self.swarm.as_ref().map(|swarm| swarm.have().clone())
    }

    /// Whether this chunk is here.
    pub(super) fn has(&self, chunk: u32) -> bool {
        self.swarm.as_ref().is_some_and(|swarm| swarm.have().contains(chunk))
    }

    pub(super) fn swarm_event(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        let now = now.saturating_duration_since(self.begun);
        self.swarm.as_mut().map_or(Vec::new(), |swarm| swarm.handle(event, now))
    }

    pub(super) fn swarm_deadline(&self) -> Option<Instant> {
        let deadline = self.swarm.as_ref().filter(|_| self.phase == Phase::Going)?.deadline()?;
        Some(self.begun + deadline.min(Duration::from_secs(3600)))
    }

    /// When something is to be done without anything that happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let meter = self.meter.deadline().filter(|_| self.phase == Phase::Going);
        let commit = self.commit.deadline().filter(|_| self.phase == Phase::Going);
        [self.swarm_deadline(), self.proof.deadline(), commit, meter].into_iter().flatten().min()
    }

    /// The number of this device; `None`: there are too many.
    pub(super) fn device(&mut self, user: &str, route: Route) -> Option<Peer> {
        let next = Peer(self.devices.len() as u64);
        if self.devices.len() >= DEVICES_MAX && !self.devices.contains_key(&route.key) {
            return None;
        }
        let peer = *self.devices.entry(route.key).or_insert(next);
        self.known.insert(peer, Known { user: user.to_owned(), route });
        Some(peer)
    }

    /// A device that fetches this file from here, if there is a way to it too.
    pub(super) fn device_that_called(&mut self, key: [u8; 32], user: &str, has_relay: bool) -> Option<Peer> {
        if let Some(peer) = self.devices.get(&key) {
            return Some(*peer);
        }
        let contact = v1::Contact { relay: true, ..Default::default() };
        has_relay.then(|| self.device(user, Route { key, tcp: Vec::new(), contact })).flatten()
    }

    /// Streams to this device, and how many of them are not open yet.
    pub(super) fn streams_to(&self, key: &[u8; 32]) -> (usize, usize) {
        let link = self.devices.get(key).and_then(|peer| self.links.get(peer));
        link.map_or((0, 0), |link| (1, usize::from(link.map.is_none())))
    }

    /// Asks a source for something. One that takes no request does not read: it is cut, which is told by itself.
    pub(super) fn ask(&mut self, peer: Peer, ask: Ask) {
        if let Some(link) = self.links.get(&peer)
            && link.asks.try_send(ask).is_err()
        {
            link.task.abort();
        }
    }

    /// Bytes that are here.
    pub(super) fn done(&self) -> u64 {
        let Some(swarm) = &self.swarm else { return 0 };
        let have = swarm.have();
        let all = u64::from(have.len()) * self.shape.chunk_bytes();
        let last = self.shape.last().filter(|last| have.contains(*last));
        let short = last
            .and_then(|last| self.shape.range(last))
            .map_or(0, |last| self.shape.chunk_bytes() - (last.end - last.start));
        all - short
    }

    pub(super) fn progress(&self) -> Progress {
        let (done, size) = (self.done(), self.shape.size());
        let (direct, relayed) = self.swarm.as_ref().map_or((0, 0), Swarm::links);
        let (name, id, rate) = (self.name.clone(), self.content.id, self.meter.rate);
        let stalled = self.stalled && self.phase == Phase::Going;
        Progress { name, id, done, size, rate, direct, relayed, left: left(size - done, rate), stalled }
    }
}

/// These of a file that has so many.
pub(super) fn chunks_of(total: u32, chunks: impl IntoIterator<Item = u32>) -> ChunkSet {
    let mut set = ChunkSet::none(total);
    for chunk in chunks {
        set.insert(chunk);
    }
    set
}

/// How long so many bytes take.
pub(super) fn left(bytes: u64, rate: u64) -> Option<Duration> {
    (rate > 0).then(|| Duration::from_secs(bytes.div_ceil(rate.max(1))))
}
