//! The giving side of a stream. It tells what is asked, and sends what it is told to send, when it is told to.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use hobnob_protocol::v1::{
    FileData, FileHave, FileManifest, FileOpen, FileOpened, FileRefused, file_frame::Body, file_refused::Why,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::mpsc,
    time::timeout,
};

use super::{
    BLOCK_BYTES, BLOCKS, FRAME_ROOM, Holding, Patience, Spares, Stream, Tell,
    lane::{Results, Steps, lane},
    wire::{self, Frames, WireError},
};

/// How long the first frame may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the other may take nothing of what is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Chunks that were taken back before their turn came, of which it is remembered.
const CANCELLED_MAX: usize = 64;

/// What the other side of a stream does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It wants a chunk.
    Chunk(u32),
    /// It does not want it any more.
    Cancel(u32),
    /// It wants the manifest.
    Manifest,
    /// It has these itself now.
    Have(Vec<u32>),
    /// This chunk was sent, or could not be.
    Sent(u32),
    /// The stream is over.
    Over,
}

/// What a stream is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Send this chunk.
    Send(u32),
    /// Do not send this chunk.
    Refuse(u32, Why),
    /// Send the manifest.
    Manifest,
    /// Say that these are there now.
    Have(Vec<u32>),
    /// Say why nothing follows, and end.
    End(Why),
}

/// Reads the first frame, which says what is wanted and by what right.
///
/// # Errors
/// It does not come, or is another.
pub async fn open<S: Stream>(stream: S) -> Result<(FileOpen, Frames<ReadHalf<S>>, WriteHalf<S>), WireError> {
    let (read, write) = tokio::io::split(stream);
    let mut frames = Frames::new(read);
    match timeout(OPEN_TIMEOUT, frames.next()).await {
        Ok(Ok(Some(Body::Open(open)))) => Ok((open, frames, write)),
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) => Err(WireError::Protocol("a stream begins with what is wanted")),
        Err(_) => Err(WireError::Protocol("nothing is wanted")),
    }
}

/// Refuses what is wanted.
pub async fn refuse<W: AsyncWrite + Unpin>(mut io: W, why: Why) {
    let refused = FileRefused { why: why.into(), chunk: 0 };
    let say = async {
        wire::write(&mut io, Body::Refused(refused)).await?;
        io.shutdown().await?;
        Ok::<_, WireError>(())
    };
    // Who is refused and does not listen has lost nothing.
    let _ = timeout(OPEN_TIMEOUT, say).await;
}

/// Serves an opened stream until it is over, and says so in the end. `opened` is the first answer.
pub async fn run<R, W>(
    frames: Frames<R>,
    io: W,
    opened: FileOpened,
    holding: Arc<dyn Holding>,
    orders: mpsc::Receiver<Order>,
    asked: impl Tell<Asked>,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let cancelled = Cancelled::default();
    let spares = Spares::default();
    let reading = Arc::clone(&holding);
    let (steps, outs) = lane(BLOCKS, move |step: Step| step.carry_out(&*reading));
    let preparing = Preparing { holding, cancelled: &cancelled, spares: &spares, steps };
    let giving = async {
        let (preparing, writing) = (preparing.run(orders), write_all(io, opened, outs, &spares, &asked));
        tokio::pin!(preparing, writing);
        tokio::select! {
            // What was prepared is sent.
            () = &mut preparing => writing.await,
            result = &mut writing => result,
        }
    };
    // Either end of the stream is the end of it; how it ended concerns nobody here.
    let _: Result<(), WireError> = tokio::select! {
        result = read_all(frames, &cancelled, &asked) => result,
        result = giving => result,
    };
    asked.tell(Asked::Over).await;
}

async fn read_all<R: AsyncRead + Unpin>(
    mut frames: Frames<R>,
    cancelled: &Cancelled,
    asked: &impl Tell<Asked>,
) -> Result<(), WireError> {
    let mut patience = Patience::new();
    while let Some(body) = frames.next().await? {
        let what = match body {
            Body::Ask(ask) => {
                cancelled.lock().remove(&ask.chunk);
                Asked::Chunk(ask.chunk)
            }
            Body::Cancel(cancel) => {
                cancelled.add(cancel.chunk);
                Asked::Cancel(cancel.chunk)
            }
            Body::AskManifest(_) => Asked::Manifest,
            Body::Have(have) if patience.bears(&have.chunks) => Asked::Have(have.chunks),
            Body::Have(_) => return Err(WireError::Protocol("it tells too much")),
            _ => return Err(WireError::Protocol("this is for who gives to say")),
        };
        if !asked.tell(what).await {
            break;
        }
    }
    Ok(())
}

/// Chunks that are not wanted any more.
#[derive(Debug, Default)]
struct Cancelled(Mutex<BTreeSet<u32>>);

impl Cancelled {
    fn add(&self, chunk: u32) {
        let mut cancelled = self.lock();
        if cancelled.len() < CANCELLED_MAX {
            cancelled.insert(chunk);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be written.
enum Out {
    Frame(Body),
    /// Raw bytes of a manifest.
    Raw(Bytes),
    /// So many bytes of a chunk, behind the frame that begins it; `ends`: it was the last of this chunk.
    Block {
        block: Vec<u8>,
        len: usize,
        ends: Option<u32>,
    },
    /// The file is no longer what it was. Within a chunk there is no way to say so.
    Gone {
        within: bool,
    },
    /// A chunk is done with without a byte.
    Skipped(u32),
    /// Nothing follows.
    End,
}

/// What is done by the lane: everything passes it, so that everything is written in its order.
enum Step {
    /// There is nothing to do.
    Ready(Out),
    /// Read this much of a chunk, which has so many bytes, behind what stands at the beginning of the block.
    Read { chunk: u32, bytes: u32, offset: u32, len: usize, block: Vec<u8> },
}

impl Step {
    /// Blocks.
    fn carry_out(self, holding: &dyn Holding) -> Out {
        let (chunk, bytes, offset, len, mut block) = match self {
            Self::Ready(out) => return out,
            Self::Read { chunk, bytes, offset, len, block } => (chunk, bytes, offset, len, block),
        };
        let within = offset > 0;
        let frame = if within { Ok(0) } else { wire::put(Body::Data(FileData { chunk, bytes }), &mut block) };
        let Ok(start) = frame else { return Out::Gone { within } };
        match holding.read(chunk, offset, &mut block[start..start + len]) {
            Ok(()) => {
                let ends = (offset + len as u32 == bytes).then_some(chunk);
                Out::Block { block, len: start + len, ends }
            }
            Err(_) => Out::Gone { within },
        }
    }
}

/// Carries out orders: has read what is sent next.
struct Preparing<'a> {
    holding: Arc<dyn Holding>,
    cancelled: &'a Cancelled,
    spares: &'a Spares,
    steps: Steps<Step, Out>,
}

impl Preparing<'_> {
    /// Until no orders can come, or nothing is to follow.
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Send(chunk) => self.send(chunk).await,
                Order::Refuse(chunk, why) => self.refuse(chunk, why).await,
                Order::Manifest => {
                    let manifest = self.holding.manifest().unwrap_or_default();
                    let bytes = u32::try_from(manifest.len()).unwrap_or(0);
                    self.out(Out::Frame(Body::Manifest(FileManifest { bytes }))).await;
                    self.out(Out::Raw(manifest)).await;
                }
                Order::Have(chunks) => self.out(Out::Frame(Body::Have(FileHave { chunks }))).await,
                Order::End(why) => {
                    self.refuse(0, why).await;
                    return self.out(Out::End).await;
                }
            }
        }
    }

    async fn out(&mut self, out: Out) {
        self.steps.push(Step::Ready(out)).await;
    }

    async fn refuse(&mut self, chunk: u32, why: Why) {
        self.out(Out::Frame(Body::Refused(FileRefused { why: why.into(), chunk }))).await;
    }

    async fn send(&mut self, chunk: u32) {
        if self.cancelled.lock().remove(&chunk) {
            return self.out(Out::Skipped(chunk)).await;
        }
        let Some(bytes) = self.holding.bytes(chunk) else {
            self.refuse(chunk, Why::NotHere).await;
            return self.out(Out::Skipped(chunk)).await;
        };
        let mut offset = 0;
        while offset < bytes {
            let len = BLOCK_BYTES.min((bytes - offset) as usize);
            let block = self.spares.take(FRAME_ROOM + BLOCK_BYTES);
            self.steps.push(Step::Read { chunk, bytes, offset, len, block }).await;
            offset += len as u32;
        }
    }
}

async fn write_all<W: AsyncWrite + Unpin>(
    mut io: W,
    opened: FileOpened,
    mut outs: Results<Out>,
    spares: &Spares,
    asked: &impl Tell<Asked>,
) -> Result<(), WireError> {
    limited(wire::write(&mut io, Body::Opened(opened))).await?;
    loop {
        let out = match outs.try_next() {
            Some(out) => out,
            None => {
                limited(flush(&mut io)).await?;
                let Some(Ok(out)) = outs.next().await else { return Ok(()) };
                out
            }
        };
        let sent = match out {
            Out::Frame(body) => {
                limited(wire::write(&mut io, body)).await?;
                None
            }
            Out::Raw(bytes) => {
                limited(write_block(&mut io, &bytes)).await?;
                None
            }
            Out::Block { block, len, ends } => {
                let written = limited(write_block(&mut io, &block[..len])).await;
                spares.put(block);
                written?;
                ends
            }
            Out::Skipped(chunk) => Some(chunk),
            Out::Gone { within } => {
                if !within {
                    let refused = FileRefused { why: Why::Gone.into(), chunk: 0 };
                    limited(wire::write(&mut io, Body::Refused(refused))).await?;
                }
                return limited(shut_down(&mut io)).await;
            }
            Out::End => return limited(shut_down(&mut io)).await,
        };
        if let Some(chunk) = sent
            && !asked.tell(Asked::Sent(chunk)).await
        {
            return Ok(());
        }
    }
}

async fn limited<T>(step: impl Future<Output = Result<T, WireError>>) -> Result<T, WireError> {
    timeout(WRITE_TIMEOUT, step).await.unwrap_or(Err(WireError::Protocol("it takes nothing")))
}

async fn flush<W: AsyncWrite + Unpin>(io: &mut W) -> Result<(), WireError> {
    Ok(io.flush().await?)
}

async fn shut_down<W: AsyncWrite + Unpin>(io: &mut W) -> Result<(), WireError> {
    Ok(io.shutdown().await?)
}

async fn write_block<W: AsyncWrite + Unpin>(io: &mut W, block: &[u8]) -> Result<(), WireError> {
    Ok(io.write_all(block).await?)
}
