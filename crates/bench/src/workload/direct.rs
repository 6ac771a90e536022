//! W2, direct messages one way: who sends has so many under way, the next goes when one is acked, or when it was
//! received where nothing is acked.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use anyhow::ensure;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::measure;
use crate::{
    account,
    args::{Common, Direct},
    chatter::Chatter,
    crew::{Crew, Phase, Stage},
    histogram::Histogram,
    report::Line,
    stream::SendTimes,
};

/// What the two of a pair share.
struct Pair {
    times: SendTimes,
    /// How many were sent, once it is known.
    sent: watch::Sender<Option<u64>>,
    received: AtomicU64,
    progress: Notify,
}

/// Which side of its pair a session was, and what it saw.
enum Side {
    Sent(Histogram),
    Received(Histogram),
}

/// Runs the pairs.
pub(crate) async fn run(common: &Common, args: &Direct) -> anyhow::Result<Line> {
    let sessions = args.sessions as usize / 2 * 2;
    let in_flight = u64::from(args.in_flight);
    ensure!(sessions as u64 / 2 * in_flight <= 4_000, "the server would be busy: its queue holds 4,096");
    let accounts = account::make("direct", sessions)?;
    let server = common.at.start(common, &accounts, &[]).await?;
    let mut crew = Crew::new(server.target.clone());
    for two in accounts.chunks_exact(2) {
        let pair = Arc::new(Pair {
            // A message may be acked, and the next be sent, before it is received; the server's mailbox bounds by how
            // many.
            times: SendTimes::new(4_096),
            sent: watch::Sender::new(None),
            received: AtomicU64::new(0),
            progress: Notify::new(),
        });
        let (to, text, other) = (two[1].name.clone(), "x".repeat(common.text_bytes), pair.clone());
        crew.enlist(two[0].clone(), move |chatter, stage| async move {
            send(chatter, stage, &pair, &to, &text, in_flight).await
        });
        crew.enlist(
            two[1].clone(),
            move |chatter, stage| async move { receive(chatter, stage, &other).await },
        );
    }
    let span = measure(&mut crew, &server, args.warm_up, args.seconds).await?;
    let (mut ack, mut delivery) = (Histogram::default(), Histogram::default());
    for side in crew.finish().await? {
        match side {
            Side::Sent(histogram) => ack.merge(&histogram),
            Side::Received(histogram) => delivery.merge(&histogram),
        }
    }
    server.stop().await?;
    let workload = format!("one way, {in_flight} in flight");
    Ok(Line {
        subject: common.subject(),
        ack: (&ack).into(),
        delivery: (&delivery).into(),
        note: span.shares(),
        ..Line::new(&workload, sessions, &span)
    })
}

async fn send(
    mut chatter: Chatter,
    stage: Arc<Stage>,
    pair: &Pair,
    to: &str,
    text: &str,
    in_flight: u64,
) -> anyhow::Result<Side> {
    chatter.stay_until(stage.reached(Phase::Warming)).await?;
    let mut latencies = Histogram::default();
    let (mut sent, mut done) = (0, 0);
    loop {
        let now = Instant::now();
        while sent - done < in_flight && !stage.is(Phase::Ending) {
            sent += 1;
            pair.times.sent(sent, now);
            chatter.send(to, text).await?;
        }
        chatter.flush().await?;
        if sent == done {
            pair.sent.send_replace(Some(sent));
            return Ok(Side::Sent(latencies));
        }
        if !chatter.is_acked() {
            pair.progress.notified().await;
            done = pair.received.load(Ordering::Acquire);
            continue;
        }
        let acks = chatter.take().await?.acks;
        let now = Instant::now();
        stage.acked.fetch_add(acks, Ordering::Relaxed);
        if stage.counts() {
            (done..done + acks).for_each(|before| latencies.record(pair.times.since(before + 1, now)));
        }
        done += acks;
    }
}

async fn receive(mut chatter: Chatter, stage: Arc<Stage>, pair: &Pair) -> anyhow::Result<Side> {
    let mut latencies = Histogram::default();
    let mut received = 0;
    let mut total = pair.sent.subscribe();
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
        stage.delivered.fetch_add(taken.messages, Ordering::Relaxed);
        if stage.counts() {
            (received..received + taken.messages)
                .for_each(|before| latencies.record(pair.times.since(before + 1, now)));
        }
        received += taken.messages;
        pair.received.store(received, Ordering::Release);
        pair.progress.notify_one();
        chatter.note().await?;
    }
}
