//! A look at a server that changes nothing: nobody logs in, and no key is noted.

use std::fmt;
use std::sync::Arc;

use hobnob_protocol::v1;
use rustls::client::danger::ServerCertVerifier;

use crate::greet::{self, Greeted};
use crate::trust::fingerprint;
use crate::{Address, Config, Network, OpenError, link, peering};

/// A server that greeted.
#[derive(Clone)]
pub struct Knock {
    /// The server, as it was reached: `plain` says whether it speaks TLS there.
    pub address: Address,
    /// Why it is believed to be the server.
    pub trust: Trust,
    /// Its relay, if it has one.
    pub relay: Option<v1::Relay>,
    /// Believes exactly those certificates that this connection did.
    pub verifier: Option<Arc<dyn ServerCertVerifier>>,
}

/// Why a server is believed to be the one that is meant. Fingerprints are written `SHA256:…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The system's roots accept its certificate for the host.
    Roots,
    /// It shows the key that was demanded.
    Demanded(String),
    /// It shows the key that is known.
    Known(String),
    /// Nothing is known of it; a login would trust this key from then on.
    New(String),
    /// It speaks plain text, so nothing tells.
    Plain,
}

impl fmt::Debug for Knock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Knock")
            .field("address", &self.address)
            .field("trust", &self.trust)
            .field("relay", &self.relay)
            .finish_non_exhaustive()
    }
}

/// Connects, hears the greeting and leaves. What is known of servers is read below `config.data` and not changed.
///
/// # Errors
/// There is no such server, or it is not the one that is known.
pub async fn knock(config: &Config) -> Result<Knock, OpenError> {
    let Config { address, data, pin, agent, .. } = config;
    let network = Network::new(address.clone(), data, pin.clone()).that_notes_nothing();
    let mut first = None;
    let greeted = greet::open(&network, address, agent, &mut first).await?;
    let knock = Knock {
        address: Address { plain: !greeted.tls, ..address.clone() },
        trust: trust(&greeted, first, pin.is_some()),
        relay: greeted.greeting.relay,
        verifier: peering::verifier(&network, &greeted),
    };
    link::close(greeted.link).await;
    Ok(knock)
}

fn trust(greeted: &Greeted, first: Option<String>, demanded: bool) -> Trust {
    match (first, &greeted.key) {
        (Some(shown), _) => Trust::New(shown),
        (None, Some(key)) if demanded => Trust::Demanded(fingerprint(key)),
        (None, Some(key)) => Trust::Known(fingerprint(key)),
        (None, None) if greeted.tls => Trust::Roots,
        (None, None) => Trust::Plain,
    }
}
