//! Frames of a file stream: four bytes of length, big-endian, and a `FileFrame`; behind some of them raw bytes.

use std::io;

use hobnob_protocol::v1::{FileFrame, file_frame::Body};
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

/// Largest frame: a map of all chunks, or a list of new ones, fits.
pub const FRAME_BYTES_MAX: usize = 32 * 1024;
/// What is read at once of small frames; of raw bytes behind them more is read, past this.
const READ_BYTES: usize = 16 * 1024;

/// Why a stream is of no use any more.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The other is gone, or the network failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What came is no frame, or one that has no place here.
    #[error("the other side does not keep to the protocol: {0}")]
    Protocol(&'static str),
}

/// Reads frames.
#[derive(Debug)]
pub struct Frames<R> {
    io: BufReader<R>,
    frame: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    /// From a stream.
    pub fn new(io: R) -> Self {
        Self { io: BufReader::with_capacity(READ_BYTES, io), frame: Vec::new() }
    }

    /// The next frame; `None`: the other has ended in good order. Not cancel safe.
    ///
    /// # Errors
    /// The stream broke off, or this is no frame.
    pub async fn next(&mut self) -> Result<Option<Body>, WireError> {
        let mut length = [0; 4];
        if self.io.read(&mut length[..1]).await? == 0 {
            return Ok(None);
        }
        self.io.read_exact(&mut length[1..]).await?;
        let length = u32::from_be_bytes(length) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(WireError::Protocol("a frame is too large"));
        }
        self.frame.resize(length, 0);
        self.io.read_exact(&mut self.frame).await?;
        let frame = FileFrame::decode(&*self.frame).map_err(|_| WireError::Protocol("nonsense"))?;
        frame.body.map(Some).ok_or(WireError::Protocol("an unknown frame"))
    }

    /// Raw bytes behind a frame: fills `block`.
    ///
    /// # Errors
    /// The stream broke off.
    pub async fn raw(&mut self, block: &mut [u8]) -> Result<(), WireError> {
        self.io.read_exact(block).await?;
        Ok(())
    }
}

/// Writes a frame. What it says is small, so it is not flushed by itself.
///
/// # Errors
/// The stream broke off.
pub async fn write<W: AsyncWrite + Unpin>(io: &mut W, body: Body) -> Result<(), WireError> {
    let frame = FileFrame { body: Some(body) };
    let mut bytes = vec![0; 4 + frame.encoded_len()];
    encode(&frame, &mut bytes)?;
    io.write_all(&bytes).await?;
    Ok(())
}

/// Puts a frame at the beginning of `block`, and says how many bytes it takes.
///
/// # Errors
/// There is no room for it.
pub fn put(body: Body, block: &mut [u8]) -> Result<usize, WireError> {
    encode(&FileFrame { body: Some(body) }, block)
}

fn encode(frame: &FileFrame, block: &mut [u8]) -> Result<usize, WireError> {
    const TOO_LARGE: WireError = WireError::Protocol("a frame is too large");
    let length = frame.encoded_len();
    let (prefix, mut rest) = block.split_first_chunk_mut::<4>().ok_or(TOO_LARGE)?;
    *prefix = u32::try_from(length).map_err(|_| TOO_LARGE)?.to_be_bytes();
    frame.encode(&mut rest).map_err(|_| TOO_LARGE)?;
    Ok(4 + length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hobnob_protocol::v1::{FileAsk, FileData};

    async fn read(bytes: &[u8]) -> Result<Option<Body>, WireError> {
        Frames::new(bytes).next().await
    }

    #[tokio::test]
    async fn frames_and_raw_bytes_come_as_they_were_written() {
        let mut written = Vec::new();
        write(&mut written, Body::Ask(FileAsk { chunk: 7 })).await.unwrap();
        write(&mut written, Body::Data(FileData { chunk: 7, bytes: 3 })).await.unwrap();
        written.extend_from_slice(b"abc");
        let mut frames = Frames::new(&*written);
        assert_eq!(frames.next().await.unwrap(), Some(Body::Ask(FileAsk { chunk: 7 })));
        assert_eq!(frames.next().await.unwrap(), Some(Body::Data(FileData { chunk: 7, bytes: 3 })));
        let mut raw = [0; 3];
        frames.raw(&mut raw).await.unwrap();
        assert_eq!(&raw, b"abc");
        assert_eq!(frames.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_frame_is_put_before_other_bytes() {
        let largest = Body::Data(FileData { chunk: u32::MAX, bytes: u32::MAX });
        let mut block = [7; super::super::FRAME_ROOM];
        let length = put(largest.clone(), &mut block).unwrap();
        assert_eq!(read(&block[..length]).await.unwrap(), Some(largest.clone()));
        assert!(block[length..].iter().all(|byte| *byte == 7) && length < block.len());
        assert!(put(largest.clone(), &mut block[..length - 1]).is_err());
        assert!(put(largest, &mut []).is_err());
    }

    #[tokio::test]
    async fn what_is_no_frame_is_an_error() {
        assert!(matches!(read(&[0xff; 4]).await, Err(WireError::Protocol(_))), "too large");
        assert!(matches!(read(&[0, 0, 0, 0]).await, Err(WireError::Protocol(_))), "says nothing");
        assert!(matches!(read(&[0, 0, 0, 2, 0xff, 0xff]).await, Err(WireError::Protocol(_))), "nonsense");
        assert!(matches!(read(&[0, 0, 0, 9, 1]).await, Err(WireError::Io(_))), "breaks off");
        assert!(matches!(read(&[0, 0]).await, Err(WireError::Io(_))), "breaks off in its length");
    }
}
