//! The machine by tables, and (`world`) against a tiny server with losses at every point.

mod aside;
mod many;
mod private;
mod world;

use hobnob_protocol::limits::TEXT_BYTES_MAX;
use v1::client_frame::Body;
use v1::refused;
use v1::reply;
use v1::submit::Op;
use v1::submitted::Outcome;

use super::*;
use crate::event::Answer;

const EPOCH: &[u8] = b"epoch";

fn opened(outbox_last: u64) -> v1::Opened {
    v1::Opened { epoch: EPOCH.into(), outbox_last, ..v1::Opened::default() }
}

fn cursor(inbox: u64, broadcast: u64) -> Cursor {
    Cursor { epoch: EPOCH.to_vec(), inbox, broadcast }
}

fn begin(opened: v1::Opened) -> Begin {
    Begin { background: false, waiting: Waiting::default(), cursor: cursor(0, 0), opened, next_id: 10 }
}

/// A session that just logged in, with nothing in its outbox.
fn session() -> Session {
    Session::new(begin(opened(0))).0
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn message(text: &str) -> Command {
    Command::Message { to: "yoda".into(), text: text.into() }
}

/// A command whose record is written at once.
fn give(session: &mut Session, ticket: u64, command: Command, now: Duration) -> Vec<Effect> {
    let mut effects = session.handle(Input::Command(Ticket(ticket), command), now);
    if effects.iter().any(|effect| matches!(effect, Effect::Record(_))) {
        effects.extend(written(session, now));
    }
    effects
}

/// The outbox has written all it was given.
fn written(session: &mut Session, now: Duration) -> Vec<Effect> {
    let upto = session.queue.recorded();
    session.handle(Input::Written(upto), now)
}

fn frame(body: server_frame::Body) -> Input {
    Input::Frame(v1::ServerFrame { body: Some(body) })
}

fn reply(id: u64, body: reply::Body) -> Input {
    frame(server_frame::Body::Reply(v1::Reply { id, body: Some(body) }))
}

fn outcome(id: u64, outcome: Outcome) -> Input {
    let submitted = v1::Submitted { outcome: outcome.into(), ..v1::Submitted::default() };
    reply(id, reply::Body::Submitted(submitted))
}

fn gap(id: u64, expected: u64) -> Input {
    let submitted = v1::Submitted { outcome: Outcome::Gap.into(), expected, ..v1::Submitted::default() };
    reply(id, reply::Body::Submitted(submitted))
}

fn names(id: u64, names: &[&str]) -> Input {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    reply(id, reply::Body::Names(v1::Names { names }))
}

fn entry(seq: u64) -> Input {
    let entry = v1::Entry { stream: Stream::Inbox.into(), seq, ..v1::Entry::default() };
    frame(server_frame::Body::Entry(entry))
}

fn skip(upto: u64) -> Input {
    frame(server_frame::Body::Skip(v1::Skip { stream: Stream::Inbox.into(), upto }))
}

/// What is sent, as short words.
fn sent(effects: &[Effect]) -> Vec<String> {
    let word = |effect: &Effect| match effect {
        Effect::Send(frame) => Some(match frame.body.as_ref().unwrap() {
            Body::Submit(submit) => format!("{}: submit {}", frame.id, submit.number),
            Body::WhoElse(_) => format!("{}: whoelse", frame.id),
            Body::ListBlocks(_) => format!("{}: blocks", frame.id),
            Body::ChangePassword(_) => format!("{}: password", frame.id),
            Body::Fetch(fetch) => format!("{}: fetch {}", frame.id, fetch.after),
            Body::Received(received) => format!("received {} {}", received.inbox, received.broadcast),
            Body::Logout(_) => format!("{}: logout", frame.id),
            Body::Alive(_) => "alive".to_owned(),
            other => format!("{other:?}"),
        }),
        _ => None,
    };
    effects.iter().filter_map(word).collect()
}

/// What is told, as short words.
fn told(effects: &[Effect]) -> Vec<String> {
    let word = |effect: &Effect| match effect {
        Effect::Tell(Event::Answer { ticket, answer, .. }) => {
            let ticket = ticket.map_or("left over".to_owned(), |ticket| ticket.0.to_string());
            Some(match answer {
                Answer::Submitted { outcome, user } => format!("{ticket}: {outcome:?} {user}"),
                Answer::Names(names) => format!("{ticket}: {}", names.join(" ")),
                other => format!("{ticket}: {other:?}"),
            })
        }
        Effect::Tell(Event::Message(message)) => Some(format!("message {}", message.seq)),
        Effect::Tell(event) => Some(format!("{event:?}")),
        Effect::End { end, forget } => Some(format!("{end:?}, forget: {forget}")),
        _ => None,
    };
    effects.iter().filter_map(word).collect()
}

#[test]
fn answers_come_in_the_order_given() {
    let mut session = session();
    assert_eq!(sent(&give(&mut session, 1, message("a"), ms(0))), ["10: submit 1"]);
    assert_eq!(sent(&give(&mut session, 2, Command::WhoElse, ms(0))), ["11: whoelse"]);
    let local = give(&mut session, 3, Command::Local { active: true }, ms(0));
    assert_eq!((sent(&local), told(&local)), (vec!["alive".to_owned()], vec![]));
    assert_eq!(told(&session.handle(names(11, &["luke"]), ms(1))), [""; 0]);
    let effects = session.handle(outcome(10, Outcome::Blocked), ms(1));
    assert_eq!(told(&effects), ["1: Blocked yoda", "2: luke", "3: Local"]);
    assert!(effects.contains(&Effect::Record(Record::Answered(1))));
}

#[test]
fn nothing_is_sent_before_it_is_durable_and_nothing_overtakes_it() {
    let mut session = session();
    let effects = session.handle(Input::Command(Ticket(1), message("a")), ms(0));
    assert!(matches!(&effects[..], [Effect::Record(Record::Added(submit))] if submit.number == 1));
    assert_eq!(sent(&session.handle(Input::Command(Ticket(2), Command::WhoElse), ms(0))), [""; 0]);
    assert_eq!(sent(&session.handle(Input::Written(0), ms(0))), [""; 0]);
    assert_eq!(sent(&session.handle(Input::Written(1), ms(0))), ["10: submit 1", "11: whoelse"]);
}

#[test]
fn texts_that_cannot_be_sent_are_refused_here_without_a_number() {
    let mut session = session();
    let long = "x".repeat(TEXT_BYTES_MAX + 1);
    let effects = give(&mut session, 1, message(&long), ms(0));
    assert_eq!((told(&effects), sent(&effects)), (vec!["1: TooLong yoda".to_owned()], vec![]));
    let effects = give(&mut session, 2, Command::Broadcast { text: "\u{1b}[2J".into() }, ms(0));
    assert_eq!(told(&effects), ["2: ControlCharacters "]);
    assert_eq!(sent(&give(&mut session, 3, message("ok\n\t"), ms(0))), ["10: submit 1"]);
}

#[test]
fn a_frame_stays_in_bounds_whatever_is_typed() {
    use hobnob_protocol::{codec, limits::FRAME_BYTES_MAX};
    let huge = "\u{10348}".repeat(100_000);
    let text = "x".repeat(TEXT_BYTES_MAX);
    let commands = [
        Command::Message { to: huge.clone(), text },
        Command::Block(huge.clone()),
        Command::Unblock(huge.clone()),
        Command::ChangePassword { old: huge.clone(), new: huge },
    ];
    let mut session = session();
    for command in commands {
        for effect in give(&mut session, 1, command, ms(0)) {
            if let Effect::Send(frame) = effect {
                assert!(codec::encode(&frame).len() < FRAME_BYTES_MAX);
            }
        }
    }
}

#[test]
fn after_a_loss_everything_unanswered_is_sent_again_in_order() {
    let mut session = session();
    let change = Command::ChangePassword { old: "a".into(), new: "b".into() };
    for (ticket, command) in [(1, message("a")), (2, Command::WhoElse), (3, change), (4, message("b"))] {
        give(&mut session, ticket, command, ms(0));
    }
    session.handle(outcome(10, Outcome::Accepted), ms(0));
    let effects = session.handle(Input::Lost(None), ms(1));
    assert_eq!(told(&effects), ["Disconnected"]);
    assert!(effects.contains(&Effect::Connect { at_once: false }));
    assert_eq!(told(&give(&mut session, 5, Command::Local { active: true }, ms(1))), [""; 0]);
    assert_eq!(told(&session.handle(Input::Unreachable, ms(1))), [""; 0], "told once");
    let resumed = Input::Resumed { opened: opened(2), next_id: 3 };
    let effects = session.handle(resumed, ms(2));
    assert_eq!(told(&effects), ["Reconnected"]);
    assert_eq!(sent(&effects), ["3: whoelse", "4: submit 2"], "the password is not sent twice");
    assert_eq!(told(&session.handle(outcome(4, Outcome::Accepted), ms(2))), [""; 0]);
    let effects = session.handle(names(3, &[]), ms(2));
    assert_eq!(told(&effects), ["2: ", "3: Lost", "4: Accepted yoda", "5: Local"]);
}

#[test]
fn busy_sends_the_same_again_and_what_was_asked_behind_it() {
    let mut session = session();
    give(&mut session, 1, message("a"), ms(0));
    give(&mut session, 2, message("b"), ms(0));
    give(&mut session, 3, Command::WhoElse, ms(0));
    assert_eq!(session.deadline(), None);
    let mut effects = session.handle(outcome(10, Outcome::Busy), ms(5));
    effects.extend(session.handle(gap(11, 1), ms(5)));
    effects.extend(session.handle(Input::Tick, ms(5)));
    effects.extend(session.handle(names(12, &["too early"]), ms(5)));
    assert_eq!((sent(&effects), told(&effects)), (vec![], vec![]));
    let deadline = session.deadline().unwrap();
    assert!(deadline > ms(5));
    assert_eq!(sent(&session.handle(Input::Tick, deadline - ms(1))), [""; 0]);
    let effects = session.handle(Input::Tick, deadline);
    assert_eq!(sent(&effects), ["13: submit 1", "14: submit 2", "15: whoelse"]);
}

#[test]
fn a_server_that_cannot_store_is_told_once_and_tried_less_and_less() {
    let mut session = session();
    give(&mut session, 1, message("a"), ms(0));
    give(&mut session, 2, message("b"), ms(0));
    let full = |id| {
        let (outcome, trouble) = (Outcome::Busy.into(), v1::Trouble::DiskFull.into());
        reply(id, reply::Body::Submitted(v1::Submitted { outcome, trouble, ..v1::Submitted::default() }))
    };
    let mut effects = session.handle(full(10), ms(0));
    effects.extend(session.handle(full(11), ms(0)));
    let told =
        effects.iter().filter(|effect| matches!(effect, Effect::Tell(Event::Trouble(Some(_))))).count();
    assert_eq!(told, 1);
    let (mut at, mut waits) = (ms(0), Vec::new());
    for id in 12..20 {
        let deadline = session.deadline().unwrap();
        let effects = session.handle(Input::Tick, deadline);
        assert_eq!(sent(&effects), [format!("{id}: submit 1")], "one finds out for all");
        waits.push((deadline - at).as_millis());
        at = deadline;
        assert!(!session.handle(full(id), at).iter().any(|effect| matches!(effect, Effect::Tell(_))));
    }
    assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 8000, 8000, 8000]);
    let deadline = session.deadline().unwrap();
    session.handle(Input::Tick, deadline);
    let effects = session.handle(outcome(20, Outcome::Accepted), deadline);
    assert!(effects.contains(&Effect::Tell(Event::Trouble(None))));
    assert_eq!(sent(&effects), ["21: submit 2"]);
    // Who leaves now does not wait.
    written(&mut session, deadline);
    session.handle(full(21), deadline);
    let effects = session.handle(Input::Logout, deadline);
    let end = Effect::End { end: End::LoggedOut { waiting: 1 }, forget: true };
    assert!(effects.contains(&end), "{effects:?}");
}

#[test]
fn stale_goes_on_under_a_new_name_with_new_numbers() {
    let waiting = Waiting {
        submits: vec![v1::Submit { number: 7, op: Some(Op::Block(v1::Block { user: "darth".into() })) }],
        next: 8,
    };
    let (mut session, effects) = Session::new(Begin { waiting, ..begin(opened(6)) });
    assert_eq!(sent(&effects), ["10: submit 7"]);
    give(&mut session, 1, message("a"), ms(0));
    let effects = session.handle(outcome(10, Outcome::Stale), ms(0));
    let records: Vec<_> = effects.iter().filter(|effect| matches!(effect, Effect::Record(_))).collect();
    assert!(matches!(&records[..], [Effect::Record(Record::Renewed(submits))]
        if submits.iter().map(|submit| submit.number).eq([1, 2])));
    assert!(effects.contains(&Effect::Drop) && !effects.contains(&Effect::Connect { at_once: true }));
    // Given meanwhile: numbered behind them.
    session.handle(Input::Command(Ticket(2), message("b")), ms(0));
    let effects = session.handle(Input::Written(3), ms(0));
    assert!(effects.contains(&Effect::Connect { at_once: true }));
    let effects = session.handle(Input::Resumed { opened: opened(0), next_id: 3 }, ms(0));
    assert_eq!(sent(&effects), ["3: submit 1", "4: submit 2", "5: submit 3"]);
    assert_eq!(told(&effects), [""; 0], "nothing was wrong that a person could see");
    assert_eq!(told(&session.handle(outcome(3, Outcome::Accepted), ms(0))), ["left over: Accepted darth"]);
}

#[test]
fn a_restored_server_is_met_with_a_new_outbox() {
    // The next number would be 8, but the server knows only 5.
    let waiting = Waiting { submits: vec![], next: 8 };
    let (mut session, effects) = Session::new(Begin { waiting, ..begin(opened(5)) });
    assert!(effects.contains(&Effect::Record(Record::Renewed(vec![]))));
    assert!(session.handle(Input::Written(1), ms(0)).contains(&Effect::Connect { at_once: true }));
    session.handle(Input::Resumed { opened: opened(0), next_id: 3 }, ms(0));
    assert_eq!(sent(&give(&mut session, 1, message("a"), ms(0))), ["3: submit 1"]);
    // The same found out by a gap.
    let effects = session.handle(gap(3, 0), ms(0));
    assert!(
        matches!(&effects[..], [Effect::Drop, Effect::Record(Record::Renewed(submits))] if submits.len() == 1)
    );
}

#[test]
fn a_restored_client_uses_no_number_of_its_other_life() {
    let waiting = Waiting { submits: vec![], next: 3 };
    let (mut session, _) = Session::new(Begin { waiting, ..begin(opened(9)) });
    assert_eq!(sent(&give(&mut session, 1, message("a"), ms(0))), ["10: submit 10"]);
}

#[test]
fn a_submit_refused_as_a_request_is_told_and_the_rest_renumbered() {
    let mut session = session();
    give(&mut session, 1, message("a"), ms(0));
    give(&mut session, 2, message("b"), ms(0));
    let refused = v1::Refused { reason: refused::Reason::BadRequest.into(), text: "no".into() };
    let effects = session.handle(reply(10, reply::Body::Refused(refused)), ms(0));
    assert_eq!(told(&effects), ["1: Refused { reason: BadRequest, text: \"no\" }"]);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Record(Record::Renewed(rest)) if rest.len() == 1))
    );
}

#[test]
fn the_server_s_limits_are_kept() {
    let limits = v1::Limits { send_rate: 10, send_burst: 2, in_flight: 3, ..v1::Limits::default() };
    let (mut session, _) = Session::new(begin(v1::Opened { limits: Some(limits), ..opened(0) }));
    let all: Vec<_> =
        (1..=6).flat_map(|ticket| sent(&give(&mut session, ticket, message("a"), ms(0)))).collect();
    assert_eq!(all, ["10: submit 1", "11: submit 2"]);
    assert_eq!(session.deadline(), Some(ms(100)));
    assert_eq!(sent(&session.handle(Input::Tick, ms(100))), ["12: submit 3"]);
    assert_eq!(session.deadline(), None, "three are under way");
    assert_eq!(sent(&session.handle(Input::Tick, ms(1000))), [""; 0]);
    assert_eq!(sent(&session.handle(outcome(10, Outcome::Accepted), ms(1000))), ["13: submit 4"]);
}

#[test]
fn messages_come_once_and_holes_are_asked_for() {
    let mut session = session();
    let effects: Vec<_> =
        [1, 1, 3, 4].into_iter().flat_map(|seq| session.handle(entry(seq), ms(0))).collect();
    assert_eq!(
        (told(&effects), sent(&effects)),
        (vec!["message 1".to_owned()], vec!["10: fetch 1".to_owned()])
    );
    session.handle(skip(4), ms(0));
    session.handle(reply(10, reply::Body::Done(v1::Done {})), ms(0));
    let effects: Vec<_> = [2, 3].into_iter().flat_map(|seq| session.handle(entry(seq), ms(0))).collect();
    assert_eq!(told(&effects), ["message 2", "message 3"]);
    let effects: Vec<_> =
        [skip(6), entry(7)].into_iter().flat_map(|input| session.handle(input, ms(0))).collect();
    assert_eq!(told(&effects), ["message 7"]);
}

#[test]
fn the_server_is_told_soon_and_not_for_every_message() {
    let mut session = session();
    for seq in 1..=100 {
        session.handle(entry(seq), ms(0));
    }
    let shown = |inbox| Input::Shown { inbox, broadcast: 0 };
    assert_eq!(sent(&session.handle(shown(1), ms(5))), [""; 0]);
    assert_eq!(session.deadline(), Some(ms(205)));
    assert_eq!(sent(&session.handle(shown(2), ms(204))), [""; 0]);
    assert_eq!(sent(&session.handle(Input::Tick, ms(205))), ["received 2 0"]);
    assert_eq!(session.deadline(), None);
    assert_eq!(sent(&session.handle(shown(65), ms(206))), [""; 0]);
    assert_eq!(sent(&session.handle(shown(66), ms(206))), ["received 66 0"]);
}

#[test]
fn positions_follow_the_server() {
    let at = |inbox, broadcast| v1::Opened { inbox, broadcast, ..opened(0) };
    // Another device had more; what is broadcast begins at the login.
    let (_, effects) = Session::new(Begin { cursor: cursor(3, 50), ..begin(at(7, 60)) });
    assert!(effects.contains(&Effect::Advance { inbox: 7, broadcast: 60 }));
    // This device has noted more than it could tell.
    let (mut session, effects) = Session::new(Begin { cursor: cursor(9, 0), ..begin(at(7, 0)) });
    assert!(effects.contains(&Effect::Advance { inbox: 9, broadcast: 0 }));
    let effects: Vec<_> = [8, 9, 10].into_iter().flat_map(|seq| session.handle(entry(seq), ms(0))).collect();
    assert_eq!(told(&effects), ["message 10"]);
    // Told but not yet shown when the connection broke: does not come twice.
    session.handle(Input::Lost(None), ms(0));
    session.handle(Input::Resumed { opened: at(9, 0), next_id: 3 }, ms(0));
    assert_eq!(told(&session.handle(entry(10), ms(0))), [""; 0]);
    // The server was restored: its numbers count, and 10 of the old ones may yet be shown.
    session.handle(Input::Lost(None), ms(0));
    let restored = v1::Opened { epoch: b"new".as_slice().into(), ..at(2, 1) };
    let effects = session.handle(Input::Resumed { opened: restored, next_id: 3 }, ms(0));
    let cursor = Cursor { epoch: b"new".to_vec(), inbox: 2, broadcast: 1 };
    assert!(effects.contains(&Effect::StartOver { cursor, untold: [Some(10), None] }));
    assert_eq!(told(&session.handle(entry(3), ms(0))), ["message 3"]);
}

#[test]
fn logout_waits_for_answers_and_stored_messages() {
    let (mut session, _) = Session::new(begin(v1::Opened { inbox_head: 2, ..opened(0) }));
    give(&mut session, 1, message("a"), ms(0));
    session.handle(entry(1), ms(0));
    assert_eq!(sent(&session.handle(Input::Logout, ms(0))), [""; 0]);
    session.handle(outcome(10, Outcome::Accepted), ms(0));
    assert_eq!(sent(&written(&mut session, ms(0))), [""; 0]);
    session.handle(entry(2), ms(0));
    assert_eq!(sent(&session.handle(Input::Shown { inbox: 1, broadcast: 0 }, ms(1))), [""; 0]);
    let effects = session.handle(Input::Shown { inbox: 2, broadcast: 0 }, ms(2));
    assert_eq!(sent(&effects), ["received 2 0", "11: logout"]);
    assert_eq!(session.deadline(), Some(ms(8002)));
    let effects = session.handle(reply(11, reply::Body::Done(v1::Done {})), ms(3));
    assert_eq!(told(&effects), ["LoggedOut { waiting: 0 }, forget: true"]);
    assert!(session.handle(Input::Lost(None), ms(4)).is_empty(), "nothing follows");
}

#[test]
fn logout_ends_without_the_server_too() {
    let end = "LoggedOut { waiting: 0 }, forget: true";
    for input in [Input::Lost(None), Input::Lost(Some(Close::LoggedOut)), Input::Lost(Some(Close::GoingAway))]
    {
        let mut session = session();
        session.handle(Input::Logout, ms(0));
        assert_eq!(told(&session.handle(input, ms(1))), [end]);
    }
    let mut session = session();
    session.handle(Input::Logout, ms(0));
    assert_eq!(told(&session.handle(Input::Tick, ms(7999))), [""; 0]);
    assert_eq!(told(&session.handle(Input::Tick, ms(8000))), [end]);
}

#[test]
fn logout_while_disconnected_keeps_what_waits() {
    let waiting = "LoggedOut { waiting: 2 }, forget: true";
    let commands = [message("a"), Command::Block("darth".into()), Command::Broadcast { text: "b".into() }];
    // Away when the logout is asked for, and lost after it was.
    for lost_first in [true, false] {
        let mut session = session();
        if lost_first {
            session.handle(Input::Lost(None), ms(0));
        }
        for (ticket, command) in (1..).zip(commands.clone()) {
            session.handle(Input::Command(Ticket(ticket), command), ms(0));
        }
        let mut effects = session.handle(Input::Logout, ms(0));
        assert_eq!(told(&effects), [""; 0], "not before all is on disk");
        if !lost_first {
            effects = session.handle(Input::Lost(None), ms(0));
            assert_eq!(told(&effects), [""; 0]);
        }
        assert_eq!(told(&session.handle(Input::Written(3), ms(1))), [waiting]);
    }
}

#[test]
fn a_background_session_leaves_its_token() {
    let (mut session, _) =
        Session::new(Begin { background: true, ..begin(v1::Opened { inbox_head: 9, ..opened(0) }) });
    give(&mut session, 1, message("a"), ms(0));
    session.handle(Input::Logout, ms(0));
    session.handle(outcome(10, Outcome::Accepted), ms(0));
    let effects = written(&mut session, ms(0));
    assert_eq!(
        (told(&effects), sent(&effects)),
        (vec!["LoggedOut { waiting: 0 }, forget: false".to_owned()], vec![])
    );
}

#[test]
fn closes_and_refusals_end_the_session_or_do_not() {
    let end = |effects: &[Effect]| told(effects).into_iter().find(|word| word.contains("forget"));
    let ends = [
        (Close::Replaced, "Replaced, forget: true"),
        (Close::Idle, "TimedOut, forget: true"),
        (Close::PasswordChanged, "Expired, forget: true"),
        (Close::Kicked, "Kicked, forget: true"),
        (Close::LoggedOut, "Expired, forget: true"),
        (Close::BadFrame, "Failed(\"bad frame\"), forget: false"),
    ];
    for close in Close::ALL {
        let effects = session().handle(Input::Lost(Some(close)), ms(0));
        match ends.iter().find(|(of, _)| *of == close) {
            Some((_, text)) => assert_eq!(end(&effects).as_deref(), Some(*text)),
            None => assert_eq!(end(&effects).is_none(), close.may_reconnect(), "{close:?}"),
        }
    }
    let refusals = [
        (Reason::Replaced, Some("Replaced, forget: true")),
        (Reason::TimedOut, Some("TimedOut, forget: true")),
        (Reason::LoggedOut, Some("Expired, forget: true")),
        (Reason::UnknownToken, Some("Expired, forget: true")),
        (Reason::PasswordChanged, Some("Expired, forget: true")),
        (Reason::Kicked, Some("Kicked, forget: true")),
        (Reason::BadDevice, Some("Failed(\"words\"), forget: false")),
        (Reason::Throttled, None),
    ];
    for (reason, expected) in refusals {
        let mut session = session();
        session.handle(Input::Lost(None), ms(0));
        let effects = session.handle(Input::ResumeRefused { reason, text: "words".into() }, ms(0));
        assert_eq!(end(&effects).as_deref(), expected);
        assert_eq!(effects.contains(&Effect::Connect { at_once: false }), expected.is_none());
    }
}

#[test]
fn nonsense_costs_the_connection_and_nothing_else() {
    let mut session = session();
    give(&mut session, 1, message("a"), ms(0));
    let effects = session.handle(names(10, &["?"]), ms(0));
    assert!(effects.contains(&Effect::Drop) && effects.contains(&Effect::Connect { at_once: false }));
    let effects = session.handle(Input::Resumed { opened: opened(1), next_id: 3 }, ms(0));
    assert_eq!(sent(&effects), ["3: submit 1"]);
}

#[test]
fn numbers_out_of_this_world_do_no_harm() {
    let mut session = session();
    let all = v1::Opened { inbox: u64::MAX, broadcast: u64::MAX, inbox_head: u64::MAX, ..opened(u64::MAX) };
    session.handle(skip(u64::MAX), ms(0));
    session.handle(entry(0), ms(0));
    session.handle(entry(u64::MAX), ms(0));
    session.handle(Input::Lost(None), ms(0));
    session.handle(Input::Resumed { opened: all, next_id: 3 }, ms(0));
    give(&mut session, 1, message("a"), ms(0));
    give(&mut session, 2, message("b"), ms(0));
    session.handle(gap(3, u64::MAX), ms(0));
    session.handle(Input::Tick, ms(1000));
}
