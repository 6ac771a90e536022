//! Somebody who chats, at whichever server: what the workloads are written for.

use anyhow::Context;
use futures_util::FutureExt;
use hobnob_protocol::v1::{Broadcast, DirectMessage, Stream, server_frame, submit::Op};
use tokio::time::{Instant, sleep_until};

use crate::{
    account::Account,
    lines::{Heard, Lines},
    link::{self, Session, Speaks, Target},
    stream::{Cursor, acked, submit},
};

/// Somebody who chats.
pub(crate) enum Chatter {
    /// At hobnob.
    Member(Box<Member>),
    /// At a server that speaks lines and acknowledges nothing.
    Lines(Box<Lines>),
}

/// A session of hobnob, with what a client keeps of it.
pub(crate) struct Member {
    session: Session,
    inbox: Cursor,
    broadcast: Cursor,
    /// Submits that were sent.
    sent: u64,
    /// The id of the last request that was answered.
    answered: u64,
}

/// How much came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Acks, of the oldest submits under way.
    pub(crate) acks: u64,
    /// Messages to this user.
    pub(crate) messages: u64,
    /// Messages to all.
    pub(crate) broadcasts: u64,
}

impl Chatter {
    /// Logs in, and takes what waits; `joins`: hears what is said to all.
    pub(crate) async fn open(target: &Target, account: &Account, joins: bool) -> anyhow::Result<Self> {
        match target.speaks {
            Speaks::Hobnob => {
                let session = link::open(target, account, false).await?;
                let head = session.opened.inbox_head;
                let mut chatter = Self::of(session);
                while let Self::Member(member) = &chatter
                    && member.inbox.seq() < head
                {
                    chatter.take().await?;
                    chatter.note().await?;
                }
                Ok(chatter)
            }
            Speaks::Lines => {
                let mut lines = Lines::open(target, &account.name).await?;
                if joins {
                    lines.join().await?;
                }
                Ok(Self::Lines(Box::new(lines)))
            }
        }
    }

    /// A session of hobnob in which nothing was sent yet.
    pub(crate) fn of(session: Session) -> Self {
        let inbox = Cursor::new(Stream::Inbox, session.opened.inbox);
        let broadcast = Cursor::new(Stream::Broadcast, session.opened.broadcast);
        let answered = session.link.last_id();
        Self::Member(Box::new(Member { session, inbox, broadcast, sent: 0, answered }))
    }

    /// Whether what is sent is acknowledged.
    pub(crate) fn is_acked(&self) -> bool {
        matches!(self, Self::Member(_))
    }

    /// Puts a message into the write buffer.
    pub(crate) async fn send(&mut self, to: &str, text: &str) -> anyhow::Result<()> {
        match self {
            Self::Member(member) => {
                let message = DirectMessage { to: to.to_owned(), text: text.to_owned() };
                member.submit(Op::Message(message)).await
            }
            Self::Lines(lines) => {
                lines.send(to, text);
                Ok(())
            }
        }
    }

    /// Puts a message to all into the write buffer.
    pub(crate) async fn broadcast(&mut self, text: &str) -> anyhow::Result<()> {
        match self {
            Self::Member(member) => member.submit(Op::Broadcast(Broadcast { text: text.to_owned() })).await,
            Self::Lines(lines) => {
                lines.broadcast(text);
                Ok(())
            }
        }
    }

    /// Writes what is in the write buffer.
    pub(crate) async fn flush(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Member(member) => member.session.link.flush().await,
            Self::Lines(lines) => lines.flush().await,
        }
    }

    /// Waits until something comes, and takes all that is there; returns early, with nothing, when a note is due.
    /// Cancel-safe.
    pub(crate) async fn take(&mut self) -> anyhow::Result<Taken> {
        match self {
            Self::Member(member) => member.take().await,
            Self::Lines(lines) => {
                let mut taken = Taken::default();
                let mut heard = Some(lines.recv().await);
                while let Some(next) = heard {
                    match next? {
                        Heard::Message => taken.messages += 1,
                        Heard::Broadcast => taken.broadcasts += 1,
                        Heard::Other => {}
                    }
                    heard = lines.recv().now_or_never();
                }
                Ok(taken)
            }
        }
    }

    /// Writes the notes of what came, where they are due, as a client does.
    pub(crate) async fn note(&mut self) -> anyhow::Result<()> {
        let Self::Member(member) = self else { return Ok(()) };
        let now = Instant::now();
        for cursor in [&mut member.inbox, &mut member.broadcast] {
            if let Some(note) = cursor.note(now) {
                member.session.link.note(note).await?;
            }
        }
        Ok(())
    }

    /// Waits for something else; what comes meanwhile is dropped.
    pub(crate) async fn stay_until(&mut self, done: impl Future<Output = ()>) -> anyhow::Result<()> {
        tokio::pin!(done);
        loop {
            let dropped = tokio::select! {
                biased;
                () = &mut done => return Ok(()),
                dropped = self.drop_one() => dropped,
            };
            dropped.context("while nothing was to come")?;
        }
    }

    async fn drop_one(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Member(member) => member.session.link.recv().await.map(drop),
            Self::Lines(lines) => lines.recv().await.map(drop),
        }
    }
}

impl Member {
    async fn submit(&mut self, op: Op) -> anyhow::Result<()> {
        self.sent += 1;
        self.session.link.request(submit(self.sent, op)).await.map(drop)
    }

    async fn take(&mut self) -> anyhow::Result<Taken> {
        let due = [self.inbox.note_due(), self.broadcast.note_due()].into_iter().flatten().min();
        let link = &mut self.session.link;
        let first = match due {
            None => link.recv().await?,
            Some(due) => tokio::select! {
                biased;
                frame = link.recv() => frame?,
                () = sleep_until(due) => return Ok(Taken::default()),
            },
        };
        let (now, mut taken) = (Instant::now(), Taken::default());
        let mut frame = Some(first);
        while let Some(body) = frame {
            self.count(&body, now, &mut taken)?;
            frame = self.session.link.try_recv()?;
        }
        Ok(taken)
    }

    fn count(&mut self, frame: &server_frame::Body, now: Instant, taken: &mut Taken) -> anyhow::Result<()> {
        if let server_frame::Body::Entry(entry) = frame {
            taken.messages += u64::from(self.inbox.take(entry, now)?.is_some());
            taken.broadcasts += u64::from(self.broadcast.take(entry, now)?.is_some());
        } else if acked(frame, self.answered + 1)? {
            self.answered += 1;
            taken.acks += 1;
        }
        Ok(())
    }
}
