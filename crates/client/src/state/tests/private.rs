//! Private talk: what is asked when, what is told, and where this client can be reached.

use super::*;

fn invite(user: &str) -> Command {
    Command::Invite(user.into())
}

fn answer(accept: bool) -> Command {
    Command::AnswerInvite { invite: b"request".as_slice().into(), accept }
}

fn invited(id: u64, outcome: v1::invited::Outcome) -> Input {
    let invited = v1::Invited { outcome: outcome.into(), user: "Luke".into(), ..v1::Invited::default() };
    reply(id, reply::Body::Invited(invited))
}

fn done(id: u64) -> Input {
    reply(id, reply::Body::Done(v1::Done {}))
}

fn resumed(outbox_last: u64) -> Input {
    Input::Resumed { opened: opened(outbox_last), next_id: 3 }
}

/// The bodies that are sent.
fn bodies(effects: &[Effect]) -> Vec<&Body> {
    let frames = effects.iter().filter_map(|effect| match effect {
        Effect::Send(frame) => Some(frame),
        _ => None,
    });
    frames.filter_map(|frame| frame.body.as_ref()).collect()
}

fn contact(port: u16) -> v1::Contact {
    v1::Contact { addresses: vec![format!("127.0.0.1:{port}")], relay: true, tcp: Vec::new() }
}

#[test]
fn requests_take_their_turn_and_are_answered() {
    let mut session = session();
    let commands = [
        message("a"),
        invite("luke"),
        answer(true),
        answer(false),
        Command::CancelInvite(b"other".as_slice().into()),
        Command::MaySee("leia".into()),
    ];
    let effects: Vec<_> =
        (1..).zip(commands).flat_map(|(ticket, c)| give(&mut session, ticket, c, ms(0))).collect();
    let request = || b"request".as_slice().into();
    let expected = [
        Body::Invite(v1::Invite { user: "luke".into() }),
        Body::AnswerInvite(v1::AnswerInvite { invite: request(), accept: true }),
        Body::AnswerInvite(v1::AnswerInvite { invite: request(), accept: false }),
        Body::CancelInvite(v1::CancelInvite { invite: b"other".as_slice().into() }),
        Body::MaySee(v1::MaySee { user: "leia".into() }),
    ];
    assert_eq!(bodies(&effects)[1..], expected.iter().collect::<Vec<_>>());
    let sight = reply(15, reply::Body::Sight(v1::Sight { may: true }));
    let gone = invited(13, v1::invited::Outcome::Gone);
    for input in [sight, done(14), gone, done(12), invited(11, v1::invited::Outcome::Asked)] {
        assert_eq!(told(&session.handle(input, ms(1))), [""; 0], "not before its turn");
    }
    let words = told(&session.handle(outcome(10, Outcome::Accepted), ms(1)));
    assert_eq!(words[0], "1: Accepted yoda");
    assert!(words[1].starts_with("2: Invited(") && words[1].contains("outcome: Asked"), "{}", words[1]);
    assert_eq!(words[2], "3: Done");
    assert!(words[3].starts_with("4: Invited(") && words[3].contains("outcome: Gone"), "{}", words[3]);
    assert_eq!(words[4..], ["5: Done", "6: Sight(true)"]);
}

#[test]
fn what_is_asked_now_or_never_does_not_wait_for_the_server() {
    let mut session = session();
    give(&mut session, 1, invite("luke"), ms(0));
    give(&mut session, 2, Command::MaySee("leia".into()), ms(0));
    let effects = session.handle(Input::Lost(None), ms(1));
    assert_eq!(told(&effects), ["Disconnected", "1: Lost", "2: Lost"], "asked once");
    assert_eq!(told(&give(&mut session, 3, invite("luke"), ms(2))), ["3: Lost"], "not asked at all");
    assert_eq!(told(&give(&mut session, 4, Command::MaySee("leia".into()), ms(2))), ["4: Lost"]);
    // An answer waits: the request may stand when the server is back.
    assert_eq!(told(&give(&mut session, 5, answer(true), ms(2))), [""; 0]);
    let effects = session.handle(resumed(0), ms(3));
    assert!(matches!(bodies(&effects)[..], [Body::AnswerInvite(_)]), "{effects:?}");
    assert_eq!(told(&session.handle(done(3), ms(3))), ["5: Done"]);
    assert_eq!(sent(&give(&mut session, 6, invite("luke"), ms(4))).len(), 1, "the server is back");
}

#[test]
fn an_answer_is_given_again_on_the_next_connection_and_a_request_is_not() {
    let mut session = session();
    for (ticket, command) in [(1, answer(true)), (2, invite("luke")), (3, answer(false))] {
        give(&mut session, ticket, command, ms(0));
    }
    session.handle(Input::Lost(None), ms(1));
    let effects = session.handle(resumed(0), ms(2));
    assert!(matches!(bodies(&effects)[..], [Body::AnswerInvite(_), Body::AnswerInvite(_)]), "{effects:?}");
    let effects = [done(3), done(4)].map(|input| told(&session.handle(input, ms(2))));
    assert_eq!(effects.concat(), ["1: Done", "2: Lost", "3: Done"]);
}

#[test]
fn a_request_waits_while_the_outbox_gets_a_new_name() {
    let mut session = session();
    give(&mut session, 1, message("a"), ms(0));
    session.handle(outcome(10, Outcome::Stale), ms(0));
    assert_eq!(told(&session.handle(Input::Command(Ticket(2), invite("luke")), ms(0))), [""; 0]);
    written(&mut session, ms(0));
    let effects = session.handle(resumed(0), ms(0));
    assert!(matches!(bodies(&effects)[..], [Body::Submit(_), Body::Invite(_)]), "{effects:?}");
    // The server was there after all, but then was not.
    give(&mut session, 3, message("b"), ms(0));
    session.handle(outcome(3, Outcome::Stale), ms(0));
    give(&mut session, 4, invite("leia"), ms(0));
    written(&mut session, ms(0));
    let effects = session.handle(Input::Unreachable, ms(1));
    assert_eq!(told(&effects), ["Disconnected", "2: Lost", "4: Lost"]);
    session.handle(resumed(0), ms(1));
    let effects = [outcome(3, Outcome::Accepted), outcome(4, Outcome::Accepted)]
        .map(|input| told(&session.handle(input, ms(2))));
    assert_eq!(effects.concat(), ["1: Accepted yoda", "3: Accepted yoda"]);
}

fn trouble(id: u64) -> Input {
    let submitted = v1::Submitted {
        outcome: Outcome::Busy.into(),
        trouble: v1::Trouble::NotWritable.into(),
        ..v1::Submitted::default()
    };
    reply(id, reply::Body::Submitted(submitted))
}

#[test]
fn private_talk_does_not_wait_for_what_the_server_cannot_store() {
    let mut session = session();
    let commands = [message("a"), message("b"), invite("luke"), Command::WhoElse, answer(true)];
    for (ticket, command) in (1..).zip(commands) {
        give(&mut session, ticket, command, ms(0));
    }
    assert_eq!(told(&session.handle(trouble(10), ms(1))), ["Trouble(Some(NotWritable))"]);
    let words = told(&session.handle(invited(12, v1::invited::Outcome::Asked), ms(1)));
    assert!(matches!(&words[..], [word] if word.starts_with("3: Invited(")), "{words:?}");
    assert_eq!(told(&session.handle(done(14), ms(1))), ["5: Done"]);
    // One that comes now is sent at once, though the messages wait.
    let effects = give(&mut session, 6, Command::CancelInvite(b"other".as_slice().into()), ms(2));
    assert!(matches!(bodies(&effects)[..], [Body::CancelInvite(_)]), "{effects:?}");
    assert_eq!(told(&session.handle(done(15), ms(2))), ["6: Done"]);
    // What is left goes on in its order.
    session.handle(trouble(11), ms(2));
    session.handle(names(13, &["too early"]), ms(2));
    assert_eq!(sent(&session.handle(Input::Tick, ms(2000))), ["16: submit 1"]);
    let effects = session.handle(outcome(16, Outcome::Accepted), ms(2001));
    assert_eq!(told(&effects), ["Trouble(None)", "1: Accepted yoda"]);
    assert_eq!(sent(&effects), ["17: submit 2", "18: whoelse"]);
    session.handle(outcome(17, Outcome::Accepted), ms(2002));
    assert_eq!(told(&session.handle(names(18, &["luke"]), ms(2002))), ["4: luke"]);
    assert_eq!(session.commands().count(), 0);
}

#[test]
fn what_the_server_tells_of_peers_is_passed_on() {
    let mut session = session();
    let asked = v1::Asked { invite: b"request".as_slice().into(), user: "luke".into() };
    let event = v1::PeerEvent { event: Some(v1::peer_event::Event::Asked(asked)) };
    let effects = session.handle(frame(server_frame::Body::Peer(event.clone())), ms(0));
    assert_eq!(effects, [Effect::Tell(Event::Peer(event.clone()))]);
    session.handle(Input::Lost(None), ms(1));
    assert_eq!(session.handle(frame(server_frame::Body::Peer(event)), ms(1)), [], "the connection is gone");
}

#[test]
fn the_server_knows_where_the_client_is_on_every_connection() {
    let mut session = session();
    let effects = session.handle(Input::Contact(contact(1)), ms(0));
    assert_eq!(bodies(&effects), [&Body::Contact(contact(1))]);
    assert!(matches!(&effects[..], [Effect::Send(frame)] if frame.id == 0), "a note");
    session.handle(Input::Lost(None), ms(1));
    assert_eq!(session.handle(Input::Contact(contact(2)), ms(1)), []);
    let many = v1::Contact { addresses: vec!["127.0.0.1:3".into(); 100], relay: false, tcp: Vec::new() };
    assert_eq!(session.handle(Input::Contact(many), ms(1)), []);
    give(&mut session, 1, answer(true), ms(1));
    let effects = session.handle(resumed(0), ms(2));
    let [Body::Contact(told), Body::AnswerInvite(_)] = bodies(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(told.addresses.len(), CONTACT_ADDRESSES_MAX, "the newest, and before anything is asked");
}

#[test]
fn activity_is_told_only_while_the_server_is_there() {
    let mut session = session();
    assert_eq!(sent(&session.handle(Input::Active, ms(0))), ["alive"]);
    session.handle(Input::Lost(None), ms(0));
    assert_eq!(session.handle(Input::Active, ms(0)), []);
    assert_eq!(sent(&session.handle(resumed(0), ms(1))), [""; 0]);
}
