//! Where a folder that is downloaded goes: a place of its own. Nothing is put into what is there already, but what an
//! earlier download of the same folder began or completed. Everything here blocks.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::event::Content;
use super::listing;
use crate::file::name;

/// Where these notes are, in a device's folder.
pub(super) const FOLDER: &str = "roots";
/// Names that are tried.
const NAMES_MAX: u32 = 10_000;

/// Where a folder was begun, kept until it is complete.
#[derive(Clone, Debug)]
pub(super) struct Kept(PathBuf);

impl Kept {
    /// Of the folder with this listing.
    pub(super) fn of(data: &Path, listing: Content) -> Self {
        Self(data.join(FOLDER).join(format!("{:#}-{}", listing.id, listing.size)))
    }

    fn read(&self) -> Option<PathBuf> {
        let bytes = std::fs::read(&self.0).ok()?;
        Some(PathBuf::from(OsString::from_vec(bytes))).filter(|root| is_folder(root))
    }

    fn write(&self, root: &Path) -> io::Result<()> {
        let beside = self.0.with_extension("new");
        std::fs::write(&beside, root.as_os_str().as_bytes())?;
        std::fs::rename(beside, &self.0)
    }

    /// It is complete.
    pub(super) fn forget(&self) {
        if let Err(error) = std::fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(%error, "where a folder was begun is not forgotten");
        }
    }
}

/// The folder for these files, which is there then: where it was begun; otherwise the first of `name`, `name (1)` and so
/// on that is nothing yet, and is made, or that has these files and no others, by their paths and sizes.
pub(super) fn choose(
    downloads: &Path,
    name: &str,
    files: &[(PathBuf, Content)],
    kept: &Kept,
) -> io::Result<PathBuf> {
    if let Some(root) = kept.read() {
        return Ok(root);
    }
    std::fs::create_dir_all(downloads)?;
    let downloads = downloads.canonicalize()?;
    for number in 0..NAMES_MAX {
        let root = downloads.join(name::numbered(name, number, ""));
        match std::fs::create_dir(&root) {
            Ok(()) => {
                // Without a note the same command begins again under the next name.
                if let Err(error) = kept.write(&root) {
                    tracing::warn!(%error, "where a folder was begun is not kept");
                }
                return Ok(root);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if is_folder(&root) && has_these(&root, files) {
                    return Ok(root);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("there are too many folders of this name"))
}

/// Not what a link leads to.
fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

/// What the files contain is found when they are fetched.
fn has_these(root: &Path, files: &[(PathBuf, Content)]) -> bool {
    let Ok(there) = listing::walk(root) else { return false };
    let mut these: Vec<_> = files.iter().map(|(path, content)| (root.join(path), content.size)).collect();
    these.sort();
    let there = there.into_iter().map(|(_, path)| {
        let size = path.symlink_metadata().map_or(0, |metadata| metadata.len());
        (path, size)
    });
    let mut there: Vec<_> = there.collect();
    there.sort();
    there == these
}
