//! What private talk and files need of a session besides its connection.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use hobnob_protocol::v1;
use rustls::client::danger::ServerCertVerifier;

use crate::Address;
use crate::greet::Greeted;
use crate::link::Connector;
use crate::storage::{Folder, PeersFile};

/// Who this device is to its peers, how to reach the server's relay, and whom to believe to be the server there.
#[derive(Clone)]
pub struct Peering {
    /// Seed of the device's Ed25519 key: secret.
    pub seed: [u8; 32],
    /// The public key of it, as the server knows it.
    pub key: [u8; 32],
    /// The server, as this session reached it: `plain` says whether it speaks TLS there.
    pub address: Address,
    /// The server's relay, as it was told at the login.
    pub relay: Option<v1::Relay>,
    /// Believes exactly those certificates that the connection of the login did; of a server without TLS, that of the
    /// key it greeted with. `None` where nothing speaks TLS, as in a simulation.
    pub verifier: Option<Arc<dyn ServerCertVerifier>>,
    /// Keeps what is known of other people's devices.
    pub peers: Option<Arc<dyn PeersFile>>,
    /// A folder of this device alone for what is known of its files, not made yet; `None`: nothing is kept on disk.
    pub files: Option<PathBuf>,
    /// By which the server's tickets are checked, as it was told at the login; `None`: it gives none.
    pub ticket_key: Option<[u8; 32]>,
}

impl Peering {
    /// Of a session on this connection, with this folder and its device's public key.
    pub(crate) fn new(
        connector: &dyn Connector,
        address: &Address,
        greeted: &Greeted,
        folder: &Folder,
        key: [u8; 32],
    ) -> Self {
        Self {
            seed: folder.seed,
            key,
            address: Address { plain: !greeted.tls, ..address.clone() },
            relay: greeted.greeting.relay,
            verifier: verifier(connector, greeted),
            peers: folder.peers.clone(),
            files: folder.files.clone(),
            ticket_key: None,
        }
    }
}

/// Believes what this connection did.
pub(crate) fn verifier(connector: &dyn Connector, greeted: &Greeted) -> Option<Arc<dyn ServerCertVerifier>> {
    if greeted.tls {
        return connector.verifier(greeted.key);
    }
    let greeted_with = greeted.greeting.server_key[..].try_into().ok();
    greeted_with.and_then(|key| connector.verifier(Some(key)))
}

impl fmt::Debug for Peering {
    /// Without the seed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peering")
            .field("address", &self.address)
            .field("relay", &self.relay)
            .finish_non_exhaustive()
    }
}
