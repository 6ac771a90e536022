//! One broadcasts, all others receive.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use anyhow::ensure;
use hobnob_protocol::v1::{Broadcast, Stream, server_frame, submit::Op};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};

use super::measure;
use crate::{
    account,
    args::{Common, Fanout},
    crew::{Crew, Phase, Stage},
    histogram::Histogram,
    link::Session,
    report::Line,
    server::Server,
    stream::{Cursor, SendTimes, acked, submit},
};

/// Broadcasts under way that are told apart; without pacing more may be.
const ROOM: usize = 4_096;

/// What the sender and the receivers share.
struct Air {
    times: SendTimes,
    /// How many receivers have a broadcast, by its number.
    received: Vec<AtomicUsize>,
    /// Broadcasts that all receivers have.
    complete: AtomicU64,
    completed: Notify,
    /// How many were sent, once it is known.
    sent: watch::Sender<Option<u64>>,
    receivers: usize,
}

impl Air {
    /// A receiver has one. Every receiver has all before it, so they are completed in order.
    fn receive(&self, number: u64) {
        let count = &self.received[number as usize % ROOM];
        if count.fetch_add(1, Ordering::AcqRel) + 1 == self.receivers {
            count.store(0, Ordering::Release);
            self.complete.fetch_max(number, Ordering::AcqRel);
            self.completed.notify_one();
        }
    }
}

/// Which side of the run a session was, and what it saw.
enum Side {
    Sent(Histogram),
    Received(Histogram),
}

/// Runs it.
pub(crate) async fn run(common: &Common, args: &Fanout) -> anyhow::Result<Line> {
    let (sessions, users) = (args.sessions as usize, args.users.min(args.sessions) as usize);
    // The last one is the sender.
    let accounts = account::make("fanout", users + 1)?;
    let most = sessions.div_ceil(users).to_string();
    let server = Server::start(common, &accounts, &[("sessions-per-user", &most)]).await?;
    let air = Arc::new(Air {
        times: SendTimes::new(ROOM),
        received: (0..ROOM).map(|_| AtomicUsize::new(0)).collect(),
        complete: AtomicU64::new(0),
        completed: Notify::new(),
        sent: watch::Sender::new(None),
        receivers: sessions,
    });
    let mut crew = Crew::new(server.target.clone());
    let (text, window, over) = ("x".repeat(common.text_bytes), u64::from(args.in_flight), air.clone());
    let unpaced = args.unpaced;
    crew.enlist(accounts[users].clone(), move |session, stage| {
        Sender { session, stage, air: over, window, unpaced, sent: 0, answered: 0 }.run(text)
    });
    for number in 0..sessions {
        let air = air.clone();
        crew.enlist(accounts[number % users].clone(), |session, stage| receive(session, stage, air));
    }
    let span = measure(&mut crew, &server, args.warm_up, args.seconds).await?;
    let (mut ack, mut delivery) = (Histogram::default(), Histogram::default());
    for side in crew.finish().await? {
        match side {
            Side::Sent(histogram) => ack.merge(&histogram),
            Side::Received(histogram) => delivery.merge(&histogram),
        }
    }
    let memory = server.memory()?;
    server.stop().await?;
    let workload = format!("fanout, {window} in flight{}", if unpaced { ", unpaced" } else { "" });
    Ok(Line {
        ack: (&ack).into(),
        delivery: (&delivery).into(),
        note: format!("{}; server RSS {} KiB at the end", span.shares(), memory.rss_kib),
        ..Line::new(&workload, sessions, &span)
    })
}

struct Sender {
    session: Session,
    stage: Arc<Stage>,
    air: Arc<Air>,
    window: u64,
    unpaced: bool,
    sent: u64,
    answered: u64,
}

impl Sender {
    async fn run(mut self, text: String) -> anyhow::Result<Side> {
        self.session.link.stay_until(self.stage.reached(Phase::Warming)).await?;
        let mut latencies = Histogram::default();
        let mut first_id = None;
        loop {
            let now = Instant::now();
            while self.has_room() && !self.stage.is(Phase::Ending) {
                self.sent += 1;
                self.air.times.sent(self.sent, now);
                let op = Op::Broadcast(Broadcast { text: text.clone() });
                let id = self.session.link.request(submit(self.sent, op)).await?;
                first_id.get_or_insert(id);
            }
            self.session.link.flush().await?;
            if self.stage.is(Phase::Ending) && self.answered == self.sent {
                self.air.sent.send_replace(Some(self.sent));
                return Ok(Side::Sent(latencies));
            }
            let frame = tokio::select! {
                biased;
                frame = self.session.link.recv() => frame?,
                () = self.air.completed.notified() => continue,
                () = self.stage.reached(Phase::Ending), if !self.stage.is(Phase::Ending) => continue,
            };
            if acked(&frame, first_id.unwrap_or(0) + self.answered)? {
                self.answered += 1;
                self.stage.acked.fetch_add(1, Ordering::Relaxed);
                if self.stage.counts() {
                    latencies.record(self.air.times.since(self.answered, Instant::now()));
                }
            }
        }
    }

    fn has_room(&self) -> bool {
        let received = self.air.complete.load(Ordering::Acquire);
        let done = if self.unpaced { self.answered } else { received.min(self.answered) };
        self.sent - done < self.window && self.sent - received < ROOM as u64
    }
}

async fn receive(session: Session, stage: Arc<Stage>, air: Arc<Air>) -> anyhow::Result<Side> {
    let mut link = session.link;
    let begin = session.opened.broadcast;
    ensure!(begin == 0, "somebody else broadcasts");
    let mut cursor = Cursor::new(Stream::Broadcast, begin);
    let mut latencies = Histogram::default();
    let mut total = air.sent.subscribe();
    loop {
        let known = *total.borrow_and_update();
        if known == Some(cursor.seq()) {
            return Ok(Side::Received(latencies));
        }
        let due = cursor.note_due();
        tokio::select! {
            biased;
            frame = link.recv() => {
                let mut frame = Some(frame?);
                let (now, before) = (Instant::now(), cursor.seq());
                while let Some(body) = frame {
                    if let server_frame::Body::Entry(entry) = body
                        && let Some(number) = cursor.take(&entry, now)?
                    {
                        if stage.counts() {
                            latencies.record(air.times.since(number, now));
                        }
                        air.receive(number);
                    }
                    frame = link.try_recv()?;
                }
                stage.delivered.fetch_add(cursor.seq() - before, Ordering::Relaxed);
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            _ = total.changed() => {}
        }
        if let Some(note) = cursor.note(Instant::now()) {
            link.note(note).await?;
        }
    }
}
