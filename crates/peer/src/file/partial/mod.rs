//! A download on the disk, until it is complete.
//!
//! The content grows in `<name>.part`, a sparse file beside the name that it will have. A journal, which is kept
//! elsewhere, in a folder that only hobnob writes to, says which chunks are verified: a chunk is noted as written as soon
//! as its bytes are with the system, and as durable once they were synced, which is done for many at a time. A process
//! that is killed has lost nothing, because the system has the bytes; when the power fails, what was not synced may be
//! lost or torn. So chunks that are durable are believed when a download is opened, and those that are only written (one
//! batch at most, or two while one is being synced) are read and verified again. Journals are found by the content's id.
//!
//! A chunk comes in through a [`ChunkWriter`], verified while it is written. From then on it can be read and offered to
//! others; [`Partial::commit`] makes durable what came since the last time. [`Partial::finish`] gives the file its name.
//! Nothing that exists is ever overwritten.
//!
//! Everything here blocks on the disk. The parts may be used by several threads at once.

mod disk;
mod finish;
mod journal;
mod open;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use finish::Finished;
pub use open::{Opened, Target, Unfinished};
pub use writer::{ChunkWriter, WriteError};

use crate::file::chunk::Shape;
use crate::file::id::ContentId;
use crate::file::manifest::{Manifest, NotNow, Trust, Verified};
use crate::file::map::ChunkSet;
use disk::Disk;
use journal::{Header, Journal, Record};
use writer::{Claim, Spares};

/// Why a download cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum PartialError {
    /// Another process, or this one, has the same download open.
    #[error("this file is already being downloaded")]
    Busy,
    /// There is no room. What is durable stays, and the same call may be tried again; some file systems say it only
    /// when they sync, and then [`Broken`](Self::Broken) follows.
    #[error("the disk is full")]
    DiskFull,
    /// The file system, or a limit, does not allow a file so large.
    #[error("the file system does not allow a file that large")]
    TooLarge,
    /// It is said to have no bytes, but it is not the content of an empty file.
    #[error("no content of this size has this id")]
    NoSuchContent,
    /// A sync failed, so nobody knows what is on the disk. Opened again, the download goes on from what was durable
    /// before.
    #[error("the disk failed")]
    Broken,
    /// Not all chunks are there.
    #[error("the download is not complete")]
    Incomplete,
    /// A chunk that is not there yet was to be read, or bytes beyond the end.
    #[error("these bytes are not there yet")]
    NotThere,
    /// Somebody removed the unfinished file, or put another in its place.
    #[error("the unfinished file is gone")]
    Gone,
    /// All the names that could be given are taken.
    #[error("there are too many files of this name")]
    NoFreeName,
    /// Anything else, such as a folder that is missing or may not be written to.
    #[error("{0}")]
    Io(io::Error),
}

impl From<io::Error> for PartialError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            io::ErrorKind::FileTooLarge => Self::TooLarge,
            _ => Self::Io(error),
        }
    }
}

/// A download, open and locked.
///
/// Its locks are taken in the order committing, spares, claim of a chunk, tail of the journal, state. The last is never
/// held while the disk is waited for, and the tail only for a short write, never for a sync: who brings a chunk does not
/// wait until others are durable.
#[derive(Debug)]
pub struct Partial {
    disk: Arc<dyn Disk>,
    header: Header,
    /// The part; it keeps its lock as long as it is open.
    file: File,
    journal: Journal,
    /// One at a time makes chunks durable, or ends the download.
    committing: Mutex<()>,
    spares: Mutex<Spares>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    manifest: Option<Manifest>,
    /// The journal has the manifest.
    manifest_kept: bool,
    /// Chunks that are there and right.
    verified: ChunkSet,
    /// Those of them of which the journal does not know yet.
    unnoted: ChunkSet,
    /// Those of them that the journal has as durable.
    durable: ChunkSet,
    /// Who writes a chunk in its place.
    claims: BTreeMap<u32, Claim>,
    /// A sync failed.
    broken: bool,
}

impl Partial {
    /// The content.
    #[must_use]
    pub fn id(&self) -> ContentId {
        self.header.id
    }

    /// Its size and chunks.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.header.shape
    }

    /// The safe name that it is to have, if nothing else has it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.header.name
    }

    /// The folder that it is for.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.header.folder
    }

    /// Where the content is until it is complete.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.header.part_path()
    }

    /// The chunks that are there and right: those to offer to others.
    #[must_use]
    pub fn verified(&self) -> ChunkSet {
        self.state().verified.clone()
    }

    /// Those of them that not even a power failure will take away.
    #[must_use]
    pub fn durable(&self) -> ChunkSet {
        self.state().durable.clone()
    }

    /// The manifest, if there is one. A file of one chunk has it from the beginning. Others are given only a proven one.
    #[must_use]
    pub fn manifest(&self) -> Option<Manifest> {
        self.state().manifest.clone()
    }

    /// Takes a manifest to verify chunks by. One that is proven stays; one that is not is replaced. False if it is the
    /// manifest of something else.
    pub fn give(&self, manifest: Manifest) -> bool {
        if manifest.id() != self.id() || manifest.shape() != self.shape() {
            return false;
        }
        let mut state = self.state();
        if state.proven().is_none() {
            state.manifest = Some(manifest);
        }
        true
    }

    /// Begins to write a chunk. Several may write the same chunk at once: the first to finish has it, and the others are
    /// told at their next step.
    ///
    /// # Errors
    /// Why this chunk is not to be written now.
    pub fn writer(self: &Arc<Self>, chunk: u32) -> Result<ChunkWriter, WriteError> {
        ChunkWriter::new(self, chunk)
    }

    /// Fills `block` with the content from `offset` on, out of chunks that are verified.
    ///
    /// # Errors
    /// Not all of that is there, or the disk failed. A part that somebody cut off is an [`PartialError::Io`] with
    /// `UnexpectedEof`.
    pub fn read_at(&self, offset: u64, block: &mut [u8]) -> Result<(), PartialError> {
        let end = offset.checked_add(block.len() as u64).filter(|end| *end <= self.shape().size());
        let end = end.ok_or(PartialError::NotThere)?;
        if !block.is_empty() {
            let chunk = |offset: u64| (offset / self.shape().chunk_bytes()) as u32;
            let state = self.state();
            if !(chunk(offset)..=chunk(end - 1)).all(|chunk| state.verified.contains(chunk)) {
                return Err(PartialError::NotThere);
            }
        }
        Ok(self.file.read_exact_at(block, offset)?)
    }

    /// Makes durable what was verified since the last time, in a batch: the part is synced, then the journal. Says how
    /// many chunks that were.
    ///
    /// # Errors
    /// [`PartialError::DiskFull`] of the journal: nothing is lost, and it may be tried again.
    /// [`PartialError::Broken`]: this download has to be opened again.
    pub fn commit(&self) -> Result<u32, PartialError> {
        let committing = lock(&self.committing);
        self.commit_alone(&committing)
    }

    fn commit_alone(&self, _: &MutexGuard<'_, ()>) -> Result<u32, PartialError> {
        let new = {
            let state = self.state();
            if state.broken {
                return Err(PartialError::Broken);
            }
            state.verified.clone().difference(&state.durable)
        };
        if new.is_empty() {
            return Ok(0);
        }
        self.disk.sync(&self.file).map_err(|error| self.fail(&error))?;
        self.write_down(Some(&new))?;
        self.journal.sync().map_err(|error| self.fail(&error))?;
        self.state().durable.insert_all(&new);
        Ok(new.len())
    }

    /// Tells the journal of what it does not know yet: chunks that came, after those that were just synced.
    fn write_down(&self, synced: Option<&ChunkSet>) -> io::Result<()> {
        let mut tail = self.journal.tail();
        let (manifest, written) = {
            let state = self.state();
            if state.broken {
                return Ok(());
            }
            let written = match synced {
                Some(synced) => state.verified.clone().difference(&state.durable).difference(synced),
                None => state.unnoted.clone(),
            };
            let new = |manifest: &&Manifest| !state.manifest_kept && !manifest.encode().is_empty();
            (state.proven().filter(new).cloned(), written)
        };
        let mut records: Vec<_> = manifest.iter().map(Record::Manifest).collect();
        records.extend(synced.map(Record::Durable));
        records.extend(Some(&written).filter(|written| !written.is_empty()).map(Record::Written));
        if records.is_empty() {
            return Ok(());
        }
        tail.append(&records)?;
        let mut state = self.state();
        state.manifest_kept |= manifest.is_some();
        state.unnoted.remove_all(&written);
        if let Some(synced) = synced {
            state.unnoted.remove_all(synced);
        }
        Ok(())
    }

    /// Notes that a sync failed. What was only written may be lost although it can still be read, so it is not to be
    /// believed by reading it again.
    fn fail(&self, error: &io::Error) -> PartialError {
        tracing::warn!(%error, "a download cannot be made durable");
        self.state().broken = true;
        if let Err(error) = self.journal.tail().forget_written() {
            tracing::warn!(%error, "what is in doubt of a download stays noted");
        }
        match PartialError::from(io::Error::from(error.kind())) {
            PartialError::Io(_) => PartialError::Broken,
            full => full,
        }
    }

    /// Notes that a chunk is in its place and verified by that manifest. False if it was there already.
    fn note(&self, verified: Verified, manifest: &Manifest) -> bool {
        let mut state = self.state();
        if state.proven().is_none() {
            // What was verified speaks for its manifest, even if that was given up meanwhile for another's lie.
            let mut manifest = manifest.clone();
            manifest.note(verified);
            state.manifest = Some(manifest);
        }
        let new = state.verified.insert(verified.chunk());
        if new {
            state.unnoted.insert(verified.chunk());
        }
        new
    }

    /// Gives a manifest up whose last chunk was wrong.
    fn give_up(&self, manifest: &Manifest) {
        let mut state = self.state();
        if state.proven().is_none() && state.manifest.as_ref() == Some(manifest) {
            state.manifest = None;
        }
    }

    fn has(&self, chunk: u32) -> bool {
        self.state().verified.contains(chunk)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn proven(&self) -> Option<&Manifest> {
        self.manifest.as_ref().filter(|manifest| manifest.trust() == Trust::Proven)
    }
}

/// What a thread that panicked left behind is used as it is: no lock here guards more than single steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
