//! W4: sessions that do nothing: what each costs in memory, and whether they last.

use std::sync::Arc;

use anyhow::ensure;

use crate::{
    account,
    args::{Common, Idle},
    chatter::Chatter,
    crew::{Crew, Phase, Stage},
    process::Memory,
    report::{Line, Sample},
};

/// Opens them, holds them, reads the server's memory.
pub(crate) async fn run(common: &Common, args: &Idle) -> anyhow::Result<Line> {
    let sessions = args.sessions as usize;
    let users = common.at.users(args.users.min(args.sessions) as usize, sessions);
    let accounts = account::make("idle", users)?;
    let most = sessions.div_ceil(users).to_string();
    let server = common.at.start(common, &accounts, &[("sessions-per-user", &most)]).await?;
    let before = server.memory()?;
    let mut crew = Crew::new(server.target.clone());
    for number in 0..sessions {
        crew.enlist(accounts[number % users].clone(), stay);
    }
    let begun = Sample::take(&server, &crew.stage)?;
    let took = crew.all_open().await?.as_secs_f64();
    let opened = Sample::take(&server, &crew.stage)?;
    let opening_cpu = opened.since(begun).server_cpu;
    let fresh = server.memory()?;
    crew.pass(args.seconds).await?;
    let idle_cpu = Sample::take(&server, &crew.stage)?.since(opened).server_cpu / args.seconds;
    let held = server.memory()?;
    ensure!(crew.len() == sessions, "only {} of {sessions} sessions lasted", crew.len());
    crew.stage.begin(Phase::Ending);
    crew.finish().await?;
    server.stop().await?;
    Ok(Line {
        workload: "idle".to_owned(),
        subject: common.subject(),
        sessions,
        kib_per_session: Some(per_session(before, held, sessions)),
        note: format!(
            "RSS {} KiB before, {} open, {} held (PSS {}); {:.1} KiB a session counting all; opened in {took:.1} s \
             with {opening_cpu:.1} CPU s; {:.1} % of a core while idle",
            before.rss_kib,
            fresh.rss_kib,
            held.rss_kib,
            held.pss_kib,
            held.rss_kib as f64 / sessions as f64,
            idle_cpu * 100.0,
        ),
        ..Line::default()
    })
}

fn per_session(before: Memory, after: Memory, sessions: usize) -> f64 {
    after.rss_kib.saturating_sub(before.rss_kib) as f64 / sessions as f64
}

/// Only answers pings.
async fn stay(mut chatter: Chatter, stage: Arc<Stage>) -> anyhow::Result<()> {
    chatter.stay_until(stage.reached(Phase::Ending)).await
}
