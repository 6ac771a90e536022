//! The schema's history: numbered files, only ever added.

use rusqlite::Connection;

use super::super::{Result, StoreError};

/// The steps from nothing to the schema this version knows; `user_version` counts those that were taken.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_admin.sql"),
    include_str!("migrations/0003_journal.sql"),
    include_str!("migrations/0004_invite.sql"),
];

/// Says whose file it is: "hobn".
const APPLICATION_ID: i64 = 0x686f_626e;

/// Said of what is not ours.
pub(super) const FOREIGN: &str = "hobnob.db is not a database of hobnob";

/// Brings the database up to date.
///
/// # Errors
/// [`StoreError::Unusable`] if it is another program's or a newer version's.
pub(super) fn migrate(conn: &Connection) -> Result<()> {
    let taken = taken(conn)?;
    for (number, sql) in (1_i64..).zip(MIGRATIONS).skip(taken) {
        let step = conn.unchecked_transaction()?;
        step.execute_batch(sql)?;
        step.pragma_update(None, "application_id", APPLICATION_ID)?;
        step.pragma_update(None, "user_version", number)?;
        step.commit()?;
    }
    Ok(())
}

/// Writes what is there already: a real write that changes nothing.
pub(super) fn touch(conn: &Connection) -> Result<()> {
    Ok(conn.pragma_update(None, "application_id", APPLICATION_ID)?)
}

/// How many steps a database was brought through, which may be fewer than this program knows.
///
/// # Errors
/// [`StoreError::Unusable`] if it is another program's, a newer version's, or empty.
pub(super) fn version(conn: &Connection) -> Result<usize> {
    match taken(conn)? {
        0 => Err(StoreError::Unusable("the database is empty".to_owned())),
        taken => Ok(taken),
    }
}

fn taken(conn: &Connection) -> Result<usize> {
    let number = |pragma| conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (version, application) = (number("user_version")?, number("application_id")?);
    let empty = conn.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?;
    match (version, application) {
        (0, 0) if empty => Ok(0),
        (_, APPLICATION_ID) => known(version),
        _ => Err(StoreError::Unusable(FOREIGN.to_owned())),
    }
}

fn known(version: i64) -> Result<usize> {
    match usize::try_from(version) {
        Ok(taken @ 1..) if taken <= MIGRATIONS.len() => Ok(taken),
        _ => Err(StoreError::Unusable(format!(
            "the database has version {version}, this program knows up to {}: a newer hobnob wrote it",
            MIGRATIONS.len()
        ))),
    }
}
