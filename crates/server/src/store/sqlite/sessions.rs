//! Rows of sessions.

use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::super::{AccountId, Ended, NewSession, Result, SessionId, SessionRow};
use super::rows::{int, limit, uint};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, account, background, generation, online, ended, used_ms, broadcast_floor, ",
            "hole_from, hole_to FROM session ",
            $rest
        )
    };
}

pub(super) fn online(conn: &Connection) -> Result<Vec<SessionRow>> {
    many(conn, select!("WHERE online = 1 ORDER BY id"), [])
}

pub(super) fn of_account(conn: &Connection, account: AccountId) -> Result<Vec<SessionRow>> {
    many(conn, select!("WHERE account = ?1 AND ended IS NULL ORDER BY id"), [account.0])
}

/// Those above a row that have not ended.
pub(super) fn above(conn: &Connection, after: SessionId, max: usize) -> Result<Vec<SessionRow>> {
    many(conn, select!("WHERE id > ?1 AND ended IS NULL ORDER BY id LIMIT ?2"), (after.0, limit(max)))
}

pub(super) fn by_id(conn: &Connection, id: SessionId) -> Result<Option<SessionRow>> {
    Ok(conn.prepare_cached(select!("WHERE id = ?1"))?.query_row([id.0], session_row).optional()?)
}

pub(super) fn by_token(conn: &Connection, token_hash: &[u8; 32]) -> Result<Option<SessionRow>> {
    let mut statement = conn.prepare_cached(select!("WHERE token_hash = ?1"))?;
    Ok(statement.query_row([token_hash.as_slice()], session_row).optional()?)
}

pub(super) fn add(conn: &Connection, new: &NewSession, broadcast_head: u64) -> Result<SessionRow> {
    let online = !new.background;
    conn.prepare_cached(
        "INSERT INTO session (account, background, token_hash, generation, online, used_ms, broadcast_floor)
         VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6)",
    )?
    .execute((
        new.account.0,
        new.background,
        new.token_hash.as_slice(),
        online,
        new.now_ms,
        int(broadcast_head),
    ))?;
    Ok(SessionRow {
        id: SessionId(conn.last_insert_rowid()),
        account: new.account,
        background: new.background,
        generation: 1,
        online,
        ended: None,
        used_ms: new.now_ms,
        broadcast_floor: broadcast_head,
        broadcast_hole: None,
    })
}

pub(super) fn save(conn: &Connection, row: &SessionRow) -> Result<()> {
    let (from, to) = row.broadcast_hole.map_or((None, None), |(from, to)| (Some(int(from)), to.map(int)));
    conn.prepare_cached(
        "UPDATE session SET background = ?2, generation = ?3, online = ?4, ended = ?5, used_ms = ?6,
             broadcast_floor = ?7, hole_from = ?8, hole_to = ?9 WHERE id = ?1",
    )?
    .execute((
        row.id.0,
        row.background,
        int(row.generation),
        row.online,
        row.ended.map(|ended| ended as u8),
        row.used_ms,
        int(row.broadcast_floor),
        from,
        to,
    ))?;
    Ok(())
}

pub(super) fn trim(conn: &Connection, before_ms: i64, max: usize) -> Result<usize> {
    let mut statement = conn.prepare_cached(
        "DELETE FROM session WHERE id IN
             (SELECT id FROM session WHERE used_ms < ?1 AND online = 0 ORDER BY used_ms, id LIMIT ?2)",
    )?;
    Ok(statement.execute((before_ms, limit(max)))?)
}

/// A session's broadcast floor and hole.
pub(super) type Floor = (u64, Option<(u64, Option<u64>)>);

/// Floors and holes of the sessions that can still need broadcast entries.
pub(super) fn floors(conn: &Connection) -> Result<Vec<Floor>> {
    let mut statement = conn.prepare_cached(
        "SELECT broadcast_floor, hole_from, hole_to FROM session WHERE ended IS NULL AND background = 0",
    )?;
    let found = statement.query_map([], |row| Ok((uint(row.get(0)?), hole(row, 1, 2)?)))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

fn many(conn: &Connection, sql: &str, params: impl Params) -> Result<Vec<SessionRow>> {
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_map(params, session_row)?.collect::<rusqlite::Result<_>>()?)
}

fn session_row(row: &Row<'_>) -> rusqlite::Result<SessionRow> {
    Ok(SessionRow {
        id: SessionId(row.get(0)?),
        account: AccountId(row.get(1)?),
        background: row.get(2)?,
        generation: uint(row.get(3)?),
        online: row.get(4)?,
        ended: row.get::<_, Option<i64>>(5)?.map(ended),
        used_ms: row.get(6)?,
        broadcast_floor: uint(row.get(7)?),
        broadcast_hole: hole(row, 8, 9)?,
    })
}

fn hole(row: &Row<'_>, from: usize, to: usize) -> rusqlite::Result<Option<(u64, Option<u64>)>> {
    let (from, to) = (row.get::<_, Option<i64>>(from)?, row.get::<_, Option<i64>>(to)?);
    Ok(from.map(|from| (uint(from), to.map(uint))))
}

fn ended(reason: i64) -> Ended {
    match reason {
        2 => Ended::TimedOut,
        3 => Ended::Replaced,
        4 => Ended::PasswordChanged,
        5 => Ended::Kicked,
        _ => Ended::LoggedOut,
    }
}
