//! What is asked of whom: one download and a few sources.

use super::*;

#[test]
fn a_source_is_found_linked_asked_and_all_is_told() {
    let mut run = Run::new(3);
    assert_eq!(run.did, [Effect::AskSources]);
    let found = Found { peer: A, map: Some(ChunkSet::all(3)) };
    assert_eq!(run.event(Event::ServerSources(vec![found])), [Effect::Connect { peer: A }]);
    let asked = run.event(Event::LinkUp { peer: A, relayed: false });
    let asked = requests(&asked, A);
    assert_eq!(asked.len(), 2);
    let first = run.arrives(A, asked[0]);
    assert!(first.contains(&Effect::TellServer(Report::First(asked[0]))), "{first:?}");
    assert_eq!(requests(&first, A).len(), 1);
    let third = requests(&first, A)[0];
    assert_eq!(run.arrives(A, asked[1]), []);
    assert_eq!(run.pass(ms(110)), [Effect::TellPeers(vec![asked[0], asked[1]])]);
    let last = run.arrives(A, third);
    let told = [Effect::TellPeers(vec![third]), Effect::TellServer(Report::Complete)];
    assert_eq!(last, [&told[..], &[Effect::Disconnect { peer: A }, Effect::Completed]].concat());
    assert_eq!(run.swarm.deadline(), None);
}

#[test]
fn a_file_without_bytes_and_one_that_is_here_are_complete_at_once() {
    let here = Setup { have: ChunkSet::all(5), ..Setup::new(5 * CHUNK, CHUNK).unwrap() };
    for setup in [Setup::new(0, CHUNK).unwrap(), here] {
        let effects = Swarm::new(setup, 1).handle(Event::Tick, ms(0));
        assert_eq!(effects, [Effect::TellServer(Report::Complete), Effect::Completed]);
    }
    assert!(Setup::new(1, 0).is_none() && Setup::new(u64::MAX, CHUNK).is_none());
}

#[test]
fn what_was_fetched_before_is_told_and_not_asked_for() {
    let mut have = ChunkSet::none(10);
    (0..9).for_each(|chunk| assert!(have.insert(chunk)));
    let mut swarm = Swarm::new(Setup { have, ..Setup::new(10 * CHUNK, CHUNK).unwrap() }, 1);
    let told = swarm.handle(Event::Tick, ms(0));
    assert!(told.contains(&Effect::TellServer(Report::More((0..9).collect()))), "{told:?}");
    swarm.handle(Event::LinkUp { peer: A, relayed: false }, ms(1));
    let asked = swarm.handle(Event::MapDelta { peer: A, chunks: (0..10).collect() }, ms(1));
    assert_eq!(requests(&asked, A), [9]);
}

#[test]
fn the_rarest_comes_first() {
    let mut run = Run::new(100);
    // Enough for the random start.
    let first = run.source(A, &[0, 1, 2, 3]);
    let more = run.arrives(A, first[0]);
    run.arrives(A, first[1]);
    assert_eq!(requests(&more, A).len(), 1);
    let all: Vec<u32> = (0..100).collect();
    for peer in 10..20 {
        run.event(Event::LinkUp { peer: Peer(peer), relayed: false });
    }
    // Everybody has everything but 50 and 60, which B alone has.
    let most: Vec<u32> = all.iter().copied().filter(|chunk| *chunk != 50 && *chunk != 60).collect();
    for peer in 10..20 {
        run.event(Event::MapDelta { peer: Peer(peer), chunks: most.clone() });
    }
    let mut asked = run.source(B, &all);
    asked.sort_unstable();
    assert_eq!(asked, [50, 60]);
}

#[test]
fn a_relay_carries_only_what_nothing_else_does() {
    let mut run = Run::new(10);
    run.source(A, &[0, 1, 2, 3, 4]);
    let mut relayed = run.linked(B, true, &(0..7).collect::<Vec<_>>());
    relayed.sort_unstable();
    assert_eq!(relayed, [5, 6]);
    run.event(Event::SourceGone { peer: A });
    run.arrives(B, 5);
    assert!(requests(&run.did, B).len() > 2);
}

#[test]
fn the_last_chunks_are_asked_for_twice_and_the_loser_is_cancelled() {
    let mut run = Run::new(2);
    let first = run.source(A, &[0, 1]);
    assert_eq!(first.len(), 2);
    run.source(B, &[0, 1]);
    let twice = run.pass(ms(3000));
    let mut twice = requests(&twice, B);
    twice.sort_unstable();
    assert_eq!(twice, [0, 1]);
    let cancelled = run.arrives(B, 0);
    assert!(cancelled.contains(&Effect::CancelRequest { peer: A, chunk: 0 }), "{cancelled:?}");
    assert!(run.arrives(A, 1).contains(&Effect::Completed));
}

#[test]
fn what_waits_at_one_is_taken_over_by_an_idle_one() {
    let mut run = Run::new(1000);
    run.source(A, &[1, 2]);
    assert!(run.source(B, &[1, 2]).is_empty());
    let did = run.pass(ms(3000));
    let taken = requests(&did, B);
    assert!(!taken.is_empty());
    for chunk in taken {
        let cancel = did.iter().position(|effect| *effect == Effect::CancelRequest { peer: A, chunk });
        let request = did.iter().position(|effect| *effect == Effect::Request { peer: B, chunk });
        assert!(cancel < request && cancel.is_some(), "{did:?}");
    }
}

#[test]
fn what_another_has_too_is_not_asked_of_the_only_one_who_has_the_rest() {
    let mut run = Run::new(1000);
    let asked = run.source(A, &(0..1000).collect::<Vec<_>>());
    run.event(Event::LinkUp { peer: B, relayed: false });
    let did = run.event(Event::MapDelta { peer: B, chunks: vec![asked[0]] });
    assert_eq!(did[0], Effect::CancelRequest { peer: A, chunk: asked[0] });
    assert_eq!(requests(&did, B), [asked[0]]);
    assert_eq!(requests(&did, A).len(), 1);
}

#[test]
fn after_stop_nothing_happens() {
    let mut run = Run::new(10);
    run.source(A, &[1, 2, 3]);
    assert_eq!(run.event(Event::Stop), [Effect::Disconnect { peer: A }]);
    assert_eq!(run.arrives(A, 1), []);
    assert_eq!(run.swarm.deadline(), None);
}
