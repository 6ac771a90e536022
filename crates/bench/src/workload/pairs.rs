//! W1, direct messages in pairs: each of the two sends, and sends the next when one of the other has come; or each
//! sends at a given pace, whatever comes.

use std::sync::{Arc, atomic::Ordering};

use tokio::time::{Instant, sleep_until};

use super::measure;
use crate::{
    account::{self, Account},
    args::{Common, Pairs},
    chatter::{Chatter, Taken},
    crew::{Crew, Phase, Stage},
    histogram::Histogram,
    report::Line,
    server::Server,
    stream::SendTimes,
};

/// Messages on one way of a pair whose times are kept; a pair that is paced may fall behind by so many.
const ROOM: usize = 4_096;

/// What one session saw.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) ack: Histogram,
    pub(crate) delivery: Histogram,
}

impl Seen {
    /// What all of them saw.
    pub(crate) fn all(seen: impl IntoIterator<Item = Self>) -> Self {
        seen.into_iter().fold(Self::default(), |mut all, one| {
            all.ack.merge(&one.ack);
            all.delivery.merge(&one.delivery);
            all
        })
    }
}

/// Runs the pairs.
pub(crate) async fn run(common: &Common, args: &Pairs) -> anyhow::Result<Line> {
    let accounts = account::make("pair", args.sessions as usize / 2 * 2)?;
    let server = common.at.start(common, &accounts, &[]).await?;
    let line = converse(common, args, &server, &accounts).await?;
    server.stop().await?;
    Ok(line)
}

/// Runs the pairs on a server that is there.
pub(crate) async fn converse(
    common: &Common,
    args: &Pairs,
    server: &Server,
    accounts: &[Arc<Account>],
) -> anyhow::Result<Line> {
    let mut crew = Crew::new(server.target.clone());
    enlist(&mut crew, accounts, common.text_bytes, args.rate);
    let span = measure(&mut crew, server, args.warm_up, args.seconds).await?;
    let seen = Seen::all(crew.finish().await?);
    let pace = args.rate.map_or("closed loop".to_owned(), |rate| format!("{rate}/s"));
    Ok(Line {
        subject: common.subject(),
        ack: (&seen.ack).into(),
        delivery: (&seen.delivery).into(),
        note: span.shares(),
        ..Line::new(&format!("pairs, {pace}"), accounts.len(), &span)
    })
}

/// Makes pairs of these users; `rate`: messages a second of all together.
pub(crate) fn enlist(crew: &mut Crew<Seen>, accounts: &[Arc<Account>], text_bytes: usize, rate: Option<f64>) {
    let period = rate.map(|rate| accounts.len() as f64 / rate);
    for (number, two) in accounts.chunks_exact(2).enumerate() {
        let ways = [Arc::new(SendTimes::new(ROOM)), Arc::new(SendTimes::new(ROOM))];
        for side in [0, 1] {
            let (mine, theirs) = (ways[side].clone(), ways[1 - side].clone());
            let (to, text) = (two[1 - side].name.clone(), "x".repeat(text_bytes));
            let begins = (number * 2 + side) as f64 / accounts.len() as f64;
            crew.enlist(two[side].clone(), move |chatter, stage| async move {
                let one = One { chatter, stage, mine, theirs, to, text, sent: 0, received: 0, answered: 0 };
                match period {
                    None => one.answers().await,
                    Some(period) => one.keeps_pace(period, begins).await,
                }
            });
        }
    }
}

/// One of a pair.
struct One {
    chatter: Chatter,
    stage: Arc<Stage>,
    mine: Arc<SendTimes>,
    theirs: Arc<SendTimes>,
    to: String,
    text: String,
    sent: u64,
    received: u64,
    answered: u64,
}

impl One {
    /// Ends wherever it is when the run does: somebody else's message may be under way.
    async fn answers(mut self) -> anyhow::Result<Seen> {
        self.chatter.stay_until(self.stage.reached(Phase::Warming)).await?;
        let mut seen = Seen::default();
        let stage = self.stage.clone();
        let ended = stage.reached(Phase::Ending);
        tokio::pin!(ended);
        self.sends(Instant::now()).await?;
        loop {
            self.chatter.flush().await?;
            let taken = tokio::select! {
                biased;
                () = &mut ended => return Ok(seen),
                taken = self.chatter.take() => match taken {
                    // Between the two looks the other may have left, and a server with it.
                    Err(_) if stage.is(Phase::Ending) => return Ok(seen),
                    taken => taken?,
                },
            };
            let now = Instant::now();
            self.counts(taken, now, &mut seen);
            for _ in 0..taken.messages {
                self.sends(now).await?;
            }
            self.chatter.note().await?;
        }
    }

    /// Latencies count from when a message was due, so that a stall is not hidden by sending less during it.
    async fn keeps_pace(mut self, period: f64, begins: f64) -> anyhow::Result<Seen> {
        self.chatter.stay_until(self.stage.reached(Phase::Warming)).await?;
        let mut seen = Seen::default();
        let stage = self.stage.clone();
        let ended = stage.reached(Phase::Ending);
        tokio::pin!(ended);
        let begun = Instant::now();
        let mut turn = begins;
        loop {
            let due = begun + std::time::Duration::from_secs_f64(turn * period);
            let taken = tokio::select! {
                biased;
                () = &mut ended => return Ok(seen),
                taken = self.chatter.take() => match taken {
                    // Between the two looks the other may have left, and a server with it.
                    Err(_) if stage.is(Phase::Ending) => return Ok(seen),
                    taken => taken?,
                },
                () = sleep_until(due) => {
                    self.sends(due).await?;
                    self.chatter.flush().await?;
                    turn += 1.0;
                    continue;
                }
            };
            self.counts(taken, Instant::now(), &mut seen);
            self.chatter.note().await?;
        }
    }

    async fn sends(&mut self, now: Instant) -> anyhow::Result<()> {
        self.sent += 1;
        self.mine.sent(self.sent, now);
        self.chatter.send(&self.to, &self.text).await
    }

    fn counts(&mut self, taken: Taken, now: Instant, seen: &mut Seen) {
        self.stage.acked.fetch_add(taken.acks, Ordering::Relaxed);
        self.stage.delivered.fetch_add(taken.messages, Ordering::Relaxed);
        let (received, answered) = (self.received, self.answered);
        self.received += taken.messages;
        self.answered += taken.acks;
        if self.stage.counts() {
            (received..self.received)
                .for_each(|before| seen.delivery.record(self.theirs.since(before + 1, now)));
            (answered..self.answered).for_each(|before| seen.ack.record(self.mine.since(before + 1, now)));
        }
    }
}
