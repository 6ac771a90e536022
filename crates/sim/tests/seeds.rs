//! Many seeds, none of which may show a problem. One alone, with its log: `HOBNOB_SIM_SEED=17 cargo test -p hobnob-sim
//! --test seeds one_seed -- --nocapture`. A longer run: `HOBNOB_SIM_SEEDS=100000 cargo test -p hobnob-sim --test seeds`.

use std::collections::BTreeMap;
use std::ops::Range;

use hobnob_sim::{Report, run};

/// Seeds of an ordinary run, and how many of them are run a second time.
const SEEDS: u64 = 1000;
const TWICE: u64 = 20;
/// Seeds with problems after which there is no need to go on.
const FAILED_MAX: usize = 5;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("a number of seeds"))
}

fn seeds() -> u64 {
    number("HOBNOB_SIM_SEEDS").unwrap_or(SEEDS)
}

fn how_to_see(report: &Report) -> String {
    let problems: Vec<_> =
        report.problems.iter().map(|problem| format!("  {:?}: {}", problem.kind, problem.what)).collect();
    format!(
        "seed {0} has problems; HOBNOB_SIM_SEED={0} cargo test -p hobnob-sim --test seeds one_seed -- --nocapture\n{1}",
        report.seed,
        problems.join("\n")
    )
}

/// Runs some seeds and says how much went wrong in them on average.
fn run_all(seeds: Range<u64>) {
    let mut failed = Vec::new();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let of = seeds.end - seeds.start;
    for seed in seeds {
        let report = run(seed, None, false);
        report.counts.iter().for_each(|(what, count)| *counts.entry(what).or_default() += count);
        if !report.problems.is_empty() {
            failed.push(how_to_see(&report));
        }
        if failed.len() >= FAILED_MAX {
            break;
        }
    }
    for (what, count) in counts {
        println!("{:>9.2} a run: {what}", count as f64 / of as f64);
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

// Two halves, so that two threads run them.

#[test]
fn nothing_is_lost_or_doubled_in_one_half_of_the_seeds() {
    run_all(1..seeds() / 2 + 1);
}

#[test]
fn nothing_is_lost_or_doubled_in_the_other_half() {
    run_all(seeds() / 2 + 1..seeds() + 1);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 1..=TWICE {
        assert_eq!(run(seed, None, false).hash, run(seed, None, true).hash, "seed {seed}");
    }
}

#[test]
fn one_seed() {
    let Some(seed) = number("HOBNOB_SIM_SEED") else { return };
    let report = run(seed, None, true);
    report.lines.iter().for_each(|line| println!("{line}"));
    assert!(report.problems.is_empty(), "{}", how_to_see(&report));
}
