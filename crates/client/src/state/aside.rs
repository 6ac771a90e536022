//! Requests that stand outside the order of commands: what is held here of files, and where more is. Sent at once and
//! answered as soon as the server does. None survives the loss of the connection: whoever asked knows best what to say
//! to the next one.

use std::collections::VecDeque;

use hobnob_protocol::v1;
use v1::client_frame::Body;
use v1::reply;

use crate::event::{Answer, Aside, Event};

/// Requests without an answer, beyond which none is sent: only a server without sense leads to as many.
const STANDING_MAX: usize = 1024;

/// A request without an answer.
struct Item {
    /// As whoever asked calls it.
    id: u64,
    aside: Aside,
    /// The frame that asks it.
    sent: Option<u64>,
}

/// What a reply is.
pub(crate) enum Replied {
    /// The answer to one of these.
    Told(Event),
    /// To one of these, but no answer to it.
    Nonsense,
    /// To something else.
    Other(reply::Body),
}

/// All of them, in the order given.
#[derive(Default)]
pub(crate) struct Asides {
    items: VecDeque<Item>,
}

impl Asides {
    /// Takes one; an event is its answer already.
    pub(crate) fn push(&mut self, id: u64, aside: Aside) -> Option<Event> {
        if self.items.len() >= STANDING_MAX {
            return lost(id, &aside);
        }
        self.items.push_back(Item { id, aside, sent: None });
        None
    }

    /// What is to be sent now, in order.
    pub(crate) fn send(&mut self, next_id: &mut u64) -> Vec<v1::ClientFrame> {
        let mut frames = Vec::new();
        for item in self.items.iter_mut().filter(|item| item.sent.is_none()) {
            let id = if item.aside.is_note() { 0 } else { *next_id };
            *next_id += u64::from(id != 0);
            item.sent = Some(id);
            frames.push(v1::ClientFrame { id, body: Some(body(&item.aside)) });
        }
        self.items.retain(|item| item.sent != Some(0));
        frames
    }

    /// What this reply is to one of them.
    pub(crate) fn reply(&mut self, id: u64, body: reply::Body) -> Replied {
        let Some(place) = self.items.iter().position(|item| item.sent == Some(id)) else {
            return Replied::Other(body);
        };
        let answer = match body {
            reply::Body::Done(_) => Answer::Done,
            reply::Body::Sources(sources) => Answer::Sources(sources),
            reply::Body::Refused(refused) => Answer::Refused { reason: refused.reason(), text: refused.text },
            _ => return Replied::Nonsense,
        };
        match self.items.remove(place) {
            Some(item) => Replied::Told(Event::Aside { id: item.id, answer }),
            None => Replied::Nonsense,
        }
    }

    /// The connection is being made anew on purpose: everything is asked again.
    pub(crate) fn disconnected(&mut self) {
        self.items.iter_mut().for_each(|item| item.sent = None);
    }

    /// The connection is lost: none is answered any more.
    pub(crate) fn away(&mut self) -> Vec<Event> {
        self.items.drain(..).filter_map(|item| lost(item.id, &item.aside)).collect()
    }
}

fn lost(id: u64, aside: &Aside) -> Option<Event> {
    (!aside.is_note()).then_some(Event::Aside { id, answer: Answer::Lost })
}

fn body(aside: &Aside) -> Body {
    match aside.clone() {
        Aside::Hold(hold) => Body::Hold(hold),
        Aside::HoldMore(more) => Body::HoldMore(more),
        Aside::Release(release) => Body::Release(release),
        Aside::FindSources(find) => Body::FindSources(find),
    }
}
