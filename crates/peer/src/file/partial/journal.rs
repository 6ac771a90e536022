//! Which chunks of a download are verified, and which of them are durable: a file of records that is only appended to.
//!
//! A record is its length, its content and a checksum, which covers its place in the file too. The first record that is
//! not whole ends the journal: a crash left it. The journal is locked by whoever has the download open.
//!
//! Chunks that are *durable* were synced before this was written, and are believed. Chunks that are *written* were handed
//! to the system, which keeps them when the process is killed, but not when the power fails: they are to be looked at
//! again. A record of durable chunks ends what the records before it say of written ones and is followed by one of those
//! that are still only written. So everything that a failed sync throws into doubt stands at the end, and is taken back
//! by cutting the file, for which there is room even on a full disk.

use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::UNIX_EPOCH;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::file::chunk::Shape;
use crate::file::id::ContentId;
use crate::file::manifest::Manifest;
use crate::file::map::ChunkSet;
use crate::file::partial::disk::Disk;
use crate::file::partial::{PartialError, lock};

/// How the names of journals end.
pub(super) const SUFFIX: &str = ".journal";
/// A larger file is no journal: a manifest and one record for each chunk stay far below.
const JOURNAL_BYTES_MAX: u64 = 8 << 20;
const CHECKSUM_BYTES: usize = 8;
/// Of the format; a journal of another version is as good as none.
const VERSION: u8 = 2;

const HEADER: u8 = 1;
const MANIFEST: u8 = 2;
const DURABLE: u8 = 3;
const FINISHING: u8 = 4;
const WRITTEN: u8 = 5;

/// What a download is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: ContentId,
    pub(super) shape: Shape,
    /// The folder that it is for, absolute.
    pub(super) folder: PathBuf,
    /// The safe name that it is to have.
    pub(super) name: String,
    /// What it is called until then.
    pub(super) part: String,
    /// Which file of this name it is.
    pub(super) identity: Identity,
}

/// Tells a file from another of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) inode: u64,
    /// When it was made, in nanoseconds since 1970, because numbers of removed files are used again. Zero where the file
    /// system does not know it.
    pub(super) born_ns: u64,
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let born = metadata.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        let born_ns = born.and_then(|born| u64::try_from(born.as_nanos()).ok()).unwrap_or(0);
        Self { inode: metadata.ino(), born_ns }
    }
}

impl Header {
    pub(super) fn part_path(&self) -> PathBuf {
        self.folder.join(&self.part)
    }
}

/// What is appended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Record<'a> {
    /// A manifest that is proven.
    Manifest(&'a Manifest),
    /// Chunks that are verified and durable, beside those before.
    Durable(&'a ChunkSet),
    /// Chunks that are verified and written, beside those since the last record of durable ones.
    Written(&'a ChunkSet),
    /// All chunks are; this is the name that is tried now.
    Finishing(&'a str),
}

/// What a journal held when it was opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) header: Header,
    pub(super) manifest: Option<Manifest>,
    /// Chunks that are believed to be there.
    pub(super) durable: ChunkSet,
    /// Chunks that are there unless the power failed.
    pub(super) written: ChunkSet,
    pub(super) finishing: Option<String>,
    ends: Ends,
}

/// Where the journal ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ends {
    /// Bytes of the records that are whole; behind them may be what a failed write left.
    whole: u64,
    /// Bytes of those up to the last of durable chunks.
    sure: u64,
}

/// A journal that is open, and locked.
#[derive(Debug)]
pub(super) struct Journal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: File,
    ends: Mutex<Ends>,
}

/// The end of a journal, where one writes at a time.
#[derive(Debug)]
pub(super) struct Tail<'a> {
    journal: &'a Journal,
    ends: MutexGuard<'a, Ends>,
}

impl Journal {
    /// Opens and locks the journal of a content, or makes it.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        folder: &Path,
        id: ContentId,
        shape: Shape,
    ) -> Result<(Self, Option<Kept>), PartialError> {
        // With the size: if somebody lies about it, the true one is another download.
        let path = folder.join(format!("{id:#}-{}{SUFFIX}", shape.size()));
        let file = open_locked(&path)?;
        let kept = read(&path)?.filter(|kept| kept.header.id == id && kept.header.shape == shape);
        let ends = kept.as_ref().map_or(Ends::default(), |kept| kept.ends);
        if file.metadata()?.len() > ends.whole {
            // What is left of a crash shall not come to stand behind what is written from now on.
            disk.resize(&file, ends.whole)?;
        }
        Ok((Self { disk, path, file, ends: Mutex::new(ends) }, kept))
    }

    /// Begins anew: nothing of what was before counts.
    pub(super) fn begin(&self, header: &Header) -> io::Result<()> {
        let mut tail = self.tail();
        self.disk.resize(&self.file, 0)?;
        self.disk.sync(&self.file)?;
        *tail.ends = Ends::default();
        tail.write(&frame(0, &encode_header(header)))?;
        tail.ends.sure = tail.ends.whole;
        drop(tail);
        self.sync()?;
        self.path.parent().map_or(Ok(()), |folder| self.disk.sync_folder(folder))
    }

    /// Waits until nobody else writes.
    pub(super) fn tail(&self) -> Tail<'_> {
        Tail { journal: self, ends: lock(&self.ends) }
    }

    /// Writes records; see [`Tail::append`].
    pub(super) fn append(&self, records: &[Record<'_>]) -> io::Result<()> {
        self.tail().append(records)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.disk.sync(&self.file)
    }

    /// Removes the file; the lock on it is held until this is dropped.
    pub(super) fn remove(&self) -> io::Result<()> {
        match self.disk.remove(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}

impl Tail<'_> {
    /// Writes records, durable only after [`Journal::sync`]. If it fails they count for nothing, and it may be tried
    /// again.
    pub(super) fn append(&mut self, records: &[Record<'_>]) -> io::Result<()> {
        let (mut bytes, mut sure) = (Vec::new(), self.ends.sure);
        for record in records {
            bytes.extend(frame(self.ends.whole + bytes.len() as u64, &encode(*record)));
            if matches!(record, Record::Durable(_)) {
                sure = self.ends.whole + bytes.len() as u64;
            }
        }
        self.write(&bytes)?;
        self.ends.sure = sure;
        Ok(())
    }

    /// Takes back what was said of chunks that are only written, and what came with it.
    pub(super) fn forget_written(&mut self) -> io::Result<()> {
        self.journal.disk.resize(&self.journal.file, self.ends.sure)?;
        self.ends.whole = self.ends.sure;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.journal.disk.write(&self.journal.file, bytes, self.ends.whole)?;
        self.ends.whole += bytes.len() as u64;
        Ok(())
    }
}

/// Reads a journal. None if there is none, or not even its first record is whole.
pub(super) fn read(path: &Path) -> io::Result<Option<Kept>> {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() && metadata.len() <= JOURNAL_BYTES_MAX => {
            Ok(parse(&std::fs::read(path)?))
        }
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens a file, made if need be, and locks it.
fn open_locked(path: &Path) -> Result<File, PartialError> {
    loop {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        lock_open(&file)?;
        // Whoever had it may have removed it meanwhile, and then this is a file that nobody finds.
        match path.metadata() {
            Ok(found) if found.ino() == file.metadata()?.ino() => return Ok(file),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
}

/// Locks an open file for this process, until it is closed.
pub(super) fn lock_open(file: &File) -> Result<(), PartialError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(PartialError::Busy),
        Err(error) => Err(io::Error::from(error).into()),
    }
}

/// A record as it is in the file at that offset.
fn frame(offset: u64, content: &[u8]) -> Vec<u8> {
    let len = (content.len() as u32).to_le_bytes();
    [&len[..], content, &checksum(offset, content)].concat()
}

fn checksum(offset: u64, content: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = blake3::Hasher::new().update(&offset.to_le_bytes()).update(content).finalize();
    *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
}

fn encode_header(header: &Header) -> Vec<u8> {
    let mut bytes = vec![HEADER, VERSION];
    bytes.extend(header.id.as_bytes());
    let Identity { inode, born_ns } = header.identity;
    for number in [header.shape.size(), header.shape.chunk_bytes(), inode, born_ns] {
        bytes.extend(number.to_le_bytes());
    }
    for text in [header.folder.as_os_str().as_bytes(), header.name.as_bytes(), header.part.as_bytes()] {
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text);
    }
    bytes
}

fn encode(record: Record<'_>) -> Vec<u8> {
    match record {
        Record::Manifest(manifest) => [&[MANIFEST], manifest.encode()].concat(),
        Record::Durable(chunks) => [&[DURABLE], &chunks.encode()[..]].concat(),
        Record::Written(chunks) => [&[WRITTEN], &chunks.encode()[..]].concat(),
        Record::Finishing(name) => [&[FINISHING], name.as_bytes()].concat(),
    }
}

fn parse(content: &[u8]) -> Option<Kept> {
    let mut reader = Reader { rest: content };
    let header = parse_header(reader.record(0)?)?;
    let none = ChunkSet::none(header.shape.chunks());
    let sure = (content.len() - reader.rest.len()) as u64;
    let ends = Ends { whole: sure, sure };
    let mut kept =
        Kept { header, manifest: None, durable: none.clone(), written: none, finishing: None, ends };
    while let Some(kind) = reader.record(kept.ends.whole).and_then(|record| kept.apply(record)) {
        kept.ends.whole = (content.len() - reader.rest.len()) as u64;
        if kind == DURABLE {
            kept.ends.sure = kept.ends.whole;
        }
    }
    Some(kept)
}

impl Kept {
    /// Its kind; none if the record makes no sense, which ends the journal.
    fn apply(&mut self, record: &[u8]) -> Option<u8> {
        let (kind, content) = record.split_first()?;
        match *kind {
            MANIFEST => {
                let manifest = Manifest::decode(self.header.id, self.header.shape, content).ok()?;
                // Nothing else is ever written down.
                self.manifest = Some(manifest.proven());
            }
            DURABLE => {
                self.durable.insert_all(&ChunkSet::decode(self.durable.chunks(), content).ok()?);
                self.written = ChunkSet::none(self.written.chunks());
            }
            WRITTEN => self.written.insert_all(&ChunkSet::decode(self.written.chunks(), content).ok()?),
            FINISHING => self.finishing = Some(str::from_utf8(content).ok()?.to_owned()),
            _ => return None,
        }
        Some(*kind)
    }
}

fn parse_header(record: &[u8]) -> Option<Header> {
    let mut reader = Reader { rest: record };
    if reader.take(2)? != [HEADER, VERSION] {
        return None;
    }
    let id = ContentId::from_bytes(*reader.take(32)?.first_chunk()?);
    let shape = Shape::of(reader.number()?).ok()?;
    if reader.number()? != shape.chunk_bytes() {
        return None;
    }
    let identity = Identity { inode: reader.number()?, born_ns: reader.number()? };
    let folder = PathBuf::from(OsString::from_vec(reader.text()?.to_vec()));
    let name = String::from_utf8(reader.text()?.to_vec()).ok()?;
    let part = String::from_utf8(reader.text()?.to_vec()).ok()?;
    Some(Header { id, shape, folder, name, part, identity })
}

/// Takes bytes apart.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(*self.take(8)?.first_chunk()?))
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let len = u32::from_le_bytes(*self.take(4)?.first_chunk()?);
        self.take(len as usize)
    }

    /// The record that is at that offset, if it is whole.
    fn record(&mut self, offset: u64) -> Option<&'a [u8]> {
        let content = self.text()?;
        (self.take(CHECKSUM_BYTES)? == checksum(offset, content)).then_some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::partial::disk::System;

    fn header() -> Header {
        Header {
            id: ContentId::of(b"x"),
            shape: Shape::of(40 << 20).unwrap(),
            folder: PathBuf::from(OsString::from_vec(vec![b'/', 0xff, b'a'])),
            name: "é.txt".to_owned(),
            part: "é (1).txt.part".to_owned(),
            identity: Identity { inode: u64::MAX, born_ns: 17 },
        }
    }

    fn some(chunks: &[u32]) -> ChunkSet {
        let mut set = ChunkSet::none(header().shape.chunks());
        chunks.iter().for_each(|chunk| assert!(set.insert(*chunk)));
        set
    }

    fn open(folder: &Path) -> Result<(Journal, Option<Kept>), PartialError> {
        Journal::open(Arc::new(System), folder, header().id, header().shape)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, kept) = open(folder.path()).unwrap();
        assert_eq!(kept, None);
        assert!(matches!(open(folder.path()), Err(PartialError::Busy)));
        journal.begin(&header()).unwrap();
        journal.append(&[Record::Written(&some(&[3])), Record::Written(&some(&[4, 5]))]).unwrap();
        journal.append(&[Record::Durable(&some(&[3, 4])), Record::Written(&some(&[5]))]).unwrap();
        journal.append(&[Record::Written(&some(&[6]))]).unwrap();
        drop(journal);
        let (journal, kept) = open(folder.path()).unwrap();
        let kept = kept.unwrap();
        assert_eq!((&kept.header, &kept.manifest), (&header(), &None));
        assert_eq!((kept.durable, kept.written), (some(&[3, 4]), some(&[5, 6])));
        journal.append(&[Record::Durable(&some(&[159])), Record::Finishing("é.txt")]).unwrap();
        drop(journal);
        let (journal, kept) = open(folder.path()).unwrap();
        let kept = kept.unwrap();
        assert_eq!((kept.durable, kept.written), (some(&[3, 4, 159]), some(&[])));
        assert_eq!(kept.finishing, Some("é.txt".to_owned()));
        journal.begin(&header()).unwrap();
        journal.remove().unwrap();
        // Somebody who waited at the removed file would have a file that nobody finds.
        assert_eq!(open(folder.path()).unwrap().1, None);
    }

    #[test]
    fn what_is_only_written_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = open(folder.path()).unwrap();
        journal.begin(&header()).unwrap();
        journal.append(&[Record::Written(&some(&[1]))]).unwrap();
        journal.append(&[Record::Durable(&some(&[1])), Record::Written(&some(&[2]))]).unwrap();
        journal.append(&[Record::Written(&some(&[3]))]).unwrap();
        let reopened = |journal: Journal| {
            drop(journal);
            let (journal, kept) = open(folder.path()).unwrap();
            let kept = kept.unwrap();
            (journal, kept.durable, kept.written)
        };
        let (journal, durable, written) = reopened(journal);
        assert_eq!((durable, written), (some(&[1]), some(&[2, 3])));
        journal.tail().forget_written().unwrap();
        journal.append(&[Record::Written(&some(&[4]))]).unwrap();
        let (journal, durable, written) = reopened(journal);
        assert_eq!((durable, written), (some(&[1]), some(&[4])));
        // What a crash left behind the end is gone, and does not come back behind another record of the same length.
        let torn = journal.file.metadata().unwrap().len() - 1;
        journal.append(&[Record::Written(&some(&[5]))]).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&journal.file, b"x", torn).unwrap();
        let (journal, durable, written) = reopened(journal);
        assert_eq!((durable, written), (some(&[1]), some(&[])));
        journal.append(&[Record::Written(&some(&[6]))]).unwrap();
        assert_eq!(reopened(journal).2, some(&[6]));
    }

    #[test]
    fn the_first_damage_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = open(folder.path()).unwrap();
        let end = || journal.tail().ends.whole as usize;
        journal.begin(&header()).unwrap();
        let mut ends = vec![end()];
        for chunk in [7, 8, 9] {
            journal.append(&[Record::Durable(&some(&[chunk]))]).unwrap();
            ends.push(end());
        }
        let content = std::fs::read(&journal.path).unwrap();
        assert_eq!(content.len(), ends[3]);
        let expected = |whole: usize| (whole > 0).then(|| some(&[7, 8, 9][..whole - 1]));
        for cut in 0..=content.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let found = parse(&content[..cut]);
            let end = found.as_ref().map(|kept| kept.ends.whole as usize);
            assert_eq!(end, whole.checked_sub(1).map(|n| ends[n]));
            assert_eq!(found.map(|kept| kept.durable), expected(whole), "{cut}");
        }
        for at in 0..content.len() {
            let mut damaged = content.clone();
            damaged[at] ^= 1 << (at % 8);
            let whole = ends.iter().filter(|end| **end <= at).count();
            assert_eq!(parse(&damaged).map(|kept| kept.durable), expected(whole), "{at}");
        }
        // A whole record in another place counts for nothing.
        let moved = [&content[..ends[0]], &content[ends[1]..]].concat();
        assert_eq!(parse(&moved).map(|kept| kept.durable), Some(some(&[])));
    }

    #[test]
    fn what_is_no_journal_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        assert_eq!(read(&path).unwrap(), None);
        for content in
            [&b""[..], b"x", &[0xff; 100], &[0; 4096], &frame(0, &[]), &frame(0, &[HEADER, VERSION])]
        {
            std::fs::write(&path, content).unwrap();
            assert_eq!(read(&path).unwrap(), None);
        }
        File::options().write(true).open(&path).unwrap().set_len(JOURNAL_BYTES_MAX + 1).unwrap();
        assert_eq!(read(&path).unwrap(), None);
    }
}
