//! What goes in and out of [`Talks`](super::Talks).

use bytes::Bytes;
use hobnob_protocol::v1;

use crate::network::{Link, LinkEvent};

/// Names one request for private talk, and the talk that comes of it: 16 bytes, given by the server.
pub type Invite = Bytes;

/// What happens.
#[derive(Clone, Debug)]
pub enum Input {
    // ------------------------------------------------------------ the person
    /// `startprivate <user>`
    Start(String),
    /// `y` or `accept <user>`, `n` or `decline <user>`. Without a user: the question that stands.
    Answer {
        /// Who asked, as typed.
        user: Option<String>,
        /// Yes.
        accept: bool,
    },
    /// `private <user> <message>`; the text is checked already.
    Private {
        /// To whom, as typed.
        to: String,
        /// UTF-8, at most 64 KiB.
        text: String,
    },
    /// `stopprivate <user>`
    Stop(String),
    /// `verify <user>`; `confirm`: `verify <user> ok`.
    Verify {
        /// Whose key, as typed.
        user: String,
        /// The numbers were compared.
        confirm: bool,
    },
    /// `path <user>`
    Path(String),
    /// The session at the server ends: says good-bye to all, after what was typed has arrived. `Effect::Done`
    /// follows within 3 s; requests end with the session, at the server.
    Leave,

    // ------------------------------------------------------------ the server
    /// The answer to `Effect::Invite`.
    Invited {
        /// As in the effect.
        typed: String,
        /// `None`: it could not be asked, because the connection was lost or the server refused.
        answer: Option<v1::Invited>,
    },
    /// The request that `Effect::Answer` meant does not stand any more.
    Gone(Invite),
    /// The server tells something.
    Server(v1::PeerEvent),
    /// The answer to `Effect::MaySee`; `true` also where the server cannot be asked.
    Sight {
        /// As in the effect.
        user: String,
        /// Whether the user may be seen coming and going.
        may: bool,
    },
    /// The connection to the server was lost (`false`) or is back.
    ServerUp(bool),
    /// The person has blocked or unblocked somebody. Counts for what is said to them when the person leaves.
    Block {
        /// Whom, as the server writes the name.
        user: String,
        /// Blocked.
        on: bool,
    },

    // ------------------------------------------------------------ the network
    /// Something happened on the network.
    Link(LinkEvent),
    /// The deadline has passed.
    Tick,
}

/// What has to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    // ------------------------------------------------------------ at the server
    /// Ask the server to ask this user; `Input::Invited` follows.
    Invite(String),
    /// Answer a request.
    Answer {
        /// Which.
        invite: Invite,
        /// Yes.
        accept: bool,
    },
    /// Take a request back.
    Cancel(Invite),
    /// Ask the server whether the user may be seen; `Input::Sight` follows.
    MaySee(String),
    /// Tell the server that the person is there: something was typed that asks nothing of it. At most one
    /// each 200 ms.
    Active,

    // ------------------------------------------------------------ on the network
    /// A link may be needed soon: be ready and tell the server where this client is.
    Prepare,
    /// Admit this key for this talk, until `Forget`. A link that comes of it is told as [`LinkEvent::Up`].
    Expect {
        /// The talk.
        invite: Invite,
        /// The only key that is right.
        key: [u8; 32],
    },
    /// Make a link: [`LinkEvent::Up`] or [`LinkEvent::Failed`] follows. The key counts as expected as well.
    /// Where an attempt for this talk is under way, this one takes its place: the other has moved.
    Dial {
        /// The talk.
        invite: Invite,
        /// The only key that is right.
        key: [u8; 32],
        /// Where it is.
        contact: v1::Contact,
    },
    /// The talk is over: nobody is admitted for it any more, and an attempt to make a link ends. A link that
    /// was not closed ends as well.
    Forget(Invite),
    /// Send this.
    Send {
        /// On this link.
        link: Link,
        /// The frame.
        frame: v1::talk_frame::Body,
    },
    /// Close the link once what was sent on it has arrived, or after a second. No [`LinkEvent::Down`]
    /// follows.
    Close(Link),

    // ------------------------------------------------------------ for the person
    /// Tell this.
    Tell(News),
    /// Keep this, see [`Keys::to_text`](crate::keys::Keys::to_text).
    SaveKeys,
    /// After `Input::Leave`: everything is said.
    Done,
}

/// What a person is told. Names are as the server writes them, or as typed where it knows none; not yet safe
/// for a terminal, like texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// `Start private messaging with <user>`
    Started(String),
    /// `<user> would like to private message, enter y or n: `
    Question(String),
    /// `<user> accepts private messaging`
    Accepted(String),
    /// `<user> declines private messaging`
    Declined(String),
    /// `<user> did not answer`
    NoAnswer(String),
    /// `The request of <user> has expired`
    Expired(String),
    /// `<user>(private): <text>`
    Message {
        /// The name bound to the key of the link.
        user: String,
        /// UTF-8.
        text: String,
    },
    /// `Stop private messaging with <user>`
    Stopped(String),
    /// `<user> stopped private messaging`
    StoppedBy(String),
    /// `Private messaging with <user> ended`, and `: <user> logged out` if `left`.
    Ended {
        /// With whom.
        user: String,
        /// The other logged out or was timed out, and may be seen to.
        left: bool,
    },
    /// `Private messaging with <user> is interrupted, trying again`
    Interrupted(String),
    /// It goes on.
    GoesOn(String),
    /// A message did not arrive: `Error. <user> is no longer online`, or where `discreet` `Error. Not
    /// delivered to <user>`.
    Undelivered {
        /// To whom.
        user: String,
        /// Nothing may be said of whether the user is online.
        discreet: bool,
    },
    /// The answer to `path`: the link of the talk with this user, to be described.
    Path {
        /// With whom.
        user: String,
        /// Where it runs; `None`: it is interrupted.
        link: Option<Link>,
    },
    /// The answer to `verify`.
    SafetyNumber {
        /// Whose.
        user: String,
        /// 60 digits in groups of five.
        number: String,
        /// It was confirmed before.
        verified: bool,
    },
    /// `verify <user> ok` is remembered.
    Verified(String),
    /// The key is not one that was seen of the user before. `refused`: because another was verified, so no
    /// talk begins until this one is confirmed.
    NewKey {
        /// Whose.
        user: String,
        /// No talk begins.
        refused: bool,
    },
    /// Something that was typed came to nothing.
    Error(TalkError),
}

/// Why something that was typed came to nothing. The name is as typed, but where the server or the talk knows
/// better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TalkError {
    /// `Error. Invalid user`
    InvalidUser,
    /// `Error. Cannot start private messaging with self`
    StartSelf,
    /// `Error. Cannot start private messaging. <user> has blocked you`
    Blocked(String),
    /// `Error. Cannot start private messaging. <user> is offline`
    Offline(String),
    /// `Error. You have already connected with <user>`
    Connected(String),
    /// A request to this user stands already.
    AlreadyAsked(String),
    /// Too many requests stand.
    TooMany,
    /// The server could not be asked.
    NotAsked,
    /// `Error. Could not connect to <user>`
    NoConnection(String),
    /// `Error. Private messaging to <user> not enabled`
    NotEnabled(String),
    /// `Error. Cannot send private message to self`
    PrivateSelf,
    /// `Error. No private messaging session with <user>`
    NoSession(String),
    /// `Error. No request to answer`
    NoRequest,
    /// No key of this user was seen yet.
    NoKey(String),
}
