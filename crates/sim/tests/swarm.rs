//! Simulated swarms over fixed seeds: how near they come to what no swarm can beat, and that they get over liars, silence,
//! loss and absence. To see the figures: `cargo test -p hobnob-sim --test swarm -- --nocapture`.

use std::time::Duration;

use hobnob_peer::swarm::Fault;
use hobnob_sim::swarm::{Leaves, Manner, Member, Order, Outcome, Plan, run};

/// Bytes a second of a megabit a second.
const MBIT: u64 = 125_000;
const MIB: u64 = 1 << 20;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Near each other and far, so that no two are alike.
fn latency(number: u64) -> Duration {
    ms(5 + number * 7 % 40)
}

/// Runs it, tells the figures, and checks that nobody asked whom it should not.
fn told(name: &str, plan: &Plan) -> Outcome {
    let outcome = run(plan);
    let (last, bound) = (outcome.last(), plan.bound());
    println!(
        "{name}, seed {}: last {last:.2?}, median {:.2?}, bound {bound:.2?}, ratio {:.3}; {} events; {} drops; {:?}",
        plan.seed,
        outcome.median(),
        last.as_secs_f64() / bound.as_secs_f64(),
        outcome.events,
        outcome.drops.len(),
        outcome.counts,
    );
    assert_eq!(outcome.wrong, [""; 0]);
    outcome
}

/// All who want it and stay have it.
fn complete(plan: &Plan, outcome: &Outcome) {
    for (number, member) in plan.members.iter().enumerate() {
        let wants =
            member.manner == Manner::Honest && !member.has_all && !matches!(member.leaves, Leaves::At(_));
        assert!(
            !wants || outcome.done[number].is_some(),
            "{number} of seed {} is not done: {member:?}",
            plan.seed
        );
    }
}

/// One seeder and four leechers with equal uplinks.
fn few(seed: u64) -> Plan {
    let mut members = vec![Member::seeder(200 * MBIT, 1000 * MBIT, ms(1))];
    members.extend((0..4).map(|_| Member::leecher(200 * MBIT, 1000 * MBIT, ms(1))));
    Plan::new(seed, 256 * MIB, members)
}

/// One seeder and many leechers as they are found: most with little uplink, a few with much.
fn mixed(seed: u64, leechers: u64, size: u64) -> Plan {
    let mut members = vec![Member::seeder(100 * MBIT, 100 * MBIT, ms(10))];
    members.extend((0..leechers).map(|number| {
        let up = [5, 10, 20, 50, 100][number as usize % 5];
        Member::leecher(up * MBIT, (up * 4).max(50) * MBIT, latency(number))
    }));
    Plan::new(seed, size, members)
}

/// A seeder whose uplink is what everybody waits for.
fn thin(seed: u64, leechers: u64) -> Plan {
    let mut members = vec![Member::seeder(20 * MBIT, 100 * MBIT, ms(10))];
    members.extend((0..leechers).map(|number| Member::leecher(50 * MBIT, 200 * MBIT, latency(number))));
    Plan::new(seed, 32 * MIB, members)
}

fn with(mut plan: Plan, manner: Manner, count: u64) -> Plan {
    let member = |number| Member { manner, ..Member::leecher(50 * MBIT, 100 * MBIT, latency(number)) };
    plan.members.extend((0..count).map(member));
    plan
}

#[test]
fn four_leechers_take_hardly_longer_than_the_seeder_needs_for_one_copy() {
    for seed in 1..=5 {
        let plan = few(seed);
        assert_eq!(plan.chunk_bytes, 256 << 10);
        let outcome = told("4 leechers", &plan);
        complete(&plan, &outcome);
        assert!(outcome.last().as_secs_f64() < plan.bound().as_secs_f64() * 1.15);
    }
}

#[test]
fn two_hundred_mixed_leechers_come_near_the_bound() {
    let plan = mixed(1, 200, 64 * MIB);
    let outcome = told("200 leechers", &plan);
    complete(&plan, &outcome);
    assert!(outcome.last().as_secs_f64() < plan.bound().as_secs_f64() * 1.5);
}

#[test]
fn a_liar_is_dropped_at_once_and_never_asked_again() {
    for seed in 1..=3 {
        let plan = with(thin(seed, 12), Manner::Liar, 3);
        let outcome = told("3 liars", &plan);
        complete(&plan, &outcome);
        let lies: Vec<_> = outcome.drops.iter().filter(|drop| drop.why == Fault::Lied).collect();
        assert!(!lies.is_empty());
        for (number, lie) in lies.iter().enumerate() {
            assert_eq!(plan.members[lie.peer].manner, Manner::Liar);
            // A second time would be a second drop.
            let again = lies[number + 1..].iter().any(|other| (other.by, other.peer) == (lie.by, lie.peer));
            assert!(!again, "{} asked {} again", lie.by, lie.peer);
        }
        assert!(outcome.last() < plan.bound() * 2);
    }
}

#[test]
fn silent_sources_hold_nobody_up_for_long() {
    for seed in 1..=3 {
        let plan = with(thin(seed, 12), Manner::Silent, 3);
        let outcome = told("3 silent ones", &plan);
        complete(&plan, &outcome);
        let silent = |number: usize| plan.members[number].manner == Manner::Silent;
        assert!(outcome.drops.iter().all(|drop| silent(drop.peer)), "{:?}", outcome.drops);
        assert!(outcome.drops.iter().any(|drop| drop.why == Fault::Silent));
        assert!(outcome.last() < plan.bound() * 3 / 2);
    }
}

#[test]
fn a_map_that_claims_too_much_does_no_harm() {
    for seed in 1..=3 {
        let plan = with(thin(seed, 12), Manner::Boaster, 2);
        let outcome = told("2 boasters", &plan);
        complete(&plan, &outcome);
    }
}

#[test]
fn the_seeder_may_leave_when_one_copy_is_out() {
    for seed in 1..=5 {
        let mut plan = thin(seed, 30);
        plan.members[0].leaves = Leaves::AfterOneCopy;
        let outcome = told("the seeder leaves", &plan);
        assert_eq!(outcome.count("left"), 1);
        complete(&plan, &outcome);
        assert!(outcome.last().as_secs_f64() < plan.bound().as_secs_f64() * 1.5);
    }
}

#[test]
fn who_comes_late_is_done_as_soon_and_who_leaves_is_not_missed() {
    for seed in 1..=3 {
        let mut plan = mixed(seed, 60, 32 * MIB);
        for (number, member) in plan.members.iter_mut().enumerate().skip(1) {
            member.joins = ms(number as u64 * 300);
            match number % 4 {
                0 => member.leaves = Leaves::At(member.joins + secs(3) + latency(number as u64) * 100),
                1 => member.leaves = Leaves::AfterDone(Duration::ZERO),
                _ => {}
            }
        }
        let outcome = told("coming and going", &plan);
        complete(&plan, &outcome);
        assert!(outcome.count("left") > 15);
        for (number, done) in
            outcome.done.iter().enumerate().filter_map(|(number, done)| Some((number, (*done)?)))
        {
            assert!(done < plan.members[number].joins + secs(40), "{number} came and took until {done:?}");
        }
    }
}

#[test]
fn with_nobody_there_it_waits_and_then_goes_on() {
    for seed in 1..=3 {
        let mut plan = thin(seed, 1);
        plan.members[0].joins = secs(100);
        plan.server_away = Some((secs(0), secs(30)));
        let outcome = told("nobody there", &plan);
        assert_eq!((outcome.count("stalled"), outcome.count("goes on")), (1, 1));
        assert!(outcome.last() < secs(100) + secs(60) + plan.bound() * 2);
        assert!(outcome.count("asks of the server") < 30);
    }
}

#[test]
fn the_server_is_not_needed_once_it_has_begun() {
    let mut plan = thin(1, 20);
    plan.server_away = Some((secs(4), secs(3600)));
    let outcome = told("no server", &plan);
    complete(&plan, &outcome);
    assert!(outcome.last() < plan.bound() * 2);
}

#[test]
fn over_relayed_links_alone_it_works_too() {
    let mut plan = thin(1, 10);
    plan.members.iter_mut().for_each(|member| member.relayed = true);
    let outcome = told("all relayed", &plan);
    complete(&plan, &outcome);
    assert!(outcome.last() < plan.bound() * 2);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let plan = |seed| with(with(mixed(seed, 30, 16 * MIB), Manner::Liar, 2), Manner::Silent, 2);
    for seed in 1..=3 {
        assert_eq!(run(&plan(seed)).hash, run(&plan(seed)).hash);
        assert_ne!(run(&plan(seed)).hash, run(&plan(seed + 1)).hash);
    }
}

/// What the rules are good for: without them it has to be worse, or the simulation would not notice if they were lost.
#[test]
fn serving_in_the_order_of_asking_is_slower() {
    let (mut by_rule, mut fifo) = (0.0, 0.0);
    for seed in 1..=3 {
        by_rule += told("what nobody has leaves first", &thin(seed, 40)).last().as_secs_f64();
        fifo += told("in the order of asking", &Plan { order: Order::Fifo, ..thin(seed, 40) })
            .last()
            .as_secs_f64();
    }
    assert!(fifo > by_rule * 1.1, "{by_rule} and {fifo}");
}

#[test]
fn with_chunks_chosen_at_random_the_seeder_has_to_stay_longer() {
    let served = |random_choice| -> u64 {
        (1..=2)
            .map(|seed| {
                let mut members = vec![Member::seeder(200 * MBIT, 1000 * MBIT, ms(10))];
                members[0].leaves = Leaves::AfterOneCopy;
                members.extend((0..40).map(|number| Member::leecher(10 * MBIT, 100 * MBIT, latency(number))));
                let plan = Plan { random_choice, limit: secs(30), ..Plan::new(seed, 64 * MIB, members) };
                let outcome = told(if random_choice { "at random" } else { "rarest first" }, &plan);
                assert_eq!(outcome.count("left"), 1);
                outcome.count("chunks served by seeders")
            })
            .sum()
    };
    let (rarest, random) = (served(false), served(true));
    println!(
        "the seeder sends until one copy of 256 chunks is out, 2 runs: rarest first {rarest}, at random {random}"
    );
    assert!(random * 2 > rarest * 3, "{rarest} and {random}");
}
