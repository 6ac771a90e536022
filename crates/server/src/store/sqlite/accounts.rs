//! What the keeper of a server does to whole accounts. Seldom, so nothing of it is remembered.

use super::super::{AccountId, NewName, Result};
use super::tx::SqliteTx;
use rusqlite::OptionalExtension;

impl SqliteTx<'_> {
    pub(super) fn change_name(&mut self, account: AccountId, name: &NewName) -> Result<bool> {
        let Some(old_key) = self.key_of(account)? else { return Ok(false) };
        let taken = "SELECT 1 FROM account WHERE key = ?1 AND id <> ?2";
        if self.conn.prepare_cached(taken)?.exists((&name.key, account.0))? {
            return Ok(false);
        }
        self.forget_remembered()?;
        self.run(
            "UPDATE account SET name = ?2, key = ?3, skeleton = ?4 WHERE id = ?1",
            (account.0, &name.name, &name.key, &name.skeleton),
        )?;
        if name.key != old_key {
            // Whatever was tried under the new name so far concerned nobody.
            self.run("DELETE FROM failure WHERE name = ?1", [&name.key])?;
            self.run("UPDATE failure SET name = ?2 WHERE name = ?1", (&old_key, &name.key))?;
        }
        Ok(true)
    }

    pub(super) fn remove_account(&mut self, account: AccountId) -> Result<()> {
        let Some(key) = self.key_of(account)? else { return Ok(()) };
        self.forget_remembered()?;
        self.run("INSERT INTO former (id, name) SELECT id, name FROM account WHERE id = ?1", [account.0])?;
        self.run("DELETE FROM failure WHERE name = ?1", [&key])?;
        for sql in [
            "DELETE FROM account WHERE id = ?1",
            "DELETE FROM entry WHERE stream = ?1",
            "DELETE FROM outbox WHERE account = ?1",
            "DELETE FROM session WHERE account = ?1",
            "DELETE FROM device WHERE account = ?1",
            "DELETE FROM failed_login WHERE account = ?1",
            "DELETE FROM block WHERE blocker = ?1",
            "DELETE FROM block WHERE blocked = ?1",
        ] {
            self.run(sql, [account.0])?;
        }
        Ok(())
    }

    fn key_of(&self, account: AccountId) -> Result<Option<String>> {
        let mut statement = self.conn.prepare_cached("SELECT key FROM account WHERE id = ?1")?;
        Ok(statement.query_row([account.0], |row| row.get(0)).optional()?)
    }

    /// Everything is read again from the database, after what was not written yet.
    pub(super) fn forget_remembered(&mut self) -> Result<()> {
        self.settle()?;
        self.cache.clear();
        Ok(())
    }
}
