//! Events that wait to be taken. Progress that is overtaken is dropped, so that a slow reader costs little.

use std::collections::VecDeque;

use super::event::Event;
use super::limits::OUTBOX_MAX;

/// What waits, in order.
#[derive(Debug, Default)]
pub(super) struct Outbox(VecDeque<Event>);

impl Outbox {
    pub(super) fn push(&mut self, event: Event) {
        match &event {
            Event::Progress(new) => {
                let of_same = |old: &Event| matches!(old, Event::Progress(old) if old.id == new.id);
                self.0.retain(|old| !of_same(old));
            }
            Event::Reading { path, .. } => {
                let of_same = |old: &Event| matches!(old, Event::Reading { path: old, .. } if old == path);
                self.0.retain(|old| !of_same(old));
            }
            _ => {}
        }
        self.0.push_back(event);
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        self.0.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nobody reads: nothing more is to be begun.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= OUTBOX_MAX
    }
}
