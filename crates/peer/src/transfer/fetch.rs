//! The taking side of a stream: asks for what it is told to ask for, and writes what comes to disk while it is hashed.

use std::{io, sync::Arc};

use hobnob_protocol::v1::{
    FileAsk, FileAskManifest, FileCancel, FileHave, FileOpen, FileOpened, file_frame::Body, file_refused::Why,
};
use tokio::{io::AsyncWriteExt, sync::mpsc, task::JoinSet};

use super::{
    BLOCK_BYTES, Stream, Wanting, Writing,
    wire::{self, Frames, WireError},
};

/// Largest manifest: 32 bytes for each of the most chunks.
pub const MANIFEST_BYTES_MAX: u32 = 32 * 16_384;

/// What is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// A chunk.
    Chunk(u32),
    /// A chunk no longer.
    Cancel(u32),
    /// The manifest.
    Manifest,
    /// Nothing, but say that these are here now.
    Have(Vec<u32>),
}

/// What comes of a stream.
#[derive(Debug)]
pub enum Got {
    /// The other gives; what it has now.
    Opened(FileOpened),
    /// It has more now.
    Have(Vec<u32>),
    /// The manifest, not yet checked.
    Manifest(Vec<u8>),
    /// So many bytes of a chunk more have come.
    Bytes {
        /// Which.
        chunk: u32,
        /// How many.
        bytes: u32,
    },
    /// All of a chunk has come.
    Chunk {
        /// Which.
        chunk: u32,
        /// It is what it should be, and on disk, though not yet durable.
        verified: bool,
    },
    /// A chunk does not come.
    Refused {
        /// Which.
        chunk: u32,
        /// Why.
        why: Why,
    },
    /// The stream is over.
    Over(Over),
}

/// Why a stream is over.
#[derive(Debug)]
pub enum Over {
    /// The other does not give this file.
    Refused(Why),
    /// The other, or the network, is gone.
    Lost,
    /// The other does not keep to the protocol.
    Broken(&'static str),
    /// The disk failed: no other source will help.
    Disk(io::Error),
}

impl From<WireError> for Over {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Io(_) => Self::Lost,
            WireError::Protocol(why) => Self::Broken(why),
        }
    }
}

/// Runs a stream until it is over, and says so in the end. Ends when no more asks can come.
pub async fn run<S: Stream + 'static>(
    stream: S,
    open: FileOpen,
    wanting: Arc<dyn Wanting>,
    mut asks: mpsc::Receiver<Ask>,
    got: mpsc::Sender<Got>,
) {
    let (read, mut write) = tokio::io::split(stream);
    let writing = async {
        wire::write(&mut write, Body::Open(open)).await?;
        loop {
            write.flush().await?;
            let Some(ask) = asks.recv().await else { return Ok(()) };
            let body = match ask {
                Ask::Chunk(chunk) => Body::Ask(FileAsk { chunk }),
                Ask::Cancel(chunk) => Body::Cancel(FileCancel { chunk }),
                Ask::Manifest => Body::AskManifest(FileAskManifest {}),
                Ask::Have(chunks) => Body::Have(FileHave { chunks }),
            };
            wire::write(&mut write, body).await?;
        }
    };
    let mut reader = Reader { frames: Frames::new(read), wanting, got: &got, spare: Vec::new() };
    let over = tokio::select! {
        over = reader.run() => over,
        result = writing => result.map_or_else(|error: WireError| error.into(), |()| Over::Lost),
    };
    let _ = got.send(Got::Over(over)).await;
}

struct Reader<'a, R> {
    frames: Frames<R>,
    wanting: Arc<dyn Wanting>,
    got: &'a mpsc::Sender<Got>,
    /// Memory for a block.
    spare: Vec<u8>,
}

impl<R: tokio::io::AsyncRead + Unpin> Reader<'_, R> {
    async fn run(&mut self) -> Over {
        loop {
            match self.step().await {
                Ok(()) => {}
                Err(over) => return over,
            }
        }
    }

    async fn step(&mut self) -> Result<(), Over> {
        let got = match self.frames.next().await?.ok_or(Over::Lost)? {
            Body::Opened(opened) => Got::Opened(opened),
            Body::Have(have) => Got::Have(have.chunks),
            Body::Manifest(manifest) => Got::Manifest(self.manifest(manifest.bytes).await?),
            Body::Data(data) => {
                let verified = self.chunk(data.chunk, data.bytes).await?;
                Got::Chunk { chunk: data.chunk, verified }
            }
            Body::Refused(refused) => match refused.why() {
                why @ (Why::NotHere | Why::Busy) => Got::Refused { chunk: refused.chunk, why },
                why => return Err(Over::Refused(why)),
            },
            _ => return Err(Over::Broken("this is for who takes to say")),
        };
        self.tell(got).await
    }

    /// When nobody listens any more, the stream has no use.
    async fn tell(&self, got: Got) -> Result<(), Over> {
        self.got.send(got).await.map_err(|_| Over::Lost)
    }

    async fn manifest(&mut self, bytes: u32) -> Result<Vec<u8>, Over> {
        if bytes > MANIFEST_BYTES_MAX {
            return Err(Over::Broken("a manifest is too large"));
        }
        let mut manifest = vec![0; bytes as usize];
        self.frames.raw(&mut manifest).await?;
        Ok(manifest)
    }

    /// Takes a chunk in blocks: while one is hashed and written, the next is read.
    async fn chunk(&mut self, chunk: u32, bytes: u32) -> Result<bool, Over> {
        let writing = self.wanting.begin(chunk).ok_or(Over::Broken("there is no such chunk"))?;
        if writing.bytes() != bytes {
            return Err(Over::Broken("a chunk of another size"));
        }
        let (mut disk, mut left) = (Disk::new(writing), bytes as usize);
        while left > 0 {
            let mut block = std::mem::take(&mut self.spare);
            block.resize(BLOCK_BYTES.min(left), 0);
            self.frames.raw(&mut block).await?;
            left -= block.len();
            let bytes = u32::try_from(block.len()).unwrap_or(u32::MAX);
            self.spare = disk.write(block).await?;
            self.tell(Got::Bytes { chunk, bytes }).await?;
        }
        disk.finish().await
    }
}

/// What comes back of a step: the chunk, and the memory of the block that was written.
type Step = (Box<dyn Writing>, Vec<u8>);

/// Writes one chunk on threads that may block, a step at a time.
struct Disk {
    writing: Option<Box<dyn Writing>>,
    /// The step under way, if there is one.
    step: JoinSet<io::Result<Step>>,
}

impl Disk {
    fn new(writing: Box<dyn Writing>) -> Self {
        Self { writing: Some(writing), step: JoinSet::new() }
    }

    /// Begins to write a block when the one before it is written, and gives back that one's memory.
    async fn write(&mut self, block: Vec<u8>) -> Result<Vec<u8>, Over> {
        let spare = self.written().await?;
        let Some(mut writing) = self.writing.take() else { return Err(lost_step()) };
        self.step.spawn_blocking(move || writing.write(&block).map(|()| (writing, block)));
        Ok(spare)
    }

    /// Whether all that was written is what it should be.
    async fn finish(mut self) -> Result<bool, Over> {
        self.written().await?;
        let Some(writing) = self.writing.take() else { return Err(lost_step()) };
        let mut last = JoinSet::new();
        last.spawn_blocking(move || writing.finish());
        match last.join_next().await {
            Some(Ok(verified)) => verified.map_err(Over::Disk),
            _ => Err(lost_step()),
        }
    }

    async fn written(&mut self) -> Result<Vec<u8>, Over> {
        match self.step.join_next().await {
            None => Ok(Vec::new()),
            Some(Ok(Ok((writing, block)))) => {
                self.writing = Some(writing);
                Ok(block)
            }
            Some(Ok(Err(error))) => Err(Over::Disk(error)),
            Some(Err(_)) => Err(lost_step()),
        }
    }
}

/// A step on another thread did not come back: it panicked, or the runtime ends.
fn lost_step() -> Over {
    Over::Disk(io::Error::other("writing was broken off"))
}
