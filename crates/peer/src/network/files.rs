//! Streams of files, on the endpoint of private talk under a name of their own. Anybody may call who has a key, while
//! something is offered: what it may have, its ticket says, which is none of the network's business.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use hobnob_protocol::v1;
use iroh::endpoint::{ConnectOptions, Connection, IncomingZeroRtt, PathEventStream, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use super::{Shared, dial, endpoint, link};

/// What a stream of a file is called in the handshake.
pub(super) const ALPN: &[u8] = b"hobnob/files/1";

/// Callers that wait to be taken.
const WAITING: usize = 8;
/// Keys that are shunned, at most.
const SHUNNED_MAX: usize = 1024;
/// How long what was said last may take to arrive.
const LINGER: Duration = Duration::from_secs(1);

/// A connection that iroh has not been told of.
pub(super) type Early = Connection<IncomingZeroRtt>;

/// Callers, as the network takes them in.
#[derive(Debug)]
pub(super) struct Callers {
    open: AtomicBool,
    /// Keys whose calls are not answered.
    shunned: SyncMutex<BTreeSet<[u8; 32]>>,
    sender: mpsc::Sender<FileCall>,
    waiting: Mutex<mpsc::Receiver<FileCall>>,
}

impl Default for Callers {
    fn default() -> Self {
        let (sender, waiting) = mpsc::channel(WAITING);
        Self {
            open: AtomicBool::new(false),
            shunned: SyncMutex::default(),
            sender,
            waiting: Mutex::new(waiting),
        }
    }
}

impl Callers {
    /// Somebody may call.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Whoever has this key may call.
    pub(super) fn is_open_to(&self, key: &[u8; 32]) -> bool {
        self.is_open() && !self.shunned().contains(key)
    }

    fn shunned(&self) -> MutexGuard<'_, BTreeSet<[u8; 32]>> {
        self.shunned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody has called, and proven this key; when too many wait, it is sent away.
    pub(super) fn called(&self, key: [u8; 32], early: Early, send: SendStream, recv: RecvStream) {
        let io = FileIo { send, recv, _connection: None };
        if let Err(error) = self.sender.try_send(FileCall { key, early, io: Some(io) }) {
            tracing::debug!(%error, "a caller finds no place");
        }
    }
}

/// Where streams of files come from and go to. One for all of a network; it ends with the network.
#[derive(Clone, Debug)]
pub struct FilesPort(pub(super) Arc<Shared>);

impl FilesPort {
    /// From now on others may call, or may not any more.
    pub fn open(&self, open: bool) {
        self.0.files.open.store(open, Ordering::Relaxed);
    }

    /// Whoever has this key is not answered any more when it calls over the relay, as if nobody were here. Once it is
    /// answered it learns an address: QUIC itself answers a caller that offers its own.
    pub fn shun(&self, key: [u8; 32]) {
        let mut shunned = self.0.files.shunned();
        if shunned.len() < SHUNNED_MAX {
            shunned.insert(key);
        }
    }

    /// Nobody is shunned any more.
    pub fn forgive(&self) {
        self.0.files.shunned().clear();
    }

    /// The server's relay is used.
    #[must_use]
    pub fn has_relay(&self) -> bool {
        self.0.relay.is_some()
    }

    /// Who calls next, once it has begun its stream. `None`: the network is closed.
    pub async fn accept(&self) -> Option<FileCall> {
        let mut waiting = self.0.files.waiting.lock().await;
        self.0.closing.run_until_cancelled(waiting.recv()).await.flatten()
    }

    /// Calls whoever has this key. `None`: it cannot be reached.
    pub async fn dial(&self, key: [u8; 32], contact: &v1::Contact) -> Option<FileStream> {
        self.0.closing.run_until_cancelled(self.connect(key, contact)).await.flatten()
    }

    async fn connect(&self, key: [u8; 32], contact: &v1::Contact) -> Option<FileStream> {
        let to = dial::whereabouts(&self.0, &key, contact)?;
        let options = ConnectOptions::new().with_transport_config(endpoint::bulk_transport(&self.0.tuning));
        let connecting = self.0.endpoint.connect_with_opts(to, ALPN, options).await.ok()?;
        let connection = connecting.await.ok()?;
        let (send, recv) = connection.open_bi().await.ok()?;
        Some(FileStream::new(connection, send, recv))
    }
}

/// A stream, and the connection that it runs on, which is closed with it.
#[derive(Debug)]
pub struct FileStream {
    connection: Connection,
    changes: PathEventStream,
    io: Option<FileIo>,
}

impl FileStream {
    fn new(connection: Connection, send: SendStream, recv: RecvStream) -> Self {
        // Watched from before the first look, so that no change is missed.
        let changes = connection.path_events();
        let io = FileIo { send, recv, _connection: Some(connection.clone()) };
        Self { connection, changes, io: Some(io) }
    }

    /// What is read and written; once.
    pub fn take_io(&mut self) -> Option<FileIo> {
        self.io.take()
    }

    /// It runs over the relay, for now.
    #[must_use]
    pub fn is_relayed(&self) -> bool {
        link::is_relayed(&self.connection)
    }

    /// Waits until it may run another way.
    pub async fn changed(&mut self) {
        if self.changes.next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// Whoever has called, and the connection, which is closed with it. Until it is admitted it gets bytes, and iroh,
/// which does not know of the connection before, does not offer it this client's addresses.
#[derive(Debug)]
pub struct FileCall {
    key: [u8; 32],
    early: Early,
    io: Option<FileIo>,
}

impl FileCall {
    /// The key that the caller has proven.
    #[must_use]
    pub fn key(&self) -> [u8; 32] {
        self.key
    }

    /// What is read and written; once. It ends with the call.
    pub fn take_io(&mut self) -> Option<FileIo> {
        self.io.take()
    }

    /// From now on the connection may find a direct way. `false`: it is lost.
    pub async fn admit(&self) -> bool {
        self.early.handshake_completed().await.is_ok()
    }

    /// Waits, a second at most, until the other has gone.
    pub async fn linger(&self) {
        let _ = timeout(LINGER, self.early.closed()).await;
    }
}

/// The bytes of a stream.
#[derive(Debug)]
pub struct FileIo {
    send: SendStream,
    recv: RecvStream,
    /// Keeps the connection open, if nothing else does.
    _connection: Option<Connection>,
}

impl AsyncRead for FileIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        AsyncRead::poll_read(Pin::new(&mut self.recv), context, buf)
    }
}

impl AsyncWrite for FileIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.send), context, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.send), context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(&mut self.send), context)
    }
}
