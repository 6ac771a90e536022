//! What lets each chunk of a file be verified alone: the chaining values of the subtrees that the chunks are in the
//! BLAKE3 tree of the whole.
//!
//! They are believed only if there are exactly as many as the size demands and if they merge up to the id. That alone
//! does not prove the size: values of inner nodes, given for a smaller file, merge to the same id, and within the last
//! chunk any length goes with the same values. But the hash of the last chunk covers its place and its length. So the
//! last chunk has to be verified first; until then the manifest is [`Trust::Provisional`], no other chunk can be
//! verified by it, and a last chunk that is wrong speaks against whoever gave the manifest. Ask the giver for it.
//!
//! A file of one chunk has no subtrees: its id itself is what the chunk is verified by, and its manifest is empty.

use std::sync::Arc;

use blake3::Hasher;
use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::file::chunk::Shape;
use crate::file::id::ContentId;

/// Bytes of a chaining value.
pub const VALUE_BYTES: usize = 32;

/// A chaining value.
type Value = [u8; VALUE_BYTES];

/// The chaining values of a file's chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    id: ContentId,
    shape: Shape,
    values: Arc<[Value]>,
    trust: Trust,
}

/// How far a manifest is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It merges to the id, but the size may be false: only the last chunk can be verified.
    Provisional,
    /// The last chunk was verified.
    Proven,
}

/// Why a manifest is not believed at all. Its giver is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not as many bytes as a manifest of a file of this size has.
    #[error("a manifest of the wrong length")]
    Length,
    /// It is not of this file.
    #[error("a manifest of another file")]
    OtherFile,
}

/// Why a chunk cannot be verified now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// The file has no such chunk.
    #[error("the file has no such chunk")]
    NoSuchChunk,
    /// The last chunk has to be verified first.
    #[error("the last chunk has to be verified first")]
    LastFirst,
}

/// What is wrong with the bytes of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There are too many. Their sender is at fault.
    #[error("a chunk with too many bytes")]
    TooLong,
    /// They ended early: rather a broken connection than a lie.
    #[error("a chunk that ended early")]
    Short,
    /// They are not the chunk.
    #[error("a chunk that is wrong")]
    Wrong(Blame),
}

/// Who lied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Whoever sent the chunk.
    Sender,
    /// Whoever gave the manifest, which is worth nothing.
    Giver,
}

impl Manifest {
    /// Bytes of the manifest of a file of this shape: at most 512 KiB, none if it has one chunk or none.
    #[must_use]
    pub fn encoded_bytes(shape: Shape) -> usize {
        if shape.chunks() > 1 { shape.chunks() as usize * VALUE_BYTES } else { 0 }
    }

    /// Reads what [`encode`](Self::encode) wrote, and checks it against the id.
    ///
    /// # Errors
    /// It is not the manifest of this content at this size.
    pub fn decode(id: ContentId, shape: Shape, bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() != Self::encoded_bytes(shape) {
            return Err(ManifestError::Length);
        }
        let values: Arc<[Value]> = bytes.as_chunks().0.into();
        let trust = if shape.chunks() == 0 { Trust::Proven } else { Trust::Provisional };
        let belongs = match shape.chunks() {
            0 => ContentId::of(b"") == id,
            1 => true,
            _ => merge(&values) == id,
        };
        if belongs { Ok(Self { id, shape, values, trust }) } else { Err(ManifestError::OtherFile) }
    }

    /// For the wire: the values one after the other. It may be longer than a frame.
    #[must_use]
    pub fn encode(&self) -> &[u8] {
        self.values.as_flattened()
    }

    /// The content.
    #[must_use]
    pub fn id(&self) -> ContentId {
        self.id
    }

    /// Its size and chunks.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// How far it is believed.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// What verifies a chunk.
    ///
    /// # Errors
    /// There is no such chunk, or the last has to come first.
    pub fn verifier(&self, chunk: u32) -> Result<Verifier, NotNow> {
        let range = self.shape.range(chunk).ok_or(NotNow::NoSuchChunk)?;
        let is_last = self.shape.last() == Some(chunk);
        if self.trust == Trust::Provisional && !is_last {
            return Err(NotNow::LastFirst);
        }
        // With one chunk there is no manifest that anybody gave: it is the sender who says to have this file.
        let giver_lies = self.trust == Trust::Provisional && self.shape.chunks() > 1;
        let verified = Verified { id: self.id, shape: self.shape, chunk };
        let expected = self.values.get(chunk as usize).copied();
        let blame = if giver_lies { Blame::Giver } else { Blame::Sender };
        Ok(Verifier { verified, expected, hash: ChunkHash::new(range.start, range.end - range.start), blame })
    }

    /// Notes that a chunk was verified; the last one proves the manifest.
    pub fn note(&mut self, verified: Verified) {
        let of_this = verified.id == self.id && verified.shape == self.shape;
        if of_this && self.shape.last() == Some(verified.chunk) {
            self.trust = Trust::Proven;
        }
    }

    /// The same, proven: for one that is read from where only proven ones are kept.
    pub(super) fn proven(self) -> Self {
        Self { trust: Trust::Proven, ..self }
    }
}

/// That a chunk was verified: of which file at which size, and which chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    id: ContentId,
    shape: Shape,
    chunk: u32,
}

impl Verified {
    /// Which chunk.
    #[must_use]
    pub fn chunk(self) -> u32 {
        self.chunk
    }
}

/// Verifies a chunk that is fed to it piece by piece, from its first byte to its last. Pieces of 16 KiB and more are
/// hashed fastest.
#[derive(Clone, Debug)]
pub struct Verifier {
    /// What there will be to tell.
    verified: Verified,
    /// The chunk's value; with one chunk in the file, the id is it.
    expected: Option<Value>,
    hash: ChunkHash,
    blame: Blame,
}

impl Verifier {
    /// Which chunk it verifies.
    #[must_use]
    pub fn chunk(&self) -> u32 {
        self.verified.chunk
    }

    /// Bytes that are still to be fed.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.hash.left
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// They are more than the chunk has; none of them was taken.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.hash.takes(bytes) {
            self.hash.feed(bytes);
            return Ok(());
        }
        Err(Fault::TooLong)
    }

    /// Whether that was the chunk.
    ///
    /// # Errors
    /// Why it was not.
    pub fn finish(self) -> Result<Verified, Fault> {
        if self.hash.left > 0 {
            return Err(Fault::Short);
        }
        let right = match &self.expected {
            Some(value) => self.hash.value() == *value,
            None => self.hash.id() == self.verified.id,
        };
        if right { Ok(self.verified) } else { Err(Fault::Wrong(self.blame)) }
    }
}

/// Hashes a whole content from its beginning to its end, once, and yields its id and manifest.
#[derive(Clone, Debug)]
pub struct ContentHash {
    shape: Shape,
    values: Vec<Value>,
    /// Of the chunk that is being fed.
    hash: ChunkHash,
}

impl ContentHash {
    /// For a content of this shape.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        let values = Vec::with_capacity(Manifest::encoded_bytes(shape) / VALUE_BYTES);
        Self { shape, values, hash: ChunkHash::new(0, shape.range(0).map_or(0, |range| range.end)) }
    }

    /// Takes the next bytes; of what is beyond the content's size, nothing.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.hash.left > 0 {
            let taken = bytes.len().min(usize::try_from(self.hash.left).unwrap_or(usize::MAX));
            self.hash.feed(&bytes[..taken]);
            bytes = &bytes[taken..];
            if self.hash.left == 0 {
                self.next_chunk();
            }
        }
    }

    /// The manifest, proven; it knows the id. None if the content ended early.
    #[must_use]
    pub fn finish(self) -> Option<Manifest> {
        if self.hash.left > 0 {
            return None;
        }
        let id = if self.shape.chunks() > 1 { merge(&self.values) } else { self.hash.id() };
        Some(Manifest { id, shape: self.shape, values: self.values.into(), trust: Trust::Proven })
    }

    /// Puts the value of a finished chunk away. The only chunk of a file has none.
    fn next_chunk(&mut self) {
        if self.shape.chunks() < 2 {
            return;
        }
        self.values.push(self.hash.value());
        if let Some(next) = self.shape.range(self.values.len() as u32) {
            self.hash = ChunkHash::new(next.start, next.end - next.start);
        }
    }
}

/// Hashes the bytes of one chunk. A new hasher each time: resetting one would keep its place in the file.
#[derive(Clone)]
struct ChunkHash {
    hasher: Box<Hasher>,
    /// Bytes still to come. The hasher must never get more: it would panic.
    left: u64,
}

impl ChunkHash {
    /// `start` is a multiple of the chunk's size, which is a multiple of what BLAKE3 calls a chunk.
    fn new(start: u64, len: u64) -> Self {
        let mut hasher = Box::new(Hasher::new());
        hasher.set_input_offset(start);
        Self { hasher, left: len }
    }

    fn takes(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 <= self.left
    }

    /// Only what [`takes`](Self::takes) allows.
    fn feed(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.left -= bytes.len() as u64;
    }

    /// As a part of a larger file. Never of an empty chunk, which no file has.
    fn value(&self) -> Value {
        self.hasher.finalize_non_root()
    }

    /// As a whole file.
    fn id(&self) -> ContentId {
        ContentId::from_bytes(*self.hasher.finalize().as_bytes())
    }
}

impl std::fmt::Debug for ChunkHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkHash").field("left", &self.left).finish_non_exhaustive()
    }
}

/// The id of two chunks or more: pairs are merged level by level, and one without a partner moves up as it is.
fn merge(values: &[Value]) -> ContentId {
    let mut level = values.to_vec();
    while level.len() > 2 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => merge_subtrees_non_root(left, right, Mode::Hash),
                alone => alone[0],
            })
            .collect();
    }
    ContentId::from_bytes(*merge_subtrees_root(&level[0], &level[1], Mode::Hash).as_bytes())
}

#[cfg(test)]
pub(super) mod tests;
