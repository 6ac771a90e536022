//! Links between simulated devices: made, not needed any more, broken.

use hobnob_peer::swarm::{Event, Found, Peer, UploadEvent};

use super::node::Link;
use super::queue::{Happening, Word};
use super::world::World;

/// How long it takes to notice that the other end is gone.
const NOTICE: std::time::Duration = std::time::Duration::from_secs(1);

impl World {
    /// An attempt to make a link: both prove their keys and tell their maps, which takes three ways.
    pub(super) fn connect(&mut self, from: usize, to: usize) {
        let wait = self.latency(from, to) * 3;
        self.queue.after(wait, Happening::Link { from, to });
    }

    pub(super) fn link(&mut self, from: usize, to: usize) {
        if !self.nodes[from].here {
            return;
        }
        if let Some(link) = self.nodes[from].links.get_mut(&to) {
            link.needed = true;
            return self.linked(from, to);
        }
        if let Some(old) = self.nodes[to].links.get(&from).copied() {
            self.lost(to, from, old.number);
        }
        if !self.nodes[to].here || !self.nodes[to].swarm.has_place() {
            return self.swarm(from, Event::LinkFailed { peer: Peer(to as u64) });
        }
        self.links += 1;
        for (one, other) in [(from, to), (to, from)] {
            let needed = !self.nodes[one].swarm.have().is_full();
            let link = Link { number: self.links, needed, on_the_way: 0 };
            self.nodes[one].links.insert(other, link);
        }
        self.linked(from, to);
        self.linked(to, from);
    }

    fn linked(&mut self, at: usize, other: usize) {
        let peer = Peer(other as u64);
        let map = self.nodes[other].told();
        let chunks = map.iter().collect();
        let relayed = self.nodes[at].member.relayed || self.nodes[other].member.relayed;
        self.uploads(at, UploadEvent::Has { peer, chunks });
        self.swarm(at, Event::LinkUp { peer, relayed });
        self.swarm(at, Event::SourceFound(Found { peer, map: Some(map) }));
    }

    /// The download has no use for the link: it stays as long as the other has. Its requests are taken back.
    pub(super) fn disconnect(&mut self, at: usize, peer: usize) {
        let asked: Vec<_> = self.nodes[at].asked.range((peer, 0)..=(peer, u32::MAX)).copied().collect();
        for (_, chunk) in asked {
            self.nodes[at].asked.remove(&(peer, chunk));
            self.word(at, peer, Word::Cancel(chunk));
        }
        if let Some(link) = self.nodes[at].links.get_mut(&peer) {
            link.needed = false;
        }
        let needed = self.nodes[peer].links.get(&at).is_some_and(|link| link.needed);
        if let Some(link) = self.nodes[at].links.get(&peer).filter(|_| !needed).copied() {
            self.forget_link(at, peer);
            let wait = self.latency(at, peer);
            self.queue.after(wait, Happening::Lost { at: peer, peer: at, link: link.number });
        }
    }

    /// It has everything, and keeps only those links that the others need.
    pub(super) fn needs_none(&mut self, at: usize) {
        self.nodes[at].links.values_mut().for_each(|link| link.needed = false);
    }

    fn forget_link(&mut self, at: usize, peer: usize) {
        self.nodes[at].links.remove(&peer);
        self.nodes[at].asked.retain(|(of, _)| *of != peer);
        self.nodes[at].sending.retain(|sending| sending.to != peer);
        self.uploads(at, UploadEvent::Gone { peer: Peer(peer as u64) });
    }

    /// One goes, without a word: the others notice after a while.
    pub(super) fn leave(&mut self, node: usize) {
        if !std::mem::replace(&mut self.nodes[node].here, false) {
            return;
        }
        self.count("left");
        self.server.online(node, false);
        self.forget_copies(node);
        self.nodes[node].sending.clear();
        for (peer, link) in std::mem::take(&mut self.nodes[node].links) {
            self.queue.after(NOTICE, Happening::Lost { at: peer, peer: node, link: link.number });
        }
    }

    pub(super) fn lost(&mut self, at: usize, peer: usize, number: u64) {
        let same = self.nodes[at].links.get(&peer).is_some_and(|link| link.number == number);
        if self.nodes[at].here && same {
            self.forget_link(at, peer);
            self.swarm(at, Event::LinkFailed { peer: Peer(peer as u64) });
        }
    }
}
