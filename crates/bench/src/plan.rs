//! W1 to W8 as the project states them, in rounds: everyone whom a workload is run against has a turn in each round,
//! so that all of them see the same weather.

use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::{
    args::{
        Common, Crowd, Direct, Fanout, Grown, Idle, Logins, Lone, Offline, Pairs, Reconnect, Storm, Workload,
    },
    report::{self, Line},
    server,
    subject::Subject,
    summary,
};

/// What to run, and where to write it.
#[derive(Clone, Debug, Args)]
pub(crate) struct Run {
    /// Only these [default: all of them; with --quick W1 to W4 and W6]
    #[arg(value_enum, ignore_case = true)]
    only: Vec<Which>,
    /// Short runs: under five minutes on an idle machine
    #[arg(long)]
    quick: bool,
    /// Tiny numbers, to see that it works
    #[arg(long, conflicts_with = "quick")]
    tiny: bool,
    /// How often each is measured
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// hobnob alone
    #[arg(long)]
    alone: bool,
    /// Also write all rounds and the medians here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Stands in the JSON: the date and the commit, say
    #[arg(long, value_name = "TEXT", default_value = "")]
    label: String,
}

/// The workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    W1,
    W2,
    W3,
    W4,
    W5,
    W6,
    W7,
    W8,
}

/// How long and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Full,
    Quick,
    Tiny,
}

impl Size {
    fn pick<T>(self, full: T, quick: T, tiny: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
            Self::Tiny => tiny,
        }
    }
}

/// A workload and everyone it is run against.
struct Case {
    workload: Workload,
    against: Vec<Subject>,
    /// Also measured with an fsync that takes longer.
    durable: bool,
}

/// Milliseconds added to each fsync; none shows what the tracer costs.
const FSYNC_DELAYS: [f64; 2] = [0.0, 2.0];

/// What was measured.
#[derive(Serialize)]
struct Report<'a> {
    label: &'a str,
    cores: usize,
    rounds: u32,
    medians: &'a [Line],
    all: &'a [Line],
}

/// Runs the plan and prints the medians.
pub(crate) async fn run(common: &Common, args: &Run) -> anyhow::Result<()> {
    let size = match (args.tiny, args.quick) {
        (true, _) => Size::Tiny,
        (false, true) => Size::Quick,
        (false, false) => Size::Full,
    };
    let missing = missing(args);
    let (mut all, mut medians) = (Vec::new(), Vec::new());
    for which in args.which() {
        for case in cases(which, size, args.rounds) {
            let lines = rounds(common, args, &case, size, &missing).await?;
            medians.extend(summary::medians(&lines));
            all.extend(lines);
        }
    }
    println!("{}", report::markdown(&medians));
    if let Some(path) = &args.json {
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let report = Report { label: &args.label, cores, rounds: args.rounds, medians: &medians, all: &all };
        let text = serde_json::to_string_pretty(&report)? + "\n";
        fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

impl Run {
    fn which(&self) -> Vec<Which> {
        use Which::{W1, W2, W3, W4, W5, W6, W7, W8};
        match (&*self.only, self.quick) {
            ([], true) => vec![W1, W2, W3, W4, W6],
            ([], false) => vec![W1, W2, W3, W4, W5, W6, W7, W8],
            (only, _) => only.to_vec(),
        }
    }
}

/// Whom this run does without.
fn missing(args: &Run) -> Vec<Subject> {
    if args.alone {
        return vec![Subject::Router, Subject::Ngircd];
    }
    if server::has_ngircd() {
        return Vec::new();
    }
    eprintln!("SKIPPED: ngircd is not installed (Debian's package `ngircd`)");
    vec![Subject::Ngircd]
}

async fn rounds(
    common: &Common,
    args: &Run,
    case: &Case,
    size: Size,
    missing: &[Subject],
) -> anyhow::Result<Vec<Line>> {
    // W8 takes its databases through the rounds itself.
    let rounds = if matches!(case.workload, Workload::Grown(_)) { 1 } else { args.rounds };
    let delays: &[f64] = if case.durable && size == Size::Full { &FSYNC_DELAYS } else { &[] };
    let mut lines = Vec::new();
    for _ in 0..rounds {
        let mut round = Vec::new();
        for &at in case.against.iter().filter(|at| !missing.contains(at)) {
            round.extend(crate::run(&Common { at, ..common.clone() }, &case.workload).await?);
        }
        for &delay_ms in delays {
            let common = Common { at: Subject::Hobnob, fsync_delay: Some(delay_ms), ..common.clone() };
            round.extend(crate::run(&common, &case.workload).await?);
        }
        summary::compare(&mut round);
        lines.extend(round);
    }
    Ok(lines)
}

fn cases(which: Which, size: Size, rounds: u32) -> Vec<Case> {
    let everyone = vec![Subject::Hobnob, Subject::Router, Subject::Ngircd];
    let seconds = size.pick(10.0, 1.5, 0.3);
    let warm_up = size.pick(2.0, 0.5, 0.1);
    let pairs = |sessions, rate| Pairs { sessions, rate, seconds, warm_up };
    let alone = |workload| Case { workload, against: vec![Subject::Hobnob], durable: false };
    let beside = |workload, against| Case { workload, against, durable: false };
    match which {
        Which::W1 => {
            let few = Workload::Pairs(pairs(size.pick(100, 100, 4), None));
            let many = Workload::Pairs(pairs(size.pick(1_000, 1_000, 8), None));
            vec![Case { durable: true, ..beside(few, everyone.clone()) }, beside(many, everyone)]
        }
        Which::W2 => {
            let sessions = size.pick(40, 40, 4);
            let direct = Workload::Direct(Direct { sessions, in_flight: 32, seconds, warm_up });
            vec![Case { durable: true, ..beside(direct, everyone) }]
        }
        Which::W3 => {
            let (sessions, users) = size.pick((1_000, 10), (1_000, 10), (10, 1));
            let fanout = Fanout { sessions, users, in_flight: 16, unpaced: false, seconds, warm_up };
            vec![beside(Workload::Fanout(fanout), everyone)]
        }
        Which::W4 => {
            let (sessions, users) = size.pick((10_000, 100), (2_000, 20), (20, 2));
            let idle = Idle { sessions, users, seconds: size.pick(40.0, 2.0, 0.1) };
            vec![beside(Workload::Idle(idle), vec![Subject::Hobnob, Subject::Router])]
        }
        Which::W5 => {
            let (passwords, sessions) = size.pick((200, 1_000), (50, 200), (4, 8));
            let logins = Workload::Logins(Logins { passwords, sessions, at_once: 32, seconds });
            let paced = pairs(size.pick(100, 100, 4), Some(size.pick(10_000.0, 10_000.0, 400.0)));
            let storm = Workload::Storm(Storm { pairs: paced, passwords });
            vec![beside(logins, vec![Subject::Hobnob, Subject::Router]), alone(storm)]
        }
        Which::W6 => {
            let (recipients, messages) = size.pick((20, 10_000), (20, 2_000), (2, 300));
            let offline = Workload::Offline(Offline { recipients, messages, in_flight: 32 });
            let (recipients, stored) = size.pick((20_000, 2_000_000), (20_000, 200_000), (20, 200));
            let messages = size.pick(10_000, 2_000, 100);
            let crowd = Crowd { recipients, stored, senders: 20, messages, in_flight: 32 };
            let lone = Workload::Lone(Lone { messages: size.pick(1_000, 300, 20) });
            vec![Case { durable: true, ..alone(offline) }, alone(Workload::Crowd(crowd)), alone(lone)]
        }
        Which::W7 => {
            let (sessions, users) = size.pick((10_000, 100), (1_000, 10), (20, 2));
            vec![alone(Workload::Reconnect(Reconnect { sessions, users, at_once: 100 }))]
        }
        Which::W8 => {
            let full = vec![1_000, 10_000, 100_000, 1_000_000];
            let accounts = size.pick(full, vec![1_000, 100_000], vec![100, 1_000]);
            let pairs = pairs(size.pick(100, 100, 4), None);
            vec![alone(Workload::Grown(Grown { accounts, rounds, pairs }))]
        }
    }
}
