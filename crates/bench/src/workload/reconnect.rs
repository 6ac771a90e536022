//! W7: everyone comes back after a restart of the server, as fast as they are let. Real clients wait longer between
//! their tries the longer the server is away; what is measured here is the server's part.

use std::sync::Arc;

use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

use crate::{
    account::{self, Account},
    args::{Common, Reconnect},
    crew::Stage,
    histogram::Histogram,
    link::{self, Left, Session, Target},
    report::{Figure, Line, Sample},
    server::Server,
};

/// One session on its connection, and what is left when that is gone.
struct Here {
    account: Arc<Account>,
    session: Session,
    left: Left,
}

/// Opens the sessions, restarts the server, counts until the last is back.
pub(crate) async fn run(common: &Common, args: &Reconnect) -> anyhow::Result<Line> {
    let (sessions, users) = (args.sessions as usize, args.users.min(args.sessions) as usize);
    let accounts = account::make("back", users)?;
    let most = sessions.div_ceil(users).to_string();
    let settings = [("sessions-per-user", &*most)];
    let server = Server::start(common, &accounts, &settings).await?;
    let turns = Arc::new(Semaphore::new(args.at_once as usize));
    let here = open_all(&server.target, &accounts, sessions, &turns).await?;
    let (address, data) = (server.target.address, server.data());
    let stopping = Instant::now();
    let (stopped, here) = tokio::join!(server.stop(), all_gone(here));
    stopped?;
    let stopped = stopping.elapsed();
    let starting = Instant::now();
    let server = Server::on(common, data, &settings, Some(address)).await?;
    let started = starting.elapsed();
    let stage = Stage::new();
    let begun = Sample::take(&server, &stage)?;
    let (back, latencies) = come_back(&server.target, here?, &turns).await?;
    let span = Sample::take(&server, &stage)?.since(begun);
    let memory = server.memory()?;
    drop(back);
    server.stop().await?;
    let million = sessions as f64 / 1e6;
    Ok(Line {
        workload: "back after a restart".to_owned(),
        subject: common.subject(),
        sessions,
        acked: Some(sessions as f64 / span.seconds),
        ack: (&latencies).into(),
        server_cpu: Some(span.server_cpu / million),
        own_cpu: Some(span.own_cpu / million),
        kib_per_session: Some(memory.rss_kib as f64 / sessions as f64),
        figures: vec![
            Figure::new("all back s", span.seconds),
            Figure::new("stop s", stopped.as_secs_f64()),
            Figure::new("start s", started.as_secs_f64()),
        ],
        note: span.shares(),
        ..Line::default()
    })
}

async fn open_all(
    target: &Arc<Target>,
    accounts: &[Arc<Account>],
    sessions: usize,
    turns: &Arc<Semaphore>,
) -> anyhow::Result<Vec<Here>> {
    let mut tasks = JoinSet::new();
    for number in 0..sessions {
        let account = accounts[number % accounts.len()].clone();
        let (target, turns) = (target.clone(), turns.clone());
        tasks.spawn(async move {
            let _turn = turns.acquire().await?;
            let session = link::open(&target, &account, false).await?;
            let left = Left::of(&session.opened)?;
            anyhow::Ok(Here { account, session, left })
        });
    }
    tasks.join_all().await.into_iter().collect()
}

/// Waits until the server has closed every connection.
async fn all_gone(here: Vec<Here>) -> anyhow::Result<Vec<(Arc<Account>, Left)>> {
    let mut tasks = JoinSet::new();
    for Here { account, mut session, left } in here {
        tasks.spawn(async move {
            while session.link.recv().await.is_ok() {}
            (account, left)
        });
    }
    Ok(tasks.join_all().await)
}

async fn come_back(
    target: &Arc<Target>,
    left: Vec<(Arc<Account>, Left)>,
    turns: &Arc<Semaphore>,
) -> anyhow::Result<(Vec<Session>, Histogram)> {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for (account, left) in left {
        let (target, turns) = (target.clone(), turns.clone());
        tasks.spawn(async move {
            let _turn = turns.acquire().await?;
            let session = link::resume(&target, &account, &left).await?;
            anyhow::Ok((session, begun.elapsed()))
        });
    }
    let (mut back, mut latencies) = (Vec::new(), Histogram::default());
    while let Some(done) = tasks.join_next().await {
        let (session, after) = done??;
        latencies.record(after);
        back.push(session);
    }
    Ok((back, latencies))
}
