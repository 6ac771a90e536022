//! Which chunks of a file somebody has.

use hobnob_protocol::limits::FILE_CHUNKS_MAX;

/// Bits of a word.
const WORD: u32 = u64::BITS;

const NONE: u8 = 0;
const ALL: u8 = 1;
const BITS: u8 = 2;
const LIST: u8 = 3;

/// A set of the chunks of one file, two kilobytes at most. Which file it is, and so how many chunks there are, is the
/// caller's to know; sets of different counts are never mixed.
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkSet {
    /// Chunks of the file.
    chunks: u32,
    /// How many are in.
    len: u32,
    words: Vec<u64>,
}

/// Bytes that are no set of that many chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a set of this file's chunks")]
pub struct NotASet;

impl ChunkSet {
    /// No chunk of a file that has so many; more than [`FILE_CHUNKS_MAX`] count as that.
    #[must_use]
    pub fn none(chunks: u32) -> Self {
        let chunks = chunks.min(FILE_CHUNKS_MAX);
        Self { chunks, len: 0, words: vec![0; chunks.div_ceil(WORD) as usize] }
    }

    /// All of them.
    #[must_use]
    pub fn all(chunks: u32) -> Self {
        let mut set = Self::none(chunks);
        set.words.fill(u64::MAX);
        set.clip();
        set
    }

    /// Reads what [`to_bitmap`](Self::to_bitmap) wrote. What goes beyond the file's chunks is left out, what is missing
    /// is not in the set.
    #[must_use]
    pub fn from_bitmap(chunks: u32, bytes: &[u8]) -> Self {
        let mut set = Self::none(chunks);
        for (at, byte) in bytes.iter().take(set.words.len() * 8).enumerate() {
            set.words[at / 8] |= u64::from(*byte) << (8 * (at % 8));
        }
        set.clip();
        set
    }

    /// For the wire. Chunk `i` is bit `i % 8` of byte `i / 8`, counted from the lowest; the last byte is filled up with
    /// zeros.
    #[must_use]
    pub fn to_bitmap(&self) -> Vec<u8> {
        let bytes = self.words.iter().flat_map(|word| word.to_le_bytes());
        bytes.take(self.chunks.div_ceil(8) as usize).collect()
    }

    /// The same set for a file of so many chunks.
    #[must_use]
    pub(crate) fn resized(mut self, chunks: u32) -> Self {
        self.chunks = chunks.min(FILE_CHUNKS_MAX);
        self.words.resize(self.chunks.div_ceil(WORD) as usize, 0);
        self.clip();
        self
    }

    /// How many chunks the file has.
    #[must_use]
    pub fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Adds a chunk. False if it was in already, or if the file has no such chunk.
    pub fn insert(&mut self, chunk: u32) -> bool {
        if chunk >= self.chunks {
            return false;
        }
        let (word, bit) = place(chunk);
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.len += u32::from(new);
        new
    }

    /// Takes a chunk out. False if it was not in.
    pub fn remove(&mut self, chunk: u32) -> bool {
        let was_in = self.contains(chunk);
        if was_in {
            let (word, bit) = place(chunk);
            self.words[word] &= !bit;
            self.len -= 1;
        }
        was_in
    }

    /// Whether a chunk is in.
    #[must_use]
    pub fn contains(&self, chunk: u32) -> bool {
        let (word, bit) = place(chunk);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// How many are in.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether none is in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether all are in; so it is with an empty file.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len == self.chunks
    }

    /// Those that are not in.
    #[must_use]
    pub fn missing(&self) -> Self {
        let words = self.words.iter().map(|word| !word).collect();
        let mut set = Self { chunks: self.chunks, len: 0, words };
        set.clip();
        set
    }

    /// Adds those of another set.
    pub fn insert_all(&mut self, other: &Self) {
        self.combine(other, |mine, its| mine | its);
    }

    /// Takes out those of another set.
    pub fn remove_all(&mut self, other: &Self) {
        self.combine(other, |mine, its| mine & !its);
    }

    /// Those in either.
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        self.insert_all(other);
        self
    }

    /// Those that the other has not: what to tell somebody who knows the other.
    #[must_use]
    pub fn difference(mut self, other: &Self) -> Self {
        self.remove_all(other);
        self
    }

    /// Whether one is in that the other has not.
    #[must_use]
    pub fn has_beyond(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).any(|(mine, its)| mine & !its != 0)
    }

    /// Those that are in, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().zip(0..).flat_map(|(word, at)| bits(*word).map(move |bit| at * WORD + bit))
    }

    /// For the journal: one byte for nothing or everything, otherwise a list or a bitmap, whichever is shorter.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let len = self.len();
        if len == 0 {
            return vec![NONE];
        }
        if len == self.chunks {
            return vec![ALL];
        }
        if 2 * len < self.chunks.div_ceil(8) {
            let numbers = self.iter().flat_map(|chunk| (chunk as u16).to_le_bytes());
            return std::iter::once(LIST).chain(numbers).collect();
        }
        std::iter::once(BITS).chain(self.to_bitmap()).collect()
    }

    /// Reads what [`encode`](Self::encode) wrote for a file of so many chunks.
    ///
    /// # Errors
    /// It is anything else: chunks that the file has not, numbers out of order, too many or too few bytes.
    pub fn decode(chunks: u32, bytes: &[u8]) -> Result<Self, NotASet> {
        let (kind, content) = bytes.split_first().ok_or(NotASet)?;
        match *kind {
            NONE if content.is_empty() => Ok(Self::none(chunks)),
            ALL if content.is_empty() => Ok(Self::all(chunks)),
            BITS => Self::decode_bitmap(chunks, content),
            LIST => Self::decode_list(chunks, content),
            _ => Err(NotASet),
        }
    }

    fn decode_bitmap(chunks: u32, content: &[u8]) -> Result<Self, NotASet> {
        let set = Self::from_bitmap(chunks, content);
        // Nothing was left out.
        if set.to_bitmap() == content { Ok(set) } else { Err(NotASet) }
    }

    fn decode_list(chunks: u32, content: &[u8]) -> Result<Self, NotASet> {
        let (numbers, rest) = content.as_chunks::<2>();
        let numbers = numbers.iter().map(|number| u32::from(u16::from_le_bytes(*number)));
        if !rest.is_empty() || !numbers.clone().is_sorted_by(|before, after| before < after) {
            return Err(NotASet);
        }
        let mut set = Self::none(chunks);
        for chunk in numbers {
            if !set.insert(chunk) {
                return Err(NotASet);
            }
        }
        Ok(set)
    }

    fn combine(&mut self, other: &Self, operation: impl Fn(u64, u64) -> u64) {
        debug_assert_eq!(self.chunks, other.chunks, "sets of one file");
        for (mine, its) in self.words.iter_mut().zip(&other.words) {
            *mine = operation(*mine, *its);
        }
        self.clip();
    }

    /// Sixty-four chunks each, the first in the lowest bit.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Clears the bits of the last word that stand for no chunk, and counts anew.
    fn clip(&mut self) {
        let used = self.chunks % WORD;
        if let Some(last) = self.words.last_mut()
            && used > 0
        {
            *last &= (1 << used) - 1;
        }
        self.len = self.words.iter().map(|word| word.count_ones()).sum();
    }
}

impl std::fmt::Debug for ChunkSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} chunks: ", self.len, self.chunks)?;
        f.debug_list().entries(self.iter().take(64)).finish()
    }
}

fn place(chunk: u32) -> (usize, u64) {
    ((chunk / WORD) as usize, 1 << (chunk % WORD))
}

/// The bits of a word that are set, from the lowest.
fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(bit)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(chunks: u32, members: &BTreeSet<u32>) -> ChunkSet {
        let mut set = ChunkSet::none(chunks);
        members.iter().for_each(|chunk| assert!(set.insert(*chunk)));
        set
    }

    #[test]
    fn encodings_are_short() {
        let encoded = |chunks, members: &[u32]| set(chunks, &members.iter().copied().collect()).encode();
        assert_eq!(encoded(0, &[]), [NONE]);
        assert_eq!(encoded(16_384, &[]), [NONE]);
        assert_eq!(encoded(3, &[0, 1, 2]), [ALL]);
        assert_eq!(encoded(16_384, &[1, 16_383]), [LIST, 1, 0, 0xff, 0x3f]);
        assert_eq!(encoded(10, &[0, 9]), [BITS, 1, 2]);
        let odd = set(16_384, &(0..8192).map(|n| 2 * n + 1).collect());
        assert_eq!(odd.encode().len(), 1 + 2048);
        assert_eq!(ChunkSet::decode(0, &[ALL]).unwrap(), ChunkSet::none(0));
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for (chunks, bytes) in [
            (10, &[][..]),
            (10, &[NONE, 0]),
            (10, &[ALL, 0]),
            (10, &[4]),
            (10, &[0xff; 9]),
            (10, &[BITS]),
            (10, &[BITS, 1]),
            (10, &[BITS, 1, 1, 0]),
            (10, &[BITS, 0, 4]),
            (10, &[LIST, 1]),
            (10, &[LIST, 10, 0]),
            (10, &[LIST, 2, 0, 1, 0]),
            (10, &[LIST, 1, 0, 1, 0]),
            (0, &[LIST, 0, 0]),
            (16_384, &[LIST, 0, 0x40]),
        ] {
            assert_eq!(ChunkSet::decode(chunks, bytes), Err(NotASet), "{chunks} {bytes:?}");
        }
    }

    #[test]
    fn a_bitmap_that_claims_too_much_is_clipped() {
        for chunks in [0, 1, 7, 8, 63, 64, 65, 1000, FILE_CHUNKS_MAX] {
            assert_eq!(ChunkSet::from_bitmap(chunks, &[0xff; 4096]), ChunkSet::all(chunks));
            assert_eq!(ChunkSet::from_bitmap(chunks, &[]), ChunkSet::none(chunks));
        }
        assert_eq!(ChunkSet::from_bitmap(100, &[0xff]).len(), 8);
    }

    #[test]
    fn there_is_no_chunk_beyond_the_last() {
        let mut set = ChunkSet::all(65);
        assert_eq!((set.len(), set.is_full(), set.contains(64), set.contains(65)), (65, true, true, false));
        assert!(!set.insert(65) && !set.insert(u32::MAX) && !set.remove(65) && !set.contains(u32::MAX));
        assert!(set.missing().is_empty());
        assert!(set.remove(64) && !set.remove(64));
        assert_eq!(set.missing().iter().collect::<Vec<_>>(), [64]);
        assert_eq!(ChunkSet::none(u32::MAX).chunks(), FILE_CHUNKS_MAX);
        assert!(ChunkSet::none(0).is_full() && ChunkSet::none(0).is_empty());
    }

    fn two_sets() -> impl Strategy<Value = (u32, BTreeSet<u32>, BTreeSet<u32>)> {
        prop_oneof![1..200u32, Just(64), Just(128), Just(FILE_CHUNKS_MAX)].prop_flat_map(|chunks| {
            let members = || proptest::collection::btree_set(0..chunks, 0..chunks.min(300) as usize);
            (Just(chunks), members(), members())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_is_a_set((chunks, a, b) in two_sets()) {
            let (one, two) = (set(chunks, &a), set(chunks, &b));
            let is = |set: &ChunkSet, members: BTreeSet<u32>| {
                set.iter().collect::<BTreeSet<_>>() == members
                    && set.iter().is_sorted()
                    && set.len() as usize == members.len()
                    && (0..chunks).all(|chunk| set.contains(chunk) == members.contains(&chunk))
            };
            prop_assert!(is(&one, a.clone()));
            prop_assert!(is(&one.missing(), (0..chunks).filter(|chunk| !a.contains(chunk)).collect()));
            prop_assert!(is(&one.clone().union(&two), a.union(&b).copied().collect()));
            prop_assert!(is(&one.clone().difference(&two), a.difference(&b).copied().collect()));
            prop_assert_eq!(one.has_beyond(&two), !a.is_subset(&b));
            prop_assert_eq!(ChunkSet::from_bitmap(chunks, &one.to_bitmap()), one.clone());
            for other in [1, chunks - 1, chunks, chunks + 1, 2 * chunks + 64] {
                let inside = a.iter().copied().filter(|chunk| *chunk < other).collect();
                let resized = one.clone().resized(other);
                prop_assert_eq!((resized.chunks(), &resized), (other.min(FILE_CHUNKS_MAX), &set(other, &inside)));
            }
            let encoded = one.encode();
            prop_assert!(encoded.len() <= 1 + chunks.div_ceil(8) as usize);
            prop_assert_eq!(ChunkSet::decode(chunks, &encoded), Ok(one));
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            chunks in prop_oneof![0..100u32, any::<u32>()],
            kind in 0..5u8,
            content in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let bytes: Vec<u8> = std::iter::once(kind).chain(content).collect();
            if let Ok(set) = ChunkSet::decode(chunks, &bytes) {
                prop_assert!(set.iter().all(|chunk| chunk < chunks));
                prop_assert_eq!(ChunkSet::decode(set.chunks(), &set.encode()), Ok(set.clone()));
            }
        }
    }
}
