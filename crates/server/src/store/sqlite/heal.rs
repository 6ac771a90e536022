//! What is put right at the start, because nothing would be written without it.

use rusqlite::Connection;

use super::super::Result;
use super::rows::SEQ_END;

/// Sees that the database knows the name of its history and how far broadcast entries were removed, and that its journal can
/// go on. Where one of the first was lost it is a history of its own from now on, as after a restore of an older copy: clients
/// start over.
pub(super) fn all(conn: &Connection) -> Result<()> {
    let step = conn.unchecked_transaction()?;
    let added = step.execute(
        "INSERT OR IGNORE INTO meta (name, value) VALUES ('epoch', randomblob(16)), ('broadcast_floor', 0)",
        [],
    )?;
    if added > 0 {
        step.execute("UPDATE meta SET value = randomblob(16) WHERE name = 'epoch'", [])?;
        tracing::error!("the database had lost what it is: its clients start over");
    }
    // Behind such a number no row would come in order.
    let removed = step.execute("DELETE FROM journal WHERE id NOT BETWEEN 1 AND ?1", [SEQ_END])?;
    if removed > 0 {
        tracing::error!(removed, "rows of the journal were damaged and are removed");
    }
    Ok(step.commit()?)
}
