//! A file from one process to another, or from several: the wall time, the CPU time and the memory of it, over TCP and
//! over QUIC, beside `rsync` in the same round.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    args::{Common, Files, Over},
    rsync::{Rsync, Took},
    side::{Side, Usage},
};

/// What the file is made of, again and again: nothing here looks for repetition.
const PART_BYTES: usize = 1 << 20;
/// Where files are put where nothing else is said: in memory, so that no disk is measured.
const MEMORY: &str = "/dev/shm";
const NAME: &str = "large";

/// What one transfer took.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    wall: f64,
    /// Of both ends.
    cpu: f64,
    given_cpu: f64,
    taken_cpu: f64,
    /// In MiB.
    giver_peak: f64,
    taker_peak: f64,
    /// Wall time, by rsync's in the same round.
    ratio: Option<f64>,
}

/// Runs all rounds. What is returned is to be printed.
pub(crate) async fn run(common: &Common, args: &Files) -> anyhow::Result<String> {
    let place = Place::new(common, args)?;
    let rsync = Rsync::start(place.folder.path(), &place.source()).await?;
    if rsync.is_none() {
        eprintln!("  rsync is not installed: nothing to compare with");
    }
    let ways = args.over.each();
    let mut rounds = vec![Vec::new(); ways.len()];
    let mut yardstick = Vec::new();
    for number in 1..=args.rounds {
        let took = match &rsync {
            Some(rsync) => Some(place.by_rsync(rsync).await?),
            None => None,
        };
        yardstick.extend(took);
        for (way, rounds) in ways.iter().zip(&mut rounds) {
            let mut round = place.transfer(*way, args).await?;
            round.ratio = took.map(|took| round.wall / took.wall.as_secs_f64());
            eprintln!("  round {number}: {}", round.text(*way));
            rounds.push(round);
        }
    }
    if let Some(rsync) = rsync {
        rsync.stop().await?;
    }
    let medians: Vec<_> =
        ways.iter().zip(&rounds).map(|(way, rounds)| (*way, Round::median(rounds))).collect();
    Ok(if args.json { in_json(args, &medians, &yardstick) } else { table(args, &medians, &yardstick) })
}

/// Where everything of a run lies. Gone with it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new(common: &Common, args: &Files) -> anyhow::Result<Self> {
        let memory = Path::new(MEMORY);
        let parent = common.data_in.clone().or_else(|| memory.is_dir().then(|| memory.to_owned()));
        let mut builder = tempfile::Builder::new();
        builder.prefix("hobnob-bench-").disable_cleanup(common.keep);
        let folder = match parent {
            Some(parent) => builder.tempdir_in(parent)?,
            None => builder.tempdir()?,
        };
        let place = Self { folder };
        fs::create_dir(place.source())?;
        let mut file = File::create(place.file())?;
        let mut part = vec![0; PART_BYTES];
        SystemRandom::new().fill(&mut part).map_err(|_| anyhow::anyhow!("no random numbers"))?;
        (0..args.mebibytes).try_for_each(|_| file.write_all(&part))?;
        Ok(place)
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    fn file(&self) -> PathBuf {
        self.source().join(NAME)
    }

    async fn by_rsync(&self, rsync: &Rsync) -> anyhow::Result<Took> {
        let to = TempDir::new_in(self.folder.path())?;
        let took = rsync.fetch(NAME, to.path()).await?;
        self.check(&to.path().join(NAME))?;
        eprintln!("  rsync: {:.2} s, {:.2} CPU s", took.wall.as_secs_f64(), took.cpu.as_secs_f64());
        Ok(took)
    }

    /// One transfer between fresh processes.
    async fn transfer(&self, over: Over, args: &Files) -> anyhow::Result<Round> {
        let folder = || TempDir::new_in(self.folder.path());
        let (mut givers, mut offers, mut folders) = (Vec::new(), Vec::new(), Vec::new());
        for number in 1..=args.sources {
            let own = folder()?;
            let (side, offer) = Side::give(over, number, own.path(), &self.file()).await?;
            givers.push(side);
            offers.push(offer);
            folders.push(own);
        }
        let own = folder()?;
        let mut taker = Side::take(over, 100, own.path()).await?;
        let usages = |givers: &[Side]| givers.iter().map(Side::usage).collect::<anyhow::Result<Vec<_>>>();
        let (gave, took) = (usages(&givers)?, taker.usage()?);
        let wall = taker.fetch(&offers).await?;
        let (given, taken) = (usages(&givers)?, taker.usage()?);
        taker.leave().await?;
        for giver in givers {
            giver.leave().await?;
        }
        self.check(&own.path().join("downloads/file"))?;
        let given_cpu: f64 = gave.iter().zip(&given).map(|(before, after)| spent(before, after)).sum();
        let taken_cpu = spent(&took, &taken);
        let peak = given.iter().map(|usage| usage.peak_kib).max().unwrap_or(0);
        Ok(Round {
            wall: wall.as_secs_f64(),
            cpu: given_cpu + taken_cpu,
            given_cpu,
            taken_cpu,
            giver_peak: peak as f64 / 1024.0,
            taker_peak: taken.peak_kib as f64 / 1024.0,
            ratio: None,
        })
    }

    /// What came is as long as it should be; hobnob has verified its own, rsync has no reason to lie.
    fn check(&self, file: &Path) -> anyhow::Result<()> {
        let len = file.metadata().with_context(|| file.display().to_string())?.len();
        ensure!(len == self.file().metadata()?.len(), "{} has {len} bytes", file.display());
        Ok(())
    }
}

fn spent(before: &Usage, after: &Usage) -> f64 {
    after.cpu.saturating_sub(before.cpu).as_secs_f64()
}

impl Round {
    fn median(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(rounds.iter().map(figure).collect());
        let ratios: Vec<_> = rounds.iter().filter_map(|round| round.ratio).collect();
        Self {
            wall: of(|round| round.wall),
            cpu: of(|round| round.cpu),
            given_cpu: of(|round| round.given_cpu),
            taken_cpu: of(|round| round.taken_cpu),
            giver_peak: of(|round| round.giver_peak),
            taker_peak: of(|round| round.taker_peak),
            ratio: (!ratios.is_empty()).then(|| median(ratios)),
        }
    }

    fn text(&self, over: Over) -> String {
        format!(
            "{}: {:.2} s, {:.2} CPU s ({:.2} giving, {:.2} taking), at most {:.0} and {:.0} MiB",
            over.word(),
            self.wall,
            self.cpu,
            self.given_cpu,
            self.taken_cpu,
            self.giver_peak,
            self.taker_peak
        )
    }
}

/// The middle one; of two the lower, and 0 of none.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

fn of_rsync(yardstick: &[Took], figure: fn(&Took) -> Duration) -> Option<f64> {
    let figures: Vec<_> = yardstick.iter().map(|took| figure(took).as_secs_f64()).collect();
    (!figures.is_empty()).then(|| median(figures))
}

fn table(args: &Files, medians: &[(Over, Round)], yardstick: &[Took]) -> String {
    let mut lines = vec![
        format!("{} MiB, {} source(s), median of {} round(s)\n", args.mebibytes, args.sources, args.rounds),
        "| way | s | CPU s both ends | giving | taking | peak MiB giving | taking | times rsync |".to_owned(),
        "| --- | --- | --- | --- | --- | --- | --- | --- |".to_owned(),
    ];
    for (over, round) in medians {
        let ratio = round.ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}"));
        lines.push(format!(
            "| {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} | {:.0} | {ratio} |",
            over.word(),
            round.wall,
            round.cpu,
            round.given_cpu,
            round.taken_cpu,
            round.giver_peak,
            round.taker_peak
        ));
    }
    let rsync = (of_rsync(yardstick, |took| took.wall), of_rsync(yardstick, |took| took.cpu));
    if let (Some(wall), Some(cpu)) = rsync {
        lines.push(format!("| rsync | {wall:.2} | {cpu:.2} | – | – | – | – | 1 |"));
    }
    lines.join("\n")
}

fn in_json(args: &Files, medians: &[(Over, Round)], yardstick: &[Took]) -> String {
    let ways: Vec<Value> = medians
        .iter()
        .map(|(over, round)| {
            json!({
                "over": over.word(),
                "wall_s": round.wall,
                "cpu_s": round.cpu,
                "giving_cpu_s": round.given_cpu,
                "taking_cpu_s": round.taken_cpu,
                "giver_peak_mib": round.giver_peak,
                "taker_peak_mib": round.taker_peak,
                "times_rsync": round.ratio,
            })
        })
        .collect();
    json!({
        "mebibytes": args.mebibytes,
        "sources": args.sources,
        "rounds": args.rounds,
        "medians": ways,
        "rsync_wall_s": of_rsync(yardstick, |took| took.wall),
        "rsync_cpu_s": of_rsync(yardstick, |took| took.cpu),
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![3.0, 1.0]), 1.0);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
