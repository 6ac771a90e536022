//! Tickets: the server's word, to the sources of a file, that it has introduced somebody to them. They can be
//! checked while the server is away.

use std::{fmt, fs, io, path::Path};

use bytes::Bytes;
use hobnob_protocol::{TICKET_DOMAIN, limits::TICKET_LIFETIME, v1};
use prost::Message;
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::{
    identity::{self, IdentityError},
    node::{World, random},
    rules::{invite::Party, share::Content},
};

/// The key's file in the data folder: its seed, 32 bytes.
const FILE: &str = "ticket-key";

/// The key that tickets are signed with. It is not the certificate's, which may be of a kind that peers do
/// not know, and which changes more often.
pub struct TicketKey(Ed25519KeyPair);

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey(..)")
    }
}

impl TicketKey {
    /// From its seed.
    ///
    /// # Panics
    /// Never: any 32 bytes are a seed.
    #[must_use]
    pub fn new(seed: &[u8; 32]) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are a seed"))
    }

    /// Reads the key of a data folder, or makes one at first start.
    ///
    /// # Errors
    /// The file cannot be read or written, or holds something else.
    pub fn load(folder: &Path, world: &dyn World) -> Result<Self, IdentityError> {
        let path = folder.join(FILE);
        let seed = match fs::read(&path) {
            Ok(seed) => seed.try_into().map_err(|_| identity::file(&path, "this is no key of 32 bytes"))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let seed = random(world);
                identity::write_private(&path, &seed)?;
                seed
            }
            Err(error) => return Err(identity::file(&path, error)),
        };
        Ok(Self::new(&seed))
    }

    /// By which tickets are checked: Ed25519, 32 bytes.
    #[must_use]
    pub fn public(&self) -> Bytes {
        Bytes::copy_from_slice(self.0.public_key().as_ref())
    }

    /// A ticket for whoever has this device to fetch this file, and its signature.
    #[must_use]
    pub fn sign(&self, to: &Party, content: &Content, now_ms: i64) -> (Bytes, Bytes) {
        let lifetime = i64::try_from(TICKET_LIFETIME.as_millis()).unwrap_or(i64::MAX);
        let ticket = v1::Ticket {
            key: to.key.clone(),
            user: to.name.to_string(),
            id: Bytes::copy_from_slice(content.id()),
            size: content.size(),
            expires_ms: now_ms.saturating_add(lifetime),
        };
        let ticket = Bytes::from(ticket.encode_to_vec());
        let signature = self.0.sign(&[TICKET_DOMAIN, &ticket].concat());
        (ticket, Bytes::copy_from_slice(signature.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::node::RealWorld;

    #[test]
    fn the_key_of_the_first_start_is_kept_and_nobody_else_s() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let load = |folder: &tempfile::TempDir| TicketKey::load(folder.path(), &RealWorld::default());
        let first = load(&folder).unwrap().public();
        assert_eq!(load(&folder).unwrap().public(), first);
        assert_ne!(load(&other).unwrap().public(), first);
        let path = folder.path().join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::write(&path, "short").unwrap();
        assert!(load(&folder).unwrap_err().to_string().contains(FILE), "a damaged key is not replaced");
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", TicketKey::new(&[7; 32])), "TicketKey(..)");
    }
}
