//! One simulated device.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hobnob_peer::swarm::{ChunkSet, Setup, Swarm};

use super::fifo::Service;
use super::plan::{Manner, Member, Plan};

/// Chunks that a device sends at once.
const SLOTS: usize = 4;

/// A device and what it is doing.
pub(super) struct Node {
    pub(super) member: Member,
    pub(super) swarm: Swarm,
    pub(super) service: Service,
    pub(super) here: bool,
    /// Links by their other ends.
    pub(super) links: BTreeMap<usize, Link>,
    /// What it asked for and of whom, and whether it was told to be a lie.
    pub(super) asked: BTreeSet<(usize, u32)>,
    pub(super) banned: BTreeSet<usize>,
    /// Chunks that it is sending.
    pub(super) sending: Vec<Sending>,
    pub(super) turn: usize,
    pub(super) uplink_busy: bool,
    /// When the downlink has passed on what it was given.
    pub(super) downlink_free: Duration,
    pub(super) timer: Option<Duration>,
    pub(super) done: Option<Duration>,
}

/// One end of a link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// Both ends know it by this number.
    pub(super) number: u64,
    /// This end wants it for its download.
    pub(super) needed: bool,
    /// Bytes on their way to the other end.
    pub(super) on_the_way: u64,
}

/// A chunk that is being sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending {
    pub(super) to: usize,
    pub(super) chunk: u32,
    pub(super) bytes: u64,
    /// Bytes given to the uplink.
    pub(super) given: u64,
}

impl Node {
    pub(super) fn new(plan: &Plan, number: usize) -> Self {
        let member = plan.members[number].clone();
        let mut setup = Setup::new(plan.size, plan.chunk_bytes).expect("a plan with chunks");
        let chunks = setup.have.chunks();
        if member.has_all || member.manner != Manner::Honest {
            setup.have = ChunkSet::all(chunks);
        }
        if plan.random_choice {
            setup.random_first = u32::MAX;
        }
        let seed = plan.seed.wrapping_mul(0x9e37_79b9).wrapping_add(number as u64);
        Self {
            swarm: Swarm::new(setup, seed),
            service: Service::new(plan.order, chunks, SLOTS),
            member,
            here: false,
            links: BTreeMap::new(),
            asked: BTreeSet::new(),
            banned: BTreeSet::new(),
            sending: Vec::new(),
            turn: 0,
            uplink_busy: false,
            downlink_free: Duration::ZERO,
            timer: None,
            done: None,
        }
    }

    /// When one of its machines wants to be called.
    pub(super) fn deadline(&self) -> Option<Duration> {
        [self.swarm.deadline(), self.service.deadline()].into_iter().flatten().min()
    }

    /// What it tells others that it has.
    pub(super) fn told(&self) -> ChunkSet {
        match self.member.manner {
            Manner::Boaster => ChunkSet::all(self.swarm.have().chunks() + 1000),
            _ => self.swarm.have().clone(),
        }
    }

    /// Whether it is there for the file and behaves.
    pub(super) fn is_honest(&self) -> bool {
        self.member.manner == Manner::Honest
    }
}
