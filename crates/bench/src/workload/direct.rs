//! Direct messages in pairs, as a closed loop: who sends has so many under way, the next goes when one is acked.

use std::sync::Arc;

use anyhow::ensure;
use hobnob_protocol::v1::{DirectMessage, Stream, server_frame, submit::Op};
use std::sync::atomic::Ordering;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::measure;
use crate::{
    account,
    args::{Common, Direct},
    crew::{Crew, Phase, Stage},
    histogram::Histogram,
    link::Session,
    report::Line,
    server::Server,
    stream::{Cursor, SendTimes, acked, submit},
};

/// What the two of a pair share.
struct Pair {
    times: SendTimes,
    /// How many were sent, once it is known.
    sent: watch::Sender<Option<u64>>,
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
    let server = Server::start(common, &accounts, &[]).await?;
    let mut crew = Crew::new(server.target.clone());
    for two in accounts.chunks_exact(2) {
        // A message may be acked, and the next be sent, before it is received; the server's mailbox bounds by how many.
        let pair = Arc::new(Pair { times: SendTimes::new(4_096), sent: watch::Sender::new(None) });
        let message = DirectMessage { to: two[1].name.clone(), text: "x".repeat(common.text_bytes) };
        let other = pair.clone();
        crew.enlist(two[0].clone(), move |session, stage| send(session, stage, pair, message, in_flight));
        crew.enlist(two[1].clone(), move |session, stage| receive(session, stage, other));
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
    let workload = format!("direct, {in_flight} in flight");
    Ok(Line {
        ack: (&ack).into(),
        delivery: (&delivery).into(),
        note: span.shares(),
        ..Line::new(&workload, sessions, &span)
    })
}

async fn send(
    session: Session,
    stage: Arc<Stage>,
    pair: Arc<Pair>,
    message: DirectMessage,
    in_flight: u64,
) -> anyhow::Result<Side> {
    let mut link = session.link;
    link.stay_until(stage.reached(Phase::Warming)).await?;
    let mut latencies = Histogram::default();
    // The first submit's id is one above the login's.
    let (mut sent, mut answered, mut id_before) = (0, 0, None);
    loop {
        let now = Instant::now();
        while sent - answered < in_flight && !stage.is(Phase::Ending) {
            sent += 1;
            pair.times.sent(sent, now);
            let id = link.request(submit(sent, Op::Message(message.clone()))).await?;
            id_before.get_or_insert(id - 1);
        }
        link.flush().await?;
        if sent == answered {
            pair.sent.send_replace(Some(sent));
            return Ok(Side::Sent(latencies));
        }
        let id_before = id_before.expect("something is under way");
        let mut frame = Some(link.recv().await?);
        let now = Instant::now();
        while let Some(body) = frame {
            if acked(&body, id_before + answered + 1)? {
                answered += 1;
                stage.acked.fetch_add(1, Ordering::Relaxed);
                if stage.counts() {
                    latencies.record(pair.times.since(answered, now));
                }
            }
            frame = link.try_recv()?;
        }
    }
}

async fn receive(session: Session, stage: Arc<Stage>, pair: Arc<Pair>) -> anyhow::Result<Side> {
    let mut link = session.link;
    let begin = session.opened.inbox;
    let mut cursor = Cursor::new(Stream::Inbox, begin);
    let mut latencies = Histogram::default();
    let mut total = pair.sent.subscribe();
    loop {
        let known = *total.borrow_and_update();
        if known.is_some_and(|total| cursor.seq() - begin == total) {
            return Ok(Side::Received(latencies));
        }
        let due = cursor.note_due();
        tokio::select! {
            biased;
            frame = link.recv() => {
                let mut frame = Some(frame?);
                let now = Instant::now();
                while let Some(body) = frame {
                    if let server_frame::Body::Entry(entry) = body
                        && let Some(seq) = cursor.take(&entry, now)?
                    {
                        stage.delivered.fetch_add(1, Ordering::Relaxed);
                        if stage.counts() {
                            latencies.record(pair.times.since(seq - begin, now));
                        }
                    }
                    frame = link.try_recv()?;
                }
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            _ = total.changed() => {}
        }
        if let Some(note) = cursor.note(Instant::now()) {
            link.note(note).await?;
        }
    }
}
