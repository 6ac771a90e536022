//! A session on its connection: how it begins and how it ends. What it does between is in `turn.rs`.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use hobnob_protocol::{
    close::Close,
    limits::FILES_HELD_MAX,
    v1::{ClientFrame, reply::Body as Reply},
};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    handler::{message::SubmitJob, presence},
    hub::{Handle, Mail, Place, Shared, Visit},
    link::{Gone, Link},
    mailbox,
    node::Node,
    relay::Admission,
    rules::{invite::Party, push::Sent, rate::Bucket, stream::Sender},
    security,
    session::{
        door::Entered,
        push::{Push, PushError},
        times::Times,
        wire::Wire,
    },
    store::Ended,
    upkeep,
    writer::Job,
};

/// Requests for private talk and contacts a second, and at once before that counts: each goes on to somebody else.
const PRIVATE_RATE: u32 = 10;
const PRIVATE_BURST: u32 = 64;
/// Words on files that are held, and questions for sources a second, and at once before that counts: all there may be, and again.
const HOLD_RATE: u32 = 50;
const HOLD_BURST: u32 = 2 * FILES_HELD_MAX as u32;
/// Questions a second for which the whole index may have to be looked through, and at once before that counts.
const QUESTION_RATE: u32 = 20;
const QUESTION_BURST: u32 = 100;

/// A session and everything it owns.
pub(crate) struct Live<L> {
    pub(crate) node: Arc<Node>,
    pub(super) wire: Wire<L>,
    pub(crate) place: Place,
    pub(crate) name: Arc<str>,
    pub(crate) background: bool,
    pub(crate) sender: Sender,
    /// The key of the device.
    pub(crate) device: bytes::Bytes,
    pub(super) push: Push,
    pub(crate) shared: Arc<Shared>,
    /// Where the writer sends its answers.
    pub(crate) mailbox: mailbox::Sender<Mail>,
    pub(super) mail: mailbox::Receiver<Mail>,
    /// Submits that wait for the writer, or for what is read with them.
    pub(super) in_flight: usize,
    /// The last of them, by their requests, which the writer does not have yet.
    pub(super) submits: Vec<(u64, Box<dyn Job>)>,
    /// A request that waits until all submits before it are answered, or until stored messages are pushed.
    pub(super) held: Option<ClientFrame>,
    /// Stored messages are pushed; they come before anything that is asked for.
    pub(super) greeted: bool,
    pub(crate) sends: Bucket,
    pub(crate) broadcasts: Bucket,
    pub(crate) private: Bucket,
    pub(crate) holds: Bucket,
    pub(crate) questions: Bucket,
    pub(super) times: Times,
    /// Who wants to know whether the client lives.
    pub(super) probes: Vec<oneshot::Sender<()>>,
    /// What the login is answered with.
    pub(super) opened: Option<(u64, Box<hobnob_protocol::v1::Opened>)>,
    /// The right to use the relay.
    admission: Option<Admission>,
    /// A background session's place.
    _visit: Option<Visit>,
}

/// How it goes on after a step.
pub(super) type Step = std::result::Result<(), Stop>;

/// Why a session's connection ends.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The client is gone.
    Gone,
    /// It is to be closed; the session can be resumed.
    Break(Close),
    /// It is to be closed, and whoever says so has seen to the session.
    Kicked(Close),
    /// The session is over.
    Over(Ended, Close),
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<PushError> for Stop {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Gone => Self::Gone,
            PushError::Store => Self::Break(Close::Internal),
        }
    }
}

impl<L: Link> Live<L> {
    /// Begins a session that has its place in the hub.
    pub(super) fn begin(
        node: Arc<Node>,
        wire: Wire<L>,
        entered: Entered,
        handle: &Handle,
        mail: mailbox::Receiver<Mail>,
    ) -> Self {
        let Entered { logged_in, id, device } = entered;
        let (now, shared) = (Instant::now(), handle.shared.clone());
        let place = logged_in.place;
        for replaced in logged_in.replaced {
            presence::detach(&node, replaced, Close::Replaced);
        }
        let admission = node.relay.as_ref().map(|relay| relay.admit(&device, place.account));
        let limits = node.policy.get().limits();
        let idle_timeout = node.policy.get().idle_timeout.filter(|_| !logged_in.background);
        shared.noted_inbox.store(logged_in.opened.inbox, Ordering::Relaxed);
        let push = Push {
            account: place.account,
            blocks: logged_in.here.blocks,
            inbox: Sent(logged_in.opened.inbox),
            broadcast: Sent(logged_in.opened.broadcast),
            broadcast_floor: logged_in.opened.broadcast,
            hole: logged_in.hole,
            shared: shared.clone(),
        };
        Self {
            place,
            name: logged_in.name.into(),
            background: logged_in.background,
            sender: Sender { account: place.account, outbox: logged_in.outbox },
            device,
            push,
            shared,
            mailbox: handle.mailbox(),
            mail,
            in_flight: 0,
            submits: Vec::new(),
            held: None,
            greeted: logged_in.background,
            sends: Bucket::new(limits.send_rate, limits.send_burst, now),
            broadcasts: Bucket::new(limits.broadcast_rate, limits.broadcast_burst, now),
            private: Bucket::new(PRIVATE_RATE, PRIVATE_BURST, now),
            holds: Bucket::new(HOLD_RATE, HOLD_BURST, now),
            questions: Bucket::new(QUESTION_RATE, QUESTION_BURST, now),
            times: Times::new(now, idle_timeout),
            probes: Vec::new(),
            opened: Some((id, Box::new(logged_in.opened))),
            admission,
            _visit: logged_in.here.visit,
            node,
            wire,
        }
    }

    /// Lives until the connection ends; then sees to the session. Returns what to close the connection with.
    pub(super) async fn run(&mut self) -> Option<Close> {
        let shared = self.shared.clone();
        let stop = tokio::select! {
            biased;
            close = shared.kicked() => match close {
                Close::SlowConsumer | Close::GoingAway => Stop::Break(close),
                close => Stop::Kicked(close),
            },
            Err(stop) = self.live() => stop,
        };
        match stop {
            Stop::Gone => self.break_off(None).await,
            Stop::Break(close) => self.break_off(Some(close)).await,
            Stop::Kicked(close) => {
                if close != Close::Internal {
                    self.leave_relay();
                }
                Some(close)
            }
            Stop::Over(ended, close) => {
                // The client learns of it only now, and has yet to say good-bye to those it talks to over the relay:
                // its right to do that lasts for the grace.
                Box::pin(self.end(ended)).await;
                Some(close)
            }
        }
    }

    /// The session is over, unless it goes on on another connection: nothing is relayed for it from now on. Where
    /// it may come back the admission is only dropped, and lasts for the grace.
    fn leave_relay(&mut self) {
        let goes_on = self.node.hub.present().has_session(self.place.account, self.place.session);
        if let Some(admission) = self.admission.take().filter(|_| !goes_on) {
            admission.end();
        }
    }

    pub(super) async fn close(&mut self, close: Close) {
        self.wire.close(close).await;
    }

    /// Ends the session; if that cannot be written now, upkeep goes on trying. Says whether it was.
    async fn end(&mut self, ended: Ended) -> bool {
        let result = presence::end(&self.node, self.place, ended).await;
        match &result {
            Ok(()) => security::ended(self.from(), &self.name, ended),
            Err(error) => {
                upkeep::failed(error, "a session could not be ended");
                self.node.hub.broken(self.place, Instant::now(), Some(ended));
            }
        }
        result.is_ok()
    }

    /// The connection ends, the session does not: it counts as online for a while.
    async fn break_off(&mut self, close: Option<Close>) -> Option<Close> {
        if !self.background && !self.node.shutdown.is_cancelled() {
            self.follow_idle_timeout();
            let grace = Instant::now() + self.node.policy.get().grace;
            let (until, ended) = match self.times.idle_at() {
                Some(idle) if idle < grace => (idle, Some(Ended::TimedOut)),
                _ => (grace, None),
            };
            self.node.hub.broken(self.place, until, ended);
        }
        close
    }

    /// The idle timeout that counts now, which may have changed.
    pub(super) fn follow_idle_timeout(&mut self) {
        let idle_timeout = self.node.policy.get().idle_timeout;
        self.times.set_idle_timeout(idle_timeout.filter(|_| !self.background));
    }

    // ---------------------------------------------------------------- for the dispatch

    /// The person did something.
    pub(crate) fn active(&mut self) {
        self.times.active(Instant::now());
    }

    /// The rates that count now, which may have changed since the last submit.
    pub(crate) fn follow_rates(&mut self) {
        let limits = self.node.policy.get().limits();
        self.sends.set(limits.send_rate, limits.send_burst);
        self.broadcasts.set(limits.broadcast_rate, limits.broadcast_burst);
    }

    /// The address it is connected from.
    pub(crate) fn from(&self) -> Option<IpAddr> {
        self.shared.origin().map(|(from, _)| from)
    }

    /// This session, as a peer knows it.
    pub(crate) fn party(&self) -> Party {
        let Place { account, session, .. } = self.place;
        Party { account, session, name: self.name.clone(), key: self.device.clone() }
    }

    /// Lets a submit go to the writer, with the others that were read with it.
    pub(crate) fn submit(&mut self, job: SubmitJob) {
        self.in_flight += 1;
        self.submits.push((job.id, Box::new(job)));
    }

    /// Reads nothing for a while: the client is faster than it was told to be.
    pub(crate) fn pause_reading(&mut self, wait: Duration) {
        if !wait.is_zero() {
            self.times.pause(Instant::now() + wait);
        }
    }

    /// Starts a stream over.
    pub(crate) fn rewind(&mut self, stream: crate::store::StreamId, after: u64) {
        self.push.rewind(stream, after);
    }

    /// The client has noted broadcast up to here, though never more than it was sent.
    pub(crate) fn note_broadcast(&self, seq: u64) {
        let sent = self.shared.sent_broadcast.load(Ordering::Relaxed);
        self.shared.noted_broadcast.fetch_max(seq.min(sent), Ordering::Relaxed);
    }

    /// Ends the session after its last reply.
    pub(crate) async fn log_out(&mut self, id: u64) -> Stop {
        if !self.end(Ended::LoggedOut).await {
            return Stop::Kicked(Close::Internal);
        }
        match self.wire.reply(id, Reply::Done(hobnob_protocol::v1::Done {})).await {
            Ok(()) => Stop::Kicked(Close::LoggedOut),
            // Nobody is left to be told, but the session is over all the same.
            Err(Gone) => Stop::Kicked(Close::LoggedOut),
        }
    }
}
