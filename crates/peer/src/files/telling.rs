//! What the server is told of what is held here, and asked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hobnob_protocol::v1;

use super::download::chunks_of;
use super::event::{Content, Event, Reply, Request, RequestId};
use super::limits::HOLDS_MAX;
use super::manager::Manager;
use crate::swarm::{ChunkSet, Report};

/// What the server knows of an offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing.
    #[default]
    Nothing,
    /// It is about to be told, when it is this one's turn.
    Waits,
    /// It was told, and has not answered.
    Asked,
    /// It knows.
    Known,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Hold(Content),
    Release(Content),
    Sources(Content),
}

/// Requests that stand.
#[derive(Debug, Default)]
pub(super) struct Telling {
    last: u64,
    standing: BTreeMap<RequestId, What>,
    /// Offers that are to be told of.
    waiting: VecDeque<Content>,
    holds: usize,
    /// What the server may believe to be held: it was told so, or to forget it, and may not have heard the latter.
    believed: BTreeSet<Content>,
    /// What is to be released, as long as nothing of it is offered again. Comes before what waits to be held.
    leaving: VecDeque<Content>,
    releases: usize,
    /// Downloads whose sources are being asked for.
    asking: BTreeSet<Content>,
}

impl Telling {
    fn next(&mut self) -> RequestId {
        self.last += 1;
        RequestId(self.last)
    }
}

impl Manager {
    fn request(&mut self, request: Request) -> RequestId {
        let id = self.telling.next();
        self.out(Event::Server { id, request });
        id
    }

    /// The server is to know of this offer, as it is now.
    pub(super) fn hold(&mut self, content: Content) {
        let Some(offer) = self.offers.get_mut(&content).filter(|_| self.common.holds) else { return };
        if offer.told != Told::Waits {
            offer.told = Told::Waits;
            self.telling.waiting.push_back(content);
        }
        self.hold_some();
    }

    /// Tells of as many as may be told of at once.
    fn hold_some(&mut self) {
        while self.telling.holds < HOLDS_MAX {
            let Some(content) = self.telling.waiting.pop_front() else { return };
            let have = self.have(content);
            let Some(offer) = self.offers.get_mut(&content).filter(|offer| offer.told == Told::Waits) else {
                continue;
            };
            let Some(have) = have else {
                offer.told = Told::Nothing;
                continue;
            };
            offer.told = Told::Asked;
            let complete = have.is_full();
            let hold = v1::Hold {
                content: Some(content.to_wire()),
                name: offer.name.clone(),
                complete,
                chunks: if complete { Default::default() } else { have.to_bitmap().into() },
                folder: offer.folder,
                inner: !offer.itself,
            };
            self.telling.holds += 1;
            self.telling.believed.insert(content);
            let id = self.request(Request::Hold(hold));
            self.telling.standing.insert(id, What::Hold(content));
        }
    }

    /// What is here of an offer; `None`: nothing yet.
    pub(super) fn have(&self, content: Content) -> Option<ChunkSet> {
        let offer = self.offers.get(&content)?;
        match self.downloads.get(&content) {
            Some(download) => download.have().filter(|have| !have.is_empty() || have.is_full()),
            None => Some(ChunkSet::all(offer.shelf.shape().chunks())),
        }
    }

    /// A download has something to tell of itself.
    pub(super) fn report(&mut self, content: Content, report: Report) {
        let Some(offer) = self.offers.get(&content) else { return };
        match report {
            // When nobody passes it on, it is told with the rest in the end.
            Report::More(_) if self.nobody_listens() => {}
            Report::More(chunks) if offer.told == Told::Known && self.common.holds => {
                let chunks = chunks_of(offer.shelf.shape().chunks(), chunks).to_bitmap().into();
                self.request(Request::HoldMore(v1::HoldMore { content: Some(content.to_wire()), chunks }));
            }
            Report::First(_) | Report::More(_) | Report::Complete => self.hold(content),
        }
    }

    /// The server is to forget an offer that was removed, if it may know of it.
    pub(super) fn release(&mut self, content: Content) {
        // Whoever takes the offer away does it once.
        self.telling.leaving.push_back(content);
        self.release_some();
    }

    /// Releases as many as may be at once. What is offered again meanwhile is told anew instead.
    fn release_some(&mut self) {
        while self.telling.releases < HOLDS_MAX {
            let Some(content) = self.telling.leaving.pop_front() else { return };
            if self.offers.contains_key(&content) || !self.telling.believed.remove(&content) {
                continue;
            }
            self.telling.releases += 1;
            let id = self.request(Request::Release(v1::Release { content: Some(content.to_wire()) }));
            self.telling.standing.insert(id, What::Release(content));
        }
    }

    /// Asks for sources, unless that is asked already.
    pub(super) fn find_sources(&mut self, content: Content) {
        if self.telling.asking.insert(content) {
            let request = v1::FindSources { content: Some(content.to_wire()) };
            let id = self.request(Request::FindSources(request));
            self.telling.standing.insert(id, What::Sources(content));
        }
    }

    /// The server has answered.
    pub(super) fn answered(&mut self, id: RequestId, reply: Reply) {
        match self.telling.standing.remove(&id) {
            Some(What::Hold(content)) => {
                self.telling.holds -= 1;
                self.held(content, reply);
                self.hold_some();
            }
            Some(What::Release(content)) => {
                self.telling.releases -= 1;
                if reply == Reply::Away {
                    self.telling.believed.insert(content);
                }
                self.release_some();
            }
            Some(What::Sources(content)) => {
                self.telling.asking.remove(&content);
                let sources = match reply {
                    Reply::Sources(sources) => sources,
                    Reply::Done | Reply::Refused { .. } | Reply::Away => v1::Sources::default(),
                };
                self.sources_came(content, sources);
            }
            None => {}
        }
    }

    fn held(&mut self, content: Content, reply: Reply) {
        let Some(offer) = self.offers.get_mut(&content) else { return };
        // If there is more to tell meanwhile, its own answer counts.
        if offer.told == Told::Asked {
            offer.told = if reply == Reply::Away { Told::Nothing } else { Told::Known };
            match reply {
                Reply::Refused { why, is_final } => self.not_held(content, why, is_final),
                Reply::Away => {}
                Reply::Done | Reply::Sources(_) => self.told_of(content),
            }
            self.complete(content);
        }
    }

    /// The server has forgotten everything, or was away: it is told of all offers, and of what is offered no longer.
    pub(super) fn announce(&mut self) {
        let offers = &self.offers;
        let gone = self.telling.believed.iter().filter(|content| !offers.contains_key(content));
        self.telling.leaving = gone.copied().collect();
        self.release_some();
        let all: Vec<_> = self.offers.keys().copied().collect();
        all.into_iter().for_each(|content| self.hold(content));
    }
}
