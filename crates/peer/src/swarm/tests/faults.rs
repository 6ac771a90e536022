//! Sources that lie, are silent, slow, busy, or not there at all.

use super::*;

#[test]
fn a_liar_is_dropped_and_never_asked_again() {
    let mut run = Run::new(10);
    let asked = run.source(A, &(0..10).collect::<Vec<_>>());
    let lie = Event::ChunkArrived { peer: A, chunk: asked[0], bytes: CHUNK, verified: false };
    assert!(run.event(lie).contains(&Effect::Drop { peer: A, why: Fault::Lied }));
    let before = run.did.len();
    assert_eq!(run.event(Event::LinkUp { peer: A, relayed: false }), [Effect::Disconnect { peer: A }]);
    run.event(Event::MapDelta { peer: A, chunks: (0..10).collect() });
    run.event(Event::SourceFound(Found { peer: A, map: Some(ChunkSet::all(10)) }));
    run.pass(Duration::from_secs(3600));
    let touched = |effect: &Effect| matches!(effect, Effect::Connect { .. } | Effect::Request { .. });
    assert!(!run.did[before..].iter().any(touched));
    // What it was asked for is asked of another.
    assert_eq!(run.source(B, &asked).len(), 2);
}

#[test]
fn a_silent_source_is_dropped_and_tried_again_later_and_later() {
    let mut run = Run::new(10);
    run.source(A, &(0..10).collect::<Vec<_>>());
    let mut waits = Vec::new();
    for _ in 0..4 {
        let did = run.pass(ms(11_000));
        assert!(did.contains(&Effect::Drop { peer: A, why: Fault::Silent }), "{did:?}");
        let dropped = run.now;
        while !run.did.ends_with(&[Effect::Connect { peer: A }]) {
            let deadline = run.swarm.deadline().unwrap();
            assert!(deadline >= run.now);
            run.pass(deadline - run.now);
        }
        waits.push(run.now - dropped);
        run.event(Event::LinkUp { peer: A, relayed: false });
    }
    assert!(waits[3] > waits[1] * 2, "{waits:?}");
}

#[test]
fn a_source_that_answers_is_not_silent_however_slow() {
    let mut run = Run::new(10);
    let asked = run.source(A, &(0..10).collect::<Vec<_>>());
    for part in 1..20 {
        run.pass(ms(9000));
        run.event(Event::Progress { peer: A, chunk: asked[0], bytes: part * 1000 });
    }
    assert!(!run.did.iter().any(|effect| matches!(effect, Effect::Drop { .. })));
}

#[test]
fn a_far_slower_source_loses_its_chunks_and_is_dropped() {
    let mut run = Run::new(2000);
    let all: Vec<u32> = (0..2000).collect();
    run.source(A, &all);
    for peer in 10..14 {
        run.source(Peer(peer), &all);
    }
    let mut part = 0;
    while !run.did.contains(&Effect::Drop { peer: A, why: Fault::Slow }) {
        run.pass(ms(250));
        assert!(run.now < Duration::from_secs(300), "not dropped");
        part += 500;
        let standing =
            |run: &Run, of| run.swarm.sources.get(&of).and_then(|source| source.asked.first().copied());
        if let Some(chunk) = standing(&run, A) {
            run.event(Event::Progress { peer: A, chunk, bytes: part });
        }
        for peer in 10..14 {
            let chunk = standing(&run, Peer(peer)).unwrap();
            run.arrives(Peer(peer), chunk);
        }
    }
}

#[test]
fn who_is_busy_is_left_alone_for_a_while() {
    let mut run = Run::new(10);
    let asked = run.source(A, &(0..10).collect::<Vec<_>>());
    for chunk in &asked {
        let did = run.event(Event::Refused { peer: A, chunk: *chunk, why: Refusal::Busy });
        assert_eq!(did, []);
    }
    let again = run.pass(ms(600));
    assert_eq!(requests(&again, A).len(), 1, "one at a time: {again:?}");
}

#[test]
fn who_refuses_is_asked_for_other_things_or_left() {
    let mut run = Run::new(3);
    let asked = run.source(A, &[0, 1, 2]);
    let did = run.event(Event::Refused { peer: A, chunk: asked[0], why: Refusal::NotHere });
    assert!(!requests(&did, A).contains(&asked[0]) && requests(&did, A).len() == 1);
    let did = run.event(Event::Refused { peer: A, chunk: asked[1], why: Refusal::Denied });
    assert_eq!(did, [Effect::Disconnect { peer: A }]);
    assert!(!run.pass(ms(29_000)).contains(&Effect::Connect { peer: A }));
    assert!(run.pass(ms(60_000)).contains(&Effect::Connect { peer: A }));
}

#[test]
fn a_source_that_gives_nothing_is_left_alone_whoever_names_it_and_tried_again_within_a_minute() {
    let mut run = Run::new(10);
    let named = || Event::ServerSources(vec![Found { peer: A, map: Some(ChunkSet::all(10)) }]);
    run.event(named());
    let mut calls = Vec::new();
    while run.now < Duration::from_secs(3600) {
        let deadline = run.swarm.deadline().unwrap();
        let mut did = run.pass(deadline.saturating_sub(run.now));
        while let Some(effect) = did.pop() {
            match effect {
                Effect::AskSources => did.extend(run.event(named())),
                Effect::Connect { peer } => {
                    calls.push(run.now);
                    did.extend(run.event(Event::SourceGone { peer }));
                }
                _ => {}
            }
        }
    }
    assert!((50..150).contains(&calls.len()), "{}", calls.len());
    assert!(calls.windows(2).all(|two| two[1] - two[0] <= Duration::from_secs(61)), "{calls:?}");
    let asks = run.did.iter().filter(|effect| **effect == Effect::AskSources).count();
    assert!(asks < 150, "{asks}");
}

#[test]
fn a_map_that_claims_too_much_is_clipped() {
    let mut run = Run::new(10);
    let asked = run.source(A, &[5000, 10, 9, u32::MAX]);
    assert_eq!(asked, [9]);
    run.event(Event::SourceFound(Found { peer: B, map: Some(ChunkSet::all(100_000)) }));
    run.event(Event::LinkUp { peer: B, relayed: false });
    run.arrives(A, 9);
    run.arrives(A, 10_000);
    assert!(requests(&run.did, B).iter().all(|chunk| *chunk < 10));
}

#[test]
fn nobody_has_it_and_then_somebody_does() {
    let mut run = Run::new(10);
    let did = run.pass(Duration::from_secs(600));
    assert_eq!(did.iter().filter(|effect| **effect == Effect::Stalled).count(), 1);
    let asks = did.iter().filter(|effect| **effect == Effect::AskSources).count();
    assert!((8..30).contains(&asks), "{asks}");
    let asked = run.source(A, &(0..10).collect::<Vec<_>>());
    let did = run.event(Event::Progress { peer: A, chunk: asked[0], bytes: 1 });
    assert_eq!(did, [Effect::GoesOn]);
}

#[test]
fn an_attempt_that_nobody_answers_fails() {
    let mut run = Run::new(10);
    run.event(Event::SourceFound(Found { peer: A, map: None }));
    assert!(run.did.contains(&Effect::Connect { peer: A }));
    let did = run.pass(ms(40_000));
    assert!(did.contains(&Effect::Disconnect { peer: A }));
    assert!(did.contains(&Effect::Connect { peer: A }));
}

#[test]
fn an_attempt_that_waits_for_its_turn_is_not_late_and_nothing_stalls() {
    let mut run = Run::new(10);
    run.event(Event::SourceFound(Found { peer: A, map: None }));
    run.event(Event::LinkWaits { peer: A });
    let did = run.pass(Duration::from_secs(600));
    let only_asks = |effect: &Effect| *effect == Effect::AskSources;
    assert!(did.iter().all(only_asks), "{did:?}");
    run.event(Event::LinkBegins { peer: A });
    assert!(run.pass(ms(4000)).iter().all(only_asks));
    assert!(run.pass(ms(2000)).contains(&Effect::Stalled));
    assert!(run.pass(ms(30_000)).contains(&Effect::Disconnect { peer: A }));
}

#[test]
fn links_are_bounded_and_the_poorest_makes_place() {
    let mut run = Run::new(1000);
    for peer in 0..100 {
        run.event(Event::SourceFound(Found { peer: Peer(peer), map: None }));
    }
    for number in 0..100 {
        let mut attempts = run.did.iter().filter_map(|effect| match effect {
            Effect::Connect { peer } => Some(*peer),
            _ => None,
        });
        let Some(peer) = attempts.nth(number) else { break };
        run.event(Event::LinkUp { peer, relayed: false });
        run.pass(ms(600));
    }
    assert!((20..=40).contains(&run.swarm.links().0), "{:?}", run.swarm.links());
    // None of them has anything: others are tried in their place.
    let did = run.pass(ms(20_000));
    assert!(did.iter().any(|effect| matches!(effect, Effect::Disconnect { .. })));
}
