//! Ends that are written by hand, frame by frame, and do not keep to the rules, or keep to them in a way of their own.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use hobnob_peer::file::manifest::ContentHash;
use hobnob_peer::file::{ContentId, Shape};
use hobnob_peer::files::Content;
use hobnob_peer::transfer::wire::{self, Frames, WireError};
use hobnob_peer::transfer::{serve, tls};
use hobnob_protocol::v1::{
    FileAsk, FileAskManifest, FileCancel, FileData, FileHave, FileManifest, FileOpen, FileOpened,
    FileRefused, file_frame::Body, file_refused::Why,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
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
    /// Gives what it has, and takes this long for each chunk.
    Paced(Duration),
    /// Sends wrong bytes, but the last chunk.
    Wrong,
    /// Sends wrong bytes as the last chunk.
    WrongLast,
    /// Gives another manifest.
    WrongManifest,
    /// Gives the right manifest and a few values more.
    LongManifest,
    /// Says that its manifest has four gigabytes, and sends on and on.
    EndlessManifest,
    /// Says that a chunk is longer than it is.
    Long,
    /// Says that a chunk is shorter than it is.
    Short,
    /// Says that a chunk has four gigabytes, and sends on and on.
    Huge,
    /// Sends half of a chunk, and ends.
    Half,
    /// Sends half of a chunk, and nothing more.
    HalfAndSilent,
    /// Sends what was not asked for, without end.
    Endless,
    /// Sends another chunk than was asked for, though a right one.
    Other,
    /// Opens again and again.
    Opening,
    /// Tells of chunks, without end.
    Telling,
    /// Tells of chunks that no file has, and is honest otherwise.
    TellingNonsense,
    /// Says in the beginning that it has more chunks than there are, and is honest otherwise.
    Beyond,
    /// Sends bytes that are no frame.
    Nonsense,
    /// Begins a frame of four gigabytes, and sends on and on.
    HugeFrame,
    /// Refuses, without end, what was not asked for.
    Refusing,
    /// Opens, and says nothing more.
    Silent,
    /// Does not even open.
    Mute,
    /// Says it has all, and has only the last.
    Boastful,
}

/// What a source has seen and done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// Streams that were opened.
    pub(crate) calls: usize,
    /// Chunks that were asked for.
    pub(crate) asked: Vec<u32>,
    /// Chunks that were sent whole.
    pub(crate) sent: Vec<u32>,
    /// Chunks that the taker said to have, so they were verified there.
    pub(crate) told: BTreeSet<u32>,
}

/// A source.
pub(crate) struct HandGiver {
    pub(crate) content: Content,
    pub(crate) number: u8,
    pub(crate) address: String,
    log: watch::Receiver<Log>,
    _tasks: JoinSet<()>,
}

struct Source {
    bytes: Vec<u8>,
    shape: Shape,
    manifest: Vec<u8>,
    manner: Manner,
    log: watch::Sender<Log>,
}

impl HandGiver {
    pub(crate) async fn start(server: &Server, number: u8, bytes: &[u8], manner: Manner) -> Self {
        let shape = Shape::of(bytes.len() as u64).unwrap();
        let mut hash = ContentHash::new(shape);
        hash.feed(bytes);
        let manifest = hash.finish().unwrap().encode().to_vec();
        let content = Content { id: ContentId::of(bytes), size: bytes.len() as u64 };
        let (log_in, log) = watch::channel(Log::default());
        let source = Arc::new(Source { bytes: bytes.to_vec(), shape, manifest, manner, log: log_in });
        let seed = [number; 32];
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        server.holds(public(seed), &format!("hand{number}"), content, &address);
        let acceptor = TlsAcceptor::from(Arc::new(tls::TlsKey::new(&seed).unwrap().server().unwrap()));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut streams = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, source) = (acceptor.clone(), Arc::clone(&source));
                streams.spawn(async move {
                    if let Ok(stream) = acceptor.accept(socket).await
                        && let Ok((_, frames, io)) = serve::open(stream).await
                    {
                        source.log.send_modify(|log| log.calls += 1);
                        // Whoever has seen enough goes away.
                        let _ = source.give(frames, io).await;
                    }
                });
            }
        });
        Self { content, number, address, log, _tasks: tasks }
    }

    /// What it has seen and done so far.
    pub(crate) fn log(&self) -> Log {
        self.log.borrow().clone()
    }

    /// Waits until this is so.
    pub(crate) async fn until(&self, so: impl FnMut(&Log) -> bool) {
        let mut log = self.log.clone();
        timeout(SOON, log.wait_for(so)).await.expect("it comes to that").unwrap();
    }

    /// Waits until somebody has opened a stream.
    pub(crate) async fn called(&self) {
        self.until(|log| log.calls > 0).await;
    }

    /// For [`Other::downloads`](super::child::Other::downloads).
    pub(crate) fn at(&self) -> (u8, &str) {
        (self.number, &self.address)
    }
}

impl Source {
    async fn give<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
        &self,
        mut frames: Frames<R>,
        mut io: W,
    ) -> Result<(), WireError> {
        let opened = match self.manner {
            Manner::Mute => return never().await,
            Manner::Beyond => FileOpened { complete: false, chunks: vec![0xff; 4096].into() },
            _ => FileOpened { complete: true, chunks: Default::default() },
        };
        wire::write(&mut io, Body::Opened(opened.clone())).await?;
        self.begin(&mut io, opened).await?;
        io.flush().await?;
        while let Some(body) = frames.next().await? {
            match body {
                Body::Have(have) => self.log.send_modify(|log| log.told.extend(have.chunks)),
                _ if self.manner == Manner::Silent => continue,
                Body::AskManifest(_) => self.manifest(&mut io).await?,
                Body::Ask(ask) => {
                    self.log.send_modify(|log| log.asked.push(ask.chunk));
                    self.chunk(&mut io, ask.chunk).await?;
                }
                _ => {}
            }
            io.flush().await?;
        }
        Ok(())
    }

    /// What it says without being asked.
    async fn begin<W: AsyncWrite + Unpin>(&self, io: &mut W, opened: FileOpened) -> Result<(), WireError> {
        match self.manner {
            Manner::Opening => loop {
                wire::write(io, Body::Opened(opened.clone())).await?;
            },
            Manner::Telling => loop {
                wire::write(io, Body::Have(FileHave { chunks: (0..1000).collect() })).await?;
            },
            Manner::TellingNonsense => {
                let chunks = vec![u32::MAX, 1 << 31, 16_384, 1_000_000];
                wire::write(io, Body::Have(FileHave { chunks })).await
            }
            Manner::Nonsense => Ok(io.write_all(&[0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff]).await?),
            Manner::HugeFrame => {
                io.write_all(&[0xff; 4]).await?;
                on_and_on(io).await
            }
            Manner::Refusing => loop {
                for chunk in 0..20 {
                    wire::write(io, Body::Refused(FileRefused { why: Why::Busy.into(), chunk })).await?;
                }
            },
            _ => Ok(()),
        }
    }

    async fn manifest<W: AsyncWrite + Unpin>(&self, io: &mut W) -> Result<(), WireError> {
        let mut manifest = self.manifest.clone();
        let mut bytes = manifest.len() as u32;
        match self.manner {
            Manner::WrongManifest => manifest[0] ^= 1,
            Manner::LongManifest => {
                manifest.extend_from_slice(&[7; 64]);
                bytes += 64;
            }
            Manner::EndlessManifest => bytes = u32::MAX,
            _ => {}
        }
        wire::write(io, Body::Manifest(FileManifest { bytes })).await?;
        io.write_all(&manifest).await?;
        if self.manner == Manner::EndlessManifest { on_and_on(io).await } else { Ok(()) }
    }

    async fn chunk<W: AsyncWrite + Unpin>(&self, io: &mut W, chunk: u32) -> Result<(), WireError> {
        let range = self.shape.range(chunk).expect("nobody honest asks for what is not there");
        let mut bytes = self.bytes[range.start as usize..range.end as usize].to_vec();
        let is_last = self.shape.last() == Some(chunk);
        let refuse = |why: Why| Body::Refused(FileRefused { why: why.into(), chunk });
        let data = |chunk, bytes: usize| Body::Data(FileData { chunk, bytes: bytes as u32 });
        match self.manner {
            Manner::Honest(most) if self.log.borrow().sent.len() >= most => {
                return wire::write(io, refuse(Why::Busy)).await;
            }
            Manner::Paced(time) => tokio::time::sleep(time).await,
            Manner::Boastful if !is_last => return wire::write(io, refuse(Why::NotHere)).await,
            Manner::Wrong if !is_last => bytes[0] ^= 1,
            Manner::WrongLast if is_last => bytes[0] ^= 1,
            Manner::Long => bytes.push(0),
            Manner::Short if !is_last => drop(bytes.pop()),
            Manner::Huge if !is_last => {
                wire::write(io, data(chunk, u32::MAX as usize)).await?;
                return on_and_on(io).await;
            }
            Manner::Half | Manner::HalfAndSilent if !is_last => {
                wire::write(io, data(chunk, bytes.len())).await?;
                io.write_all(&bytes[..bytes.len() / 2]).await?;
                io.flush().await?;
                return if self.manner == Manner::Half { Ok(io.shutdown().await?) } else { never().await };
            }
            Manner::Endless if !is_last => loop {
                wire::write(io, data(chunk, bytes.len())).await?;
                io.write_all(&bytes).await?;
            },
            Manner::Other if !is_last => {
                let other = chunk.checked_sub(1).unwrap_or(3);
                let range = self.shape.range(other).unwrap();
                wire::write(io, data(other, (range.end - range.start) as usize)).await?;
                io.write_all(&self.bytes[range.start as usize..range.end as usize]).await?;
                return Ok(());
            }
            _ => {}
        }
        wire::write(io, data(chunk, bytes.len())).await?;
        io.write_all(&bytes).await?;
        self.log.send_modify(|log| log.sent.push(chunk));
        Ok(())
    }
}

async fn never() -> Result<(), WireError> {
    std::future::pending().await
}

async fn on_and_on<W: AsyncWrite + Unpin>(io: &mut W) -> Result<(), WireError> {
    loop {
        io.write_all(&[0; 64 * 1024]).await?;
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

    /// Takes a request back.
    pub(crate) async fn cancel(&mut self, chunk: u32) -> bool {
        self.say(Body::Cancel(FileCancel { chunk })).await
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
