//! What the swarm wants is done, and it is told what comes.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use hobnob_protocol::v1;
use hobnob_protocol::v1::file_refused::Why;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::time::Instant;

use super::dial::{self, Route};
use super::download::{Link, Phase};
use super::event::{Content, Event};
use super::landing::{self, Landing};
use super::limits::{DIALS_OF_KEY_MAX, ORDERS, SOURCES_MAX, STREAMS_OF_KEY_MAX};
use super::manager::Manager;
use super::note::{Note, StreamId, Teller};
use crate::network::FileStream;
use crate::swarm::{ChunkSet, Effect, Event as SwarmEvent, Found, Peer, Refusal};
use crate::transfer::Outcome;
use crate::transfer::fetch::{self, Ask, Got, Over};
use crate::transfer::serve::Asked;

impl Manager {
    /// Tells the swarm of something, and does what follows.
    pub(super) fn swarm(&mut self, content: Content, event: SwarmEvent) {
        let Some(download) = self.downloads.get_mut(&content) else { return };
        let effects = download.swarm_event(event, Instant::now());
        self.carry_out(content, effects);
    }

    /// Does what the swarm wants.
    pub(super) fn carry_out(&mut self, content: Content, effects: Vec<Effect>) {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            let follows = match effect {
                Effect::Connect { peer } => self.connect(content, peer),
                Effect::Disconnect { peer } | Effect::Drop { peer, .. } => {
                    self.let_go(content, peer);
                    None
                }
                other => {
                    self.carry_out_simple(content, other);
                    None
                }
            };
            if let (Some(event), Some(download)) = (follows, self.downloads.get_mut(&content)) {
                effects.extend(download.swarm_event(event, Instant::now()));
            }
        }
    }

    fn carry_out_simple(&mut self, content: Content, effect: Effect) {
        let Some(download) = self.downloads.get_mut(&content) else { return };
        match effect {
            Effect::Request { peer, chunk } => download.ask(peer, Ask::Chunk(chunk)),
            Effect::CancelRequest { peer, chunk } => download.ask(peer, Ask::Cancel(chunk)),
            Effect::AskSources => match download.first.take() {
                Some(first) => self.sources_came(content, first),
                None => self.find_sources(content),
            },
            Effect::TellPeers(chunks) => {
                let links = download.links.values_mut().filter(|link| link.map.is_some());
                links.for_each(|link| link.tell(&chunks));
                if let Some(offer) = self.offers.get_mut(&content) {
                    offer.givers.tell(&chunks);
                }
            }
            Effect::TellServer(report) => self.report(content, report),
            Effect::Completed => self.all_is_here(content),
            Effect::Stalled => {
                download.stalled = true;
                self.tell_stalled(content, true);
            }
            Effect::GoesOn => {
                download.stalled = false;
                self.tell_stalled(content, false);
            }
            Effect::Connect { .. } | Effect::Disconnect { .. } | Effect::Drop { .. } => {}
        }
    }

    /// The server's answer.
    pub(super) fn sources_came(&mut self, content: Content, sources: v1::Sources) {
        let own = self.common.key;
        let Some(download) = self.downloads.get_mut(&content) else { return };
        if !sources.ticket.is_empty() {
            download.ticket = Some((sources.ticket, sources.signature));
        }
        let mut found = Vec::new();
        for source in sources.sources.iter().take(SOURCES_MAX) {
            let Some(route) = Route::of_source(source).filter(|route| route.key != own) else { continue };
            let Some(peer) = download.device(&source.user, route) else { continue };
            let chunks = download.shape.chunks();
            let map = if source.complete {
                ChunkSet::all(chunks)
            } else {
                ChunkSet::from_bitmap(chunks, &source.chunks)
            };
            found.push(Found { peer, map: Some(map) });
        }
        self.swarm(content, SwarmEvent::ServerSources(found));
    }

    /// Makes a link. An event follows at once if there is nothing to be made.
    fn connect(&mut self, content: Content, peer: Peer) -> Option<SwarmEvent> {
        let download = self.downloads.get_mut(&content)?;
        if let Some(link) = download.links.get(&peer) {
            let up = link.map.is_some() && download.proven;
            return up.then_some(SwarmEvent::LinkUp { peer, relayed: link.relayed });
        }
        let Some(known) = download.known.get(&peer) else { return Some(SwarmEvent::LinkFailed { peer }) };
        let key = known.route.key;
        if !self.has_place(&key) {
            self.last_stream += 1;
            let turn = self.last_stream;
            let download = self.downloads.get_mut(&content)?;
            download.waiting.insert(peer, turn);
            return Some(SwarmEvent::LinkWaits { peer });
        }
        self.open_link(content, peer)
    }

    /// Whether one more stream to this device may be begun.
    fn has_place(&self, key: &[u8; 32]) -> bool {
        let each = self.downloads.values().map(|download| download.streams_to(key));
        let (streams, dials) = each.fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        streams < STREAMS_OF_KEY_MAX && dials < DIALS_OF_KEY_MAX
    }

    /// Begins links for which there is place now.
    pub(super) fn begin_waiting(&mut self) {
        let going = self.downloads.values().filter(|download| download.phase == Phase::Going);
        let waiting = going.flat_map(|download| {
            let waiting = download.waiting.iter().filter_map(|(peer, turn)| {
                Some((*turn, download.content, *peer, download.known.get(peer)?.route.key))
            });
            waiting.collect::<Vec<_>>()
        });
        let mut waiting: Vec<_> = waiting.collect();
        waiting.sort_unstable_by_key(|(turn, ..)| *turn);
        let mut full = BTreeSet::new();
        for (_, content, peer, key) in waiting {
            if full.contains(&key) || !self.has_place(&key) {
                full.insert(key);
                continue;
            }
            let Some(download) = self.downloads.get_mut(&content) else { continue };
            if download.waiting.remove(&peer).is_none() {
                continue;
            }
            self.swarm(content, SwarmEvent::LinkBegins { peer });
            if let Some(event) = self.open_link(content, peer) {
                self.swarm(content, event);
            }
        }
    }

    fn open_link(&mut self, content: Content, peer: Peer) -> Option<SwarmEvent> {
        let download = self.downloads.get_mut(&content)?;
        let (known, ticket) = (download.known.get(&peer), download.ticket.clone());
        let (Some(known), Some((ticket, signature)), Some(partial)) = (known, ticket, &download.partial)
        else {
            return Some(SwarmEvent::LinkFailed { peer });
        };
        self.last_stream += 1;
        let stream = StreamId(self.last_stream);
        let (asks, asks_out) = mpsc::channel(ORDERS);
        let id = v1::Content { ..content.to_wire() }.id;
        let open = v1::FileOpen { id, size: content.size, ticket, signature };
        let (common, route) = (Arc::clone(&self.common), known.route.clone());
        let landing = Arc::new(Landing(Arc::clone(partial)));
        let notes = self.notes.clone();
        let teller = Teller { stream, content, notes: notes.clone() };
        let task = self.streams.spawn(async move {
            let Some(reached) = dial::dial(&common, &route).await else {
                let _ = notes.send(Note::Taker(stream, content, Got::Over(Over::Lost))).await;
                return;
            };
            let run = fetch::run(reached.conn, open, landing, asks_out, teller);
            match reached.stream {
                None => run.await,
                Some(quic) => tokio::select! {
                    () = run => {}
                    () = watch(quic, stream, content, notes) => {}
                },
            }
        });
        download.links.insert(peer, Link::new(stream, asks, task));
        download.streams.insert(stream, peer);
        None
    }

    /// The swarm does not want a link any more.
    fn let_go(&mut self, content: Content, peer: Peer) {
        let Some(download) = self.downloads.get(&content) else { return };
        // While the manifest is to be proven, the swarm knows of no link, and takes those there are for failed.
        let opened = download.links.get(&peer).is_some_and(|link| link.map.is_some());
        if download.proven || !opened {
            self.unlink(content, peer);
        }
    }

    /// A link is not used any more: what was to be said is said.
    pub(super) fn unlink(&mut self, content: Content, peer: Peer) {
        let Some(download) = self.downloads.get_mut(&content) else { return };
        download.waiting.remove(&peer);
        if let Some(link) = download.links.remove(&peer) {
            download.streams.remove(&link.stream);
            if link.map.is_none() {
                link.task.abort();
            }
        }
        download.proof.failed(peer);
        download.prove();
    }

    /// The swarm may use the link, for the first time or again.
    pub(super) fn link_up(&mut self, content: Content, peer: Peer) {
        let Some(link) = self.downloads.get(&content).and_then(|download| download.links.get(&peer)) else {
            return;
        };
        let Some(map) = link.map.clone() else { return };
        let up = SwarmEvent::LinkUp { peer, relayed: link.relayed };
        self.swarm(content, up);
        self.swarm(content, SwarmEvent::SourceFound(Found { peer, map: Some(map) }));
    }

    /// The link runs another way.
    pub(super) fn path(&mut self, stream: StreamId, content: Content, relayed: bool) {
        let Some(download) = self.downloads.get_mut(&content) else { return };
        let Some(peer) = download.streams.get(&stream).copied() else { return };
        let Some(link) = download.links.get_mut(&peer) else { return };
        let tell = link.relayed != relayed && link.map.is_some();
        link.relayed = relayed;
        if tell && download.proven {
            self.swarm(content, SwarmEvent::LinkUp { peer, relayed });
        }
    }

    /// It does not keep to the rules: never again.
    pub(super) fn lied(&mut self, content: Content, peer: Peer) {
        tracing::debug!("a source of a file does not keep to the rules");
        self.unlink(content, peer);
        self.swarm(content, SwarmEvent::ChunkArrived { peer, chunk: 0, bytes: 0, verified: false });
    }

    /// On a stream from a source something has come.
    pub(super) fn got(&mut self, stream: StreamId, content: Content, got: Got) {
        let Some(download) = self.downloads.get_mut(&content) else { return };
        let Some(peer) = download.streams.get(&stream).copied() else { return };
        let Some(link) = download.links.get_mut(&peer) else { return };
        let total = download.shape.chunks();
        match got {
            Got::Opened(_) if link.map.is_some() => self.lied(content, peer),
            Got::Opened(opened) => {
                let map = if opened.complete {
                    ChunkSet::all(total)
                } else {
                    ChunkSet::from_bitmap(total, &opened.chunks)
                };
                link.map = Some(map);
                self.opened(content, peer);
            }
            _ if link.map.is_none() && !matches!(got, Got::Over(_)) => self.lied(content, peer),
            Got::Have(chunks) => {
                if let Some(map) = &mut link.map {
                    for chunk in &chunks {
                        map.insert(*chunk);
                    }
                }
                if download.proven {
                    self.swarm(content, SwarmEvent::MapDelta { peer, chunks });
                }
            }
            Got::Manifest(bytes) => {
                download.proof.heard(peer);
                self.manifest_came(content, peer, &bytes);
            }
            Got::Bytes { chunk, bytes } => {
                let sum = link.bytes.entry(chunk).or_default();
                *sum += u64::from(bytes);
                let bytes_of_chunk = *sum;
                download.meter.add(u64::from(bytes));
                download.proof.heard(peer);
                if download.proven {
                    self.swarm(content, SwarmEvent::Progress { peer, chunk, bytes: bytes_of_chunk });
                }
            }
            Got::Chunk { chunk, outcome } => {
                link.bytes.remove(&chunk);
                link.tell(&[]);
                self.chunk_came(content, peer, chunk, outcome);
            }
            Got::Refused { chunk, why } => self.refused(content, peer, chunk, why),
            Got::Over(over) => self.over(content, peer, over),
        }
    }

    /// A stream was cut, or its task has failed: it could not tell of its end.
    pub(super) fn broken_off(&mut self, error: &JoinError) {
        if error.is_panic() {
            tracing::error!(%error, "a stream of a file has failed");
        }
        let id = error.id();
        let link = self.downloads.values().find_map(|download| {
            let (peer, _) = download.links.iter().find(|(_, link)| link.task.id() == id)?;
            Some((download.content, *peer))
        });
        if let Some((content, peer)) = link {
            self.over(content, peer, Over::Lost);
        } else if let Some((content, stream)) = self.giver_of_task(id) {
            self.asked(stream, content, Asked::Over);
        }
    }

    /// A source gives: it learns what is here, and is of use as soon as the manifest is proven.
    fn opened(&mut self, content: Content, peer: Peer) {
        let Some(download) = self.downloads.get_mut(&content) else { return };
        let have: Vec<_> = download.have().map_or(Vec::new(), |have| have.iter().collect());
        if let Some(link) = download.links.get_mut(&peer).filter(|_| !have.is_empty()) {
            link.tell(&have);
        }
        if download.proven {
            self.link_up(content, peer);
        } else {
            download.prove();
        }
    }

    fn chunk_came(&mut self, content: Content, peer: Peer, chunk: u32, outcome: Outcome) {
        let Some(download) = self.downloads.get_mut(&content) else { return };
        let Some(range) = download.shape.range(chunk) else { return };
        let bytes = range.end - range.start;
        let is_here = || download.partial.as_ref().is_some_and(|partial| partial.verified().contains(chunk));
        let verified = match outcome {
            Outcome::Verified => true,
            Outcome::Wrong => return self.lied(content, peer),
            Outcome::Unneeded if is_here() => true,
            Outcome::Unneeded => return self.refused(content, peer, chunk, Why::Busy),
        };
        if outcome == Outcome::Verified {
            download.commit.add(bytes);
            if let Some(known) = download.known.get(&peer) {
                download.givers.insert(known.user.clone());
            }
        }
        self.swarm(content, SwarmEvent::ChunkArrived { peer, chunk, bytes, verified });
        self.see_proof(content);
    }

    fn refused(&mut self, content: Content, peer: Peer, chunk: u32, why: Why) {
        let Some(download) = self.downloads.get_mut(&content) else { return };
        if !download.proven {
            // It is asked again when it is its turn.
            download.proof.failed(peer);
            download.prove();
            return;
        }
        let why = if why == Why::NotHere { Refusal::NotHere } else { Refusal::Busy };
        self.swarm(content, SwarmEvent::Refused { peer, chunk, why });
    }

    fn over(&mut self, content: Content, peer: Peer, over: Over) {
        match over {
            // It has no place at the moment, which says nothing of what it has.
            Over::Lost | Over::Refused(Why::Busy) => {
                self.unlink(content, peer);
                self.swarm(content, SwarmEvent::LinkFailed { peer });
            }
            Over::Refused(why) => {
                tracing::debug!(?why, "a source does not give a file");
                self.unlink(content, peer);
                self.swarm(content, SwarmEvent::SourceGone { peer });
            }
            Over::Broken(why) => {
                tracing::debug!(why, "a source does not keep to the protocol");
                self.lied(content, peer);
            }
            Over::Disk(error) => self.fail(content, &landing::why(&error), true),
        }
    }

    fn tell_stalled(&mut self, content: Content, stalled: bool) {
        let Some(download) = self.downloads.get(&content).filter(|it| it.phase == Phase::Going) else {
            return;
        };
        let Some(name) = self.name_for_person(download) else { return };
        self.out(if stalled { Event::Stalled { name } } else { Event::GoesOn { name } });
    }
}

/// Tells when a stream runs another way.
async fn watch(mut quic: FileStream, stream: StreamId, content: Content, notes: mpsc::Sender<Note>) {
    let mut told = false;
    loop {
        let relayed = quic.is_relayed();
        if relayed != told {
            told = relayed;
            if notes.send(Note::Path { stream, content, relayed }).await.is_err() {
                return;
            }
        }
        quic.changed().await;
    }
}
