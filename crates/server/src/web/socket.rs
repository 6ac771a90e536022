//! A WebSocket as the link of a session. The protocol is tungstenite's; what is added is how it waits: one task owns the
//! link, so that task's own waker does, where a socket that two may share keeps and updates four.

use std::{
    future::poll_fn,
    io::{self, Read, Write},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hobnob_protocol::{close::Close, limits};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_tungstenite::tungstenite::{
    Error, Message, Result,
    error::CapacityError,
    protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext},
};

use super::Io;
use crate::link::{Gone, Incoming, Link};

/// Read and write buffer of a connection: most of what an idle one costs.
const READ_BUFFER_BYTES: usize = 1024;
const WRITE_BUFFER_BYTES: usize = 4096;

/// A session's WebSocket. Boxed, because it is moved on its way into the session.
pub(super) struct WebSocketLink(Box<Socket>);

struct Socket {
    io: Io,
    server_key: Bytes,
    protocol: WebSocketContext,
    /// More was fed than the connection takes for now.
    blocked: bool,
    /// Reading has failed: the protocol must not be asked for more.
    ended: bool,
}

/// A connection as the protocol knows one: it reads and writes, or says that it would have to wait.
struct Now<'a, 'b> {
    io: &'a mut Io,
    context: &'a mut Context<'b>,
}

impl Read for Now<'_, '_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut room = ReadBuf::new(room);
        now(Pin::new(&mut *self.io).poll_read(self.context, &mut room))?;
        Ok(room.filled().len())
    }
}

impl Write for Now<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        now(Pin::new(&mut *self.io).poll_write(self.context, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        now(Pin::new(&mut *self.io).poll_flush(self.context))
    }
}

fn now<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// Whether something could not be done without waiting. What was to be written is in the buffer.
fn would_block<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock)
}

impl Socket {
    /// Does something with the protocol, once.
    async fn once<T>(
        &mut self,
        work: impl FnOnce(&mut WebSocketContext, &mut Now<'_, '_>) -> Result<T>,
    ) -> Result<T> {
        let mut work = Some(work);
        poll_fn(|context| {
            let work = work.take().expect("it is ready at once");
            Poll::Ready(work(&mut self.protocol, &mut Now { io: &mut self.io, context }))
        })
        .await
    }

    /// Does something with the protocol until it need not wait any more. Cancel-safe if `work` is.
    async fn until_done<T>(
        &mut self,
        mut work: impl FnMut(&mut WebSocketContext, &mut Now<'_, '_>) -> Result<T>,
    ) -> Result<T> {
        poll_fn(|context| {
            let result = work(&mut self.protocol, &mut Now { io: &mut self.io, context });
            if would_block(&result) { Poll::Pending } else { Poll::Ready(result) }
        })
        .await
    }

    async fn read(&mut self) -> Result<Message> {
        if self.ended {
            return Err(Error::AlreadyClosed);
        }
        let read = self.until_done(|protocol, io| protocol.read(io)).await;
        self.ended = read.is_err();
        read
    }

    async fn feed(&mut self, message: Message) -> Result<()> {
        if self.blocked {
            self.flush().await?;
        }
        let result = self.once(|protocol, io| protocol.write(io, message)).await;
        self.blocked = would_block(&result);
        if self.blocked { Ok(()) } else { result }
    }

    async fn flush(&mut self) -> Result<()> {
        self.until_done(|protocol, io| protocol.flush(io)).await?;
        self.blocked = false;
        Ok(())
    }
}

impl WebSocketLink {
    /// A connection that was upgraded, what was read of it already, and the hash of the key that was shown on it.
    pub(super) fn new(io: Io, read: &[u8], server_key: Bytes) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_write_buffer_size(limits::OUT_BYTES_MAX + limits::ANSWER_BYTES_MAX)
            .max_message_size(Some(limits::FRAME_BYTES_MAX))
            .max_frame_size(Some(limits::FRAME_BYTES_MAX));
        let protocol = WebSocketContext::from_partially_read(read.to_vec(), Role::Server, Some(config));
        Self(Box::new(Socket { io, server_key, protocol, blocked: false, ended: false }))
    }
}

impl Link for WebSocketLink {
    fn server_key(&self) -> Option<Bytes> {
        Some(self.0.server_key.clone())
    }

    async fn recv(&mut self) -> Incoming {
        match self.0.read().await {
            Ok(Message::Binary(bytes)) => Incoming::Frame(bytes),
            Ok(Message::Ping(_) | Message::Pong(_)) => Incoming::Alive,
            Ok(Message::Text(_) | Message::Frame(_)) | Err(Error::Protocol(_) | Error::Utf8(_)) => {
                Incoming::Bad(Close::BadFrame)
            }
            Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => Incoming::Bad(Close::TooLarge),
            Ok(Message::Close(_)) => {
                // Reading has made the answer; what is lost of it if this is cancelled, the next read writes.
                let _ = self.0.flush().await;
                Incoming::Gone
            }
            Err(_) => Incoming::Gone,
        }
    }

    async fn feed(&mut self, frame: Bytes) -> std::result::Result<(), Gone> {
        self.0.feed(Message::Binary(frame)).await.map_err(|_| Gone)
    }

    async fn flush(&mut self) -> std::result::Result<(), Gone> {
        self.0.flush().await.map_err(|_| Gone)
    }

    async fn ping(&mut self) -> std::result::Result<(), Gone> {
        self.0.feed(Message::Ping(Bytes::new())).await.map_err(|_| Gone)?;
        self.flush().await
    }

    async fn close(&mut self, close: Close) {
        let frame = CloseFrame { code: close.code().into(), reason: close.reason().into() };
        if self.0.until_done(|protocol, io| protocol.close(io, Some(frame.clone()))).await.is_err() {
            return;
        }
        // The close is complete when the client has answered it; the caller limits the time.
        while self.0.read().await.is_ok() {}
        // What it had sent before is read off: with bytes unread the system would reset the connection, and the
        // client might lose the reason.
        let _ = self.0.io.shutdown().await;
        let mut waste = [0; 1024];
        while self.0.io.read(&mut waste).await.is_ok_and(|count| count > 0) {}
    }
}
