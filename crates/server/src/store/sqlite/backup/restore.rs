//! From a backup to a data folder.
//!
//! The history of what is restored gets a new name, because the server may have gone on after the backup: its numbers
//! above those of the backup will be given to other entries. What clients have seen up to then still counts, so the
//! old name is kept with the heads of all streams.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::{
    BackupError, IDENTITY_FILES, Result, Summary, at, connect, examine, full, inspect, is_backup, value,
};
use crate::identity;
use crate::store::sqlite::{open, rows};
use crate::store::{StoreError, StreamId};

/// Where a restored store is put together, in the data folder. One that is left over tells that a restore did not
/// come to its end.
const STAGING: &str = ".restore";
/// Earlier histories that are remembered.
const EARLIER_MAX: u32 = 8;
/// Bytes of a stream and its head.
const HEAD_BYTES: usize = 16;

/// Makes the store of a folder from a backup, and gives its history a new name.
///
/// # Errors
/// Why not; then nothing is in the folder but its lock.
pub fn restore(file: &Path, data: &Path, now_ms: i64) -> Result<Summary> {
    if !is_backup(file)? {
        return inspect(file);
    }
    let _lock = take_empty(data)?;
    let staging = Staging::new(data)?;
    let database = staging.path(open::database(Path::new("")));
    copy(file, &database, data)?;
    let conn = connect(&database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let summary = examine(&conn, &database).map_err(|error| named(error, file))?;
    // Half of this is thrown away; all of it is synced below. What held the keys is overwritten.
    conn.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA secure_delete = ON;")
        .map_err(full(data))?;
    for name in IDENTITY_FILES {
        if let Some(content) = value::<Vec<u8>>(&conn, &format!("file:{name}"))? {
            let written = identity::write_private(&staging.path(name), &content);
            written.map_err(|error| at(data, io::Error::other(error.to_string())))?;
        }
    }
    begin_history(&conn, now_ms).map_err(full(data))?;
    drop(conn);
    staging.put_in_place(data)?;
    Ok(summary)
}

/// The lock of a folder in which there is no store. What a restore that was torn off has put there is removed.
fn take_empty(data: &Path) -> Result<File> {
    let lock = open::take_folder(data).map_err(|error| match error {
        StoreError::Held(_) => BackupError::Held(data.to_owned()),
        StoreError::Full => BackupError::Full(data.to_owned()),
        error => error.into(),
    })?;
    let there = |name: &str| data.join(name).symlink_metadata().is_ok();
    let refuse = |name| Err(BackupError::NotEmpty { dir: data.to_owned(), name });
    const STORE_FILES: [&str; 4] = ["hobnob.db", "hobnob.db-wal", "hobnob.db-shm", "hobnob.db-journal"];
    if let Some(name) = STORE_FILES.into_iter().find(|name| there(name)) {
        return refuse(name);
    }
    if there(STAGING) {
        for path in IDENTITY_FILES.map(|name| data.join(name)) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path, error)),
                _ => {}
            }
        }
        let staging = data.join(STAGING);
        fs::remove_dir_all(&staging).map_err(|error| at(&staging, error))?;
    }
    match IDENTITY_FILES.into_iter().find(|name| there(name)) {
        Some(name) => refuse(name),
        None => Ok(lock),
    }
}

/// The error is about the file that was copied.
fn named(error: BackupError, file: &Path) -> BackupError {
    match error {
        BackupError::NotABackup { why, .. } => BackupError::NotABackup { path: file.to_owned(), why },
        BackupError::Damaged { what, .. } => BackupError::Damaged { path: file.to_owned(), what },
        error => error,
    }
}

fn copy(from: &Path, to: &Path, data: &Path) -> Result<()> {
    let mut source = File::open(from).map_err(|error| at(from, error))?;
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    let copied = made.and_then(|mut out| io::copy(&mut source, &mut out));
    copied.map(drop).map_err(|error| at(data, error))
}

/// A folder beside the place of the store; removed with all that is in it, unless it was put in place.
struct Staging(PathBuf);

impl Staging {
    fn new(data: &Path) -> Result<Self> {
        let path = data.join(STAGING);
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| at(&path, error))?;
        Ok(Self(path))
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    /// The database comes last: with it there is a store.
    fn put_in_place(self, data: &Path) -> Result<()> {
        let in_place = || -> io::Result<()> {
            let database = open::database(Path::new(""));
            let names = IDENTITY_FILES.map(PathBuf::from).into_iter().chain([database]);
            let names: Vec<PathBuf> = names.filter(|name| self.path(name).exists()).collect();
            let owner = fs::metadata(data)?;
            for name in &names {
                File::open(self.path(name))?.sync_all()?;
                belong_to(&owner, &self.path(name))?;
            }
            belong_to(&owner, &data.join("server.lock"))?;
            for name in &names {
                fs::rename(self.path(name), data.join(name))?;
            }
            File::open(data)?.sync_all()
        };
        in_place().map_err(|error| at(data, error))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "{} could not be removed", self.0.display());
        }
    }
}

/// What root restores for another user's server must be that user's.
fn belong_to(owner: &fs::Metadata, path: &Path) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        chown(path, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// Notes the name of the history so far and how far its streams were, and gives it a new one; takes out what only the
/// backup has.
fn begin_history(conn: &Connection, now_ms: i64) -> rusqlite::Result<()> {
    let change = conn.unchecked_transaction()?;
    let mut earlier = now_ms.to_le_bytes().to_vec();
    let heads = "SELECT 0, max((SELECT coalesce(max(seq), 0) FROM entry WHERE stream = 0),
                     (SELECT value FROM meta WHERE name = 'broadcast_floor'))
                 UNION ALL SELECT id, max(cursor, coalesce((SELECT max(seq) FROM entry WHERE stream = account.id), 0))
                 FROM account ORDER BY 1";
    let mut statement = change.prepare(heads)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        earlier.extend_from_slice(&row.get::<_, i64>(0)?.to_le_bytes());
        earlier.extend_from_slice(&row.get::<_, i64>(1)?.to_le_bytes());
    }
    drop(found);
    drop(statement);
    change.execute(
        "INSERT OR REPLACE INTO meta (name, value)
         SELECT 'earlier:' || hex(value), ?1 FROM meta WHERE name = 'epoch'",
        [earlier],
    )?;
    forget_oldest(&change)?;
    change.execute("UPDATE meta SET value = randomblob(16) WHERE name = 'epoch'", [])?;
    change.execute("DROP TABLE backup", [])?;
    change.commit()
}

fn forget_oldest(conn: &Connection) -> rusqlite::Result<()> {
    let mut statement =
        conn.prepare("SELECT name, substr(value, 1, 8) FROM meta WHERE name LIKE 'earlier:%'")?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?));
    let mut all: Vec<(i64, String)> = Vec::new();
    for found in statement.query_map([], row)? {
        let (name, at) = found?;
        all.push((i64::from_le_bytes(at.try_into().unwrap_or_default()), name));
    }
    all.sort_unstable();
    let excess = all.len().saturating_sub(EARLIER_MAX as usize);
    for (_, name) in &all[..excess] {
        conn.execute("DELETE FROM meta WHERE name = ?1", [name])?;
    }
    Ok(())
}

/// How far a stream was when the history that had this name ended with a restore; none if there was no such history.
pub(in crate::store::sqlite) fn earlier_head(
    conn: &Connection,
    epoch: &[u8],
    stream: StreamId,
) -> crate::store::Result<Option<u64>> {
    let sql = "SELECT value FROM meta WHERE name = 'earlier:' || hex(?1)";
    let mut statement = conn.prepare_cached(sql)?;
    let found: Option<Vec<u8>> = statement.query_row([epoch], |row| row.get(0)).optional()?;
    Ok(found.map(|earlier| head_of(&earlier, rows::stream_row(stream))))
}

/// The head noted of a stream; 0 for one that was not there yet.
fn head_of(earlier: &[u8], stream: i64) -> u64 {
    let (heads, _) = earlier.get(8..).unwrap_or_default().as_chunks::<HEAD_BYTES>();
    let number = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().unwrap_or_default());
    let place = heads.binary_search_by_key(&stream, |head| number(&head[..8]));
    place.map_or(0, |place| rows::uint(number(&heads[place][8..])))
}
