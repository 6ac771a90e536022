//! What is told of what is here: to peers and to the server, several chunks at once.

use std::time::Duration;

use super::limits::{FEW, TELL_PEERS, TELL_PEERS_CHUNKS, TELL_PEERS_FEW, TELL_SERVER};
use super::{ChunkSet, Effect, Phase, Report, Swarm};

/// What is not told yet.
#[derive(Debug)]
pub(super) struct Telling {
    peers: Vec<u32>,
    peers_at: Duration,
    server: Vec<u32>,
    server_at: Duration,
    /// The server was never told of anything.
    first: bool,
}

impl Telling {
    /// Peers learn what is here at first with the link; the server has to be told.
    pub(super) fn new(have: &ChunkSet) -> Self {
        Self {
            peers: Vec::new(),
            peers_at: Duration::ZERO,
            server: have.iter().collect(),
            server_at: Duration::ZERO,
            first: have.is_empty(),
        }
    }

    /// `links`: the more there are, the rarer they are told.
    pub(super) fn add(&mut self, chunk: u32, links: usize, now: Duration) {
        if self.peers.is_empty() {
            self.peers_at = now + if links < FEW { TELL_PEERS_FEW } else { TELL_PEERS };
        }
        self.peers.push(chunk);
        self.server.push(chunk);
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let peers = (!self.peers.is_empty()).then_some(self.peers_at);
        let server = (!self.server.is_empty()).then_some(self.server_at);
        [peers, server].into_iter().flatten().min()
    }
}

impl Swarm {
    /// Tells what has waited long enough, or is much.
    pub(super) fn tell_what_is_due(&mut self) {
        let (now, telling) = (self.now, &self.telling);
        if telling.peers.len() >= TELL_PEERS_CHUNKS || telling.peers_at <= now {
            self.tell_peers();
        }
        if !self.telling.server.is_empty() && self.telling.server_at <= now {
            self.tell_server();
        }
    }

    /// Tells everything now: the end of it.
    pub(super) fn tell_everything(&mut self) {
        self.tell_peers();
        if self.phase == Phase::Complete || !self.telling.server.is_empty() {
            self.tell_server();
        }
    }

    fn tell_peers(&mut self) {
        let chunks = std::mem::take(&mut self.telling.peers);
        if !chunks.is_empty() {
            self.out.push(Effect::TellPeers(chunks));
        }
    }

    fn tell_server(&mut self) {
        let chunks = std::mem::take(&mut self.telling.server);
        let first = std::mem::take(&mut self.telling.first);
        self.telling.server_at = self.now + TELL_SERVER;
        self.out.push(Effect::TellServer(match (self.phase, chunks.as_slice()) {
            (Phase::Complete, _) => Report::Complete,
            (_, [chunk]) if first => Report::First(*chunk),
            _ => Report::More(chunks),
        }));
    }
}
