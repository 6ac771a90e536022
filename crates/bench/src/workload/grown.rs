//! W8: what a message costs as accounts and stored messages grow. The databases are made first, then each is measured
//! in turn, and that over again.

use tokio::time::Instant;

use super::pairs;
use crate::{
    account,
    args::{Common, Grown},
    database::Ballast,
    report::{Figure, Line},
    server::{Data, Server},
};

/// Stored messages for each account.
const MESSAGES: u64 = 10;

/// Makes the databases and runs pairs on each.
pub(crate) async fn run(common: &Common, args: &Grown) -> anyhow::Result<Vec<Line>> {
    let users = account::make("pair", args.pairs.sessions as usize / 2 * 2)?;
    let mut sizes = Vec::new();
    for &accounts in &args.accounts {
        let begun = Instant::now();
        let ballast = Ballast { accounts, messages: accounts * MESSAGES, text_bytes: common.text_bytes };
        sizes.push((accounts, Data::make(common, &users, ballast).await?));
        eprintln!("  {accounts} accounts made in {:.1} s", begun.elapsed().as_secs_f64());
    }
    let mut lines: Vec<Line> = Vec::new();
    for _ in 0..args.rounds {
        let first = lines.len();
        for (accounts, data) in &sizes {
            let begun = Instant::now();
            let server = Server::on(common, data.clone(), &[], None).await?;
            let started = begun.elapsed().as_secs_f64();
            let line = pairs::converse(common, &args.pairs, &server, &users).await?;
            let memory = server.memory()?;
            server.stop().await?;
            let mut figures = vec![
                Figure::new("start s", started),
                Figure::new("server RSS MiB", memory.rss_kib as f64 / 1024.0),
            ];
            let smallest = lines.get(first).and_then(|line| line.server_cpu);
            if let Some((own, smallest)) = line.server_cpu.zip(smallest) {
                figures.push(Figure::new("CPU beside the smallest", own / smallest));
            }
            let workload = format!("{}, {accounts} accounts, {} stored", line.workload, accounts * MESSAGES);
            lines.push(Line { workload, figures, ..line });
        }
    }
    Ok(lines)
}
