//! Private talk under many seeds, none of which may show a problem. One alone, with its log:
//! `HOBNOB_SIM_SEED=17 cargo test -p hobnob-sim --test talks one_seed -- --nocapture`. A longer run:
//! `HOBNOB_SIM_SEEDS=100000 cargo test -p hobnob-sim --test talks`.

use std::collections::BTreeMap;
use std::ops::Range;

use hobnob_sim::{TalkReport, TalkShortcut, run_talks};

/// Seeds of an ordinary run.
const SEEDS: u64 = 1000;
/// Seeds with problems after which there is no need to go on.
const FAILED_MAX: usize = 5;
/// Seeds in which a shortcut has to show.
const SHORTCUT_SEEDS_MAX: u64 = 200;
/// What has to happen in an ordinary run, or it shows nothing.
const MUST_HAPPEN: [&str; 15] = [
    "question",
    "declined",
    "no answer",
    "expired",
    "no connection",
    "talk begun",
    "message shown",
    "message undelivered",
    "interrupted",
    "goes on",
    "path changed",
    "process killed",
    "server killed",
    "logout",
    "talk outlives the trouble",
];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("a number of seeds"))
}

fn seeds() -> u64 {
    number("HOBNOB_SIM_SEEDS").unwrap_or(SEEDS)
}

fn how_to_see(report: &TalkReport) -> String {
    format!(
        "seed {0} has problems; HOBNOB_SIM_SEED={0} cargo test -p hobnob-sim --test talks one_seed -- --nocapture\n  {1}",
        report.seed,
        report.problems.join("\n  ")
    )
}

/// Runs some seeds and says what happened in them on average.
fn run_all(seeds: Range<u64>) {
    let of = seeds.end - seeds.start;
    let mut failed = Vec::new();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in seeds {
        let report = run_talks(seed, None, false);
        report.counts.iter().for_each(|(what, count)| *counts.entry(what).or_default() += count);
        if !report.problems.is_empty() {
            failed.push(how_to_see(&report));
        }
        if failed.len() >= FAILED_MAX {
            break;
        }
    }
    for (what, count) in &counts {
        println!("{:>9.2} a run: {what}", *count as f64 / of as f64);
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let missing: Vec<_> = MUST_HAPPEN.into_iter().filter(|what| !counts.contains_key(what)).collect();
    assert!(of < SEEDS / 2 || missing.is_empty(), "never happened: {missing:?}");
}

// Two halves, so that two threads run them.

#[test]
fn both_sides_agree_and_nothing_is_lost_in_one_half_of_the_seeds() {
    run_all(1..seeds() / 2 + 1);
}

#[test]
fn both_sides_agree_and_nothing_is_lost_in_the_other_half() {
    run_all(seeds() / 2 + 1..seeds() + 1);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 1..=5 {
        let (one, other) = (run_talks(seed, None, true), run_talks(seed, None, true));
        assert!(one.lines.len() > 20);
        assert!(one.lines == other.lines, "seed {seed}");
    }
}

#[test]
fn one_seed() {
    let Some(seed) = number("HOBNOB_SIM_SEED") else { return };
    let report = run_talks(seed, None, true);
    report.lines.iter().for_each(|line| println!("{line}"));
    assert!(report.problems.is_empty(), "{}", how_to_see(&report));
}

/// With a shortcut in the design the simulation has to fail, and soon.
fn check(which: TalkShortcut) {
    for seed in 1..=SHORTCUT_SEEDS_MAX {
        if let Some(problem) = run_talks(seed, Some(which), false).problems.first() {
            println!("{which:?} fails at seed {seed}: {problem}");
            return;
        }
    }
    panic!("{which:?} was not noticed in {SHORTCUT_SEEDS_MAX} seeds");
}

#[test]
fn texts_shown_twice_are_noticed() {
    check(TalkShortcut::NoDedupe);
}

#[test]
fn a_machine_without_a_clock_is_noticed() {
    check(TalkShortcut::NoClock);
}

#[test]
fn an_end_without_a_good_bye_is_noticed() {
    check(TalkShortcut::NoBye);
}

#[test]
fn texts_that_are_not_sent_again_are_noticed() {
    check(TalkShortcut::NoResend);
}

#[test]
fn missing_acknowledgements_are_noticed() {
    check(TalkShortcut::NoAck);
}

#[test]
fn unreported_losses_are_noticed() {
    check(TalkShortcut::NoReport);
}
