//! What people did and saw: typed, accepted, refused, shown. The invariants are checked against it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hobnob_client::Message;
use hobnob_protocol::v1::submitted::Outcome;

/// What is wrong with a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Of which kind.
    pub kind: Kind,
    /// In words.
    pub what: String,
}

/// Kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An accepted message was not shown.
    Lost,
    /// A message was shown twice.
    Doubled,
    /// Messages of one sender were shown in another order than typed.
    Disorder,
    /// Something was shown that must not be.
    Phantom,
    /// A command got no answer, or several that differ.
    Answer,
    /// A promise about numbers was broken: a stream is not dense, or pushed out of order.
    Numbers,
    /// People were told nonsense about who is there, or whom they block.
    Presence,
    /// The world did not become quiet.
    Stuck,
    /// A task ended that should not have.
    Ended,
}

/// A message or broadcast.
#[derive(Clone, Debug)]
pub(crate) struct Typed {
    pub(crate) from: String,
    /// `None`: to everybody.
    pub(crate) to: Option<String>,
    /// The client has promised to keep it.
    pub(crate) durable: bool,
    /// What the server said, as it came over the wire.
    pub(crate) judged: Option<Outcome>,
}

/// A message on somebody's screen.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) text: String,
    pub(crate) sender: String,
    pub(crate) broadcast: bool,
}

/// All of it.
#[derive(Default)]
pub(crate) struct Book {
    /// By name of the text, in the order typed.
    pub(crate) typed: BTreeMap<u64, Typed>,
    /// By person.
    pub(crate) shown: BTreeMap<String, Vec<Shown>>,
    /// What a person may see once more, because the client crashed between showing and noting it.
    pub(crate) again: BTreeMap<String, Vec<String>>,
    pub(crate) problems: Vec<Problem>,
}

/// All of it, shared.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Book>);

/// The number of a text: `m17 and more` is 17.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.split(' ').next()?.strip_prefix('m')?.parse().ok()
}

impl Ledger {
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn problem(&self, kind: Kind, what: String) {
        self.book().problems.push(Problem { kind, what });
    }

    /// The number for something that is typed now.
    pub(crate) fn typed(&self, from: &str, to: Option<&str>) -> u64 {
        let mut book = self.book();
        let number = book.typed.len() as u64 + 1;
        let to = to.map(str::to_owned);
        book.typed.insert(number, Typed { from: from.to_owned(), to, durable: false, judged: None });
        number
    }

    /// The client has it in its outbox.
    pub(crate) fn durable(&self, text: &str) {
        if let Some(typed) = number(text)
            && let Some(typed) = self.book().typed.get_mut(&typed)
        {
            typed.durable = true;
        }
    }

    /// The client sends it.
    pub(crate) fn sent(&self, text: &str) {
        let durable = number(text).and_then(|number| Some(self.book().typed.get(&number)?.durable));
        if durable != Some(true) {
            self.problem(Kind::Lost, format!("{text} was sent before it was in the outbox"));
        }
    }

    /// The server's answer came to the client.
    pub(crate) fn judged(&self, text: &str, outcome: Outcome) {
        let mut book = self.book();
        let Some(typed) = number(text).and_then(|number| book.typed.get_mut(&number)) else { return };
        match typed.judged {
            Some(first) if first != outcome => {
                let what = format!("{text} was answered {first:?}, then {outcome:?}");
                book.problems.push(Problem { kind: Kind::Answer, what });
            }
            _ => typed.judged = Some(outcome),
        }
    }

    /// The person is told the answer.
    pub(crate) fn told(&self, text: &str, outcome: Outcome) {
        let judged = number(text).and_then(|number| self.book().typed.get(&number)?.judged);
        if judged != Some(outcome) {
            self.problem(
                Kind::Answer,
                format!("{text} is said to be {outcome:?} but was answered {judged:?}"),
            );
        }
    }

    /// A message is on the screen.
    pub(crate) fn shown(&self, person: &str, message: &Message) {
        let shown = Shown {
            text: message.text.clone(),
            sender: message.sender.clone(),
            broadcast: message.stream == hobnob_protocol::v1::Stream::Broadcast,
        };
        self.book().shown.entry(person.to_owned()).or_default().push(shown);
    }

    /// The client crashed before it had noted that this was shown.
    pub(crate) fn may_come_again(&self, person: &str, text: String) {
        self.book().again.entry(person.to_owned()).or_default().push(text);
    }
}
