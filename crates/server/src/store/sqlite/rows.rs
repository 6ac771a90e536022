//! Between rows and values, and the look-ups that readers and the writer share.

use hobnob_protocol::text::visible_line;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row};

use super::super::{Account, AccountId, Result, Secret, StreamId};

/// A number as SQLite has it. Numbers of entries never come near the end; what a client claims can.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number as we have it; the schema holds no negative ones.
pub(super) fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Numbers of entries are below this. What is not is damage, and stands for nothing: it would leave no room for a next one.
pub(super) const SEQ_END: i64 = i64::MAX / 2;

/// A text that is a name or the like. Where it is damaged, what can be read of it, so that one such row keeps no others from
/// being read, and nothing that would steer a terminal or make a second line of a log.
pub(super) fn lossy(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    let text = String::from_utf8_lossy(row.get_ref(column)?.as_bytes()?);
    Ok(visible_line(&text).into_owned())
}

/// A limit as SQLite has it.
pub(super) fn limit(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}

/// `entry.stream` of a stream.
pub(super) fn stream_row(stream: StreamId) -> i64 {
    match stream {
        StreamId::Broadcast => 0,
        StreamId::Inbox(account) => account.0,
    }
}

pub(super) fn account_by_key(conn: &Connection, key: &str) -> Result<Option<Account>> {
    let sql = "SELECT id, name, password, last_seen_ms, disabled FROM account WHERE key = ?1";
    Ok(conn.prepare_cached(sql)?.query_row([key], account_row).optional()?)
}

pub(super) fn account(conn: &Connection, id: AccountId) -> Result<Option<Account>> {
    let sql = "SELECT id, name, password, last_seen_ms, disabled FROM account WHERE id = ?1";
    Ok(conn.prepare_cached(sql)?.query_row([id.0], account_row).optional()?)
}

pub(super) fn account_row(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        id: AccountId(row.get(0)?),
        name: lossy(row, 1)?,
        password: Secret(lossy(row, 2)?),
        last_seen_ms: row.get(3)?,
        disabled: row.get(4)?,
    })
}

/// The head of a stream as its rows tell it. A cursor may be behind in its row, but then the last entry is still there.
pub(super) fn head(conn: &Connection, stream: StreamId) -> Result<u64> {
    let mut statement = match stream {
        StreamId::Broadcast => conn.prepare_cached(
            "SELECT max((SELECT coalesce(max(seq), 0) FROM entry WHERE stream = ?1 AND seq < ?2),
                        (SELECT value FROM meta WHERE name = 'broadcast_floor'))",
        )?,
        StreamId::Inbox(_) => conn.prepare_cached(
            "SELECT max((SELECT coalesce(max(seq), 0) FROM entry WHERE stream = ?1 AND seq < ?2),
                        coalesce((SELECT cursor FROM account WHERE id = ?1 AND cursor < ?2), 0))",
        )?,
    };
    Ok(uint(statement.query_row([stream_row(stream), SEQ_END], |row| row.get(0))?))
}

/// All accounts that a statement finds.
pub(super) fn account_ids(
    mut statement: CachedStatement<'_>,
    params: impl rusqlite::Params,
) -> Result<Vec<AccountId>> {
    let found = statement.query_map(params, |row| row.get(0).map(AccountId))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}
