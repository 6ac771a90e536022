//! What a person is told, and what may not be said.

use std::time::Duration;

use hobnob_client::{Answer, Command, End, Event, Message, Ticket};
use hobnob_protocol::v1::submitted::Outcome;
use tokio::time::Instant;

use super::{Person, Seat, note};
use crate::ledger::Kind;

impl Person {
    pub(super) fn event(&mut self, seat: &mut Seat, event: Event) {
        match event {
            Event::Answer { ticket, command, answer } => self.answer(seat, ticket, command, answer),
            Event::Message(message) => self.show(seat, message),
            Event::Presence { user, online } => self.presence(seat, user, online),
            Event::Disconnected => {
                self.sim.count("client lost its connection");
                self.state().online = false;
                seat.presence.clear();
            }
            Event::Trouble(_) => self.sim.count("client heard that the server cannot store"),
            Event::Reconnected => self.state().online = true,
            // The simulated server's key is known.
            Event::FirstContact(_) => self.problem(Kind::Ended, "is told of a first contact"),
            // Nobody here has files.
            Event::Aside { .. } => self.problem(Kind::Ended, "is told of files"),
            // Nobody here asks for private talk.
            Event::Peer(_) => self.problem(Kind::Ended, "is told of private talk"),
            Event::Ended(end) => self.ended(seat, &end),
        }
    }

    fn show(&mut self, seat: &mut Seat, message: Message) {
        self.sim.trace.note(format_args!("{} sees {} {message:?}", self.name, short(&message.text)));
        if self.block_told.contains(&message.sender) {
            let what = format!("sees {} of {} after the block", short(&message.text), message.sender);
            self.problem(Kind::Phantom, &what);
        }
        self.sim.ledger.shown(&self.name, &message);
        let away = self.looks_away();
        seat.on_screen = Some((message, Instant::now() + away));
        if away.is_zero() {
            note(seat);
        }
    }

    /// How long it takes until a message counts as seen. Meanwhile nothing else is read.
    fn looks_away(&self) -> Duration {
        match self.chance.next() % 1000 {
            _ if self.sim.is_calm() => Duration::ZERO,
            roll if roll < self.sim.mood.distracted => {
                self.sim.count("person looks away");
                self.chance.ms(1_000..=60_000)
            }
            roll if roll < 100 => self.chance.ms(1..=400),
            _ => Duration::ZERO,
        }
    }

    fn answer(&mut self, seat: &mut Seat, ticket: Option<Ticket>, command: Command, answer: Answer) {
        if let Some(ticket) = ticket {
            if seat.answered.is_some_and(|last| last >= ticket)
                || seat.asked.remove(&ticket).as_ref() != Some(&command)
            {
                self.problem(Kind::Answer, &format!("an answer to {ticket:?}, which is not due"));
            }
            seat.answered = Some(ticket);
        }
        match (&command, answer) {
            (
                Command::Message { text, .. } | Command::Broadcast { text },
                Answer::Submitted { outcome, .. },
            ) => {
                self.sim.ledger.told(text, outcome);
                self.sim.trace.note(format_args!("{} is told {outcome:?} of {}", self.name, short(text)));
            }
            (Command::Block(user), Answer::Submitted { outcome, .. }) => {
                let in_force = matches!(outcome, Outcome::Accepted | Outcome::AlreadyBlocked);
                if in_force && ticket.is_some() && !seat.will_unblock(user) {
                    self.block_told.insert(user.clone());
                }
                self.sim.trace.note(format_args!("{} is told {outcome:?} of the block of {user}", self.name));
            }
            (Command::Unblock(_), Answer::Submitted { .. }) => {}
            (Command::WhoElse, Answer::Names(names)) => self.state().here = Some(names),
            (Command::Blocks, Answer::Names(names)) => self.state().blocks = Some(names),
            (Command::WhoElseSince(_), Answer::Names(_)) => {}
            // The store failed, and said so.
            (Command::WhoElseSince(_) | Command::Blocks, Answer::Refused { .. }) => {}
            (command, answer) => self.problem(Kind::Answer, &format!("{command:?} was answered {answer:?}")),
        }
    }

    fn presence(&mut self, seat: &mut Seat, user: String, online: bool) {
        self.sim.trace.note(format_args!("{} is told that {user} is online: {online}", self.name));
        let before = seat.presence.insert(user.clone(), online);
        let twice = before == Some(online) && !self.sim.truth(|truth| truth.ever_blocked(&user, &self.name));
        if user == self.name || twice {
            self.problem(
                Kind::Presence,
                &format!("is told that {user} is online: {online}, after {before:?}"),
            );
        }
    }

    fn ended(&mut self, seat: &mut Seat, end: &End) {
        self.sim.trace.note(format_args!("{} ended: {end:?}", self.name));
        match end {
            End::LoggedOut { waiting } if seat.leaving.is_some() => {
                let submits = self.disk.waiting();
                let there = submits.iter().filter(|submit| !crate::disk::text(submit).is_empty()).count();
                if there != *waiting {
                    self.problem(Kind::Answer, &format!("{waiting} are said to wait, but {there} do"));
                }
            }
            end => {
                self.problem(Kind::Ended, &format!("{end:?}"));
                seat.leaving = Some(Duration::from_millis(100));
            }
        }
    }
}

/// A text as it stands in the log.
fn short(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}
