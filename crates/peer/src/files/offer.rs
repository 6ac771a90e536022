//! What is offered here, and who takes it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hobnob_protocol::v1::{self, FileOpened, file_refused::Why};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id};
use tokio::time::{Duration, Instant};

use super::door::Arrival;
use super::download::chunks_of;
use super::event::{Content, Ended, Event, Shared};
use super::limits::{
    HAVE_MAX, IDLE_MAX, MANIFESTS_MAX, ORDERS, ORDERS_LOW, SLOTS, TAKERS_OF_KEY_MAX, TICK_MIN, VAIN_MAX,
};
use super::manager::Manager;
use super::note::{Note, StreamId, Teller};
use super::shelf::{Shelf, Wrong};
use super::telling::Told;
use super::ticket;
use crate::file::source::SourceError;
use crate::swarm::{Event as SwarmEvent, Found, Peer, UploadEffect, UploadEvent, Uploads};
use crate::transfer::Tell;
use crate::transfer::serve::{self, Asked, Order};

/// A file that is offered, or a download of which there is something.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) name: String,
    pub(super) shelf: Arc<Shelf>,
    /// The person's own file; otherwise a download, whose end is the end of the offer.
    pub(super) own: bool,
    /// It lists this folder.
    pub(super) folder: Option<v1::Folder>,
    /// Chunks of all files of the folder.
    pub(super) folder_chunks: u64,
    /// Where the folder is.
    pub(super) folder_path: Option<PathBuf>,
    /// The folders that it is a file of: their listings.
    pub(super) within: Vec<Content>,
    /// It was shared for itself, not only as a file of a folder.
    pub(super) itself: bool,
    pub(super) told: Told,
    /// The person waits to be told that it is shared.
    pub(super) awaited: bool,
    /// It was shared before.
    pub(super) again: bool,
    pub(super) givers: Givers,
}

/// Streams on which an offer is given.
#[derive(Debug, Default)]
pub(super) struct Givers {
    streams: BTreeMap<StreamId, Giver>,
    uploads: Option<Uploads>,
    /// When its deadline was last met.
    ticked: Duration,
}

#[derive(Debug)]
struct Giver {
    key: [u8; 32],
    user: String,
    orders: mpsc::Sender<Order>,
    task: AbortHandle,
    /// What is to be told when there is place.
    haves: Vec<u32>,
    /// Requests that were for nothing.
    vain: u32,
    manifests: u32,
    /// When it last asked for something or got it.
    heard: Duration,
    /// When its ticket is worth nothing any more, in ms since 1970.
    expires_ms: i64,
}

impl Offer {
    pub(super) fn new(name: String, shelf: Arc<Shelf>, own: bool) -> Self {
        Self {
            name,
            shelf,
            own,
            folder: None,
            folder_chunks: 0,
            folder_path: None,
            within: Vec::new(),
            itself: true,
            told: Told::Nothing,
            awaited: false,
            again: false,
            givers: Givers::default(),
        }
    }

    pub(super) fn shown(&self, content: Content) -> Shared {
        Shared {
            name: self.name.clone(),
            content,
            path: self.folder_path.clone().or_else(|| self.shelf.path()),
            files: self.folder.map(|folder| folder.files),
            takers: self.givers.streams.len(),
        }
    }
}

impl Givers {
    /// When something is to be done without anything that happens.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let deadline = self.uploads.as_ref()?.deadline()?;
        Some(deadline.max(self.ticked + TICK_MIN))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// What happens to those who wait. A stream that takes no order does not read: it is cut.
    fn uploads(&mut self, event: UploadEvent, now: Duration) {
        let Some(uploads) = &mut self.uploads else { return };
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for effect in uploads.handle(event, now) {
                let (peer, order) = match effect {
                    UploadEffect::Serve { peer, chunk } => (peer, Order::Send(chunk)),
                    UploadEffect::Refuse { peer, chunk } => (peer, Order::Refuse(chunk, Why::Busy)),
                };
                let stream = StreamId(peer.0);
                let Some(giver) = self.streams.get_mut(&stream) else { continue };
                let vain = u32::from(matches!(effect, UploadEffect::Refuse { .. }));
                if !giver.order(order, vain) {
                    giver.task.abort();
                    self.streams.remove(&stream);
                    events.push(UploadEvent::Gone { peer });
                }
            }
        }
    }

    /// Streams on which nothing was asked for, and nothing was to be sent, for too long.
    fn idle(&self, now: Duration) -> Vec<StreamId> {
        let works = |stream: StreamId| self.uploads.as_ref().is_some_and(|it| it.has_asked(Peer(stream.0)));
        let long = self.streams.iter().filter(|(_, giver)| now >= giver.heard + IDLE_MAX);
        long.map(|(stream, _)| *stream).filter(|stream| !works(*stream)).collect()
    }

    /// Ends a stream at once.
    fn cut(&mut self, stream: StreamId, now: Duration) {
        if let Some(giver) = self.streams.remove(&stream) {
            giver.task.abort();
            self.uploads(UploadEvent::Gone { peer: Peer(stream.0) }, now);
        }
    }

    /// Tells all that these are here now.
    pub(super) fn tell(&mut self, chunks: &[u32]) {
        for giver in self.streams.values_mut() {
            giver.haves.extend_from_slice(chunks);
            giver.tell();
        }
    }

    /// Nothing is given any more; why is said where that can be.
    pub(super) fn end(&mut self, why: Why) {
        for giver in std::mem::take(&mut self.streams).into_values() {
            if giver.orders.try_send(Order::End(why)).is_err() {
                giver.task.abort();
            }
        }
        self.uploads = None;
    }
}

impl Giver {
    /// `false`: it does not listen, or asks for too much that cannot be had.
    fn order(&mut self, order: Order, vain: u32) -> bool {
        self.vain += vain;
        self.vain <= VAIN_MAX && self.orders.try_send(order).is_ok()
    }

    /// Tells what is here now, while there is place.
    fn tell(&mut self) {
        while !self.haves.is_empty() && self.orders.capacity() > ORDERS_LOW {
            let rest = self.haves.split_off(self.haves.len().min(HAVE_MAX));
            let now = std::mem::replace(&mut self.haves, rest);
            // When the stream is gone, that is told by itself.
            let _ = self.orders.try_send(Order::Have(now));
        }
    }
}

impl Manager {
    /// Somebody with a good ticket wants something.
    pub(super) fn arrived(&mut self, arrival: Arrival) {
        let Arrival { content, user, key, expires_ms, frames, io, place } = arrival;
        let have = self.have(content).filter(|_| self.common.holds);
        // A device takes a file once: what is left of an earlier stream is over, and takes no place.
        let others = self.givers_of(&key).filter(|(of, _)| *of != content).count();
        let blocked = self.blocked.contains(&super::folded(&user));
        if blocked {
            self.shun(key);
        }
        let refused = match &have {
            // Both are told the same: nobody shall learn that it is blocked.
            Some(_) if blocked => Some(Why::Gone),
            None => Some(Why::Gone),
            Some(_) if others >= TAKERS_OF_KEY_MAX => Some(Why::Busy),
            Some(_) => None,
        };
        let (Some(have), Some(offer), None) = (have, self.offers.get_mut(&content), refused) else {
            let why = refused.unwrap_or(Why::Gone);
            tracing::debug!(?why, blocked, "somebody gets nothing of a file");
            self.streams.spawn(async move {
                serve::refuse(io, why).await;
                place.linger().await;
            });
            return;
        };
        let now = self.begun.elapsed();
        let earlier = offer.givers.streams.iter().find(|(_, giver)| giver.key == key).map(|(id, _)| *id);
        if let Some(earlier) = earlier {
            offer.givers.cut(earlier, now);
        }
        let chunks = offer.shelf.shape().chunks();
        offer.givers.uploads.get_or_insert_with(|| Uploads::new(chunks, SLOTS));
        self.last_stream += 1;
        let stream = StreamId(self.last_stream);
        let (orders, orders_out) = mpsc::channel(ORDERS);
        let complete = have.is_full();
        let chunks = if complete { Default::default() } else { have.to_bitmap().into() };
        let opened = FileOpened { complete, chunks };
        let (shelf, notes) = (Arc::clone(&offer.shelf), self.notes.clone());
        let teller = Teller { stream, content, notes: notes.clone() };
        let task = self.streams.spawn(async move {
            let opening = Arc::clone(&shelf);
            let ready = tokio::task::spawn_blocking(move || opening.open()).await;
            if let Ok(Err(error)) = ready {
                serve::refuse(io, Why::Gone).await;
                let _ = notes.send(Note::Unreadable(content, error)).await;
            } else if !place.let_in().await {
                teller.tell(Asked::Over).await;
            } else {
                serve::run(frames, io, opened, Arc::clone(&shelf) as _, orders_out, teller).await;
                if let Ok(Err(error)) = tokio::task::spawn_blocking(move || shelf.check()).await {
                    let _ = notes.send(Note::Unreadable(content, error)).await;
                }
            }
            place.linger().await;
        });
        let giver = Giver {
            key,
            user,
            orders,
            task,
            haves: Vec::new(),
            vain: 0,
            manifests: 0,
            heard: now,
            expires_ms,
        };
        offer.givers.streams.insert(stream, giver);
        self.active.insert(content);
    }

    /// On a stream to a taker something has happened.
    pub(super) fn asked(&mut self, stream: StreamId, content: Content, asked: Asked) {
        let now = self.begun.elapsed();
        let peer = Peer(stream.0);
        let is_here = match &asked {
            Asked::Chunk(chunk) => match self.downloads.get(&content) {
                Some(download) => download.has(*chunk),
                None => self.offers.get(&content).is_some_and(|it| *chunk < it.shelf.shape().chunks()),
            },
            _ => true,
        };
        let Some(offer) = self.offers.get_mut(&content) else { return };
        let Some(giver) = offer.givers.streams.get_mut(&stream) else { return };
        if matches!(asked, Asked::Chunk(_) | Asked::Manifest | Asked::Sent(_)) {
            giver.heard = now;
        }
        let goes_on = match asked {
            // It gets another when it comes again.
            Asked::Chunk(_) | Asked::Manifest if giver.expires_ms <= ticket::now_ms() => false,
            Asked::Chunk(chunk) if is_here => {
                offer.givers.uploads(UploadEvent::Request { peer, chunk }, now);
                true
            }
            Asked::Chunk(chunk) => giver.order(Order::Refuse(chunk, Why::NotHere), 1),
            Asked::Cancel(chunk) => {
                offer.givers.uploads(UploadEvent::Cancel { peer, chunk }, now);
                true
            }
            Asked::Manifest => {
                giver.manifests += 1;
                giver.manifests <= MANIFESTS_MAX && giver.order(Order::Manifest, 0)
            }
            Asked::Have(chunks) => {
                let (key, user) = (giver.key, giver.user.clone());
                offer.givers.uploads(UploadEvent::Has { peer, chunks: chunks.clone() }, now);
                self.found_by_calling(content, key, &user, &chunks);
                true
            }
            Asked::Sent(chunk) => {
                giver.tell();
                offer.givers.uploads(UploadEvent::Sent { peer, chunk }, now);
                true
            }
            Asked::Over => false,
        };
        if !goes_on && let Some(offer) = self.offers.get_mut(&content) {
            offer.givers.cut_or_end(stream, now);
        }
        self.see_whether_taken(content);
    }

    /// All streams to this device.
    fn givers_of(&self, key: &[u8; 32]) -> impl Iterator<Item = (Content, StreamId)> {
        self.active.iter().flat_map(move |content| {
            let streams = self.offers.get(content).map(|offer| offer.givers.streams.iter());
            let of_key = streams.into_iter().flatten().filter(move |(_, giver)| giver.key == *key);
            of_key.map(move |(stream, _)| (*content, *stream))
        })
    }

    /// The stream that this task serves, unless it is over.
    pub(super) fn giver_of_task(&self, id: Id) -> Option<(Content, StreamId)> {
        self.active.iter().find_map(|content| {
            let streams = &self.offers.get(content)?.givers.streams;
            let (stream, _) = streams.iter().find(|(_, giver)| giver.task.id() == id)?;
            Some((*content, *stream))
        })
    }

    /// Files that nobody takes are not kept open.
    fn see_whether_taken(&mut self, content: Content) {
        let Some(offer) = self.offers.get_mut(&content).filter(|offer| offer.givers.is_empty()) else {
            return;
        };
        offer.shelf.close();
        offer.givers.uploads = None;
        self.active.remove(&content);
    }

    /// Who takes a file that is downloaded here too tells what it has: it is a source.
    fn found_by_calling(&mut self, content: Content, key: [u8; 32], user: &str, chunks: &[u32]) {
        let now = Instant::now();
        let Some(download) = self.downloads.get_mut(&content) else { return };
        let Some(peer) = download.device_that_called(key, user, self.common.has_relay()) else { return };
        let map = chunks_of(download.shape.chunks(), chunks.iter().copied());
        let effects = download.swarm_event(SwarmEvent::SourceFound(Found { peer, map: Some(map) }), now);
        self.carry_out(content, effects);
    }

    /// Who asks for nothing takes no place.
    pub(super) fn end_idle(&mut self) {
        let now = self.begun.elapsed();
        for content in self.active.clone() {
            let Some(offer) = self.offers.get_mut(&content) else { continue };
            offer.givers.idle(now).into_iter().for_each(|stream| offer.givers.cut_or_end(stream, now));
            self.see_whether_taken(content);
        }
    }

    /// Deadlines of those who wait.
    pub(super) fn tick_givers(&mut self) {
        let now = self.begun.elapsed();
        for content in &self.active {
            if let Some(offer) = self.offers.get_mut(content)
                && offer.givers.deadline().is_some_and(|deadline| deadline <= now)
            {
                offer.givers.ticked = now;
                offer.givers.uploads(UploadEvent::Tick, now);
            }
        }
    }

    /// A blocked user's device: the next time it does not even learn that somebody is here.
    fn shun(&self, key: [u8; 32]) {
        if let Some(port) = self.common.port() {
            port.shun(key);
        }
    }

    /// Nothing is given to this user any more.
    pub(super) fn cut_user(&mut self, user: &str) {
        let now = self.begun.elapsed();
        let mut shunned = Vec::new();
        for content in self.active.clone() {
            let Some(offer) = self.offers.get_mut(&content) else { continue };
            let of_user = |giver: &Giver| super::folded(&giver.user) == user;
            let theirs = offer.givers.streams.iter().filter(|(_, it)| of_user(it));
            let theirs: Vec<_> = theirs.map(|(id, giver)| (*id, giver.key)).collect();
            for (stream, key) in theirs {
                offer.givers.cut(stream, now);
                shunned.push(key);
            }
            self.see_whether_taken(content);
        }
        shunned.into_iter().for_each(|key| self.shun(key));
    }

    /// What is offered is not there any more as it was.
    pub(super) fn unreadable(&mut self, content: Content, wrong: &Wrong) {
        let ended = match wrong.error {
            SourceError::Changed | SourceError::Shortened => Ended::Changed,
            _ => Ended::Gone,
        };
        // It may be shared anew meanwhile, or from another place.
        let is_meant = |offer: &&Offer| offer.own && offer.shelf.is_meant(wrong);
        let Some(offer) = self.offers.get(&content).filter(is_meant) else { return };
        let within = offer.within.clone();
        if offer.itself {
            self.out(Event::ShareEnded { name: offer.name.clone(), id: content.id, why: ended });
        }
        self.withdraw(content);
        // A folder with a file that is not what it was is not that folder any more.
        for folder in within {
            if let Some(offer) = self.offers.get(&folder) {
                self.out(Event::ShareEnded { name: offer.name.clone(), id: folder.id, why: ended });
                self.withdraw(folder);
            }
        }
    }

    /// Offers it no longer, here and for the time to come.
    pub(super) fn withdraw(&mut self, content: Content) {
        if self.offers.get(&content).is_some_and(|offer| offer.own) {
            self.forget(content);
        }
        self.take_away(content);
    }

    /// Offers it no longer, here and now.
    pub(super) fn take_away(&mut self, content: Content) {
        let Some(mut offer) = self.offers.remove(&content) else { return };
        offer.givers.end(Why::Gone);
        offer.shelf.clear();
        self.active.remove(&content);
        self.release(content);
        if offer.folder.is_some() {
            self.withdraw_files_of(content);
        }
        self.see_whether_offering();
    }

    /// Files that were offered as files of this folder alone.
    fn withdraw_files_of(&mut self, folder: Content) {
        let mut alone = Vec::new();
        for (content, offer) in &mut self.offers {
            offer.within.retain(|within| *within != folder);
            if !offer.itself && offer.within.is_empty() {
                alone.push(*content);
            }
        }
        alone.into_iter().for_each(|content| self.withdraw(content));
    }

    /// Others may call while there is something to be had.
    pub(super) fn see_whether_offering(&mut self) {
        let open = self.common.holds && !self.offers.is_empty();
        self.common.door.set_open(open);
        if let Some(port) = self.common.port() {
            port.open(open);
        }
    }
}

impl Givers {
    /// A stream has ended, or is to end.
    fn cut_or_end(&mut self, stream: StreamId, now: Duration) {
        // What the task has left to do, it does by itself.
        if let Some(giver) = self.streams.remove(&stream) {
            drop(giver.orders);
            self.uploads(UploadEvent::Gone { peer: Peer(stream.0) }, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_asks_for_nothing_is_idle_unless_something_is_on_its_way() {
        let mut givers = Givers { uploads: Some(Uploads::new(10, SLOTS)), ..Givers::default() };
        let (mut orders_out, mut tasks) = (Vec::new(), tokio::task::JoinSet::new());
        for stream in 1..=3 {
            let (orders, out) = mpsc::channel(ORDERS);
            orders_out.push(out);
            let (task, user) = (tasks.spawn(async {}), String::new());
            let (key, heard) = ([0; 32], if stream == 2 { IDLE_MAX } else { Duration::ZERO });
            let (haves, vain, manifests, expires_ms) = (Vec::new(), 0, 0, 0);
            let giver = Giver { key, user, orders, task, haves, vain, manifests, heard, expires_ms };
            givers.streams.insert(StreamId(stream), giver);
        }
        givers.uploads(UploadEvent::Request { peer: Peer(3), chunk: 0 }, Duration::ZERO);
        assert_eq!(givers.idle(IDLE_MAX - TICK_MIN), []);
        assert_eq!(givers.idle(IDLE_MAX), [StreamId(1)]);
        givers.uploads(UploadEvent::Sent { peer: Peer(3), chunk: 0 }, IDLE_MAX);
        assert_eq!(givers.idle(IDLE_MAX * 2), [StreamId(1), StreamId(2), StreamId(3)]);
    }
}
