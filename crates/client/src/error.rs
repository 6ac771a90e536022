//! Why there is no connection.

use std::io;

use crate::Address;

/// Why a connection could not be opened. What it displays is for a person.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing answers there, or what answers is no hobnob server.
    #[error("No server at {0}")]
    NoServer(Address),
    /// The server shows another key than the one that is known.
    #[error(
        "The key of {address} has changed. Either the server got a new one or somebody poses as it. \
         Known: {known}. Shown now: {shown}. If its owner confirms the new key, remove the line of {address} \
         from {file}"
    )]
    KeyChanged {
        /// The server.
        address: Address,
        /// The fingerprint that is known.
        known: String,
        /// The one that was shown.
        shown: String,
        /// Where the known one is kept.
        file: String,
    },
    /// The server shows another key than the one demanded.
    #[error("{address} shows the key {shown}, not {demanded}")]
    PinMismatch {
        /// The server.
        address: Address,
        /// The fingerprint that was demanded.
        demanded: String,
        /// The one that was shown.
        shown: String,
    },
    /// An invitation names the key of another server.
    #[error(
        "The invitation is for a server with the key {demanded}, but {address} shows {shown}. Somebody may be posing as \
         it. Neither the invitation nor a password was sent, and a key that was trusted just now is forgotten"
    )]
    NotInvitedHere {
        /// The server.
        address: Address,
        /// The fingerprint that the invitation names.
        demanded: String,
        /// The one that was shown.
        shown: String,
    },
    /// The server speaks plain text, where a key is known or demanded.
    #[error(
        "{address} was known with key {known}, and now answers without encryption. Somebody may be posing as it."
    )]
    Unencrypted {
        /// The server.
        address: Address,
        /// The fingerprint that is known or demanded.
        known: String,
    },
    /// A pin was demanded of a server that has no key to show.
    #[error("{0} does not use TLS, so it has no key to pin")]
    NoKey(Address),
    /// The server speaks plain text, nothing is known of it, and nobody allowed that.
    #[error("{0} does not speak TLS; to connect without encryption write ws://{0}")]
    Plain(Address),
    /// TLS failed for another reason than an unknown key.
    #[error("TLS with {address} failed: {reason}")]
    Tls {
        /// The server.
        address: Address,
        /// Why, in the words of the TLS library.
        reason: String,
    },
    /// The server speaks other versions of the protocol.
    #[error("{address} speaks another version of the protocol: {reason}")]
    Unsupported {
        /// The server.
        address: Address,
        /// What it said.
        reason: String,
    },
    /// The server refused the request.
    #[error("The server refused: {0}")]
    Refused(String),
    /// The folder or the file of known servers cannot be used.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl OpenError {
    /// Whether trying again later may help.
    pub(crate) fn may_retry(&self) -> bool {
        matches!(self, Self::NoServer(_) | Self::Refused(_) | Self::Tls { .. })
    }

    /// Names the file of an I/O error.
    pub(crate) fn at(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Io { path, source }
    }
}
