//! The giving side of a stream. It tells what is asked, and sends what it is told to send, when it is told to.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hobnob_protocol::v1::{
    FileData, FileHave, FileManifest, FileOpen, FileOpened, FileRefused, file_frame::Body, file_refused::Why,
};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};

use super::{
    BLOCK_BYTES, Holding, Stream,
    wire::{self, Frames, WireError},
};

/// How long the first frame may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the other may take nothing of what is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Blocks read ahead of what is being sent.
const AHEAD: usize = 2;

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
pub async fn run<S: Stream + 'static>(
    mut frames: Frames<ReadHalf<S>>,
    mut io: WriteHalf<S>,
    opened: FileOpened,
    holding: Arc<dyn Holding>,
    mut orders: mpsc::Receiver<Order>,
    asked: mpsc::Sender<Asked>,
) {
    let reading = async {
        while let Some(body) = frames.next().await? {
            let what = match body {
                Body::Ask(ask) => Asked::Chunk(ask.chunk),
                Body::Cancel(cancel) => Asked::Cancel(cancel.chunk),
                Body::AskManifest(_) => Asked::Manifest,
                Body::Have(have) => Asked::Have(have.chunks),
                _ => return Err(WireError::Protocol("this is for who gives to say")),
            };
            if asked.send(what).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    let writing = async {
        limited(wire::write(&mut io, Body::Opened(opened))).await?;
        loop {
            limited(flush(&mut io)).await?;
            let Some(order) = orders.recv().await else { return Ok(()) };
            if !carry_out(order, &mut io, &holding, &asked).await? {
                limited(shut_down(&mut io)).await?;
                return Ok(());
            }
        }
    };
    // Either end of the stream is the end of it; how it ended concerns nobody here.
    let _: Result<(), WireError> = tokio::select! {
        result = reading => result,
        result = writing => result,
    };
    let _ = asked.send(Asked::Over).await;
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

/// `false`: nothing follows.
async fn carry_out<W: AsyncWrite + Unpin>(
    order: Order,
    io: &mut W,
    holding: &Arc<dyn Holding>,
    asked: &mpsc::Sender<Asked>,
) -> Result<bool, WireError> {
    match order {
        Order::Send(chunk) => {
            let sent = send(chunk, io, holding).await;
            let told = asked.send(Asked::Sent(chunk)).await.is_ok();
            sent.map(|goes_on| goes_on && told)
        }
        Order::Refuse(chunk, why) => {
            let refused = FileRefused { why: why.into(), chunk };
            limited(wire::write(io, Body::Refused(refused))).await.map(|()| true)
        }
        Order::Manifest => send_manifest(io, holding).await.map(|()| true),
        Order::Have(chunks) => limited(wire::write(io, Body::Have(FileHave { chunks }))).await.map(|()| true),
        Order::End(why) => {
            let refused = FileRefused { why: why.into(), chunk: 0 };
            limited(wire::write(io, Body::Refused(refused))).await.map(|()| false)
        }
    }
}

/// Sends a chunk: one task reads ahead while this one sends. `false`: the file is no longer what it was.
async fn send<W: AsyncWrite + Unpin>(
    chunk: u32,
    io: &mut W,
    holding: &Arc<dyn Holding>,
) -> Result<bool, WireError> {
    let Some(bytes) = holding.bytes(chunk) else {
        let refused = FileRefused { why: Why::NotHere.into(), chunk };
        return limited(wire::write(io, Body::Refused(refused))).await.map(|()| true);
    };
    let (blocks_in, mut blocks) = mpsc::channel(AHEAD);
    let holding = Arc::clone(holding);
    let mut reader = JoinSet::new();
    reader.spawn_blocking(move || read_blocks(&*holding, chunk, bytes, &blocks_in));
    let mut begun = false;
    while let Some(block) = blocks.recv().await {
        let Ok(block) = block else {
            if !begun {
                refuse(io, Why::Gone).await;
            }
            return Ok(false);
        };
        if !begun {
            limited(wire::write(io, Body::Data(FileData { chunk, bytes }))).await?;
            begun = true;
        }
        limited(write_block(io, &block)).await?;
    }
    Ok(true)
}

async fn write_block<W: AsyncWrite + Unpin>(io: &mut W, block: &[u8]) -> Result<(), WireError> {
    Ok(io.write_all(block).await?)
}

fn read_blocks(
    holding: &dyn Holding,
    chunk: u32,
    bytes: u32,
    blocks: &mpsc::Sender<std::io::Result<Vec<u8>>>,
) {
    let mut offset = 0;
    while offset < bytes {
        let mut block = vec![0; BLOCK_BYTES.min((bytes - offset) as usize)];
        let read = holding.read(chunk, offset, &mut block);
        let failed = read.is_err();
        // Nobody takes it any more when the stream is over.
        if blocks.blocking_send(read.map(|()| block)).is_err() || failed {
            return;
        }
        offset = offset.saturating_add(BLOCK_BYTES as u32);
    }
}

async fn send_manifest<W: AsyncWrite + Unpin>(
    io: &mut W,
    holding: &Arc<dyn Holding>,
) -> Result<(), WireError> {
    let manifest: Bytes = holding.manifest().unwrap_or_default();
    let bytes = u32::try_from(manifest.len()).unwrap_or(0);
    limited(wire::write(io, Body::Manifest(FileManifest { bytes }))).await?;
    limited(write_block(io, &manifest)).await
}
