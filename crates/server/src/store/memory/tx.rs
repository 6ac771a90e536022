//! A transaction: changes happen at once, and each leaves behind how to take it back.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::super::{
    Account, AccountId, Entry, Failures, InvitationId, NewAccount, NewInvitation, NewName, NewSession,
    OUTCOMES_KEPT, OutboxId, OutboxState, Outcome, Result, Secret, SessionId, SessionRow, StoreError,
    StreamId, Tx, Unread,
};
use super::{AccountRow, Data, seconds};

/// Takes one change back.
type Undo = Box<dyn FnOnce(&mut Data)>;

/// A transaction on [`Data`]; dropped without a commit it takes everything back.
pub(super) struct MemoryTx<'a> {
    pub(super) data: &'a mut Data,
    undo: Vec<Undo>,
}

impl<'a> MemoryTx<'a> {
    pub(super) fn new(data: &'a mut Data) -> Self {
        Self { data, undo: Vec::new() }
    }

    pub(super) fn commit(mut self) {
        self.undo.clear();
    }

    /// Sets or removes one row of one table: the only way anything changes.
    pub(super) fn put<K, V>(&mut self, table: fn(&mut Data) -> &mut BTreeMap<K, V>, key: K, row: Option<V>)
    where
        K: Ord + Clone + 'static,
        V: 'static,
    {
        let old = replace(table(self.data), key.clone(), row);
        self.undo.push(Box::new(move |data| {
            replace(table(data), key, old);
        }));
    }

    pub(super) fn next_id(&mut self, table: &'static str) -> i64 {
        let id = self.data.last_ids.get(table).map_or(1, |last| last + 1);
        self.put(|data| &mut data.last_ids, table, Some(id));
        id
    }

    fn change_account(&mut self, id: AccountId, change: impl FnOnce(&mut Account)) {
        self.change_row(id, |row| change(Arc::make_mut(&mut row.account)));
    }

    fn change_row(&mut self, id: AccountId, change: impl FnOnce(&mut AccountRow)) {
        if let Some(mut row) = self.data.accounts.get(&id).cloned() {
            change(&mut row);
            self.put(|data| &mut data.accounts, id, Some(row));
        }
    }

    /// Adds to the unread entries of one sender in one inbox.
    fn count_unread(&mut self, inbox: AccountId, sender: AccountId, by: i64) {
        let key = (inbox, sender);
        let count = self.data.unread_of.get(&key).copied().unwrap_or(0).saturating_add_signed(by);
        self.put(|data| &mut data.unread_of, key, (count > 0).then_some(count));
    }

    fn remove_entries(&mut self, stream: StreamId, numbers: &[u64]) {
        for seq in numbers {
            self.put(|data| &mut data.entries, (stream, *seq), None);
        }
    }

    /// Whether a session can still need a broadcast entry.
    fn broadcast_needed(&self, seq: u64) -> bool {
        let live = self.data.sessions.values().filter(|row| row.ended.is_none() && !row.background);
        live.into_iter().any(|row| {
            let in_hole =
                row.broadcast_hole.is_some_and(|(from, to)| from < seq && to.is_none_or(|to| seq <= to));
            row.broadcast_floor < seq && !in_hole
        })
    }
}

impl Drop for MemoryTx<'_> {
    fn drop(&mut self) {
        while let Some(undo) = self.undo.pop() {
            undo(self.data);
        }
    }
}

fn replace<K: Ord, V>(table: &mut BTreeMap<K, V>, key: K, row: Option<V>) -> Option<V> {
    match row {
        Some(row) => table.insert(key, row),
        None => table.remove(&key),
    }
}

impl Tx for MemoryTx<'_> {
    fn set_epoch(&mut self, epoch: &[u8]) -> Result<()> {
        let old = std::mem::replace(&mut self.data.epoch, Bytes::copy_from_slice(epoch));
        self.undo.push(Box::new(|data| data.epoch = old));
        Ok(())
    }

    /// What is kept in memory is never restored.
    fn earlier_head(&mut self, _: &[u8], _: StreamId) -> Result<Option<u64>> {
        Ok(None)
    }

    fn account_by_key(&mut self, key: &str) -> Result<Option<Arc<Account>>> {
        Ok(self.data.account_by_key(key))
    }

    fn account(&mut self, id: AccountId) -> Result<Option<Arc<Account>>> {
        Ok(self.data.account(id))
    }

    fn add_account(&mut self, new: &NewAccount) -> Result<Option<AccountId>> {
        if self.data.keys.contains_key(&new.key) {
            return Ok(None);
        }
        let id = AccountId(self.next_id("account"));
        let (name, password) = (new.name.clone(), new.password.clone());
        let account = Arc::new(Account { id, name, password, last_seen_ms: 0, disabled: false });
        let (key, skeleton, created_ms) = (new.key.clone(), new.skeleton.clone(), new.created_ms);
        let row = AccountRow { account, cursor: 0, key, skeleton, created_ms };
        self.put(|data| &mut data.skeletons, (row.skeleton.clone(), id), Some(()));
        self.put(|data| &mut data.keys, row.key.clone(), Some(id));
        self.put(|data| &mut data.accounts, id, Some(row));
        self.name_became_known(&new.key);
        Ok(Some(id))
    }

    fn set_password(&mut self, account: AccountId, password: &Secret) -> Result<()> {
        self.change_account(account, |row| row.password = password.clone());
        Ok(())
    }

    fn draw_back_times(&mut self, past_ms: i64, blocked_until_ms: i64) -> Result<usize> {
        let mut rows = 0;
        let seen = self.data.accounts.iter().filter(|(_, row)| row.account.last_seen_ms > past_ms);
        for id in seen.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.change_account(id, |row| row.last_seen_ms = past_ms);
            rows += 1;
        }
        let used = self.data.sessions.iter().filter(|(_, row)| row.used_ms > past_ms);
        for (id, row) in used.map(|(id, row)| (*id, row.clone())).collect::<Vec<_>>() {
            self.put(|data| &mut data.sessions, id, Some(SessionRow { used_ms: past_ms, ..row }));
            rows += 1;
        }
        let came = self.data.devices.iter().filter(|(_, came_ms)| **came_ms > past_ms);
        for key in came.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.put(|data| &mut data.devices, key, Some(past_ms));
            rows += 1;
        }
        let failed: Vec<_> = self.data.failures.iter().map(|(key, row)| (key.clone(), *row)).collect();
        for (key, row) in failed {
            let mut back = row;
            back.at_ms = row.at_ms.min(past_ms);
            back.failures.blocked_until_ms = row.failures.blocked_until_ms.min(blocked_until_ms);
            rows += usize::from(back.at_ms != row.at_ms);
            rows += usize::from(back.failures != row.failures);
            let unknown = |at_ms| (at_ms, key.0.clone(), key.1.clone());
            if back.at_ms != row.at_ms && self.data.unknown.contains_key(&unknown(row.at_ms)) {
                self.put(|data| &mut data.unknown, unknown(row.at_ms), None);
                self.put(|data| &mut data.unknown, unknown(back.at_ms), Some(()));
            }
            self.put(|data| &mut data.failures, key, Some(back));
        }
        Ok(rows)
    }

    fn set_last_seen(&mut self, account: AccountId, ms: i64) -> Result<()> {
        self.change_account(account, |row| row.last_seen_ms = row.last_seen_ms.max(ms));
        Ok(())
    }

    fn set_disabled(&mut self, account: AccountId, disabled: bool) -> Result<()> {
        self.change_account(account, |row| row.disabled = disabled);
        Ok(())
    }

    fn rename(&mut self, account: AccountId, name: &NewName) -> Result<bool> {
        Ok(self.change_name(account, name))
    }

    fn delete_account(&mut self, account: AccountId) -> Result<()> {
        self.remove_account(account);
        Ok(())
    }

    fn append(&mut self, stream: StreamId, sender: AccountId, sent_ms: i64, text: &Bytes) -> Result<u64> {
        let mut tally = self.data.tally(stream);
        tally.head += 1;
        if let StreamId::Inbox(inbox) = stream {
            tally.unread += 1;
            tally.bytes += text.len() as u64;
            self.count_unread(inbox, sender, 1);
        }
        let seq = tally.head;
        let entry = Entry { seq, sender: Some(sender), sent_ms, text: text.clone() };
        self.put(|data| &mut data.entries, (stream, seq), Some(entry));
        self.put(|data| &mut data.tallies, stream, Some(tally));
        Ok(seq)
    }

    fn head(&mut self, stream: StreamId) -> Result<u64> {
        Ok(self.data.tally(stream).head)
    }

    fn cursor(&mut self, account: AccountId) -> Result<u64> {
        Ok(self.data.cursor(account))
    }

    fn unread(&mut self, inbox: AccountId) -> Result<u64> {
        Ok(self.data.tally(StreamId::Inbox(inbox)).unread)
    }

    fn unread_counted(&mut self, inbox: AccountId, sender: AccountId) -> Result<Unread> {
        let tally = self.data.tally(StreamId::Inbox(inbox));
        let of_sender = self.data.unread_of.get(&(inbox, sender)).copied().unwrap_or(0);
        Ok(Unread { bytes: tally.bytes, of_sender })
    }

    fn set_cursor(&mut self, account: AccountId, seq: u64) -> Result<()> {
        let stream = StreamId::Inbox(account);
        let mut tally = self.data.tally(stream);
        let (from, to) = (self.data.cursor(account), seq.min(tally.head));
        if to <= from {
            return Ok(());
        }
        let passed: Vec<(Option<AccountId>, usize)> = self
            .data
            .above(stream, from)
            .take_while(|e| e.seq <= to)
            .map(|e| (e.sender, e.text.len()))
            .collect();
        for (sender, bytes) in passed {
            tally.unread -= 1;
            tally.bytes -= bytes as u64;
            if let Some(sender) = sender {
                self.count_unread(account, sender, -1);
            }
        }
        self.put(|data| &mut data.tallies, stream, Some(tally));
        self.change_row(account, |row| row.cursor = to);
        Ok(())
    }

    fn hide(&mut self, inbox: AccountId, sender: AccountId) -> Result<()> {
        let stream = StreamId::Inbox(inbox);
        let mut tally = self.data.tally(stream);
        let unread = self.data.above(stream, self.data.cursor(inbox));
        let theirs: Vec<Entry> = unread.filter(|entry| entry.sender == Some(sender)).cloned().collect();
        for entry in theirs {
            tally.bytes -= entry.text.len() as u64;
            let hidden = Entry { sender: None, text: Bytes::new(), ..entry };
            self.put(|data| &mut data.entries, (stream, hidden.seq), Some(hidden));
        }
        self.put(|data| &mut data.unread_of, (inbox, sender), None);
        self.put(|data| &mut data.tallies, stream, Some(tally));
        Ok(())
    }

    fn trim_inboxes(&mut self, before_ms: i64, max: usize) -> Result<usize> {
        let mut left = max;
        let cursors: Vec<_> = self.data.accounts.values().map(|r| (r.account.id, r.cursor)).collect();
        for (id, cursor) in cursors {
            let stream = StreamId::Inbox(id);
            let old = self.data.above(stream, 0).take_while(|e| e.seq <= cursor && e.sent_ms < before_ms);
            let numbers: Vec<u64> = old.map(|entry| entry.seq).take(left).collect();
            left -= numbers.len();
            self.remove_entries(stream, &numbers);
        }
        Ok(max - left)
    }

    fn trim_broadcast(&mut self, before_ms: i64, max: usize) -> Result<usize> {
        let unneeded =
            self.data.above(StreamId::Broadcast, 0).filter(|entry| !self.broadcast_needed(entry.seq));
        let old = unneeded.take_while(|entry| entry.sent_ms < before_ms);
        let numbers: Vec<u64> = old.map(|entry| entry.seq).take(max).collect();
        self.remove_entries(StreamId::Broadcast, &numbers);
        Ok(numbers.len())
    }

    fn outbox(&mut self, account: AccountId, name: &[u8]) -> Result<OutboxId> {
        let key = (account, name.to_vec());
        if let Some(id) = self.data.outbox_names.get(&key) {
            return Ok(*id);
        }
        let id = OutboxId(self.next_id("outbox"));
        self.put(|data| &mut data.outbox_names, key, Some(id));
        self.put(|data| &mut data.outboxes, id, Some(OutboxState::default()));
        Ok(id)
    }

    fn outbox_last(&mut self, outbox: OutboxId) -> Result<u64> {
        Ok(self.outbox_state(outbox)?.last_number)
    }

    fn outbox_state(&mut self, outbox: OutboxId) -> Result<OutboxState> {
        let state = self.data.outboxes.get(&outbox).cloned();
        state.ok_or_else(|| StoreError::Database(format!("there is no outbox {}", outbox.0)))
    }

    fn add_outcome(&mut self, outbox: OutboxId, outcome: Outcome) -> Result<()> {
        let mut state = self.outbox_state(outbox)?;
        state.last_number += 1;
        state.outcomes.push(outcome);
        if state.outcomes.len() > OUTCOMES_KEPT {
            state.outcomes.remove(0);
        }
        self.put(|data| &mut data.outboxes, outbox, Some(state));
        Ok(())
    }

    fn blocks(&mut self, blocker: AccountId, blocked: AccountId) -> Result<bool> {
        Ok(self.data.blocks.contains_key(&(blocker, blocked)))
    }

    fn blocks_of(&mut self, account: AccountId) -> Result<Vec<AccountId>> {
        Ok(seconds(&self.data.blocks, account).collect())
    }

    fn is_blocked_by_any(&mut self, blocked: AccountId) -> Result<bool> {
        Ok(seconds(&self.data.blockers, blocked).next().is_some())
    }

    fn set_block(&mut self, blocker: AccountId, blocked: AccountId, on: bool) -> Result<bool> {
        if self.blocks(blocker, blocked)? == on {
            return Ok(false);
        }
        self.put(|data| &mut data.blocks, (blocker, blocked), on.then_some(()));
        self.put(|data| &mut data.blockers, (blocked, blocker), on.then_some(()));
        Ok(true)
    }

    fn add_session(&mut self, new: &NewSession) -> Result<SessionRow> {
        if self.data.tokens.contains_key(&new.token_hash) {
            return Err(StoreError::Database("a session with this token exists".to_owned()));
        }
        let row = SessionRow {
            id: SessionId(self.next_id("session")),
            account: new.account,
            background: new.background,
            generation: 1,
            online: !new.background,
            ended: None,
            used_ms: new.now_ms,
            broadcast_floor: self.data.tally(StreamId::Broadcast).head,
            broadcast_hole: None,
        };
        self.put(|data| &mut data.tokens, new.token_hash, Some(row.id));
        self.put(|data| &mut data.sessions, row.id, Some(row.clone()));
        Ok(row)
    }

    fn session(&mut self, id: SessionId) -> Result<Option<SessionRow>> {
        Ok(self.data.sessions.get(&id).cloned())
    }

    fn session_by_token(&mut self, token_hash: &[u8; 32]) -> Result<Option<SessionRow>> {
        Ok(self.data.tokens.get(token_hash).and_then(|id| self.data.sessions.get(id)).cloned())
    }

    fn sessions_of(&mut self, account: AccountId) -> Result<Vec<SessionRow>> {
        let live = self.data.sessions.values().filter(|row| row.account == account && row.ended.is_none());
        Ok(live.cloned().collect())
    }

    fn save_session(&mut self, row: &SessionRow) -> Result<()> {
        if let Some(old) = self.data.sessions.get(&row.id) {
            let row = SessionRow { account: old.account, ..row.clone() };
            self.put(|data| &mut data.sessions, row.id, Some(row));
        }
        Ok(())
    }

    fn trim_sessions(&mut self, before_ms: i64, max: usize) -> Result<usize> {
        let idle = self.data.sessions.values().filter(|row| row.used_ms < before_ms && !row.online);
        let mut idle: Vec<(i64, SessionId)> = idle.map(|row| (row.used_ms, row.id)).collect();
        idle.sort_unstable();
        idle.truncate(max);
        for (_, id) in &idle {
            let token = self.data.tokens.iter().find(|(_, of)| *of == id).map(|(token, _)| *token);
            if let Some(token) = token {
                self.put(|data| &mut data.tokens, token, None);
            }
            self.put(|data| &mut data.sessions, *id, None);
        }
        Ok(idle.len())
    }

    fn device_known(&mut self, account: AccountId, key: &[u8]) -> Result<bool> {
        Ok(self.data.devices.contains_key(&(account, key.to_vec())))
    }

    fn add_device(&mut self, account: AccountId, key: &[u8], now_ms: i64) -> Result<()> {
        self.note_device(account, key, now_ms);
        Ok(())
    }

    fn failures(&mut self, name: &str, device: &[u8]) -> Result<Failures> {
        let row = self.data.failures.get(&(name.to_owned(), device.to_vec()));
        Ok(row.map(|row| row.failures).unwrap_or_default())
    }

    fn set_failures(&mut self, name: &str, device: &[u8], failures: Failures, now_ms: i64) -> Result<()> {
        self.note_failures(name, device, failures, now_ms);
        Ok(())
    }

    fn clear_failures(&mut self, name: &str) -> Result<usize> {
        Ok(self.forget_failures(name))
    }

    fn count_failed_login(&mut self, account: AccountId, device: &[u8]) -> Result<()> {
        self.count_failed(account, device);
        Ok(())
    }

    fn take_failed_logins(&mut self, account: AccountId, device: &[u8]) -> Result<u64> {
        Ok(self.take_failed(account, device))
    }

    fn add_invitation(&mut self, new: &NewInvitation) -> Result<InvitationId> {
        self.note_invitation(new)
    }

    fn use_invitation(&mut self, code_hash: &[u8; 32], now_ms: i64) -> Result<Option<InvitationId>> {
        Ok(self.take_use(code_hash, now_ms))
    }

    fn remove_invitation(&mut self, id: InvitationId) -> Result<bool> {
        Ok(self.forget_invitation(id))
    }

    fn trim_invitations(&mut self, now_ms: i64, max: usize) -> Result<usize> {
        Ok(self.forget_expired(now_ms, max))
    }
}
