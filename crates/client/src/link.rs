//! A connection seen as frames in both directions, so that a simulation can put its own in place of a socket.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hobnob_protocol::close::Close;
use rustls::client::danger::ServerCertVerifier;

use crate::OpenError;

/// The connection is no more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkError {
    /// What the server said when it closed it, if it did.
    pub close: Option<Close>,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.close.map_or("connection lost", Close::reason))
    }
}

impl std::error::Error for LinkError {}

/// A connection. Each method may be called from one task only; after an error none is called again.
pub trait Link: Send {
    /// The next frame, or `None` for a sign of life that carries none, such as a ping.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, LinkError>>;

    /// Whether [`feed`](Self::feed) may be called.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>>;

    /// Takes a frame to send; it may wait in a buffer until [`poll_flush`](Self::poll_flush).
    ///
    /// # Errors
    /// The connection is lost.
    fn feed(&mut self, frame: Bytes) -> Result<(), LinkError>;

    /// Sends what waits in the buffer.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>>;

    /// Tells the other side that this was all. Ready when that is sent, or cannot be.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// Any kind of link.
pub type BoxLink = Box<dyn Link>;

/// A connection that was just made.
pub struct Connected {
    /// The connection.
    pub link: BoxLink,
    /// SHA-256 of the key (SubjectPublicKeyInfo) that the greeting must show, where the key is pinned.
    pub key: Option<[u8; 32]>,
    /// The fingerprint, where the key was pinned just now, at first use.
    pub first_contact: Option<String>,
    /// Whether it is encrypted.
    pub tls: bool,
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").field("first_contact", &self.first_contact).finish_non_exhaustive()
    }
}

/// Makes connections to one server.
pub trait Connector: Send + Sync {
    /// Makes one. The caller limits how long it may take.
    fn connect(&self) -> BoxFuture<'_, Result<Connected, OpenError>>;

    /// Forgets a key (`SHA256:…`) that a connection has noted at first contact.
    fn forget(&self, key: &str) {
        let _ = key;
    }

    /// Believes certificates of the server as a connection did: only that of `key` ([`Connected::key`]) or, without
    /// one, what the system's roots accept. None: there are no certificates here.
    fn verifier(&self, key: Option<[u8; 32]>) -> Option<Arc<dyn ServerCertVerifier>> {
        let _ = key;
        None
    }
}

/// The next frame or sign of life.
pub(crate) async fn recv(link: &mut BoxLink) -> Result<Option<Bytes>, LinkError> {
    std::future::poll_fn(|cx| link.poll_recv(cx)).await
}

/// Sends one frame at once.
pub(crate) async fn send(link: &mut BoxLink, frame: Bytes) -> Result<(), LinkError> {
    std::future::poll_fn(|cx| link.poll_ready(cx)).await?;
    link.feed(frame)?;
    std::future::poll_fn(|cx| link.poll_flush(cx)).await
}

/// Says that this was all.
pub(crate) async fn close(mut link: BoxLink) {
    std::future::poll_fn(|cx| link.poll_close(cx)).await;
}
