//! The simulated world: members, the server, and what happens between them.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use hobnob_peer::swarm::{Effect, Event, Fault, Peer, Refusal, UploadEffect, UploadEvent};

use super::node::Node;
use super::outcome::{Dropped, Hash, Outcome};
use super::plan::{Leaves, Plan};
use super::queue::{Happening, Queue, Word};
use super::server::Server;

/// From a client to the server and back.
const SERVER: Duration = Duration::from_millis(40);

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) queue: Queue,
    pub(super) nodes: Vec<Node>,
    pub(super) server: Server,
    /// Links that were made.
    pub(super) links: u64,
    /// How many honest downloaders that are here have each chunk, and how many chunks nobody of them has.
    copies: Vec<u32>,
    lacking: usize,
    pub(super) counts: BTreeMap<&'static str, u64>,
    drops: Vec<Dropped>,
    wrong: Vec<String>,
    hash: Hash,
}

/// Simulates a swarm until all who want the file and stay have it, or the limit.
#[must_use]
pub fn run(plan: &Plan) -> Outcome {
    let mut world = World::new(plan);
    let mut events = 0;
    while !world.is_over()
        && let Some(happening) = world.queue.next()
        && world.queue.now() <= plan.limit
    {
        events += 1;
        world.happen(happening);
    }
    let done = world.nodes.iter().map(|node| node.done).collect();
    let World { drops, wrong, counts, hash, .. } = world;
    Outcome { done, drops, wrong, counts, hash: hash.get(), events }
}

impl World {
    fn new(plan: &Plan) -> Self {
        let nodes: Vec<_> = (0..plan.members.len()).map(|number| Node::new(plan, number)).collect();
        let chunks = plan.size.div_ceil(plan.chunk_bytes) as u32;
        let mut queue = Queue::default();
        for (number, member) in plan.members.iter().enumerate() {
            queue.at(member.joins, Happening::Join(number));
            if let Leaves::At(at) = member.leaves {
                queue.at(at, Happening::Leave(number));
            }
        }
        Self {
            queue,
            server: Server::new(plan.seed, nodes.len(), chunks),
            nodes,
            links: 0,
            copies: vec![0; chunks as usize],
            lacking: chunks as usize,
            counts: BTreeMap::new(),
            drops: Vec::new(),
            wrong: Vec::new(),
            hash: Hash::new(),
            plan: plan.clone(),
        }
    }

    /// All who want the file and stay have it.
    fn is_over(&self) -> bool {
        let leaves = |node: &Node| matches!(node.member.leaves, Leaves::At(_));
        self.nodes
            .iter()
            .all(|node| node.done.is_some() || node.member.has_all || !node.is_honest() || leaves(node))
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Join(node) => self.join(node),
            Happening::Leave(node) => self.leave(node),
            Happening::Timer(node) => self.timer(node),
            Happening::PieceSent(node, piece) => self.piece_sent(node, piece),
            Happening::PieceHere(piece) => self.piece_here(piece),
            Happening::Link { from, to } => self.link(from, to),
            Happening::Word { from, to, word } => self.heard(from, to, word),
            Happening::Lost { at, peer, link } => self.lost(at, peer, link),
            Happening::Answer(node, found) => {
                if self.nodes[node].here {
                    self.swarm(node, Event::ServerSources(found));
                }
            }
        }
    }

    fn join(&mut self, number: usize) {
        self.nodes[number].here = true;
        self.server.online(number, true);
        self.swarm(number, Event::Tick);
    }

    fn timer(&mut self, number: usize) {
        let now = self.queue.now();
        let node = &mut self.nodes[number];
        if !node.here || node.timer.is_none_or(|timer| timer > now) {
            return;
        }
        node.timer = None;
        self.swarm(number, Event::Tick);
        self.uploads(number, UploadEvent::Tick);
    }

    fn arm(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        if let Some(deadline) = node.deadline()
            && node.timer.is_none_or(|timer| deadline < timer)
        {
            node.timer = Some(deadline);
            self.queue.at(deadline, Happening::Timer(number));
        }
    }

    /// Tells one's schedule of an event and carries out what follows.
    pub(super) fn swarm(&mut self, number: usize, event: Event) {
        let now = self.queue.now();
        if let Event::ChunkArrived { chunk, verified: true, .. } = event {
            self.arrived(number, chunk);
        }
        let effects = self.nodes[number].swarm.handle(event, now);
        effects.into_iter().for_each(|effect| self.carry_out(number, effect));
        self.arm(number);
    }

    fn carry_out(&mut self, number: usize, effect: Effect) {
        self.note(number, &effect);
        match effect {
            Effect::Connect { peer } => self.connect(number, peer.0 as usize),
            Effect::Disconnect { peer } => self.disconnect(number, peer.0 as usize),
            Effect::Drop { peer, why } => self.dropped(number, peer.0 as usize, why),
            Effect::Request { peer, chunk } => self.request(number, peer.0 as usize, chunk),
            Effect::CancelRequest { peer, chunk } => {
                self.count("cancels");
                self.nodes[number].asked.remove(&(peer.0 as usize, chunk));
                self.word(number, peer.0 as usize, Word::Cancel(chunk));
            }
            Effect::AskSources => self.ask_server(number),
            Effect::TellPeers(chunks) => {
                let chunks = Rc::new(chunks);
                let peers: Vec<_> = self.nodes[number].links.keys().copied().collect();
                peers.into_iter().for_each(|peer| self.word(number, peer, Word::Has(chunks.clone())));
            }
            Effect::TellServer(report) => {
                self.count("reports to the server");
                self.server.told(number, &report);
            }
            Effect::Completed => self.completed(number),
            Effect::Stalled => self.count("stalled"),
            Effect::GoesOn => self.count("goes on"),
        }
    }

    fn ask_server(&mut self, number: usize) {
        self.count("asks of the server");
        let now = self.queue.now();
        if self.plan.server_away.is_none_or(|(from, to)| now < from || now >= to) {
            let found = self.server.holders(number);
            self.queue.after(SERVER, Happening::Answer(number, found));
        }
    }

    fn request(&mut self, number: usize, peer: usize, chunk: u32) {
        self.count("requests");
        let node = &mut self.nodes[number];
        if node.asked.iter().any(|(_, other)| *other == chunk) {
            *self.counts.entry("requests twice").or_default() += 1;
        }
        let asked_again = !node.asked.insert((peer, chunk));
        let wrong = [
            (asked_again, "asked again"),
            (node.banned.contains(&peer), "asked a liar"),
            (!node.links.contains_key(&peer) && self.nodes[peer].here, "asked without a link"),
            (chunk as usize >= self.copies.len(), "asked for a chunk that is none"),
        ];
        for (_, what) in wrong.iter().filter(|(is, _)| *is) {
            self.wrong.push(format!("{number} {what}: {peer} for {chunk}"));
        }
        self.word(number, peer, Word::Request(chunk));
    }

    fn dropped(&mut self, number: usize, peer: usize, why: Fault) {
        self.drops.push(Dropped { by: number, peer, why, at: self.queue.now() });
        if why == Fault::Lied {
            self.nodes[number].banned.insert(peer);
        }
        self.disconnect(number, peer);
    }

    fn completed(&mut self, number: usize) {
        self.needs_none(number);
        let node = &mut self.nodes[number];
        if node.member.has_all || !node.is_honest() {
            return;
        }
        node.done = Some(self.queue.now());
        if let Leaves::AfterDone(wait) = node.member.leaves {
            self.queue.after(wait, Happening::Leave(number));
        }
    }

    /// Keeps count of copies, and lets those go who wait for one of each.
    fn arrived(&mut self, number: usize, chunk: u32) {
        if self.nodes[number].swarm.have().contains(chunk) || !self.nodes[number].is_honest() {
            return self.count("chunks in vain");
        }
        self.copies[chunk as usize] += 1;
        if self.copies[chunk as usize] > 1 {
            return;
        }
        self.lacking -= 1;
        if self.lacking == 0 {
            let going = |node: &Node| node.here && node.member.leaves == Leaves::AfterOneCopy;
            let going: Vec<_> = (0..self.nodes.len()).filter(|number| going(&self.nodes[*number])).collect();
            going.into_iter().for_each(|number| self.queue.after(Duration::ZERO, Happening::Leave(number)));
        }
    }

    /// Somebody goes with what it had.
    pub(super) fn forget_copies(&mut self, number: usize) {
        if self.nodes[number].member.has_all || !self.nodes[number].is_honest() {
            return;
        }
        for chunk in self.nodes[number].swarm.have().iter() {
            self.copies[chunk as usize] -= 1;
            self.lacking += usize::from(self.copies[chunk as usize] == 0);
        }
    }

    /// Tells one's order of serving of an event and carries out what follows.
    pub(super) fn uploads(&mut self, number: usize, event: UploadEvent) {
        let now = self.queue.now();
        for effect in self.nodes[number].service.handle(event, now) {
            match effect {
                UploadEffect::Serve { peer, chunk } => {
                    self.hash.add(&[now.as_nanos() as u64, number as u64, 100, peer.0, u64::from(chunk)]);
                    self.serve(number, peer.0 as usize, chunk);
                }
                UploadEffect::Refuse { peer, chunk } => {
                    self.count("refusals");
                    self.word(number, peer.0 as usize, Word::Refused(chunk, Refusal::Busy));
                }
            }
        }
        self.arm(number);
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn note(&mut self, number: usize, effect: &Effect) {
        let words = match effect {
            Effect::Connect { peer } => [1, peer.0, 0],
            Effect::Disconnect { peer } => [2, peer.0, 0],
            Effect::Request { peer, chunk } => [3, peer.0, u64::from(*chunk)],
            Effect::CancelRequest { peer, chunk } => [4, peer.0, u64::from(*chunk)],
            Effect::AskSources => [5, 0, 0],
            Effect::TellPeers(chunks) => [6, chunks.len() as u64, 0],
            Effect::TellServer(_) => [7, 0, 0],
            Effect::Drop { peer: Peer(peer), why } => [8, *peer, *why as u64],
            Effect::Completed => [9, 0, 0],
            Effect::Stalled => [10, 0, 0],
            Effect::GoesOn => [11, 0, 0],
        };
        self.hash.add(&[self.queue.now().as_nanos() as u64, number as u64]);
        self.hash.add(&words);
    }
}
