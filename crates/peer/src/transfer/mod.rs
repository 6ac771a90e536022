//! Chunks on their way: one stream between who wants a file and one who holds some of it. It does not matter what the
//! stream runs over: QUIC, or TCP with TLS by the same keys.
//!
//! Nothing here decides which chunk is asked of whom, or who is served first; that is the swarm's.

pub mod fetch;
pub mod serve;
#[cfg(test)]
mod tests;
pub mod tls;
pub mod wire;

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

/// What chunks travel over.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Bytes that are read from disk, sent, received, hashed and written at once: large, so that there are few steps, and
/// small enough that a stream holds little.
pub const BLOCK_BYTES: usize = 256 * 1024;

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

    /// All was written: whether it is what it should be.
    ///
    /// # Errors
    /// Of the disk.
    fn finish(self: Box<Self>) -> io::Result<bool>;
}
