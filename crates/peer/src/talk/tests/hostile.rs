//! Peers and servers that make no sense.

use std::time::Duration;

use hobnob_protocol::limits::TEXT_BYTES_MAX;
use hobnob_protocol::v1;
use proptest::prelude::*;
use v1::peer_event::Event;
use v1::talk_frame::Body;
use v1::{TalkAck, TalkBye, TalkHello, TalkText};

use super::super::{Effect, Input, Invite, News, Talks};
use super::world::{ANN, BOB, World};
use crate::keys::Keys;
use crate::network::{Link, LinkEvent};

fn text(number: u64, text: &str) -> Body {
    Body::Text(TalkText { number, text: text.to_owned() })
}

#[test]
fn frames_that_make_no_sense_end_the_talk() {
    for frame in [
        text(0, "zero"),
        text(2, "a hole"),
        text(u64::MAX, "far"),
        text(1, &"x".repeat(TEXT_BYTES_MAX + 1)),
        Body::Ack(TalkAck { upto: 1 }),
        Body::Ack(TalkAck { upto: u64::MAX }),
        Body::Hello(TalkHello { invite: vec![1; 16].into() }),
    ] {
        let mut world = World::talking();
        let link = world.link();
        world.frame(ANN, frame);
        assert!(world.effects[ANN].contains(&Effect::Close(link)));
        assert_eq!(world.told(ANN), ["Private messaging with Bob ended"]);
        assert_eq!(world.told(BOB), ["Private messaging with Ann ended"]);
        assert!(world.talks.iter().all(|talks| talks.is_idle()));
    }
}

#[test]
fn frames_that_are_odd_but_sound() {
    let mut world = World::talking();
    let link = world.link();
    world.links.get_mut(&link).unwrap().dead = true;
    for frame in [
        text(1, &"x".repeat(TEXT_BYTES_MAX)),
        text(1, "again"),
        Body::Ack(TalkAck { upto: 0 }),
        Body::Bye(TalkBye { reason: 99 }),
    ] {
        assert_eq!(world.told(ANN).len(), 0);
        world.frame(ANN, frame.clone());
        if matches!(&frame, Body::Text(text) if text.text.len() == TEXT_BYTES_MAX) {
            assert_eq!(world.told(ANN).len(), 1);
        }
    }
    assert_eq!(world.told(ANN), ["Private messaging with Bob ended"]);
}

#[test]
fn an_acknowledgement_of_what_was_kept_but_never_sent() {
    let mut world = World::relayed();
    let (link, now) = (world.link(), world.now);
    world.relay(false);
    world.cut();
    let ann = &mut world.talks[ANN];
    ann.handle(Input::Link(LinkEvent::Down { link }), now);
    ann.handle(Input::Private { to: "bob".into(), text: "kept".into() }, now);
    let ack = |link| Input::Link(LinkEvent::Frame { link, frame: Body::Ack(TalkAck { upto: 1 }) });
    assert_eq!(ann.handle(ack(link), now), [], "of a link that is gone");
    let up = LinkEvent::Up { invite: vec![1; 16].into(), link: Link(7), relayed: false };
    ann.handle(Input::Link(up), now);
    assert_eq!(ann.handle(ack(Link(7)), now), []);
    assert!(!ann.is_idle());
}

#[test]
fn a_link_that_nobody_wants_is_closed() {
    let mut world = World::new();
    let up = LinkEvent::Up { invite: vec![1; 16].into(), link: Link(7), relayed: false };
    world.input(ANN, Input::Link(up));
    assert_eq!(world.effects[ANN], [Effect::Close(Link(7))]);
}

#[test]
fn an_introduction_that_nobody_wants_is_cancelled() {
    let mut world = World::new();
    let introduced = v1::Introduced {
        invite: vec![1; 16].into(),
        user: "Bob".into(),
        key: vec![2; 32].into(),
        valid_ms: 30_000,
        ..Default::default()
    };
    let event = |introduced| Input::Server(v1::PeerEvent { event: Some(Event::Introduced(introduced)) });
    world.input(ANN, event(introduced.clone()));
    assert_eq!(world.effects[ANN], [Effect::Cancel(vec![1; 16].into())]);
    // Only asked, not answered.
    world.effects[ANN].clear();
    world.start(BOB, "ann");
    world.effects[ANN].clear();
    world.input(ANN, event(introduced.clone()));
    assert_eq!(world.effects[ANN], [Effect::Cancel(vec![1; 16].into())]);
    // Another user than the one who was asked, or a key that is none.
    let mut world = World::new();
    world.start(ANN, "bob");
    for wrong in [
        v1::Introduced { user: "Cyn".into(), ..introduced.clone() },
        v1::Introduced { user: "ann".into(), ..introduced.clone() },
        v1::Introduced { key: vec![2; 31].into(), ..introduced.clone() },
    ] {
        world.effects[ANN].clear();
        world.input(ANN, event(wrong));
        assert_eq!(world.effects[ANN], [Effect::Cancel(vec![1; 16].into())]);
    }
}

#[test]
fn a_server_cannot_end_a_talk_or_change_its_key() {
    let mut world = World::talking();
    world.told(ANN);
    let invite = Invite::from(vec![1; 16]);
    for reason in 0..5 {
        let ended = v1::InviteEnded { invite: invite.clone(), user: "Bob".into(), reason };
        world.input(ANN, Input::Server(v1::PeerEvent { event: Some(Event::Ended(ended)) }));
    }
    let introduced =
        v1::Introduced { invite, user: "Bob".into(), key: vec![9; 32].into(), ..Default::default() };
    world.input(ANN, Input::Server(v1::PeerEvent { event: Some(Event::Introduced(introduced)) }));
    assert!(world.told(ANN).is_empty());
    world.private(ANN, "bob", "hello");
    assert_eq!(world.told(BOB), ["Ann(private): hello"]);
}

#[test]
fn a_flood_of_contacts_leads_to_few_attempts() {
    let mut world = World::new();
    world.reachable = false;
    world.start(ANN, "bob");
    world.answer(BOB, true);
    let dials = |world: &World| {
        let dial = |effect: &&Effect| matches!(effect, Effect::Dial { .. });
        world.effects[ANN].iter().filter(dial).count()
    };
    let Some(Effect::Dial { invite, .. }) =
        world.effects[ANN].iter().find(|effect| matches!(effect, Effect::Dial { .. })).cloned()
    else {
        panic!("nobody is called");
    };
    let before = dials(&world);
    for port in 1..=1000 {
        world.now += Duration::from_millis(5);
        let contact = v1::Contact { addresses: vec![format!("192.0.2.7:{port}")], ..Default::default() };
        let told = v1::PeerContact { invite: invite.clone(), contact: Some(contact) };
        world.input(ANN, Input::Server(v1::PeerEvent { event: Some(Event::Contact(told)) }));
        world.input(ANN, Input::Tick);
    }
    // 5 s: one each half second, and what would be tried anyway.
    let more = dials(&world) - before;
    assert!((10..40).contains(&more), "{more}");
    let last = world.effects[ANN].iter().rev().find_map(|effect| match effect {
        Effect::Dial { contact, .. } => Some(contact.addresses[0].clone()),
        _ => None,
    });
    let port: u32 = last.unwrap().rsplit(':').next().unwrap().parse().unwrap();
    assert!(port > 800, "the newest address counts: {port}");
}

#[test]
fn a_flood_of_questions() {
    let mut talks = Talks::new("Ann", [1; 32], Keys::default());
    let mut told = 0;
    for number in 0..1000u32 {
        let invite = [number.to_be_bytes(); 4].concat().into();
        let asked = v1::Asked { invite, user: format!("user{number}") };
        let event = Input::Server(v1::PeerEvent { event: Some(Event::Asked(asked)) });
        told += talks.handle(event, Duration::ZERO).iter().filter(|it| matches!(it, Effect::Tell(_))).count();
    }
    assert_eq!(told, 1);
    let effects = talks.handle(Input::Tick, Duration::from_secs(62));
    let told = effects.iter().filter(|it| matches!(it, Effect::Tell(News::Expired(_)))).count();
    assert_eq!(told, 64);
    assert!(talks.is_idle());
}

#[test]
fn a_flood_of_requests() {
    let mut talks = Talks::new("Ann", [1; 32], Keys::default());
    let start = |number: usize| Input::Start(format!("user{number}"));
    let invites = (0..1000).map(|number| talks.handle(start(number), Duration::ZERO));
    let invites = invites.flatten().filter(|it| matches!(it, Effect::Invite(_))).count();
    assert_eq!(invites, 256);
}

// ---------------------------------------------------------------- anything at all

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop_oneof![Just("ann"), Just("Bob"), Just("bob"), Just("cyn"), Just("dan")].prop_map(str::to_owned),
        1 => ".{0,40}",
    ]
}

fn invite() -> impl Strategy<Value = Invite> {
    prop_oneof![
        8 => (0..4u8).prop_map(|byte| vec![byte; 16].into()),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Invite::from),
    ]
}

fn link() -> impl Strategy<Value = Link> {
    (0..4u64).prop_map(Link)
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => (0..3u8).prop_map(|byte| vec![byte; 32]), 1 => Just(vec![1; 31])]
}

fn typed() -> impl Strategy<Value = Input> {
    prop_oneof![
        4 => name().prop_map(Input::Start),
        2 => (proptest::option::of(name()), any::<bool>()).prop_map(|(user, accept)| Input::Answer { user, accept }),
        4 => (name(), ".{0,9}").prop_map(|(to, text)| Input::Private { to, text }),
        1 => name().prop_map(Input::Stop),
        1 => (name(), any::<bool>()).prop_map(|(user, confirm)| Input::Verify { user, confirm }),
        1 => name().prop_map(Input::Path),
    ]
}

fn told() -> impl Strategy<Value = Event> {
    let introduced = (invite(), name(), key(), any::<bool>(), any::<bool>(), any::<u32>());
    prop_oneof![
        (invite(), name()).prop_map(|(invite, user)| Event::Asked(v1::Asked { invite, user })),
        (invite(), name(), 0..5i32).prop_map(|(invite, user, reason)| Event::Ended(v1::InviteEnded {
            invite,
            user,
            reason
        })),
        introduced.prop_map(|(invite, user, key, dials, you_block, valid_ms)| {
            let (key, contact) = (key.into(), None);
            Event::Introduced(v1::Introduced { invite, user, key, contact, dials, you_block, valid_ms })
        }),
        (invite(), any::<bool>()).prop_map(|(invite, relay)| {
            let contact = Some(v1::Contact { relay, ..Default::default() });
            Event::Contact(v1::PeerContact { invite, contact })
        }),
    ]
}

fn from_server() -> impl Strategy<Value = Input> {
    let answer = (0..10i32, name(), invite());
    let answer = answer.prop_map(|(outcome, user, invite)| v1::Invited { outcome, user, invite });
    prop_oneof![
        4 => (name(), proptest::option::of(answer)).prop_map(|(typed, answer)| Input::Invited { typed, answer }),
        1 => invite().prop_map(Input::Gone),
        8 => proptest::option::of(told()).prop_map(|event| Input::Server(v1::PeerEvent { event })),
        1 => (name(), any::<bool>()).prop_map(|(user, may)| Input::Sight { user, may }),
        1 => any::<bool>().prop_map(Input::ServerUp),
        1 => (name(), any::<bool>()).prop_map(|(user, on)| Input::Block { user, on }),
    ]
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        4 => (0..4u64).prop_map(|number| text(number, "hello")),
        2 => (0..4u64).prop_map(|upto| Body::Ack(TalkAck { upto })),
        1 => (0..4i32).prop_map(|reason| Body::Bye(TalkBye { reason })),
        1 => invite().prop_map(|invite| Body::Hello(TalkHello { invite })),
    ]
}

fn from_network() -> impl Strategy<Value = Input> {
    prop_oneof![
        6 => (invite(), link(), any::<bool>())
            .prop_map(|(invite, link, relayed)| LinkEvent::Up { invite, link, relayed }),
        1 => invite().prop_map(|invite| LinkEvent::Failed { invite }),
        8 => (link(), body()).prop_map(|(link, frame)| LinkEvent::Frame { link, frame }),
        1 => (link(), any::<bool>()).prop_map(|(link, relayed)| LinkEvent::Path { link, relayed }),
        1 => link().prop_map(|link| LinkEvent::Down { link }),
        1 => any::<bool>().prop_map(LinkEvent::Relay),
    ]
    .prop_map(Input::Link)
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![6 => typed(), 8 => from_server(), 8 => from_network(), 1 => Just(Input::Tick)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_panics_or_stands_for_ever(
        inputs in proptest::collection::vec((input(), 0..20_000u64), 0..120),
        leaves: bool,
    ) {
        let mut talks = Talks::new("Ann", [1; 32], Keys::default());
        let mut now = Duration::ZERO;
        let mut asked = Vec::new();
        for (input, ms) in inputs {
            now += Duration::from_millis(ms);
            let effects = talks.handle(input, now);
            prop_assert!(effects.len() < 1000);
            prop_assert!(talks.deadline().is_none_or(|deadline| deadline > now));
            asked.extend(effects.into_iter().filter_map(|effect| match effect {
                Effect::Invite(typed) => Some(typed),
                _ => None,
            }));
        }
        // The driver answers every request, and says in the end that links are lost.
        for typed in asked {
            talks.handle(Input::Invited { typed, answer: None }, now);
        }
        talks.handle(Input::Link(LinkEvent::Relay(true)), now);
        talks.handle(Input::ServerUp(true), now);
        (0..4).for_each(|link| drop(talks.handle(Input::Link(LinkEvent::Down { link: Link(link) }), now)));
        let done = |effects: Vec<Effect>| effects.iter().filter(|effect| **effect == Effect::Done).count();
        let mut dones = if leaves { done(talks.handle(Input::Leave, now)) } else { 0 };
        let end = now + Duration::from_secs(900);
        while let Some(deadline) = talks.deadline() {
            prop_assert!(deadline > now && deadline < end);
            now = deadline;
            dones += done(talks.handle(Input::Tick, now));
        }
        prop_assert!(talks.is_idle());
        prop_assert_eq!(dones, usize::from(leaves));
    }
}
