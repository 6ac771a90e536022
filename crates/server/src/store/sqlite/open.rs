//! From a folder to connections: permissions, the lock, the checks, the settings.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, config::DbConfig};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::super::{Result, StoreError};
use super::schema;

/// Pages in the log after which a commit copies them to the database.
pub(super) const CHECKPOINT_PAGES: u32 = 4_000;
/// How long a connection waits for a lock that somebody outside of this process holds.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// More than there are statements.
const STATEMENTS_MAX: usize = 128;
/// Older versions can lose committed transactions when the log is reset.
const SQLITE_MIN: i32 = 3_051_003;

/// The database file of a folder.
pub(super) fn database(dir: &Path) -> PathBuf {
    dir.join("hobnob.db")
}

/// The log that SQLite keeps beside it.
pub(super) fn log(dir: &Path) -> PathBuf {
    dir.join("hobnob.db-wal")
}

/// Refuses versions of SQLite (as `sqlite3_libversion_number` gives them) that are known to damage databases.
pub(super) fn check_version(version: i32) -> Result<()> {
    if version >= SQLITE_MIN {
        return Ok(());
    }
    let (major, minor, patch) = (version / 1_000_000, version / 1_000 % 1_000, version % 1_000);
    Err(StoreError::Unusable(format!(
        "SQLite {major}.{minor}.{patch} can damage databases: 3.51.3 is needed"
    )))
}

/// Makes the folder if there is none and takes its lock, which lasts as long as the file is open.
pub(super) fn take_folder(dir: &Path) -> Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| io_error(dir, &error))?;
    let lock = own_file(&dir.join("server.lock"))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(Errno::WOULDBLOCK) => Err(StoreError::Held(dir.display().to_string())),
        Err(error) => Err(io_error(dir, &error.into())),
    }
}

/// Opens the connection that writes, with the schema up to date.
pub(super) fn writer(dir: &Path, log_bytes_max: u64) -> Result<Connection> {
    // SQLite gives the log and the index the permissions of the database.
    own_file(&database(dir))?;
    let conn = connect(dir, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Unusable(format!(
            "the file system gives journal mode {mode} instead of wal"
        )));
    }
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    conn.pragma_update(None, "journal_size_limit", i64::try_from(log_bytes_max).unwrap_or(i64::MAX))?;
    conn.pragma_update(None, "cache_size", -64 * 1024)?;
    schema::migrate(&conn)?;
    Ok(conn)
}

/// Opens a connection that only reads. There must be a writer.
pub(super) fn reader(dir: &Path) -> Result<Connection> {
    connect(dir, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn connect(dir: &Path, mode: OpenFlags) -> Result<Connection> {
    let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let conn = Connection::open_with_flags(database(dir), flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    conn.pragma_update(None, "trusted_schema", false)?;
    // A plan that depended on a parameter would be made anew at each use of a statement that is kept.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(conn)
}

/// Opens or makes a file that only its owner can read.
fn own_file(path: &Path) -> Result<File> {
    let opened =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = opened.map_err(|error| io_error(path, &error))?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(|error| io_error(path, &error))?;
    Ok(file)
}

fn io_error(path: &Path, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull => StoreError::Full,
        io::ErrorKind::ReadOnlyFilesystem => StoreError::Unwritable(format!("{}: {error}", path.display())),
        _ => StoreError::Unusable(format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_damage_databases_are_refused() {
        for (version, good) in [(3_040_001, false), (3_051_002, false), (3_051_003, true), (4_000_000, true)]
        {
            assert_eq!(check_version(version).is_ok(), good, "{version}");
        }
        let text = check_version(3_040_001).unwrap_err().to_string();
        assert_eq!(text, "SQLite 3.40.1 can damage databases: 3.51.3 is needed");
    }
}
