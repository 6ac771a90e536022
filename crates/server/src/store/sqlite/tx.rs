//! A transaction on the writer's connection.
//!
//! Entries are inserted at once; cursors and the states of outboxes change in the cache only and are noted by
//! [`SqliteTx::flush`], so that statements over `account.cursor` come after [`SqliteTx::settle`].

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Params};

use super::super::{
    Account, AccountId, Failures, InvitationId, NewAccount, NewInvitation, NewName, NewSession, OutboxId,
    OutboxState, Outcome, Result, Secret, SessionId, SessionRow, StoreError, StreamId, Tx, Unread,
};
use super::SqliteOptions;
use super::cache::Cache;
use super::inbox::{Counted, Inbox};
use super::invitations;
use super::outbox::Outbox;
use super::rows::{self, account_ids, int, stream_row, uint};
use super::sessions;

/// A transaction that was begun.
pub(super) struct SqliteTx<'a> {
    pub(super) conn: &'a Connection,
    pub(super) cache: &'a mut Cache,
    pub(super) options: &'a SqliteOptions,
}

impl SqliteTx<'_> {
    /// Puts what the transaction keeps in the cache only where it survives, and forgets what is too much.
    pub(super) fn end(&mut self) -> Result<()> {
        if self.cache.must_settle() {
            return self.settle();
        }
        self.flush()
    }

    /// Runs a statement and returns how many rows it changed.
    pub(super) fn run(&self, sql: &str, params: impl Params) -> Result<usize> {
        Ok(self.conn.prepare_cached(sql)?.execute(params)?)
    }

    pub(super) fn broadcast_head(&mut self) -> Result<u64> {
        if self.cache.broadcast_head.is_none() {
            self.cache.broadcast_head = Some(rows::head(self.conn, StreamId::Broadcast)?);
        }
        Ok(self.cache.broadcast_head.unwrap_or_default())
    }

    fn account_cached(&mut self, id: AccountId) -> Result<Option<&mut Arc<Account>>> {
        if self.cache.accounts.get_mut(&id).is_none() {
            let Some(account) = rows::account(self.conn, id)? else { return Ok(None) };
            self.cache.accounts.insert(id, Arc::new(account));
        }
        Ok(self.cache.accounts.get_mut(&id))
    }

    /// Changes what is remembered of an account; `false` if there is none.
    fn change_account(&mut self, id: AccountId, change: impl FnOnce(&mut Account)) -> Result<bool> {
        let Some(account) = self.account_cached(id)? else { return Ok(false) };
        change(Arc::make_mut(account));
        Ok(true)
    }

    pub(super) fn outbox_cached(&mut self, id: OutboxId) -> Result<&mut Outbox> {
        let missing = || StoreError::Database(format!("there is no outbox {}", id.0));
        self.outbox_if_there(id)?.ok_or_else(missing)
    }

    pub(super) fn outbox_if_there(&mut self, id: OutboxId) -> Result<Option<&mut Outbox>> {
        if self.cache.outboxes.get_mut(&id).is_none() {
            let Some(outbox) = self.load_outbox(id)? else { return Ok(None) };
            self.cache.outboxes.insert(id, outbox);
        }
        Ok(self.cache.outboxes.get_mut(&id))
    }

    fn load_outbox(&self, id: OutboxId) -> Result<Option<Outbox>> {
        let mut statement =
            self.conn.prepare_cached("SELECT last_number, outcomes FROM outbox WHERE id = ?1")?;
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?));
        let Some((last_number, outcomes)) = statement.query_row([id.0], row).optional()? else {
            return Ok(None);
        };
        Ok(Some(Outbox::from_row(uint(last_number), &outcomes)))
    }

    pub(super) fn inbox_cached(&mut self, id: AccountId) -> Result<&mut Inbox> {
        if self.cache.inboxes.get_mut(&id).is_none() {
            let inbox = self.load_inbox(id)?;
            self.cache.inboxes.insert(id, inbox);
        }
        Ok(self.cache.inboxes.get_mut(&id).expect("just put there"))
    }

    fn load_inbox(&self, id: AccountId) -> Result<Inbox> {
        let mut statement = self.conn.prepare_cached(
            "SELECT coalesce((SELECT max(seq) FROM entry WHERE stream = ?1 AND seq < ?2), 0),
                    coalesce((SELECT cursor FROM account WHERE id = ?1 AND cursor < ?2), 0)",
        )?;
        Ok(statement
            .query_row([id.0, rows::SEQ_END], |row| Ok(Inbox::new(uint(row.get(0)?), uint(row.get(1)?))))?)
    }

    fn count_inbox(&mut self, id: AccountId) -> Result<()> {
        let cursor = self.inbox_cached(id)?.cursor;
        let sql = "SELECT seq, sender, length(text) FROM entry
                   WHERE stream = ?1 AND seq > ?2 AND seq < ?3 ORDER BY seq";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut found = statement.query((id.0, int(cursor), rows::SEQ_END))?;
        let mut counted = Counted::default();
        while let Some(row) = found.next()? {
            let sender = row.get::<_, Option<i64>>(1)?.map(AccountId);
            counted.push(uint(row.get(0)?), sender, uint(row.get(2)?));
        }
        let inbox = self.inbox_cached(id)?;
        let before = inbox.weight();
        inbox.count(counted);
        let more = inbox.weight() - before;
        self.cache.inboxes.grew(more);
        Ok(())
    }

    fn blocks_cached(&mut self, blocker: AccountId) -> Result<&mut BTreeSet<AccountId>> {
        if self.cache.blocks.get_mut(&blocker).is_none() {
            let statement = self.conn.prepare_cached("SELECT blocked FROM block WHERE blocker = ?1")?;
            let blocked = account_ids(statement, [blocker.0])?;
            self.cache.blocks.insert(blocker, blocked.into_iter().collect());
        }
        Ok(self.cache.blocks.get_mut(&blocker).expect("just put there"))
    }
}

impl Tx for SqliteTx<'_> {
    fn set_epoch(&mut self, epoch: &[u8]) -> Result<()> {
        self.run("UPDATE meta SET value = ?1 WHERE name = 'epoch'", [epoch])?;
        Ok(())
    }

    fn draw_back_times(&mut self, past_ms: i64, blocked_until_ms: i64) -> Result<usize> {
        self.draw_back(past_ms, blocked_until_ms)
    }

    fn earlier_head(&mut self, epoch: &[u8], stream: StreamId) -> Result<Option<u64>> {
        super::backup::earlier_head(self.conn, epoch, stream)
    }

    fn account_by_key(&mut self, key: &str) -> Result<Option<Arc<Account>>> {
        if let Some(id) = self.cache.keys.get_mut(key) {
            let id = *id;
            return self.account(id);
        }
        let Some(found) = rows::account_by_key(self.conn, key)? else { return Ok(None) };
        self.cache.keys.insert(key.to_owned(), found.id);
        self.account(found.id)
    }

    fn account(&mut self, id: AccountId) -> Result<Option<Arc<Account>>> {
        Ok(self.account_cached(id)?.map(|account| account.clone()))
    }

    fn add_account(&mut self, new: &NewAccount) -> Result<Option<AccountId>> {
        if self.account_by_key(&new.key)?.is_some() {
            return Ok(None);
        }
        self.run(
            "INSERT INTO account (key, name, skeleton, password, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
            (&new.key, &new.name, &new.skeleton, &new.password.0, new.created_ms),
        )?;
        let id = AccountId(self.conn.last_insert_rowid());
        self.name_became_known(&new.key)?;
        Ok(Some(id))
    }

    fn set_password(&mut self, account: AccountId, password: &Secret) -> Result<()> {
        self.change_account(account, |cached| cached.password = password.clone())?;
        self.run("UPDATE account SET password = ?2 WHERE id = ?1", (account.0, &password.0))?;
        Ok(())
    }

    fn set_last_seen(&mut self, account: AccountId, ms: i64) -> Result<()> {
        let before = self.account_cached(account)?.map(|cached| cached.last_seen_ms);
        if before.is_some_and(|before| before < ms) {
            self.change_account(account, |cached| cached.last_seen_ms = ms)?;
            self.run("UPDATE account SET last_seen_ms = ?2 WHERE id = ?1", (account.0, ms))?;
        }
        Ok(())
    }

    fn set_disabled(&mut self, account: AccountId, disabled: bool) -> Result<()> {
        self.change_account(account, |cached| cached.disabled = disabled)?;
        self.run("UPDATE account SET disabled = ?2 WHERE id = ?1", (account.0, disabled))?;
        Ok(())
    }

    fn rename(&mut self, account: AccountId, name: &NewName) -> Result<bool> {
        self.change_name(account, name)
    }

    fn delete_account(&mut self, account: AccountId) -> Result<()> {
        self.remove_account(account)
    }

    fn append(&mut self, stream: StreamId, sender: AccountId, sent_ms: i64, text: &Bytes) -> Result<u64> {
        let seq = self.head(stream)? + 1;
        self.run(
            "INSERT INTO entry (stream, seq, sender, sent_ms, text) VALUES (?1, ?2, ?3, ?4, ?5)",
            (stream_row(stream), int(seq), sender.0, sent_ms, text.as_ref()),
        )?;
        match stream {
            StreamId::Broadcast => self.cache.broadcast_head = Some(seq),
            StreamId::Inbox(inbox) => {
                let inbox = self.inbox_cached(inbox)?;
                inbox.push(sender, text.len() as u64);
                let counted = usize::from(inbox.counted().is_some());
                self.cache.inboxes.grew(counted);
            }
        }
        Ok(seq)
    }

    fn head(&mut self, stream: StreamId) -> Result<u64> {
        match stream {
            StreamId::Broadcast => self.broadcast_head(),
            StreamId::Inbox(inbox) => Ok(self.inbox_cached(inbox)?.head),
        }
    }

    fn cursor(&mut self, account: AccountId) -> Result<u64> {
        Ok(self.inbox_cached(account)?.cursor)
    }

    fn unread(&mut self, inbox: AccountId) -> Result<u64> {
        Ok(self.inbox_cached(inbox)?.unread())
    }

    fn unread_counted(&mut self, inbox: AccountId, sender: AccountId) -> Result<Unread> {
        if self.inbox_cached(inbox)?.counted().is_none() {
            self.count_inbox(inbox)?;
        }
        let counted = self.inbox_cached(inbox)?.counted();
        Ok(counted.map(|counted| counted.of_sender(sender)).unwrap_or_default())
    }

    fn set_cursor(&mut self, account: AccountId, seq: u64) -> Result<()> {
        let inbox = self.inbox_cached(account)?;
        let seq = seq.min(inbox.head);
        if seq <= inbox.cursor {
            return Ok(());
        }
        inbox.pass(seq);
        if !std::mem::replace(&mut inbox.changed, true) {
            self.cache.changed_cursors.push(account);
        }
        if let Some(trimmable) = &mut self.cache.trimmable {
            trimmable.entry(account).or_insert(i64::MIN);
        }
        Ok(())
    }

    fn hide(&mut self, inbox: AccountId, sender: AccountId) -> Result<()> {
        let remembered = self.inbox_cached(inbox)?;
        remembered.uncount();
        let cursor = remembered.cursor;
        self.run(
            "UPDATE entry SET sender = NULL, text = x'' WHERE stream = ?1 AND seq > ?2 AND sender = ?3",
            (inbox.0, int(cursor), sender.0),
        )?;
        Ok(())
    }

    fn trim_inboxes(&mut self, before_ms: i64, max: usize) -> Result<usize> {
        self.remove_noted(before_ms, max)
    }

    fn trim_broadcast(&mut self, before_ms: i64, max: usize) -> Result<usize> {
        self.remove_passed(before_ms, max)
    }

    fn outbox(&mut self, account: AccountId, name: &[u8]) -> Result<OutboxId> {
        let mut statement =
            self.conn.prepare_cached("SELECT id FROM outbox WHERE account = ?1 AND name = ?2")?;
        let found = statement.query_row((account.0, name), |row| row.get(0).map(OutboxId)).optional()?;
        if let Some(id) = found {
            return Ok(id);
        }
        self.run("INSERT INTO outbox (account, name) VALUES (?1, ?2)", (account.0, name))?;
        Ok(OutboxId(self.conn.last_insert_rowid()))
    }

    fn outbox_last(&mut self, outbox: OutboxId) -> Result<u64> {
        Ok(self.outbox_cached(outbox)?.last_number)
    }

    fn outbox_state(&mut self, outbox: OutboxId) -> Result<OutboxState> {
        Ok(self.outbox_cached(outbox)?.state())
    }

    fn add_outcome(&mut self, outbox: OutboxId, outcome: Outcome) -> Result<()> {
        if self.outbox_cached(outbox)?.add(outcome) {
            self.cache.changed_outboxes.push(outbox);
        }
        Ok(())
    }

    fn blocks(&mut self, blocker: AccountId, blocked: AccountId) -> Result<bool> {
        Ok(self.blocks_cached(blocker)?.contains(&blocked))
    }

    fn blocks_of(&mut self, account: AccountId) -> Result<Vec<AccountId>> {
        Ok(self.blocks_cached(account)?.iter().copied().collect())
    }

    fn is_blocked_by_any(&mut self, blocked: AccountId) -> Result<bool> {
        if let Some(any) = self.cache.blocked.get_mut(&blocked) {
            return Ok(*any);
        }
        let any = self.conn.prepare_cached("SELECT 1 FROM block WHERE blocked = ?1")?.exists([blocked.0])?;
        Ok(*self.cache.blocked.insert(blocked, any))
    }

    fn set_block(&mut self, blocker: AccountId, blocked: AccountId, on: bool) -> Result<bool> {
        let set = self.blocks_cached(blocker)?;
        let changed = if on { set.insert(blocked) } else { set.remove(&blocked) };
        if !changed {
            return Ok(false);
        }
        let sql = match on {
            true => "INSERT INTO block (blocker, blocked) VALUES (?1, ?2)",
            false => "DELETE FROM block WHERE blocker = ?1 AND blocked = ?2",
        };
        self.run(sql, (blocker.0, blocked.0))?;
        self.cache.blocks.grew(1);
        self.cache.blocked.remove(&blocked);
        Ok(true)
    }

    fn add_session(&mut self, new: &NewSession) -> Result<SessionRow> {
        let head = self.broadcast_head()?;
        sessions::add(self.conn, new, head)
    }

    fn session(&mut self, id: SessionId) -> Result<Option<SessionRow>> {
        sessions::by_id(self.conn, id)
    }

    fn session_by_token(&mut self, token_hash: &[u8; 32]) -> Result<Option<SessionRow>> {
        sessions::by_token(self.conn, token_hash)
    }

    fn sessions_of(&mut self, account: AccountId) -> Result<Vec<SessionRow>> {
        sessions::of_account(self.conn, account)
    }

    fn save_session(&mut self, row: &SessionRow) -> Result<()> {
        sessions::save(self.conn, row)
    }

    fn trim_sessions(&mut self, before_ms: i64, max: usize) -> Result<usize> {
        sessions::trim(self.conn, before_ms, max)
    }

    fn device_known(&mut self, account: AccountId, key: &[u8]) -> Result<bool> {
        self.knows_device(account, key)
    }

    fn add_device(&mut self, account: AccountId, key: &[u8], now_ms: i64) -> Result<()> {
        self.note_device(account, key, now_ms)
    }

    fn failures(&mut self, name: &str, device: &[u8]) -> Result<Failures> {
        self.failures_of(name, device)
    }

    fn set_failures(&mut self, name: &str, device: &[u8], failures: Failures, now_ms: i64) -> Result<()> {
        self.note_failures(name, device, failures, now_ms)
    }

    fn clear_failures(&mut self, name: &str) -> Result<usize> {
        self.cache.unknown_names = None;
        self.run("DELETE FROM failure WHERE name = ?1", [name])
    }

    fn count_failed_login(&mut self, account: AccountId, device: &[u8]) -> Result<()> {
        self.count_failed(account, device)
    }

    fn take_failed_logins(&mut self, account: AccountId, device: &[u8]) -> Result<u64> {
        self.take_failed(account, device)
    }

    fn add_invitation(&mut self, new: &NewInvitation) -> Result<InvitationId> {
        invitations::add(self.conn, new)
    }

    fn use_invitation(&mut self, code_hash: &[u8; 32], now_ms: i64) -> Result<Option<InvitationId>> {
        invitations::take_use(self.conn, code_hash, now_ms)
    }

    fn remove_invitation(&mut self, id: InvitationId) -> Result<bool> {
        invitations::remove(self.conn, id)
    }

    fn trim_invitations(&mut self, now_ms: i64, max: usize) -> Result<usize> {
        invitations::trim(self.conn, now_ms, max)
    }
}
