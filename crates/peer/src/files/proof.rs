//! The manifest of a file is proven before anything else is asked for: one source after the other is asked for it and for
//! the last chunk, until one has told the truth. Only then does the swarm learn of its links.

use std::collections::BTreeSet;

use tokio::time::{Duration, Instant};

use super::download::Download;
use super::event::Content;
use super::limits::{PROOF_MAX, PROOF_RATE, PROOF_SILENCE};
use super::manager::Manager;
use crate::file::{Manifest, Trust};
use crate::swarm::{Event, Peer};
use crate::transfer::fetch::Ask;

/// How far the proof is.
#[derive(Debug, Default)]
pub(super) struct Proof {
    /// Who is asked, and until when.
    prover: Option<Prover>,
    tried: BTreeSet<Peer>,
    /// How often all were tried: each time they have longer.
    rounds: u32,
}

#[derive(Clone, Copy, Debug)]
struct Prover {
    peer: Peer,
    until: Instant,
    heard: Instant,
}

impl Proof {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.prover.map(|prover| prover.until.min(prover.heard + PROOF_SILENCE))
    }

    /// Something came from it.
    pub(super) fn heard(&mut self, peer: Peer) {
        if let Some(prover) = self.prover.as_mut().filter(|prover| prover.peer == peer) {
            prover.heard = Instant::now();
        }
    }

    fn is_prover(&self, peer: Peer) -> bool {
        self.prover.is_some_and(|prover| prover.peer == peer)
    }

    /// It is not asked any more.
    pub(super) fn failed(&mut self, peer: Peer) {
        if self.is_prover(peer) {
            self.prover = None;
        }
    }
}

impl Download {
    /// No chunk but the last can be verified yet.
    pub(super) fn needs_proof(&self) -> bool {
        let Some(partial) = &self.partial else { return true };
        let proven = || partial.manifest().is_some_and(|manifest| manifest.trust() == Trust::Proven);
        self.shape.chunks() > 1 && !self.proven && !proven()
    }

    /// Asks another, if nobody is being asked.
    pub(super) fn prove(&mut self) {
        if self.proof.prover.is_some() || !self.needs_proof() {
            return;
        }
        let open = || self.links.iter().filter(|(_, link)| link.map.is_some()).map(|(peer, _)| *peer);
        let next = match open().find(|peer| !self.proof.tried.contains(peer)) {
            Some(next) => next,
            None => {
                let Some(first) = open().next() else { return };
                self.proof.tried.clear();
                self.proof.rounds = (self.proof.rounds + 1).min(8);
                first
            }
        };
        self.proof.tried.insert(next);
        let last = self.shape.last().and_then(|last| self.shape.range(last));
        let bytes = last.map_or(0, |last| last.end - last.start) + Manifest::encoded_bytes(self.shape) as u64;
        let limit = (PROOF_MAX + Duration::from_millis(bytes * 1000 / PROOF_RATE)) * (1 << self.proof.rounds);
        let now = Instant::now();
        self.proof.prover = Some(Prover { peer: next, until: now + limit, heard: now });
        self.ask(next, Ask::Manifest);
    }
}

impl Manager {
    /// A manifest came.
    pub(super) fn manifest_came(&mut self, content: Content, peer: Peer, bytes: &[u8]) {
        let Some(download) = self.downloads.get_mut(&content) else { return };
        let (Some(partial), Some(last)) = (&download.partial, download.shape.last()) else { return };
        if !download.proof.is_prover(peer) {
            return;
        }
        match Manifest::decode(content.id, download.shape, bytes) {
            Ok(manifest) => {
                partial.give(manifest);
                download.ask(peer, Ask::Chunk(last));
            }
            Err(_) => self.lied(content, peer),
        }
    }

    /// A chunk came while the manifest was to be proven: if it is proven now, the swarm begins.
    pub(super) fn see_proof(&mut self, content: Content) {
        let Some(download) = self.downloads.get_mut(&content) else { return };
        if download.proven || download.needs_proof() {
            return;
        }
        download.proven = true;
        download.proof = Proof::default();
        let ready: Vec<_> =
            download.links.iter().filter(|(_, link)| link.map.is_some()).map(|(peer, _)| *peer).collect();
        ready.into_iter().for_each(|peer| self.link_up(content, peer));
    }

    /// Who is asked says nothing, or takes too long while there are others.
    pub(super) fn tick_proof(&mut self, content: Content) {
        let now = Instant::now();
        let Some(download) = self.downloads.get_mut(&content) else { return };
        let Some(prover) = download.proof.prover else { return };
        let silent = now >= prover.heard + PROOF_SILENCE;
        let others = download.links.iter().any(|(peer, link)| *peer != prover.peer && link.map.is_some());
        if silent || (now >= prover.until && others) {
            tracing::debug!("a source does not give the manifest in time");
            self.unlink(content, prover.peer);
            self.swarm(content, Event::LinkFailed { peer: prover.peer });
        } else if now >= prover.until {
            // There is nobody else.
            if let Some(prover) = &mut download.proof.prover {
                prover.until = now + PROOF_SILENCE;
            }
        }
    }
}
