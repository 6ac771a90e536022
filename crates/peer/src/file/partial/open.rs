//! Beginning a download, and finding again one that was begun.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::fs::OFlags;

use crate::file::chunk::Shape;
use crate::file::id::ContentId;
use crate::file::manifest::{Manifest, Verifier};
use crate::file::map::ChunkSet;
use crate::file::name;
use crate::file::partial::disk::{Disk, System};
use crate::file::partial::journal::{self, Header, Identity, Journal, Kept, Record};
use crate::file::partial::writer::Spares;
use crate::file::partial::{Partial, PartialError, State};

/// How the names of parts end.
const SUFFIX: &str = ".part";
/// Names that are tried.
pub(super) const NAMES_MAX: u32 = 10_000;
/// Bytes that are read and hashed at a time.
const BLOCK_BYTES: usize = 1 << 20;

/// What to download, and where to.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The content.
    pub id: ContentId,
    /// Its size and chunks.
    pub shape: Shape,
    /// What others call it.
    pub name: &'a str,
    /// Where it is to be. A download that was begun for another folder comes here, if that is on the same file system, and
    /// otherwise stays there.
    pub folder: &'a Path,
    /// Where journals are kept: a folder that is there and that nobody else writes to, because what a journal says is
    /// believed.
    pub journals: &'a Path,
}

/// A download that was opened.
#[derive(Debug)]
pub enum Opened {
    /// It is new, or goes on where it stopped.
    Going(Arc<Partial>),
    /// A crash came between the naming of the complete file and its noting: it is here.
    Complete(PathBuf),
}

/// A download that a journal tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The content.
    pub id: ContentId,
    /// Its size and chunks.
    pub shape: Shape,
    /// The safe name that it is to have.
    pub name: String,
    /// Where it is to be.
    pub folder: PathBuf,
    /// The chunks that it surely has.
    pub durable: ChunkSet,
}

impl Partial {
    /// Opens a download: goes on with the one of that content if there is one, and begins it otherwise. What was not
    /// durable yet when it was last open is read and hashed.
    ///
    /// # Errors
    /// It is open already, there is no room, or a folder is missing or not to be written to.
    pub fn open(target: &Target<'_>) -> Result<Opened, PartialError> {
        Self::open_on(Arc::new(System), target)
    }

    /// All downloads that can be gone on with, in the order of their ids. Those that are open are among them.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn unfinished(journals: &Path) -> io::Result<Vec<Unfinished>> {
        let mut found = BTreeMap::new();
        for entry in journals.read_dir()? {
            let path = entry?.path();
            if !path.as_os_str().as_encoded_bytes().ends_with(journal::SUFFIX.as_bytes()) {
                continue;
            }
            if let Some(Kept { header, durable, .. }) = journal::read(&path)? {
                let Header { id, shape, name, folder, .. } = header;
                found.insert((id, shape.size()), Unfinished { id, shape, name, folder, durable });
            }
        }
        Ok(found.into_values().collect())
    }

    pub(super) fn open_on(disk: Arc<dyn Disk>, target: &Target<'_>) -> Result<Opened, PartialError> {
        let alone = Manifest::decode(target.id, target.shape, &[]);
        if target.shape.chunks() == 0 && alone.is_err() {
            return Err(PartialError::NoSuchContent);
        }
        let opened = Journal::open(Arc::clone(&disk), target.journals, target.id, target.shape)?;
        let mut opening = Opening { disk, journal: opened.0, alone: alone.ok() };
        let Some(kept) = opened.1 else {
            let begun = opening.begin(target).inspect_err(|_| {
                // It says nothing; should it stay, it is no harm.
                let _ = opening.journal.remove();
            })?;
            return Ok(opening.going(begun));
        };
        match opening.go_on(kept)? {
            Found::Part(mut begun) => {
                opening.bring(&mut begun, target.folder)?;
                Ok(opening.going(*begun))
            }
            Found::Complete(path) => {
                opening.journal.remove()?;
                Ok(Opened::Complete(path))
            }
            Found::Nothing => opening.begin(target).map(|begun| opening.going(begun)),
        }
    }
}

/// A download that is being opened.
struct Opening {
    disk: Arc<dyn Disk>,
    journal: Journal,
    /// The manifest of a file that needs none.
    alone: Option<Manifest>,
}

/// What is known of a part that may be gone on with.
struct Begun {
    header: Header,
    file: File,
    manifest: Option<Manifest>,
    /// Which chunks of it are there and in the journal.
    verified: ChunkSet,
    /// Which of them the journal has as durable.
    durable: ChunkSet,
}

enum Found {
    Part(Box<Begun>),
    Complete(PathBuf),
    Nothing,
}

impl Opening {
    /// Makes a new part. The journal is touched only once that is there.
    fn begin(&mut self, target: &Target<'_>) -> Result<Begun, PartialError> {
        let folder = target.folder.canonicalize()?;
        let name = name::safe(target.name);
        let (part, file) = self.create_part(&folder, &name)?;
        let (id, shape) = (target.id, target.shape);
        let path = folder.join(&part);
        let made = file.metadata().map_err(PartialError::from).and_then(|metadata| {
            let header = Header { id, shape, folder, name, part, identity: Identity::of(&metadata) };
            journal::lock_open(&file)?;
            self.journal.begin(&header)?;
            self.disk.resize(&file, shape.size())?;
            self.disk.sync_folder(&header.folder)?;
            Ok(header)
        });
        match made {
            Ok(header) => {
                let none = ChunkSet::none(shape.chunks());
                Ok(Begun { header, file, manifest: None, verified: none.clone(), durable: none })
            }
            Err(error) => {
                // Without a journal nobody would ever find it.
                let _ = self.disk.remove(&path);
                Err(error)
            }
        }
    }

    fn create_part(&self, folder: &Path, name: &str) -> Result<(String, File), PartialError> {
        for number in 0..NAMES_MAX {
            let part = name::numbered(name, number, SUFFIX);
            match self.disk.create(&folder.join(&part)) {
                Ok(file) => return Ok((part, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(PartialError::NoFreeName)
    }

    /// Finds the part that the journal tells of.
    fn go_on(&mut self, kept: Kept) -> Result<Found, PartialError> {
        let Some(file) = open_part(&kept.header.part_path())? else {
            return Ok(complete(&kept).map_or(Found::Nothing, Found::Complete));
        };
        journal::lock_open(&file)?;
        let metadata = file.metadata()?;
        let (size, is_ours) = (kept.header.shape.size(), Identity::of(&metadata) == kept.header.identity);
        let Kept { header, manifest, durable, written, .. } = kept;
        let mut begun = Begun { header, file, manifest, verified: durable.clone(), durable };
        if is_ours && metadata.len() >= size {
            if metadata.len() > size {
                self.disk.resize(&begun.file, size)?;
            }
            let right = self.right(&begun, &written, size);
            begun.verified.insert_all(&right);
            return Ok(Found::Part(Box::new(begun)));
        }
        let right = self.right(&begun, &begun.durable.clone().union(&written), metadata.len());
        (begun.verified, begun.durable) = (right.clone(), right);
        if !is_ours && begun.verified.is_empty() {
            return Ok(Found::Nothing);
        }
        begun.header.identity = Identity::of(&metadata);
        self.write_anew(&begun)?;
        Ok(Found::Part(Box::new(begun)))
    }

    /// Moves a part to this folder. A crash meanwhile may lose what came of it, and nothing else.
    fn bring(&mut self, begun: &mut Begun, folder: &Path) -> Result<(), PartialError> {
        let folder = folder.canonicalize()?;
        if folder == begun.header.folder {
            return Ok(());
        }
        let old = begun.header.part_path();
        for number in 0..NAMES_MAX {
            let part = name::numbered(&begun.header.name, number, SUFFIX);
            match self.disk.rename(&old, &folder.join(&part)) {
                Ok(()) => {
                    self.disk.sync_folder(&folder)?;
                    (begun.header.folder, begun.header.part) = (folder, part);
                    begun.durable = begun.verified.clone();
                    return self.write_anew(begun);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Err(PartialError::NoFreeName)
    }

    /// Writes the journal of a part that is not as it was left.
    fn write_anew(&mut self, begun: &Begun) -> Result<(), PartialError> {
        self.journal.begin(&begun.header)?;
        let manifest = begun.manifest.as_ref().map(Record::Manifest);
        let records: Vec<_> = manifest.into_iter().chain([Record::Durable(&begun.durable)]).collect();
        self.disk.resize(&begun.file, begun.header.shape.size())?;
        self.disk.sync(&begun.file)?;
        self.journal.append(&records)?;
        Ok(self.journal.sync()?)
    }

    /// Those of the claimed chunks that are really in the part, which has so many bytes. Without a manifest nobody can
    /// tell.
    fn right(&self, begun: &Begun, claimed: &ChunkSet, len: u64) -> ChunkSet {
        let mut right = ChunkSet::none(claimed.chunks());
        let Some(manifest) = begun.manifest.as_ref().or(self.alone.as_ref()) else { return right };
        let mut block = vec![0; BLOCK_BYTES];
        for chunk in claimed.iter() {
            let range = manifest.shape().range(chunk).filter(|range| range.end <= len);
            let (Some(range), Ok(verifier)) = (range, manifest.verifier(chunk)) else { continue };
            if is_right(&begun.file, range, verifier, &mut block) {
                right.insert(chunk);
            }
        }
        right
    }

    fn going(self, begun: Begun) -> Opened {
        let Begun { header, file, manifest, verified, durable } = begun;
        let last_is_there = header.shape.last().is_none_or(|last| verified.contains(last));
        let alone = self.alone.map(|alone| if last_is_there { alone.proven() } else { alone });
        let state = State {
            manifest_kept: manifest.is_some(),
            manifest: manifest.or(alone),
            unnoted: ChunkSet::none(verified.chunks()),
            verified,
            durable,
            claims: BTreeMap::new(),
            broken: false,
        };
        Opened::Going(Arc::new(Partial {
            disk: self.disk,
            header,
            file,
            journal: self.journal,
            committing: Mutex::default(),
            spares: Mutex::new(Spares::default()),
            state: Mutex::new(state),
        }))
    }
}

/// Whether these bytes of a file are the chunk. What cannot be read is not.
fn is_right(file: &File, range: Range<u64>, mut verifier: Verifier, block: &mut [u8]) -> bool {
    let mut at = range.start;
    while at < range.end {
        let block = &mut block[..(range.end - at).min(BLOCK_BYTES as u64) as usize];
        if file.read_exact_at(block, at).is_err() || verifier.feed(block).is_err() {
            return false;
        }
        at += block.len() as u64;
    }
    verifier.finish().is_ok()
}

/// Opens what has the name of a part; none if there is nothing, or nothing that can be one.
fn open_part(path: &Path) -> Result<Option<File>, PartialError> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags.bits() as i32).open(path)?;
    Ok(file.metadata()?.is_file().then_some(file))
}

/// Where the complete file is, if its part got its name before a crash.
fn complete(kept: &Kept) -> Option<PathBuf> {
    let path = kept.header.folder.join(kept.finishing.as_ref()?);
    let metadata = path.symlink_metadata().ok()?;
    let is_it = metadata.is_file()
        && Identity::of(&metadata) == kept.header.identity
        && metadata.len() == kept.header.shape.size()
        && kept.durable.is_full();
    is_it.then_some(path)
}
