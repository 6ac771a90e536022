//! The commands without an answer, in the order given: what may be sent, what was answered, what comes again.
//!
//! Everything is sent in this order and told in this order. An answer that comes while an earlier command has to be
//! sent again is thrown away and the question asked anew behind it, so that no answer overtakes a command.
//!
//! Thousands may wait: what happens for each frame looks only at what is under way.

use std::collections::VecDeque;
use std::time::Duration;

use hobnob_protocol::limits::IN_FLIGHT_MAX;
use hobnob_protocol::v1;
use v1::Trouble;
use v1::client_frame::Body;
use v1::refused::Reason;
use v1::reply;
use v1::submitted::Outcome;

use super::command::{self, Plan};
use super::pace::Pace;
use crate::event::{Answer, Command, Event, Ticket};
use crate::storage::{Record, Waiting};

/// How long to wait after the server said that it is busy.
const BUSY_DELAY: Duration = Duration::from_millis(250);
/// The first wait, and the longest, while it cannot store anything.
const TROUBLE_DELAY: Duration = Duration::from_millis(500);
const TROUBLE_DELAY_MAX: Duration = Duration::from_secs(8);

/// Queries under way at most.
const QUERIES_UNDER_WAY_MAX: usize = IN_FLIGHT_MAX;

/// A command without an answer told.
struct Item {
    ticket: Option<Ticket>,
    command: Command,
    step: Step,
}

enum Step {
    Submit {
        number: u64,
        /// Which record of the outbox has to be durable before it may be sent.
        record: u64,
        /// The request under way for it.
        sent: Option<u64>,
    },
    Query {
        body: Box<Body>,
        asked: Asked,
        sent: Option<u64>,
    },
    /// Answered; told when everything before it is.
    Ready(Answer),
}

/// On how many connections a query may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// On each, until it is answered.
    Again,
    /// On one.
    Once,
    /// On the one that is there.
    Now,
}

/// Why nothing is sent for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    No,
    /// Something has to be sent again: first the answers to what is under way are waited for.
    Draining,
    /// Not before this time.
    Until(Duration),
}

/// What follows from a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Nothing more.
    Nothing,
    /// The outbox has to start over under a new name.
    Renew,
    /// The server does not keep to the protocol: connect again.
    Nonsense,
}

/// The commands in order, with the outbox's numbers.
pub(crate) struct Queue {
    items: VecDeque<Item>,
    /// Before this place everything is under way or answered.
    unsent: usize,
    submits_under_way: usize,
    queries_under_way: usize,
    next_number: u64,
    /// Records handed to the outbox, and how many of them are written.
    recorded: u64,
    written: u64,
    hold: Hold,
    /// When the pace allows the next submit.
    paced_until: Option<Duration>,
    /// What keeps the server from storing anything. One submit at a time finds out whether it still does.
    trouble: Option<Trouble>,
    /// How long the next wait is while it does.
    trouble_delay: Duration,
    /// That it began or ended is to be told.
    news: bool,
}

impl Queue {
    pub(crate) fn new(waiting: Waiting) -> Self {
        let items = waiting.submits.into_iter().filter_map(|submit| {
            let command = command::recall(&submit.op?);
            let step = Step::Submit { number: submit.number, record: 0, sent: None };
            Some(Item { ticket: None, command, step })
        });
        Self {
            items: items.collect(),
            unsent: 0,
            submits_under_way: 0,
            queries_under_way: 0,
            next_number: waiting.next.max(1),
            recorded: 0,
            written: 0,
            hold: Hold::No,
            paced_until: None,
            trouble: None,
            trouble_delay: TROUBLE_DELAY,
            news: false,
        }
    }

    /// Takes a command; what it adds to the outbox comes back.
    pub(crate) fn push(&mut self, ticket: Ticket, command: Command) -> Option<Record> {
        let mut record = None;
        let step = match command::plan(&command) {
            Plan::Submit => {
                let number = self.next_number;
                self.next_number = self.next_number.saturating_add(1);
                record = Some(self.record(Record::Added(submit(number, &command))));
                Step::Submit { number, record: self.recorded, sent: None }
            }
            Plan::Query(body) => query(body, Asked::Again),
            Plan::Once(body) => query(body, Asked::Once),
            Plan::Now(body) => query(body, Asked::Now),
            Plan::Ready(answer) => Step::Ready(answer),
        };
        self.items.push_back(Item { ticket: Some(ticket), command, step });
        record
    }

    /// This queue stands still, perhaps for hours: what private talk asks goes on in another one, with its requests
    /// that are under way.
    pub(crate) fn let_private_out(&mut self, beside: &mut Self, now: Duration) {
        let mut unsent = self.unsent;
        for (place, item) in std::mem::take(&mut self.items).into_iter().enumerate() {
            if !command::is_private(&item.command) {
                self.items.push_back(item);
                continue;
            }
            unsent -= usize::from(place < self.unsent);
            let under_way = usize::from(item.sent().is_some());
            self.queries_under_way = self.queries_under_way.saturating_sub(under_way);
            beside.queries_under_way += under_way;
            beside.items.push_back(item);
        }
        self.unsent = unsent;
        // They may have been the last answers that were waited for.
        self.settle(now);
    }

    /// Whether a request of this queue under way has this id.
    pub(crate) fn has_asked(&self, id: u64) -> bool {
        self.items.iter().any(|item| item.sent() == Some(id))
    }

    /// Everything given to the outbox up to this record is durable.
    pub(crate) fn written(&mut self, upto: u64) {
        self.written = self.written.max(upto);
    }

    /// Records handed to the outbox so far.
    #[cfg(test)]
    pub(crate) fn recorded(&self) -> u64 {
        self.recorded
    }

    /// Whether the outbox has written all it was given.
    pub(crate) fn is_written(&self) -> bool {
        self.written >= self.recorded
    }

    /// What may be sent now, in order.
    pub(crate) fn send(&mut self, next_id: &mut u64, pace: &mut Pace, now: Duration) -> Vec<v1::ClientFrame> {
        self.paced_until = None;
        match self.hold {
            Hold::Draining => return Vec::new(),
            Hold::Until(at) if now < at => return Vec::new(),
            _ => self.hold = Hold::No,
        }
        let submits_max = if self.trouble.is_some() { 1 } else { pace.in_flight_max };
        let mut frames = Vec::new();
        while let Some(item) = self.items.get_mut(self.unsent) {
            let (sent, body) = match &mut item.step {
                Step::Ready(_) | Step::Submit { sent: Some(_), .. } | Step::Query { sent: Some(_), .. } => {
                    self.unsent += 1;
                    continue;
                }
                Step::Query { body, sent, .. } => {
                    if self.queries_under_way >= QUERIES_UNDER_WAY_MAX {
                        break;
                    }
                    self.queries_under_way += 1;
                    (sent, Body::clone(body))
                }
                Step::Submit { number, record, sent } => {
                    if *record > self.written || self.submits_under_way >= submits_max {
                        break;
                    }
                    if let Err(ready) = pace.take(matches!(item.command, Command::Broadcast { .. }), now) {
                        self.paced_until = Some(ready);
                        break;
                    }
                    self.submits_under_way += 1;
                    (sent, Body::Submit(submit(*number, &item.command)))
                }
            };
            *sent = Some(*next_id);
            frames.push(v1::ClientFrame { id: *next_id, body: Some(body) });
            *next_id += 1;
            self.unsent += 1;
        }
        frames
    }

    /// When something may be sent that may not be now.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        match self.hold {
            Hold::Until(at) => Some(at),
            Hold::Draining => None,
            Hold::No => self.paced_until,
        }
    }

    /// Takes the reply to a request of this queue; to any other it does nothing. What the outbox has to note comes
    /// back as well.
    pub(crate) fn reply(&mut self, id: u64, body: reply::Body, now: Duration) -> (After, Option<Record>) {
        let draining = self.hold == Hold::Draining;
        let Some(place) = self.items.iter().position(|item| item.sent() == Some(id)) else {
            return (After::Nothing, None);
        };
        let first = if is_gap(&body) { self.first_number() } else { 0 };
        self.learn(&body);
        let item = &mut self.items[place];
        let (number, void) = match item.step {
            Step::Submit { number, .. } => (Some(number), false),
            Step::Query { asked, .. } => (None, draining && asked == Asked::Again),
            Step::Ready(_) => (None, false),
        };
        let judged = if number.is_some() { item.judged(body, first) } else { item.told(body, void) };
        let (answered, unsent) = (matches!(item.step, Step::Ready(_)), item.sent().is_none());
        if unsent {
            let under_way =
                if number.is_some() { &mut self.submits_under_way } else { &mut self.queries_under_way };
            *under_way = under_way.saturating_sub(1);
        }
        if unsent && !answered {
            self.unsent = self.unsent.min(place);
        }
        let after = match judged {
            Judged::Ready => After::Nothing,
            Judged::Renew => After::Renew,
            Judged::Nonsense => return (After::Nonsense, None),
            Judged::Again => {
                self.hold = Hold::Draining;
                After::Nothing
            }
        };
        let record = number.filter(|_| answered).map(|number| self.record(Record::Answered(number)));
        self.settle(now);
        (after, record)
    }

    /// What an answer says of the server's store.
    fn learn(&mut self, body: &reply::Body) {
        let reply::Body::Submitted(submitted) = body else { return };
        let trouble = match (submitted.outcome(), submitted.trouble()) {
            (Outcome::Busy, Trouble::Unspecified) | (Outcome::Gap | Outcome::Stale, _) => return,
            (Outcome::Busy, trouble) => Some(trouble),
            _ => None,
        };
        if trouble.is_none() {
            self.trouble_delay = TROUBLE_DELAY;
        }
        self.news |= self.trouble != trouble;
        self.trouble = trouble;
    }

    /// What keeps the server from storing anything, if that is news.
    pub(crate) fn news(&mut self) -> Option<Option<Trouble>> {
        std::mem::take(&mut self.news).then_some(self.trouble)
    }

    /// Whether the server could not store anything when it was last asked to.
    pub(crate) fn is_in_trouble(&self) -> bool {
        self.trouble.is_some()
    }

    /// Once nothing is under way any more, what has to be sent again waits a little.
    fn settle(&mut self, now: Duration) {
        if self.hold != Hold::Draining || self.submits_under_way + self.queries_under_way > 0 {
            return;
        }
        let delay = if self.trouble.is_some() { self.trouble_delay } else { BUSY_DELAY };
        if self.trouble.is_some() {
            self.trouble_delay = TROUBLE_DELAY_MAX.min(delay * 2);
        }
        self.hold = Hold::Until(now + delay);
    }

    /// The answers that can be told.
    pub(crate) fn answers(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(Item { step: Step::Ready(_), .. }) = self.items.front() {
            self.unsent = self.unsent.saturating_sub(1);
            if let Some(Item { ticket, command, step: Step::Ready(answer) }) = self.items.pop_front() {
                events.push(Event::Answer { ticket, command, answer });
            }
        }
        events
    }

    /// The connection is gone: everything unanswered has to be sent again, but what may be asked only once.
    pub(crate) fn disconnected(&mut self) {
        self.hold = Hold::No;
        self.paced_until = None;
        (self.unsent, self.submits_under_way, self.queries_under_way) = (0, 0, 0);
        for item in &mut self.items {
            match &mut item.step {
                Step::Query { asked: Asked::Once | Asked::Now, sent: Some(_), .. } => {
                    item.step = Step::Ready(Answer::Lost);
                }
                Step::Submit { sent, .. } | Step::Query { sent, .. } => *sent = None,
                Step::Ready(_) => {}
            }
        }
    }

    /// The server is away: what is asked now or not at all is not asked.
    pub(crate) fn away(&mut self) {
        for item in &mut self.items {
            if let Step::Query { asked: Asked::Now, sent: None, .. } = item.step {
                item.step = Step::Ready(Answer::Lost);
            }
        }
    }

    /// Numbers so far below the server's last one that it keeps their outcomes no more: it has judged them, but
    /// this client was killed before it had noted so. Sending them again could only double them.
    pub(crate) fn forgotten(&mut self, outbox_last: u64) -> Vec<Record> {
        let mut records = Vec::new();
        for item in &mut self.items {
            let Step::Submit { number, .. } = item.step else { continue };
            if number.saturating_add(OUTCOMES_KEPT) <= outbox_last {
                let user = command::target(&item.command).to_owned();
                item.step = Step::Ready(Answer::Submitted { outcome: Outcome::Accepted, user });
                records.push(Record::Answered(number));
            }
        }
        self.recorded += records.len() as u64;
        records
    }

    /// The server's last number of this outbox. True: it does not fit, the outbox has to start over.
    pub(crate) fn opened(&mut self, outbox_last: u64) -> bool {
        let first = self.first_number();
        // An outbox that was put back from a copy goes on behind what its other life has used.
        self.next_number = self.next_number.max(outbox_last.saturating_add(1));
        outbox_last.saturating_add(1) < first
    }

    /// Numbers everything unanswered from 1, for an outbox of a new name.
    pub(crate) fn renew(&mut self) -> Record {
        let mut submits = Vec::new();
        let position = self.recorded + 1;
        for item in &mut self.items {
            if let Step::Submit { number, record, .. } = &mut item.step {
                *number = submits.len() as u64 + 1;
                *record = position;
                submits.push(submit(*number, &item.command));
            }
        }
        self.next_number = submits.len() as u64 + 1;
        self.record(Record::Renewed(submits))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Messages and broadcasts that the server has not judged.
    pub(crate) fn messages_waiting(&self) -> usize {
        let message = |item: &&Item| {
            matches!(item.step, Step::Submit { .. })
                && matches!(item.command, Command::Message { .. } | Command::Broadcast { .. })
        };
        self.items.iter().filter(message).count()
    }

    /// Everything without an answer told.
    pub(crate) fn commands(&self) -> impl Iterator<Item = &Command> {
        self.items.iter().map(|item| &item.command)
    }

    /// Everything in the outbox.
    pub(crate) fn submits_waiting(&self) -> usize {
        self.items.iter().filter(|item| matches!(item.step, Step::Submit { .. })).count()
    }

    /// The first number without an answer, or the next to be given.
    fn first_number(&self) -> u64 {
        let number = |item: &Item| match item.step {
            Step::Submit { number, .. } => Some(number),
            _ => None,
        };
        self.items.iter().find_map(number).unwrap_or(self.next_number)
    }

    fn record(&mut self, record: Record) -> Record {
        self.recorded += 1;
        record
    }
}

/// A command of the outbox as the outbox and the wire have it.
fn submit(number: u64, command: &Command) -> v1::Submit {
    v1::Submit { number, op: command::op(command) }
}

fn query(body: Body, asked: Asked) -> Step {
    Step::Query { body: Box::new(body), asked, sent: None }
}

fn is_gap(body: &reply::Body) -> bool {
    matches!(body, reply::Body::Submitted(submitted) if submitted.outcome() == Outcome::Gap)
}

/// Outcomes that a server keeps of an outbox.
const OUTCOMES_KEPT: u64 = hobnob_protocol::limits::OUTCOMES_KEPT as u64;

/// What a reply means for its command.
enum Judged {
    Ready,
    Again,
    Renew,
    Nonsense,
}

impl Item {
    fn sent(&self) -> Option<u64> {
        match self.step {
            Step::Submit { sent, .. } | Step::Query { sent, .. } => sent,
            Step::Ready(_) => None,
        }
    }

    /// The reply to a submit. `first` is, if there is a gap, the first number without an answer.
    fn judged(&mut self, body: reply::Body, first: u64) -> Judged {
        let submitted = match body {
            reply::Body::Submitted(submitted) => submitted,
            reply::Body::Refused(refused) => return self.refused_submit(refused),
            _ => return Judged::Nonsense,
        };
        match submitted.outcome() {
            Outcome::Stale => Judged::Renew,
            Outcome::Gap if submitted.expected < first => Judged::Renew,
            Outcome::Gap | Outcome::Busy => self.again(),
            outcome => {
                let typed = command::target(&self.command);
                let user = if submitted.user.is_empty() { typed.to_owned() } else { submitted.user };
                self.step = Step::Ready(Answer::Submitted { outcome, user });
                Judged::Ready
            }
        }
    }

    /// A submit that was refused as a request used no number. If it can never be taken, those behind it need new ones.
    fn refused_submit(&mut self, refused: v1::Refused) -> Judged {
        match refused.reason() {
            Reason::Busy | Reason::Internal => self.again(),
            reason => {
                self.step = Step::Ready(Answer::Refused { reason, text: refused.text });
                Judged::Renew
            }
        }
    }

    /// The reply to a query; `void`: it was asked behind something that has to be sent again.
    fn told(&mut self, body: reply::Body, void: bool) -> Judged {
        let answer = match body {
            _ if void => return self.again(),
            reply::Body::Names(names) => Answer::Names(names.names),
            reply::Body::Done(_) => Answer::Done,
            reply::Body::Invited(invited) => Answer::Invited(invited),
            reply::Body::Sight(sight) => Answer::Sight(sight.may),
            reply::Body::Files(files) => Answer::Files(files),
            reply::Body::Refused(refused) if refused.reason() == Reason::Busy => return self.again(),
            reply::Body::Refused(refused) => Answer::Refused { reason: refused.reason(), text: refused.text },
            _ => return Judged::Nonsense,
        };
        self.step = Step::Ready(answer);
        Judged::Ready
    }

    fn again(&mut self) -> Judged {
        match &mut self.step {
            Step::Submit { sent, .. } | Step::Query { sent, .. } => *sent = None,
            Step::Ready(_) => {}
        }
        Judged::Again
    }
}
