//! The taking side of a stream: asks for what it is told to ask for, and writes what comes to disk while it is hashed.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hobnob_protocol::limits::FILE_CHUNKS_MAX;
use hobnob_protocol::v1::{
    FileAsk, FileAskManifest, FileCancel, FileHave, FileOpen, FileOpened, file_frame::Body, file_refused::Why,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, WriteHalf},
    sync::mpsc,
};

use super::{
    BLOCK_BYTES, BLOCKS, Outcome, Patience, Spares, Stream, Tell, Wanting, Writing,
    lane::{Results, Steps, lane},
    wire::{self, Frames, WireError},
};
use crate::file::manifest::VALUE_BYTES;

/// Largest manifest: 32 bytes for each of the most chunks.
pub const MANIFEST_BYTES_MAX: u32 = VALUE_BYTES as u32 * FILE_CHUNKS_MAX;

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
        /// What it is worth.
        outcome: Outcome,
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
    asks: mpsc::Receiver<Ask>,
    got: impl Tell<Got>,
) {
    let (read, write) = tokio::io::split(stream);
    let asked = Asked::default();
    let spares = Spares::default();
    let mut going = None;
    let (pieces, written) = lane(BLOCKS, move |piece: Piece| piece.write(&mut going));
    let reader = Reader {
        frames: Frames::new(read),
        wanting,
        got: &got,
        asked: &asked,
        spares: &spares,
        pieces,
        patience: Patience::new(),
        opened: false,
    };
    let moving = async {
        let (reading, writing) = (reader.run(), tell_written(written, &spares, &got));
        tokio::pin!(reading, writing);
        tokio::select! {
            // What has come is written, however the stream ends.
            over = &mut reading => writing.await.err().unwrap_or(over),
            result = &mut writing => result.err().unwrap_or(Over::Lost),
        }
    };
    let over = tokio::select! {
        over = moving => over,
        result = ask_all(write, open, asks, &asked) => result.map_or_else(Over::from, |()| Over::Lost),
    };
    got.tell(Got::Over(over)).await;
}

/// Asks, until nothing more is to be asked.
async fn ask_all<S: AsyncWrite>(
    mut write: WriteHalf<S>,
    open: FileOpen,
    mut asks: mpsc::Receiver<Ask>,
    asked: &Asked,
) -> Result<(), WireError> {
    wire::write(&mut write, Body::Open(open)).await?;
    loop {
        let ask = match asks.try_recv() {
            Ok(ask) => ask,
            Err(_) => {
                write.flush().await?;
                let Some(ask) = asks.recv().await else { return Ok(()) };
                ask
            }
        };
        let body = match ask {
            Ask::Chunk(chunk) => {
                asked.add(Some(chunk));
                Body::Ask(FileAsk { chunk })
            }
            Ask::Cancel(chunk) => Body::Cancel(FileCancel { chunk }),
            Ask::Manifest => {
                asked.add(None);
                Body::AskManifest(FileAskManifest {})
            }
            Ask::Have(chunks) => Body::Have(FileHave { chunks }),
        };
        wire::write(&mut write, body).await?;
    }
}

/// What was asked for and has not come, and how often; `None` is the manifest. What was taken back may still come.
#[derive(Debug, Default)]
struct Asked(Mutex<BTreeMap<Option<u32>, u32>>);

impl Asked {
    fn add(&self, what: Option<u32>) {
        *self.lock().entry(what).or_default() += 1;
    }

    /// It has come, or will not come.
    fn answered(&self, what: Option<u32>) -> Result<(), Over> {
        let mut asked = self.lock();
        let times = asked.get_mut(&what).ok_or(Over::Broken("it was not asked for that"))?;
        *times -= 1;
        if *times == 0 {
            asked.remove(&what);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Option<u32>, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Reader<'a, R, G> {
    frames: Frames<R>,
    wanting: Arc<dyn Wanting>,
    got: &'a G,
    asked: &'a Asked,
    spares: &'a Spares,
    pieces: Steps<Piece, Written>,
    patience: Patience,
    /// The other gives: what it refuses is a chunk.
    opened: bool,
}

impl<R: AsyncRead + Unpin, G: Tell<Got>> Reader<'_, R, G> {
    async fn run(mut self) -> Over {
        loop {
            match self.step().await {
                Ok(()) => {}
                Err(over) => return over,
            }
        }
    }

    async fn step(&mut self) -> Result<(), Over> {
        let got = match self.frames.next().await?.ok_or(Over::Lost)? {
            Body::Opened(opened) => {
                self.opened = true;
                Got::Opened(opened)
            }
            Body::Have(have) if self.patience.bears(&have.chunks) => Got::Have(have.chunks),
            Body::Have(_) => return Err(Over::Broken("it tells too much")),
            Body::Manifest(manifest) => Got::Manifest(self.manifest(manifest.bytes).await?),
            Body::Data(data) => return self.chunk(data.chunk, data.bytes).await,
            Body::Refused(refused) => match refused.why() {
                why @ (Why::NotHere | Why::Busy) if self.opened => {
                    self.asked.answered(Some(refused.chunk))?;
                    Got::Refused { chunk: refused.chunk, why }
                }
                why => return Err(Over::Refused(why)),
            },
            _ => return Err(Over::Broken("this is for who takes to say")),
        };
        tell(self.got, got).await
    }

    async fn manifest(&mut self, bytes: u32) -> Result<Vec<u8>, Over> {
        self.asked.answered(None)?;
        if bytes > MANIFEST_BYTES_MAX {
            return Err(Over::Broken("a manifest is too large"));
        }
        let mut manifest = vec![0; bytes as usize];
        self.frames.raw(&mut manifest).await?;
        Ok(manifest)
    }

    /// Takes a chunk in blocks: while one is hashed and written, the next is read.
    async fn chunk(&mut self, chunk: u32, bytes: u32) -> Result<(), Over> {
        self.asked.answered(Some(chunk))?;
        let writing = self.wanting.begin(chunk).ok_or(Over::Broken("there is no such chunk"))?;
        if writing.bytes() != bytes || bytes == 0 {
            return Err(Over::Broken("a chunk of another size"));
        }
        let (mut writing, mut left) = (Some(writing), bytes as usize);
        while left > 0 {
            let mut block = self.spares.take(BLOCK_BYTES);
            let len = BLOCK_BYTES.min(left);
            self.frames.raw(&mut block[..len]).await?;
            left -= len;
            tell(self.got, Got::Bytes { chunk, bytes: len as u32 }).await?;
            self.pieces.push(Piece { chunk, begins: writing.take(), block, len, ends: left == 0 }).await;
        }
        Ok(())
    }
}

/// When nobody listens any more, the stream has no use.
async fn tell(to: &impl Tell<Got>, got: Got) -> Result<(), Over> {
    if to.tell(got).await { Ok(()) } else { Err(Over::Lost) }
}

/// A block on its way to the disk.
struct Piece {
    chunk: u32,
    /// The first of its chunk.
    begins: Option<Box<dyn Writing>>,
    block: Vec<u8>,
    /// Bytes of the block that count.
    len: usize,
    /// The last of its chunk.
    ends: bool,
}

/// What became of a block.
struct Written {
    chunk: u32,
    block: Vec<u8>,
    /// What the chunk is worth, if this was the last of it.
    result: io::Result<Option<Outcome>>,
}

impl Piece {
    /// Hashes and writes it. Blocks. `going` is the chunk that it goes on with.
    fn write(self, going: &mut Option<Box<dyn Writing>>) -> Written {
        let Self { chunk, begins, block, len, ends } = self;
        let write = || {
            let mut writing = begins.or(going.take()).ok_or_else(broken_off)?;
            writing.write(&block[..len])?;
            if ends {
                return writing.finish().map(Some);
            }
            *going = Some(writing);
            Ok(None)
        };
        let result = write();
        Written { chunk, block, result }
    }
}

/// Tells of each chunk that is whole.
async fn tell_written<G: Tell<Got>>(
    mut written: Results<Written>,
    spares: &Spares,
    got: &G,
) -> Result<(), Over> {
    while let Some(result) = written.next().await {
        let Written { chunk, block, result } = result.map_err(|_| Over::Disk(broken_off()))?;
        spares.put(block);
        if let Some(outcome) = result.map_err(Over::Disk)?
            && !got.tell(Got::Chunk { chunk, outcome }).await
        {
            return Err(Over::Lost);
        }
    }
    Ok(())
}

/// A step on another thread did not come back: it panicked, or the runtime ends.
fn broken_off() -> io::Error {
    io::Error::other("writing was broken off")
}
