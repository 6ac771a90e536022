//! W3: one broadcasts, all others receive.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::measure;
use crate::{
    account,
    args::{Common, Fanout},
    chatter::Chatter,
    crew::{Crew, Phase, Stage},
    histogram::Histogram,
    report::Line,
    stream::SendTimes,
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
    let sessions = args.sessions as usize;
    let users = common.at.users(args.users.min(args.sessions) as usize, sessions);
    // The last one is the sender.
    let accounts = account::make("fanout", users + 1)?;
    let most = sessions.div_ceil(users).to_string();
    let server = common.at.start(common, &accounts, &[("sessions-per-user", &most)]).await?;
    let air = Arc::new(Air {
        times: SendTimes::new(ROOM),
        received: (0..ROOM).map(|_| AtomicUsize::new(0)).collect(),
        complete: AtomicU64::new(0),
        completed: Notify::new(),
        sent: watch::Sender::new(None),
        receivers: sessions,
    });
    let mut crew = Crew::joined(server.target.clone());
    let (text, window, over) = ("x".repeat(common.text_bytes), u64::from(args.in_flight), air.clone());
    let unpaced = args.unpaced;
    crew.enlist(accounts[users].clone(), move |chatter, stage| {
        Sender { chatter, stage, air: over, window, unpaced, sent: 0, answered: 0 }.run(text)
    });
    for number in 0..sessions {
        let air = air.clone();
        crew.enlist(accounts[number % users].clone(), |chatter, stage| receive(chatter, stage, air));
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
        subject: common.subject(),
        ack: (&ack).into(),
        delivery: (&delivery).into(),
        note: format!("{}; server RSS {} KiB at the end", span.shares(), memory.rss_kib),
        ..Line::new(&workload, sessions, &span)
    })
}

struct Sender {
    chatter: Chatter,
    stage: Arc<Stage>,
    air: Arc<Air>,
    window: u64,
    unpaced: bool,
    sent: u64,
    answered: u64,
}

impl Sender {
    async fn run(mut self, text: String) -> anyhow::Result<Side> {
        self.chatter.stay_until(self.stage.reached(Phase::Warming)).await?;
        let mut latencies = Histogram::default();
        loop {
            let now = Instant::now();
            while self.has_room() && !self.stage.is(Phase::Ending) {
                self.sent += 1;
                self.air.times.sent(self.sent, now);
                self.chatter.broadcast(&text).await?;
            }
            self.chatter.flush().await?;
            if self.stage.is(Phase::Ending) && self.done() == self.sent {
                self.air.sent.send_replace(Some(self.sent));
                return Ok(Side::Sent(latencies));
            }
            let acks = tokio::select! {
                biased;
                taken = self.chatter.take() => taken?.acks,
                () = self.air.completed.notified() => continue,
                () = self.stage.reached(Phase::Ending), if !self.stage.is(Phase::Ending) => continue,
            };
            let now = Instant::now();
            self.stage.acked.fetch_add(acks, Ordering::Relaxed);
            if self.stage.counts() {
                let first = self.answered + 1;
                (first..first + acks).for_each(|number| latencies.record(self.air.times.since(number, now)));
            }
            self.answered += acks;
        }
    }

    /// Broadcasts that need no more waiting for before the end.
    fn done(&self) -> u64 {
        if self.chatter.is_acked() { self.answered } else { self.air.complete.load(Ordering::Acquire) }
    }

    fn has_room(&self) -> bool {
        let received = self.air.complete.load(Ordering::Acquire);
        let done = match (self.chatter.is_acked(), self.unpaced) {
            (true, true) => self.answered,
            (true, false) => received.min(self.answered),
            (false, _) => received,
        };
        self.sent - done < self.window && self.sent - received < ROOM as u64
    }
}

async fn receive(mut chatter: Chatter, stage: Arc<Stage>, air: Arc<Air>) -> anyhow::Result<Side> {
    let mut received = 0;
    let mut latencies = Histogram::default();
    let mut total = air.sent.subscribe();
    loop {
        if *total.borrow_and_update() == Some(received) {
            return Ok(Side::Received(latencies));
        }
        let taken = tokio::select! {
            biased;
            taken = chatter.take() => taken?,
            _ = total.changed() => continue,
        };
        let now = Instant::now();
        for number in received + 1..=received + taken.broadcasts {
            if stage.counts() {
                latencies.record(air.times.since(number, now));
            }
            air.receive(number);
        }
        received += taken.broadcasts;
        stage.delivered.fetch_add(taken.broadcasts, Ordering::Relaxed);
        chatter.note().await?;
    }
}
