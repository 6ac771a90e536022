//! Whatever happens, in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const CHUNKS: u32 = 90;

#[derive(Clone, Debug)]
enum Op {
    Found(u64, Option<Vec<u32>>),
    Gone(u64),
    Up(u64, bool),
    Failed(u64),
    Delta(u64, Vec<u32>),
    Arrived(Which, bool),
    Progress(Which, u64),
    Refused(Which, Refusal),
    Server(Vec<(u64, Option<Vec<u32>>)>),
    Pass(u64),
    Stop,
}

/// One of the requests that stand, or anything.
#[derive(Clone, Debug)]
enum Which {
    Standing(usize),
    Any(u64, u32),
}

fn peer() -> impl Strategy<Value = u64> {
    0..8_u64
}

fn chunks() -> impl Strategy<Value = Vec<u32>> {
    prop_oneof![vec(0..CHUNKS + 10, 0..40), Just((0..CHUNKS + 10).collect())]
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        8 => any::<usize>().prop_map(Which::Standing),
        1 => (peer(), 0..CHUNKS + 10).prop_map(|(peer, chunk)| Which::Any(peer, chunk)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let map = || prop::option::of(chunks());
    let why = prop_oneof![Just(Refusal::NotHere), Just(Refusal::Busy), Just(Refusal::Denied)];
    prop_oneof![
        2 => (peer(), map()).prop_map(|(peer, map)| Op::Found(peer, map)),
        1 => peer().prop_map(Op::Gone),
        6 => (peer(), any::<bool>()).prop_map(|(peer, relayed)| Op::Up(peer, relayed)),
        1 => peer().prop_map(Op::Failed),
        6 => (peer(), chunks()).prop_map(|(peer, chunks)| Op::Delta(peer, chunks)),
        20 => (which(), prop::bool::weighted(0.98)).prop_map(|(which, verified)| Op::Arrived(which, verified)),
        10 => (which(), 0..CHUNK * 2).prop_map(|(which, bytes)| Op::Progress(which, bytes)),
        2 => (which(), why).prop_map(|(which, why)| Op::Refused(which, why)),
        1 => vec((peer(), map()), 0..8).prop_map(Op::Server),
        8 => (0..3000_u64).prop_map(Op::Pass),
        1 => (0..20_000_u64).prop_map(Op::Pass),
        1 => prop::bool::weighted(0.05).prop_map(|stop| if stop { Op::Stop } else { Op::Pass(1) }),
    ]
}

/// What a driver may know, and what must hold of it.
struct Driver {
    swarm: Swarm,
    now: Duration,
    standing: BTreeSet<(u64, u32)>,
    /// What those known said they have.
    maps: BTreeMap<u64, BTreeSet<u32>>,
    linked: BTreeSet<u64>,
    liars: BTreeSet<u64>,
    have: BTreeSet<u32>,
    completed: bool,
    stopped: bool,
    log: Vec<Effect>,
}

impl Driver {
    fn new(seed: u64) -> Self {
        Self {
            swarm: Swarm::new(Setup::new(u64::from(CHUNKS) * CHUNK - 7, CHUNK).unwrap(), seed),
            now: Duration::ZERO,
            standing: BTreeSet::new(),
            maps: BTreeMap::new(),
            linked: BTreeSet::new(),
            liars: BTreeSet::new(),
            have: BTreeSet::new(),
            completed: false,
            stopped: false,
            log: Vec::new(),
        }
    }

    fn which(&self, which: Which) -> (u64, u32) {
        match which {
            Which::Standing(at) if !self.standing.is_empty() => {
                *self.standing.iter().nth(at % self.standing.len()).unwrap()
            }
            Which::Standing(at) => (at as u64 % 8, at as u32 % CHUNKS),
            Which::Any(peer, chunk) => (peer, chunk),
        }
    }

    fn learn(&mut self, peer: u64, chunks: &[u32]) {
        if let Some(map) = self.maps.get_mut(&peer) {
            map.extend(chunks.iter().filter(|chunk| **chunk < CHUNKS));
        }
    }

    fn know(&mut self, peer: u64) {
        if !self.liars.contains(&peer) {
            self.maps.entry(peer).or_default();
        }
    }

    fn lose(&mut self, peer: u64) {
        self.linked.remove(&peer);
        self.standing.retain(|(of, _)| *of != peer);
    }

    fn found(&mut self, peer: u64, map: Option<Vec<u32>>) -> Found {
        self.know(peer);
        self.learn(peer, map.as_deref().unwrap_or_default());
        let set = |map: Vec<u32>| {
            let mut set = ChunkSet::none(CHUNKS + 10);
            map.into_iter().for_each(|chunk| {
                set.insert(chunk);
            });
            set
        };
        Found { peer: Peer(peer), map: map.map(set) }
    }

    fn apply(&mut self, op: Op) {
        let event = match op {
            Op::Found(peer, map) => Event::SourceFound(self.found(peer, map)),
            Op::Server(list) => {
                Event::ServerSources(list.into_iter().map(|(peer, map)| self.found(peer, map)).collect())
            }
            Op::Gone(peer) => {
                self.lose(peer);
                self.maps.entry(peer).and_modify(BTreeSet::clear);
                Event::SourceGone { peer: Peer(peer) }
            }
            Op::Up(peer, relayed) => {
                self.know(peer);
                if !self.liars.contains(&peer) {
                    self.linked.insert(peer);
                }
                Event::LinkUp { peer: Peer(peer), relayed }
            }
            Op::Failed(peer) => {
                self.lose(peer);
                Event::LinkFailed { peer: Peer(peer) }
            }
            Op::Delta(peer, chunks) => {
                self.learn(peer, &chunks);
                Event::MapDelta { peer: Peer(peer), chunks }
            }
            Op::Arrived(which, verified) => {
                let (peer, chunk) = self.which(which);
                self.standing.remove(&(peer, chunk));
                if verified && chunk < CHUNKS && !self.completed && !self.stopped {
                    self.have.insert(chunk);
                }
                Event::ChunkArrived { peer: Peer(peer), chunk, bytes: CHUNK, verified }
            }
            Op::Progress(which, bytes) => {
                let (peer, chunk) = self.which(which);
                Event::Progress { peer: Peer(peer), chunk, bytes }
            }
            Op::Refused(which, why) => {
                let (peer, chunk) = self.which(which);
                if self.standing.remove(&(peer, chunk)) && why == Refusal::NotHere {
                    self.maps.get_mut(&peer).unwrap().remove(&chunk);
                }
                Event::Refused { peer: Peer(peer), chunk, why }
            }
            Op::Pass(ms) => {
                self.now += Duration::from_millis(ms);
                Event::Tick
            }
            Op::Stop => Event::Stop,
        };
        let (was_stopped, tick) = (self.stopped, matches!(event, Event::Tick));
        self.stopped |= matches!(event, Event::Stop);
        let effects = self.swarm.handle(event, self.now);
        assert!(!was_stopped || effects.is_empty());
        effects.iter().for_each(|effect| self.check(effect));
        self.log.extend(effects);
        assert!(self.standing.len() <= 256);
        assert!((0..8).all(|peer| self.standing.iter().filter(|(of, _)| *of == peer).count() <= 16));
        assert_eq!(self.swarm.have().iter().collect::<BTreeSet<_>>(), self.have);
        // A driver that sleeps until the deadline is not woken again and again.
        assert!(!tick || self.swarm.deadline().is_none_or(|deadline| deadline > self.now));
    }

    fn check(&mut self, effect: &Effect) {
        match effect {
            Effect::Request { peer: Peer(peer), chunk } => self.check_request(*peer, *chunk),
            Effect::CancelRequest { peer: Peer(peer), chunk } => {
                assert!(self.standing.remove(&(*peer, *chunk)), "cancels what does not stand");
            }
            Effect::Disconnect { peer: Peer(peer) } => self.lose(*peer),
            Effect::Drop { peer: Peer(peer), why } => {
                self.lose(*peer);
                if *why == Fault::Lied {
                    self.liars.insert(*peer);
                    self.maps.remove(peer);
                }
            }
            Effect::Connect { peer: Peer(peer) } => {
                assert!(!self.linked.contains(peer) && !self.liars.contains(peer));
            }
            Effect::Completed => {
                assert!(!self.completed && self.have.len() == CHUNKS as usize && self.standing.is_empty());
                self.completed = true;
            }
            Effect::TellPeers(chunks) => assert!(chunks.iter().all(|chunk| self.have.contains(chunk))),
            Effect::AskSources | Effect::TellServer(_) | Effect::Stalled | Effect::GoesOn => {}
        }
    }

    fn check_request(&mut self, peer: u64, chunk: u32) {
        assert!(self.linked.contains(&peer), "asks who is not linked");
        assert!(self.maps[&peer].contains(&chunk), "asks who does not have it");
        assert!(!self.have.contains(&chunk), "asks for what is here");
        let others = self.standing.iter().filter(|(_, other)| *other == chunk).count();
        if others > 0 {
            let asked: BTreeSet<_> = self.standing.iter().map(|(_, chunk)| *chunk).collect();
            let offered: BTreeSet<_> =
                self.linked.iter().flat_map(|peer| &self.maps[peer]).copied().collect();
            let open = offered.iter().filter(|chunk| !self.have.contains(*chunk) && !asked.contains(*chunk));
            assert_eq!(open.count(), 0, "asks twice while something was not asked for");
            assert!(others == 1 && CHUNKS as usize - self.have.len() <= 64);
        }
        assert!(self.standing.insert((peer, chunk)), "asks the same twice");
    }
}

proptest! {
    #[test]
    fn the_rules_hold_whatever_happens(seed: u64, ops in vec(op(), 0..400)) {
        let (mut one, mut other) = (Driver::new(seed), Driver::new(seed));
        for op in ops {
            one.apply(op.clone());
            other.apply(op);
        }
        prop_assert_eq!(one.log, other.log);
    }
}
