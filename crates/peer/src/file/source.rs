//! A shared file: read where it lies, and watched for change.
//!
//! What is served must be what was hashed. A file's [`Stamp`] is taken when it is hashed and compared before and after
//! each read; once it differs, nothing is served any more. This notices what the file system tells: a change within
//! the same tick of its clock as the hashing escapes it, and whoever gets such a chunk finds it wrong.
//!
//! Everything here blocks on the disk.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::file::chunk::Shape;
use crate::file::manifest::{ContentHash, Manifest};

/// Bytes that are read and hashed at a time.
const BLOCK_BYTES: usize = 1 << 20;

/// Why a file cannot be shared, or not any longer.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is nothing at this path, or not any longer.
    #[error("there is no such file")]
    Gone,
    /// It may not be read.
    #[error("the file may not be read")]
    Denied,
    /// It is a folder.
    #[error("it is a folder")]
    Folder,
    /// A device, a pipe, a socket.
    #[error("it is not a regular file")]
    NotAFile,
    /// It is larger than anything can be here.
    #[error("the file is too large")]
    TooLarge,
    /// It is not what was hashed any more, though not shorter, or another is in its place.
    #[error("the file was changed")]
    Changed,
    /// It became shorter.
    #[error("the file became shorter")]
    Shortened,
    /// The caller wanted no more of it.
    #[error("stopped")]
    Stopped,
    /// These bytes are beyond its end: the caller asked for what is not there.
    #[error("the file has no such bytes")]
    OutOfRange,
    /// The disk failed.
    #[error("the file cannot be read: {0}")]
    Io(io::Error),
}

impl From<io::Error> for SourceError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Gone,
            io::ErrorKind::PermissionDenied => Self::Denied,
            io::ErrorKind::IsADirectory => Self::Folder,
            io::ErrorKind::UnexpectedEof => Self::Shortened,
            _ => Self::Io(error),
        }
    }
}

/// What tells that a file is still the one that was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    /// Bytes.
    size: u64,
    /// Last change of the content, in nanoseconds since 1970.
    modified_ns: i64,
    /// Last change of the content or of what is known about the file, likewise.
    changed_ns: i64,
}

impl Stamp {
    /// Bytes of an encoded stamp.
    pub const ENCODED_BYTES: usize = 40;

    fn of(metadata: &Metadata) -> Self {
        let ns = |seconds: i64, ns: i64| seconds.saturating_mul(1_000_000_000).saturating_add(ns);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Bytes of the file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// For the list of shares that is kept for the next login.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::ENCODED_BYTES] {
        let fields = [self.device, self.inode, self.size, self.modified_ns as u64, self.changed_ns as u64];
        let mut bytes = [0; Self::ENCODED_BYTES];
        bytes
            .as_chunks_mut()
            .0
            .iter_mut()
            .zip(fields)
            .for_each(|(place, field)| *place = field.to_le_bytes());
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote.
    #[must_use]
    pub fn decode(bytes: &[u8; Self::ENCODED_BYTES]) -> Self {
        let field = |at: usize| u64::from_le_bytes(bytes.as_chunks().0[at]);
        Self {
            device: field(0),
            inode: field(1),
            size: field(2),
            modified_ns: field(3) as i64,
            changed_ns: field(4) as i64,
        }
    }
}

/// A file that is open, but not hashed yet.
#[derive(Debug)]
pub struct Unhashed {
    path: PathBuf,
    file: File,
    stamp: Stamp,
    shape: Shape,
}

impl Unhashed {
    /// Opens a file; symbolic links are followed, now and never again.
    ///
    /// # Errors
    /// It is not there, not readable, not a regular file, or too large.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        // Opening some devices does something to them, and a pipe would wait for its other end.
        check_kind(&path.metadata()?)?;
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)?;
        let metadata = file.metadata()?;
        check_kind(&metadata)?;
        let shape = Shape::of(metadata.size()).map_err(|_| SourceError::TooLarge)?;
        Ok(Self { path: path.to_owned(), file, stamp: Stamp::of(&metadata), shape })
    }

    /// Its size, and how it will be cut.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// What tells whether it changes. Equal to one that was kept: the manifest that was kept with it holds.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Reads it all. `progress` is told the bytes that were hashed so far, about every mebibyte, and may stop it.
    ///
    /// # Errors
    /// It changed meanwhile, cannot be read, or was stopped.
    pub fn hash(self, mut progress: impl FnMut(u64) -> ControlFlow<()>) -> Result<Source, SourceError> {
        let mut hash = ContentHash::new(self.shape);
        let mut block = vec![0; BLOCK_BYTES.min(usize::try_from(self.shape.size()).unwrap_or(BLOCK_BYTES))];
        let mut done = 0;
        while done < self.shape.size() {
            let left = usize::try_from(self.shape.size() - done).unwrap_or(usize::MAX);
            let block = &mut block[..left.min(BLOCK_BYTES)];
            self.file.read_exact_at(block, done)?;
            hash.feed(block);
            done += block.len() as u64;
            if progress(done).is_break() {
                return Err(SourceError::Stopped);
            }
        }
        let manifest = hash.finish().ok_or(SourceError::Shortened)?;
        let source = Source { path: self.path, file: self.file, stamp: self.stamp, manifest };
        source.check()?;
        Ok(source)
    }

    /// Takes it for the content of this manifest without reading it: for one whose [`stamp`](Self::stamp) is that
    /// which was kept with the manifest.
    ///
    /// # Errors
    /// Another stamp or size: it has to be hashed.
    pub fn known(self, stamp: Stamp, manifest: Manifest) -> Result<Source, SourceError> {
        if stamp != self.stamp || manifest.shape() != self.shape {
            return Err(SourceError::Changed);
        }
        Ok(Source { path: self.path, file: self.file, stamp, manifest })
    }
}

/// A shared file: hashed, open, and unchanged as far as the file system tells.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    file: File,
    stamp: Stamp,
    manifest: Manifest,
}

impl Source {
    /// A file that was just written and verified by this process: `written` is it, and `path` has to lead there.
    pub(super) fn written(path: &Path, written: &File, manifest: Manifest) -> Result<Self, SourceError> {
        // Opened again, because what is open for writing cannot be executed.
        Unhashed::open(path)?.known(Stamp::of(&written.metadata()?), manifest)
    }

    /// Where it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its id, shape and the values of its chunks.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What it looked like when it was hashed.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Fills `block` with the bytes from `offset` on. Threads may read at once.
    ///
    /// # Errors
    /// The file is not what was hashed any more: nothing of `block` may be used, and sharing has to end. Or these are
    /// bytes that it never had, or the disk failed.
    pub fn read_at(&self, offset: u64, block: &mut [u8]) -> Result<(), SourceError> {
        let end = offset.checked_add(block.len() as u64);
        if end.is_none_or(|end| end > self.stamp.size) {
            return Err(SourceError::OutOfRange);
        }
        self.check()?;
        self.file.read_exact_at(block, offset)?;
        self.check()
    }

    /// Whether the file is still what was hashed.
    ///
    /// # Errors
    /// What became of it.
    pub fn check(&self) -> Result<(), SourceError> {
        let metadata = self.file.metadata()?;
        if metadata.nlink() == 0 {
            // Many programs save a file by putting another in its place.
            let replaced = self.path.symlink_metadata().is_ok();
            return Err(if replaced { SourceError::Changed } else { SourceError::Gone });
        }
        match Stamp::of(&metadata) {
            now if now == self.stamp => Ok(()),
            now if now.size < self.stamp.size => Err(SourceError::Shortened),
            _ => Err(SourceError::Changed),
        }
    }
}

fn check_kind(metadata: &Metadata) -> Result<(), SourceError> {
    if metadata.is_dir() {
        return Err(SourceError::Folder);
    }
    if metadata.is_file() { Ok(()) } else { Err(SourceError::NotAFile) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::file::id::ContentId;
    use crate::file::manifest::tests::content;

    fn go_on(_: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn share(path: &Path) -> Result<Source, SourceError> {
        Unhashed::open(path)?.hash(go_on)
    }

    #[test]
    fn a_file_is_hashed_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        for size in [0, 1, 262_144, 262_145, 3 << 20, (3 << 20) + 17] {
            let content = content(size);
            std::fs::write(&path, &content).unwrap();
            let mut told = Vec::new();
            let note = |done| {
                told.push(done);
                ControlFlow::Continue(())
            };
            let source = Unhashed::open(&path).unwrap().hash(note).unwrap();
            assert_eq!(source.manifest().id(), ContentId::of(&content));
            assert_eq!(told.last().copied().unwrap_or(0), size as u64);
            assert!(told.is_sorted() && told.len() == size.div_ceil(BLOCK_BYTES));
            let (from, to) = (size / 3, size / 3 + size / 2);
            let mut block = vec![0; to - from];
            source.read_at(from as u64, &mut block).unwrap();
            assert_eq!(block, &content[from..to]);
            source.read_at(size as u64, &mut []).unwrap();
            for offset in [size as u64, u64::MAX] {
                assert!(matches!(source.read_at(offset, &mut [0]), Err(SourceError::OutOfRange)));
            }
        }
    }

    #[test]
    fn change_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let fresh = || {
            let _ = std::fs::remove_file(&path);
            std::fs::write(&path, content(5000)).unwrap();
            // Its last change is long ago, so that the next one is another moment.
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
            share(&path).unwrap()
        };
        let read = |source: &Source| source.read_at(0, &mut [0; 100]);
        let write = || File::options().write(true).open(&path).unwrap();

        let source = fresh();
        read(&source).unwrap();
        write().write_all_at(b"x", 17).unwrap();
        assert!(matches!(read(&source), Err(SourceError::Changed)));

        let source = fresh();
        write().set_len(10).unwrap();
        assert!(matches!(read(&source), Err(SourceError::Shortened)));

        let source = fresh();
        write().set_len(5001).unwrap();
        assert!(matches!(read(&source), Err(SourceError::Changed)));

        let source = fresh();
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(read(&source), Err(SourceError::Gone)));

        let source = fresh();
        let beside = folder.path().join("new");
        std::fs::write(&beside, content(5000)).unwrap();
        std::fs::rename(&beside, &path).unwrap();
        assert!(matches!(read(&source), Err(SourceError::Changed)));
    }

    #[test]
    fn a_change_while_it_is_hashed_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, content(3 << 20)).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        let hash = |change: &dyn Fn()| {
            Unhashed::open(&path).unwrap().hash(|_| {
                change();
                ControlFlow::Continue(())
            })
        };
        assert!(matches!(hash(&|| file.write_all_at(b"x", 0).unwrap()), Err(SourceError::Changed)));
        assert!(matches!(hash(&|| file.set_len(2 << 20).unwrap()), Err(SourceError::Shortened)));
    }

    #[test]
    fn hashing_can_be_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, content(3 << 20)).unwrap();
        let mut steps = 0;
        let stopped = Unhashed::open(&path).unwrap().hash(|_| {
            steps += 1;
            if steps == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(stopped, Err(SourceError::Stopped)) && steps == 2);
    }

    #[test]
    fn what_cannot_be_shared() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        assert!(matches!(share(folder.path()), Err(SourceError::Folder)));
        assert!(matches!(share(&path("none")), Err(SourceError::Gone)));
        assert!(matches!(share(Path::new("/dev/null")), Err(SourceError::NotAFile)));
        rustix::fs::mknodat(rustix::fs::CWD, path("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .unwrap();
        assert!(matches!(share(&path("pipe")), Err(SourceError::NotAFile)));
        symlink("loop", path("loop")).unwrap();
        assert!(matches!(share(&path("loop")), Err(SourceError::Io(_))));
        std::fs::write(path("f"), "f").unwrap();
        assert!(matches!(share(&path("f/g")), Err(SourceError::Gone)));
        std::fs::set_permissions(path("f"), PermissionsExt::from_mode(0o000)).unwrap();
        // Whoever runs the tests as root may read everything.
        assert!(File::open(path("f")).is_ok() || matches!(share(&path("f")), Err(SourceError::Denied)));
    }

    #[test]
    fn a_link_is_followed_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        std::fs::write(path("one"), content(100)).unwrap();
        std::fs::write(path("two"), content(200)).unwrap();
        symlink("one", path("link")).unwrap();
        let source = share(&path("link")).unwrap();
        std::fs::remove_file(path("link")).unwrap();
        symlink("two", path("link")).unwrap();
        source.read_at(0, &mut [0; 100]).unwrap();
        assert_eq!(source.manifest().shape().size(), 100);
    }

    #[test]
    fn a_known_file_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, content(5000)).unwrap();
        let source = share(&path).unwrap();
        let (stamp, manifest) = (Stamp::decode(&source.stamp().encode()), source.manifest().clone());
        assert_eq!(stamp, source.stamp());
        let known = Unhashed::open(&path).unwrap().known(stamp, manifest.clone()).unwrap();
        known.read_at(0, &mut [0; 5000]).unwrap();
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        let known = Unhashed::open(&path).unwrap().known(stamp, manifest);
        assert!(matches!(known, Err(SourceError::Changed)));
    }
}
