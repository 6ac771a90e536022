//! What tasks tell the manager.

use std::path::PathBuf;

use super::door::Arrival;
use super::download::RunId;
use super::event::{Content, Ended};
use super::sharing::{JobId, Read};
use super::shelf::{File, Wrong};
use crate::file::ContentId;
use crate::file::partial::{Finished, Opened, PartialError};
use crate::transfer::fetch::Got;
use crate::transfer::serve::Asked;
use crate::transfer::{Tell, fetch, serve};
use tokio::sync::mpsc;

/// Names a stream of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StreamId(pub(super) u64);

/// What has happened.
pub(super) enum Note {
    /// Somebody wants chunks.
    Arrived(Box<Arrival>),
    /// On a stream to a taker.
    Giver(StreamId, Content, Asked),
    /// On a stream from a source.
    Taker(StreamId, Content, Got),
    /// A stream to a source is made, or runs another way now.
    Path {
        /// Which.
        stream: StreamId,
        /// For this download.
        content: Content,
        /// Over the relay.
        relayed: bool,
    },
    /// What is offered cannot be read any more.
    Unreadable(Content, Wrong),
    /// A download was opened, or what is to be downloaded was found.
    Found(Content, RunId, Box<Result<Found, PartialError>>),
    /// What came was made durable.
    Committed(Content, RunId, Result<u32, PartialError>),
    /// A download has its name.
    Finished(Content, RunId, Result<Finished, PartialError>),
    /// A file that is to be shared is being read.
    Reading(JobId, u64, u64),
    /// It was read.
    Read(JobId, Result<Read, String>),
    /// What was shared before.
    Kept(Vec<Read>, Vec<(String, ContentId, Ended)>),
    /// These are not what they were.
    Looked(Vec<(Content, Wrong)>),
    /// A folder's listing was read.
    Listed(Content, Result<super::folders::Plan, String>),
    /// A file of a folder was made out of one that is here.
    Copied {
        /// The folder's listing.
        folder: Content,
        /// Which of its files.
        index: usize,
        /// The file.
        content: Content,
        /// What came of it.
        copied: Result<File, String>,
    },
}

/// What is there of a download.
pub(super) enum Found {
    /// It goes on, or begins.
    Part(Opened),
    /// A file with this content is there.
    There(PathBuf, Option<Box<File>>),
}

/// Tells what happens on a stream.
#[derive(Clone)]
pub(super) struct Teller {
    pub(super) stream: StreamId,
    pub(super) content: Content,
    pub(super) notes: mpsc::Sender<Note>,
}

impl Tell<fetch::Got> for Teller {
    async fn tell(&self, got: Got) -> bool {
        self.notes.send(Note::Taker(self.stream, self.content, got)).await.is_ok()
    }
}

impl Tell<serve::Asked> for Teller {
    async fn tell(&self, asked: Asked) -> bool {
        self.notes.send(Note::Giver(self.stream, self.content, asked)).await.is_ok()
    }
}
