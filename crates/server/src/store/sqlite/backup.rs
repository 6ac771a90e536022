//! Backups: one file that holds all a server needs to go on elsewhere.
//!
//! A backup is a database of hobnob, made by `VACUUM INTO` in one read transaction: of one moment, without what was
//! deleted, and nothing has to be begun again because the server writes meanwhile. The table `backup` is added: the
//! server's keys, and a digest over everything, since SQLite itself notices no change of a text.

mod digest;
mod restore;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use super::super::StoreError;
use super::verify::{self, Report};
use super::{open, schema};

pub(super) use restore::earlier_head;
pub use restore::restore;

/// What of a data folder makes the server the one that its clients know; what is not there is not needed.
pub const IDENTITY_FILES: [&str; 3] = ["certificate.pem", "key.pem", "ticket-key"];

/// The layout of the table `backup`.
const FORMAT: i64 = 1;

/// Why there is no backup, or nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Nothing to back up, or to look at.
    #[error("there is no store in {}", .0.display())]
    NoStore(PathBuf),
    /// It is something else, or from a later version.
    #[error("{} cannot be used: {why}", path.display())]
    NotABackup {
        /// The file.
        path: PathBuf,
        /// What it is, as far as that is known.
        why: String,
    },
    /// The copy cannot be relied on.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file, or the folder of the store.
        path: PathBuf,
        /// The first that was found.
        what: String,
    },
    /// The folder belongs to a running server.
    #[error("a server runs in {}", .0.display())]
    Held(PathBuf),
    /// The folder holds something that would be lost.
    #[error("{} is not empty: it holds {name}", dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
        /// What was found.
        name: &'static str,
    },
    /// No room.
    #[error("there is no room in {}", .0.display())]
    Full(PathBuf),
    /// A file or folder that cannot be used.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The database said no.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for BackupError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What these calls return.
pub type Result<T> = std::result::Result<T, BackupError>;

/// A file that was made or looked at.
#[derive(Clone, Debug)]
pub struct Summary {
    /// What is in the database. Of a damaged file there is no summary, so findings are about rows.
    pub report: Report,
    /// When it was made, in ms since 1970.
    pub made_ms: i64,
    /// The version of hobnob that made it.
    pub program: String,
    /// `SHA256:…` of the certificate in it, if there is one.
    pub fingerprint: Option<String>,
}

/// Backs up the store of a folder, whether its server runs or not, to a file that is not there yet. Half a file may be
/// left where this fails.
///
/// # Errors
/// [`BackupError::Damaged`] if the database cannot be copied whole; what is wrong between rows is in the report.
pub fn make(data: &Path, out: &Path, now_ms: i64) -> Result<Summary> {
    copy(data, out)?;
    let conn = connect(out, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // A crash leaves a file that is thrown away anyway; it is synced as a whole at the end.
    conn.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;").map_err(full(out))?;
    let files = read_identity(data)?;
    fill(&conn, &files, now_ms).map_err(full(out))?;
    let summary = examine(&conn, out)?;
    drop(conn);
    let synced = File::open(out).and_then(|file| file.sync_all());
    synced.map_err(|error| at(out, error))?;
    Ok(summary)
}

/// Looks at a backup; for what is none, why not.
///
/// # Errors
/// What is wrong with it, but for findings between rows, which are in the report.
pub fn inspect(path: &Path) -> Result<Summary> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    examine(&conn, path)
}

/// Whether this database is a backup, and not a store itself.
///
/// # Errors
/// It cannot be opened.
pub fn is_backup(path: &Path) -> Result<bool> {
    match has_table(&connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?) {
        // What it is will be told by who looks closer.
        Err(BackupError::Store(StoreError::Unusable(_))) => Ok(false),
        result => result,
    }
}

/// Looks at the store of a folder, beside its server if one runs.
///
/// # Errors
/// There is none, or it cannot be opened.
pub fn verify_folder(data: &Path) -> Result<Report> {
    needs_store(data)?;
    verify::folder(data).map_err(|error| foreign(&open::database(data), error))
}

/// Looks at a database by its own name; a backup is better looked at by [`inspect`].
///
/// # Errors
/// It cannot be opened.
pub fn verify_file(path: &Path) -> Result<Report> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    verify::database(&conn).map_err(|error| foreign(path, error))
}

/// What is not ours is named.
fn foreign(path: &Path, error: StoreError) -> BackupError {
    match error {
        StoreError::Unusable(why) => {
            // The file may have another name.
            let why = if why == schema::FOREIGN { "it is not a database of hobnob".to_owned() } else { why };
            BackupError::NotABackup { path: path.to_owned(), why }
        }
        error => error.into(),
    }
}

fn at(path: &Path, error: io::Error) -> BackupError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BackupError::Full(path.to_owned()),
        _ => BackupError::File { path: path.to_owned(), error },
    }
}

/// Says for what there was no room.
fn full(path: &Path) -> impl Fn(rusqlite::Error) -> BackupError {
    |error| match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => BackupError::Full(path.to_owned()),
        _ => error.into(),
    }
}

/// Who may not read it is told so, which SQLite does not.
fn needs_store(data: &Path) -> Result<()> {
    let path = open::database(data);
    match File::open(&path) {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(BackupError::NoStore(data.to_owned()))
        }
        Err(error) => Err(at(&path, error)),
    }
}

fn copy(data: &Path, out: &Path) -> Result<()> {
    needs_store(data)?;
    let not_utf8 = || io::Error::new(io::ErrorKind::InvalidInput, "its name is not UTF-8");
    let name = out.to_str().ok_or_else(|| at(out, not_utf8()))?;
    let source = open::reader(data)?;
    schema::version(&source).map_err(|error| foreign(&open::database(data), error))?;
    source.execute("VACUUM INTO ?1", [name]).map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt) => {
            BackupError::Damaged { path: data.to_owned(), what: error.to_string() }
        }
        _ => full(out)(error),
    })?;
    Ok(())
}

/// The files that make the server who it is.
fn read_identity(data: &Path) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let mut files = Vec::new();
    for name in IDENTITY_FILES {
        let path = data.join(name);
        match fs::read(&path) {
            Ok(content) => files.push((name, content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(&path, error)),
        }
    }
    Ok(files)
}

fn fill(conn: &Connection, files: &[(&'static str, Vec<u8>)], now_ms: i64) -> rusqlite::Result<()> {
    let filling = conn.unchecked_transaction()?;
    filling.execute_batch(
        "CREATE TABLE backup (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID",
    )?;
    let insert = "INSERT INTO backup (name, value) VALUES (?1, ?2)";
    filling.execute(insert, ("format", FORMAT))?;
    filling.execute(insert, ("program", env!("CARGO_PKG_VERSION")))?;
    filling.execute(insert, ("made_ms", now_ms))?;
    for (name, content) in files {
        filling.execute(insert, (format!("file:{name}"), content))?;
    }
    filling.execute(insert, ("digest", digest::of(&filling)?.as_slice()))?;
    filling.commit()
}

/// Opens a database by its own name.
fn connect(path: &Path, mode: OpenFlags) -> Result<Connection> {
    let file = File::open(path).map_err(|error| at(path, error))?;
    let kind = file.metadata().map_err(|error| at(path, error))?.file_type();
    if !kind.is_file() {
        let why = if kind.is_dir() { "it is a folder" } else { "it is no file" };
        return Err(BackupError::NotABackup { path: path.to_owned(), why: why.to_owned() });
    }
    let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(open::BUSY_TIMEOUT)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    Ok(conn)
}

fn has_table(conn: &Connection) -> Result<bool> {
    Ok(conn.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'backup'")?.exists([])?)
}

fn examine(conn: &Connection, path: &Path) -> Result<Summary> {
    let unfit = |why: &str| BackupError::NotABackup { path: path.to_owned(), why: why.to_owned() };
    let damaged = |what: &str| BackupError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let report = verify::database(conn).map_err(|error| foreign(path, error))?;
    if let Some(finding) = report.findings.iter().find(|finding| finding.check == "file") {
        return Err(damaged(&finding.text));
    }
    if !has_table(conn)? {
        return Err(unfit("it is the store of a server; `hobnob backup` makes backups"));
    }
    if value::<i64>(conn, "format")? != Some(FORMAT) {
        return Err(unfit("a newer hobnob made it"));
    }
    if value::<Vec<u8>>(conn, "digest")?.as_deref() != Some(digest::of(conn)?.as_slice()) {
        return Err(damaged("what is in it has changed since it was made"));
    }
    let certificate = value::<Vec<u8>>(conn, &format!("file:{}", IDENTITY_FILES[0]))?;
    Ok(Summary {
        report,
        made_ms: value(conn, "made_ms")?.unwrap_or_default(),
        program: value(conn, "program")?.unwrap_or_default(),
        fingerprint: certificate.and_then(|pem| crate::identity::fingerprint_of(&pem)),
    })
}

/// A value of the table `backup`.
fn value<T: rusqlite::types::FromSql>(conn: &Connection, name: &str) -> Result<Option<T>> {
    let found = conn.query_row("SELECT value FROM backup WHERE name = ?1", [name], |row| row.get(0));
    Ok(found.optional()?)
}

#[cfg(test)]
mod tests;
