//! What goes in and out of a [`Client`](crate::Client): commands and events.

use bytes::Bytes;
use hobnob_protocol::v1;

/// Names one command of this process; higher ones were given later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Something a person wants of the server. Answered in the order given, each with one [`Event::Answer`]; but while the
/// server is away or cannot store anything, what belongs to private talk (`Invite`, `AnswerInvite`, `CancelInvite`,
/// `MaySee`) does not wait for what was given before.
#[derive(Clone, PartialEq, Eq)]
pub enum Command {
    /// A message to one user. Kept in the outbox until the server has judged it.
    Message {
        /// The user's name as typed.
        to: String,
        /// UTF-8, at most 64 KiB.
        text: String,
    },
    /// A message to everyone online. Kept in the outbox as well.
    Broadcast {
        /// UTF-8, at most 64 KiB.
        text: String,
    },
    /// Block a user. Kept in the outbox as well, so that it takes effect once and in its place.
    Block(String),
    /// End a block. Kept in the outbox as well.
    Unblock(String),
    /// Who is online.
    WhoElse,
    /// Who was online within the last seconds.
    WhoElseSince(u64),
    /// Whom the user blocks.
    Blocks,
    /// Change the password. Not kept: if the connection is lost under way, the answer says so.
    ChangePassword {
        /// The password until now.
        old: String,
        /// The password from now on.
        new: String,
    },
    /// Ask a user for private talk. Not kept: if the connection is or gets lost, the answer says so at once.
    Invite(String),
    /// Answer somebody's request for private talk.
    AnswerInvite {
        /// Which, as in [`v1::Asked`].
        invite: Bytes,
        /// Yes.
        accept: bool,
    },
    /// Take back a request for private talk.
    CancelInvite(Bytes),
    /// Whether the user may be seen coming and going. Not kept, as `Invite`.
    MaySee(String),
    /// What others offer under names like this; empty: everything.
    ListFiles(String),
    /// Which files may be meant by this name, or these first digits of an id.
    FindFile(String),
    /// Who else holds any of a file of this name.
    FindHolders {
        /// The whole name.
        name: String,
        /// Only those who hold one of these chunks; none: any.
        chunks: Vec<u32>,
    },
    /// Answered by the client itself with [`Answer::Local`], in its place among the others. `active` tells the
    /// server that the person did something.
    Local {
        /// Whether it counts as activity.
        active: bool,
    },
}

impl std::fmt::Debug for Command {
    /// Says what kind it is; texts and passwords stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Message { .. } => "Message",
            Self::Broadcast { .. } => "Broadcast",
            Self::Block(_) => "Block",
            Self::Unblock(_) => "Unblock",
            Self::WhoElse => "WhoElse",
            Self::WhoElseSince(_) => "WhoElseSince",
            Self::Blocks => "Blocks",
            Self::ChangePassword { .. } => "ChangePassword",
            Self::Invite(_) => "Invite",
            Self::AnswerInvite { .. } => "AnswerInvite",
            Self::CancelInvite(_) => "CancelInvite",
            Self::MaySee(_) => "MaySee",
            Self::ListFiles(_) => "ListFiles",
            Self::FindFile(_) => "FindFile",
            Self::FindHolders { .. } => "FindHolders",
            Self::Local { .. } => "Local",
        })
    }
}

/// A request that stands outside the order of commands, because no person waits for it in that order: what this session
/// holds of files, and who holds more. Answered with [`Event::Aside`].
#[derive(Clone, Debug, PartialEq)]
pub enum Aside {
    /// It holds a file: [`Answer::Done`] or [`Answer::Refused`].
    Hold(v1::Hold),
    /// It holds more of one. A note, without an answer.
    HoldMore(v1::HoldMore),
    /// It holds one no more: [`Answer::Done`].
    Release(v1::Release),
    /// Who holds this file: [`Answer::Sources`] or [`Answer::Refused`].
    FindSources(v1::FindSources),
}

impl Aside {
    /// It gets no answer.
    #[must_use]
    pub fn is_note(&self) -> bool {
        matches!(self, Self::HoldMore(_))
    }
}

/// The server's answer to one [`Command`] or [`Aside`].
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To the first four: never `Busy`, `Stale` or `Gap`, which the client deals with itself.
    Submitted {
        /// What became of it.
        outcome: v1::submitted::Outcome,
        /// The user meant, as first registered, or as typed where the server knows none.
        user: String,
    },
    /// To `WhoElse`, `WhoElseSince`, `Blocks` and `FindHolders`.
    Names(Vec<String>),
    /// To `ChangePassword`: it is changed. To `AnswerInvite`, `CancelInvite`, `Hold` and `Release`: the server knows.
    Done,
    /// The request could not be served.
    Refused {
        /// Why.
        reason: v1::refused::Reason,
        /// The same for a person.
        text: String,
    },
    /// To `Invite`, and to `AnswerInvite` where the request does not stand any more.
    Invited(v1::Invited),
    /// To `MaySee`.
    Sight(bool),
    /// To `ListFiles` and `FindFile`.
    Files(v1::Files),
    /// To `FindSources`.
    Sources(v1::Sources),
    /// `ChangePassword`, `Invite`, `MaySee`, what is asked of files and [`Aside`]s only: the connection was lost before
    /// the answer came.
    Lost,
    /// To `Local`.
    Local,
}

/// What a [`Client`](crate::Client) tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The answer to a command. Tickets come in ascending order.
    Answer {
        /// Which command of this process; `None`: one that an earlier process left in the outbox.
        ticket: Option<Ticket>,
        /// What kind it was, with its target, for those left over: e.g. to say whose inbox is full.
        command: Command,
        /// The answer.
        answer: Answer,
    },
    /// The answer to an [`Aside`]. They come in no order.
    Aside {
        /// As it was asked.
        id: u64,
        /// The answer.
        answer: Answer,
    },
    /// A message. In order, each once. Call [`Client::shown`](crate::Client::shown) right after showing it.
    Message(Message),
    /// Somebody came or went.
    Presence {
        /// Who.
        user: String,
        /// Came (or went).
        online: bool,
    },
    /// The server tells of private talk: who asks, who answered, who is introduced. Some of it comes again after a
    /// reconnection.
    Peer(v1::PeerEvent),
    /// The connection was lost; the client is trying to get it back.
    Disconnected,
    /// It is back.
    Reconnected,
    /// Something keeps the server from taking what has to be stored, and the client tries again now and then; `None`: it
    /// does so no more. Told once each.
    Trouble(Option<v1::Trouble>),
    /// The server's key was pinned just now, at first use, on a later connection than that of the
    /// [`Door`](crate::Door); its fingerprint.
    FirstContact(String),
    /// The session is over; nothing follows.
    Ended(End),
}

/// A message from the inbox or to everybody.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Which stream it stands in.
    pub stream: v1::Stream,
    /// Its number there.
    pub seq: u64,
    /// Who sent it. Not yet safe for a terminal.
    pub sender: String,
    /// What it says. Not yet safe for a terminal.
    pub text: String,
    /// When the server accepted it, in ms since 1970.
    pub sent_ms: i64,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("stream", &self.stream)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// As asked. `waiting`: messages that the server did not get and that go out with the next login.
    LoggedOut {
        /// Messages and broadcasts in the outbox.
        waiting: usize,
    },
    /// The server's idle time-out.
    TimedOut,
    /// The user logged in elsewhere.
    Replaced,
    /// The password was changed elsewhere, or the token is no longer good: log in again.
    Expired,
    /// The server's keeper ended it.
    Kicked,
    /// Something that trying again cannot mend, in words for a person.
    Failed(String),
}
