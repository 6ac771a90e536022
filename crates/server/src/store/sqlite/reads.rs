//! Reads beside the writer, each on a connection and in a transaction of its own.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row};

use super::super::{AccountId, Entry, Listed, Result, SERVER, SERVER_NAME, StreamId};
use super::open;
use super::rows::{SEQ_END, account_ids, account_row, int, limit, lossy, stream_row, uint};

/// Connections that are kept when nobody uses them.
const KEPT_MAX: usize = 4;

/// Connections to read with, opened when there is none to spare.
pub(super) struct Readers {
    dir: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir, idle: Mutex::new(Vec::new()) }
    }

    /// Reads one state of the database. A connection on which that failed is not kept.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let conn = idle.map_or_else(|| open::reader(&self.dir), Ok)?;
        let snapshot = conn.unchecked_transaction()?;
        let found = read(&snapshot)?;
        snapshot.finish()?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT_MAX {
            idle.push(conn);
        }
        Ok(found)
    }
}

pub(super) fn epoch(conn: &Connection) -> Result<Bytes> {
    let mut statement = conn.prepare_cached("SELECT value FROM meta WHERE name = 'epoch'")?;
    Ok(statement.query_row([], |row| row.get::<_, Vec<u8>>(0))?.into())
}

pub(super) fn skeleton_exists(conn: &Connection, skeleton: &str) -> Result<bool> {
    Ok(conn.prepare_cached("SELECT 1 FROM account WHERE skeleton = ?1")?.exists([skeleton])?)
}

pub(super) fn entries(
    conn: &Connection,
    stream: StreamId,
    after: u64,
    entries_max: usize,
    bytes_max: usize,
) -> Result<Vec<Entry>> {
    let sql = "SELECT seq, sender, sent_ms, text FROM entry
               WHERE stream = ?1 AND seq > ?2 AND seq < ?4 ORDER BY seq LIMIT ?3";
    let mut statement = conn.prepare_cached(sql)?;
    let mut bytes = 0;
    let mut found = Vec::new();
    let params = (stream_row(stream), int(after), limit(entries_max), SEQ_END);
    for entry in statement.query_map(params, entry_row)? {
        let entry = entry?;
        bytes += entry.text.len();
        if bytes > bytes_max && !found.is_empty() {
            break;
        }
        found.push(entry);
    }
    Ok(found)
}

fn entry_row(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        seq: uint(row.get(0)?),
        sender: row.get::<_, Option<i64>>(1)?.map(AccountId),
        sent_ms: row.get(2)?,
        text: row.get::<_, Vec<u8>>(3)?.into(),
    })
}

pub(super) fn blocks_of(conn: &Connection, account: AccountId) -> Result<Vec<AccountId>> {
    let sql =
        "SELECT blocked FROM block JOIN account ON account.id = blocked WHERE blocker = ?1 ORDER BY key";
    account_ids(conn.prepare_cached(sql)?, [account.0])
}

pub(super) fn blockers_of(conn: &Connection, account: AccountId) -> Result<Vec<AccountId>> {
    let sql = "SELECT blocker FROM block WHERE blocked = ?1 ORDER BY blocker";
    account_ids(conn.prepare_cached(sql)?, [account.0])
}

pub(super) fn seen_since(conn: &Connection, since_ms: i64) -> Result<Vec<AccountId>> {
    let sql = "SELECT id FROM account WHERE last_seen_ms >= ?1 ORDER BY id";
    account_ids(conn.prepare_cached(sql)?, [since_ms])
}

pub(super) fn names(conn: &Connection, accounts: &[AccountId]) -> Result<Vec<String>> {
    let mut statement = conn.prepare_cached(
        "SELECT name FROM account WHERE id = ?1 UNION ALL SELECT name FROM former WHERE id = ?1",
    )?;
    let mut name = |id: &AccountId| -> Result<String> {
        if *id == SERVER {
            return Ok(SERVER_NAME.to_owned());
        }
        Ok(statement.query_row([id.0], |row| lossy(row, 0)).optional()?.unwrap_or_default())
    };
    accounts.iter().map(&mut name).collect()
}

pub(super) fn accounts(conn: &Connection, after: &str, max: usize) -> Result<Vec<Listed>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, name, password, last_seen_ms, disabled, key, created_ms,
             coalesce((SELECT max(blocked_until_ms) FROM failure WHERE failure.name = key), 0)
         FROM account WHERE key > ?1 ORDER BY key LIMIT ?2",
    )?;
    let listed = |row: &Row<'_>| {
        let (created_ms, blocked_until_ms) = (row.get(6)?, row.get(7)?);
        let Ok(key) = row.get(5) else {
            tracing::error!(
                account = row.get::<_, i64>(0)?,
                "the name of an account is damaged: nobody finds it"
            );
            return Ok(None);
        };
        Ok(Some(Listed { account: account_row(row)?, key, created_ms, blocked_until_ms }))
    };
    let found = statement.query_map((after, limit(max)), listed)?.filter_map(rusqlite::Result::transpose);
    Ok(found.collect::<rusqlite::Result<_>>()?)
}
