//! The machine against a tiny server, with the connection lost, the process killed and the server busy at any point:
//! nothing is lost, doubled or out of order.

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;

use super::*;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Deed {
    Say,
    Ask,
    Wait,
    Write,
    ServerReads,
    ServerIsBusy,
    ClientReads,
    Post,
    PostHidden,
    Show,
    Lose,
    Connect,
    Kill,
}

/// A server with one user and one device at a time.
#[derive(Default)]
struct Server {
    /// Per outbox what it said, in order; the place is the number.
    outboxes: HashMap<u64, Vec<String>>,
    /// Everything accepted, in order.
    accepted: Vec<String>,
    /// The inbox; none: hidden by a block.
    inbox: Vec<Option<u64>>,
    received: u64,
    pushed: u64,
    line: Option<(VecDeque<v1::ClientFrame>, VecDeque<v1::ServerFrame>)>,
    /// The outbox of the connection.
    outbox: u64,
}

impl Server {
    fn connect(&mut self, outbox: u64, noted: u64) -> v1::Opened {
        self.line = Some(Default::default());
        self.outbox = outbox;
        self.received = self.received.max(noted);
        self.pushed = self.received;
        let outbox_last = self.outboxes.get(&outbox).map_or(0, Vec::len) as u64;
        let opened = v1::Opened {
            inbox: self.received,
            inbox_head: self.inbox.len() as u64,
            limits: Some(v1::Limits { in_flight: 4, ..v1::Limits::default() }),
            ..opened(outbox_last)
        };
        self.push();
        opened
    }

    fn push(&mut self) {
        let Some((_, out)) = &mut self.line else { return };
        for (seq, hidden) in (1..).zip(&self.inbox).skip(self.pushed as usize) {
            let stream = Stream::Inbox.into();
            let body = match hidden {
                Some(_) => server_frame::Body::Entry(v1::Entry { stream, seq, ..v1::Entry::default() }),
                None => server_frame::Body::Skip(v1::Skip { stream, upto: seq }),
            };
            out.push_back(v1::ServerFrame { body: Some(body) });
        }
        self.pushed = self.inbox.len() as u64;
    }

    fn read(&mut self, busy: bool) {
        let Some(frame) = self.line.as_mut().and_then(|(incoming, _)| incoming.pop_front()) else { return };
        let body = match frame.body.unwrap() {
            Body::Submit(submit) => reply::Body::Submitted(self.judge(submit, busy)),
            // The answer says how much was accepted when it was asked.
            Body::WhoElse(_) => reply::Body::Names(v1::Names { names: self.accepted.clone() }),
            Body::Received(received) => {
                self.received = self.received.max(received.inbox);
                return;
            }
            other => unreachable!("{other:?}"),
        };
        let reply = server_frame::Body::Reply(v1::Reply { id: frame.id, body: Some(body) });
        self.line.as_mut().unwrap().1.push_back(v1::ServerFrame { body: Some(reply) });
    }

    fn judge(&mut self, submit: v1::Submit, busy: bool) -> v1::Submitted {
        let Some(Op::Broadcast(v1::Broadcast { text })) = submit.op else { unreachable!() };
        let said = self.outboxes.entry(self.outbox).or_default();
        let expected = said.len() as u64 + 1;
        let outcome = match submit.number {
            _ if busy => Outcome::Busy,
            number if number > expected => Outcome::Gap,
            number if number < expected && said[number as usize - 1] == text => Outcome::Accepted,
            number if number < expected => Outcome::Stale,
            _ => {
                said.push(text.clone());
                self.accepted.push(text);
                Outcome::Accepted
            }
        };
        v1::Submitted { outcome: outcome.into(), expected, ..v1::Submitted::default() }
    }
}

/// A client with its disk, and the server.
struct World {
    server: Server,
    session: Session,
    now: Duration,
    /// The disk: what is durable, and what is about to be.
    written: Vec<Record>,
    unwritten: Vec<Record>,
    outbox: u64,
    noted: u64,
    records: u64,
    connecting: bool,
    /// Everything given, with the texts that were given before each question.
    tickets: u64,
    said: Vec<String>,
    asked: HashMap<u64, usize>,
    /// The last ticket that was answered, and the messages told and not shown.
    answered: u64,
    told: VecDeque<u64>,
    last_told: u64,
}

impl World {
    fn new() -> Self {
        let mut server = Server::default();
        let opened = server.connect(1, 0);
        let mut world = Self {
            server,
            session: session(),
            now: ms(0),
            written: vec![],
            unwritten: vec![],
            outbox: 1,
            noted: 0,
            records: 0,
            connecting: false,
            tickets: 0,
            said: vec![],
            asked: HashMap::new(),
            answered: 0,
            told: VecDeque::new(),
            last_told: 0,
        };
        world.start(opened);
        world
    }

    fn start(&mut self, opened: v1::Opened) {
        let begin =
            Begin { waiting: self.waiting(), cursor: cursor(self.noted, 0), next_id: 1, ..begin(opened) };
        let (session, effects) = Session::new(begin);
        self.session = session;
        self.carry_out(effects);
    }

    /// What is on the disk.
    fn waiting(&self) -> Waiting {
        let mut waiting = Waiting { submits: vec![], next: 1 };
        for record in &self.written {
            match record {
                Record::Added(submit) => {
                    waiting.next = submit.number + 1;
                    waiting.submits.push(submit.clone());
                }
                Record::Answered(number) => waiting.submits.retain(|submit| submit.number != *number),
                Record::Renewed(submits) => {
                    waiting = Waiting { submits: submits.clone(), next: submits.len() as u64 + 1 };
                }
            }
        }
        waiting
    }

    fn input(&mut self, input: Input) {
        let effects = self.session.handle(input, self.now);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(frame) => self.server.line.as_mut().expect("a connection").0.push_back(frame),
                Effect::Record(record) => self.unwritten.push(record),
                Effect::Advance { inbox, .. } => self.noted = self.noted.max(inbox),
                Effect::Tell(event) => self.tell(event),
                Effect::Drop => self.server.line = None,
                Effect::Connect { .. } => self.connecting = true,
                Effect::StartOver { .. } | Effect::End { .. } => panic!("{effect:?}"),
            }
        }
    }

    fn tell(&mut self, event: Event) {
        match event {
            Event::Answer { ticket: Some(ticket), answer, .. } => {
                assert!(ticket.0 > self.answered, "answers in order, once each");
                self.answered = ticket.0;
                if let Answer::Names(accepted) = answer {
                    let before = self.asked[&ticket.0];
                    assert!(accepted.len() >= before, "an answer overtook a command");
                }
            }
            Event::Message(message) => {
                assert!(message.seq > self.last_told, "messages in order, once each");
                let between = &self.server.inbox[self.last_told as usize..message.seq as usize - 1];
                assert!(between.iter().all(Option::is_none), "a message is missing before {}", message.seq);
                self.last_told = message.seq;
                self.told.push_back(message.seq);
            }
            _ => {}
        }
    }

    fn give(&mut self, command: Command) {
        self.tickets += 1;
        self.input(Input::Command(Ticket(self.tickets), command));
    }

    fn write(&mut self) {
        for record in std::mem::take(&mut self.unwritten) {
            self.outbox += u64::from(matches!(record, Record::Renewed(_)));
            self.records += 1;
            self.written.push(record);
        }
        self.input(Input::Written(self.records));
    }

    fn connect(&mut self) {
        if std::mem::take(&mut self.connecting) {
            let opened = self.server.connect(self.outbox, self.noted);
            self.input(Input::Resumed { opened, next_id: 3 });
        }
    }

    fn lose(&mut self) {
        if self.server.line.take().is_some() {
            self.input(Input::Lost(None));
        }
    }

    /// The process dies: what is not on the disk is as if it had not been said.
    fn kill(&mut self) {
        let on_disk = |text: &String| {
            self.written.iter().any(|record| match record {
                Record::Added(submit) => {
                    matches!(&submit.op, Some(Op::Broadcast(said)) if said.text == *text)
                }
                _ => false,
            })
        };
        self.said = self.said.iter().filter(|text| on_disk(text)).cloned().collect();
        self.unwritten.clear();
        self.asked.clear();
        self.records = 0;
        self.connecting = false;
        self.answered = self.tickets;
        self.told.clear();
        self.last_told = self.noted;
        let opened = self.server.connect(self.outbox, self.noted);
        self.start(opened);
    }

    fn happen(&mut self, deed: &Deed) {
        self.now += ms(1);
        match deed {
            Deed::Say => {
                let text = format!("text {}", self.tickets + 1);
                self.said.push(text.clone());
                self.give(Command::Broadcast { text });
            }
            Deed::Ask => {
                self.asked.insert(self.tickets + 1, self.said.len());
                self.give(Command::WhoElse);
            }
            Deed::Wait => {
                self.now += ms(300);
                self.input(Input::Tick);
            }
            Deed::Write => self.write(),
            Deed::ServerReads => self.server.read(false),
            Deed::ServerIsBusy => self.server.read(true),
            Deed::ClientReads => {
                if let Some(frame) = self.server.line.as_mut().and_then(|(_, out)| out.pop_front()) {
                    self.input(Input::Frame(frame));
                }
            }
            Deed::Post => {
                self.server.inbox.push(Some(0));
                self.server.push();
            }
            Deed::PostHidden => {
                self.server.inbox.push(None);
                self.server.push();
            }
            Deed::Show => {
                if let Some(seq) = self.told.pop_front() {
                    self.noted = self.noted.max(seq);
                    self.input(Input::Shown { inbox: self.noted, broadcast: 0 });
                }
            }
            Deed::Lose => self.lose(),
            Deed::Connect => self.connect(),
            Deed::Kill => self.kill(),
        }
    }

    /// Everything goes well until nothing is left to do.
    fn calm(&mut self) {
        let calm = [Deed::Write, Deed::Connect, Deed::ServerReads, Deed::ClientReads, Deed::Show, Deed::Wait];
        for _ in 0..400 {
            calm.iter().for_each(|deed| self.happen(deed));
        }
    }
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        6 => Just(Deed::Say),
        3 => Just(Deed::Ask),
        2 => Just(Deed::Wait),
        6 => Just(Deed::Write),
        8 => Just(Deed::ServerReads),
        1 => Just(Deed::ServerIsBusy),
        8 => Just(Deed::ClientReads),
        3 => Just(Deed::Post),
        1 => Just(Deed::PostHidden),
        3 => Just(Deed::Show),
        2 => Just(Deed::Lose),
        4 => Just(Deed::Connect),
        1 => Just(Deed::Kill),
    ];
    proptest::collection::vec(deed, 0..150)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_doubled_or_out_of_order(deeds in deeds()) {
        let mut world = World::new();
        deeds.iter().for_each(|deed| world.happen(deed));
        world.calm();
        prop_assert_eq!(&world.server.accepted, &world.said);
        prop_assert_eq!(world.answered, world.tickets, "everything is answered");
        prop_assert_eq!(world.session.submits_waiting(), 0);
        prop_assert_eq!(world.waiting().submits.len(), 0, "the outbox is empty");
        let last = world.server.inbox.iter().rposition(Option::is_some).map_or(0, |at| at as u64 + 1);
        prop_assert!(world.last_told >= last, "every message is told");
        prop_assert_eq!(world.server.received, world.server.inbox.len() as u64, "and the server knows");
    }
}
