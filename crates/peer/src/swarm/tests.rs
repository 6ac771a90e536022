//! The rules of a download, one by one, and a random driver that checks what must always hold.

mod always;
mod faults;
mod few;
mod served;

use std::time::Duration;

use super::*;

const CHUNK: u64 = 256 << 10;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn swarm(chunks: u32) -> Swarm {
    Swarm::new(Setup::new(u64::from(chunks) * CHUNK, CHUNK).unwrap(), 1)
}

const A: Peer = Peer(1);
const B: Peer = Peer(2);

/// A download and everything it did.
struct Run {
    swarm: Swarm,
    now: Duration,
    did: Vec<Effect>,
}

impl Run {
    fn new(chunks: u32) -> Self {
        let mut run = Self { swarm: swarm(chunks), now: Duration::ZERO, did: Vec::new() };
        run.event(Event::Tick);
        run
    }

    /// An event, and what follows at once.
    fn event(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.swarm.handle(event, self.now);
        self.did.extend(effects.clone());
        effects
    }

    /// Lets time pass; what was done meanwhile.
    fn pass(&mut self, time: Duration) -> Vec<Effect> {
        let (end, before) = (self.now + time, self.did.len());
        while let Some(deadline) = self.swarm.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.event(Event::Tick);
        }
        self.now = end;
        self.did[before..].to_vec()
    }

    /// A source that has these; the chunks it was asked for at once.
    fn source(&mut self, peer: Peer, chunks: &[u32]) -> Vec<u32> {
        self.linked(peer, false, chunks)
    }

    fn linked(&mut self, peer: Peer, relayed: bool, chunks: &[u32]) -> Vec<u32> {
        self.event(Event::LinkUp { peer, relayed });
        requests(&self.event(Event::MapDelta { peer, chunks: chunks.to_vec() }), peer)
    }

    fn arrives(&mut self, peer: Peer, chunk: u32) -> Vec<Effect> {
        self.event(Event::ChunkArrived { peer, chunk, bytes: CHUNK, verified: true })
    }
}

fn requests(effects: &[Effect], from: Peer) -> Vec<u32> {
    let of = |effect: &Effect| match effect {
        Effect::Request { peer, chunk } if *peer == from => Some(*chunk),
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}
