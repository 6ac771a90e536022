//! Private talk: the real machines of two or three people, the server's real requests, and a network that
//! loses links, in simulated time that needs no runtime. All chance comes from one seed.
//!
//! People ask, answer, write and stop while connections break, links die on one side or both, relay and
//! server go away, and processes are killed. Then all of it ends, a quarter of an hour passes, and what each
//! was told is compared.

mod check;
mod dialling;
mod ledger;
mod people;
mod requests;
mod server;
mod shortcut;
mod trouble;
mod wires;
mod world;

use std::collections::BTreeMap;

pub use shortcut::TalkShortcut;
use world::World;

/// What came out of a run.
#[derive(Debug)]
pub struct TalkReport {
    /// By which it can be had again.
    pub seed: u64,
    /// What was wrong; nothing, if the product is right.
    pub problems: Vec<String>,
    /// The log, if it was asked for.
    pub lines: Vec<String>,
    /// What happened, and how often.
    pub counts: BTreeMap<&'static str, u64>,
}

/// Runs one seed, with a shortcut if one is given.
#[must_use]
pub fn run_talks(seed: u64, shortcut: Option<TalkShortcut>, keep_lines: bool) -> TalkReport {
    let mut world = World::new(seed, shortcut, keep_lines);
    world.play();
    let mut ledger = world.ledger;
    ledger.counts.retain(|_, count| *count > 0);
    TalkReport { seed, problems: ledger.problems, lines: ledger.lines, counts: ledger.counts }
}
