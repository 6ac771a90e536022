//! What a session does while its connection lasts.
//!
//! Each turn it looks for one of: mail, the server's end, the time, a frame. It deals with what is there, all mail together,
//! and writes once when nothing more is to be read. Submits go to the writer without waiting; anything else is held until
//! all of them are answered, so that requests take effect and are answered in the order sent.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::atomic::Ordering,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::poll_immediate;
use hobnob_protocol::{
    close::Close,
    limits::FRAME_BYTES_MAX,
    v1::{ClientFrame, Submitted, reply::Body as Reply, submitted::Outcome},
};
use tokio::{
    task::coop::unconstrained,
    time::{Instant, Sleep, sleep_until, timeout},
};

use crate::{
    dispatch,
    handler::private,
    hub::Mail,
    link::{Gone, Link},
    session::{
        live::{Live, Step, Stop},
        times::Due,
        wire::Input,
    },
    store::Ended,
};

/// Submits of one session that wait for the writer; a client keeps to less.
const IN_FLIGHT_MAX: usize = 64;
/// Things taken from one source before the others get their turn.
const TURN: usize = 64;
/// How long a drain waits for answers of the writer.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// What a session has found there.
enum Found {
    /// The server stops.
    Stopping,
    Mail(Mail),
    Input(Input),
    /// It is time for something.
    Due,
    Nothing,
}

impl<L: Link> Live<L> {
    /// Lives until something ends it.
    pub(super) async fn live(&mut self) -> Step {
        let (id, opened) = self.opened.take().expect("a session lives once");
        self.wire.reply(id, Reply::Opened(*opened)).await?;
        self.wire.flush().await?;
        // A token of its own: looking at one takes its lock, and everybody would look at that of all.
        let stopping = self.node.shutdown.child_token();
        let mut stopping = pin!(stopping.cancelled());
        let mut alarm = pin!(sleep_until(self.times.next()));
        let (mut frames, mut mail_first) = (0, true);
        loop {
            let behind = self.push.is_behind() && !self.background;
            if behind {
                // Boxed, as all that is rare: an idle session's task is not to have room for it.
                Box::pin(self.push.catch_up(&self.node, &mut self.wire)).await?;
            }
            if !self.greeted && !self.push.is_behind() {
                self.greeted = true;
                Box::pin(self.tell_private()).await?;
            }
            let found = self.look(stopping.as_mut(), alarm.as_mut(), mail_first, behind).await;
            // By turns, so that neither keeps the other waiting for ever.
            mail_first = !matches!(found, Found::Mail(_));
            frames = if matches!(found, Found::Input(_)) { frames + 1 } else { 0 };
            let dealt = self.deal(found).await;
            // While there is more to read, what it leads to is done together.
            if frames % TURN == 0 || dealt.is_err() {
                self.hand_over().await?;
                dealt?;
                self.wire.flush().await?;
            }
        }
    }

    /// Says what stands of private talk. Straight to the client: however much it is, its mailbox keeps its room.
    async fn tell_private(&mut self) -> Step {
        for frame in private::arrived(&self.node, self.place) {
            self.wire.send_encoded(frame).await?;
        }
        Ok(())
    }

    /// Whether the session takes frames. It does not while it has more than it can work off itself.
    fn reads(&self) -> bool {
        self.held.is_none() && self.in_flight < IN_FLIGHT_MAX && !self.times.is_paused()
    }

    /// Waits until something is there, or says that nothing is where there is something to do all the same. Whom mail
    /// has woken mostly has nothing to read, so it is not even asked for before the mail is dealt with.
    async fn look(
        &mut self,
        mut stopping: Pin<&mut impl Future<Output = ()>>,
        mut alarm: Pin<&mut Sleep>,
        mail_first: bool,
        only_looks: bool,
    ) -> Found {
        // Set anew only when it is too late: that the next thing is due later is seen when it goes off.
        let next = self.times.next();
        if next < alarm.deadline() || alarm.is_elapsed() {
            alarm.as_mut().reset(next);
        }
        let reads = self.reads();
        // What it waited for may have been refused on the way to the writer, of which no mail tells.
        let held_is_due = self.held.is_some() && self.greeted && self.in_flight == 0;
        let waits = !only_looks && !held_is_due && self.wire.is_flushed() && self.submits.is_empty();
        poll_fn(|context| {
            if mail_first && let Poll::Ready(mail) = self.mail.poll_recv(context) {
                return Poll::Ready(Found::Mail(mail));
            }
            if stopping.as_mut().poll(context).is_ready() {
                return Poll::Ready(Found::Stopping);
            }
            if alarm.as_mut().poll(context).is_ready() {
                return Poll::Ready(Found::Due);
            }
            if reads && let Poll::Ready(input) = self.poll_input(context) {
                return Poll::Ready(Found::Input(input));
            }
            if !mail_first && let Poll::Ready(mail) = self.mail.poll_recv(context) {
                return Poll::Ready(Found::Mail(mail));
            }
            if waits { Poll::Pending } else { Poll::Ready(Found::Nothing) }
        })
        .await
    }

    fn poll_input(&mut self, context: &mut Context<'_>) -> Poll<Input> {
        pin!(self.wire.recv(FRAME_BYTES_MAX)).poll(context)
    }

    async fn deal(&mut self, found: Found) -> Step {
        match found {
            Found::Stopping => Box::pin(self.drain()).await?,
            Found::Mail(first) => self.all_mail(first).await?,
            // Boxed for the task's size, too: a message pays for it less than a thousand idle sessions would.
            Found::Input(input) => Box::pin(self.input(input)).await?,
            Found::Due => Box::pin(self.tick()).await?,
            Found::Nothing => {}
        }
        if self.greeted
            && self.in_flight == 0
            && let Some(frame) = self.held.take()
        {
            Box::pin(self.frame(frame)).await?;
        }
        Ok(())
    }

    async fn all_mail(&mut self, first: Mail) -> Step {
        self.mail(first).await?;
        for _ in 1..TURN {
            let Some(mail) = self.mail.try_recv() else { break };
            self.mail(mail).await?;
        }
        Ok(())
    }

    async fn mail(&mut self, mail: Mail) -> Step {
        match mail {
            Mail::Answer(id, submitted) => {
                self.in_flight -= 1;
                self.wire.reply(id, Reply::Submitted(submitted)).await?;
            }
            Mail::Entry(entry) => {
                self.shared.mail_bytes.fetch_sub(entry.frame.len(), Ordering::Relaxed);
                self.push.offer(&mut self.wire, entry).await?;
            }
            Mail::Frame(frame) => self.wire.send_encoded(frame).await?,
            // At what is in the store, which the next turn does, and at settings.
            Mail::LookAgain => self.follow_idle_timeout(),
            // While the session itself does not read, an answer could not be seen; its writes go through.
            Mail::Probe(probe) if !self.reads() => drop(probe.send(())),
            Mail::Probe(probe) => {
                self.probes.push(probe);
                self.wire.ping().await?;
            }
        }
        Ok(())
    }

    async fn input(&mut self, input: Input) -> Step {
        self.times.heard();
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

    /// Gives the writer all at once what was read at once, so that it becomes one transaction and one wake-up for whoever
    /// it is for.
    async fn hand_over(&mut self) -> Step {
        for (id, job) in self.submits.drain(..) {
            if self.node.writer.try_submit(job).is_err() {
                let busy = Submitted { outcome: Outcome::Busy as i32, ..Submitted::default() };
                self.in_flight -= 1;
                self.wire.reply(id, Reply::Submitted(busy)).await?;
            }
        }
        Ok(())
    }

    async fn tick(&mut self) -> Step {
        let reads = self.reads();
        // What the client said while a page was written to it lies there unread. Without a budget: having done much is no
        // reason to think that it is silent.
        if reads && let Some(input) = poll_immediate(unconstrained(self.wire.recv(FRAME_BYTES_MAX))).await {
            self.input(input).await?;
        }
        self.follow_idle_timeout();
        match self.times.tick(Instant::now(), reads) {
            Due::Nothing => Ok(()),
            Due::Ping => Ok(self.wire.ping().await?),
            Due::Idle => Err(Stop::Over(Ended::TimedOut, Close::Idle)),
            Due::Unresponsive => Err(Stop::Break(Close::Unresponsive)),
        }
    }

    /// The server stops: what was taken is answered, then the client is told.
    async fn drain(&mut self) -> Step {
        self.hand_over().await?;
        let answers = async {
            while self.in_flight > 0 {
                let mail = self.mail.recv().await;
                // What else is there is in the store, or of no use any more.
                if let Mail::Answer(id, submitted) = mail {
                    self.in_flight -= 1;
                    self.wire.reply(id, Reply::Submitted(submitted)).await?;
                }
            }
            Ok::<_, Gone>(())
        };
        // What is not answered by then is asked again after the restart.
        if let Ok(result) = timeout(DRAIN_TIMEOUT, answers).await {
            result?;
        }
        Err(Stop::Break(Close::GoingAway))
    }
}
