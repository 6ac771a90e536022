//! A set of chunks of one file.

/// Which chunks of a file somebody has: one bit each. Numbers beyond the file's last chunk are never in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Chunks {
    len: u32,
    count: u32,
    words: Vec<u64>,
}

impl Chunks {
    /// None of `len` chunks.
    #[must_use]
    pub fn new(len: u32) -> Self {
        Self { len, count: 0, words: vec![0; len.div_ceil(64) as usize] }
    }

    /// All of `len` chunks.
    #[must_use]
    pub fn full(len: u32) -> Self {
        let mut all = Self { len, count: len, words: vec![u64::MAX; len.div_ceil(64) as usize] };
        all.clip();
        all
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. What goes beyond `len` chunks is left out, what is missing is
    /// not in the set.
    #[must_use]
    pub fn from_bytes(len: u32, bytes: &[u8]) -> Self {
        let mut set = Self::new(len);
        for (word, bytes) in set.words.iter_mut().zip(bytes.chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(padded);
        }
        set.clip();
        set
    }

    /// Chunk `i` is bit `i % 8` of byte `i / 8`, counted from the lowest; the last byte is filled up with zeros.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate(self.len.div_ceil(8) as usize);
        bytes
    }

    /// The same set for a file of `len` chunks.
    #[must_use]
    pub(super) fn clipped(mut self, len: u32) -> Self {
        self.len = len;
        self.words.resize(len.div_ceil(64) as usize, 0);
        self.clip();
        self
    }

    /// Removes what lies beyond the end, and counts anew.
    fn clip(&mut self) {
        if let (Some(last), 1..) = (self.words.last_mut(), self.len % 64) {
            *last &= (1 << (self.len % 64)) - 1;
        }
        self.count = self.words.iter().map(|word| word.count_ones()).sum();
    }

    /// Chunks of the file.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.len
    }

    /// Chunks in the set.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// None is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All of the file are in the set.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.count == self.len
    }

    /// Whether it is in the set.
    #[must_use]
    pub fn contains(&self, chunk: u32) -> bool {
        chunk < self.len && self.words[chunk as usize / 64] & bit(chunk) != 0
    }

    /// Adds one; `false`: it was there already, or is beyond the end.
    pub fn insert(&mut self, chunk: u32) -> bool {
        if chunk >= self.len || self.contains(chunk) {
            return false;
        }
        self.words[chunk as usize / 64] |= bit(chunk);
        self.count += 1;
        true
    }

    /// Removes one; `false`: it was not there.
    pub fn remove(&mut self, chunk: u32) -> bool {
        if !self.contains(chunk) {
            return false;
        }
        self.words[chunk as usize / 64] &= !bit(chunk);
        self.count -= 1;
        true
    }

    /// Those in the set, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let low = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(at as u32 * 64 + low)
            })
        })
    }

    /// Whether this set has one that `other` lacks.
    #[must_use]
    pub(super) fn has_beyond(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).any(|(own, other)| own & !other != 0)
    }

    /// Adds all of another set of the same file.
    pub(super) fn add_all(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(own, other)| *own |= other);
        self.clip();
    }

    /// Sixty-four chunks each, the first in the lowest bit.
    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }
}

fn bit(chunk: u32) -> u64 {
    1 << (chunk % 64)
}

impl std::fmt::Debug for Chunks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} chunks", self.count, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip_and_what_is_too_much_is_clipped() {
        for len in [0, 1, 7, 8, 63, 64, 65, 1000] {
            let some = (0..len).filter(|chunk| chunk % 3 == 0);
            let mut set = Chunks::new(len);
            some.for_each(|chunk| assert!(set.insert(chunk)));
            assert_eq!(Chunks::from_bytes(len, &set.to_bytes()), set);
            assert_eq!(Chunks::from_bytes(len, &[0xff; 4096]), Chunks::full(len));
            assert_eq!(Chunks::full(len).iter().collect::<Vec<_>>(), (0..len).collect::<Vec<_>>());
            assert!(!set.insert(len) && !set.contains(len));
            assert_eq!(Chunks::full(2000).clipped(len), Chunks::full(len));
            assert_eq!(Chunks::new(0).clipped(len), Chunks::new(len));
        }
    }

    #[test]
    fn counts_as_it_grows_and_shrinks() {
        let mut set = Chunks::new(70);
        assert!(set.insert(69) && !set.insert(69) && set.insert(0));
        assert_eq!((set.count(), set.iter().collect::<Vec<_>>()), (2, vec![0, 69]));
        assert!(set.remove(69) && !set.remove(69));
        assert!(set.has_beyond(&Chunks::new(70)) && !set.has_beyond(&Chunks::full(70)));
    }
}
