//! Frames to bytes and back.

use bytes::Bytes;
use prost::Message;

use crate::v1::{ClientFrame, ServerFrame};

/// Why bytes are no frame.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than allowed.
    #[error("a frame of {0} bytes is too large")]
    TooLarge(usize),
    /// Not protobuf of this schema, or a string that is not UTF-8.
    #[error("malformed frame: {0}")]
    Malformed(String),
}

/// Reads a frame from a client. A body this version does not know decodes to none.
///
/// # Errors
/// When it is longer than `bytes_max` or malformed.
pub fn decode_client(bytes: Bytes, bytes_max: usize) -> Result<ClientFrame, DecodeError> {
    decode(bytes, bytes_max)
}

/// Reads a frame from a server. A body this version does not know decodes to none.
///
/// # Errors
/// When it is longer than `bytes_max` or malformed.
pub fn decode_server(bytes: Bytes, bytes_max: usize) -> Result<ServerFrame, DecodeError> {
    if bytes.len() <= bytes_max && is_full_of_nothing(&bytes) {
        return Err(DecodeError::Malformed("lists of empty entries".to_owned()));
    }
    decode(bytes, bytes_max)
}

/// Fewest bytes of an entry of `Files` or `Sources`, on average: honest ones hold at least a content or a key.
const ENTRY_BYTES_MIN: usize = 16;

/// Whether a frame holds lists whose entries hold next to nothing: such a one of 4 MiB would take some hundred in memory,
/// since an entry takes as much when it is empty as when it is not.
fn is_full_of_nothing(frame: &[u8]) -> bool {
    const REPLY: u64 = 1;
    const FILES: u64 = 12;
    const SOURCES: u64 = 13;
    let within = |bytes, wanted: &'static [u64]| {
        Fields(bytes).filter(move |(number, _)| wanted.contains(number)).map(|(_, bytes)| bytes)
    };
    let lists = within(frame, &[REPLY]).flat_map(|reply| within(reply, &[FILES, SOURCES]));
    let entries: usize = lists.map(|list| Fields(list).filter(|(number, _)| *number == 1).count()).sum();
    // A few entries cost nothing.
    entries > 1024 && entries * ENTRY_BYTES_MIN > frame.len()
}

/// The fields of a message that have a length, with their numbers, as far as they can be read. Whether the rest is a message
/// is for the decoder to say.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn skip(&mut self, bytes: u64) -> Option<&'a [u8]> {
        let (skipped, rest) = self.0.split_at_checked(usize::try_from(bytes).ok()?)?;
        self.0 = rest;
        Some(skipped)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let tag = self.varint()?;
            match tag & 7 {
                0 => drop(self.varint()?),
                1 => drop(self.skip(8)?),
                2 => {
                    let length = self.varint()?;
                    return Some((tag >> 3, self.skip(length)?));
                }
                5 => drop(self.skip(4)?),
                // Groups: no message of this schema has any.
                _ => return None,
            }
        }
    }
}

fn decode<T: Message + Default>(bytes: Bytes, bytes_max: usize) -> Result<T, DecodeError> {
    if bytes.len() > bytes_max {
        return Err(DecodeError::TooLarge(bytes.len()));
    }
    T::decode(bytes).map_err(|error| DecodeError::Malformed(error.to_string()))
}

/// Writes a frame.
#[must_use]
pub fn encode(frame: &impl Message) -> Bytes {
    frame.encode_to_vec().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{Content, FileEntry, Files, Reply, Source, Sources, reply::Body, server_frame};

    fn decoded(body: Body) -> Result<ServerFrame, DecodeError> {
        let reply = Reply { id: 7, body: Some(body) };
        decode_server(encode(&ServerFrame { body: Some(server_frame::Body::Reply(reply)) }), usize::MAX)
    }

    #[test]
    fn lists_of_nothing_are_no_frames_and_lists_of_little_are() {
        let files = |entry: FileEntry, count| Body::Files(Files { files: vec![entry; count], more: true });
        let sources = |source: Source, count| {
            Body::Sources(Sources { sources: vec![source; count], ..Sources::default() })
        };
        assert!(decoded(files(FileEntry::default(), 100_000)).is_err());
        assert!(decoded(sources(Source::default(), 100_000)).is_err());
        let content = Some(Content { id: vec![1; 32].into(), size: 0 });
        let least = FileEntry { content, name: "x".to_owned(), ..FileEntry::default() };
        assert!(decoded(files(least, 100_000)).is_ok());
        assert!(decoded(sources(Source { key: vec![1; 32].into(), ..Source::default() }, 100_000)).is_ok());
        assert!(decoded(files(FileEntry::default(), 1000)).is_ok(), "few cost nothing");
    }
}
