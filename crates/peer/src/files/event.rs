//! What goes in and out of [`Files`](super::Files).

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use hobnob_protocol::v1;

use crate::file::ContentId;

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Content {
    /// BLAKE3 of the content.
    pub id: ContentId,
    /// In bytes.
    pub size: u64,
}

impl Content {
    /// From the wire; `None`: the id is none.
    #[must_use]
    pub fn of_wire(content: &v1::Content) -> Option<Self> {
        let id = ContentId::from_bytes(content.id.as_ref().try_into().ok()?);
        Some(Self { id, size: content.size })
    }

    /// For the wire.
    #[must_use]
    pub fn to_wire(self) -> v1::Content {
        v1::Content { id: Bytes::copy_from_slice(self.id.as_bytes()), size: self.size }
    }
}

/// What is to be downloaded, as the server knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Which file.
    pub content: Content,
    /// What those call it who offer it.
    pub name: String,
    /// It lists this folder, and what is wanted is the folder.
    pub folder: Option<v1::Folder>,
    /// The first sources, with the right to fetch from them; `None`: the server is asked.
    pub sources: Option<v1::Sources>,
}

/// Names a request to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What the server is to be told or asked, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Answered with [`Reply::Done`] or [`Reply::Refused`].
    Hold(v1::Hold),
    /// Needs no answer.
    HoldMore(v1::HoldMore),
    /// Answered with [`Reply::Done`].
    Release(v1::Release),
    /// Answered with [`Reply::Sources`] or [`Reply::Refused`].
    FindSources(v1::FindSources),
}

/// What the server said.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// It is done.
    Done,
    /// No.
    Refused {
        /// In words for a person.
        why: String,
        /// The same request would be refused the next time too.
        is_final: bool,
    },
    /// Those who have it.
    Sources(v1::Sources),
    /// It cannot be asked now. What was to be told is told again after [`Files::announce`](super::Files::announce).
    Away,
}

/// Why something is not offered any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is not what was shared any more.
    Changed,
    /// It is not there any more, or cannot be read.
    Gone,
}

/// How far a download is.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The name that it is to have.
    pub name: String,
    /// Its content.
    pub id: ContentId,
    /// Bytes that are here, and all.
    pub done: u64,
    /// In bytes.
    pub size: u64,
    /// Bytes a second, lately.
    pub rate: u64,
    /// Sources that are linked directly, and over the relay.
    pub direct: usize,
    /// Likewise.
    pub relayed: usize,
    /// At this rate; `None`: nothing comes.
    pub left: Option<Duration>,
    /// Nobody has what is missing, for now.
    pub stalled: bool,
}

/// What is offered here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// What it is called.
    pub name: String,
    /// Which file.
    pub content: Content,
    /// Where it is; `None`: it is still being downloaded.
    pub path: Option<PathBuf>,
    /// It is a folder of so many files.
    pub files: Option<u32>,
    /// Who fetch it now.
    pub takers: usize,
}

/// What a person may be told, and what the server is to be told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The server knows of it.
    Sharing {
        /// What it is called.
        name: String,
        /// In bytes; of a folder, of all its files.
        size: u64,
        /// Chunks of the file, or of all files.
        chunks: u64,
        /// Its content.
        id: ContentId,
        /// It was shared before and has come back.
        again: bool,
    },
    /// It is being read: so many bytes of so many.
    Reading {
        /// Where it is.
        path: PathBuf,
        /// In bytes.
        done: u64,
        /// In bytes.
        size: u64,
    },
    /// It cannot be shared.
    ShareFailed {
        /// As it was given.
        path: PathBuf,
        /// In words for a person.
        why: String,
    },
    /// It is not shared any more, because it is not what it was.
    ShareEnded {
        /// What it was called.
        name: String,
        /// Its content.
        id: ContentId,
        /// What became of it.
        why: Ended,
    },
    /// The answer to `unshare`.
    Unshared {
        /// What it was called.
        name: String,
    },
    /// Nothing of this name or id is shared, or is under way.
    Unknown {
        /// What was meant.
        meant: String,
    },
    /// Several are meant by this.
    Ambiguous {
        /// What was meant.
        meant: String,
        /// These.
        are: Vec<(String, Content)>,
    },
    /// The answer to `shares`.
    Shares(Vec<Shared>),
    /// The answer to `downloads`.
    Downloads(Vec<Progress>),
    /// From time to time, while something comes.
    Progress(Progress),
    /// It is complete, verified and under its name.
    Downloaded {
        /// The name that it has.
        name: String,
        /// Its content.
        id: ContentId,
        /// Where it is.
        path: PathBuf,
        /// In bytes.
        size: u64,
        /// From how many people it came.
        peers: usize,
        /// How long it took, this time.
        time: Duration,
    },
    /// It is there already, with this content.
    AlreadyThere {
        /// What was to be downloaded.
        name: String,
        /// Its content.
        id: ContentId,
        /// Where it is.
        path: PathBuf,
    },
    /// It is under way already.
    AlreadyComing {
        /// Its name.
        name: String,
    },
    /// It cannot go on.
    DownloadFailed {
        /// Its name.
        name: String,
        /// Its content.
        id: ContentId,
        /// In words for a person.
        why: String,
        /// What came is kept, and the same command goes on from there.
        resumable: bool,
    },
    /// The answer to `cancel`; what came is kept.
    Cancelled {
        /// Its name.
        name: String,
        /// Its content.
        id: ContentId,
    },
    /// Nobody has what is missing, for now.
    Stalled {
        /// Its name.
        name: String,
    },
    /// Something comes again.
    GoesOn {
        /// Its name.
        name: String,
    },
    /// Others reach this device on this TCP port: for the contact that the server is told.
    Listening {
        /// The port.
        port: u16,
    },
    /// The server is to be told or asked something.
    Server {
        /// To answer with.
        id: RequestId,
        /// What.
        request: Request,
    },
}
