//! Receiving as a client does: every number once and in order, and notes of what came.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context, ensure};
use hobnob_protocol::{
    limits::{RECEIVED_DELAY, RECEIVED_ENTRIES},
    v1::{
        Entry, Received, Stream, Submit, Submitted, client_frame, reply, server_frame, submit::Op, submitted,
    },
};
use tokio::time::Instant;

/// Where a receiver is in one stream.
#[derive(Debug)]
pub(crate) struct Cursor {
    stream: Stream,
    seq: u64,
    noted: u64,
    note_due: Option<Instant>,
}

impl Cursor {
    /// After `seq`.
    pub(crate) fn new(stream: Stream, seq: u64) -> Self {
        Self { stream, seq, noted: seq, note_due: None }
    }

    /// The last entry that came.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// Takes an entry, which must be the next; others are none of its business. Returns its number.
    pub(crate) fn take(&mut self, entry: &Entry, now: Instant) -> anyhow::Result<Option<u64>> {
        if entry.stream != self.stream as i32 {
            return Ok(None);
        }
        ensure!(entry.seq == self.seq + 1, "entry {} where {} is due", entry.seq, self.seq + 1);
        self.seq = entry.seq;
        self.note_due.get_or_insert(now + RECEIVED_DELAY);
        Ok(Some(entry.seq))
    }

    /// When a note is due at the latest.
    pub(crate) fn note_due(&self) -> Option<Instant> {
        self.note_due
    }

    /// The note that is due now, if one is.
    pub(crate) fn note(&mut self, now: Instant) -> Option<client_frame::Body> {
        let due = self.note_due.is_some_and(|due| due <= now);
        if !due && self.seq - self.noted < RECEIVED_ENTRIES {
            return None;
        }
        (self.noted, self.note_due) = (self.seq, None);
        let mut received = Received::default();
        match self.stream {
            Stream::Broadcast => received.broadcast = self.seq,
            _ => received.inbox = self.seq,
        }
        Some(client_frame::Body::Received(received))
    }
}

/// When each of the last messages was sent, by its number; shared by who sends and who receives.
#[derive(Debug)]
pub(crate) struct SendTimes {
    begun: Instant,
    micros: Vec<AtomicU64>,
}

impl SendTimes {
    /// Room for `room` messages under way.
    pub(crate) fn new(room: usize) -> Self {
        Self { begun: Instant::now(), micros: (0..room).map(|_| AtomicU64::new(0)).collect() }
    }

    fn slot(&self, number: u64) -> &AtomicU64 {
        &self.micros[(number % self.micros.len() as u64) as usize]
    }

    /// A message is about to be sent.
    pub(crate) fn sent(&self, number: u64, now: Instant) {
        self.slot(number).store(micros(now - self.begun), Ordering::Release);
    }

    /// How long ago that was.
    pub(crate) fn since(&self, number: u64, now: Instant) -> Duration {
        let sent = self.slot(number).load(Ordering::Acquire);
        Duration::from_micros(micros(now - self.begun).saturating_sub(sent))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A numbered submit.
pub(crate) fn submit(number: u64, op: Op) -> client_frame::Body {
    client_frame::Body::Submit(Submit { number, op: Some(op) })
}

/// Whether a frame is the ack of the request `id`, which is due next; anything but an ack is an error.
pub(crate) fn acked(frame: &server_frame::Body, id: u64) -> anyhow::Result<bool> {
    let server_frame::Body::Reply(reply) = frame else { return Ok(false) };
    ensure!(reply.id == id, "a reply to {} where one to {id} is due", reply.id);
    let submitted = match reply.body.as_ref().context("an unknown reply")? {
        reply::Body::Submitted(Submitted { outcome, .. }) => submitted::Outcome::try_from(*outcome),
        other => anyhow::bail!("an unexpected answer to a submit: {other:?}"),
    };
    ensure!(submitted == Ok(submitted::Outcome::Accepted), "a submit was answered {submitted:?}");
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(stream: Stream, seq: u64) -> Entry {
        Entry { stream: stream as i32, seq, ..Entry::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_note_is_due_after_64_entries_or_200_ms() {
        let mut cursor = Cursor::new(Stream::Inbox, 5);
        let now = Instant::now();
        for seq in 6..=68 {
            assert_eq!(cursor.take(&entry(Stream::Inbox, seq), now).unwrap(), Some(seq));
            assert_eq!(cursor.note(now), None);
        }
        cursor.take(&entry(Stream::Inbox, 69), now).unwrap();
        assert!(matches!(
            cursor.note(now),
            Some(client_frame::Body::Received(Received { inbox: 69, broadcast: 0 }))
        ));
        assert_eq!(cursor.note_due(), None);
        cursor.take(&entry(Stream::Inbox, 70), now).unwrap();
        assert_eq!(cursor.note(now), None);
        assert!(cursor.note(now + RECEIVED_DELAY).is_some());
    }

    #[test]
    fn holes_and_repeats_are_errors() {
        let (mut cursor, now) = (Cursor::new(Stream::Broadcast, 0), Instant::now());
        assert!(cursor.take(&entry(Stream::Broadcast, 2), now).is_err());
        assert_eq!(cursor.take(&entry(Stream::Inbox, 9), now).unwrap(), None);
        cursor.take(&entry(Stream::Broadcast, 1), now).unwrap();
        assert!(cursor.take(&entry(Stream::Broadcast, 1), now).is_err());
    }
}
