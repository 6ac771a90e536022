//! Chunks on their way: one stream between who wants a file and one who holds some of it. It does not matter what the
//! stream runs over: QUIC, or TCP with TLS by the same keys.
//!
//! Nothing here decides which chunk is asked of whom, or who is served first; that is the swarm's.

pub mod fetch;
mod lane;
pub mod serve;
#[cfg(test)]
mod tests;
pub mod tls;
pub mod wire;

use std::io;
use std::sync::{Mutex, PoisonError};

use hobnob_protocol::limits::FILE_CHUNKS_MAX;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

/// What chunks travel over.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Bytes that are read from disk, sent, received, hashed and written at once: large, so that there are few steps, and
/// small enough that a stream holds little.
pub const BLOCK_BYTES: usize = 256 * 1024;

/// Bytes that the frame before a chunk takes at most.
const FRAME_ROOM: usize = 64;

/// Blocks of a stream on their way between network and disk, beside the one at either end: the disk has something to do
/// while the network is read, and the other way round.
const BLOCKS: usize = 3;

/// Memory of blocks that were done with, to be used again.
#[derive(Debug, Default)]
struct Spares(Mutex<Vec<Vec<u8>>>);

impl Spares {
    /// Memory for a block, with whatever stands in it; so large as all that are taken here.
    fn take(&self, bytes: usize) -> Vec<u8> {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| vec![0; bytes])
    }

    fn put(&self, block: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(block);
    }
}

/// Where a stream says what happens on it.
pub trait Tell<T>: Send + Sync + 'static {
    /// Waits until it can be said. `false`: nobody listens any more.
    fn tell(&self, what: T) -> impl Future<Output = bool> + Send;
}

impl<T: Send + 'static> Tell<T> for mpsc::Sender<T> {
    async fn tell(&self, what: T) -> bool {
        self.send(what).await.is_ok()
    }
}

/// Chunks that one side may name, over all of a stream, when it tells what it has: an honest one names each once.
const TOLD_MAX: usize = 4 * FILE_CHUNKS_MAX as usize;

/// How much the other side may still tell of what it has.
#[derive(Debug)]
struct Patience(usize);

impl Patience {
    fn new() -> Self {
        Self(TOLD_MAX)
    }

    /// `false`: it has told too much.
    fn bears(&mut self, chunks: &[u32]) -> bool {
        let left = self.0.checked_sub(chunks.len().max(1));
        self.0 = left.unwrap_or(0);
        left.is_some()
    }
}

/// A file that chunks are read from. Calls block.
pub trait Holding: Send + Sync {
    /// Bytes of this chunk; `None`: it is not there (yet).
    fn bytes(&self, chunk: u32) -> Option<u32>;

    /// Fills `block` from this place of a chunk.
    ///
    /// # Errors
    /// The file has changed or is gone: it is not offered any more.
    fn read(&self, chunk: u32, offset: u32, block: &mut [u8]) -> io::Result<()>;

    /// The chaining values of the chunks, 32 bytes each.
    fn manifest(&self) -> Option<bytes::Bytes>;
}

/// A file that chunks are written to. Calls block.
pub trait Wanting: Send + Sync {
    /// Begins to write a chunk; `None`: there is no such chunk.
    fn begin(&self, chunk: u32) -> Option<Box<dyn Writing>>;
}

/// A chunk that is being written.
pub trait Writing: Send {
    /// Its bytes in all.
    fn bytes(&self) -> u32;

    /// Writes and hashes what comes next.
    ///
    /// # Errors
    /// Of the disk.
    fn write(&mut self, block: &[u8]) -> io::Result<()>;

    /// All was written: what it is worth.
    ///
    /// # Errors
    /// Of the disk.
    fn finish(self: Box<Self>) -> io::Result<Outcome>;
}

/// What a chunk is worth that has come as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is what it should be, and on disk, though not yet durable.
    Verified,
    /// It is not what it should be.
    Wrong,
    /// It was not looked at: it has come from elsewhere, or too many wrote it.
    Unneeded,
}
