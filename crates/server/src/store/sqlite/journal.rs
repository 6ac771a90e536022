//! Outboxes and cursors, of which every message changes one: a transaction writes its changes into one row of the
//! journal, and the rows of `outbox` and `account` follow when the change is
//! [`SqliteOptions::journal_kept`](super::SqliteOptions) transactions old, so that what is changed often is written
//! seldom. (The idea of a log-structured store: Rosenblum and Ousterhout, 1992.)
//!
//! Whatever is behind its row is remembered by the writer; after a rollback and when the store is opened it is read from
//! the journal again.

use std::collections::HashMap;

use rusqlite::Connection;

use super::super::{AccountId, OutboxId, Result};
use super::rows::{SEQ_END, int};
use super::tx::SqliteTx;

/// Transactions whose rows of the journal are removed together.
const REMOVED_TOGETHER: i64 = 64;

/// A row that is behind.
#[derive(Clone, Copy, Debug)]
pub(super) enum Behind {
    Outbox(OutboxId),
    Cursor(AccountId),
}

/// What a row of the journal is made of.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    /// The outbox has this last number; its last outcomes.
    Outbox(OutboxId, u64, Vec<u8>),
    Cursor(AccountId, u64),
}

const OUTBOX: u8 = 1;
const CURSOR: u8 = 2;

impl Change {
    /// Kind, row number, the number; for an outbox also the length of the outcomes and these.
    fn encode(&self, blob: &mut Vec<u8>) {
        match self {
            Self::Outbox(id, last_number, added) => {
                blob.push(OUTBOX);
                blob.extend_from_slice(&id.0.to_le_bytes());
                blob.extend_from_slice(&last_number.to_le_bytes());
                blob.extend_from_slice(&(added.len() as u32).to_le_bytes());
                blob.extend_from_slice(added);
            }
            Self::Cursor(id, cursor) => {
                blob.push(CURSOR);
                blob.extend_from_slice(&id.0.to_le_bytes());
                blob.extend_from_slice(&cursor.to_le_bytes());
            }
        }
    }

    /// The first change of a blob, and the rest.
    fn decode(blob: &[u8]) -> Option<(Self, &[u8])> {
        let (kind, rest) = blob.split_first()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (id, number) = (i64::from_le_bytes(*id), u64::from_le_bytes(*number));
        // No number comes near the end.
        i64::try_from(number).ok().filter(|number| *number < SEQ_END)?;
        match *kind {
            OUTBOX => {
                let (len, rest) = rest.split_first_chunk()?;
                let (added, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
                Some((Self::Outbox(OutboxId(id), number, added.to_vec()), rest))
            }
            CURSOR => Some((Self::Cursor(AccountId(id), number), rest)),
            _ => None,
        }
    }
}

/// The changes of a blob, as far as it can be read: what is damaged must not keep the rest from being written.
fn decode_all(mut blob: &[u8]) -> Vec<Change> {
    let mut changes = Vec::new();
    while !blob.is_empty() {
        let Some((change, rest)) = Change::decode(blob) else {
            tracing::error!(
                bytes = blob.len(),
                "a row of the journal is damaged, what it says is passed over"
            );
            return changes;
        };
        changes.push(change);
        blob = rest;
    }
    changes
}

impl SqliteTx<'_> {
    /// Reads what is behind its row, if that is not known.
    pub(super) fn load_journal(&mut self) -> Result<()> {
        if self.cache.journal_loaded {
            return Ok(());
        }
        for (id, blob) in all(self.conn)? {
            for change in decode_all(&blob) {
                self.take_over(id, change)?;
            }
        }
        self.cache.journal_loaded = true;
        Ok(())
    }

    fn take_over(&mut self, journal_id: i64, change: Change) -> Result<()> {
        match change {
            Change::Outbox(id, last_number, added) => {
                // Of an account that was deleted since nothing is left.
                let Some(outbox) = self.outbox_if_there(id)? else { return Ok(()) };
                outbox.catch_up(last_number, &added);
                if !std::mem::replace(&mut outbox.behind, true) {
                    self.cache.behind.push_back((journal_id, Behind::Outbox(id)));
                }
            }
            Change::Cursor(id, cursor) => {
                let inbox = self.inbox_cached(id)?;
                inbox.head = inbox.head.max(cursor);
                inbox.cursor = inbox.cursor.max(cursor);
                if !std::mem::replace(&mut inbox.behind, true) {
                    self.cache.behind.push_back((journal_id, Behind::Cursor(id)));
                }
            }
        }
        Ok(())
    }

    /// Notes what this transaction has changed, and lets rows follow whose turn it is.
    pub(super) fn flush(&mut self) -> Result<()> {
        let outboxes = std::mem::take(&mut self.cache.changed_outboxes);
        let cursors = std::mem::take(&mut self.cache.changed_cursors);
        if outboxes.is_empty() && cursors.is_empty() {
            return Ok(());
        }
        let (mut blob, mut behind) = (Vec::new(), Vec::new());
        for id in outboxes {
            let outbox = self.outbox_cached(id)?;
            Change::Outbox(id, outbox.last_number, outbox.take_added()).encode(&mut blob);
            if !std::mem::replace(&mut outbox.behind, true) {
                behind.push(Behind::Outbox(id));
            }
        }
        for id in cursors {
            let inbox = self.inbox_cached(id)?;
            inbox.changed = false;
            Change::Cursor(id, inbox.cursor).encode(&mut blob);
            if !std::mem::replace(&mut inbox.behind, true) {
                behind.push(Behind::Cursor(id));
            }
        }
        self.run("INSERT INTO journal (changes) VALUES (?1)", [blob])?;
        let newest = self.conn.last_insert_rowid();
        self.cache.behind.extend(behind.into_iter().map(|row| (newest, row)));
        let old = newest - i64::from(self.options.journal_kept);
        self.follow(old)?;
        if newest % REMOVED_TOGETHER == 0 {
            self.run("DELETE FROM journal WHERE id <= ?1", [old])?;
        }
        Ok(())
    }

    /// Notes everything in its row; the journal is empty then.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.load_journal()?;
        self.flush()?;
        self.follow(i64::MAX)?;
        self.run("DELETE FROM journal", [])?;
        Ok(())
    }

    /// Writes the rows whose first change is in this row of the journal or before.
    fn follow(&mut self, journal_id: i64) -> Result<()> {
        while let Some((_, row)) = self.cache.behind.pop_front_if(|(since, _)| *since <= journal_id) {
            match row {
                Behind::Outbox(id) => self.write_outbox(id)?,
                Behind::Cursor(id) => self.write_cursor(id)?,
            }
        }
        Ok(())
    }

    fn write_outbox(&mut self, id: OutboxId) -> Result<()> {
        let outbox = self.outbox_cached(id)?;
        outbox.behind = false;
        let (last_number, outcomes) = (int(outbox.last_number), outbox.encoded());
        self.run(
            "UPDATE outbox SET last_number = ?2, outcomes = ?3 WHERE id = ?1",
            (id.0, last_number, outcomes),
        )?;
        Ok(())
    }

    pub(super) fn write_cursor(&mut self, id: AccountId) -> Result<()> {
        let inbox = self.inbox_cached(id)?;
        inbox.behind = false;
        let cursor = int(inbox.cursor);
        self.run("UPDATE account SET cursor = ?2 WHERE id = ?1", (id.0, cursor))?;
        Ok(())
    }
}

fn all(conn: &Connection) -> Result<Vec<(i64, Vec<u8>)>> {
    let mut statement = conn.prepare_cached("SELECT id, changes FROM journal ORDER BY id")?;
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// The cursors that the journal holds.
pub(super) fn cursors(conn: &Connection) -> Result<HashMap<AccountId, u64>> {
    let mut cursors = HashMap::new();
    for (_, blob) in all(conn)? {
        for change in decode_all(&blob) {
            if let Change::Cursor(id, cursor) = change {
                let noted: &mut u64 = cursors.entry(id).or_default();
                *noted = cursor.max(*noted);
            }
        }
    }
    Ok(cursors)
}

/// Rows of the journal that cannot be read.
pub(super) fn damaged(conn: &Connection) -> Result<u64> {
    Ok(all(conn)?.iter().filter(|(_, blob)| !is_whole(blob)).count() as u64)
}

fn is_whole(mut blob: &[u8]) -> bool {
    while let Some((_, rest)) = Change::decode(blob) {
        blob = rest;
    }
    blob.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read_as_they_were_written() {
        let changes = [
            Change::Outbox(OutboxId(7), 3, vec![1, 2, 3, 4, 5]),
            Change::Cursor(AccountId(i64::MAX), 1 << 40),
            Change::Outbox(OutboxId(8), 0, Vec::new()),
        ];
        let mut blob = Vec::new();
        changes.iter().for_each(|change| change.encode(&mut blob));
        assert_eq!(decode_all(&blob), changes);
        for (len, readable) in [(0, 0), (25, 0), (26, 1), (42, 1), (43, 2), (63, 2), (64, 3)] {
            assert_eq!(decode_all(&blob[..len]), changes[..readable], "{len}");
        }
        assert_eq!(decode_all(&[9; 17]), []);
        let mut beyond = Vec::new();
        Change::Cursor(AccountId(1), u64::MAX).encode(&mut beyond);
        assert_eq!(decode_all(&beyond), []);
    }
}
