//! What each command becomes: something numbered for the outbox, a query, or an answer at once.

use hobnob_protocol::limits::{FILE_NAME_BYTES_MAX, PASSWORD_CHARS_MAX};
use hobnob_protocol::text::{self, TextError};
use hobnob_protocol::v1;
use v1::client_frame::Body;
use v1::submit::Op;
use v1::submitted::Outcome;

use crate::event::{Answer, Command};

/// A longer name goes cut over the wire: it is none either way, and the frame keeps its bound.
const NAME_CHARS_SENT: usize = 256;

/// Chunk numbers of one question, so that the frame keeps its bound.
const CHUNKS_SENT: usize = 4096;

/// What a command becomes.
pub(crate) enum Plan {
    /// Numbered, kept in the outbox.
    Submit,
    /// Asked on a connection, and again on the next.
    Query(Body),
    /// Asked once.
    Once(Body),
    /// Asked once, and not at all while the server is away.
    Now(Body),
    /// Answered here.
    Ready(Answer),
}

pub(crate) fn plan(command: &Command) -> Plan {
    match command {
        Command::Message { to, text } => checked(text, to),
        Command::Broadcast { text } => checked(text, ""),
        Command::Block(_) | Command::Unblock(_) => Plan::Submit,
        Command::WhoElse => Plan::Query(Body::WhoElse(v1::WhoElse {})),
        Command::WhoElseSince(seconds) => {
            Plan::Query(Body::WhoElseSince(v1::WhoElseSince { seconds: *seconds }))
        }
        Command::Blocks => Plan::Query(Body::ListBlocks(v1::ListBlocks {})),
        Command::ChangePassword { old, new } => Plan::Once(Body::ChangePassword(v1::ChangePassword {
            old_password: clip_password(old),
            new_password: clip_password(new),
        })),
        Command::Invite(user) => Plan::Now(Body::Invite(v1::Invite { user: clip_name(user) })),
        // The server takes the second of two same ones for nothing.
        Command::AnswerInvite { invite, accept } => {
            Plan::Query(Body::AnswerInvite(v1::AnswerInvite { invite: invite.clone(), accept: *accept }))
        }
        Command::CancelInvite(invite) => {
            Plan::Query(Body::CancelInvite(v1::CancelInvite { invite: invite.clone() }))
        }
        Command::MaySee(user) => Plan::Now(Body::MaySee(v1::MaySee { user: clip_name(user) })),
        // Like the others that ask, it makes no sense later.
        Command::ListFiles(pattern) => {
            Plan::Now(Body::ListFiles(v1::ListFiles { pattern: clip(pattern, FILE_NAME_BYTES_MAX + 1) }))
        }
        Command::FindFile(meant) => {
            Plan::Now(Body::FindFile(v1::FindFile { meant: clip(meant, FILE_NAME_BYTES_MAX + 1) }))
        }
        Command::FindHolders { name, chunks } => Plan::Now(Body::FindHolders(v1::FindHolders {
            name: clip(name, FILE_NAME_BYTES_MAX + 1),
            chunks: chunks.iter().copied().take(CHUNKS_SENT).collect(),
        })),
        Command::Local { .. } => Plan::Ready(Answer::Local),
    }
}

/// The server would say the same of a text, but a number would be used up for it.
fn checked(text: &str, to: &str) -> Plan {
    let outcome = match text::check(text) {
        Ok(()) => return Plan::Submit,
        Err(TextError::TooLong) => Outcome::TooLong,
        Err(TextError::ControlCharacters) => Outcome::ControlCharacters,
    };
    Plan::Ready(Answer::Submitted { outcome, user: to.to_owned() })
}

/// What goes into the outbox and over the wire of a command that is a [`Plan::Submit`].
pub(crate) fn op(command: &Command) -> Option<Op> {
    Some(match command {
        Command::Message { to, text } => {
            Op::Message(v1::DirectMessage { to: clip_name(to), text: text.clone() })
        }
        Command::Broadcast { text } => Op::Broadcast(v1::Broadcast { text: text.clone() }),
        Command::Block(user) => Op::Block(v1::Block { user: clip_name(user) }),
        Command::Unblock(user) => Op::Unblock(v1::Unblock { user: clip_name(user) }),
        _ => return None,
    })
}

/// The command that an earlier process made this of.
pub(crate) fn recall(op: &Op) -> Command {
    match op {
        Op::Message(v1::DirectMessage { to, text }) => {
            Command::Message { to: to.clone(), text: text.clone() }
        }
        Op::Broadcast(v1::Broadcast { text }) => Command::Broadcast { text: text.clone() },
        Op::Block(v1::Block { user }) => Command::Block(user.clone()),
        Op::Unblock(v1::Unblock { user }) => Command::Unblock(user.clone()),
    }
}

/// Whether it is part of private talk, which does not wait for what the server cannot take.
pub(crate) fn is_private(command: &Command) -> bool {
    matches!(
        command,
        Command::Invite(_) | Command::AnswerInvite { .. } | Command::CancelInvite(_) | Command::MaySee(_)
    )
}

/// Whom a command is about, as typed.
pub(crate) fn target(command: &Command) -> &str {
    match command {
        Command::Message { to: user, .. } | Command::Block(user) | Command::Unblock(user) => user,
        _ => "",
    }
}

/// As much of a name as is sent.
pub(crate) fn clip_name(name: &str) -> String {
    name.chars().take(NAME_CHARS_SENT).collect()
}

/// As much of a file's name as is sent: enough for the server to see that it is none.
fn clip(name: &str, bytes: usize) -> String {
    name[..name.floor_char_boundary(bytes)].to_owned()
}

/// As much of a password as is sent: enough for the server to see that it is too long.
pub(crate) fn clip_password(password: &str) -> String {
    password.chars().take(PASSWORD_CHARS_MAX + 1).collect()
}
