//! What must hold for any bytes from the network. Fuzzed here; replayed over the corpus in `crates/protocol/tests`.

use bytes::Bytes;
use hobnob_protocol::codec::{DecodeError, decode_client, decode_server, encode};
use hobnob_protocol::limits::FRAME_BYTES_MAX;

/// Asserts it.
pub(crate) fn holds(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(frame) = decode_client(bytes.clone(), FRAME_BYTES_MAX) {
        // Encoding again may be longer (an enum of -1 in five bytes takes ten), but never says anything else.
        assert_eq!(decode_client(encode(&frame), usize::MAX), Ok(frame.clone()));
        let _ = format!("{frame:?}");
    }
    if let Ok(frame) = decode_server(bytes.clone(), FRAME_BYTES_MAX) {
        assert_eq!(decode_server(encode(&frame), usize::MAX), Ok(frame.clone()));
        let _ = format!("{frame:?}");
    }
    if let Some(less) = data.len().checked_sub(1) {
        assert_eq!(decode_client(bytes.clone(), less), Err(DecodeError::TooLarge(data.len())));
        assert_eq!(decode_server(bytes, less), Err(DecodeError::TooLarge(data.len())));
    }
}
