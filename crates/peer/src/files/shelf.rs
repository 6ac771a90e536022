//! Where the chunks of an offer are read from: a file of the person's, or a download under way, and one may become the
//! other while it is read.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use crate::file::source::{SourceError, Stamp, Unhashed};
use crate::file::{Manifest, Partial, Shape, Source, Trust};
use crate::transfer::Holding;

/// What is offered, as it lies.
#[derive(Debug)]
pub(super) struct Shelf {
    shape: Shape,
    place: RwLock<Place>,
}

#[derive(Clone, Debug)]
enum Place {
    /// A file that is not open while nobody takes it: there may be many.
    Closed(Arc<File>),
    Open(Arc<File>, Arc<Source>),
    Partial(Arc<Partial>),
    Memory(Bytes, Manifest),
    /// Nothing any more.
    Nowhere,
}

/// A file as it was hashed.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) stamp: Stamp,
    pub(super) manifest: Manifest,
}

/// What is offered cannot be read as it was.
#[derive(Debug)]
pub(super) struct Wrong {
    /// What was looked at. What is offered may have become something else meanwhile.
    file: Arc<File>,
    pub(super) error: SourceError,
}

impl File {
    pub(super) fn of(source: &Source) -> Self {
        Self { path: source.path().to_owned(), stamp: source.stamp(), manifest: source.manifest().clone() }
    }

    /// Opens it, if it is still what was hashed. Blocks.
    pub(super) fn open(&self) -> Result<Source, SourceError> {
        Unhashed::open(&self.path)?.known(self.stamp, self.manifest.clone())
    }
}

impl Shelf {
    fn new(shape: Shape, place: Place) -> Self {
        Self { shape, place: RwLock::new(place) }
    }

    pub(super) fn of_file(file: File) -> Self {
        Self::new(file.manifest.shape(), Place::Closed(Arc::new(file)))
    }

    pub(super) fn of_partial(partial: Arc<Partial>) -> Self {
        Self::new(partial.shape(), Place::Partial(partial))
    }

    /// Of a content that is held in memory, with its manifest.
    pub(super) fn of_memory(bytes: Bytes, manifest: Manifest) -> Self {
        Self::new(manifest.shape(), Place::Memory(bytes, manifest))
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// Where the whole file is.
    pub(super) fn path(&self) -> Option<PathBuf> {
        match self.place() {
            Place::Closed(file) | Place::Open(file, _) => Some(file.path.clone()),
            Place::Partial(_) | Place::Memory(..) | Place::Nowhere => None,
        }
    }

    /// What was a download is a file now.
    pub(super) fn becomes(&self, file: File) {
        self.put(Place::Closed(Arc::new(file)));
    }

    /// Nothing can be read any more.
    pub(super) fn clear(&self) {
        self.put(Place::Nowhere);
    }

    /// Nobody takes it now.
    pub(super) fn close(&self) {
        let mut place = self.place.write().unwrap_or_else(PoisonError::into_inner);
        if let Place::Open(file, _) = &*place {
            *place = Place::Closed(Arc::clone(file));
        }
    }

    /// Makes it ready to be read. Blocks.
    pub(super) fn open(&self) -> Result<(), Wrong> {
        let Place::Closed(file) = self.place() else { return Ok(()) };
        let source = match file.open() {
            Ok(source) => Arc::new(source),
            Err(error) => return Err(Wrong { file, error }),
        };
        let mut place = self.place.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(&*place, Place::Closed(_)) {
            *place = Place::Open(file, source);
        }
        Ok(())
    }

    /// Whether what is offered is still what it was. What is not offered any more is nothing to complain of. Blocks.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        let (file, result) = match self.place() {
            Place::Closed(file) => {
                let result = file.open().map(drop);
                (file, result)
            }
            Place::Open(file, source) => (file, source.check()),
            Place::Partial(_) | Place::Memory(..) | Place::Nowhere => return Ok(()),
        };
        result.map_err(|error| Wrong { file, error })
    }

    /// Whether this is said of what is offered now, and not of what was before.
    pub(super) fn is_meant(&self, wrong: &Wrong) -> bool {
        match self.place() {
            Place::Closed(file) | Place::Open(file, _) => Arc::ptr_eq(&file, &wrong.file),
            Place::Partial(_) | Place::Memory(..) | Place::Nowhere => false,
        }
    }

    fn place(&self) -> Place {
        self.place.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, new: Place) {
        *self.place.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    fn read_at(&self, offset: u64, block: &mut [u8]) -> io::Result<()> {
        match self.place() {
            Place::Partial(partial) => partial.read_at(offset, block).map_err(io::Error::other),
            Place::Open(_, source) => source.read_at(offset, block).map_err(io::Error::other),
            Place::Memory(bytes, _) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let bytes = bytes.get(start..).and_then(|rest| rest.get(..block.len()));
                block.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
            Place::Closed(_) => {
                self.open().map_err(|wrong| io::Error::other(wrong.error))?;
                match self.place() {
                    Place::Open(_, source) => source.read_at(offset, block).map_err(io::Error::other),
                    _ => Err(io::ErrorKind::NotFound.into()),
                }
            }
            Place::Nowhere => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Holding for Shelf {
    fn bytes(&self, chunk: u32) -> Option<u32> {
        let range = self.shape.range(chunk)?;
        let there = match self.place() {
            Place::Partial(partial) => partial.verified().contains(chunk),
            Place::Nowhere => false,
            Place::Closed(_) | Place::Open(..) | Place::Memory(..) => true,
        };
        u32::try_from(range.end - range.start).ok().filter(|_| there)
    }

    fn read(&self, chunk: u32, offset: u32, block: &mut [u8]) -> io::Result<()> {
        let range = self.shape.range(chunk).ok_or(io::ErrorKind::InvalidInput)?;
        self.read_at(range.start + u64::from(offset), block)
    }

    fn manifest(&self) -> Option<Bytes> {
        let manifest = match self.place() {
            Place::Partial(partial) => partial.manifest().filter(|it| it.trust() == Trust::Proven)?,
            Place::Closed(file) | Place::Open(file, _) => file.manifest.clone(),
            Place::Memory(_, manifest) => manifest,
            Place::Nowhere => return None,
        };
        Some(Bytes::copy_from_slice(manifest.encode()))
    }
}
