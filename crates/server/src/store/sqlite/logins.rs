//! Devices and failed logins, all of them bounded.

use super::super::{AccountId, DEVICES_MAX, Failures, Result};
use super::rows::limit;
use super::tx::SqliteTx;
use rusqlite::OptionalExtension;

impl SqliteTx<'_> {
    pub(super) fn knows_device(&self, account: AccountId, key: &[u8]) -> Result<bool> {
        let mut statement =
            self.conn.prepare_cached("SELECT 1 FROM device WHERE account = ?1 AND key = ?2")?;
        Ok(statement.exists((account.0, key))?)
    }

    pub(super) fn note_device(&mut self, account: AccountId, key: &[u8], now_ms: i64) -> Result<()> {
        self.run(
            "INSERT INTO device (account, key, came_ms) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET came_ms = ?3",
            (account.0, key, now_ms),
        )?;
        let oldest = self
            .conn
            .prepare_cached(
                "SELECT key FROM device WHERE account = ?1 AND key <> ?2
                     AND (SELECT count(*) FROM device WHERE account = ?1) > ?3
                 ORDER BY came_ms, key LIMIT 1",
            )?
            .query_row((account.0, key, limit(DEVICES_MAX)), |row| row.get::<_, Vec<u8>>(0))
            .optional()?;
        let Some(oldest) = oldest else { return Ok(()) };
        // What is known of the device's failures goes with it, or they would pile up.
        self.run(
            "DELETE FROM failure WHERE name = (SELECT key FROM account WHERE id = ?1) AND device = ?2",
            (account.0, &oldest),
        )?;
        self.run("DELETE FROM device WHERE account = ?1 AND key = ?2", (account.0, &oldest))?;
        Ok(())
    }

    pub(super) fn failures_of(&self, name: &str, device: &[u8]) -> Result<Failures> {
        let sql = "SELECT count, blocked_until_ms FROM failure WHERE name = ?1 AND device = ?2";
        let mut statement = self.conn.prepare_cached(sql)?;
        let found = statement.query_row((name, device), |row| {
            let count = u32::try_from(row.get::<_, i64>(0)?).unwrap_or(u32::MAX);
            Ok(Failures { count, blocked_until_ms: row.get(1)? })
        });
        Ok(found.optional()?.unwrap_or_default())
    }

    pub(super) fn note_failures(
        &mut self,
        name: &str,
        device: &[u8],
        failures: Failures,
        now_ms: i64,
    ) -> Result<()> {
        let mut unknown = self.unknown_names()?;
        let sql = "DELETE FROM failure WHERE name = ?1 AND device = ?2 RETURNING known";
        let mut statement = self.conn.prepare_cached(sql)?;
        let was_known = statement.query_row((name, device), |row| row.get::<_, bool>(0)).optional()?;
        unknown -= usize::from(was_known == Some(false));
        if failures != Failures::default() {
            let known = self.conn.prepare_cached("SELECT 1 FROM account WHERE key = ?1")?.exists([name])?;
            if !known && unknown >= self.options.unknown_names_max {
                unknown -= self.forget_oldest_unknown()?;
            }
            self.run(
                "INSERT INTO failure (name, device, count, blocked_until_ms, at_ms, known)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (name, device, failures.count, failures.blocked_until_ms, now_ms, known),
            )?;
            unknown += usize::from(!known);
        }
        self.cache.unknown_names = Some(unknown);
        Ok(())
    }

    /// A name that was only tried so far is an account now.
    pub(super) fn name_became_known(&mut self, name: &str) -> Result<()> {
        let changed = self.run("UPDATE failure SET known = 1 WHERE name = ?1 AND known = 0", [name])?;
        if changed > 0 {
            self.cache.unknown_names = None;
        }
        Ok(())
    }

    /// What is noted of the future, by a clock that was ahead.
    pub(super) fn draw_back(&mut self, past_ms: i64, blocked_until_ms: i64) -> Result<usize> {
        let mut rows = 0;
        for sql in [
            "UPDATE account SET last_seen_ms = ?1 WHERE last_seen_ms > ?1",
            "UPDATE session SET used_ms = ?1 WHERE used_ms > ?1",
            "UPDATE device SET came_ms = ?1 WHERE came_ms > ?1",
            "UPDATE failure SET at_ms = ?1 WHERE at_ms > ?1",
        ] {
            rows += self.run(sql, [past_ms])?;
        }
        let sql = "UPDATE failure SET blocked_until_ms = ?1 WHERE blocked_until_ms > ?1";
        rows += self.run(sql, [blocked_until_ms])?;
        if rows > 0 {
            self.forget_remembered()?;
        }
        Ok(rows)
    }

    fn unknown_names(&self) -> Result<usize> {
        if let Some(count) = self.cache.unknown_names {
            return Ok(count);
        }
        let mut statement = self.conn.prepare_cached("SELECT count(*) FROM failure WHERE known = 0")?;
        let count = statement.query_row([], |row| row.get::<_, u32>(0))?;
        Ok(count as usize)
    }

    fn forget_oldest_unknown(&self) -> Result<usize> {
        self.run(
            "DELETE FROM failure WHERE (name, device) =
                 (SELECT name, device FROM failure WHERE known = 0 ORDER BY at_ms, name, device LIMIT 1)",
            [],
        )
    }

    pub(super) fn count_failed(&self, account: AccountId, device: &[u8]) -> Result<()> {
        // Beyond the bound, a key that is new counts under the empty one.
        self.run(
            "INSERT INTO failed_login (account, device, count)
             SELECT ?1, iif((SELECT count(*) FROM failed_login WHERE account = ?1 AND device <> x'') < ?3
                 OR EXISTS (SELECT 1 FROM failed_login WHERE account = ?1 AND device = ?2), ?2, x''), 1
             WHERE true ON CONFLICT DO UPDATE SET count = count + 1",
            (account.0, device, limit(DEVICES_MAX)),
        )?;
        Ok(())
    }

    pub(super) fn take_failed(&self, account: AccountId, device: &[u8]) -> Result<u64> {
        let sql = "SELECT coalesce(sum(count), 0) FROM failed_login WHERE account = ?1 AND device <> ?2";
        let others =
            self.conn.prepare_cached(sql)?.query_row((account.0, device), |row| row.get::<_, i64>(0))?;
        self.run("DELETE FROM failed_login WHERE account = ?1", [account.0])?;
        Ok(super::rows::uint(others))
    }
}
