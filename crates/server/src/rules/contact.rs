//! Where sessions are, by their own word: given only to those whom the server introduces to them.

use std::{collections::BTreeMap, net::SocketAddr};

use hobnob_protocol::{limits::CONTACT_ADDRESSES_MAX, v1};

use crate::store::SessionId;

/// The last contact of each session that has told one.
#[derive(Debug, Default)]
pub struct Contacts(BTreeMap<SessionId, v1::Contact>);

impl Contacts {
    /// A session says where it is. What is no address, or cannot be sent to, is dropped. `None`: it is where it
    /// was.
    pub fn note(&mut self, session: SessionId, contact: &v1::Contact) -> Option<&v1::Contact> {
        let contact = checked(contact);
        if self.0.get(&session) == Some(&contact) {
            return None;
        }
        self.0.insert(session, contact);
        self.0.get(&session)
    }

    /// Where it is; `None`: it has not said.
    #[must_use]
    pub fn of(&self, session: SessionId) -> Option<&v1::Contact> {
        self.0.get(&session)
    }

    /// A session is not online any more.
    pub fn forget(&mut self, session: SessionId) {
        self.0.remove(&session);
    }
}

/// A contact that may be passed on: no more addresses than allowed, and each one that a packet can be sent
/// to.
fn checked(contact: &v1::Contact) -> v1::Contact {
    v1::Contact { addresses: usable(&contact.addresses), relay: contact.relay, tcp: usable(&contact.tcp) }
}

fn usable(addresses: &[String]) -> Vec<String> {
    let usable = |address: &String| {
        let address: SocketAddr = address.parse().ok()?;
        let ip = address.ip();
        let usable = address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast();
        usable.then(|| address.to_string())
    };
    addresses.iter().take(CONTACT_ADDRESSES_MAX).filter_map(usable).collect()
}
