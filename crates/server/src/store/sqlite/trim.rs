//! Removing entries that nobody needs any more.

use super::super::{AccountId, Result, StreamId};
use super::rows::{account_ids, int, limit, stream_row, uint};
use super::sessions::{self, Floor};
use super::tx::SqliteTx;
use rusqlite::Row;

/// Rows looked at for each that may be removed at once.
const SWEEP_LOOKS: usize = 8;
/// Rows that are left to look through at most.
const SWEEP_BEHIND_MAX: i64 = 100_000;

/// What was found at the beginning of a range of entries.
struct Old {
    /// Rows that may go.
    rows: Vec<i64>,
    /// When the entry after them was accepted, if there is one.
    next_ms: Option<i64>,
}

/// How far entries of all inboxes were looked through, by rows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Swept {
    to: i64,
    /// The last row when it was looked before.
    seen: i64,
}

/// An entry of an inbox, without its text.
struct Place {
    id: i64,
    inbox: AccountId,
    seq: u64,
}

impl SqliteTx<'_> {
    /// Where no history is kept (`before_ms = i64::MAX`), most entries go in the order in which they came, whosever they
    /// are: those of one inbox lie far apart, and to remove them means to write a page for each.
    pub(super) fn remove_noted(&mut self, before_ms: i64, max: usize) -> Result<usize> {
        self.load_trimmable()?;
        let of_any_age = before_ms == i64::MAX;
        let swept = if of_any_age { self.sweep(max)? } else { 0 };
        let trimmable = self.cache.trimmable.iter().flatten();
        let due: Vec<AccountId> = trimmable.filter(|(_, ms)| **ms < before_ms).map(|(id, _)| *id).collect();
        let mut left = max - swept;
        for inbox in due {
            if left == 0 {
                break;
            }
            let (removed, next_ms) = match of_any_age {
                true => self.remove_left(inbox, left)?,
                false => self.remove_old(inbox, before_ms, left)?,
            };
            left -= removed;
            let trimmable = self.cache.trimmable.get_or_insert_default();
            match next_ms {
                Some(next_ms) => trimmable.insert(inbox, next_ms),
                None => trimmable.remove(&inbox),
            };
        }
        Ok(max - left)
    }

    /// Removes up to `max` noted entries in the order of their rows; returns how many. What has come since the last look
    /// and is not noted yet is looked at again; what was there already has an owner who is slow or away.
    fn sweep(&mut self, max: usize) -> Result<usize> {
        let Swept { to, seen } = self.cache.swept;
        let last = self.last_row()?;
        if last - to > SWEEP_BEHIND_MAX {
            // So much that nobody has noted is not looked through: it goes by inbox.
            self.cache.swept = Swept { to: last, seen: last };
            return Ok(0);
        }
        let (mut noted, mut wait_at, mut end) = (Vec::new(), None, last);
        let found = self.rows_of_inboxes(to, last, max.saturating_mul(SWEEP_LOOKS))?;
        if found.len() == max.saturating_mul(SWEEP_LOOKS) {
            end = found.last().map_or(last, |row| row.id);
        }
        for row in found {
            if noted.len() == max {
                end = row.id - 1;
                break;
            }
            if row.seq <= self.inbox_cached(row.inbox)?.cursor {
                self.keep_head(row.inbox, row.seq)?;
                noted.push(row.id);
            } else if row.id > seen && wait_at.is_none() {
                wait_at = Some(row.id - 1);
            }
        }
        self.remove(&noted)?;
        let seen = if noted.len() < max { last } else { seen };
        self.cache.swept = Swept { to: wait_at.unwrap_or(end), seen };
        Ok(noted.len())
    }

    fn last_row(&self) -> Result<i64> {
        let mut statement = self.conn.prepare_cached("SELECT coalesce(max(id), 0) FROM entry")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// The first rows of inboxes above `after` and up to `until`.
    fn rows_of_inboxes(&self, after: i64, until: i64, max: usize) -> Result<Vec<Place>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT id, stream, seq FROM entry WHERE id > ?1 AND id <= ?2 AND stream <> 0 ORDER BY id LIMIT ?3",
        )?;
        let place = |row: &Row<'_>| {
            Ok(Place { id: row.get(0)?, inbox: AccountId(row.get(1)?), seq: uint(row.get(2)?) })
        };
        let found = statement.query_map((after, until, limit(max)), place)?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    /// Before the last entry of an inbox goes, the row of its account has to tell the head.
    fn keep_head(&mut self, inbox: AccountId, last_removed: u64) -> Result<()> {
        let remembered = self.inbox_cached(inbox)?;
        if last_removed >= remembered.head && (remembered.behind || remembered.changed) {
            self.write_cursor(inbox)?;
        }
        Ok(())
    }

    /// Removes up to `max` noted entries of an inbox that the sweep has left; with `Some`, there are more.
    fn remove_left(&mut self, inbox: AccountId, max: usize) -> Result<(usize, Option<i64>)> {
        let cursor = self.inbox_cached(inbox)?.cursor;
        let mut statement =
            self.conn.prepare_cached("SELECT min(seq) FROM entry WHERE stream = ?1 AND seq <= ?2")?;
        let first = statement.query_row((inbox.0, int(cursor)), |row| row.get::<_, Option<i64>>(0))?;
        let Some(first) = first.map(uint) else { return Ok((0, None)) };
        // Numbers have no holes.
        let last = cursor.min(first.saturating_add(max as u64).saturating_sub(1));
        self.keep_head(inbox, last)?;
        let removed = self.run(
            "DELETE FROM entry WHERE stream = ?1 AND seq BETWEEN ?2 AND ?3",
            (inbox.0, int(first), int(last)),
        )?;
        Ok((removed, (last < cursor).then_some(i64::MIN)))
    }

    fn remove_old(&mut self, inbox: AccountId, before_ms: i64, max: usize) -> Result<(usize, Option<i64>)> {
        let cursor = self.inbox_cached(inbox)?.cursor;
        self.keep_head(inbox, cursor)?;
        let old = self.old(StreamId::Inbox(inbox), (1, cursor), before_ms, max)?;
        self.remove(&old.rows)?;
        Ok((old.rows.len(), old.next_ms))
    }

    pub(super) fn remove_passed(&mut self, before_ms: i64, max: usize) -> Result<usize> {
        let head = self.broadcast_head()?;
        let mut left = max;
        for range in unneeded(&sessions::floors(self.conn)?, head) {
            let old = self.old(StreamId::Broadcast, range, before_ms, left)?;
            self.remove(&old.rows)?;
            left -= old.rows.len();
            if old.next_ms.is_some() {
                break;
            }
        }
        if left < max {
            self.run("UPDATE meta SET value = ?1 WHERE name = 'broadcast_floor'", [int(head)])?;
        }
        Ok(max - left)
    }

    fn load_trimmable(&mut self) -> Result<()> {
        if self.cache.trimmable.is_some() {
            return Ok(());
        }
        self.settle()?;
        let statement = self.conn.prepare_cached(
            "SELECT id FROM account WHERE cursor > 0
                 AND EXISTS (SELECT 1 FROM entry WHERE stream = account.id AND seq <= account.cursor)",
        )?;
        let noted = account_ids(statement, [])?;
        self.cache.trimmable = Some(noted.into_iter().map(|id| (id, i64::MIN)).collect());
        // What is noted of the rows that are there is known from that.
        let last = self.last_row()?;
        self.cache.swept = Swept { to: last, seen: last };
        Ok(())
    }

    /// Looks from the first entry of a range of numbers up to one that was accepted at `before_ms` or later.
    fn old(&self, stream: StreamId, range: (u64, u64), before_ms: i64, max: usize) -> Result<Old> {
        let mut statement = self.conn.prepare_cached(
            "SELECT id, sent_ms FROM entry WHERE stream = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq LIMIT ?4",
        )?;
        let params = (stream_row(stream), int(range.0), int(range.1), limit(max.saturating_add(1)));
        let mut found = statement.query(params)?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let sent_ms = row.get(1)?;
            if sent_ms >= before_ms || rows.len() == max {
                return Ok(Old { rows, next_ms: Some(sent_ms) });
            }
            rows.push(row.get(0)?);
        }
        Ok(Old { rows, next_ms: None })
    }

    fn remove(&self, rows: &[i64]) -> Result<()> {
        let mut statement = self.conn.prepare_cached("DELETE FROM entry WHERE id = ?1")?;
        for row in rows {
            statement.execute([row])?;
        }
        Ok(())
    }
}

/// The ranges of numbers up to `head`, both ends included, that no session needs.
///
/// A session needs what is above its floor, but not what is in its hole; so each needs one piece without end
/// (not while its hole is open) and perhaps one before its hole.
fn unneeded(floors: &[Floor], head: u64) -> Vec<(u64, u64)> {
    let mut end = head;
    let mut pieces = Vec::new();
    for (floor, hole) in floors {
        match hole {
            None => end = end.min(*floor),
            Some((from, to)) => {
                pieces.extend((floor < from).then_some((*floor, *from)));
                end = to.map_or(end, |to| end.min(to.max(*floor)));
            }
        }
    }
    pieces.sort_unstable();
    let mut free = Vec::new();
    let mut passed = 0;
    for (floor, from) in pieces {
        if passed < floor.min(end) {
            free.push((passed + 1, floor.min(end)));
        }
        passed = passed.max(from);
    }
    if passed < end {
        free.push((passed + 1, end));
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(floors: &[Floor], expected: &[(u64, u64)]) {
        assert_eq!(unneeded(floors, 20), expected, "{floors:?}");
    }

    #[test]
    fn what_nobody_needs() {
        check(&[], &[(1, 20)]);
        check(&[(0, None)], &[]);
        check(&[(7, None), (9, None)], &[(1, 7)]);
        check(&[(20, None)], &[(1, 20)]);
        check(&[(25, None)], &[(1, 20)]);
        check(&[(3, Some((5, None)))], &[(1, 3), (6, 20)]);
        check(&[(5, Some((5, None)))], &[(1, 20)]);
        check(&[(3, Some((5, Some(9))))], &[(1, 3), (6, 9)]);
        check(&[(12, Some((5, Some(9))))], &[(1, 12)]);
        check(&[(3, Some((5, Some(9)))), (7, None)], &[(1, 3), (6, 7)]);
        check(
            &[(3, Some((5, None))), (4, Some((8, None))), (10, Some((11, None)))],
            &[(1, 3), (9, 10), (12, 20)],
        );
        check(&[(3, Some((18, None))), (4, Some((6, None)))], &[(1, 3), (19, 20)]);
    }
}
