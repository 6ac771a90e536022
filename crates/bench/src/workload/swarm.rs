//! A swarm on machines with capped uplinks: one shares, some begin to download together, and the last one's completion
//! counts against what the uplinks allow.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use ring::{
    digest,
    rand::{SecureRandom, SystemRandom},
};
use tokio::time::Instant;

use crate::{
    account::{self, Account},
    args::{Common, Swarm},
    person::Person,
    report::Line,
    server::{self, Server},
    town::Town,
};

/// Where the server listens: at the hub.
const PORT: u16 = 4000;

/// Measures it, or says why not.
pub(crate) async fn run(common: &Common, args: &Swarm) -> anyhow::Result<Line> {
    let workload = format!("swarm of 1 and {}", args.leechers);
    if let Some(why) = Town::refusal().await {
        eprintln!("SKIPPED: {why}");
        return Ok(Line { workload, note: format!("SKIPPED: {why}"), ..Line::default() });
    }
    let town = Town::build(args.leechers + 1, args.uplink).await?;
    let accounts = account::make("person", usize::from(args.leechers) + 1)?;
    let server = Server::start_in_town(common, &accounts, &town, PORT).await?;
    let mut swarm = Members::gather(common, &server, &town, &accounts).await?;
    let mut seconds = Vec::new();
    for round in 0..args.rounds {
        let last = swarm.round(args, round).await?;
        eprintln!("  round {}: {last:.2} s", round + 1);
        seconds.push(last);
    }
    swarm.leave().await?;
    server.stop().await?;
    seconds.sort_by(f64::total_cmp);
    let ideal = ideal(args);
    let median = seconds[seconds.len() / 2];
    let note = format!(
        "{} MiB, every uplink {} Mbit/s, all begin together: the last is complete after {median:.2} s (median of {}; best {:.2}, \
         worst {:.2}); ideal {ideal:.2} s, ratio {:.2}; everybody from the seeder {:.1} s",
        args.mebibytes,
        args.uplink,
        seconds.len(),
        seconds[0],
        seconds[seconds.len() - 1],
        median / ideal,
        ideal * f64::from(args.leechers),
    );
    Ok(Line { workload, sessions: usize::from(args.leechers) + 1, note, ..Line::default() })
}

/// Every byte has to leave the seeder once, and with that all uplinks together have time to spare.
fn ideal(args: &Swarm) -> f64 {
    (args.mebibytes << 23) as f64 / (f64::from(args.uplink) * 1e6)
}

/// The one who shares, and the others.
struct Members {
    seeder: Person,
    leechers: Vec<Person>,
    /// Each one's own, in this order; the seeder's first.
    folders: Vec<PathBuf>,
}

impl Members {
    async fn gather(
        common: &Common,
        server: &Server,
        town: &Town,
        accounts: &[Arc<Account>],
    ) -> anyhow::Result<Self> {
        let program = server::program(common)?;
        let (mut people, mut folders) = (Vec::new(), Vec::new());
        for (account, machine) in accounts.iter().zip(1..) {
            let folder = server.folder().join(format!("files of {}", account.name));
            fs::create_dir(&folder)?;
            let mut command = town.command(machine, &program);
            command.args(["chat", "--plain", "--downloads"]).arg(&folder);
            people.push(Person::log_in_with(command, server.folder(), &server.target, account).await?);
            folders.push(folder);
        }
        let seeder = people.remove(0);
        Ok(Self { seeder, leechers: people, folders })
    }

    /// Shares a new file; how long it took until the last one had it, in seconds.
    async fn round(&mut self, args: &Swarm, round: u32) -> anyhow::Result<f64> {
        let name = format!("round {round}.bin");
        let original = write_random(&self.folders[0].join(&name), args.mebibytes)?;
        self.seeder.types(&format!("share {}", self.folders[0].join(&name).display())).await?;
        self.seeder.sees(&format!("Sharing {name}: ")).await?;
        for leecher in &mut self.leechers {
            // Everybody knows of it before anybody begins.
            leecher.types(&format!("searchFile {name}")).await?;
            leecher.sees("Available").await?;
        }
        let begun = Instant::now();
        let done = self.leechers.iter_mut().map(|leecher| async {
            leecher.types(&format!("download {name}")).await?;
            leecher.sees(&format!("Downloaded {name}: ")).await
        });
        let ends = try_join_all(done).await?;
        let last = ends.into_iter().max().context("nobody downloads")?;
        for folder in &self.folders[1..] {
            ensure!(
                hash(&folder.join(&name))?.as_ref() == original.as_ref(),
                "{} is not what was shared",
                folder.display()
            );
            fs::remove_file(folder.join(&name))?;
        }
        for person in std::iter::once(&mut self.seeder).chain(&mut self.leechers) {
            person.types(&format!("unshare {name}")).await?;
            // Theirs is gone, and may be noticed before.
            person.sees(&name).await?;
        }
        fs::remove_file(self.folders[0].join(&name))?;
        Ok((last - begun).as_secs_f64())
    }

    async fn leave(self) -> anyhow::Result<()> {
        for person in std::iter::once(self.seeder).chain(self.leechers) {
            person.leave().await?;
        }
        Ok(())
    }
}

/// Writes a file of random bytes, and says its hash.
fn write_random(path: &Path, mebibytes: u64) -> anyhow::Result<digest::Digest> {
    let mut file = fs::File::create_new(path)?;
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut block = vec![0; 1 << 20];
    for _ in 0..mebibytes {
        SystemRandom::new().fill(&mut block).map_err(|_| anyhow::anyhow!("no random numbers"))?;
        file.write_all(&block)?;
        hash.update(&block);
    }
    Ok(hash.finish())
}

fn hash(path: &Path) -> anyhow::Result<digest::Digest> {
    let mut file = fs::File::open(path).with_context(|| path.display().to_string())?;
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut block = vec![0; 1 << 20];
    loop {
        match std::io::Read::read(&mut file, &mut block)? {
            0 => return Ok(hash.finish()),
            count => hash.update(&block[..count]),
        }
    }
}
