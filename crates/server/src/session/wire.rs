//! A connection with its rules: frames are decoded within their bound, and nothing waits for ever to be written.

use std::pin::pin;

use bytes::Bytes;
use futures_util::future::poll_immediate;
use hobnob_protocol::{
    close::Close,
    codec::{self, DecodeError},
    limits::WRITE_TIMEOUT,
    v1::{self, ClientFrame, ServerFrame, reply, server_frame},
};
use tokio::time::timeout;

use crate::link::{Gone, Incoming, Link};

/// A connection whose frames are decoded.
pub(crate) struct Wire<L> {
    link: L,
    /// The highest request id so far.
    last_id: u64,
    unflushed: bool,
}

/// What came in, decoded.
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack for one step; a box would cost every frame"
)]
pub(crate) enum Input {
    Frame(ClientFrame),
    Alive,
    Bad(Close),
    Gone,
}

impl<L: Link> Wire<L> {
    pub(crate) fn new(link: L) -> Self {
        Self { link, last_id: 0, unflushed: false }
    }

    /// The hash of the key that the client was shown.
    pub(crate) fn server_key(&self) -> Option<Bytes> {
        self.link.server_key()
    }

    /// The next frame of at most `bytes_max`. Cancel-safe.
    pub(crate) async fn recv(&mut self, bytes_max: usize) -> Input {
        let bytes = match self.link.recv().await {
            Incoming::Frame(bytes) => bytes,
            Incoming::Alive => return Input::Alive,
            Incoming::Bad(close) => return Input::Bad(close),
            Incoming::Gone => return Input::Gone,
        };
        match codec::decode_client(bytes, bytes_max) {
            Ok(frame) if self.in_order(&frame) => Input::Frame(frame),
            Ok(_) | Err(DecodeError::Malformed(_)) => Input::Bad(Close::BadFrame),
            Err(DecodeError::TooLarge(_)) => Input::Bad(Close::TooLarge),
        }
    }

    /// Requests have ascending ids, notes have none.
    fn in_order(&mut self, frame: &ClientFrame) -> bool {
        use v1::client_frame::Body;
        let note = matches!(
            frame.body,
            Some(Body::Received(_) | Body::Alive(_) | Body::Contact(_) | Body::HoldMore(_))
        );
        if note || frame.id <= self.last_id {
            return note && frame.id == 0;
        }
        self.last_id = frame.id;
        true
    }

    /// Puts a reply into the write buffer.
    // Not `async`: what waits is to hold the encoded frame alone, since an idle session's task has room for all that it
    // may ever wait with.
    pub(crate) fn reply(&mut self, id: u64, body: reply::Body) -> impl Future<Output = Result<(), Gone>> {
        let reply = v1::Reply { id, body: Some(body) };
        self.send(&ServerFrame { body: Some(server_frame::Body::Reply(reply)) })
    }

    /// Puts a frame into the write buffer.
    pub(crate) fn send<'a>(
        &'a mut self,
        frame: &ServerFrame,
    ) -> impl Future<Output = Result<(), Gone>> + use<'a, L> {
        self.send_encoded(codec::encode(frame))
    }

    /// Puts an encoded frame into the write buffer.
    pub(crate) async fn send_encoded(&mut self, frame: Bytes) -> Result<(), Gone> {
        self.unflushed = true;
        limited(self.link.feed(frame)).await
    }

    /// Writes what is in the write buffer, if anything is.
    pub(crate) async fn flush(&mut self) -> Result<(), Gone> {
        if !std::mem::take(&mut self.unflushed) {
            return Ok(());
        }
        limited(self.link.flush()).await
    }

    /// Whether nothing is in the write buffer.
    pub(crate) fn is_flushed(&self) -> bool {
        !self.unflushed
    }

    pub(crate) async fn ping(&mut self) -> Result<(), Gone> {
        limited(self.link.ping()).await
    }

    /// Says why it ends; a client that does not even take that is left to itself soon.
    pub(crate) async fn close(&mut self, close: Close) {
        let close = async {
            // The last answers go out with it, if the client takes them.
            let _ = self.flush().await;
            self.link.close(close).await;
        };
        let _ = timeout(CLOSE_TIMEOUT, close).await;
    }
}

const CLOSE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);

async fn limited(write: impl Future<Output = Result<(), Gone>>) -> Result<(), Gone> {
    let mut write = pin!(write);
    // Nearly all go through at once, and a timer is not free.
    match poll_immediate(write.as_mut()).await {
        Some(result) => result,
        None => timeout(WRITE_TIMEOUT, write).await.unwrap_or(Err(Gone)),
    }
}

/// A reply that turns a request down.
pub(crate) fn refused(reason: v1::refused::Reason, text: &str) -> reply::Body {
    reply::Body::Refused(v1::Refused { reason: reason as i32, text: text.to_owned() })
}
