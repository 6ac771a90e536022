//! In which order those are served who ask this device for chunks of one file.

use std::collections::BTreeMap;
use std::time::Duration;

use super::limits::{LONG_SERVE, LONG_SERVE_TIMES, SERVES_TIMES, WAIT_MAX, WAITING_ALL_MAX, WAITING_MAX};
use super::{ChunkSet, Peer};

/// What happens.
#[derive(Clone, Debug)]
pub enum UploadEvent {
    /// A linked peer tells what it has: all of it, or more of it. Who has everything from the beginning is not counted: that
    /// another seeder has a chunk does not mean that it has left, and who lies shall not keep anything back.
    Has {
        /// Who.
        peer: Peer,
        /// Which; those that the file does not have are passed over.
        chunks: Vec<u32>,
    },
    /// A peer asks for a chunk, which is here.
    Request {
        /// Who.
        peer: Peer,
        /// Which.
        chunk: u32,
    },
    /// It does not want it any more: whether it waits or is on its way, nothing more of it is to be sent.
    Cancel {
        /// Who.
        peer: Peer,
        /// Which.
        chunk: u32,
    },
    /// The last byte of a chunk was handed to the network.
    Sent {
        /// To whom.
        peer: Peer,
        /// Which.
        chunk: u32,
    },
    /// The link is gone, with all requests.
    Gone {
        /// Whose.
        peer: Peer,
    },
    /// The deadline has passed.
    Tick,
}

/// What has to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadEffect {
    /// Send the chunk; [`UploadEvent::Sent`] follows.
    Serve {
        /// To whom.
        peer: Peer,
        /// Which.
        chunk: u32,
    },
    /// Refuse it as busy: too much waits, or it waited too long.
    Refuse {
        /// Whom.
        peer: Peer,
        /// Which.
        chunk: u32,
    },
}

/// A pure machine: who asks, and who is served next.
///
/// A chunk that no other linked peer has comes before all others, so that everything has left this device as soon as
/// possible. Then those come first to whom nothing is on its way, and of these those who have least of the file: in a
/// crowd this brings all to the end at about the same time, while the order of asking would leave some far behind. Of
/// what one of them wants the rarest comes first.
#[derive(Debug)]
pub struct Uploads {
    slots: usize,
    waiting: Vec<Waiting>,
    serving: Vec<Serving>,
    askers: BTreeMap<Peer, Asker>,
    /// How many linked peers have each chunk, or will when what is on its way arrives.
    copies: Vec<u16>,
    /// How long a chunk takes to be sent, on average.
    usual: Duration,
    now: Duration,
}

/// Requests stay in the order in which they came.
#[derive(Debug)]
struct Waiting {
    peer: Peer,
    chunk: u32,
    since: Duration,
}

#[derive(Debug)]
struct Serving {
    peer: Peer,
    chunk: u32,
    since: Duration,
}

#[derive(Debug)]
struct Asker {
    map: ChunkSet,
    waiting: u32,
    serving: u32,
    /// Chunks that it got, from where it began.
    served: u64,
}

impl Uploads {
    /// Nobody asks yet. So many chunks are on their way at once; a few, so that each arrives soon and can be passed
    /// on, and the network always has something to do.
    #[must_use]
    pub fn new(chunks: u32, slots: usize) -> Self {
        Self {
            slots: slots.max(1),
            waiting: Vec::new(),
            serving: Vec::new(),
            askers: BTreeMap::new(),
            copies: vec![0; chunks as usize],
            usual: Duration::ZERO,
            now: Duration::ZERO,
        }
    }

    /// What happens, when, and what follows from it.
    pub fn handle(&mut self, event: UploadEvent, now: Duration) -> Vec<UploadEffect> {
        let mut out = Vec::new();
        self.now = self.now.max(now);
        let now = self.now;
        match event {
            UploadEvent::Has { peer, chunks } => self.told(peer, chunks),
            UploadEvent::Request { peer, chunk } => self.request(peer, chunk, now, &mut out),
            UploadEvent::Cancel { peer, chunk } => self.cancel(peer, chunk),
            UploadEvent::Sent { peer, chunk } => self.sent(peer, chunk, now),
            UploadEvent::Gone { peer } => self.gone(peer),
            UploadEvent::Tick => {}
        }
        self.refuse_old(now, &mut out);
        while self.has_slot(now) {
            let Some((peer, chunk)) = self.next() else { break };
            self.serve(peer, chunk, now);
            out.push(UploadEffect::Serve { peer, chunk });
        }
        out
    }

    /// When to come back with a `Tick`, if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let refuse = self.waiting.first()?.since + WAIT_MAX;
        let counting =
            self.serving.iter().map(|serving| serving.since + self.long()).filter(|end| *end > self.now);
        let slot = counting.min().filter(|_| self.serving.len() < self.slots * SERVES_TIMES);
        Some(slot.map_or(refuse, |slot| slot.min(refuse)))
    }

    /// Requests that wait, and chunks that are on their way.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        (self.waiting.len(), self.serving.len())
    }

    /// Something that this peer asked for waits or is on its way.
    #[must_use]
    pub fn has_asked(&self, peer: Peer) -> bool {
        self.askers.get(&peer).is_some_and(|asker| asker.waiting + asker.serving > 0)
    }

    fn asker(&mut self, peer: Peer) -> &mut Asker {
        let chunks = self.copies.len() as u32;
        let new = || Asker { map: ChunkSet::none(chunks), waiting: 0, serving: 0, served: 0 };
        self.askers.entry(peer).or_insert_with(new)
    }

    fn told(&mut self, peer: Peer, chunks: Vec<u32>) {
        let fresh = self.asker(peer).map.is_empty();
        chunks.into_iter().for_each(|chunk| self.has(peer, chunk));
        if fresh && self.asker(peer).map.is_full() {
            (0..self.copies.len() as u32).for_each(|chunk| self.lacks(peer, chunk));
        }
    }

    fn has(&mut self, peer: Peer, chunk: u32) {
        if self.asker(peer).map.insert(chunk) {
            self.copies[chunk as usize] += 1;
        }
    }

    fn lacks(&mut self, peer: Peer, chunk: u32) {
        if self.asker(peer).map.remove(chunk) {
            self.copies[chunk as usize] -= 1;
        }
    }

    fn request(&mut self, peer: Peer, chunk: u32, now: Duration, out: &mut Vec<UploadEffect>) {
        let is_same = |of: Peer, other: u32| of == peer && other == chunk;
        let known = self.waiting.iter().any(|waiting| is_same(waiting.peer, waiting.chunk))
            || self.serving.iter().any(|serving| is_same(serving.peer, serving.chunk));
        if known {
            return;
        }
        let asker = self.asker(peer);
        let full = asker.waiting >= WAITING_MAX;
        if full || chunk as usize >= self.copies.len() || self.waiting.len() >= WAITING_ALL_MAX {
            out.push(UploadEffect::Refuse { peer, chunk });
            return;
        }
        self.lacks(peer, chunk);
        // Not having asked is no merit.
        let busy = self.askers.values().filter(|asker| asker.waiting + asker.serving > 0);
        let least = busy.map(|asker| asker.served).min().unwrap_or(0);
        let asker = self.asker(peer);
        asker.served = asker.served.max(least);
        asker.waiting += 1;
        self.waiting.push(Waiting { peer, chunk, since: now });
    }

    fn cancel(&mut self, peer: Peer, chunk: u32) {
        let is_it = |of: Peer, other: u32| of == peer && other == chunk;
        if let Some(at) = self.waiting.iter().position(|waiting| is_it(waiting.peer, waiting.chunk)) {
            self.waiting.remove(at);
            self.asker(peer).waiting -= 1;
        }
        if let Some(at) = self.serving.iter().position(|serving| is_it(serving.peer, serving.chunk)) {
            self.serving.swap_remove(at);
            self.asker(peer).serving -= 1;
            self.lacks(peer, chunk);
        }
    }

    fn sent(&mut self, peer: Peer, chunk: u32, now: Duration) {
        let at = self.serving.iter().position(|serving| serving.peer == peer && serving.chunk == chunk);
        let Some(at) = at else { return };
        let took = now.saturating_sub(self.serving.swap_remove(at).since);
        self.usual = if self.usual.is_zero() { took } else { self.usual / 8 * 7 + took / 8 };
        self.asker(peer).serving -= 1;
    }

    fn gone(&mut self, peer: Peer) {
        self.waiting.retain(|waiting| waiting.peer != peer);
        self.serving.retain(|serving| serving.peer != peer);
        if let Some(asker) = self.askers.remove(&peer) {
            asker.map.iter().for_each(|chunk| self.copies[chunk as usize] -= 1);
        }
    }

    fn refuse_old(&mut self, now: Duration, out: &mut Vec<UploadEffect>) {
        let old = self.waiting.iter().take_while(|waiting| now >= waiting.since + WAIT_MAX).count();
        let old: Vec<_> = self.waiting.drain(..old).collect();
        for Waiting { peer, chunk, .. } in old {
            self.asker(peer).waiting -= 1;
            out.push(UploadEffect::Refuse { peer, chunk });
        }
    }

    /// From when on a chunk on its way does not keep others waiting.
    fn long(&self) -> Duration {
        LONG_SERVE.max(self.usual * LONG_SERVE_TIMES)
    }

    fn has_slot(&self, now: Duration) -> bool {
        let long = self.long();
        let count = self.serving.iter().filter(|serving| now < serving.since + long).count();
        count < self.slots && self.serving.len() < self.slots * SERVES_TIMES
    }

    /// Whom to serve next, with what.
    fn next(&self) -> Option<(Peer, u32)> {
        let key = |waiting: &Waiting| {
            let copies = self.copies[waiting.chunk as usize];
            let asker = self.askers.get(&waiting.peer);
            let standing = asker.map(|asker| (asker.serving, asker.map.len(), asker.served));
            (copies > 0, standing, copies)
        };
        // The first of those alike: who asked first.
        self.waiting.iter().min_by_key(|waiting| key(waiting)).map(|waiting| (waiting.peer, waiting.chunk))
    }

    fn serve(&mut self, peer: Peer, chunk: u32, now: Duration) {
        self.waiting.retain(|waiting| (waiting.peer, waiting.chunk) != (peer, chunk));
        self.has(peer, chunk);
        let asker = self.asker(peer);
        asker.waiting -= 1;
        asker.serving += 1;
        asker.served += 1;
        self.serving.push(Serving { peer, chunk, since: now });
    }
}
