//! Where chunks that come are written to.

use std::io;
use std::sync::Arc;

use crate::file::Partial;
use crate::file::manifest::{Fault, NotNow};
use crate::file::partial::{ChunkWriter, PartialError, WriteError};
use crate::transfer::{Outcome, Wanting, Writing};

/// A download under way.
#[derive(Debug)]
pub(super) struct Landing(pub(super) Arc<Partial>);

impl Wanting for Landing {
    fn begin(&self, chunk: u32) -> Option<Box<dyn Writing>> {
        let range = self.0.shape().range(chunk)?;
        let bytes = u32::try_from(range.end - range.start).ok()?;
        match self.0.writer(chunk) {
            Ok(writer) => Some(Box::new(Chunk { writer: Ok(writer), bytes })),
            Err(WriteError::There | WriteError::Crowded | WriteError::Beaten) => {
                Some(Box::new(Chunk { writer: Err(None), bytes }))
            }
            Err(WriteError::Disk(error)) => Some(Box::new(Chunk { writer: Err(Some(error)), bytes })),
            // Before the manifest is proven, only its last chunk is asked for.
            Err(WriteError::NoManifest | WriteError::NotNow(NotNow::LastFirst)) => {
                Some(Box::new(Chunk { writer: Err(None), bytes }))
            }
            Err(WriteError::NotNow(NotNow::NoSuchChunk) | WriteError::Fault(_)) => None,
        }
    }
}

/// A chunk that is written, or read and thrown away, or whose disk has failed.
struct Chunk {
    writer: Result<ChunkWriter, Option<PartialError>>,
    bytes: u32,
}

impl Writing for Chunk {
    fn bytes(&self) -> u32 {
        self.bytes
    }

    fn write(&mut self, block: &[u8]) -> io::Result<()> {
        match &mut self.writer {
            Ok(writer) => match writer.write(block) {
                Ok(()) => return Ok(()),
                Err(WriteError::Disk(error)) => return Err(to_io(error)),
                // Elsewhere it was faster.
                Err(_) => {}
            },
            Err(error) => return error.take().map_or(Ok(()), |error| Err(to_io(error))),
        }
        self.writer = Err(None);
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<Outcome> {
        let Ok(writer) = self.writer else { return Ok(Outcome::Unneeded) };
        match writer.finish() {
            Ok(_) => Ok(Outcome::Verified),
            Err(WriteError::Fault(Fault::Short | Fault::TooLong | Fault::Wrong(_))) => Ok(Outcome::Wrong),
            Err(WriteError::Disk(error)) => Err(to_io(error)),
            Err(_) => Ok(Outcome::Unneeded),
        }
    }
}

/// So that it can be told from what it came: see [`why`].
fn to_io(error: PartialError) -> io::Error {
    match error {
        PartialError::DiskFull => io::ErrorKind::StorageFull.into(),
        PartialError::Io(error) => error,
        other => io::Error::other(other),
    }
}

/// What a person is told of an error of the disk.
pub(super) fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => PartialError::DiskFull.to_string(),
        _ => error.to_string(),
    }
}
