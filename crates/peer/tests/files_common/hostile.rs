//! Ends that are written by hand, frame by frame, and do not keep to the rules, or keep to them in a way of their own.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use hobnob_peer::file::manifest::ContentHash;
use hobnob_peer::file::{ContentId, Shape};
use hobnob_peer::files::Content;
use hobnob_peer::transfer::wire::{self, Frames};
use hobnob_peer::transfer::{serve, tls};
use hobnob_protocol::v1::{
    FileAsk, FileAskManifest, FileData, FileManifest, FileOpen, FileOpened, FileRefused, file_frame::Body,
    file_refused::Why,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{SOON, Server, public};

/// What a source does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Gives what it has, so many chunks in all.
    Honest(usize),
    /// Sends wrong bytes, but the last chunk.
    Wrong,
    /// Sends wrong bytes as the last chunk.
    WrongLast,
    /// Gives another manifest.
    WrongManifest,
    /// Says that a chunk is longer than it is.
    Long,
    /// Sends what was not asked for, without end.
    Endless,
    /// Opens, and says nothing more.
    Silent,
    /// Says it has all, and has only the last.
    Boastful,
}

/// A source.
pub(crate) struct HandGiver {
    pub(crate) content: Content,
    /// Chunks that were sent whole.
    pub(crate) sent: Arc<Mutex<Vec<u32>>>,
    /// Somebody has opened a stream.
    called: Arc<Notify>,
    _tasks: JoinSet<()>,
}

struct Source {
    bytes: Vec<u8>,
    shape: Shape,
    manifest: Vec<u8>,
    manner: Manner,
    sent: Arc<Mutex<Vec<u32>>>,
}

impl HandGiver {
    pub(crate) async fn start(server: &Server, number: u8, bytes: &[u8], manner: Manner) -> Self {
        let shape = Shape::of(bytes.len() as u64).unwrap();
        let mut hash = ContentHash::new(shape);
        hash.feed(bytes);
        let manifest = hash.finish().unwrap();
        let content = Content { id: ContentId::of(bytes), size: bytes.len() as u64 };
        let sent = Arc::new(Mutex::new(Vec::new()));
        let source = Arc::new(Source {
            bytes: bytes.to_vec(),
            shape,
            manifest: manifest.encode().to_vec(),
            manner,
            sent: Arc::clone(&sent),
        });
        let seed = [number; 32];
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        server.holds(public(seed), &format!("hand{number}"), content, &address);
        let acceptor = TlsAcceptor::from(Arc::new(tls::TlsKey::new(&seed).unwrap().server().unwrap()));
        let mut tasks = JoinSet::new();
        let called = Arc::new(Notify::new());
        let calls = Arc::clone(&called);
        tasks.spawn(async move {
            let mut streams = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, source, calls) = (acceptor.clone(), Arc::clone(&source), Arc::clone(&calls));
                streams.spawn(async move {
                    if let Ok(stream) = acceptor.accept(socket).await
                        && let Ok((_, frames, io)) = serve::open(stream).await
                    {
                        calls.notify_one();
                        // Whoever has seen enough goes away.
                        let _ = source.give(frames, io).await;
                    }
                });
            }
        });
        Self { content, sent, called, _tasks: tasks }
    }

    /// Waits until somebody has opened a stream.
    pub(crate) async fn called(&self) {
        timeout(SOON, self.called.notified()).await.expect("somebody calls");
    }
}

impl Source {
    async fn give<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
        &self,
        mut frames: Frames<R>,
        mut io: W,
    ) -> Result<(), wire::WireError> {
        wire::write(&mut io, Body::Opened(FileOpened { complete: true, chunks: Default::default() })).await?;
        io.flush().await?;
        while let Some(body) = frames.next().await? {
            match body {
                _ if self.manner == Manner::Silent => continue,
                Body::AskManifest(_) => {
                    let mut manifest = self.manifest.clone();
                    if self.manner == Manner::WrongManifest {
                        manifest[0] ^= 1;
                    }
                    let bytes = manifest.len() as u32;
                    wire::write(&mut io, Body::Manifest(FileManifest { bytes })).await?;
                    io.write_all(&manifest).await?;
                }
                Body::Ask(ask) => self.chunk(&mut io, ask.chunk).await?,
                _ => {}
            }
            io.flush().await?;
        }
        Ok(())
    }

    async fn chunk<W: AsyncWrite + Unpin>(&self, io: &mut W, chunk: u32) -> Result<(), wire::WireError> {
        let range = self.shape.range(chunk).unwrap();
        let mut bytes = self.bytes[range.start as usize..range.end as usize].to_vec();
        let is_last = self.shape.last() == Some(chunk);
        let refuse = |why: Why| Body::Refused(FileRefused { why: why.into(), chunk });
        match self.manner {
            Manner::Honest(most) if self.sent.lock().unwrap().len() >= most => {
                return wire::write(io, refuse(Why::Busy)).await;
            }
            Manner::Boastful if !is_last => return wire::write(io, refuse(Why::NotHere)).await,
            Manner::Wrong if !is_last => bytes[0] ^= 1,
            Manner::WrongLast if is_last => bytes[0] ^= 1,
            Manner::Long => bytes.push(0),
            Manner::Endless if !is_last => loop {
                wire::write(io, Body::Data(FileData { chunk, bytes: bytes.len() as u32 })).await?;
                io.write_all(&bytes).await?;
            },
            _ => {}
        }
        wire::write(io, Body::Data(FileData { chunk, bytes: bytes.len() as u32 })).await?;
        io.write_all(&bytes).await?;
        self.sent.lock().unwrap().push(chunk);
        Ok(())
    }
}

/// One who takes.
pub(crate) struct HandTaker {
    pub(crate) frames: Frames<ReadHalf<TlsStream<TcpStream>>>,
    pub(crate) io: WriteHalf<TlsStream<TcpStream>>,
}

impl HandTaker {
    /// Calls a device, and shows this ticket for this content.
    pub(crate) async fn call(
        tcp: &str,
        giver: [u8; 32],
        number: u8,
        content: Content,
        ticket: (Vec<u8>, Vec<u8>),
    ) -> Option<Self> {
        let socket = TcpStream::connect(tcp).await.ok()?;
        let config = tls::TlsKey::new(&[number; 32]).unwrap().client(giver).unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(tls::server_name(), socket).await.ok()?;
        let (read, io) = tokio::io::split(stream);
        let mut taker = Self { frames: Frames::new(read), io };
        let (id, size) = (content.to_wire().id, content.size);
        let open = FileOpen { id, size, ticket: ticket.0.into(), signature: ticket.1.into() };
        taker.say(Body::Open(open)).await.then_some(taker)
    }

    pub(crate) async fn say(&mut self, body: Body) -> bool {
        wire::write(&mut self.io, body).await.is_ok() && self.io.flush().await.is_ok()
    }

    pub(crate) async fn ask(&mut self, chunk: u32) -> bool {
        self.say(Body::Ask(FileAsk { chunk })).await
    }

    pub(crate) async fn ask_manifest(&mut self) -> bool {
        self.say(Body::AskManifest(FileAskManifest {})).await
    }

    /// The next frame, what follows it passed over; `None`: the stream is over.
    pub(crate) async fn next(&mut self) -> Option<Body> {
        let body = self.frames.next().await.ok()??;
        let raw = match &body {
            Body::Data(data) => data.bytes,
            Body::Manifest(manifest) => manifest.bytes,
            _ => 0,
        };
        self.frames.raw(&mut vec![0; raw as usize]).await.ok()?;
        Some(body)
    }

    /// Why it is refused.
    pub(crate) async fn refusal(&mut self) -> Option<Why> {
        match self.next().await? {
            Body::Refused(refused) => Some(refused.why()),
            _ => None,
        }
    }
}

/// No number stands twice.
pub(crate) fn are_different(chunks: &[u32]) -> bool {
    chunks.iter().collect::<BTreeSet<_>>().len() == chunks.len()
}
