//! What will happen, in the order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::time::Duration;

use hobnob_peer::swarm::{Found, Refusal};

/// Something that will happen. Numbers are members.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Join(usize),
    Leave(usize),
    /// The deadline of one of its machines.
    Timer(usize),
    /// The uplink has passed on a piece.
    PieceSent(usize, Piece),
    /// The downlink has.
    PieceHere(Piece),
    /// An attempt to make a link comes to its end.
    Link {
        from: usize,
        to: usize,
    },
    /// Something other than data arrives over a link.
    Word {
        from: usize,
        to: usize,
        word: Word,
    },
    /// A link breaks, as its other end sees it.
    Lost {
        at: usize,
        peer: usize,
        link: u64,
    },
    /// The server answers.
    Answer(usize, Vec<Found>),
}

/// Some of a chunk on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) chunk: u32,
    pub(super) bytes: u64,
    /// Bytes of the chunk with this piece.
    pub(super) so_far: u64,
    /// The link that it was sent on.
    pub(super) link: u64,
}

/// What peers tell each other.
#[derive(Clone, Debug)]
pub(super) enum Word {
    Request(u32),
    Cancel(u32),
    Refused(u32, Refusal),
    Has(Rc<Vec<u32>>),
}

/// The clock and what is to come.
#[derive(Default)]
pub(super) struct Queue {
    now: Duration,
    count: u64,
    heap: BinaryHeap<Reverse<Entry>>,
}

struct Entry {
    at: Duration,
    /// Of two at the same time the one that was planned first comes first.
    number: u64,
    what: Happening,
}

impl Queue {
    pub(super) fn now(&self) -> Duration {
        self.now
    }

    pub(super) fn at(&mut self, at: Duration, what: Happening) {
        self.count += 1;
        self.heap.push(Reverse(Entry { at: at.max(self.now), number: self.count, what }));
    }

    pub(super) fn after(&mut self, wait: Duration, what: Happening) {
        self.at(self.now + wait, what);
    }

    pub(super) fn next(&mut self) -> Option<Happening> {
        let Reverse(entry) = self.heap.pop()?;
        self.now = entry.at;
        Some(entry.what)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
