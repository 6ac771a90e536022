//! Removing entries that nobody needs any more.

use super::super::{AccountId, Result, StreamId};
use super::rows::{account_ids, int, limit, stream_row, uint};
use super::sessions::{self, Floor};
use super::tx::SqliteTx;

/// What was found at the beginning of a range of entries.
struct Old {
    /// Rows that may go.
    rows: Vec<i64>,
    /// When the entry after them was accepted, if there is one.
    next_ms: Option<i64>,
}

impl SqliteTx<'_> {
    pub(super) fn remove_noted(&mut self, before_ms: i64, max: usize) -> Result<usize> {
        self.load_trimmable()?;
        let trimmable = self.cache.trimmable.iter().flatten();
        let due: Vec<AccountId> = trimmable.filter(|(_, ms)| **ms < before_ms).map(|(id, _)| *id).collect();
        let mut left = max;
        for inbox in due {
            if left == 0 {
                break;
            }
            let remembered = self.inbox_cached(inbox)?;
            let (cursor, row_is_old) = (remembered.cursor, remembered.behind || remembered.changed);
            if row_is_old {
                // Without the entries the row has to tell the head.
                self.write_cursor(inbox)?;
            }
            let (removed, next_ms) = match before_ms {
                i64::MAX => self.remove_of_any_age(inbox, cursor, left)?,
                _ => {
                    let old = self.old(StreamId::Inbox(inbox), (1, cursor), before_ms, left)?;
                    self.remove(&old.rows)?;
                    (old.rows.len(), old.next_ms)
                }
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
        Ok(())
    }

    /// Removes up to `max` entries at or below the cursor without looking at them; with `Some`, there are more.
    fn remove_of_any_age(&self, inbox: AccountId, cursor: u64, max: usize) -> Result<(usize, Option<i64>)> {
        let mut statement = self.conn.prepare_cached("SELECT min(seq) FROM entry WHERE stream = ?1")?;
        let first = statement.query_row([inbox.0], |row| row.get::<_, Option<i64>>(0))?.map_or(0, uint);
        // Numbers have no holes.
        let last = cursor.min(first.saturating_add(max as u64).saturating_sub(1));
        let removed = self.run(
            "DELETE FROM entry WHERE stream = ?1 AND seq BETWEEN ?2 AND ?3",
            (inbox.0, int(first), int(last)),
        )?;
        Ok((removed, (last < cursor).then_some(i64::MIN)))
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
