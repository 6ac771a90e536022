//! One link: a connection whose two ends have proven their keys and named one talk, and its one stream. A task each.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use hobnob_protocol::limits::TALK_FRAME_BYTES_MAX;
use hobnob_protocol::v1::talk_frame::Body;
use iroh::endpoint::{Connection, ConnectionError, RecvStream, SendStream, VarInt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::board::{Ends, Origin};
use super::frame::{self, Unread};
use super::{Link, LinkEvent, Shared};

/// Codes of a connection that is closed.
const DONE: VarInt = VarInt::from_u32(0);
const NONSENSE: VarInt = VarInt::from_u32(2);
const REPLACED: VarInt = VarInt::from_u32(3);
const TOO_SLOW: VarInt = VarInt::from_u32(4);

/// Why a link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// This side wants it, once what was sent has arrived.
    Finish,
    /// This side wants it at once: there is a later link, or the other takes nothing.
    Cut,
    /// The other has finished.
    Finished,
    /// The connection is gone.
    Lost,
    /// The other does not keep to the rules.
    Nonsense,
}

impl From<Unread> for End {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Finished => Self::Finished,
            Unread::Lost => Self::Lost,
            Unread::Nonsense => Self::Nonsense,
        }
    }
}

/// A connection whose ends have named the talk, and its stream.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) connection: Connection,
    pub(super) send: SendStream,
    pub(super) recv: RecvStream,
}

impl Channel {
    /// Makes it the talk's link, if that is still wanted, and starts its task; else it is closed. `false`: it was not.
    pub(super) async fn raise(self, shared: &Arc<Shared>, origin: &Origin<'_>) -> bool {
        let Some(permit) = shared.permit().await else { return false };
        // Watched from before the first look, so that no change is missed.
        let changes = self.connection.path_events();
        let relayed = is_relayed(&self.connection);
        let raised = shared.board.lock().raise(origin, &self.connection, relayed, permit);
        let Some(ends) = raised else {
            self.connection.close(super::admission::REFUSED, b"");
            return false;
        };
        let run = run(Arc::clone(shared), self, ends, changes, relayed);
        shared.spawn(&shared.stop, run);
        true
    }
}

/// The path that carries what is said runs over the relay.
pub(super) fn is_relayed(connection: &Connection) -> bool {
    let paths = connection.paths();
    let carrying = paths.iter().find(|path| path.is_selected()).or_else(|| paths.iter().next());
    carrying.is_some_and(|path| path.is_relay())
}

async fn run(
    shared: Arc<Shared>,
    channel: Channel,
    ends: Ends,
    changes: iroh::endpoint::PathEventStream,
    relayed: bool,
) {
    let Channel { connection, mut send, mut recv } = channel;
    let Ends { link, mut outgoing, cut } = ends;
    let end = tokio::select! {
        // What has come is told before what follows from the connection's end.
        biased;
        () = cut.cancelled() => End::Cut,
        end = read_frames(&shared, link, &mut recv) => end,
        end = write_frames(&connection, &mut send, &mut outgoing) => end,
        end = watch_path(&shared, link, &connection, changes, relayed) => end,
    };
    tracing::debug!(link = link.0, ?end, "a link ends");
    match end {
        End::Finish => flush(&connection, &mut send, &mut recv, shared.tuning.flush).await,
        End::Cut if shared.board.lock().connection(link).is_some() => connection.close(TOO_SLOW, b""),
        End::Cut => connection.close(REPLACED, b""),
        End::Nonsense => connection.close(NONSENSE, b""),
        End::Finished => connection.close(DONE, b""),
        End::Lost if was_replaced(&connection) => {
            // The other has a later link already; this side's is about to come.
            let _ = timeout(shared.tuning.flush, cut.cancelled()).await;
        }
        End::Lost => {}
    }
    // Where the board has ended the link itself, nothing is told; then there is no reason to wait either.
    if shared.board.lock().connection(link).is_some()
        && let Some(permit) = shared.permit().await
    {
        shared.board.lock().lost(link, permit);
    }
}

async fn read_frames(shared: &Shared, link: Link, recv: &mut RecvStream) -> End {
    loop {
        let frame = match frame::read(recv, TALK_FRAME_BYTES_MAX).await {
            Ok(Body::Hello(_)) => return End::Nonsense,
            Ok(frame) => frame,
            Err(unread) => return unread.into(),
        };
        // While nobody takes what came, nothing more is read, and the other is held back.
        // When the network closes, what comes is read off, so that what is still to be said gets through.
        let Some(permit) = shared.permit().await else { continue };
        shared.board.lock().tell(link, permit, LinkEvent::Frame { link, frame });
    }
}

async fn write_frames(
    connection: &Connection,
    send: &mut SendStream,
    outgoing: &mut mpsc::Receiver<Bytes>,
) -> End {
    while let Some(mut frame) = outgoing.recv().await {
        if send.write_all_chunks(std::slice::from_mut(&mut frame)).await.is_err() {
            if connection.close_reason().is_some() {
                // What came before the connection's end is still to be read; the reader finds the end.
                std::future::pending::<()>().await;
            }
            return End::Nonsense;
        }
    }
    End::Finish
}

async fn watch_path(
    shared: &Shared,
    link: Link,
    connection: &Connection,
    mut changes: iroh::endpoint::PathEventStream,
    mut told: bool,
) -> End {
    while changes.next().await.is_some() {
        if connection.close_reason().is_some() {
            break;
        }
        let relayed = is_relayed(connection);
        if relayed != told
            && let Some(permit) = shared.permit().await
        {
            told = relayed;
            shared.board.lock().tell(link, permit, LinkEvent::Path { link, relayed });
        }
    }
    std::future::pending().await
}

/// Ends the stream and waits until the other has read it, or has done the same, or the time is over.
async fn flush(
    connection: &Connection,
    send: &mut SendStream,
    recv: &mut RecvStream,
    limit: std::time::Duration,
) {
    if send.finish().is_ok() {
        let both_finished = async {
            let _ = send.stopped().await;
            while let Ok(Some(_)) = recv.read_chunk(TALK_FRAME_BYTES_MAX).await {}
        };
        let arrived = async {
            tokio::select! {
                () = both_finished => {}
                _ = connection.closed() => {}
            }
        };
        let _ = timeout(limit, arrived).await;
    }
    connection.close(DONE, b"");
}

fn was_replaced(connection: &Connection) -> bool {
    matches!(
        connection.close_reason(),
        Some(ConnectionError::ApplicationClosed(close)) if close.error_code == REPLACED
    )
}
