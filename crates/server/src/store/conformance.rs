//! What every store must do, run against each of them.
//!
//! SQLite is run twice, the second time with a writer that remembers next to nothing.

mod accounts;
mod blocks;
mod invitations;
mod keeping;
mod logins;
mod outboxes;
mod random;
mod sessions;
mod streams;
mod trim;

use bytes::Bytes;
use tempfile::TempDir;

use super::memory::MemoryStore;
use super::sqlite::{SqliteOptions, SqliteStore};
use super::{AccountId, NewAccount, Result, Secret, Store, StoreError, StreamId, Tx};

/// Bound of unknown names in these tests.
const UNKNOWN_NAMES_MAX: usize = 5;

macro_rules! each_store {
    ($($room:ident: $($case:ident)*;)*) => {
        each_store!(memory, |case| case(&memory()), $($($room $case)*)*);
        each_store!(sqlite, |case| in_folder(50_000, case), $($($room $case)*)*);
        each_store!(sqlite_forgetful, |case| in_folder(0, case), $($($room $case)*)*);
    };
    ($store:ident, $open:expr, $($room:ident $case:ident)*) => {
        mod $store {
            use super::*;
            $(
                #[test]
                fn $case() {
                    let run: fn(fn(&dyn Store)) = $open;
                    run($room::$case);
                }
            )*
        }
    };
}

each_store! {
    accounts: added_once passwords_change last_seen_goes_forward epoch_changes names_in_order
        a_failed_transaction_leaves_no_account skeletons_are_found;
    keeping: accounts_are_listed accounts_are_disabled accounts_are_renamed failures_follow_a_name
        deleted_accounts_leave_only_what_others_have a_deleted_name_is_free the_server_has_a_name
        sessions_are_listed failures_of_a_name_are_cleared a_failed_transaction_keeps_accounts;
    streams: numbers_are_dense entries_come_in_bounds unread_is_accounted cursor_stays_in_bounds
        hidden_entries_count_on a_failed_transaction_leaves_the_stream many_senders_are_counted_apart;
    trim: noted_entries_go heads_survive_trimming trimming_is_bounded broadcast_waits_for_sessions
        broadcast_in_a_hole_goes sessions_without_broadcast_do_not_count a_younger_entry_blocks_the_way;
    outboxes: outcomes_are_remembered the_window_is_bounded outboxes_belong_to_accounts
        a_failed_transaction_leaves_outcomes unknown_outboxes_are_errors;
    blocks: blocks_are_set_once blocks_come_in_order_of_keys a_failed_transaction_leaves_blocks;
    sessions: rows_come_back tokens_are_unique sessions_are_found idle_sessions_go
        a_failed_transaction_leaves_sessions;
    logins: devices_are_bounded failures_are_kept unknown_names_are_bounded a_name_that_becomes_an_account_stays
        failed_logins_are_taken_once failed_logins_are_bounded a_device_that_goes_takes_its_failures
        a_failed_transaction_leaves_logins times_of_the_future_are_drawn_back;
    invitations: an_invitation_is_used_as_often_as_it_may an_expired_invitation_is_worth_nothing invitations_are_listed
        invitations_are_taken_back codes_are_unique expired_invitations_go a_failed_transaction_leaves_invitations;
}

fn memory() -> MemoryStore {
    MemoryStore::with_unknown_names_max(Bytes::from_static(b"first"), UNKNOWN_NAMES_MAX)
}

/// A folder that goes when the test is over.
pub(super) struct Folder(TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(super) fn path(&self) -> &std::path::Path {
        self.0.path()
    }

    pub(super) fn open(&self, remembered_max: usize) -> SqliteStore {
        self.open_keeping(remembered_max, SqliteOptions::default().journal_kept)
    }

    fn open_keeping(&self, remembered_max: usize, journal_kept: u32) -> SqliteStore {
        let unknown_names_max = UNKNOWN_NAMES_MAX;
        let options =
            SqliteOptions { unknown_names_max, remembered_max, journal_kept, ..SqliteOptions::default() };
        SqliteStore::open(self.path(), options).unwrap()
    }

    /// What a power cut would leave of an open store.
    pub(super) fn torn(&self) -> Self {
        let copy = Self::new();
        for name in ["hobnob.db", "hobnob.db-wal"] {
            std::fs::copy(self.path().join(name), copy.path().join(name)).unwrap();
        }
        copy
    }
}

fn in_folder(remembered_max: usize, case: fn(&dyn Store)) {
    let folder = Folder::new();
    case(&folder.open(remembered_max));
}

/// Runs one transaction that succeeds.
pub(super) fn write<T>(store: &dyn Store, mut work: impl FnMut(&mut dyn Tx) -> Result<T>) -> T {
    let mut result = None;
    let written = store.write(&mut |tx| {
        result = Some(work(tx)?);
        Ok(())
    });
    written.unwrap();
    result.unwrap()
}

/// Runs one transaction that fails after its work.
fn fail(store: &dyn Store, mut work: impl FnMut(&mut dyn Tx) -> Result<()>) {
    let written = store.write(&mut |tx| {
        work(tx)?;
        Err(StoreError::Database("on purpose".to_owned()))
    });
    assert_eq!(written.unwrap_err().to_string(), "database: on purpose");
}

pub(super) fn new_account(key: &str) -> NewAccount {
    NewAccount {
        name: key.to_uppercase(),
        key: key.to_owned(),
        skeleton: format!("~{key}"),
        password: Secret(format!("hash of {key}")),
        created_ms: 1,
    }
}

/// Adds accounts with these keys.
pub(super) fn people<const N: usize>(store: &dyn Store, keys: [&str; N]) -> [AccountId; N] {
    write(store, |tx| Ok(keys.map(|key| tx.add_account(&new_account(key)).unwrap().unwrap())))
}

/// Sends texts to an inbox, or to broadcast, accepted at 1000, 1001, ...
pub(super) fn send(store: &dyn Store, stream: StreamId, sender: AccountId, texts: &[&'static str]) {
    write(store, |tx| {
        for (sent_ms, text) in (1000..).zip(texts) {
            tx.append(stream, sender, sent_ms, &Bytes::from_static(text.as_bytes()))?;
        }
        Ok(())
    });
}

/// The numbers of what is in a stream.
pub(super) fn numbers(store: &dyn Store, stream: StreamId) -> Vec<u64> {
    store.entries(stream, 0, usize::MAX, usize::MAX).unwrap().iter().map(|entry| entry.seq).collect()
}

pub(super) fn head(store: &dyn Store, stream: StreamId) -> u64 {
    let committed = store.heads(&[stream]).unwrap()[0];
    assert_eq!(write(store, |tx| tx.head(stream)), committed);
    committed
}
