//! The side that is asked.

use super::super::{Effect, Input};
use super::SECOND;
use super::world::{ANN, BOB, CYN, World};

const NOTHING: [&str; 0] = [];
const ANN_ASKS: &str = "Ann would like to private message, enter y or n: ";
const BOB_ASKS: &str = "Bob would like to private message, enter y or n: ";

#[test]
fn one_question_at_a_time() {
    let mut world = World::new();
    world.start(ANN, "cyn");
    world.start(BOB, "cyn");
    assert_eq!(world.told(CYN), [ANN_ASKS]);
    world.answer(CYN, false);
    assert_eq!(world.told(CYN), [BOB_ASKS]);
    world.answer(CYN, true);
    assert_eq!(world.told(CYN), ["Start private messaging with Bob"]);
    world.answer(CYN, true);
    assert_eq!(world.told(CYN), ["Error. No request to answer"]);
}

#[test]
fn the_next_is_shown_when_the_first_has_expired() {
    let mut world = World::new();
    world.start(ANN, "cyn");
    world.pass(SECOND * 30);
    world.start(BOB, "cyn");
    world.pass(SECOND * 30);
    assert_eq!(world.told(CYN), [ANN_ASKS, "The request of Ann has expired", BOB_ASKS]);
}

#[test]
fn one_that_waits_can_be_answered_by_name() {
    let mut world = World::new();
    world.start(ANN, "cyn");
    world.start(BOB, "cyn");
    world.answer_to(CYN, "BOB", true);
    assert_eq!(world.told(CYN), [ANN_ASKS, "Start private messaging with Bob"]);
    world.answer_to(CYN, "bob", true);
    world.answer_to(CYN, "cyn", true);
    world.answer_to(CYN, "no one", true);
    assert_eq!(world.told(CYN), ["Error. No request to answer"; 3]);
    world.answer_to(CYN, "ann", false);
    assert_eq!(world.told(ANN).last().unwrap(), "Cyn declines private messaging");
}

#[test]
fn several_talks_at_once() {
    let mut world = World::talking();
    world.start(CYN, "bob");
    world.answer(BOB, true);
    world.start(ANN, "cyn");
    world.answer(CYN, true);
    for who in [ANN, BOB, CYN] {
        world.told(who);
    }
    world.private(BOB, "cyn", "one");
    world.private(BOB, "ann", "two");
    world.stop(ANN, "bob");
    world.private(ANN, "cyn", "three");
    assert_eq!(world.told(CYN), ["Bob(private): one", "Ann(private): three"]);
    assert_eq!(world.told(ANN), ["Bob(private): two", "Stop private messaging with Bob"]);
}

#[test]
fn stopping_a_question_declines_it() {
    let mut world = World::new();
    world.start(ANN, "bob");
    world.told(ANN);
    world.told(BOB);
    world.stop(BOB, "ann");
    assert_eq!(world.told(ANN), ["Bob declines private messaging"]);
    assert_eq!(world.told(BOB), ["Stop private messaging with Ann"]);
}

#[test]
fn no_request_to_answer() {
    let mut world = World::new();
    world.answer(ANN, true);
    world.answer(ANN, false);
    assert_eq!(world.told(ANN), ["Error. No request to answer"; 2]);
}

#[test]
fn told_again_is_told_once() {
    let mut world = World::new();
    world.start(ANN, "bob");
    world.tell_again();
    assert_eq!(world.told(BOB), [ANN_ASKS]);
    world.answer(BOB, true);
    world.told(ANN);
    world.told(BOB);
    world.tell_again();
    world.pass(SECOND);
    assert_eq!((world.told(ANN), world.told(BOB)), (vec![], vec![]));
    assert_eq!(world.links.len(), 1);
}

#[test]
fn an_answer_that_got_lost_is_given_again() {
    for accept in [true, false] {
        let mut world = World::new();
        world.start(ANN, "bob");
        world.told(ANN);
        world.told(BOB);
        world.server(false);
        world.answer(BOB, accept);
        assert_eq!(world.told(BOB), NOTHING);
        world.server(true);
        world.tell_again();
        let (ann, bob) = (world.told(ANN), world.told(BOB));
        if accept {
            assert_eq!(ann, ["Bob accepts private messaging"]);
            assert_eq!(bob, ["Start private messaging with Ann"]);
        } else {
            assert_eq!(ann, ["Bob declines private messaging"]);
            assert_eq!(bob, NOTHING);
        }
        assert_eq!(world.effects[BOB].iter().filter(|it| matches!(it, Effect::Answer { .. })).count(), 2);
    }
}

#[test]
fn an_answer_to_what_the_server_has_forgotten() {
    let mut world = World::new();
    world.start(ANN, "bob");
    world.told(BOB);
    world.forget();
    world.answer(BOB, true);
    assert_eq!(world.told(BOB), ["The request of Ann has expired"]);
    assert!(world.talks[BOB].is_idle());
}

#[test]
fn an_introduction_that_never_comes() {
    let mut world = World::new();
    world.start(ANN, "bob");
    world.told(BOB);
    world.deaf.insert(BOB);
    world.answer(BOB, true);
    world.stop(BOB, "cyn");
    assert_eq!(world.told(BOB), ["Error. No private messaging session with cyn"]);
    world.pass(SECOND * 32);
    assert_eq!(world.told(BOB), ["The request of Ann has expired"]);
    assert_eq!(world.told(ANN)[1..], ["Error. Could not connect to Bob"]);
    assert!(world.talks.iter().all(|talks| talks.is_idle()));
}

#[test]
fn who_asks_again_after_the_server_forgot_is_asked_about_once() {
    let mut world = World::new();
    world.start(ANN, "bob");
    world.forget();
    world.server(false);
    world.stop(ANN, "bob");
    world.server(true);
    world.start(ANN, "bob");
    assert_eq!(world.told(BOB), [ANN_ASKS, ANN_ASKS]);
    world.answer(BOB, true);
    assert_eq!(world.told(BOB), ["Start private messaging with Ann"]);
    world.pass(SECOND * 100);
    assert_eq!(world.told(BOB), NOTHING);
}

#[test]
fn of_somebody_who_is_blocked_no_question_comes_up() {
    let mut world = World::new();
    world.start(ANN, "cyn");
    world.start(BOB, "cyn");
    assert_eq!(world.told(CYN), [ANN_ASKS]);
    world.input(CYN, Input::Block { user: "Bob".into(), on: true });
    world.answer(CYN, false);
    assert!(world.told(CYN).is_empty());
    world.pass(SECOND * 120);
    assert!(world.told(CYN).is_empty(), "not even its end");
}
