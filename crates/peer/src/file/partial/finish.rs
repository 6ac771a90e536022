//! The end of a download: the complete file gets its name.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::file::manifest::Manifest;
use crate::file::name;
use crate::file::partial::journal::Record;
use crate::file::partial::open::NAMES_MAX;
use crate::file::partial::{Partial, PartialError, lock};
use crate::file::source::{Source, SourceError};

/// A download that is complete.
#[derive(Debug)]
pub struct Finished {
    /// Where it is.
    pub path: PathBuf,
    /// For sharing it on. The file is complete even if it cannot be shared.
    pub source: Result<Source, SourceError>,
}

impl Partial {
    /// Makes the last chunks durable, gives the file the first name of `name.ext`, `name (1).ext` and so on that nothing
    /// has, and forgets the journal. Drop this soon afterwards: as long as it is open for writing, the file cannot be
    /// executed.
    ///
    /// # Errors
    /// Not all is there, the part is gone, or the disk is full or failed: everything stays as it is, and it may be tried
    /// again.
    pub fn finish(&self) -> Result<Finished, PartialError> {
        let committing = lock(&self.committing);
        self.commit_alone(&committing)?;
        let manifest = self.complete_manifest()?;
        self.close_spares()?;
        let path = self.rename()?;
        self.disk.sync_folder(self.folder())?;
        self.journal.remove()?;
        let source = Source::written(&path, &self.file, manifest);
        Ok(Finished { path, source })
    }

    /// Forgets the download and removes what there is of it.
    ///
    /// # Errors
    /// A file could not be removed.
    pub fn discard(&self) -> Result<(), PartialError> {
        let _committing = lock(&self.committing);
        self.state().broken = true;
        if self.is_here(&self.path())? {
            self.disk.remove(&self.path())?;
        }
        Ok(self.journal.remove()?)
    }

    /// The manifest of a file whose chunks are all durable.
    fn complete_manifest(&self) -> Result<Manifest, PartialError> {
        let state = self.state();
        if !state.durable.is_full() {
            return Err(PartialError::Incomplete);
        }
        state.proven().cloned().ok_or(PartialError::Incomplete)
    }

    /// From here on nothing stands or comes behind the end of the file.
    fn close_spares(&self) -> Result<(), PartialError> {
        let mut spares = lock(&self.spares);
        spares.closed = true;
        self.disk.resize(&self.file, self.shape().size())?;
        self.disk.sync(&self.file).map_err(|error| self.fail(&error))
    }

    /// The journal knows each name before it is tried, so that after a crash the file is found under it.
    fn rename(&self) -> Result<PathBuf, PartialError> {
        let part = self.path();
        for number in 0..NAMES_MAX {
            let name = name::numbered(self.name(), number, "");
            let path = self.folder().join(&name);
            if self.is_here(&path)? {
                // It has the name already. Where files are renamed by linking, a crash may have left the other.
                if self.is_here(&part)? {
                    self.disk.remove(&part)?;
                }
                return Ok(path);
            }
            if !is_free(&path)? {
                continue;
            }
            if !self.is_here(&part)? {
                return Err(PartialError::Gone);
            }
            self.journal.append(&[Record::Finishing(&name)])?;
            self.journal.sync().map_err(|error| self.fail(&error))?;
            match self.disk.rename(&part, &path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(PartialError::NoFreeName)
    }

    /// Whether this name leads to the file that is open here.
    fn is_here(&self, path: &Path) -> io::Result<bool> {
        let found = match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            found => found?,
        };
        let ours = self.file.metadata()?;
        Ok(found.dev() == ours.dev() && found.ino() == ours.ino())
    }
}

/// Whether nothing has this name, not even a link to nowhere.
fn is_free(path: &Path) -> io::Result<bool> {
    match path.symlink_metadata() {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}
