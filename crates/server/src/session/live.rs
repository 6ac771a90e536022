//! A session on its connection.
//!
//! The loop waits for one of: being kicked, answers of the writer, mail from the hub, a frame, the timer. It then
//! takes whatever else is there, and writes once. Submits go to the writer without waiting; anything else is
//! held until all of them are answered, so that requests take effect and are answered in the order sent.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::FutureExt;
use hobnob_protocol::{
    close::Close,
    limits::{FILES_HELD_MAX, FRAME_BYTES_MAX, PING_PERIOD, PONG_TIMEOUT},
    v1::{ClientFrame, reply::Body as Reply},
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

use crate::{
    dispatch,
    handler::{message::Ack, presence, private},
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
        wire::{Input, Wire},
    },
    store::Ended,
};

/// Submits of one session that wait for the writer; a client keeps to less.
const IN_FLIGHT_MAX: usize = 64;
/// Things taken from one source before the others get their turn.
const TURN: usize = 64;
/// How long a drain waits for answers of the writer.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
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
    wire: Wire<L>,
    pub(crate) place: Place,
    pub(crate) name: Arc<str>,
    pub(crate) background: bool,
    pub(crate) sender: Sender,
    /// The key of the device.
    pub(crate) device: bytes::Bytes,
    push: Push,
    shared: Arc<Shared>,
    mail: mailbox::Receiver<Mail>,
    pub(crate) acks_in: mailbox::Sender<Ack>,
    acks: mailbox::Receiver<Ack>,
    in_flight: usize,
    /// A request that waits until all submits before it are answered, or until stored messages are pushed.
    held: Option<ClientFrame>,
    /// Stored messages are pushed; they come before anything that is asked for.
    greeted: bool,
    pub(crate) sends: Bucket,
    pub(crate) broadcasts: Bucket,
    pub(crate) private: Bucket,
    pub(crate) holds: Bucket,
    pub(crate) questions: Bucket,
    /// Nothing is read before this.
    read_at: Instant,
    last_activity: Instant,
    /// When the next ping is due. Clients rely on hearing something that often.
    ping_at: Instant,
    /// A ping without any sign of life since.
    pinged: Option<Instant>,
    probes: Vec<oneshot::Sender<()>>,
    opened: Option<(u64, Box<hobnob_protocol::v1::Opened>)>,
    /// The right to use the relay.
    admission: Option<Admission>,
    /// A background session's place.
    _visit: Option<Visit>,
}

/// How it goes on after a step.
type Step = std::result::Result<(), Stop>;

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
    /// Takes the session's place in the hub.
    pub(super) fn begin(
        node: Arc<Node>,
        wire: Wire<L>,
        entered: Entered,
        handle: Handle,
        mail: mailbox::Receiver<Mail>,
    ) -> Self {
        let Entered { logged_in, id, device } = entered;
        let (now, shared) = (Instant::now(), handle.shared.clone());
        let place = logged_in.place;
        let (blocks, visit) = if logged_in.background {
            (Arc::default(), Some(node.hub.visit(place, handle)))
        } else {
            (node.hub.attach(place, &logged_in.name, logged_in.blocked, handle), None)
        };
        for replaced in logged_in.replaced {
            presence::detach(&node, replaced, Close::Replaced);
        }
        let admission = node.relay.as_ref().map(|relay| relay.admit(&device, place.account));
        let limits = node.policy.get().limits();
        let (acks_in, acks) = mailbox::bounded(IN_FLIGHT_MAX);
        let push = Push {
            account: place.account,
            blocks,
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
            mail,
            acks_in,
            acks,
            in_flight: 0,
            held: None,
            greeted: logged_in.background,
            sends: Bucket::new(limits.send_rate, limits.send_burst, now),
            broadcasts: Bucket::new(limits.broadcast_rate, limits.broadcast_burst, now),
            private: Bucket::new(PRIVATE_RATE, PRIVATE_BURST, now),
            holds: Bucket::new(HOLD_RATE, HOLD_BURST, now),
            questions: Bucket::new(QUESTION_RATE, QUESTION_BURST, now),
            read_at: now,
            last_activity: now,
            ping_at: now + PING_PERIOD,
            pinged: None,
            probes: Vec::new(),
            opened: Some((id, Box::new(logged_in.opened))),
            admission,
            _visit: visit,
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
                self.end(ended).await;
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
        security::ended(self.from(), &self.name, ended);
        if let Err(error) = &result {
            tracing::error!(%error, "a session could not be ended");
            self.node.hub.broken(self.place, Instant::now(), Some(ended));
        }
        result.is_ok()
    }

    /// The connection ends, the session does not: it counts as online for a while.
    async fn break_off(&mut self, close: Option<Close>) -> Option<Close> {
        if !self.background && !self.node.shutdown.is_cancelled() {
            let grace = Instant::now() + self.node.policy.get().grace;
            let (until, ended) = match self.idle_at() {
                Some(idle) if idle < grace => (idle, Some(Ended::TimedOut)),
                _ => (grace, None),
            };
            self.node.hub.broken(self.place, until, ended);
        }
        close
    }

    async fn live(&mut self) -> std::result::Result<(), Stop> {
        let (id, opened) = self.opened.take().expect("a session lives once");
        self.wire.reply(id, Reply::Opened(*opened)).await?;
        self.wire.flush().await?;
        self.push.begin();
        self.confirm().await?;
        loop {
            if self.push.is_behind() && !self.background {
                self.catch_up().await?;
                if !self.greeted && !self.push.is_behind() {
                    self.greeted = true;
                    self.tell_private().await?;
                }
            } else {
                self.step().await?;
            }
            self.drain_queues().await?;
            self.wire.flush().await?;
        }
    }

    /// Looks once more, now that the hub knows the session: whatever ended it or added a block while it was
    /// on its way there did not find it.
    async fn confirm(&mut self) -> Step {
        let Place { account, session, generation } = self.place;
        let internal = |_| Stop::Break(Close::Internal);
        let row = self.node.writer.run(move |tx| tx.session(session)).await.map_err(internal)?;
        // A row is gone with its account.
        let ended = row.as_ref().map_or(Some(Ended::Kicked), |row| row.ended);
        if let Some(ended) = ended {
            presence::detach(&self.node, self.place, presence::close(ended));
            return Err(Stop::Kicked(presence::close(ended)));
        }
        if self.background {
            return Ok(());
        }
        if row.is_some_and(|row| row.generation != generation) {
            return Err(Stop::Kicked(Close::Replaced));
        }
        let blocked = self.node.reader.run(move |store| store.blocks_of(account)).await.map_err(internal)?;
        self.node.hub.add_blocks(account, &blocked);
        self.shared.behind.store(true, Ordering::Release);
        Ok(())
    }

    /// Says what stands of private talk. Straight to the client: however much it is, its mailbox keeps its room.
    async fn tell_private(&mut self) -> Step {
        for frame in private::arrived(&self.node, self.place) {
            self.wire.send_encoded(frame).await?;
        }
        Ok(())
    }

    /// Pushes a page of what waits in the store, between two looks at everything else.
    async fn catch_up(&mut self) -> Step {
        if self.node.shutdown.is_cancelled() {
            return self.drain().await;
        }
        if self.next_deadline() <= Instant::now() {
            self.tick().await?;
        }
        Ok(self.push.catch_up(&self.node, &mut self.wire).await?)
    }

    /// Whether the session takes frames. It does not while it has more than it can work off itself.
    fn reads(&self) -> bool {
        self.held.is_none() && self.in_flight < IN_FLIGHT_MAX && self.read_at <= Instant::now()
    }

    /// Waits for one thing and deals with it.
    async fn step(&mut self) -> Step {
        let may_read = self.held.is_none() && self.in_flight < IN_FLIGHT_MAX;
        let (read_at, deadline) = (self.read_at, self.next_deadline());
        let wire = &mut self.wire;
        let read = async {
            if read_at > Instant::now() {
                sleep_until(read_at).await;
            }
            wire.recv(FRAME_BYTES_MAX).await
        };
        tokio::select! {
            biased;
            () = self.node.shutdown.cancelled() => self.drain().await,
            ack = self.acks.recv() => self.ack(ack).await,
            mail = self.mail.recv() => self.mail(mail).await,
            input = read, if may_read => self.input(input).await,
            () = sleep_until(deadline) => self.tick().await,
        }
    }

    /// Takes what has come meanwhile, so that it is written together.
    async fn drain_queues(&mut self) -> Step {
        for _ in 0..TURN {
            let Some(ack) = self.acks.try_recv() else { break };
            self.ack(ack).await?;
        }
        for _ in 0..TURN {
            let Some(mail) = self.mail.try_recv() else { break };
            self.mail(mail).await?;
        }
        for _ in 0..TURN {
            if !self.reads() {
                break;
            }
            let Some(input) = self.wire.recv(FRAME_BYTES_MAX).now_or_never() else { break };
            self.input(input).await?;
        }
        if self.greeted
            && self.in_flight == 0
            && let Some(frame) = self.held.take()
        {
            self.frame(frame).await?;
        }
        Ok(())
    }

    async fn input(&mut self, input: Input) -> Step {
        self.pinged = None;
        match input {
            Input::Alive => {
                for probe in self.probes.drain(..) {
                    // Who asked may have stopped waiting.
                    let _ = probe.send(());
                }
                Ok(())
            }
            Input::Frame(frame) => self.frame(frame).await,
            Input::Bad(close) => Err(Stop::Break(close)),
            Input::Gone => Err(Stop::Gone),
        }
    }

    async fn frame(&mut self, frame: ClientFrame) -> Step {
        if !self.greeted || dispatch::must_wait(&frame) && self.in_flight > 0 {
            self.held = Some(frame);
            return Ok(());
        }
        if let Some((id, body)) = dispatch::dispatch(self, frame).await? {
            self.wire.reply(id, body).await?;
        }
        Ok(())
    }

    async fn ack(&mut self, ack: Ack) -> Step {
        self.in_flight -= 1;
        Ok(self.wire.reply(ack.id, Reply::Submitted(ack.submitted)).await?)
    }

    async fn mail(&mut self, mail: Mail) -> Step {
        match mail {
            Mail::Entry(entry) => {
                self.shared.mail_bytes.fetch_sub(entry.frame.len(), Ordering::Relaxed);
                self.push.offer(&mut self.wire, entry).await?;
            }
            Mail::Frame(frame) => self.wire.send_encoded(frame).await?,
            Mail::LookAgain => {}
            // While the session itself does not read, an answer could not be seen; its writes go through.
            Mail::Probe(probe) if !self.reads() => drop(probe.send(())),
            Mail::Probe(probe) => {
                self.probes.push(probe);
                self.wire.ping().await?;
            }
        }
        Ok(())
    }

    /// The server stops: what was taken is answered, then the client is told.
    async fn drain(&mut self) -> Step {
        let answers = async {
            while self.in_flight > 0 {
                let ack = self.acks.recv().await;
                self.in_flight -= 1;
                self.wire.reply(ack.id, Reply::Submitted(ack.submitted)).await?;
            }
            Ok::<_, Gone>(())
        };
        // What is not answered by then is asked again after the restart.
        if let Ok(result) = tokio::time::timeout(DRAIN_TIMEOUT, answers).await {
            result?;
        }
        Err(Stop::Break(Close::GoingAway))
    }

    fn idle_at(&self) -> Option<Instant> {
        let timeout = self.node.policy.get().idle_timeout.filter(|_| !self.background)?;
        Some(self.last_activity + timeout)
    }

    fn next_deadline(&self) -> Instant {
        let ping = self.pinged.map_or(self.ping_at, |at| at + PONG_TIMEOUT);
        self.idle_at().map_or(ping, |idle| idle.min(ping))
    }

    async fn tick(&mut self) -> Step {
        let now = Instant::now();
        if self.idle_at().is_some_and(|at| at <= now) {
            return Err(Stop::Over(Ended::TimedOut, Close::Idle));
        }
        // While the session itself does not read, silence is not the client's fault.
        if self.pinged.is_some_and(|at| at + PONG_TIMEOUT <= now) {
            if self.reads() {
                return Err(Stop::Break(Close::Unresponsive));
            }
            self.pinged = Some(now);
        }
        if self.ping_at <= now {
            self.ping_at = now + PING_PERIOD;
            self.pinged = Some(now);
            self.wire.ping().await?;
        }
        Ok(())
    }

    // ---------------------------------------------------------------- for the dispatch

    /// The person did something.
    pub(crate) fn active(&mut self) {
        self.last_activity = Instant::now();
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

    /// A submit is on its way to the writer.
    pub(crate) fn sent_to_writer(&mut self) {
        self.in_flight += 1;
    }

    /// Reads nothing for a while: the client is faster than it was told to be.
    pub(crate) fn pause_reading(&mut self, wait: Duration) {
        self.read_at = self.read_at.max(Instant::now() + wait);
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
