//! The relay: carries what two clients have encrypted for each other where nothing goes straight. Only sessions of
//! this server may use it.

use std::sync::Arc;

use crate::store::AccountId;

/// The relay of one server.
#[derive(Debug)]
pub struct Relay {
    _private: (),
}

impl Relay {
    /// UDP port on which clients learn their public address; 0: none.
    #[must_use]
    pub fn discovery_port(&self) -> u16 {
        0
    }

    /// Lets the device with this key (Ed25519, 32 bytes) use the relay, for as long as the admission lives, and a grace after it.
    #[must_use]
    pub fn admit(self: &Arc<Self>, key: &[u8], account: AccountId) -> Admission {
        let _ = (key, account);
        Admission { _relay: self.clone() }
    }
}

/// One session's right to use the relay. Dropped, the session may come back: the right lasts for the grace.
#[derive(Debug)]
pub struct Admission {
    _relay: Arc<Relay>,
}

impl Admission {
    /// The session is over: its connections to the relay end now.
    pub fn end(self) {}
}
