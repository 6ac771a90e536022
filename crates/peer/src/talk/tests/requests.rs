//! The asker's side, up to the first link.

use hobnob_protocol::v1::{self, invited::Outcome, peer_event::Event};

use super::super::{Effect, Input};
use super::SECOND;
use super::world::{ANN, BOB, CYN, World};

const NOTHING: [&str; 0] = [];

#[test]
fn yes() {
    let mut world = World::new();
    world.start(ANN, "bOB");
    assert_eq!(world.told(ANN), ["Start private messaging with Bob"]);
    assert_eq!(world.told(BOB), ["Ann would like to private message, enter y or n: "]);
    world.answer(BOB, true);
    assert_eq!(world.told(ANN), ["Bob accepts private messaging"]);
    assert_eq!(world.told(BOB), ["Start private messaging with Ann"]);
    world.private(ANN, "BOB", "hello");
    world.private(BOB, "ann", "hello yourself");
    assert_eq!(world.told(BOB), ["Ann(private): hello"]);
    assert_eq!(world.told(ANN), ["Bob(private): hello yourself"]);
    assert_eq!(world.told(CYN), NOTHING);
}

#[test]
fn no() {
    let mut world = World::new();
    world.start(ANN, "bob");
    world.told(ANN);
    world.told(BOB);
    world.answer(BOB, false);
    assert_eq!(world.told(ANN), ["Bob declines private messaging"]);
    assert_eq!(world.told(BOB), NOTHING);
    world.private(ANN, "bob", "hello");
    assert_eq!(world.told(ANN), ["Error. Private messaging to bob not enabled"]);
    world.pass(SECOND * 70);
    assert!(world.talks.iter().all(|talks| talks.is_idle()));
}

#[test]
fn no_answer() {
    let mut world = World::new();
    world.start(ANN, "bob");
    world.told(ANN);
    world.told(BOB);
    world.pass(SECOND * 59);
    assert_eq!(world.told(ANN), NOTHING);
    world.pass(SECOND);
    assert_eq!(world.told(ANN), ["Bob did not answer"]);
    assert_eq!(world.told(BOB), ["The request of Ann has expired"]);
    world.pass(SECOND * 600);
    assert_eq!((world.told(ANN), world.told(BOB)), (vec![], vec![]), "once");
}

#[test]
fn no_answer_while_the_server_is_away() {
    let mut world = World::new();
    world.start(ANN, "bob");
    world.told(ANN);
    world.told(BOB);
    world.forget();
    world.server(false);
    world.pass(SECOND * 61);
    assert_eq!((world.told(ANN), world.told(BOB)), (vec![], vec![]));
    world.pass(SECOND);
    assert_eq!(world.told(ANN), ["Bob did not answer"]);
    assert_eq!(world.told(BOB), ["The request of Ann has expired"]);
    assert!(world.talks.iter().all(|talks| talks.is_idle()));
}

#[test]
fn one_leaves_while_it_is_pending() {
    let mut world = World::new();
    world.start(ANN, "bob");
    world.told(BOB);
    world.leave(ANN);
    assert_eq!(world.told(BOB), ["The request of Ann has expired"]);
    assert_eq!(world.effects[ANN].iter().filter(|effect| **effect == Effect::Done).count(), 1);

    let mut world = World::new();
    world.start(ANN, "bob");
    world.told(ANN);
    world.leave(BOB);
    assert_eq!(world.told(ANN), ["Bob did not answer"]);
}

#[test]
fn the_asker_withdraws() {
    let mut world = World::new();
    world.start(ANN, "bob");
    world.told(ANN);
    world.told(BOB);
    world.stop(ANN, "BOB");
    assert_eq!(world.told(ANN), ["Stop private messaging with Bob"]);
    assert_eq!(world.told(BOB), ["Ann stopped private messaging"]);
    world.answer(BOB, true);
    assert_eq!(world.told(BOB), ["Error. No request to answer"]);
    world.stop(ANN, "bob");
    assert_eq!(world.told(ANN), ["Error. No private messaging session with bob"]);
}

#[test]
fn the_asker_withdraws_before_the_server_has_answered() {
    let mut world = World::new();
    let ann = &mut world.talks[ANN];
    let now = SECOND;
    assert_eq!(
        ann.handle(Input::Start("bob".into()), now),
        [Effect::Prepare, Effect::Invite("bob".into())],
        "a sign of life by itself"
    );
    ann.handle(Input::Stop("bob".into()), now);
    ann.handle(Input::Start("bob".into()), now);
    ann.handle(Input::Stop("bob".into()), now);
    let answer = || invited(Outcome::Asked, 7);
    assert_eq!(ann.handle(answer(), now), [Effect::Cancel(vec![7; 16].into())]);
    assert_eq!(ann.handle(answer(), now), [Effect::Cancel(vec![7; 16].into())]);
    assert!(ann.is_idle());
    ann.handle(Input::Start("bob".into()), now);
    ann.handle(Input::Stop("bob".into()), now);
    ann.handle(Input::Start("bob".into()), now);
    assert_eq!(ann.handle(answer(), now), [], "the same request goes on");
    assert_eq!(ann.handle(answer(), now).len(), 1, "told");
    assert!(!ann.is_idle());
}

#[test]
fn what_is_refused_at_once() {
    let mut world = World::new();
    for (typed, error) in [
        ("ANN", "Error. Cannot start private messaging with self"),
        ("no one", "Error. Invalid user"),
        ("", "Error. Invalid user"),
        ("zoe", "Error. Invalid user"),
    ] {
        world.start(ANN, typed);
        assert_eq!(world.told(ANN), [error], "{typed}");
    }
    world.blocks.insert((BOB, ANN));
    world.start(ANN, "bob");
    assert_eq!(world.told(ANN), ["Error. Cannot start private messaging. Bob has blocked you"]);
    world.online.remove(&BOB);
    world.start(ANN, "bob");
    assert_eq!(world.told(ANN), ["Error. Cannot start private messaging. Bob has blocked you"], "the same");
    world.blocks.clear();
    world.start(ANN, "bob");
    assert_eq!(world.told(ANN), ["Error. Cannot start private messaging. Bob is offline"]);
    world.server(false);
    world.start(ANN, "bob");
    assert_eq!(world.told(ANN), ["NotAsked"]);
    assert!(world.talks[ANN].is_idle());
}

#[test]
fn already_connected_comes_before_what_the_server_knows() {
    let mut world = World::talking();
    world.blocks.insert((BOB, ANN));
    world.start(ANN, "bob");
    assert_eq!(world.told(ANN), ["Error. You have already connected with Bob"]);
    world.start(BOB, "aNN");
    assert_eq!(world.told(BOB), ["Error. You have already connected with Ann"]);
}

#[test]
fn asked_already() {
    let mut world = World::new();
    world.start(ANN, "bob");
    world.told(ANN);
    world.start(ANN, "Bob");
    assert_eq!(world.told(ANN), ["AlreadyAsked(\"Bob\")"]);
    world.reachable = false;
    world.answer(BOB, true);
    world.told(BOB);
    world.start(ANN, "bob");
    assert_eq!(world.told(ANN), ["AlreadyAsked(\"Bob\")"], "while the link is made");
    world.private(ANN, "bob", "hello");
    assert_eq!(world.told(ANN), ["Error. Private messaging to bob not enabled"]);
}

#[test]
fn both_ask_each_other() {
    let mut world = World::new();
    world.start(ANN, "bob");
    world.start(BOB, "ann");
    assert_eq!(world.told(ANN), ["Start private messaging with Bob", "Bob accepts private messaging"]);
    let told = world.told(BOB);
    assert_eq!(
        told,
        ["Ann would like to private message, enter y or n: ", "Start private messaging with Ann"]
    );
    world.answer(BOB, true);
    assert_eq!(world.told(BOB), ["Error. No request to answer"]);
    world.pass(SECOND * 100);
    assert_eq!((world.told(ANN), world.told(BOB)), (vec![], vec![]));
}

#[test]
fn nobody_can_be_reached() {
    let mut world = World::new();
    world.reachable = false;
    world.start(ANN, "bob");
    world.answer(BOB, true);
    world.told(ANN);
    world.told(BOB);
    world.pass(SECOND * 29);
    assert_eq!((world.told(ANN), world.told(BOB)), (vec![], vec![]));
    world.pass(SECOND * 3);
    assert_eq!(world.told(ANN), ["Error. Could not connect to Bob"]);
    assert_eq!(world.told(BOB), ["Error. Could not connect to Ann"]);
    // At once, after pauses of 0.1, 0.2, 0.4, 0.8, 1.6 s, then every 3 s.
    let dials = world.effects[ANN].iter().filter(|effect| matches!(effect, Effect::Dial { .. })).count();
    assert_eq!(dials, 6 + 8);
    assert!(world.talks[ANN].is_idle());
}

#[test]
fn the_other_can_be_reached_later() {
    let mut world = World::new();
    world.reachable = false;
    world.start(ANN, "bob");
    world.answer(BOB, true);
    world.pass(SECOND * 20);
    world.reachable = true;
    world.told(ANN);
    world.pass(SECOND * 3);
    assert_eq!(world.told(ANN), ["Bob accepts private messaging"]);
}

#[test]
fn a_new_contact_is_tried_at_once() {
    let mut world = World::new();
    world.reachable = false;
    world.start(ANN, "bob");
    world.answer(BOB, true);
    world.pass(SECOND * 20);
    world.reachable = true;
    world.told(ANN);
    let contact = v1::Contact { addresses: vec!["192.0.2.7:4".into()], relay: true, tcp: Vec::new() };
    let contact_told = v1::PeerContact { invite: vec![1; 16].into(), contact: Some(contact.clone()) };
    world.input(ANN, self::told(Event::Contact(contact_told)));
    assert_eq!(world.told(ANN), ["Bob accepts private messaging"]);
    let last = world.effects[ANN].iter().rev().find_map(|effect| match effect {
        Effect::Dial { contact, .. } => Some(contact.clone()),
        _ => None,
    });
    assert_eq!(last, Some(contact));
}

#[test]
fn an_introduction_that_was_given_up_is_cancelled() {
    let mut world = World::new();
    world.start(ANN, "bob");
    // The answer and the withdrawal cross.
    world.deaf.insert(ANN);
    world.answer(BOB, true);
    world.deaf.clear();
    world.server_up = false;
    world.stop(ANN, "bob");
    world.server_up = true;
    world.effects[ANN].clear();
    world.tell_again();
    assert!(world.effects[ANN].contains(&Effect::Cancel(vec![1; 16].into())));
    world.told(BOB);
    world.pass(SECOND * 32);
    assert_eq!(world.told(BOB), ["Error. Could not connect to Ann"]);
    assert!(world.talks.iter().all(|talks| talks.is_idle()));
}

fn told(event: Event) -> Input {
    Input::Server(v1::PeerEvent { event: Some(event) })
}

fn introduced(byte: u8, dials: bool) -> Input {
    told(Event::Introduced(v1::Introduced {
        invite: vec![byte; 16].into(),
        user: "Bob".into(),
        key: vec![2; 32].into(),
        dials,
        valid_ms: 30_000,
        ..Default::default()
    }))
}

fn invited(outcome: Outcome, byte: u8) -> Input {
    let invite = vec![byte; 16].into();
    let answer = Some(v1::Invited { outcome: outcome.into(), user: "Bob".into(), invite });
    Input::Invited { typed: "bob".into(), answer }
}

#[test]
fn an_introduction_of_a_withdrawn_request_is_not_taken_for_the_next() {
    let mut world = World::new();
    let ann = &mut world.talks[ANN];
    ann.handle(Input::Start("bob".into()), SECOND);
    ann.handle(Input::Stop("bob".into()), SECOND);
    ann.handle(Input::Start("bob".into()), SECOND);
    assert_eq!(ann.handle(invited(Outcome::Asked, 7), SECOND), []);
    assert_eq!(ann.handle(introduced(7, true), SECOND), [Effect::Cancel(vec![7; 16].into())]);
    assert_eq!(ann.handle(invited(Outcome::Asked, 8), SECOND).len(), 1);
    let effects = ann.handle(introduced(8, true), SECOND);
    assert!(matches!(effects[..], [Effect::SaveKeys, Effect::Dial { .. }]), "{effects:?}");
}

#[test]
fn who_asks_and_answers_consents_once() {
    let mut world = World::new();
    let ann = &mut world.talks[ANN];
    ann.handle(told(Event::Asked(v1::Asked { invite: vec![7; 16].into(), user: "Bob".into() })), SECOND);
    ann.handle(Input::Start("bob".into()), SECOND);
    ann.handle(Input::Answer { user: None, accept: true }, SECOND);
    assert_eq!(ann.handle(invited(Outcome::Consented, 7), SECOND), []);
    let effects = ann.handle(introduced(7, false), SECOND);
    assert!(matches!(effects[..], [Effect::SaveKeys, Effect::Expect { .. }]), "{effects:?}");
    assert_eq!(ann.handle(Input::Gone(vec![7; 16].into()), SECOND), []);
}
