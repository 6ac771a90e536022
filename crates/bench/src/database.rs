//! Databases made without the server's help: it makes an empty one with one account, and everything else is inserted
//! here, because a million accounts would take hours by the front door.
//!
//! This knows the tables of `crates/server/src/store/sqlite/migrations`, so it lies beside them in the tests: the
//! smoke test logs in with what is written here.

use std::{
    fs::File,
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use hobnob_protocol::name::Name;
use ring::digest::{SHA256, digest};
use rusqlite::{Connection, params};

use crate::account::Account;

/// What is in a database beside the users of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ballast {
    /// Accounts that nobody uses.
    pub(crate) accounts: u64,
    /// Unread messages, spread evenly over those accounts, or over the users if there are none.
    pub(crate) messages: u64,
    /// Bytes of each.
    pub(crate) text_bytes: usize,
}

impl Ballast {
    /// What the accounts that nobody uses are called.
    pub(crate) fn name(number: u64) -> String {
        format!("filler{number:07}")
    }
}

/// Fills the database of a stopped server that has exactly one account, whose password the others share.
pub(crate) fn fill(database: &Path, accounts: &[Arc<Account>], ballast: &Ballast) -> anyhow::Result<()> {
    let mut conn = Connection::open(database)?;
    // Whoever loses power here makes the database again. The server turns the log on when it opens it.
    conn.pragma_update_and_check(None, "journal_mode", "off", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "off")?;
    conn.pragma_update(None, "cache_size", -256 * 1024)?;
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let tx = conn.transaction()?;
    let password: String = tx.query_row("SELECT password FROM account", [], |row| row.get(0))?;
    for account in accounts {
        let id = add_account(&tx, &account.name, &password, now_ms)?;
        tx.prepare_cached(
            "INSERT INTO session (account, background, token_hash, generation, online, used_ms, broadcast_floor)
             VALUES (?1, 1, ?2, 1, 0, ?3, 0)",
        )?
        .execute(params![id, digest(&SHA256, &account.token).as_ref(), now_ms])?;
    }
    let first: i64 = tx.query_row("SELECT max(id) + 1 FROM account", [], |row| row.get(0))?;
    for number in 0..ballast.accounts {
        add_account(&tx, &Ballast::name(number), &password, now_ms)?;
    }
    let (first, count) = match ballast.accounts {
        0 => (first - i64::try_from(accounts.len())?, accounts.len() as u64),
        count => (first, count),
    };
    add_messages(&tx, first, count, ballast, now_ms)?;
    tx.commit()?;
    drop(conn);
    // What is written back while something is measured would be measured, too.
    Ok(File::open(database)?.sync_all()?)
}

fn add_account(conn: &Connection, name: &str, password: &str, now_ms: i64) -> anyhow::Result<i64> {
    let name = Name::parse(name).ok().context("a name of the generator is none")?;
    conn.prepare_cached(
        "INSERT INTO account (key, name, skeleton, password, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![name.key(), name.display(), name.skeleton(), password, now_ms])?;
    Ok(conn.last_insert_rowid())
}

/// Everyone's first, then everyone's second, and so on, as they would have come; the index is made afterwards.
fn add_messages(
    conn: &Connection,
    first: i64,
    accounts: u64,
    ballast: &Ballast,
    now_ms: i64,
) -> anyhow::Result<()> {
    if ballast.messages == 0 {
        return Ok(());
    }
    let index: String =
        conn.query_row("SELECT sql FROM sqlite_schema WHERE name = 'entry_place'", [], |row| row.get(0))?;
    conn.execute_batch("DROP INDEX entry_place")?;
    let text = vec![b'x'; ballast.text_bytes];
    let mut insert =
        conn.prepare("INSERT INTO entry (stream, seq, sender, sent_ms, text) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for number in 0..ballast.messages {
        let stream = first + i64::try_from(number % accounts)?;
        insert.execute(params![stream, i64::try_from(number / accounts)? + 1, first, now_ms, text])?;
    }
    Ok(conn.execute_batch(&index)?)
}
