//! Frames on a stream: four bytes of length, big-endian, then a `TalkFrame`.

use bytes::{BufMut, Bytes, BytesMut};
use hobnob_protocol::limits::TALK_FRAME_BYTES_MAX;
use hobnob_protocol::v1::{self, talk_frame::Body};
use iroh::endpoint::{ReadExactError, RecvStream};
use prost::Message;

/// A frame that holds only the name of a talk is not longer than this, in bytes.
pub(super) const HELLO_BYTES_MAX: usize = 256;

/// Why no frame was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// The other has finished, between two frames.
    Finished,
    /// The connection or the stream is gone.
    Lost,
    /// What came is no frame.
    Nonsense,
}

/// As it goes on the stream; `None`: it is too long for any reader.
pub(super) fn encode(body: Body) -> Option<Bytes> {
    let frame = v1::TalkFrame { body: Some(body) };
    let length = frame.encoded_len();
    if length > TALK_FRAME_BYTES_MAX {
        return None;
    }
    let mut bytes = BytesMut::with_capacity(4 + length);
    bytes.put_u32(u32::try_from(length).expect("the largest frame is less than 4 GiB"));
    frame.encode(&mut bytes).expect("the room was reserved");
    Some(bytes.freeze())
}

/// What the bytes behind the length say.
pub(super) fn decode(bytes: Bytes) -> Result<Body, Unread> {
    v1::TalkFrame::decode(bytes).ok().and_then(|frame| frame.body).ok_or(Unread::Nonsense)
}

/// Reads the next frame of at most so many bytes. Not to be dropped halfway: what was read of a frame is gone then.
pub(super) async fn read(stream: &mut RecvStream, bytes_max: usize) -> Result<Body, Unread> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.map_err(|error| match error {
        ReadExactError::FinishedEarly(0) => Unread::Finished,
        ReadExactError::FinishedEarly(_) => Unread::Nonsense,
        ReadExactError::ReadError(_) => Unread::Lost,
    })?;
    let length = u32::from_be_bytes(head) as usize;
    if length == 0 || length > bytes_max {
        return Err(Unread::Nonsense);
    }
    let mut frame = BytesMut::zeroed(length);
    stream.read_exact(&mut frame).await.map_err(|error| match error {
        ReadExactError::FinishedEarly(_) => Unread::Nonsense,
        ReadExactError::ReadError(_) => Unread::Lost,
    })?;
    decode(frame.freeze())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(length: usize) -> Body {
        Body::Text(v1::TalkText { number: 1, text: "x".repeat(length) })
    }

    #[test]
    fn a_frame_is_its_length_and_itself() {
        let bytes = encode(text(3)).unwrap();
        assert_eq!(u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize, bytes.len() - 4);
        assert_eq!(decode(bytes.slice(4..)), Ok(text(3)));
    }

    #[test]
    fn a_frame_that_nobody_would_read_is_not_written() {
        assert!(encode(text(hobnob_protocol::limits::TEXT_BYTES_MAX)).is_some());
        assert_eq!(encode(text(TALK_FRAME_BYTES_MAX)), None);
    }

    #[test]
    fn a_frame_without_a_body_is_nonsense() {
        assert_eq!(decode(Bytes::new()), Err(Unread::Nonsense));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_a_frame_or_nonsense(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode(Bytes::from(bytes));
        }
    }
}
