//! A connection to the relay: the WebSocket as the relay's protocol sees it, metered and held to its user's limit.

use std::{
    io,
    os::fd::AsFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use iroh_relay::{ExportKeyingMaterial, MAX_PACKET_SIZE, protos::common::FrameType, server::ConnectionId};
use n0_error::{AnyError, anyerr};
use tokio::{
    net::TcpStream,
    time::{Sleep, sleep, sleep_until},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, protocol::WebSocketConfig},
};
use tokio_util::either::Either;

use super::user::User;
use crate::web::Io;

/// The relay's frame by which a client learns that another is gone. Clients do without: a link that is silent is lost.
const ENDPOINT_GONE: u8 = FrameType::EndpointGone as u8;

/// The largest message: a packet with its type.
const MESSAGE_BYTES_MAX: usize = MAX_PACKET_SIZE + 64;
/// Read and write buffer: one TLS record.
const BUFFER_BYTES: usize = 16 * 1024;

/// How long a write may make no progress.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// How the WebSocket of a relay connection is set up.
pub(super) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(4 * MAX_PACKET_SIZE)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

/// Has this runtime, not the one that accepted it, watch the connection. Where that is not possible, being out of
/// files, it stays as it is, which works as well.
pub(super) fn adopt(io: &mut Io) {
    let tcp = match io {
        Either::Left(tls) => tls.get_mut().0,
        Either::Right(tcp) => tcp,
    };
    let again = || -> io::Result<TcpStream> {
        let own = tcp.as_fd().try_clone_to_owned()?;
        TcpStream::from_std(own.into())
    };
    if let Ok(again) = again() {
        *tcp = again;
    }
}

/// One connection to the relay.
pub(super) struct RelaySocket {
    socket: Box<WebSocketStream<Io>>,
    /// Known after the handshake.
    meter: Option<Meter>,
    /// The end of a wait that the limit asks for.
    pause: Option<Pin<Box<Sleep>>>,
    /// Until when the client has to take what is to be written.
    patience: Option<Pin<Box<Sleep>>>,
}

/// Whose connection it is. Dropped with it.
struct Meter {
    user: Arc<User>,
    connection: ConnectionId,
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.user.close(self.connection);
    }
}

impl RelaySocket {
    pub(super) fn new(socket: Box<WebSocketStream<Io>>) -> Self {
        Self { socket, meter: None, pause: None, patience: None }
    }

    /// From here on it counts for `user`, who has been told of it.
    pub(super) fn meter(&mut self, user: Arc<User>, connection: ConnectionId) {
        self.meter = Some(Meter { user, connection });
    }

    /// Ready when the user may send on.
    fn poll_allowed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(meter) = &self.meter else { return Poll::Ready(()) };
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            // Asked again after the wait: another connection of the user may have taken the turn.
            let Some(at) = meter.user.ready_at() else { return Poll::Ready(()) };
            self.pause = Some(Box::pin(sleep_until(at)));
        }
    }
}

/// What came of a write. One that makes no progress for long fails: nobody else limits every write, and a client that
/// takes nothing could not even be put out.
fn poll_written(
    patience: &mut Option<Pin<Box<Sleep>>>,
    written: Poll<Result<(), Error>>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), AnyError>> {
    if let Poll::Ready(result) = written {
        *patience = None;
        return Poll::Ready(result.map_err(AnyError::from_std));
    }
    let patience = patience.get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
    ready!(patience.as_mut().poll(cx));
    Poll::Ready(Err(anyerr!("takes nothing")))
}

impl Stream for RelaySocket {
    type Item = Result<Bytes, AnyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            ready!(self.poll_allowed(cx));
            let Some(message) = ready!(Pin::new(&mut *self.socket).poll_next(cx)) else {
                return Poll::Ready(None);
            };
            let message = message.map_err(AnyError::from_std)?;
            if let Some(meter) = &self.meter {
                meter.user.count_received(message.len());
            }
            match message {
                Message::Binary(bytes) => return Poll::Ready(Some(Ok(bytes))),
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Close(_) => return Poll::Ready(None),
                Message::Text(_) | Message::Frame(_) => {
                    return Poll::Ready(Some(Err(anyerr!("not a binary message"))));
                }
            }
        }
    }
}

impl Sink<Bytes> for RelaySocket {
    type Error = AnyError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), AnyError>> {
        let written = Pin::new(&mut *self.socket).poll_ready(cx);
        poll_written(&mut self.patience, written, cx)
    }

    fn start_send(mut self: Pin<&mut Self>, bytes: Bytes) -> Result<(), AnyError> {
        // Who has sent something to a client would be told when it leaves, also if it blocks them.
        if bytes.first() == Some(&ENDPOINT_GONE) {
            return Ok(());
        }
        if let Some(meter) = &self.meter {
            meter.user.count_sent(bytes.len());
        }
        Pin::new(&mut *self.socket).start_send(Message::Binary(bytes)).map_err(AnyError::from_std)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), AnyError>> {
        let written = Pin::new(&mut *self.socket).poll_flush(cx);
        poll_written(&mut self.patience, written, cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), AnyError>> {
        let written = Pin::new(&mut *self.socket).poll_close(cx);
        poll_written(&mut self.patience, written, cx)
    }
}

impl ExportKeyingMaterial for RelaySocket {
    fn export_keying_material<T: AsMut<[u8]>>(
        &self,
        output: T,
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Option<T> {
        match self.socket.get_ref() {
            Either::Left(tls) => tls.get_ref().1.export_keying_material(output, label, context).ok(),
            Either::Right(_) => None,
        }
    }
}
