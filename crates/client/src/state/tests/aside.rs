//! Requests outside the order of commands: sent at once, answered at once, and lost with the connection.

use super::*;

fn find(size: u64) -> Aside {
    Aside::FindSources(v1::FindSources { content: Some(v1::Content { size, ..v1::Content::default() }) })
}

fn more() -> Aside {
    Aside::HoldMore(v1::HoldMore::default())
}

fn done(id: u64) -> Input {
    reply(id, reply::Body::Done(v1::Done {}))
}

fn ask(session: &mut Session, id: u64, aside: Aside) -> Vec<Effect> {
    session.handle(Input::Aside(id, aside), ms(0))
}

/// The ids of the frames that are sent.
fn ids(effects: &[Effect]) -> Vec<u64> {
    let ids = effects.iter().filter_map(|effect| match effect {
        Effect::Send(frame) => Some(frame.id),
        _ => None,
    });
    ids.collect()
}

/// What is told of asides.
fn answers(effects: &[Effect]) -> Vec<(u64, Answer)> {
    let answers = effects.iter().filter_map(|effect| match effect {
        Effect::Tell(Event::Aside { id, answer }) => Some((*id, answer.clone())),
        _ => None,
    });
    answers.collect()
}

#[test]
fn they_overtake_commands_that_wait() {
    let mut session = session();
    // Its record is not written yet.
    session.handle(Input::Command(Ticket(1), message("a")), ms(0));
    assert_eq!(ids(&ask(&mut session, 7, find(1))), [10]);
    assert_eq!(ids(&ask(&mut session, 8, Aside::Hold(v1::Hold::default()))), [11]);
    assert_eq!(ids(&ask(&mut session, 9, more())), [0]);
    assert_eq!(answers(&session.handle(done(11), ms(0))), [(8, Answer::Done)]);
    let sources = v1::Sources { ticket: "t".into(), ..v1::Sources::default() };
    let input = reply(10, reply::Body::Sources(sources.clone()));
    assert_eq!(answers(&session.handle(input, ms(0))), [(7, Answer::Sources(sources))]);
    assert_eq!(answers(&session.handle(done(10), ms(0))), []);
}

#[test]
fn they_are_lost_with_the_connection_and_while_there_is_none() {
    let mut session = session();
    ask(&mut session, 1, find(1));
    assert_eq!(answers(&session.handle(Input::Lost(None), ms(0))), [(1, Answer::Lost)]);
    assert_eq!(answers(&ask(&mut session, 2, find(1))), [(2, Answer::Lost)]);
    assert_eq!(answers(&ask(&mut session, 3, more())), []);
    let effects = session.handle(Input::Resumed { opened: opened(0), next_id: 3 }, ms(0));
    assert_eq!((ids(&effects), answers(&effects)), (vec![], vec![]));
    assert_eq!(ids(&ask(&mut session, 4, find(1))), [3]);
}

#[test]
fn a_connection_that_is_made_anew_on_purpose_loses_none() {
    let mut session = session();
    ask(&mut session, 1, find(1));
    give(&mut session, 1, message("a"), ms(0));
    let effects = session.handle(outcome(11, Outcome::Stale), ms(0));
    assert_eq!(answers(&effects), []);
    ask(&mut session, 2, more());
    ask(&mut session, 3, find(3));
    written(&mut session, ms(0));
    let effects = session.handle(Input::Resumed { opened: opened(0), next_id: 3 }, ms(0));
    assert_eq!(ids(&effects)[..3], [3, 0, 4]);
    assert_eq!(answers(&session.handle(done(4), ms(0))), [(3, Answer::Done)]);
}

#[test]
fn a_server_without_sense_fills_no_memory_and_is_left() {
    let mut session = session();
    let lost = (0..3000).filter(|id| !answers(&ask(&mut session, *id, find(*id))).is_empty()).count();
    assert_eq!(lost, 3000 - 1024);
    let effects = session.handle(names(10, &["yoda"]), ms(0));
    assert!(effects.contains(&Effect::Drop));
    assert_eq!(answers(&effects).len(), 1024);
}
