//! Links that look at what passes, at both ends of a connection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hobnob_client::link::{BoxLink, Link as ClientLink, LinkError};
use hobnob_protocol::close::Close;
use hobnob_protocol::limits::FRAME_BYTES_MAX;
use hobnob_protocol::v1::submitted::Outcome;
use hobnob_protocol::v1::{ClientFrame, ServerFrame, Stream, client_frame, reply, server_frame};
use hobnob_protocol::{codec, v1};
use hobnob_server::link::{Gone, Incoming, Link as ServerLink};

use crate::chance::Chance;
use crate::disk::{Disk, text};
use crate::ledger::Kind;
use crate::sim::Sim;

/// Sees what the server feeds; may answer in the client's place.
pub(crate) trait ServerTap: Send {
    /// A frame is fed. What comes back is received as if the client had sent it.
    fn fed(&mut self, frame: &ServerFrame) -> Option<ClientFrame>;
}

/// The server's end with eyes.
pub(crate) struct Watched<L> {
    link: L,
    order: Order,
    tap: Option<Box<dyn ServerTap>>,
    injected: VecDeque<Bytes>,
}

impl<L> Watched<L> {
    pub(crate) fn new(link: L, order: Order, tap: Option<Box<dyn ServerTap>>) -> Self {
        Self { link, order, tap, injected: VecDeque::new() }
    }
}

impl<L: ServerLink> ServerLink for Watched<L> {
    async fn recv(&mut self) -> Incoming {
        if let Some(frame) = self.injected.pop_front() {
            return Incoming::Frame(frame);
        }
        let incoming = self.link.recv().await;
        if let Incoming::Frame(frame) = &incoming
            && let Ok(frame) = codec::decode_client(frame.clone(), FRAME_BYTES_MAX)
        {
            self.order.received(&frame);
        }
        incoming
    }

    async fn feed(&mut self, frame: Bytes) -> Result<(), Gone> {
        if let Ok(decoded) = codec::decode_server(frame.clone(), FRAME_BYTES_MAX) {
            self.order.fed(&decoded);
            let answer = self.tap.as_mut().and_then(|tap| tap.fed(&decoded));
            self.injected.extend(answer.map(|answer| codec::encode(&answer)));
        }
        self.link.feed(frame).await
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        self.link.flush().await
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        self.link.ping().await
    }

    async fn close(&mut self, close: Close) {
        self.link.close(close).await;
    }
}

/// Checks that entry n+1 is pushed on a connection only after n.
pub(crate) struct Order {
    sim: Arc<Sim>,
    connection: u64,
    sent: BTreeMap<i32, u64>,
}

impl Order {
    pub(crate) fn new(sim: &Arc<Sim>, connection: u64) -> Self {
        Self { sim: sim.clone(), connection, sent: BTreeMap::new() }
    }

    fn received(&mut self, frame: &ClientFrame) {
        if let Some(client_frame::Body::Fetch(fetch)) = &frame.body
            && let Some(sent) = self.sent.get_mut(&fetch.stream)
        {
            *sent = (*sent).min(fetch.after);
        }
    }

    fn fed(&mut self, frame: &ServerFrame) {
        match &frame.body {
            Some(server_frame::Body::Reply(v1::Reply {
                body: Some(reply::Body::Opened(opened)), ..
            })) => {
                self.sent.insert(Stream::Inbox.into(), opened.inbox);
                self.sent.insert(Stream::Broadcast.into(), opened.broadcast);
            }
            Some(server_frame::Body::Entry(entry)) => self.moves(entry.stream, entry.seq, entry.seq),
            Some(server_frame::Body::Skip(skip)) => {
                let first = self.sent.get(&skip.stream).map_or(0, |sent| sent + 1);
                self.moves(skip.stream, first, skip.upto);
            }
            Some(server_frame::Body::Truncated(gone)) => self.moves(gone.stream, gone.from, gone.to),
            _ => {}
        }
    }

    /// `first..=last` of a stream is told.
    fn moves(&mut self, stream: i32, first: u64, last: u64) {
        let sent = self.sent.get(&stream).copied();
        if sent.is_none_or(|sent| first != sent + 1 || last < first) {
            let what =
                format!("{first}..={last} of stream {stream} follows {sent:?} on #{}", self.connection);
            self.sim.ledger.problem(Kind::Numbers, what);
        }
        self.sent.insert(stream, last);
    }
}

/// Sees, and may change, what a client receives.
pub(crate) trait ClientTap: Send {
    /// A frame comes in; `None`: it is lost.
    fn receives(&mut self, frame: ServerFrame) -> Option<ServerFrame>;
}

/// A client's end with eyes.
pub(crate) struct Tapped {
    link: BoxLink,
    honesty: Honesty,
    tap: Option<Box<dyn ClientTap>>,
}

impl Tapped {
    pub(crate) fn new(link: BoxLink, honesty: Honesty, tap: Option<Box<dyn ClientTap>>) -> Self {
        Self { link, honesty, tap }
    }

    /// What becomes of a frame that came in.
    fn take(&mut self, bytes: Bytes) -> Option<Bytes> {
        let Ok(frame) = codec::decode_server(bytes.clone(), FRAME_BYTES_MAX) else { return Some(bytes) };
        self.honesty.receives(&frame);
        match &mut self.tap {
            Some(tap) => tap.receives(frame).map(|frame| codec::encode(&frame)),
            None => Some(bytes),
        }
    }
}

impl ClientLink for Tapped {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, LinkError>> {
        loop {
            match ready!(self.link.poll_recv(cx)) {
                Ok(Some(bytes)) => {
                    if let Some(bytes) = self.take(bytes) {
                        return Poll::Ready(Ok(Some(bytes)));
                    }
                }
                other => return Poll::Ready(other),
            }
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.link.poll_ready(cx)
    }

    fn feed(&mut self, frame: Bytes) -> Result<(), LinkError> {
        if let Ok(frame) = codec::decode_client(frame.clone(), FRAME_BYTES_MAX) {
            self.honesty.sends(frame);
        }
        self.link.feed(frame)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.link.poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.link.poll_close(cx)
    }
}

/// Checks that a client sends only what is in its outbox and says to have only what is noted, and writes down the
/// server's answers.
pub(crate) struct Honesty {
    sim: Arc<Sim>,
    disk: Arc<Disk>,
    under_way: BTreeMap<u64, String>,
}

impl Honesty {
    pub(crate) fn new(sim: &Arc<Sim>, disk: &Arc<Disk>) -> Self {
        Self { sim: sim.clone(), disk: disk.clone(), under_way: BTreeMap::new() }
    }

    fn sends(&mut self, frame: ClientFrame) {
        match frame.body {
            Some(client_frame::Body::Submit(submit)) if !text(&submit).is_empty() => {
                self.sim.ledger.sent(text(&submit));
                self.under_way.insert(frame.id, text(&submit).to_owned());
            }
            Some(client_frame::Body::Received(received)) => {
                let cursor = self.disk.cursor();
                if received.inbox > cursor.inbox || received.broadcast > cursor.broadcast {
                    let what = format!("a client says {received:?} and has noted {cursor:?}");
                    self.sim.ledger.problem(Kind::Numbers, what);
                }
            }
            _ => {}
        }
    }

    fn receives(&mut self, frame: &ServerFrame) {
        let Some(server_frame::Body::Reply(reply)) = &frame.body else { return };
        let Some(reply::Body::Submitted(submitted)) = &reply.body else { return };
        let Some(text) = self.under_way.remove(&reply.id) else { return };
        if !matches!(submitted.outcome(), Outcome::Busy | Outcome::Stale | Outcome::Gap) {
            self.sim.ledger.judged(&text, submitted.outcome());
        }
    }
}

/// Loses entries on the way, as no real connection does: the client has to see the gap and ask.
pub(crate) struct LosesEntries {
    sim: Arc<Sim>,
    chance: Chance,
    /// Set once something was lost: what comes last cannot be missed, so the connection has to go in the end.
    tainted: Arc<AtomicBool>,
    /// Streams of which an entry was lost and none came since. Skips do not say where they begin, so that they would
    /// hide the gap: they are lost as well.
    open: BTreeSet<i32>,
}

impl LosesEntries {
    pub(crate) fn new(sim: &Arc<Sim>, number: u64, tainted: Arc<AtomicBool>) -> Self {
        let chance = Chance::new(sim.seed, &format!("losses of {number}"));
        Self { sim: sim.clone(), chance, tainted, open: BTreeSet::new() }
    }
}

impl ClientTap for LosesEntries {
    fn receives(&mut self, frame: ServerFrame) -> Option<ServerFrame> {
        match &frame.body {
            Some(server_frame::Body::Entry(entry)) => {
                if !self.sim.is_calm() && self.chance.per_mille(self.sim.mood.lost_entry) {
                    self.sim.count("entry lost on a living connection");
                    self.tainted.store(true, Ordering::Relaxed);
                    self.open.insert(entry.stream);
                    return None;
                }
                self.open.remove(&entry.stream);
            }
            Some(server_frame::Body::Skip(skip)) if self.open.contains(&skip.stream) => return None,
            _ => {}
        }
        Some(frame)
    }
}
