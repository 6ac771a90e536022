//! W5: logins by password, and connections that come back: at hobnob by the token of their session, elsewhere by
//! taking a name, which is little more than the handshake of TLS. Acks are logins here.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

use crate::{
    account::{self, Account},
    args::{Common, Logins},
    crew::Stage,
    histogram::Histogram,
    lines::Lines,
    link::{self, Left, Target},
    report::{Line, Sample, Span},
    server::Server,
    subject::Subject,
};

/// Sessions of each user who comes back.
const SESSIONS_PER_USER: usize = 100;

/// Lets them log in.
pub(crate) async fn run(common: &Common, args: &Logins) -> anyhow::Result<Vec<Line>> {
    let sessions = args.sessions as usize;
    let users = account::make("back", common.at.users(sessions.div_ceil(SESSIONS_PER_USER), sessions))?;
    let strangers = account::make("login", args.passwords as usize)?;
    let all: Vec<_> = users.iter().chain(&strangers).cloned().collect();
    let most = SESSIONS_PER_USER.to_string();
    let server = common.at.start(common, &all, &[("sessions-per-user", &most)]).await?;
    let mut lines = Vec::new();
    if common.at == Subject::Hobnob {
        lines.push(by_password(common, args, &server, &strangers).await?);
    }
    lines.push(back(common, args, &server, &users).await?);
    server.stop().await?;
    Ok(lines)
}

async fn by_password(
    common: &Common,
    args: &Logins,
    server: &Server,
    strangers: &[Arc<Account>],
) -> anyhow::Result<Line> {
    let stage = Stage::new();
    let begun = Sample::take(server, &stage)?;
    let latencies = all_by_password(&server.target, strangers, args.at_once as usize).await?;
    let span = Sample::take(server, &stage)?.since(begun);
    Ok(line(common, "logins by password", strangers.len(), strangers.len(), &span, &latencies))
}

/// Logs everyone in by password, so many at once, and lets them go.
pub(crate) async fn all_by_password(
    target: &Arc<Target>,
    strangers: &[Arc<Account>],
    at_once: usize,
) -> anyhow::Result<Histogram> {
    let turns = Arc::new(Semaphore::new(at_once));
    let mut tasks = JoinSet::new();
    for stranger in strangers {
        let (target, stranger, turns) = (target.clone(), stranger.clone(), turns.clone());
        tasks.spawn(async move {
            let _turn = turns.acquire().await?;
            let begun = Instant::now();
            link::open_by_password(&target, &stranger).await?;
            anyhow::Ok(begun.elapsed())
        });
    }
    let mut latencies = Histogram::default();
    while let Some(done) = tasks.join_next().await {
        latencies.record(done??);
    }
    Ok(latencies)
}

/// Every worker lets its sessions come back in turn, until the time is over.
async fn back(
    common: &Common,
    args: &Logins,
    server: &Server,
    users: &[Arc<Account>],
) -> anyhow::Result<Line> {
    let (sessions, workers) = (args.sessions as usize, args.at_once as usize);
    let ready = Arc::new(tokio::sync::Barrier::new(workers + 1));
    let mut tasks = JoinSet::new();
    for worker in 0..workers {
        let own: Vec<_> =
            (worker..sessions).step_by(workers).map(|number| users[number % users.len()].clone()).collect();
        let (target, ready, at) = (server.target.clone(), ready.clone(), common.at);
        let seconds = Duration::from_secs_f64(args.seconds);
        tasks.spawn(async move { come_back(&target, at, own, &ready, seconds).await });
    }
    tokio::select! {
        _ = ready.wait() => {}
        Some(failed) = tasks.join_next() => { failed??; }
    }
    let stage = Stage::new();
    let begun = Sample::take(server, &stage)?;
    let (mut latencies, mut count) = (Histogram::default(), 0);
    while let Some(done) = tasks.join_next().await {
        let (of_one, number) = done??;
        latencies.merge(&of_one);
        count += number;
    }
    let span = Sample::take(server, &stage)?.since(begun);
    Ok(line(common, "connections that come back", sessions, count, &span, &latencies))
}

async fn come_back(
    target: &Target,
    at: Subject,
    users: Vec<Arc<Account>>,
    ready: &tokio::sync::Barrier,
    time: Duration,
) -> anyhow::Result<(Histogram, usize)> {
    let mut left = Vec::new();
    for user in users.iter().filter(|_| at == Subject::Hobnob) {
        let session = link::open(target, user, false).await?;
        left.push(Left::of(&session.opened)?);
    }
    ready.wait().await;
    let (begun, mut latencies, mut count) = (Instant::now(), Histogram::default(), 0);
    while begun.elapsed() < time && !users.is_empty() {
        let number = count % users.len();
        let connected = Instant::now();
        match left.get(number) {
            Some(left) => drop(link::resume(target, &users[number], left).await?),
            None => drop(Lines::open(target, &users[number].name).await?),
        }
        latencies.record(connected.elapsed());
        count += 1;
    }
    Ok((latencies, count))
}

fn line(
    common: &Common,
    workload: &str,
    sessions: usize,
    count: usize,
    span: &Span,
    latencies: &Histogram,
) -> Line {
    let million = count as f64 / 1e6;
    Line {
        workload: workload.to_owned(),
        subject: common.subject(),
        sessions,
        acked: Some(count as f64 / span.seconds),
        ack: latencies.into(),
        server_cpu: Some(span.server_cpu / million),
        own_cpu: Some(span.own_cpu / million),
        note: span.shares(),
        ..Line::default()
    }
}
