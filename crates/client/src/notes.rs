//! What the server is told without an answer: where this client can be reached, and that somebody sits at it. Newer
//! ones take the place of older ones, so there is no queue.

use std::sync::{Mutex, PoisonError};

use hobnob_protocol::v1::Contact;
use tokio::sync::Notify;

/// What waits to be told.
#[derive(Default)]
pub(crate) struct Notes {
    contact: Mutex<Option<Contact>>,
    contact_changed: Notify,
    active: Notify,
}

/// What to tell.
pub(crate) enum Note {
    /// Where this client is now.
    Contact(Contact),
    /// The person did something.
    Active,
}

impl Notes {
    pub(crate) fn contact(&self, contact: Contact) {
        *self.contact.lock().unwrap_or_else(PoisonError::into_inner) = Some(contact);
        self.contact_changed.notify_one();
    }

    pub(crate) fn active(&self) {
        self.active.notify_one();
    }

    /// The next note. A future that is dropped has taken none.
    pub(crate) async fn next(&self) -> Note {
        loop {
            tokio::select! {
                biased;
                () = self.contact_changed.notified() => {
                    let contact = self.contact.lock().unwrap_or_else(PoisonError::into_inner).take();
                    if let Some(contact) = contact {
                        return Note::Contact(contact);
                    }
                }
                () = self.active.notified() => return Note::Active,
            }
        }
    }
}
