//! Thousands of commands: never more than a few under way, and none forgotten.

use std::collections::VecDeque;

use super::*;

/// Takes every frame sent as judged in its order, and counts what is under way.
struct Judge {
    under_way: VecDeque<v1::ClientFrame>,
    most: usize,
    judged: Vec<u64>,
    answers: usize,
}

impl Judge {
    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(frame) => self.under_way.push_back(frame),
                Effect::Tell(Event::Answer { .. }) => self.answers += 1,
                _ => {}
            }
        }
        self.most = self.most.max(self.under_way.len());
    }

    fn reply(&mut self) -> Option<Input> {
        let frame = self.under_way.pop_front()?;
        match frame.body {
            Some(Body::Submit(submit)) => {
                self.judged.push(submit.number);
                Some(outcome(frame.id, Outcome::Accepted))
            }
            _ => Some(names(frame.id, &[])),
        }
    }
}

#[test]
fn thousands_that_waited_go_out_a_few_at_a_time() {
    let mut session = session();
    session.handle(Input::Lost(None), ms(1));
    let texts = 16_000;
    for ticket in 1..=texts {
        session.handle(Input::Command(Ticket(ticket), message("a")), ms(2));
        if ticket % 2 == 0 {
            session.handle(Input::Command(Ticket(ticket), Command::WhoElse), ms(2));
        }
    }
    written(&mut session, ms(2));
    let mut judge = Judge { under_way: Default::default(), most: 0, judged: vec![], answers: 0 };
    let limits = Some(v1::Limits { in_flight: 8, ..v1::Limits::default() });
    let opened = v1::Opened { limits, ..opened(0) };
    judge.take(session.handle(Input::Resumed { opened, next_id: 3 }, ms(3)));
    while let Some(reply) = judge.reply() {
        judge.take(session.handle(reply, ms(3)));
    }
    assert_eq!(judge.judged, (1..=texts).collect::<Vec<_>>());
    assert_eq!(judge.answers as u64, texts + texts / 2);
    assert!((8..=8 + 4 + 1).contains(&judge.most), "{}", judge.most);
    assert!(session.queue.is_empty());
}

#[test]
fn thousands_of_questions_are_asked_a_few_at_a_time() {
    let mut session = session();
    let mut judge = Judge { under_way: Default::default(), most: 0, judged: vec![], answers: 0 };
    for ticket in 1..=16_000 {
        judge.take(session.handle(Input::Command(Ticket(ticket), Command::WhoElse), ms(2)));
    }
    while let Some(reply) = judge.reply() {
        judge.take(session.handle(reply, ms(3)));
    }
    assert_eq!((judge.answers, judge.most), (16_000, 32));
}

#[test]
fn a_number_lost_to_damage_means_a_new_outbox() {
    let submit = |number| v1::Submit { number, op: command::op(&message("a")) };
    let waiting = Waiting { submits: vec![submit(1), submit(3)], next: 4 };
    let (mut session, effects) = Session::new(Begin { waiting, ..begin(opened(0)) });
    assert_eq!(sent(&effects), ["10: submit 1", "11: submit 3"]);
    session.handle(outcome(10, Outcome::Accepted), ms(1));
    let effects = session.handle(gap(11, 2), ms(1));
    assert!(effects.contains(&Effect::Record(Record::Renewed(vec![submit(1)]))), "{effects:?}");
}
