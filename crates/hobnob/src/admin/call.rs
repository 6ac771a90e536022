//! One conversation with the server of a folder.

use std::{io, path::Path, time::Duration};

use hobnob_server::admin::{
    Address,
    wire::{Command, REPLY_BYTES_MAX, Reply},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time::timeout,
};

/// How long the server may take for a line: a drain takes 8 s, and a disk may be slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody serves this folder.
    NoServer,
    /// The folder, or its socket, is another user's.
    NotAllowed,
    /// The server went away before it had answered.
    Lost,
    /// What was given cannot be used.
    Misuse(String),
    /// What is to be printed cannot be.
    Unread(io::Error),
}

impl Failure {
    /// For a program.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::NoServer => "no-server",
            Self::NotAllowed => "not-allowed",
            Self::Lost => "lost",
            Self::Misuse(_) => "misuse",
            Self::Unread(_) => "unread",
        }
    }
}

/// A connection to the server.
pub(super) struct Call {
    stream: BufReader<UnixStream>,
}

impl Call {
    pub(super) async fn connect(data: &Path) -> Result<Self, Failure> {
        let failure = |error: io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied => Failure::NotAllowed,
            _ => Failure::NoServer,
        };
        let address = Address::of(data).map_err(failure)?;
        let stream = UnixStream::connect(address.path()).await.map_err(failure)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    pub(super) async fn ask(&mut self, command: Command) -> Result<(), Failure> {
        let asked = timeout(PATIENCE, self.stream.get_mut().write_all(&command.encode())).await;
        // A server that refuses before it is asked says why.
        match asked {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(Failure::Lost),
        }
    }

    /// The next line of the answer.
    pub(super) async fn reply(&mut self) -> Result<Reply, Failure> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.stream).take(REPLY_BYTES_MAX as u64);
        match timeout(PATIENCE, bounded.read_until(b'\n', &mut line)).await {
            Ok(Ok(_)) if line.last() == Some(&b'\n') => {
                serde_json::from_slice(&line).map_err(|_| Failure::Lost)
            }
            _ => Err(Failure::Lost),
        }
    }
}
