//! The load generator: starts a server, talks the protocol to it over loopback, and prints what it took.
//!
//! It does without the client library, so that little of the machine goes into the generator itself; only files go
//! between real drivers, in processes of their own. Nothing it does needs the network beyond loopback, and it accepts
//! any certificate there.

mod account;
mod args;
mod crew;
mod histogram;
mod link;
mod person;
mod process;
mod report;
mod rsync;
mod server;
mod side;
mod stream;
mod tls;
mod town;
mod workload;

use std::time::Duration;

use anyhow::Context;
use clap::Parser;

use args::{Args, Workload};
use report::Line;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    process::raise_open_files_limit();
    let threads = args.common.threads.max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    match &args.workload {
        Workload::Side(side) => return runtime.block_on(side::inside::run(side)),
        Workload::Files(files) => {
            let limit = Duration::from_secs(args.common.time_limit);
            let run = async { tokio::time::timeout(limit, workload::files::run(&args.common, files)).await };
            println!("{}", runtime.block_on(run).context("the time limit is over")??);
        }
        _ => println!("{}", report::markdown(&runtime.block_on(run_all(&args))?)),
    }
    Ok(())
}

async fn run_all(args: &Args) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for workload in args.workload.each() {
        eprintln!("{workload:?}");
        let limit = Duration::from_secs(args.common.time_limit);
        let measured = tokio::time::timeout(limit, run(&args.common, &workload)).await;
        let line = measured.context("the time limit is over")??;
        eprintln!("{}", report::text(&line));
        lines.push(line);
    }
    Ok(lines)
}

async fn run(common: &args::Common, workload: &Workload) -> anyhow::Result<Line> {
    match workload {
        Workload::Idle(idle) => workload::idle::run(common, idle).await,
        Workload::Direct(direct) => workload::direct::run(common, direct).await,
        Workload::Fanout(fanout) => workload::fanout::run(common, fanout).await,
        Workload::Offline(offline) => workload::offline::run(common, offline).await,
        Workload::Talk(talk) => workload::talk::run(common, talk).await,
        Workload::Swarm(swarm) => workload::swarm::run(common, swarm).await,
        Workload::Files(_) | Workload::Side(_) => unreachable!("they have reports of their own"),
        Workload::All { .. } => unreachable!("`all` was taken apart"),
    }
}
