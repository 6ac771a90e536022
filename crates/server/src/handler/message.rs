//! Submits: messages, broadcasts and blocks on their way through the writer.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use hobnob_protocol::{
    codec,
    v1::{self, ServerFrame, Submitted, server_frame, submit::Op, submitted::Outcome},
};

use crate::{
    hub::{Committed, Mail, Shared},
    mailbox::{self, Round},
    node::Node,
    rules::stream::{self, Effect, Sender, Verdict},
    store::{AccountId, Result, StoreError, StreamId, Tx},
    trouble::Trouble,
    writer::Job,
};

/// A submit waiting for the writer.
pub(crate) struct SubmitJob {
    pub(crate) node: Arc<Node>,
    pub(crate) sender: Sender,
    pub(crate) sender_name: Arc<str>,
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) op: Op,
    pub(crate) now_ms: i64,
    /// The session's.
    pub(crate) mailbox: mailbox::Sender<Mail>,
    pub(crate) verdict: Option<Verdict>,
}

impl Job for SubmitJob {
    fn run(&mut self, tx: &mut dyn Tx) -> Result<()> {
        let limits = &self.node.policy.get().inbox;
        self.verdict = Some(stream::submit(tx, self.sender, self.number, &self.op, self.now_ms, limits)?);
        Ok(())
    }

    fn bytes(&self) -> usize {
        text(&self.op).len()
    }

    fn adds_text(&self) -> bool {
        matches!(self.op, Op::Message(_) | Op::Broadcast(_))
    }

    /// After the commit: a block counts from now on, then the sender is told, then the receivers.
    fn finish(self: Box<Self>, result: std::result::Result<(), &StoreError>, round: &mut Round) {
        let Some(verdict) = self.verdict.filter(|_| result.is_ok()) else {
            let trouble = result.err().and_then(Trouble::of).map_or(v1::Trouble::Unspecified, Trouble::wire);
            let (outcome, trouble) = (Outcome::Busy as i32, trouble as i32);
            let busy = Submitted { outcome, trouble, ..Submitted::default() };
            let _ = self.mailbox.send_beyond(Mail::Answer(self.id, busy), round);
            return;
        };
        if let Effect::Block { blocked, on } = verdict.effect {
            self.node.hub.set_block(self.sender.account, blocked, on);
        }
        let (outcome, user, expected) = (verdict.outcome as i32, verdict.user, verdict.expected);
        let submitted = Submitted { outcome, user, expected, ..Submitted::default() };
        // A session that is gone gets its answer when it asks again.
        let _ = self.mailbox.send_beyond(Mail::Answer(self.id, submitted), round);
        if let Effect::Stored { stream, seq } = verdict.effect {
            let frame = entry_frame(stream, seq, &self.sender_name, text(&self.op), self.now_ms);
            self.node.wake.wake(&Committed { stream, seq, sender: self.sender.account, frame }, round);
        }
    }
}

fn text(op: &Op) -> &str {
    match op {
        Op::Message(message) => &message.text,
        Op::Broadcast(broadcast) => &broadcast.text,
        Op::Block(_) | Op::Unblock(_) => "",
    }
}

/// An entry as every receiver gets it, encoded once.
pub(crate) fn entry_frame(stream: StreamId, seq: u64, sender: &str, text: &str, sent_ms: i64) -> Bytes {
    let entry = v1::Entry {
        stream: wire_stream(stream) as i32,
        seq,
        sender: sender.to_owned(),
        text: text.to_owned(),
        sent_ms,
    };
    codec::encode(&ServerFrame { body: Some(server_frame::Body::Entry(entry)) })
}

/// A stream as its receiver knows it.
pub(crate) fn wire_stream(stream: StreamId) -> v1::Stream {
    match stream {
        StreamId::Inbox(_) => v1::Stream::Inbox,
        StreamId::Broadcast => v1::Stream::Broadcast,
    }
}

/// A client's word that it has what came up to these numbers.
pub(crate) struct NotedJob {
    pub(crate) account: AccountId,
    pub(crate) inbox: u64,
    /// Of the connection it was said on.
    pub(crate) shared: Arc<Shared>,
}

impl Job for NotedJob {
    fn run(&mut self, tx: &mut dyn Tx) -> Result<()> {
        tx.set_cursor(self.account, self.inbox)
    }

    fn finish(self: Box<Self>, result: std::result::Result<(), &StoreError>, _: &mut Round) {
        if result.is_err() {
            // The next one is written whatever it says, the same number or a higher.
            self.shared.noted_inbox.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_that_could_not_be_written_is_not_taken_for_noted() {
        let shared = Arc::<Shared>::default();
        for (result, expected) in [(Ok(()), 7), (Err(&StoreError::Full), 0)] {
            shared.noted_inbox.store(7, Ordering::Relaxed);
            let job = NotedJob { account: AccountId(1), inbox: 7, shared: shared.clone() };
            Box::new(job).finish(result, &mut Round::default());
            assert_eq!(shared.noted_inbox.load(Ordering::Relaxed), expected);
        }
    }
}
