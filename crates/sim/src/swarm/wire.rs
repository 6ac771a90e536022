//! What passes over links: data in pieces, and words.

use std::time::Duration;

use hobnob_peer::swarm::{Event, Peer, Refusal, UploadEvent};

use super::node::Sending;
use super::plan::Manner;
use super::queue::{Happening, Piece, Word};
use super::world::World;

/// Bytes that pass over an uplink before it is another chunk's turn.
const PIECE: u64 = 64 << 10;
/// Bytes on their way from one to another.
const WINDOW: u64 = 1 << 20;

impl World {
    pub(super) fn latency(&self, one: usize, other: usize) -> Duration {
        self.nodes[one].member.latency + self.nodes[other].member.latency
    }

    /// Says something to the other end of a link.
    pub(super) fn word(&mut self, from: usize, to: usize, word: Word) {
        if self.nodes[from].links.contains_key(&to) {
            let wait = self.latency(from, to);
            self.queue.after(wait, Happening::Word { from, to, word });
        }
    }

    pub(super) fn heard(&mut self, from: usize, to: usize, word: Word) {
        if !self.nodes[to].here || !self.nodes[to].links.contains_key(&from) {
            return;
        }
        let peer = Peer(from as u64);
        match word {
            Word::Request(chunk) => self.requested(from, to, chunk),
            Word::Cancel(chunk) => {
                self.nodes[to].sending.retain(|sending| (sending.to, sending.chunk) != (from, chunk));
                self.uploads(to, UploadEvent::Cancel { peer, chunk });
            }
            Word::Refused(chunk, why) => {
                if self.nodes[to].asked.remove(&(from, chunk)) {
                    self.swarm(to, Event::Refused { peer, chunk, why });
                }
            }
            Word::Has(chunks) => {
                self.uploads(to, UploadEvent::Has { peer, chunks: chunks.to_vec() });
                self.swarm(to, Event::MapDelta { peer, chunks: chunks.to_vec() });
            }
        }
    }

    fn requested(&mut self, from: usize, to: usize, chunk: u32) {
        let node = &self.nodes[to];
        let here = node.swarm.have().contains(chunk);
        match node.member.manner {
            Manner::Silent => {}
            // It has the lower half.
            Manner::Boaster if chunk >= node.swarm.have().chunks() / 2 => {
                self.word(to, from, Word::Refused(chunk, Refusal::NotHere));
            }
            _ if here => self.uploads(to, UploadEvent::Request { peer: Peer(from as u64), chunk }),
            _ => self.word(to, from, Word::Refused(chunk, Refusal::NotHere)),
        }
    }

    /// Begins to send a chunk.
    pub(super) fn serve(&mut self, node: usize, to: usize, chunk: u32) {
        let start = u64::from(chunk) * self.plan.chunk_bytes;
        let bytes = (self.plan.size - start).min(self.plan.chunk_bytes);
        self.count("chunks served");
        if self.nodes[node].member.has_all {
            self.count("chunks served by seeders");
        }
        self.nodes[node].sending.push(Sending { to, chunk, bytes, given: 0 });
        self.pump(node);
    }

    /// Gives the uplink its next piece, if it has nothing to do.
    fn pump(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        if node.uplink_busy || !node.here {
            return;
        }
        let count = node.sending.len();
        for step in 0..count {
            let at = (node.turn + step) % count;
            let sending = node.sending[at];
            let Some(link) = node.links.get_mut(&sending.to) else { continue };
            if link.on_the_way >= WINDOW {
                continue;
            }
            let bytes = PIECE.min(sending.bytes - sending.given);
            link.on_the_way += bytes;
            let so_far = sending.given + bytes;
            let piece = Piece {
                from: number,
                to: sending.to,
                chunk: sending.chunk,
                bytes,
                so_far,
                link: link.number,
            };
            node.sending[at].given = so_far;
            node.turn = at + 1;
            node.uplink_busy = true;
            self.queue.after(over(bytes, node.member.up), Happening::PieceSent(number, piece));
            return;
        }
    }

    pub(super) fn piece_sent(&mut self, number: usize, piece: Piece) {
        self.nodes[number].uplink_busy = false;
        let (latency, now) = (self.latency(piece.from, piece.to), self.queue.now());
        let receiver = &mut self.nodes[piece.to];
        let here = (now + latency).max(receiver.downlink_free) + over(piece.bytes, receiver.member.down);
        receiver.downlink_free = here;
        self.queue.at(here, Happening::PieceHere(piece));
        let is_it = |sending: &Sending| (sending.to, sending.chunk) == (piece.to, piece.chunk);
        if let Some(at) = self.nodes[number].sending.iter().position(is_it)
            && self.nodes[number].sending[at].given == self.nodes[number].sending[at].bytes
            && self.nodes[number].sending[at].given == piece.so_far
        {
            self.nodes[number].sending.remove(at);
            let peer = Peer(piece.to as u64);
            self.uploads(number, UploadEvent::Sent { peer, chunk: piece.chunk });
        }
        self.pump(number);
    }

    pub(super) fn piece_here(&mut self, piece: Piece) {
        let sender = &mut self.nodes[piece.from];
        if let Some(link) = sender.links.get_mut(&piece.to).filter(|link| link.number == piece.link) {
            link.on_the_way -= piece.bytes;
        }
        self.pump(piece.from);
        let receiver = &self.nodes[piece.to];
        let link = receiver.links.get(&piece.from).filter(|link| link.number == piece.link);
        if !receiver.here || link.is_none() {
            return;
        }
        *self.counts.entry("bytes").or_default() += piece.bytes;
        let (peer, chunk, bytes) = (Peer(piece.from as u64), piece.chunk, piece.so_far);
        let start = u64::from(chunk) * self.plan.chunk_bytes;
        if bytes < (self.plan.size - start).min(self.plan.chunk_bytes) {
            return self.swarm(piece.to, Event::Progress { peer, chunk, bytes });
        }
        let verified = self.nodes[piece.from].member.manner != Manner::Liar;
        self.nodes[piece.to].asked.remove(&(piece.from, chunk));
        self.swarm(piece.to, Event::ChunkArrived { peer, chunk, bytes, verified });
    }
}

/// How long so many bytes take at so many bytes a second.
fn over(bytes: u64, rate: u64) -> Duration {
    Duration::from_nanos((u128::from(bytes) * 1_000_000_000 / u128::from(rate)) as u64)
}
