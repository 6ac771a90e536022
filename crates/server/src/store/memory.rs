//! A store in memory: exact, deterministic, gone with the process.
//!
//! It is what simulations and tests run on, and the yardstick the others are compared with. Every table is an
//! ordered map and every change goes through one function that notes how to take it back (see `tx.rs`), so a
//! transaction costs what it touches, however much there is.
//!
//! A transaction holds the lock: reads of the same store from inside `work` would wait for ever.

mod accounts;
mod invitations;
mod logins;
mod tx;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{
    Account, AccountId, Entry, Failures, Invitation, InvitationId, Listed, OutboxId, OutboxState, Result,
    SERVER, SERVER_NAME, SessionId, SessionRow, Store, StreamId, Tx, UNKNOWN_NAMES_MAX,
};

/// A store in memory. Clones share their data.
#[derive(Clone)]
pub struct MemoryStore {
    data: Arc<Mutex<Data>>,
}

impl MemoryStore {
    /// An empty store with this epoch.
    #[must_use]
    pub fn new(epoch: Bytes) -> Self {
        Self::with_unknown_names_max(epoch, UNKNOWN_NAMES_MAX)
    }

    /// Like [`MemoryStore::new`] with another bound instead of [`UNKNOWN_NAMES_MAX`].
    #[must_use]
    pub fn with_unknown_names_max(epoch: Bytes, unknown_names_max: usize) -> Self {
        let data = Data { epoch, unknown_names_max, ..Data::default() };
        Self { data: Arc::new(Mutex::new(data)) }
    }

    /// A panic in a transaction rolls it back, so that the data are whole whatever the mutex thinks.
    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An account and by what it is found.
#[derive(Clone)]
struct AccountRow {
    account: Arc<Account>,
    cursor: u64,
    key: String,
    skeleton: String,
    created_ms: i64,
}

/// What is known of a stream without counting; `unread` and `bytes` are of an inbox only.
#[derive(Clone, Copy, Default)]
struct Tally {
    head: u64,
    unread: u64,
    bytes: u64,
}

/// Failures and when they were noted.
#[derive(Clone, Copy)]
struct FailuresRow {
    failures: Failures,
    at_ms: i64,
}

/// The tables. Names are those of the SQL schema where there is one of the kind.
#[derive(Default)]
struct Data {
    epoch: Bytes,
    unknown_names_max: usize,
    /// Last row number given, by table.
    last_ids: BTreeMap<&'static str, i64>,
    accounts: BTreeMap<AccountId, AccountRow>,
    keys: BTreeMap<String, AccountId>,
    /// Names of accounts that were deleted.
    former: BTreeMap<AccountId, String>,
    skeletons: BTreeMap<(String, AccountId), ()>,
    entries: BTreeMap<(StreamId, u64), Entry>,
    tallies: BTreeMap<StreamId, Tally>,
    /// Unread entries by inbox and sender; no zeros.
    unread_of: BTreeMap<(AccountId, AccountId), u64>,
    outboxes: BTreeMap<OutboxId, OutboxState>,
    outbox_names: BTreeMap<(AccountId, Vec<u8>), OutboxId>,
    /// (blocker, blocked)
    blocks: BTreeMap<(AccountId, AccountId), ()>,
    /// (blocked, blocker)
    blockers: BTreeMap<(AccountId, AccountId), ()>,
    sessions: BTreeMap<SessionId, SessionRow>,
    tokens: BTreeMap<[u8; 32], SessionId>,
    /// When the device came last, in ms since 1970.
    devices: BTreeMap<(AccountId, Vec<u8>), i64>,
    failures: BTreeMap<(String, Vec<u8>), FailuresRow>,
    /// Classes of `failures` whose name is no account, oldest first.
    unknown: BTreeMap<(i64, String, Vec<u8>), ()>,
    failed_logins: BTreeMap<(AccountId, Vec<u8>), u64>,
    invitations: BTreeMap<InvitationId, Invitation>,
    /// By the SHA-256 of the code.
    invitation_codes: BTreeMap<[u8; 32], InvitationId>,
}

impl Data {
    fn account_by_key(&self, key: &str) -> Option<Arc<Account>> {
        self.keys.get(key).and_then(|id| self.account(*id))
    }

    fn account(&self, id: AccountId) -> Option<Arc<Account>> {
        self.accounts.get(&id).map(|row| row.account.clone())
    }

    fn listed(&self, key: &str, id: AccountId) -> Option<Listed> {
        let row = self.accounts.get(&id)?;
        let classes =
            self.failures.range((key.to_owned(), Vec::new())..).take_while(|((of, _), _)| of == key);
        let blocked = classes.map(|(_, row)| row.failures.blocked_until_ms).max();
        Some(Listed {
            account: (*row.account).clone(),
            key: key.to_owned(),
            created_ms: row.created_ms,
            blocked_until_ms: blocked.unwrap_or(0),
        })
    }

    fn invitation(&self, code_hash: &[u8; 32]) -> Option<Invitation> {
        self.invitation_codes.get(code_hash).and_then(|id| self.invitations.get(id)).cloned()
    }

    fn tally(&self, stream: StreamId) -> Tally {
        self.tallies.get(&stream).copied().unwrap_or_default()
    }

    fn cursor(&self, account: AccountId) -> u64 {
        self.accounts.get(&account).map_or(0, |row| row.cursor)
    }

    /// Entries above `after`, oldest first.
    fn above(&self, stream: StreamId, after: u64) -> impl Iterator<Item = &Entry> {
        let bounds = (Bound::Excluded((stream, after)), Bound::Included((stream, u64::MAX)));
        // An excluded lower bound equal to the upper one is empty, not a mistake.
        let range = (after < u64::MAX).then(|| self.entries.range(bounds));
        range.into_iter().flatten().map(|(_, entry)| entry)
    }
}

/// The second halves of the pairs that begin with `first`.
fn seconds(
    pairs: &BTreeMap<(AccountId, AccountId), ()>,
    first: AccountId,
) -> impl Iterator<Item = AccountId> {
    let all = (first, AccountId(i64::MIN))..=(first, AccountId(i64::MAX));
    pairs.range(all).map(|((_, second), ())| *second)
}

impl Store for MemoryStore {
    fn write(&self, work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>) -> Result<()> {
        let mut data = self.data();
        let mut tx = tx::MemoryTx::new(&mut data);
        work(&mut tx)?;
        tx.commit();
        Ok(())
    }

    fn epoch(&self) -> Result<Bytes> {
        Ok(self.data().epoch.clone())
    }

    fn account_by_key(&self, key: &str) -> Result<Option<Account>> {
        Ok(self.data().account_by_key(key).map(Arc::unwrap_or_clone))
    }

    fn account(&self, id: AccountId) -> Result<Option<Account>> {
        Ok(self.data().account(id).map(Arc::unwrap_or_clone))
    }

    fn skeleton_exists(&self, skeleton: &str) -> Result<bool> {
        let data = self.data();
        let mut from = data.skeletons.range((skeleton.to_owned(), AccountId(i64::MIN))..);
        Ok(from.next().is_some_and(|((found, _), ())| found == skeleton))
    }

    fn entries(
        &self,
        stream: StreamId,
        after: u64,
        entries_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Entry>> {
        let data = self.data();
        let mut bytes = 0;
        let mut found = Vec::new();
        for entry in data.above(stream, after).take(entries_max) {
            bytes += entry.text.len();
            if bytes > bytes_max && !found.is_empty() {
                break;
            }
            found.push(entry.clone());
        }
        Ok(found)
    }

    fn heads(&self, streams: &[StreamId]) -> Result<Vec<u64>> {
        let data = self.data();
        Ok(streams.iter().map(|stream| data.tally(*stream).head).collect())
    }

    fn blocks_of(&self, account: AccountId) -> Result<Vec<AccountId>> {
        let data = self.data();
        let mut blocked: Vec<AccountId> = seconds(&data.blocks, account).collect();
        blocked.sort_by_key(|id| data.accounts.get(id).map(|row| row.key.as_str()));
        Ok(blocked)
    }

    fn blockers_of(&self, account: AccountId) -> Result<Vec<AccountId>> {
        Ok(seconds(&self.data().blockers, account).collect())
    }

    fn seen_since(&self, since_ms: i64) -> Result<Vec<AccountId>> {
        let data = self.data();
        let seen = data.accounts.values().filter(|row| row.account.last_seen_ms >= since_ms);
        Ok(seen.map(|row| row.account.id).collect())
    }

    fn names(&self, accounts: &[AccountId]) -> Result<Vec<String>> {
        let data = self.data();
        let name = |id: &AccountId| {
            let (here, former) = (data.accounts.get(id), data.former.get(id));
            let own = here.map(|row| &row.account.name).or(former).cloned();
            own.or_else(|| (*id == SERVER).then(|| SERVER_NAME.to_owned())).unwrap_or_default()
        };
        Ok(accounts.iter().map(name).collect())
    }

    fn online_sessions(&self) -> Result<Vec<SessionRow>> {
        Ok(self.data().sessions.values().filter(|row| row.online).cloned().collect())
    }

    fn accounts(&self, after: &str, max: usize) -> Result<Vec<Listed>> {
        let data = self.data();
        let keys = data.keys.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        Ok(keys.take(max).filter_map(|(key, id)| data.listed(key, *id)).collect())
    }

    fn sessions(&self, after: SessionId, max: usize) -> Result<Vec<SessionRow>> {
        let data = self.data();
        let above = data.sessions.range((Bound::Excluded(after), Bound::Unbounded)).map(|(_, row)| row);
        Ok(above.filter(|row| row.ended.is_none()).take(max).cloned().collect())
    }

    fn invitation(&self, code_hash: &[u8; 32]) -> Result<Option<Invitation>> {
        Ok(self.data().invitation(code_hash))
    }

    fn invitations(&self, after: InvitationId, max: usize) -> Result<Vec<Invitation>> {
        let data = self.data();
        let above = data.invitations.range((Bound::Excluded(after), Bound::Unbounded));
        Ok(above.map(|(_, row)| row).take(max).cloned().collect())
    }
}
