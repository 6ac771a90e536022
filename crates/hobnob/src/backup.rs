//! `hobnob backup`: a file that is whole before it gets its name.

pub(crate) mod text;

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use hobnob_server::store::sqlite::backup::{self, BackupError, Summary};
use tempfile::{PathPersistError, TempDir, TempPath};
use tokio::time::Instant;

use self::text::{CANNOT, DONE, REFUSED};
use crate::{MISUSE, config::AdminSettings, output, signals::Signals};

/// Why there is none.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What the store, or a file, says.
    Backup(BackupError),
    /// There is a file of that name.
    Exists(PathBuf),
    /// This cannot be meant.
    Misuse(String),
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        Self::Backup(error)
    }
}

impl Failure {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Misuse(_) => MISUSE,
            Self::Exists(_)
            | Self::Backup(
                BackupError::Damaged { .. } | BackupError::Held(_) | BackupError::NotEmpty { .. },
            ) => REFUSED,
            Self::Backup(_) => CANNOT,
        }
    }
}

/// What was made.
struct Made {
    summary: Summary,
    bytes: u64,
}

/// Makes a backup; the result is the exit code.
///
/// # Errors
/// Signals cannot be caught, or what is to be printed cannot be.
pub(crate) async fn run(settings: AdminSettings, file: PathBuf, replace: bool) -> anyhow::Result<u8> {
    let (began, signals) = (Instant::now(), Signals::listen()?);
    let made = tokio::select! {
        biased;
        // What is half done goes with its folder.
        () = signals.first().cancelled() => return Ok(REFUSED),
        made = make(&settings.data, &file, replace) => made,
    };
    match made {
        Ok(Made { summary, bytes }) => {
            let findings = &summary.report.findings;
            text::tell_findings(settings.json, findings);
            output::write(&match settings.json {
                true => text::backed_up_json(&file, &summary, bytes),
                false => text::backed_up(&file, &summary, bytes, began.elapsed()),
            })?;
            Ok(if findings.is_empty() { DONE } else { REFUSED })
        }
        Err(failure) => Ok(text::tell_failure(settings.json, &failure)),
    }
}

async fn make(data: &Path, file: &Path, replace: bool) -> Result<Made, Failure> {
    let folder = place(data, file, replace)?;
    // On the same file system as the file, and closed to others whatever the folder is.
    let beside = tempfile::Builder::new().prefix(".hobnob-backup-").tempdir_in(&folder);
    // Its own name is nobody's business.
    let beside = beside.map_err(|error| at(&folder, error.kind().into()))?;
    let (out, data) = (beside.path().join("backup"), data.to_owned());
    let copied = tokio::task::spawn_blocking(move || {
        backup::make(&data, &out, now_ms()).map(|summary| (summary, out))
    });
    let copied = copied.await.map_err(|error| at(file, io::Error::other(error)))?;
    let (summary, out) = copied.map_err(|error| relocated(error, file))?;
    let bytes = give_name(&out, file, &folder, replace)?;
    remove(beside);
    Ok(Made { summary, bytes })
}

/// The folder of a file that may be made.
fn place(data: &Path, file: &Path, replace: bool) -> Result<PathBuf, Failure> {
    let shown = file.display();
    let ends_in_name = file.file_name().is_some() && !file.as_os_str().as_encoded_bytes().ends_with(b"/");
    if !ends_in_name || file.is_dir() {
        return Err(Failure::Misuse(format!("{shown} is a folder: name a file in it")));
    }
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    folder.metadata().map_err(|error| at(&folder, error))?;
    let same = |a: &Path, b: &Path| matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same(&folder, data) {
        return Err(Failure::Misuse(format!("{shown} would be in the folder that is backed up")));
    }
    match file.symlink_metadata() {
        Ok(_) if !replace => Err(Failure::Exists(file.to_owned())),
        Ok(there) if !there.is_file() => {
            Err(Failure::Misuse(format!("{shown} is something else than a file")))
        }
        Ok(_) => Ok(folder),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(folder),
        Err(error) => Err(at(file, error).into()),
    }
}

/// Nobody knows the name under which it was made.
fn relocated(error: BackupError, file: &Path) -> BackupError {
    let hidden = |path: &Path| {
        path.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b".hobnob-backup-"))
    };
    match error {
        BackupError::Full(path) if hidden(&path) => BackupError::Full(file.to_owned()),
        BackupError::File { path, error } if hidden(&path) => at(file, error),
        BackupError::Damaged { path, what } if hidden(&path) => {
            BackupError::Damaged { path: file.to_owned(), what: format!("as it was written, {what}") }
        }
        error => error,
    }
}

/// Gives a whole file its name, and returns its size.
fn give_name(out: &Path, file: &Path, folder: &Path, replace: bool) -> Result<u64, Failure> {
    let named = |error| at(file, error);
    fs::set_permissions(out, Permissions::from_mode(0o600)).map_err(named)?;
    let bytes = fs::metadata(out).map_err(named)?.len();
    let out = TempPath::try_from_path(out).map_err(named)?;
    // A file that came in between is not overwritten either.
    let persisted = if replace { out.persist(file) } else { out.persist_noclobber(file) };
    persisted.map_err(|PathPersistError { error, .. }| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::Exists(file.to_owned()),
        _ => named(error).into(),
    })?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| at(folder, error))?;
    Ok(bytes)
}

fn remove(beside: TempDir) {
    if let Err(error) = beside.close() {
        tracing::warn!(%error, "an empty folder could not be removed");
    }
}

fn at(path: &Path, error: io::Error) -> BackupError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BackupError::Full(path.to_owned()),
        _ => BackupError::File { path: path.to_owned(), error },
    }
}

/// Now, in ms since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
