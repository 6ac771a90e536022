//! A chunk on its way to the disk.
//!
//! A chunk's place has one writer at most. Whoever comes while it is taken writes to a spare place behind the end of the
//! file and, if it finishes first, takes the place away from the other and moves the bytes there. So a sender that lies
//! can never write over what another has brought, and the last chunks of a file can be asked of several at once.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use crate::file::manifest::{Blame, Fault, Manifest, Verified, Verifier};
use crate::file::partial::{NotNow, Partial, PartialError, lock};

/// Spare places of a file.
const SPARES_MAX: usize = 8;
/// Bytes that are moved at a time.
const BLOCK_BYTES: usize = 1 << 20;

/// Why a chunk is not written, or not any further.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It is there already.
    #[error("the chunk is there already")]
    There,
    /// There is no manifest.
    #[error("there is no manifest yet")]
    NoManifest,
    /// The file has no such chunk, or the last has to come first.
    #[error(transparent)]
    NotNow(#[from] NotNow),
    /// Too many write chunks that others write too.
    #[error("too many write the same chunks")]
    Crowded,
    /// Another writer of the chunk was faster, or has taken its place to move its own bytes there.
    #[error("the chunk came from elsewhere")]
    Beaten,
    /// The bytes are wrong.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// They could not be written.
    #[error(transparent)]
    Disk(#[from] PartialError),
}

/// Whether a writer may still write to a chunk's place. It is locked while it does.
pub(super) type Claim = Arc<Mutex<bool>>;

/// The spare places behind the end of the file. They are locked while one is written to.
#[derive(Debug, Default)]
pub(super) struct Spares {
    used: BTreeSet<u64>,
    /// The file gets its name: nothing may be written behind its end any more.
    pub(super) closed: bool,
}

/// Verifies the bytes of a chunk and writes them. Dropped before it is finished, it leaves nothing behind.
#[derive(Debug)]
pub struct ChunkWriter {
    partial: Arc<Partial>,
    manifest: Manifest,
    verifier: Verifier,
    /// Where the chunk begins in the file.
    start: u64,
    /// Bytes of it that were written.
    written: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Where the chunk belongs.
    Own(Claim),
    /// A spare one, by its number.
    Spare(u64),
}

impl ChunkWriter {
    pub(super) fn new(partial: &Arc<Partial>, chunk: u32) -> Result<Self, WriteError> {
        let manifest = partial.manifest().ok_or(WriteError::NoManifest)?;
        let verifier = manifest.verifier(chunk)?;
        let start = partial.shape().range(chunk).ok_or(NotNow::NoSuchChunk)?.start;
        let place = partial.take_place(chunk)?;
        Ok(Self { partial: Arc::clone(partial), manifest, verifier, start, written: 0, place })
    }

    /// Which chunk it is.
    #[must_use]
    pub fn chunk(&self) -> u32 {
        self.verifier.chunk()
    }

    /// Bytes that are still to come.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.verifier.left()
    }

    /// Takes the next bytes of the chunk; some tens of kilobytes at a time are best.
    ///
    /// # Errors
    /// They are too many, the disk is full or failed, or the chunk came from elsewhere. This writer is of no use then.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.verifier.feed(bytes)?;
        match &self.place {
            Place::Own(claim) => {
                let may = lock(claim);
                if !*may {
                    return Err(WriteError::Beaten);
                }
                self.partial.put(bytes, self.start + self.written)?;
            }
            Place::Spare(number) => {
                let spares = lock(&self.partial.spares);
                if spares.closed || self.partial.has(self.chunk()) {
                    return Err(WriteError::Beaten);
                }
                self.partial.put(bytes, self.partial.spare(*number) + self.written)?;
            }
        }
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Ends the chunk: if it is right, it is there and can be offered, and stays there if the process is killed. It
    /// becomes durable with the next [`Partial::commit`].
    ///
    /// # Errors
    /// It is wrong, and who is to blame; if that is the giver of the manifest, the download has no manifest any more. Or
    /// it came from elsewhere, or the disk is full or failed.
    pub fn finish(self) -> Result<Verified, WriteError> {
        let verified = self.verifier.clone().finish().inspect_err(|fault| {
            if *fault == Fault::Wrong(Blame::Giver) {
                self.partial.give_up(&self.manifest);
            }
        })?;
        let new = match &self.place {
            Place::Own(claim) => {
                let may = lock(claim);
                *may && self.partial.note(verified, &self.manifest)
            }
            Place::Spare(number) => self.partial.move_in(*number, verified, &self.manifest)?,
        };
        if !new {
            return Err(WriteError::Beaten);
        }
        if let Err(error) = self.partial.write_down(None) {
            // The next one tries it again, and the next commit says why it cannot be.
            tracing::debug!(%error, "a chunk that came is not noted yet");
        }
        Ok(verified)
    }
}

impl Drop for ChunkWriter {
    fn drop(&mut self) {
        match &self.place {
            Place::Own(claim) => self.partial.free_claim(self.verifier.chunk(), claim),
            Place::Spare(number) => self.partial.free_spare(*number),
        }
    }
}

impl Partial {
    fn take_place(&self, chunk: u32) -> Result<Place, WriteError> {
        let mut spares = lock(&self.spares);
        let mut state = self.state();
        if state.broken {
            return Err(PartialError::Broken.into());
        }
        if state.verified.contains(chunk) {
            return Err(WriteError::There);
        }
        if let Entry::Vacant(place) = state.claims.entry(chunk) {
            return Ok(Place::Own(Arc::clone(place.insert(Claim::new(Mutex::new(true))))));
        }
        let free = (0..SPARES_MAX as u64).find(|number| !spares.used.contains(number));
        let number = free.ok_or(WriteError::Crowded)?;
        spares.used.insert(number);
        Ok(Place::Spare(number))
    }

    /// Where a spare place begins.
    fn spare(&self, number: u64) -> u64 {
        self.shape().size() + number * self.shape().chunk_bytes()
    }

    fn put(&self, bytes: &[u8], offset: u64) -> Result<(), PartialError> {
        Ok(self.disk.write(&self.file, bytes, offset)?)
    }

    /// Moves a verified chunk from a spare place to where it belongs. False if it came from elsewhere meanwhile.
    fn move_in(&self, number: u64, verified: Verified, manifest: &Manifest) -> Result<bool, PartialError> {
        let chunk = verified.chunk();
        let claim = Claim::new(Mutex::new(true));
        let before = self.state().claims.insert(chunk, Arc::clone(&claim));
        if let Some(before) = before {
            // Waits until what is being written is written. If it was another that moves its bytes: they are the same.
            *lock(&before) = false;
        }
        let moved = if self.has(chunk) { Ok(()) } else { self.copy_spare(number, chunk) };
        let new = moved.map(|()| self.note(verified, manifest));
        self.free_claim(chunk, &claim);
        new
    }

    fn copy_spare(&self, number: u64, chunk: u32) -> Result<(), PartialError> {
        let Some(range) = self.shape().range(chunk) else { return Ok(()) };
        let mut block = vec![0; BLOCK_BYTES.min((range.end - range.start) as usize)];
        let mut at = range.start;
        while at < range.end {
            let block = &mut block[..((range.end - at).min(BLOCK_BYTES as u64)) as usize];
            self.file.read_exact_at(block, self.spare(number) + (at - range.start))?;
            self.put(block, at)?;
            at += block.len() as u64;
        }
        Ok(())
    }

    fn free_claim(&self, chunk: u32, claim: &Claim) {
        let mut state = self.state();
        if state.claims.get(&chunk).is_some_and(|current| Arc::ptr_eq(current, claim)) {
            state.claims.remove(&chunk);
        }
    }

    /// The last to leave gives their room back to the disk.
    fn free_spare(&self, number: u64) {
        let mut spares = lock(&self.spares);
        spares.used.remove(&number);
        if spares.used.is_empty() && !spares.closed {
            // If that fails, it is done when the file is finished.
            let _ = self.disk.resize(&self.file, self.shape().size());
        }
    }
}
