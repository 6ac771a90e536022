//! Pushing streams to one connection: from memory as long as nothing is missing, else from the store.

use std::sync::{Arc, atomic::Ordering};

use hobnob_protocol::{
    limits::{MAILBOX_FRAMES, OUT_BYTES_MAX, TEXT_BYTES_MAX},
    v1::{ServerFrame, Skip, Truncated, server_frame::Body},
};

use crate::{
    handler::message::{entry_frame, wire_stream},
    hub::{Blocks, Committed, Shared},
    link::{Gone, Link},
    node::Node,
    rules::push::{Offer, Sent},
    session::wire::Wire,
    store::{AccountId, Entry, StreamId},
};

/// How far each stream is pushed, and what is not for this user.
pub(super) struct Push {
    pub(super) account: AccountId,
    pub(super) blocks: Arc<Blocks>,
    pub(super) inbox: Sent,
    pub(super) broadcast: Sent,
    /// Broadcast entries up to here are from before the session.
    pub(super) broadcast_floor: u64,
    /// Broadcast entries `from+1..=to` were sent while the session was offline.
    pub(super) hole: Option<(u64, u64)>,
    pub(super) shared: Arc<Shared>,
}

/// Why a stream could not be read on.
pub(super) enum PushError {
    Gone,
    Store,
}

impl From<Gone> for PushError {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl Push {
    fn sent(&mut self, stream: StreamId) -> &mut Sent {
        match stream {
            StreamId::Inbox(_) => &mut self.inbox,
            StreamId::Broadcast => &mut self.broadcast,
        }
    }

    fn note(&mut self, stream: StreamId, seq: u64) {
        self.sent(stream).0 = seq;
        let shared = match stream {
            StreamId::Inbox(_) => &self.shared.sent_inbox,
            StreamId::Broadcast => &self.shared.sent_broadcast,
        };
        shared.store(seq, Ordering::Relaxed);
    }

    /// Whether the user is to see an entry. Asked at the moment of delivery, so that nothing of a user who is
    /// blocked by now goes out.
    fn shows(&self, stream: StreamId, seq: u64, sender: AccountId) -> bool {
        let in_hole = self.hole.is_some_and(|(from, to)| from < seq && seq <= to);
        let own = stream == StreamId::Broadcast && (sender == self.account || in_hole);
        !own && !self.blocks.contains(sender)
    }

    /// Pushes an entry that was just committed, if it is the next.
    pub(super) async fn offer<L: Link>(&mut self, wire: &mut Wire<L>, entry: Committed) -> Result<(), Gone> {
        match self.sent(entry.stream).offer(entry.seq) {
            Offer::Old => return Ok(()),
            Offer::Missing => {
                self.shared.behind.store(true, Ordering::Release);
                return Ok(());
            }
            Offer::Push => self.note(entry.stream, entry.seq),
        }
        if self.shows(entry.stream, entry.seq, entry.sender) {
            wire.send_encoded(entry.frame).await
        } else {
            Box::pin(skip(wire, entry.stream, entry.seq)).await
        }
    }

    /// Starts a stream over from `after`, as the client asks.
    pub(super) fn rewind(&mut self, stream: StreamId, after: u64) {
        let floor = if stream == StreamId::Broadcast { self.broadcast_floor } else { 0 };
        let sent = self.sent(stream).0.min(after.max(floor));
        self.note(stream, sent);
        self.shared.behind.store(true, Ordering::Release);
    }

    /// Whether something is missing that the store has.
    pub(super) fn is_behind(&self) -> bool {
        self.shared.behind.load(Ordering::Acquire)
    }

    /// Reads one page of what is missing from the store, at the pace of the connection.
    pub(super) async fn catch_up<L: Link>(
        &mut self,
        node: &Node,
        wire: &mut Wire<L>,
    ) -> Result<(), PushError> {
        // What arrives from now on marks anew.
        self.shared.behind.store(false, Ordering::Release);
        let inbox = StreamId::Inbox(self.account);
        if self.page(node, wire, inbox).await? || self.page(node, wire, StreamId::Broadcast).await? {
            self.shared.behind.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Pushes one page; `false` when there was none.
    async fn page<L: Link>(
        &mut self,
        node: &Node,
        wire: &mut Wire<L>,
        stream: StreamId,
    ) -> Result<bool, PushError> {
        let after = self.sent(stream).0;
        let page = node.reader.run(move |store| {
            // The head first: what is at or below it and is not found after that is gone.
            let head = store.heads(&[stream])?.first().copied().unwrap_or(0);
            let entries = store.entries(stream, after, MAILBOX_FRAMES, OUT_BYTES_MAX)?;
            let senders: Vec<_> = entries.iter().map(|entry| entry.sender.unwrap_or(AccountId(0))).collect();
            let names = store.names(&senders)?;
            Ok((head, entries, names))
        });
        let (head, entries, names) = page.await.map_err(|error| {
            tracing::error!(%error, "a stream could not be read");
            PushError::Store
        })?;
        let Some(last) = entries.last().map(|entry| entry.seq) else {
            return Ok(self.pass_over(wire, stream, head).await?);
        };
        let mut skipped = None;
        for (entry, name) in entries.iter().zip(&names) {
            self.push_stored(wire, stream, entry, name, &mut skipped).await?;
        }
        if let Some(upto) = skipped {
            skip(wire, stream, upto).await?;
        }
        wire.flush().await?;
        self.note(stream, last);
        Ok(true)
    }

    /// The rest of a stream is gone, for example what was sent to all while only this session was offline.
    async fn pass_over<L: Link>(
        &mut self,
        wire: &mut Wire<L>,
        stream: StreamId,
        head: u64,
    ) -> Result<bool, Gone> {
        let due = self.sent(stream).0 + 1;
        if head >= due {
            truncated(wire, stream, due, head).await?;
            self.note(stream, head);
        }
        Ok(head >= due)
    }

    async fn push_stored<L: Link>(
        &mut self,
        wire: &mut Wire<L>,
        stream: StreamId,
        entry: &Entry,
        name: &str,
        skipped: &mut Option<u64>,
    ) -> Result<(), Gone> {
        let due = self.sent(stream).0 + 1;
        if entry.seq > due {
            if let Some(upto) = skipped.take() {
                skip(wire, stream, upto).await?;
            }
            truncated(wire, stream, due, entry.seq - 1).await?;
        }
        self.note(stream, entry.seq);
        if !entry.sender.is_some_and(|sender| self.shows(stream, entry.seq, sender)) {
            *skipped = Some(entry.seq);
            return Ok(());
        }
        if let Some(upto) = skipped.take() {
            skip(wire, stream, upto).await?;
        }
        let Some(text) = readable(&entry.text) else {
            tracing::error!(?stream, seq = entry.seq, "an entry is damaged and is passed over");
            return truncated(wire, stream, entry.seq, entry.seq).await;
        };
        wire.send_encoded(entry_frame(stream, entry.seq, name, text, entry.sent_ms)).await
    }
}

/// The text of an entry, unless it is none that was ever accepted: no frame would hold it, or no client would take it.
fn readable(text: &[u8]) -> Option<&str> {
    str::from_utf8(text).ok().filter(|text| text.len() <= TEXT_BYTES_MAX)
}

async fn skip<L: Link>(wire: &mut Wire<L>, stream: StreamId, upto: u64) -> Result<(), Gone> {
    let skip = Skip { stream: wire_stream(stream) as i32, upto };
    wire.send(&ServerFrame { body: Some(Body::Skip(skip)) }).await
}

async fn truncated<L: Link>(wire: &mut Wire<L>, stream: StreamId, from: u64, to: u64) -> Result<(), Gone> {
    let truncated = Truncated { stream: wire_stream(stream) as i32, from, to };
    wire.send(&ServerFrame { body: Some(Body::Truncated(truncated)) }).await
}
