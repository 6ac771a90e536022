//! Messages to users who are offline: how fast they are taken, and how fast they come at login.

use std::sync::{Arc, atomic::Ordering};

use anyhow::ensure;
use hobnob_protocol::v1::{DirectMessage, Stream, login::Proof, server_frame, submit::Op};
use tokio::time::Instant;

use crate::{
    account::{self, Account},
    args::{Common, Offline},
    crew::{Crew, Phase, Stage},
    histogram::Histogram,
    link::{self, Link, Session, Target},
    report::{Latency, Line, Sample, Span},
    server::Server,
    stream::{Cursor, SendTimes, acked, submit},
};

/// Sends everything, then logs everybody in.
pub(crate) async fn run(common: &Common, args: &Offline) -> anyhow::Result<Line> {
    let recipients = account::make("recipient", args.recipients as usize)?;
    let senders = account::make("sender", recipients.len())?;
    let accounts: Vec<_> = recipients.iter().chain(&senders).cloned().collect();
    let most = args.messages.to_string();
    let bytes = format!("{}MiB", u64::from(args.messages) * common.text_bytes as u64 / (1 << 20) + 1);
    let settings = [("inbox-messages", &*most), ("inbox-per-sender", &most), ("inbox-bytes", &bytes)];
    let server = Server::start(common, &accounts, &settings).await?;
    // A session in the background is told nothing, but its token spares the login below the password.
    for recipient in &recipients {
        link::open(&server.target, recipient, true).await?;
    }
    let (sending, ack) = send_all(common, args, &server, &recipients, &senders).await?;
    let catch_up = catch_up_all(args, &server, &recipients).await?;
    let memory = server.memory()?;
    server.stop().await?;
    let taken = f64::from(args.messages) * recipients.len() as f64 / 1e6;
    Ok(Line {
        workload: format!("offline, {} in flight", args.in_flight),
        sessions: recipients.len(),
        acked: Some(sending.acked as f64 / sending.seconds),
        delivered: Some(catch_up.delivered as f64 / catch_up.seconds),
        ack,
        note: format!(
            "server CPU s per million: {:.2} to take, {:.2} to catch up; generator's {:.2} and {:.2}; \
             taking: {}; catching up: {}; server RSS {} KiB at the end",
            sending.server_cpu / taken,
            catch_up.server_cpu / taken,
            sending.own_cpu / taken,
            catch_up.own_cpu / taken,
            sending.shares(),
            catch_up.shares(),
            memory.rss_kib,
        ),
        ..Line::default()
    })
}

async fn send_all(
    common: &Common,
    args: &Offline,
    server: &Server,
    recipients: &[Arc<Account>],
    senders: &[Arc<Account>],
) -> anyhow::Result<(Span, Latency)> {
    let mut crew = Crew::new(server.target.clone());
    let (count, in_flight) = (u64::from(args.messages), u64::from(args.in_flight));
    for (sender, recipient) in senders.iter().zip(recipients) {
        let message = DirectMessage { to: recipient.name.clone(), text: "x".repeat(common.text_bytes) };
        crew.enlist(sender.clone(), move |session, stage| send(session, stage, message, count, in_flight));
    }
    crew.all_open().await?;
    let stage = crew.stage.clone();
    let begun = Sample::take(server, &stage)?;
    stage.begin(Phase::Measuring);
    let mut ack = Histogram::default();
    for histogram in crew.finish().await? {
        ack.merge(&histogram);
    }
    Ok((Sample::take(server, &stage)?.since(begun), (&ack).into()))
}

async fn send(
    session: Session,
    stage: Arc<Stage>,
    message: DirectMessage,
    count: u64,
    in_flight: u64,
) -> anyhow::Result<Histogram> {
    let mut link = session.link;
    let times = SendTimes::new(in_flight as usize);
    let mut latencies = Histogram::default();
    let (mut sent, mut answered, mut first_id) = (0, 0, None);
    link.stay_until(stage.reached(Phase::Measuring)).await?;
    while answered < count {
        let now = Instant::now();
        while sent < count && sent - answered < in_flight {
            sent += 1;
            times.sent(sent, now);
            let id = link.request(submit(sent, Op::Message(message.clone()))).await?;
            first_id.get_or_insert(id);
        }
        link.flush().await?;
        let mut frame = Some(link.recv().await?);
        let now = Instant::now();
        while let Some(body) = frame {
            if acked(&body, first_id.unwrap_or(0) + answered)? {
                answered += 1;
                stage.acked.fetch_add(1, Ordering::Relaxed);
                latencies.record(times.since(answered, now));
            }
            frame = link.try_recv()?;
        }
    }
    Ok(latencies)
}

/// Connects everybody, then lets all log in at once. The login itself is part of what is measured.
async fn catch_up_all(args: &Offline, server: &Server, recipients: &[Arc<Account>]) -> anyhow::Result<Span> {
    let stage = Stage::new();
    let mut tasks = tokio::task::JoinSet::new();
    let ready = Arc::new(tokio::sync::Barrier::new(recipients.len() + 1));
    for recipient in recipients {
        let (target, recipient) = (server.target.clone(), recipient.clone());
        let (stage, ready, count) = (stage.clone(), ready.clone(), u64::from(args.messages));
        tasks.spawn(async move {
            let caught_up = catch_up(&target, &recipient, &stage, &ready, count).await;
            caught_up.map_err(|error| error.context(recipient.name.clone()))
        });
    }
    tokio::select! {
        _ = ready.wait() => {}
        Some(failed) = tasks.join_next() => failed??,
    }
    let begun = Sample::take(server, &stage)?;
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(Sample::take(server, &stage)?.since(begun))
}

async fn catch_up(
    target: &Target,
    recipient: &Account,
    stage: &Stage,
    ready: &tokio::sync::Barrier,
    count: u64,
) -> anyhow::Result<()> {
    let mut link = Link::connect(target).await?;
    let greeting = link.greet().await?;
    let token = recipient.token.get().cloned().unwrap_or_default();
    ready.wait().await;
    let opened = link.log_in(&greeting, recipient, Proof::Token(token), false).await?;
    ensure!(opened.inbox_head - opened.inbox == count, "{} messages wait", opened.inbox_head - opened.inbox);
    let mut cursor = Cursor::new(Stream::Inbox, opened.inbox);
    while cursor.seq() < opened.inbox_head {
        let before = cursor.seq();
        let mut frame = Some(link.recv().await?);
        let now = Instant::now();
        while let Some(body) = frame {
            if let server_frame::Body::Entry(entry) = body {
                cursor.take(&entry, now)?;
            }
            frame = link.try_recv()?;
        }
        stage.delivered.fetch_add(cursor.seq() - before, Ordering::Relaxed);
        if let Some(note) = cursor.note(now) {
            link.note(note).await?;
        }
    }
    Ok(())
}
