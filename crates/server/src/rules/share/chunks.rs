//! Which chunks of a file are held.

use hobnob_protocol::limits::FILE_CHUNKS_MAX;

/// A set of chunks: a bit each, the lowest of the first byte first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunks(Vec<u8>);

impl Chunks {
    /// From the wire, cut to what a file can have.
    #[must_use]
    pub fn new(bits: &[u8]) -> Self {
        Self(bits.iter().take(FILE_CHUNKS_MAX as usize / 8).copied().collect())
    }

    /// From numbers; those that no file has are left out.
    #[must_use]
    pub fn of(numbers: &[u32]) -> Self {
        let mut bits = Vec::new();
        for number in numbers.iter().filter(|number| **number < FILE_CHUNKS_MAX) {
            let byte = *number as usize / 8;
            if bits.len() <= byte {
                bits.resize(byte + 1, 0);
            }
            bits[byte] |= 1 << (number % 8);
        }
        Self(bits)
    }

    /// For the wire.
    #[must_use]
    pub fn bits(&self) -> &[u8] {
        &self.0
    }

    fn extend(&mut self, more: &Self) {
        if self.0.len() < more.0.len() {
            self.0.resize(more.0.len(), 0);
        }
        self.0.iter_mut().zip(&more.0).for_each(|(bits, more)| *bits |= more);
    }

    /// Leaves only the first `chunks` of a file.
    fn cut(&mut self, chunks: u32) {
        self.0.truncate(chunks.div_ceil(8) as usize);
        let within = chunks % 8;
        if within > 0
            && let Some(last) = self.0.get_mut(chunks as usize / 8)
        {
            *last &= (1 << within) - 1;
        }
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|bits| *bits == 0)
    }

    fn has_any_of(&self, others: &Self) -> bool {
        self.0.iter().zip(&others.0).any(|(bits, others)| bits & others != 0)
    }

    /// Whether any of the first `chunks` of a file is in it.
    fn has_any_below(&self, chunks: u32) -> bool {
        let mut cut = self.clone();
        cut.cut(chunks);
        !cut.is_empty()
    }
}

/// How much of a file a session holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// All of it.
    All,
    /// Some chunks.
    Some(Chunks),
}

impl Held {
    /// Whether it is nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Some(chunks) if chunks.is_empty())
    }

    /// Whether it is one of these, in a file of so many chunks.
    pub(super) fn has_any_of(&self, chunks: &Chunks, of: u32) -> bool {
        match self {
            Self::All => chunks.has_any_below(of),
            Self::Some(held) => held.has_any_of(chunks),
        }
    }

    pub(super) fn extend(&mut self, more: &Chunks) {
        if let Self::Some(chunks) = self {
            chunks.extend(more);
        }
    }

    pub(super) fn cut(&mut self, chunks: u32) {
        if let Self::Some(held) = self {
            held.cut(chunks);
        }
    }
}
