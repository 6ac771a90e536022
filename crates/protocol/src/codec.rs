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
    decode(bytes, bytes_max)
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
