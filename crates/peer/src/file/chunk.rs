//! How a content is cut into chunks. It follows from the size alone, so nobody has to tell it.

use std::ops::Range;

use hobnob_protocol::limits::{FILE_BYTES_MAX, FILE_CHUNK_BYTES_MIN, FILE_CHUNKS_MAX};

/// A size above [`FILE_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file is too large")]
pub struct TooLarge;

/// A file's size and how it is cut: chunks of a power of two bytes, the smallest from [`FILE_CHUNK_BYTES_MIN`] up of which
/// there are at most [`FILE_CHUNKS_MAX`].
///
/// An empty file has no chunk and is complete at once; its id is the BLAKE3 of nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    size: u64,
    chunk_bytes: u64,
}

impl Shape {
    /// The shape of a file of that many bytes.
    ///
    /// # Errors
    /// It is above [`FILE_BYTES_MAX`].
    pub fn of(size: u64) -> Result<Self, TooLarge> {
        if size > FILE_BYTES_MAX {
            return Err(TooLarge);
        }
        let chunk_bytes =
            size.div_ceil(u64::from(FILE_CHUNKS_MAX)).next_power_of_two().max(FILE_CHUNK_BYTES_MIN);
        Ok(Self { size, chunk_bytes })
    }

    /// Bytes of the file.
    #[must_use]
    pub fn size(self) -> u64 {
        self.size
    }

    /// Bytes of every chunk but the last.
    #[must_use]
    pub fn chunk_bytes(self) -> u64 {
        self.chunk_bytes
    }

    /// How many chunks there are: none of an empty file.
    #[must_use]
    pub fn chunks(self) -> u32 {
        // At most FILE_CHUNKS_MAX by the choice of the chunk's size.
        self.size.div_ceil(self.chunk_bytes) as u32
    }

    /// The number of the last chunk, if there is one.
    #[must_use]
    pub fn last(self) -> Option<u32> {
        self.chunks().checked_sub(1)
    }

    /// Which bytes of the file a chunk is; none if there is no such chunk.
    #[must_use]
    pub fn range(self, chunk: u32) -> Option<Range<u64>> {
        if chunk >= self.chunks() {
            return None;
        }
        let start = u64::from(chunk) * self.chunk_bytes;
        Some(start..self.size.min(start + self.chunk_bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KIB: u64 = 1024;
    const GIB: u64 = 1 << 30;

    #[test]
    fn shapes() {
        for (size, chunk_bytes, chunks, last) in [
            (0, 256 * KIB, 0, 0),
            (1, 256 * KIB, 1, 1),
            (256 * KIB - 1, 256 * KIB, 1, 256 * KIB - 1),
            (256 * KIB, 256 * KIB, 1, 256 * KIB),
            (256 * KIB + 1, 256 * KIB, 2, 1),
            (4 * GIB - 1, 256 * KIB, 16_384, 256 * KIB - 1),
            (4 * GIB, 256 * KIB, 16_384, 256 * KIB),
            (4 * GIB + 1, 512 * KIB, 8193, 1),
            (FILE_BYTES_MAX - 1, 1 << 48, 16_384, (1 << 48) - 1),
            (FILE_BYTES_MAX, 1 << 48, 16_384, 1 << 48),
        ] {
            let shape = Shape::of(size).unwrap();
            assert_eq!((shape.size(), shape.chunk_bytes(), shape.chunks()), (size, chunk_bytes, chunks));
            let len =
                shape.last().and_then(|last| shape.range(last)).map_or(0, |range| range.end - range.start);
            assert_eq!(len, last, "{size}");
            assert_eq!(shape.range(chunks), None);
            assert_eq!(shape.range(u32::MAX), None);
        }
        assert_eq!(Shape::of(FILE_BYTES_MAX + 1), Err(TooLarge));
        assert_eq!(Shape::of(u64::MAX), Err(TooLarge));
    }

    proptest! {
        #[test]
        fn chunks_cover_the_file(size in prop_oneof![0..=FILE_BYTES_MAX, 0..=64 * GIB, 0..=4096 * KIB]) {
            let shape = Shape::of(size).unwrap();
            prop_assert!(shape.chunk_bytes().is_power_of_two() && shape.chunk_bytes() >= FILE_CHUNK_BYTES_MIN);
            prop_assert!(shape.chunks() <= FILE_CHUNKS_MAX);
            // Not larger than need be.
            prop_assert!(shape.chunk_bytes() == FILE_CHUNK_BYTES_MIN || shape.chunks() > FILE_CHUNKS_MAX / 2);
            let mut end = 0;
            for chunk in 0..shape.chunks() {
                let range = shape.range(chunk).unwrap();
                prop_assert_eq!(range.start, end);
                prop_assert!(range.end > range.start && range.end - range.start <= shape.chunk_bytes());
                end = range.end;
            }
            prop_assert_eq!(end, size);
        }
    }
}
