//! A store in a file: one SQLite database in a folder of its own.
//!
//! One connection writes, a few others read beside it (WAL). The schema keeps no heads and no counters, and
//! what the path of a message asks is answered from what the writer remembers (`cache.rs`).

mod accounts;
pub mod backup;
mod cache;
mod heal;
mod inbox;
mod invitations;
mod journal;
mod logins;
mod open;
mod outbox;
mod reads;
mod room;
mod rows;
mod schema;
mod sessions;
#[cfg(test)]
mod tests;
mod trim;
mod tx;
pub mod verify;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode, ffi};

use super::{
    Account, AccountId, Entry, Invitation, InvitationId, Listed, Result, SessionId, SessionRow, Store,
    StoreError, StreamId, Tx, UNKNOWN_NAMES_MAX,
};
use cache::Cache;
use reads::Readers;
use tx::SqliteTx;

/// How long a truncating checkpoint waits for readers. They are short, and so is the writer's patience.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_millis(250);

/// What can be set about a [`SqliteStore`]; the default is right except for tests.
#[derive(Clone, Copy, Debug)]
pub struct SqliteOptions {
    /// Names without an account whose failures are kept.
    pub unknown_names_max: usize,
    /// Size of the write-ahead log, in bytes, above which writing pauses to empty it.
    pub log_bytes_max: u64,
    /// About how many rows of each kind the writer remembers.
    pub remembered_max: usize,
    /// Transactions after which rows of outboxes and cursors follow what the journal says.
    pub journal_kept: u32,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            unknown_names_max: UNKNOWN_NAMES_MAX,
            log_bytes_max: 64 * 1024 * 1024,
            remembered_max: 50_000,
            journal_kept: 512,
        }
    }
}

/// A store in a file. Dropping it closes it cleanly.
///
/// Fields are dropped in their order: the readers must go before the writer can empty the log, and the lock
/// goes last.
pub struct SqliteStore {
    readers: Readers,
    writer: Mutex<Writer>,
    _lock: File,
}

/// The connection that writes.
struct Writer {
    conn: Connection,
    cache: Cache,
    options: SqliteOptions,
    log: PathBuf,
    dir: PathBuf,
    /// Room is scarce, so the log is kept short.
    scarce: bool,
    /// Size of the log above which it is emptied; higher than wanted while readers prevented that.
    log_bytes_limit: u64,
}

/// Bytes of the database of a folder, and of its write-ahead log; 0 for what is not there.
pub(crate) fn size(dir: &Path) -> (u64, u64) {
    let bytes = |path: PathBuf| std::fs::metadata(path).map_or(0, |file| file.len());
    (bytes(open::database(dir)), bytes(open::log(dir)))
}

impl SqliteStore {
    /// Opens the store of this folder, making both if there are none.
    ///
    /// # Errors
    /// [`StoreError::Held`] if another process has it open, [`StoreError::Unusable`] if it is not ours or from
    /// a later version.
    pub fn open(dir: &Path, options: SqliteOptions) -> Result<Self> {
        open::check_version(rusqlite::version_number())?;
        let lock = open::take_folder(dir)?;
        let conn = open::writer(dir, options.log_bytes_max)?;
        heal::all(&conn)?;
        let writer = Writer {
            conn,
            cache: Cache::new(options.remembered_max),
            options,
            log: open::log(dir),
            dir: dir.to_owned(),
            scarce: false,
            log_bytes_limit: options.log_bytes_max,
        };
        Ok(Self { readers: Readers::new(dir.to_owned()), writer: Mutex::new(writer), _lock: lock })
    }

    /// A panic in a transaction rolls it back, so that the writer is whole whatever the mutex thinks.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    fn write(&mut self, work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>) -> Result<()> {
        self.transaction(|tx| {
            tx.load_journal()?;
            work(tx)?;
            tx.end()
        })?;
        self.cache.age();
        self.bound_log();
        Ok(())
    }

    fn transaction(&mut self, work: impl FnOnce(&mut SqliteTx<'_>) -> Result<()>) -> Result<()> {
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        OpenTransaction { writer: self, done: false }.run(work)
    }

    /// Empties the log when it has grown too much: a reader can keep the usual checkpoints from finishing.
    fn bound_log(&mut self) {
        let size = |log: &Path| std::fs::metadata(log).map_or(0, |log| log.len());
        if size(&self.log) <= self.log_bytes_limit {
            return;
        }
        if let Err(error) = self.empty_log() {
            tracing::warn!(%error, "the write-ahead log could not be emptied");
        }
        // Where readers were in the way, wait until it has grown as much again.
        self.log_bytes_limit = size(&self.log).saturating_add(self.options.log_bytes_max);
        if size(&self.log) < self.options.log_bytes_max {
            self.log_bytes_limit = self.options.log_bytes_max;
        }
    }

    fn empty_log(&self) -> Result<()> {
        self.conn.busy_timeout(CHECKPOINT_TIMEOUT)?;
        let checkpoint = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        self.conn.busy_timeout(open::BUSY_TIMEOUT)?;
        Ok(checkpoint?)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let settled = self.transaction(|tx| tx.settle());
        let optimized = self.conn.execute_batch("PRAGMA optimize").map_err(StoreError::from);
        if let Err(error) = settled.and(optimized).and_then(|()| self.empty_log()) {
            tracing::warn!(%error, "the database was not tidied up at its end");
        }
    }
}

/// A begun transaction; dropped without a commit (an error, a panic) it is rolled back, and what was remembered
/// is forgotten with it.
struct OpenTransaction<'a> {
    writer: &'a mut Writer,
    done: bool,
}

impl OpenTransaction<'_> {
    fn run(mut self, work: impl FnOnce(&mut SqliteTx<'_>) -> Result<()>) -> Result<()> {
        let writer = &mut *self.writer;
        work(&mut SqliteTx { conn: &writer.conn, cache: &mut writer.cache, options: &writer.options })?;
        writer.conn.prepare_cached("COMMIT")?.execute([])?;
        self.done = true;
        Ok(())
    }
}

impl Drop for OpenTransaction<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        self.writer.cache = Cache::new(self.writer.options.remembered_max);
        // Some failures have rolled it back already.
        if !self.writer.conn.is_autocommit()
            && let Err(error) = self.writer.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }
}

impl Store for SqliteStore {
    fn write(&self, work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>) -> Result<()> {
        self.writer().write(work)
    }

    fn room(&self, wanted: u64) -> u64 {
        self.writer().room(wanted)
    }

    fn probe(&self) -> Result<()> {
        schema::touch(&self.writer().conn)
    }

    fn epoch(&self) -> Result<Bytes> {
        self.readers.read(reads::epoch)
    }

    fn account_by_key(&self, key: &str) -> Result<Option<Account>> {
        self.readers.read(|conn| rows::account_by_key(conn, key))
    }

    fn account(&self, id: AccountId) -> Result<Option<Account>> {
        self.readers.read(|conn| rows::account(conn, id))
    }

    fn skeleton_exists(&self, skeleton: &str) -> Result<bool> {
        self.readers.read(|conn| reads::skeleton_exists(conn, skeleton))
    }

    fn entries(
        &self,
        stream: StreamId,
        after: u64,
        entries_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Entry>> {
        self.readers.read(|conn| reads::entries(conn, stream, after, entries_max, bytes_max))
    }

    fn heads(&self, streams: &[StreamId]) -> Result<Vec<u64>> {
        self.readers.read(|conn| streams.iter().map(|stream| rows::head(conn, *stream)).collect())
    }

    fn blocks_of(&self, account: AccountId) -> Result<Vec<AccountId>> {
        self.readers.read(|conn| reads::blocks_of(conn, account))
    }

    fn blockers_of(&self, account: AccountId) -> Result<Vec<AccountId>> {
        self.readers.read(|conn| reads::blockers_of(conn, account))
    }

    fn seen_since(&self, since_ms: i64) -> Result<Vec<AccountId>> {
        self.readers.read(|conn| reads::seen_since(conn, since_ms))
    }

    fn names(&self, accounts: &[AccountId]) -> Result<Vec<String>> {
        self.readers.read(|conn| reads::names(conn, accounts))
    }

    fn online_sessions(&self) -> Result<Vec<SessionRow>> {
        self.readers.read(sessions::online)
    }

    fn accounts(&self, after: &str, max: usize) -> Result<Vec<Listed>> {
        self.readers.read(|conn| reads::accounts(conn, after, max))
    }

    fn sessions(&self, after: SessionId, max: usize) -> Result<Vec<SessionRow>> {
        self.readers.read(|conn| sessions::above(conn, after, max))
    }

    fn invitation(&self, code_hash: &[u8; 32]) -> Result<Option<Invitation>> {
        self.readers.read(|conn| invitations::by_code(conn, code_hash))
    }

    fn invitations(&self, after: InvitationId, max: usize) -> Result<Vec<Invitation>> {
        self.readers.read(|conn| invitations::above(conn, after, max))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let Some(code) = error.sqlite_error() else { return Self::Database(error.to_string()) };
        match (code.code, code.extended_code) {
            // The index of the log is a file of its own that can find no room.
            (ErrorCode::DiskFull, _) | (_, ffi::SQLITE_IOERR_SHMSIZE) => Self::Full,
            (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => Self::Unusable(error.to_string()),
            (ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen, _)
            | (
                _,
                ffi::SQLITE_IOERR_WRITE
                | ffi::SQLITE_IOERR_FSYNC
                | ffi::SQLITE_IOERR_DIR_FSYNC
                | ffi::SQLITE_IOERR_TRUNCATE
                | ffi::SQLITE_IOERR_SHMOPEN
                | ffi::SQLITE_IOERR_SHMMAP,
            ) => Self::Unwritable(error.to_string()),
            _ => Self::Database(error.to_string()),
        }
    }
}
