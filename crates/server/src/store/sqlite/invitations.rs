//! Invitations to register. Seldom used, so nothing of them is remembered.

use rusqlite::{Connection, OptionalExtension, Row};

use super::super::{Invitation, InvitationId, NewInvitation, Result};
use super::rows::limit;

const COLUMNS: &str = "id, uses_left, expires_ms, made_ms, note";

pub(super) fn by_code(conn: &Connection, code_hash: &[u8; 32]) -> Result<Option<Invitation>> {
    let sql = format!("SELECT {COLUMNS} FROM invitation WHERE code_hash = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([code_hash], invitation_row).optional()?)
}

pub(super) fn above(conn: &Connection, after: InvitationId, max: usize) -> Result<Vec<Invitation>> {
    let sql = format!("SELECT {COLUMNS} FROM invitation WHERE id > ?1 ORDER BY id LIMIT ?2");
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map((after.0, limit(max)), invitation_row)?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn add(conn: &Connection, new: &NewInvitation) -> Result<InvitationId> {
    conn.prepare_cached(
        "INSERT INTO invitation (code_hash, made_ms, expires_ms, uses_left, note) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((&new.code_hash, new.made_ms, new.expires_ms, new.uses, &new.note))?;
    Ok(InvitationId(conn.last_insert_rowid()))
}

pub(super) fn take_use(conn: &Connection, code_hash: &[u8; 32], now_ms: i64) -> Result<Option<InvitationId>> {
    let Some(found) = by_code(conn, code_hash)?.filter(|found| found.is_good(now_ms)) else {
        return Ok(None);
    };
    if found.uses_left == 1 {
        remove(conn, found.id)?;
    } else {
        conn.prepare_cached("UPDATE invitation SET uses_left = uses_left - 1 WHERE id = ?1")?
            .execute([found.id.0])?;
    }
    Ok(Some(found.id))
}

pub(super) fn remove(conn: &Connection, id: InvitationId) -> Result<bool> {
    Ok(conn.prepare_cached("DELETE FROM invitation WHERE id = ?1")?.execute([id.0])? > 0)
}

pub(super) fn trim(conn: &Connection, now_ms: i64, max: usize) -> Result<usize> {
    let mut statement = conn.prepare_cached(
        "DELETE FROM invitation WHERE id IN
             (SELECT id FROM invitation WHERE expires_ms <= ?1 ORDER BY expires_ms, id LIMIT ?2)",
    )?;
    Ok(statement.execute((now_ms, limit(max)))?)
}

fn invitation_row(row: &Row<'_>) -> rusqlite::Result<Invitation> {
    Ok(Invitation {
        id: InvitationId(row.get(0)?),
        uses_left: row.get(1)?,
        expires_ms: row.get(2)?,
        made_ms: row.get(3)?,
        note: row.get(4)?,
    })
}
