//! With a shortcut in the design the simulation has to fail, and soon: otherwise it would not notice if somebody took
//! one.

use hobnob_sim::{Kind, Which, run};

/// Runs seeds until one loses or doubles something.
fn check(which: Which, seeds_max: u64) {
    for seed in 1..=seeds_max {
        let report = run(seed, Some(which), false);
        let broken = |kind| matches!(kind, Kind::Lost | Kind::Doubled);
        if let Some(problem) = report.problems.iter().find(|problem| broken(problem.kind)) {
            println!("{which:?} fails at seed {seed}: {:?}, {}", problem.kind, problem.what);
            return;
        }
    }
    panic!("{which:?} was not noticed in {seeds_max} seeds");
}

#[test]
fn an_ack_before_the_commit_is_noticed() {
    check(Which::AckBeforeCommit, 50);
}

#[test]
fn a_number_before_the_commit_is_noticed() {
    check(Which::NumberBeforeCommit, 50);
}

#[test]
fn a_cursor_moved_at_send_is_noticed() {
    check(Which::CursorAtSend, 50);
}

#[test]
fn a_server_that_forgets_what_it_accepted_is_noticed() {
    check(Which::NoIdempotency, 50);
}

#[test]
fn a_client_that_does_not_see_gaps_is_noticed() {
    check(Which::NoGapCheck, 50);
}

#[test]
fn a_missing_sweep_is_noticed() {
    check(Which::NoSweep, 50);
}
