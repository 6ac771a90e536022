//! Links that are cut, and what comes through in the end.

use hobnob_protocol::limits::TALK_UNACKED_MAX;
use hobnob_protocol::v1::talk_frame::Body;

use super::super::{Effect, Input};
use super::SECOND;
use super::world::{ANN, BOB, World};
use crate::network::LinkEvent;

const NOTHING: [&str; 0] = [];
const INTERRUPTED: &str = "Private messaging with Bob is interrupted, trying again";

/// Everybody loses the relay, and 15 s later the links.
fn interrupted() -> World {
    let mut world = World::relayed();
    world.relay(false);
    world.cut();
    world.pass(SECOND * 15);
    world.down();
    assert_eq!(world.told(ANN), [INTERRUPTED]);
    assert_eq!(world.told(BOB), ["Private messaging with Ann is interrupted, trying again"]);
    world
}

#[test]
fn a_message_is_acknowledged_after_it_was_told() {
    let mut world = World::talking();
    world.effects[BOB].clear();
    world.private(ANN, "bob", "hello");
    let [Effect::Tell(_), Effect::Send { frame: Body::Ack(ack), .. }] = &world.effects[BOB][..] else {
        panic!("{:?}", world.effects[BOB]);
    };
    assert_eq!(ack.upto, 1);
}

#[test]
fn a_relayed_talk_goes_on_after_the_relay_is_back() {
    let mut world = interrupted();
    world.private(ANN, "bob", "one");
    world.private(ANN, "bob", "two");
    world.private(BOB, "ann", "three");
    world.start(ANN, "bob");
    assert_eq!(world.told(ANN), ["Error. You have already connected with Bob"]);
    world.input(ANN, Input::Path("bob".into()));
    assert_eq!(world.told(ANN), ["path Bob None"]);
    world.pass(SECOND * 300);
    assert_eq!((world.told(ANN), world.told(BOB)), (vec![], vec![]));
    world.relay(true);
    assert_eq!(world.told(ANN), ["Bob goes on", "Bob(private): three"]);
    assert_eq!(world.told(BOB), ["Ann goes on", "Ann(private): one", "Ann(private): two"]);
    world.pass(SECOND * 1000);
    assert_eq!((world.told(ANN), world.told(BOB)), (vec![], vec![]));
}

#[test]
fn a_link_that_outlives_the_interruption_is_used_on() {
    let mut world = World::relayed();
    world.relay(false);
    world.pass(SECOND / 2);
    world.relay(true);
    world.pass(SECOND * 2);
    assert_eq!((world.told(ANN), world.told(BOB)), (vec![], vec![]), "too short to be told");
    world.relay(false);
    world.pass(SECOND * 5);
    assert_eq!((world.told(ANN).len(), world.told(BOB).len()), (1, 1));
    world.relay(true);
    assert_eq!((world.told(ANN), world.told(BOB)), (vec!["Bob goes on".into()], vec!["Ann goes on".into()]));
    assert_eq!(world.links.len(), 1);
}

#[test]
fn a_silent_link_that_was_not_found_dead_is_alive() {
    let mut world = World::relayed();
    world.relay(false);
    world.pass(SECOND * 2);
    world.told(ANN);
    world.cut();
    world.relay(true);
    world.pass(SECOND * 14);
    assert_eq!(world.told(ANN), NOTHING);
    world.pass(SECOND);
    assert_eq!(world.told(ANN), ["Bob goes on"]);
}

#[test]
fn an_interruption_ends_in_the_end() {
    let mut world = interrupted();
    world.relay(true);
    world.told(ANN);
    world.told(BOB);
    let mut world = interrupted();
    world.private(ANN, "bob", "one");
    world.pass(SECOND * 584);
    assert_eq!((world.told(ANN), world.told(BOB)), (vec![], vec![]));
    world.pass(SECOND);
    assert_eq!(world.told(ANN), ["Error. Bob is no longer online", "Private messaging with Bob ended"]);
    assert_eq!(world.told(BOB), ["Private messaging with Ann ended"]);
    assert!(world.talks.iter().all(|talks| talks.is_idle()));
}

#[test]
fn sixty_seconds_after_the_relay_is_back_a_talk_has_gone_on_or_ends() {
    let mut world = interrupted();
    world.input(ANN, Input::Link(LinkEvent::Relay(true)));
    world.pass(SECOND * 59);
    assert_eq!(world.told(ANN), NOTHING);
    world.pass(SECOND);
    assert_eq!(world.told(ANN), ["Private messaging with Bob ended"]);
    world.relay(true);
    world.pass(SECOND * 60);
    assert_eq!(world.told(BOB), ["Private messaging with Ann ended"]);
}

#[test]
fn a_relayed_link_that_dies_soon_after_the_relay_is_back_comes_back_too() {
    let mut world = World::relayed();
    world.server(false);
    world.pass(SECOND);
    world.server(true);
    world.pass(SECOND * 10);
    world.down();
    assert_eq!((world.told(ANN), world.told(BOB)), (vec![], vec![]));
    assert_eq!(world.links.len(), 1, "a new one");
    world.pass(SECOND * 60);
    world.down();
    assert_eq!(world.told(ANN), ["Private messaging with Bob ended"], "too late");
}

#[test]
fn a_direct_talk_needs_neither_server_nor_relay() {
    let mut world = World::talking();
    world.server(false);
    world.relay(false);
    world.pass(SECOND * 1000);
    world.private(ANN, "bob", "hello");
    assert_eq!(world.told(BOB), ["Ann(private): hello"]);
    world.down();
    assert_eq!(world.told(ANN), ["Private messaging with Bob ended"]);
}

#[test]
fn a_link_that_leaves_the_relay_is_direct() {
    let mut world = World::relayed();
    let link = world.link();
    for who in [ANN, BOB] {
        world.input(who, Input::Link(LinkEvent::Path { link, relayed: false }));
    }
    world.relay(false);
    world.pass(SECOND * 2);
    assert_eq!(world.told(ANN), NOTHING);
    world.input(ANN, Input::Link(LinkEvent::Path { link, relayed: true }));
    world.pass(SECOND * 2);
    assert_eq!(world.told(ANN), [INTERRUPTED]);
    world.input(ANN, Input::Link(LinkEvent::Path { link, relayed: false }));
    assert_eq!(world.told(ANN), ["Bob goes on"]);
}

#[test]
fn what_was_shown_but_not_acknowledged_is_not_shown_again() {
    let mut world = World::relayed();
    let link = world.link();
    world.relay(false);
    // Bob gets it, his acknowledgement gets lost.
    world.private(ANN, "bob", "one");
    world.links.get_mut(&link).unwrap().dead = true;
    let mut world = {
        world.private(ANN, "bob", "two");
        world
    };
    let two = hobnob_protocol::v1::TalkText { number: 2, text: "two".into() };
    world.frame(BOB, Body::Text(two));
    world.pass(SECOND * 15);
    world.down();
    world.told(ANN);
    world.relay(true);
    world.private(ANN, "bob", "three");
    let told: Vec<_> = world.told(BOB).into_iter().filter(|line| line.contains("(private)")).collect();
    assert_eq!(told, ["Ann(private): one", "Ann(private): two", "Ann(private): three"]);
    world.pass(SECOND * 100);
    world.stop(ANN, "bob");
    assert_eq!(world.told(ANN), ["Bob goes on", "Stop private messaging with Bob"]);
}

#[test]
fn who_acknowledges_nothing_is_cut_off() {
    let mut world = World::talking();
    world.cut();
    for number in 1..TALK_UNACKED_MAX {
        world.private(ANN, "bob", &number.to_string());
        assert!(!world.talks[ANN].is_full());
    }
    world.private(ANN, "bob", "last");
    assert!(world.talks[ANN].is_full());
    world.private(ANN, "bob", "too much");
    assert_eq!(world.told(ANN), ["Error. Not delivered to Bob"]);
    // What is for others is held up for a moment only.
    world.pass(SECOND * 2);
    assert!(!world.talks[ANN].is_full());
    assert!(world.told(ANN).is_empty());
    world.private(ANN, "bob", "still too much");
    assert_eq!(world.told(ANN), ["Error. Not delivered to Bob"]);
    world.pass(SECOND * 13);
    assert!(!world.talks[ANN].is_full());
    let told = world.told(ANN);
    assert_eq!(told.len(), TALK_UNACKED_MAX + 1);
    assert_eq!(told.last().unwrap(), "Private messaging with Bob ended");
}

#[test]
fn a_mebibyte_is_full_as_well() {
    let mut world = World::talking();
    world.cut();
    let text = "x".repeat(64 * 1024);
    (0..15).for_each(|_| world.private(ANN, "bob", &text));
    assert!(!world.talks[ANN].is_full());
    world.private(ANN, "bob", &text);
    assert!(world.talks[ANN].is_full());
}

#[test]
fn what_waits_for_an_interrupted_talk_keeps_nobody_from_typing() {
    let mut world = interrupted();
    (0..TALK_UNACKED_MAX).for_each(|number| world.private(ANN, "bob", &number.to_string()));
    assert!(!world.talks[ANN].is_full());
    world.private(ANN, "bob", "one more");
    assert_eq!(world.told(ANN), ["Error. Not delivered to Bob"]);
    world.relay(true);
    assert_eq!(world.told(BOB).len(), TALK_UNACKED_MAX + 1);
    assert!(!world.talks[ANN].is_full());
}

#[test]
fn a_private_message_is_a_sign_of_life() {
    let mut world = World::talking();
    let active = |world: &World| world.effects[ANN].iter().filter(|it| **it == Effect::Active).count();
    (0..10).for_each(|_| world.private(ANN, "bob", "hello"));
    assert_eq!(active(&world), 1);
    world.pass(SECOND / 5);
    world.private(ANN, "bob", "hello");
    assert_eq!(active(&world), 2);
}

#[test]
fn errors_of_private() {
    let mut world = World::new();
    for (to, error) in [
        ("aNN", "Error. Cannot send private message to self"),
        ("Bob", "Error. Private messaging to Bob not enabled"),
        ("zoe", "Error. Private messaging to zoe not enabled"),
        ("a:b", "Error. Private messaging to a:b not enabled"),
    ] {
        world.private(ANN, to, "hello");
        assert_eq!(world.told(ANN), [error]);
    }
}

#[test]
fn the_path_of_a_talk() {
    let mut world = World::talking();
    let link = world.link();
    for (user, told) in [
        ("BOB", format!("path Bob Some({link:?})")),
        ("cyn", "Error. No private messaging session with cyn".to_owned()),
        ("ann", "Error. No private messaging session with ann".to_owned()),
    ] {
        world.input(ANN, Input::Path(user.into()));
        assert_eq!(world.told(ANN), [told]);
    }
}
