//! W6: messages to users who are offline: how fast they are taken, and how fast they come at login,
//! with a crash of the server in between.

use std::sync::{Arc, atomic::Ordering};

use anyhow::ensure;
use hobnob_protocol::v1::{Stream, login::Proof, server_frame};
use tokio::time::Instant;

use crate::{
    account::{self, Account},
    args::{Common, Offline},
    chatter::Chatter,
    crew::{Crew, Phase, Stage},
    histogram::Histogram,
    link::{Link, Target},
    report::{Figure, Latency, Line, Sample, Span},
    server::Server,
    stream::{Cursor, SendTimes},
};

/// Sends everything, kills the server, starts it again and logs everybody in.
pub(crate) async fn run(common: &Common, args: &Offline) -> anyhow::Result<Line> {
    let recipients = account::make("recipient", args.recipients as usize)?;
    let senders = account::make("sender", recipients.len())?;
    let accounts: Vec<_> = recipients.iter().chain(&senders).cloned().collect();
    let most = args.messages.to_string();
    let bytes = format!("{}MiB", u64::from(args.messages) * common.text_bytes as u64 / (1 << 20) + 1);
    let settings = [("inbox-messages", &*most), ("inbox-per-sender", &most), ("inbox-bytes", &bytes)];
    let server = Server::start(common, &accounts, &settings).await?;
    let (sending, ack) = send_all(common, args, &server, &recipients, &senders).await?;
    let taking_kib = server.memory()?.rss_kib;
    let data = server.kill().await?;
    let killed = Instant::now();
    let server = Server::on(common, data, &settings, None).await?;
    let restart = killed.elapsed();
    let catch_up = catch_up_all(args, &server, &recipients).await?;
    let memory = server.memory()?;
    server.stop().await?;
    let taken = f64::from(args.messages) * recipients.len() as f64 / 1e6;
    Ok(Line {
        workload: format!("offline, {} in flight", args.in_flight),
        subject: common.subject(),
        sessions: recipients.len(),
        acked: Some(sending.acked as f64 / sending.seconds),
        delivered: Some(catch_up.delivered as f64 / catch_up.seconds),
        ack,
        server_cpu: Some(sending.server_cpu / taken),
        own_cpu: Some(sending.own_cpu / taken),
        figures: vec![
            Figure::new("catch-up server CPU s per million", catch_up.server_cpu / taken),
            Figure::new("start after kill -9 s", restart.as_secs_f64()),
        ],
        note: format!(
            "all {} there after kill -9; taking: {}; catching up: {}; server RSS {taking_kib} KiB before the kill, {} at \
             the end",
            catch_up.delivered,
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
    let count = u64::from(args.messages);
    let mut crew = Crew::new(server.target.clone());
    for (sender, recipient) in senders.iter().zip(recipients) {
        let burst = Burst { count, in_flight: u64::from(args.in_flight), text_bytes: common.text_bytes };
        let to = recipient.name.clone();
        crew.enlist(sender.clone(), move |chatter, stage| burst.send(chatter, stage, move |_| to.clone()));
    }
    send_and_finish(crew, server).await
}

/// Lets the senders go, and waits for the last ack.
pub(crate) async fn send_and_finish(
    mut crew: Crew<Histogram>,
    server: &Server,
) -> anyhow::Result<(Span, Latency)> {
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

/// What one sender has to say.
#[derive(Clone, Copy)]
pub(crate) struct Burst {
    pub(crate) count: u64,
    pub(crate) in_flight: u64,
    pub(crate) text_bytes: usize,
}

impl Burst {
    /// Says it, each message to whom `to` says.
    pub(crate) async fn send(
        self,
        mut chatter: Chatter,
        stage: Arc<Stage>,
        mut to: impl FnMut(u64) -> String,
    ) -> anyhow::Result<Histogram> {
        let (times, text) = (SendTimes::new(self.in_flight as usize), "x".repeat(self.text_bytes));
        let mut latencies = Histogram::default();
        let (mut sent, mut answered) = (0, 0);
        chatter.stay_until(stage.reached(Phase::Measuring)).await?;
        while answered < self.count {
            let now = Instant::now();
            while sent < self.count && sent - answered < self.in_flight {
                sent += 1;
                times.sent(sent, now);
                chatter.send(&to(sent), &text).await?;
            }
            chatter.flush().await?;
            let acks = chatter.take().await?.acks;
            let now = Instant::now();
            stage.acked.fetch_add(acks, Ordering::Relaxed);
            (answered..answered + acks).for_each(|before| latencies.record(times.since(before + 1, now)));
            answered += acks;
        }
        Ok(latencies)
    }
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
    ready.wait().await;
    let opened = link.log_in(&greeting, recipient, Proof::Token(recipient.token.clone()), false).await?;
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
