//! How talks end.

use std::time::Duration;

use hobnob_protocol::v1::TalkBye;
use hobnob_protocol::v1::talk_bye::Reason;
use hobnob_protocol::v1::talk_frame::Body;

use super::super::{Effect, Input};
use super::SECOND;
use super::world::{ANN, BOB, CYN, World};

const NOTHING: [&str; 0] = [];

fn is_done(world: &World, who: usize) -> bool {
    world.effects[who].iter().filter(|effect| **effect == Effect::Done).count() == 1
}

#[test]
fn either_side_stops() {
    for (who, other, name, of_other) in [(ANN, BOB, "Ann", "Bob"), (BOB, ANN, "Bob", "Ann")] {
        let mut world = World::talking();
        world.stop(who, &of_other.to_uppercase());
        assert_eq!(world.told(who), [format!("Stop private messaging with {of_other}")]);
        assert_eq!(world.told(other), [format!("{name} stopped private messaging")]);
        assert!(world.talks.iter().all(|talks| talks.is_idle()));
        assert!(world.links.is_empty());
        for text in [name, of_other] {
            let (from, to) = if text == name { (other, name) } else { (who, of_other) };
            world.private(from, to, "hello");
            assert_eq!(world.told(from), [format!("Error. Private messaging to {to} not enabled")]);
            world.stop(from, to);
            assert_eq!(world.told(from), [format!("Error. No private messaging session with {to}")]);
        }
        world.start(ANN, "bob");
        world.answer(BOB, true);
        assert_eq!(world.told(ANN).last().unwrap(), "Bob accepts private messaging", "and once more");
    }
}

#[test]
fn stopping_while_the_link_is_made() {
    let mut world = World::new();
    world.reachable = false;
    world.start(ANN, "bob");
    world.answer(BOB, true);
    world.told(ANN);
    world.told(BOB);
    world.stop(BOB, "ann");
    assert_eq!(world.told(BOB), ["Stop private messaging with Ann"]);
    world.reachable = true;
    world.pass(SECOND * 40);
    assert_eq!(world.told(ANN), ["Error. Could not connect to Bob"]);
    assert_eq!(world.told(BOB), NOTHING);
}

#[test]
fn logging_out() {
    let mut world = World::talking();
    world.leave(ANN);
    assert!(is_done(&world, ANN));
    assert_eq!(world.told(BOB), ["Private messaging with Ann ended: Ann logged out"]);
    assert_eq!(world.told(ANN), NOTHING);
    world.input(ANN, Input::Leave);
    assert!(is_done(&world, ANN), "once");
    assert_eq!(world.talks[ANN].deadline(), None);
}

#[test]
fn logging_out_with_no_talk() {
    let mut world = World::new();
    world.input(ANN, Input::Leave);
    assert!(is_done(&world, ANN));
}

#[test]
fn to_whom_the_leaver_blocks_it_only_ends() {
    // Blocked before, as the server tells, or meanwhile, as the person types.
    let mut before = World::new();
    before.blocks.insert((ANN, BOB));
    before.start(ANN, "bob");
    before.answer(BOB, true);
    let mut meanwhile = World::talking();
    meanwhile.input(ANN, Input::Block { user: "Bob".into(), on: true });
    for mut world in [before, meanwhile] {
        world.told(BOB);
        world.private(ANN, "bob", "a block ends nothing");
        world.leave(ANN);
        let told = world.told(BOB);
        assert_eq!(told, ["Ann(private): a block ends nothing", "Private messaging with Ann ended"]);
    }
    let mut lifted = World::talking();
    lifted.input(ANN, Input::Block { user: "Bob".into(), on: true });
    lifted.input(ANN, Input::Block { user: "Bob".into(), on: false });
    lifted.leave(ANN);
    assert_eq!(lifted.told(BOB), ["Private messaging with Ann ended: Ann logged out"]);
}

#[test]
fn who_leaves_waits_for_what_was_typed() {
    let mut world = World::talking();
    let link = world.link();
    world.links.get_mut(&link).unwrap().dead = true;
    world.private(ANN, "bob", "one");
    world.input(ANN, Input::Leave);
    assert!(!is_done(&world, ANN));
    world.pass(SECOND);
    assert!(!is_done(&world, ANN));
    world.frame(ANN, Body::Ack(hobnob_protocol::v1::TalkAck { upto: 1 }));
    assert!(is_done(&world, ANN));
    assert_eq!(world.told(ANN), NOTHING);
}

#[test]
fn who_leaves_waits_three_seconds_at_most() {
    let mut world = World::talking();
    world.cut();
    world.private(ANN, "bob", "one");
    world.private(ANN, "bob", "two");
    world.input(ANN, Input::Leave);
    world.private(ANN, "bob", "nobody types any more");
    world.pass(SECOND * 3 - Duration::from_millis(1));
    assert!(!is_done(&world, ANN));
    world.pass(SECOND);
    assert!(is_done(&world, ANN));
    assert_eq!(world.told(ANN), ["Error. Not delivered to Bob", "Error. Not delivered to Bob"]);
    let bye = Body::Bye(TalkBye { reason: Reason::Left.into() });
    assert!(world.effects[ANN].iter().any(|it| matches!(it, Effect::Send { frame, .. } if *frame == bye)));
}

#[test]
fn the_link_is_lost() {
    let mut world = World::talking();
    world.down();
    assert_eq!(world.told(ANN), ["Private messaging with Bob ended"]);
    assert_eq!(world.told(BOB), ["Private messaging with Ann ended"]);
    assert!(world.talks.iter().all(|talks| talks.is_idle()));
}

#[test]
fn messages_that_were_lost_with_the_link() {
    let no_longer = "Error. Bob is no longer online";
    let discreet = "Error. Not delivered to Bob";
    for (blocks, server_up, line) in
        [(false, true, no_longer), (true, true, discreet), (true, false, no_longer)]
    {
        let mut world = World::talking();
        world.blocks.extend(blocks.then_some((BOB, ANN)));
        world.server(server_up);
        world.cut();
        world.private(ANN, "bob", "one");
        world.private(ANN, "bob", "two");
        world.down();
        assert_eq!(world.told(ANN), [line, line, "Private messaging with Bob ended"]);
        let asked = world.effects[ANN].iter().any(|effect| matches!(effect, Effect::MaySee(_)));
        assert_eq!(asked, server_up);
    }
}

#[test]
fn messages_that_were_lost_with_a_good_bye() {
    for (reason, error, end) in [
        (Reason::Left, "Error. Bob is no longer online", "Private messaging with Bob ended: Bob logged out"),
        (Reason::Ended, "Error. Not delivered to Bob", "Private messaging with Bob ended"),
        (Reason::Stopped, "Error. Not delivered to Bob", "Bob stopped private messaging"),
    ] {
        let mut world = World::talking();
        let link = world.link();
        world.links.get_mut(&link).unwrap().dead = true;
        world.private(ANN, "bob", "one");
        world.frame(ANN, Body::Bye(TalkBye { reason: reason.into() }));
        assert_eq!(world.told(ANN), [error, end]);
    }
}

#[test]
fn a_server_that_does_not_say_what_may_be_said() {
    for down in [false, true] {
        let mut world = World::talking();
        let link = world.link();
        world.cut();
        world.private(ANN, "bob", "one");
        let now = world.now;
        let ann = &mut world.talks[ANN];
        let down_event = crate::network::LinkEvent::Down { link };
        let effects = ann.handle(Input::Link(down_event), now);
        assert!(effects.contains(&Effect::MaySee("Bob".into())));
        let effects = if down {
            ann.handle(Input::ServerUp(false), now)
        } else {
            ann.handle(Input::Tick, now + SECOND * 5)
        };
        assert_eq!(effects.len(), 2, "{effects:?}");
        assert!(ann.is_idle());
    }
}

#[test]
fn what_is_on_its_way_when_a_talk_is_stopped_may_arrive() {
    let mut world = World::talking();
    let link = world.link();
    world.links.get_mut(&link).unwrap().dead = true;
    world.private(ANN, "bob", "one");
    world.stop(ANN, "bob");
    world.private(ANN, "bob", "two");
    let told = ["Stop private messaging with Bob", "Error. Private messaging to bob not enabled"];
    assert_eq!(world.told(ANN), told);
    assert!(!world.talks[ANN].is_idle());
    world.frame(ANN, Body::Ack(hobnob_protocol::v1::TalkAck { upto: 1 }));
    assert!(world.talks[ANN].is_idle());
    assert_eq!(world.told(ANN), NOTHING);

    let mut world = World::talking();
    world.cut();
    world.private(ANN, "bob", "one");
    world.stop(ANN, "bob");
    world.pass(SECOND * 3);
    assert_eq!(world.told(ANN), ["Stop private messaging with Bob", "Error. Bob is no longer online"]);
    assert!(world.talks[ANN].is_idle());
}

#[test]
fn a_new_talk_takes_the_place_of_one_that_the_other_has_no_more() {
    let mut world = World::talking();
    world.cut();
    world.private(ANN, "bob", "one");
    let link = world.link();
    world.input(BOB, Input::Link(crate::network::LinkEvent::Down { link }));
    world.told(BOB);
    world.start(BOB, "ann");
    assert_eq!(world.told(ANN), ["Bob would like to private message, enter y or n: "]);
    world.answer(ANN, true);
    let told = world.told(ANN);
    let end = [
        "Error. Not delivered to Bob",
        "Private messaging with Bob ended",
        "Start private messaging with Bob",
    ];
    assert_eq!(told, end);
    world.private(ANN, "bob", "two");
    assert_eq!(world.told(BOB).last().unwrap(), "Ann(private): two");
    assert_eq!(world.told(CYN), NOTHING);
}
