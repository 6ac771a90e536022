//! A connection in memory: frames take their time, keep their order, and are lost when it is cut.

mod client;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hobnob_protocol::close::Close;
use hobnob_server::link::{Gone, Incoming, Link as ServerLink};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, PollSender, WaitForCancellationFutureOwned};

use crate::chance::Chance;
use crate::sim::Sim;

/// Frames that an end keeps before it writes.
const BUFFER_FRAMES: usize = 16;

/// What travels.
#[derive(Debug)]
enum Payload {
    Frame(Bytes),
    Ping,
    Pong,
    Close(Option<Close>),
}

/// The fate of one connection, known to both ends and to whoever cuts it.
pub(crate) struct Fate {
    cut: CancellationToken,
    /// Whatever travels from now on vanishes, and nobody is told.
    silent: AtomicBool,
    /// Frames until it breaks by itself.
    frames_left: AtomicU64,
    breaks_silently: bool,
    chance: Chance,
    sim: Arc<Sim>,
}

impl Fate {
    pub(crate) fn new(sim: &Arc<Sim>, number: u64) -> Arc<Self> {
        let chance = Chance::new(sim.seed, &format!("connection {number}"));
        let doomed = !sim.is_calm() && chance.per_mille(sim.mood.doomed);
        let frames_left = if doomed { chance.within(1..=60) } else { u64::MAX };
        let breaks_silently = chance.per_mille(sim.mood.silent);
        Arc::new(Self {
            cut: CancellationToken::new(),
            silent: AtomicBool::new(false),
            frames_left: AtomicU64::new(frames_left),
            breaks_silently,
            chance,
            sim: sim.clone(),
        })
    }

    /// Both ends notice at once; what is under way is lost.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }

    /// Nobody notices; what is under way is lost.
    pub(crate) fn silence(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// Whether the next frame arrives.
    fn delivers(&self) -> bool {
        if self.is_silent() || self.cut.is_cancelled() {
            return false;
        }
        let left = self.frames_left.load(Ordering::Relaxed);
        if left == u64::MAX || self.sim.is_calm() {
            return true;
        }
        self.frames_left.store(left - 1, Ordering::Relaxed);
        if left > 1 {
            return true;
        }
        if self.breaks_silently {
            self.sim.count("connection gone silent");
            self.silence();
        } else {
            self.sim.count("connection cut at a frame");
            self.cut();
        }
        false
    }

    fn delay(&self) -> Duration {
        if self.sim.is_calm() {
            return self.chance.ms(0..=3);
        }
        match self.chance.next() % 1000 {
            roll if roll < self.sim.mood.stalled => {
                self.sim.count("frame stalled");
                self.chance.ms(200..=3000)
            }
            roll if roll < 150 => self.chance.ms(5..=60),
            _ => self.chance.ms(0..=5),
        }
    }
}

/// Where frames go in.
struct Outbound {
    fate: Arc<Fate>,
    sender: PollSender<(Instant, Payload)>,
    last_at: Instant,
    buffer: VecDeque<Payload>,
}

impl Outbound {
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        while !self.buffer.is_empty() {
            if self.fate.is_silent() {
                self.buffer.clear();
                break;
            }
            if self.fate.cut.is_cancelled() || ready!(self.sender.poll_reserve(cx)).is_err() {
                return Poll::Ready(Err(Gone));
            }
            let Some(payload) = self.buffer.pop_front() else { break };
            self.last_at = self.last_at.max(Instant::now() + self.fate.delay());
            if self.sender.send_item((self.last_at, payload)).is_err() {
                return Poll::Ready(Err(Gone));
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Where frames come out.
struct Inbound {
    fate: Arc<Fate>,
    receiver: mpsc::Receiver<(Instant, Payload)>,
    next: Option<Payload>,
    due: Pin<Box<Sleep>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    over: bool,
}

impl Inbound {
    /// `None`: nothing follows.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Payload>> {
        if self.over || self.cut.as_mut().poll(cx).is_ready() {
            self.over = true;
            return Poll::Ready(None);
        }
        loop {
            if self.next.is_none() {
                match ready!(self.receiver.poll_recv(cx)) {
                    Some((at, payload)) => {
                        self.due.as_mut().reset(at);
                        self.next = Some(payload);
                    }
                    // The end of the other side travels like anything else.
                    None if self.fate.is_silent() => return Poll::Pending,
                    None => {
                        self.over = true;
                        return Poll::Ready(None);
                    }
                }
            }
            ready!(self.due.as_mut().poll(cx));
            let payload = self.next.take();
            if self.fate.delivers() {
                self.over = matches!(payload, Some(Payload::Close(_)));
                return Poll::Ready(payload);
            }
            if self.fate.cut.is_cancelled() {
                self.over = true;
                return Poll::Ready(None);
            }
        }
    }
}

/// One end.
struct End {
    inbound: Inbound,
    outbound: Outbound,
}

/// The server's end.
pub(crate) struct ServerEnd(End);

/// The client's end.
pub(crate) struct ClientEnd {
    end: End,
    trace: u64,
}

/// A new connection.
pub(crate) fn connection(fate: &Arc<Fate>, number: u64) -> (ServerEnd, ClientEnd) {
    let (up_in, up_out) = direction(fate);
    let (down_in, down_out) = direction(fate);
    let server = ServerEnd(End { inbound: up_out, outbound: down_in });
    (server, ClientEnd { end: End { inbound: down_out, outbound: up_in }, trace: number })
}

fn direction(fate: &Arc<Fate>) -> (Outbound, Inbound) {
    let frames = fate.chance.within(8..=64) as usize;
    let (sender, receiver) = mpsc::channel(frames);
    let now = Instant::now();
    let outbound = Outbound {
        fate: fate.clone(),
        sender: PollSender::new(sender),
        last_at: now,
        buffer: VecDeque::new(),
    };
    let inbound = Inbound {
        fate: fate.clone(),
        receiver,
        next: None,
        due: Box::pin(sleep_until(now)),
        cut: Box::pin(fate.cut.clone().cancelled_owned()),
        over: false,
    };
    (outbound, inbound)
}

impl ServerEnd {
    async fn push(&mut self, payload: Payload) -> Result<(), Gone> {
        self.0.outbound.buffer.push_back(payload);
        if self.0.outbound.buffer.len() < BUFFER_FRAMES { Ok(()) } else { self.flush().await }
    }
}

impl ServerLink for ServerEnd {
    async fn recv(&mut self) -> Incoming {
        match std::future::poll_fn(|cx| self.0.inbound.poll(cx)).await {
            Some(Payload::Frame(frame)) => Incoming::Frame(frame),
            Some(Payload::Ping | Payload::Pong) => Incoming::Alive,
            Some(Payload::Close(_)) | None => Incoming::Gone,
        }
    }

    async fn feed(&mut self, frame: Bytes) -> Result<(), Gone> {
        self.push(Payload::Frame(frame)).await
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        std::future::poll_fn(|cx| self.0.outbound.poll_flush(cx)).await
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        self.push(Payload::Ping).await?;
        self.flush().await
    }

    async fn close(&mut self, close: Close) {
        self.0.outbound.buffer.push_back(Payload::Close(Some(close)));
        // A client that takes nothing is left to itself.
        let _ = self.flush().await;
    }
}
