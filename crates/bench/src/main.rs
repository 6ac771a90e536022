//! The load generator: starts a server, talks the protocol to it over loopback, and prints what it took.
//!
//! It does without the client library, so that little of the machine goes into the generator itself; only files go
//! between real drivers, in processes of their own. Nothing it does needs the network beyond loopback, and it accepts
//! any certificate there.

mod account;
mod args;
mod chatter;
mod crew;
mod database;
mod histogram;
mod lines;
mod link;
mod person;
mod plan;
mod process;
mod report;
mod router;
mod rsync;
mod server;
mod side;
mod stream;
mod subject;
mod summary;
mod tls;
mod town;
mod workload;

use std::time::Duration;

use anyhow::Context;
use clap::Parser;

use args::{Args, Common, Workload};
use report::Line;

fn main() -> anyhow::Result<()> {
    let Args { common, workload } = Args::parse();
    process::raise_open_files_limit();
    let threads = common.threads.max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    match &workload {
        Workload::Router => runtime.block_on(router::run(common.plain)),
        Workload::Run(args) => runtime.block_on(plan::run(&common, args)),
        Workload::Side(side) => runtime.block_on(side::inside::run(side)),
        Workload::Files(files) => {
            let limit = Duration::from_secs(common.time_limit);
            let run = async { tokio::time::timeout(limit, workload::files::run(&common, files)).await };
            println!("{}", runtime.block_on(run).context("the time limit is over")??);
            Ok(())
        }
        one => {
            let lines = runtime.block_on(run(&common, one))?;
            println!("{}", report::markdown(&lines));
            Ok(())
        }
    }
}

/// Runs one workload.
async fn run(common: &Common, workload: &Workload) -> anyhow::Result<Vec<Line>> {
    eprintln!("{} {workload:?}", common.subject());
    let limit = Duration::from_secs(common.time_limit);
    let measured = tokio::time::timeout(limit, measure(common, workload)).await;
    let lines = measured.context("the time limit is over")??;
    lines.iter().for_each(|line| eprintln!("{}", report::text(line)));
    Ok(lines)
}

async fn measure(common: &Common, workload: &Workload) -> anyhow::Result<Vec<Line>> {
    let line = match workload {
        Workload::Pairs(pairs) => workload::pairs::run(common, pairs).await,
        Workload::Direct(direct) => workload::direct::run(common, direct).await,
        Workload::Fanout(fanout) => workload::fanout::run(common, fanout).await,
        Workload::Idle(idle) => workload::idle::run(common, idle).await,
        Workload::Logins(logins) => return workload::logins::run(common, logins).await,
        Workload::Storm(storm) => workload::storm::run(common, storm).await,
        Workload::Offline(offline) => workload::offline::run(common, offline).await,
        Workload::Crowd(crowd) => workload::crowd::run(common, crowd).await,
        Workload::Lone(lone) => workload::lone::run(common, lone).await,
        Workload::Reconnect(reconnect) => workload::reconnect::run(common, reconnect).await,
        Workload::Grown(grown) => return workload::grown::run(common, grown).await,
        Workload::Talk(talk) => workload::talk::run(common, talk).await,
        Workload::Swarm(swarm) => workload::swarm::run(common, swarm).await,
        Workload::Files(_) | Workload::Side(_) | Workload::Run(_) | Workload::Router => {
            unreachable!("they have reports of their own")
        }
    };
    Ok(vec![line?])
}
