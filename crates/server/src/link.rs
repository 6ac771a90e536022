//! One connection as the session sees it: frames in and out. A WebSocket in production (`web.rs`), a pair of
//! queues in the simulation.

use std::future::Future;

use bytes::Bytes;
use hobnob_protocol::close::Close;

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A frame, not yet decoded.
    Frame(Bytes),
    /// The answer to a ping, or a ping of the client.
    Alive,
    /// Something that is no frame.
    Bad(Close),
    /// The connection is gone.
    Gone,
}

/// The connection is gone; whatever was fed may or may not have arrived.
#[derive(Debug, PartialEq, Eq)]
pub struct Gone;

/// One connection.
pub trait Link: Send {
    /// SHA-256 of the public key that the client was shown on this connection; `None`: that of the node.
    fn server_key(&self) -> Option<Bytes> {
        None
    }

    /// The next thing from the client. Cancel-safe.
    fn recv(&mut self) -> impl Future<Output = Incoming> + Send;

    /// Puts a frame into the write buffer; writes if that is full.
    fn feed(&mut self, frame: Bytes) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Writes what was fed.
    fn flush(&mut self) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Asks the client for a sign of life, which comes back as [`Incoming::Alive`]. Flushes.
    fn ping(&mut self) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Says why it ends, and ends.
    fn close(&mut self, close: Close) -> impl Future<Output = ()> + Send;
}
