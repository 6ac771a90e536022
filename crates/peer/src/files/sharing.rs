//! Sharing: a file or a folder is read where it lies, and offered.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use hobnob_protocol::v1;
use tokio::sync::mpsc;

use super::event::{Content, Ended, Event};
use super::limits::{HASHES_MAX, LOOK_AT, OFFERS_MAX};
use super::manager::Manager;
use super::note::Note;
use super::offer::Offer;
use super::shelf::{File, Shelf, Wrong};
use super::{kept, listing};
use crate::file::manifest::ContentHash;
use crate::file::source::{SourceError, Unhashed};
use crate::file::{ContentId, Manifest, Shape, name};

/// Names one reading of a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobId(u64);

/// Bytes between two words about a reading.
const REPORT_BYTES: u64 = 32 << 20;

/// What is to be offered, read and hashed.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) name: String,
    /// The file, or the folder.
    pub(super) root: PathBuf,
    /// The file, or all files of the folder with their paths in it.
    pub(super) files: Vec<(String, File)>,
    /// Of a folder.
    pub(super) listing: Option<(Bytes, Manifest)>,
}

/// Readings that wait or are under way.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    last: u64,
    waiting: VecDeque<PathBuf>,
    running: BTreeMap<JobId, PathBuf>,
}

impl Manager {
    /// The person wants to share this.
    pub(super) fn share(&mut self, path: PathBuf) {
        self.jobs.waiting.push_back(path);
        self.read_some();
    }

    fn read_some(&mut self) {
        while self.jobs.running.len() < HASHES_MAX {
            let Some(path) = self.jobs.waiting.pop_front() else { return };
            self.jobs.last += 1;
            let job = JobId(self.jobs.last);
            self.jobs.running.insert(job, path.clone());
            let notes = self.notes.clone();
            self.work(move || {
                let mut report = reporter(job, notes);
                Note::Read(job, read(&path, &mut report))
            });
        }
    }

    pub(super) fn reading(&mut self, job: JobId, done: u64, size: u64) {
        if let Some(path) = self.jobs.running.get(&job) {
            let path = path.clone();
            self.out(Event::Reading { path, done, size });
        }
    }

    pub(super) fn was_read(&mut self, job: JobId, read: Result<Read, String>) {
        let path = self.jobs.running.remove(&job).unwrap_or_default();
        let shared = read.and_then(|read| {
            let new = read.files.len() + usize::from(read.listing.is_some());
            if self.offers.len() + new > OFFERS_MAX {
                return Err(format!("no more than {OFFERS_MAX} files can be shared"));
            }
            self.offer(read, false)
        });
        if let Err(why) = shared {
            self.out(Event::ShareFailed { path, why });
        }
        self.read_some();
    }

    /// What was shared before.
    pub(super) fn were_kept(&mut self, kept: Vec<Read>, ended: Vec<(String, ContentId, Ended)>) {
        for (name, id, why) in ended {
            self.out(Event::ShareEnded { name, id, why });
        }
        for read in kept {
            // What was shared since the beginning of this session may be kept already when that is looked at.
            if self.offers.get(&read.content()).is_some_and(|offer| offer.own && offer.itself) {
                continue;
            }
            let root = read.root.clone();
            if let Err(why) = self.offer(read, true) {
                self.out(Event::ShareFailed { path: root, why });
            }
        }
    }

    /// Offers what was read.
    pub(super) fn offer(&mut self, read: Read, again: bool) -> Result<(), String> {
        let content = read.content();
        if self.downloads.contains_key(&content) {
            return Err("it is being downloaded".to_owned());
        }
        if !again {
            self.keep(content, read.clone());
        }
        let Read { name, root, files, listing } = read;
        let Some((bytes, manifest)) = listing else {
            let Some((_, file)) = files.into_iter().next() else { return Ok(()) };
            let earlier = self.offers.remove(&content);
            let mut offer = Offer::new(name, Arc::new(Shelf::of_file(file.clone())), true);
            if let Some(earlier) = earlier {
                // Streams go on, with what is read from where it is now.
                earlier.shelf.becomes(file);
                offer.shelf = earlier.shelf;
                offer.within = earlier.within;
                offer.told = earlier.told;
                offer.givers = earlier.givers;
            }
            self.put_offer(content, offer, again);
            return Ok(());
        };
        let chunks = files.iter().map(|(_, file)| u64::from(file.manifest.shape().chunks())).sum();
        let bytes_in_all = files.iter().map(|(_, file)| file.stamp.size()).sum();
        let mut offer = Offer::new(name, Arc::new(Shelf::of_memory(bytes, manifest)), true);
        offer.folder = Some(v1::Folder { bytes: bytes_in_all, files: files.len() as u32 });
        offer.folder_chunks = chunks;
        offer.folder_path = Some(root);
        self.put_offer(content, offer, again);
        for (path, file) in files {
            self.offer_within(content, &path, file);
        }
        Ok(())
    }

    fn put_offer(&mut self, content: Content, mut offer: Offer, again: bool) {
        (offer.awaited, offer.again) = (true, again);
        self.offers.insert(content, offer);
        self.see_whether_offering();
        self.hold(content);
    }

    /// Offers a file of a folder.
    pub(super) fn offer_within(&mut self, folder: Content, path: &str, file: File) {
        let content = content_of(&file.manifest);
        if let Some(offer) = self.offers.get_mut(&content) {
            // The same folder from another place; a file that was shared for itself stays where that is.
            if offer.own && !offer.itself && offer.within == [folder] {
                offer.shelf.becomes(file);
            } else if !offer.within.contains(&folder) {
                offer.within.push(folder);
            }
            return;
        }
        let name = name::safe(path.rsplit('/').next().unwrap_or(path));
        let mut offer = Offer::new(name, Arc::new(Shelf::of_file(file)), true);
        offer.itself = false;
        offer.within = vec![folder];
        self.offers.insert(content, offer);
        self.hold(content);
    }

    /// The server knows of it.
    pub(super) fn told_of(&mut self, content: Content) {
        let Some(offer) = self.offers.get_mut(&content).filter(|offer| offer.awaited) else { return };
        offer.awaited = false;
        let (size, chunks) = match offer.folder {
            Some(folder) => (folder.bytes, offer.folder_chunks),
            None => (content.size, u64::from(offer.shelf.shape().chunks())),
        };
        let (name, id, again) = (offer.name.clone(), content.id, offer.again);
        self.out(Event::Sharing { name, size, chunks, id, again });
    }

    /// The server does not take it; if that is not final, it may at the next login.
    pub(super) fn not_held(&mut self, content: Content, why: String, is_final: bool) {
        let Some(offer) = self.offers.get_mut(&content).filter(|offer| offer.awaited) else { return };
        offer.awaited = false;
        let path = offer.folder_path.clone().or_else(|| offer.shelf.path()).unwrap_or_default();
        if is_final {
            self.forget(content);
        }
        self.take_away(content);
        self.out(Event::ShareFailed { path, why });
    }

    pub(super) fn keep(&mut self, content: Content, read: Read) {
        if !self.common.holds || !self.common.comes_back {
            return;
        }
        let folder = self.common.shares();
        self.work_on_kept(move || {
            if let Err(error) = kept::save(&folder, content, &read) {
                tracing::warn!(%error, "a share cannot be kept for the next login");
            }
        });
    }

    pub(super) fn forget(&mut self, content: Content) {
        let folder = self.common.shares();
        self.work_on_kept(move || {
            if let Err(error) = kept::remove(&folder, content) {
                tracing::warn!(%error, "a share cannot be forgotten");
            }
        });
    }

    /// Looks at a few of the offers, whether they are what they were.
    pub(super) fn look(&mut self) {
        if self.looking {
            return;
        }
        let after = self.looked_at;
        let next = self.offers.iter().filter(|(content, offer)| offer.own && Some(**content) > after);
        let some: Vec<_> =
            next.take(LOOK_AT).map(|(content, offer)| (*content, Arc::clone(&offer.shelf))).collect();
        self.looked_at = some.last().map(|(content, _)| *content).filter(|_| some.len() == LOOK_AT);
        if some.is_empty() {
            return;
        }
        self.looking = true;
        self.work(move || {
            let wrong = some.into_iter().filter_map(|(content, shelf)| Some((content, shelf.check().err()?)));
            Note::Looked(wrong.collect())
        });
    }

    pub(super) fn looked(&mut self, wrong: Vec<(Content, Wrong)>) {
        self.looking = false;
        for (content, wrong) in wrong {
            self.unreadable(content, &wrong);
        }
    }
}

impl Read {
    /// What is shared: the file, or the list of the folder.
    pub(super) fn content(&self) -> Content {
        match (&self.listing, self.files.first()) {
            (Some((_, manifest)), _) => content_of(manifest),
            (None, Some((_, file))) => content_of(&file.manifest),
            (None, None) => Content { id: ContentId::of(b""), size: 0 },
        }
    }
}

pub(super) fn content_of(manifest: &Manifest) -> Content {
    Content { id: manifest.id(), size: manifest.shape().size() }
}

/// The manifest of a text that is at hand.
pub(super) fn listing_of(bytes: Bytes) -> Option<(Bytes, Manifest)> {
    let mut hash = ContentHash::new(Shape::of(bytes.len() as u64).ok()?);
    hash.feed(&bytes);
    hash.finish().map(|manifest| (bytes, manifest))
}

/// Tells how far a reading is. `false`: nobody wants it any more.
fn reporter(job: JobId, notes: mpsc::Sender<Note>) -> impl FnMut(u64, u64) -> bool {
    let mut told = 0;
    move |done: u64, size: u64| {
        if done < told + REPORT_BYTES {
            return !notes.is_closed();
        }
        told = done;
        // One that finds no place is overtaken soon.
        !matches!(notes.try_send(Note::Reading(job, done, size)), Err(mpsc::error::TrySendError::Closed(_)))
    }
}

fn read(path: &Path, report: &mut impl FnMut(u64, u64) -> bool) -> Result<Read, String> {
    let root = path.canonicalize().map_err(|error| SourceError::from(error).to_string())?;
    if listing::is_among_keys(&root) {
        return Err("hobnob keeps its keys there".to_owned());
    }
    let name = name::safe(&root.file_name().unwrap_or_default().to_string_lossy());
    if !root.is_dir() {
        let size = root.metadata().map_or(0, |metadata| metadata.len());
        let file = hash(&root, &mut |done| report(done, size)).map_err(|error| error.to_string())?;
        return Ok(Read { name: name.clone(), root, files: vec![(name, file)], listing: None });
    }
    let found = listing::walk(&root)?;
    let sizes = found.iter().map(|(_, path)| path.metadata().map_or(0, |metadata| metadata.len()));
    let (size, mut before) = (sizes.sum(), 0);
    let mut files = Vec::new();
    for (path, place) in found {
        let file = hash(&place, &mut |done| report(before + done, size));
        let file = file.map_err(|error| format!("{path}: {error}"))?;
        before += file.stamp.size();
        files.push((path, file));
    }
    let listed = files
        .iter()
        .map(|(path, file)| listing::Listed { path: path.clone(), content: content_of(&file.manifest) });
    let text = listing::write(&listed.collect::<Vec<_>>());
    Ok(Read { name, root, files, listing: listing_of(text.into()) })
}

/// Reads all of a file.
pub(super) fn hash(path: &Path, report: &mut dyn FnMut(u64) -> bool) -> Result<File, SourceError> {
    let source = Unhashed::open(path)?
        .hash(|done| if report(done) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })?;
    Ok(File::of(&source))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{Common, Setup};
    use super::*;

    /// What is kept for the next login is looked at when files begin, and a share that is quick is among it already.
    #[tokio::test]
    async fn what_is_shared_at_once_is_not_taken_for_what_was_shared_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::fs::write(&path, b"quick").unwrap();
        let common = Common::new(Setup {
            seed: [1; 32],
            ticket_key: [2; 32],
            data: folder.path().join("data"),
            downloads: folder.path().to_owned(),
            relay_only: false,
            holds: true,
            comes_back: true,
            listen: None,
            blocked: Vec::new(),
        });
        let (mut manager, _notes) = Manager::new(Arc::new(common.unwrap()), BTreeSet::new());
        let read = super::read(&path, &mut |_, _| true).unwrap();
        let content = read.content();
        manager.offer(read.clone(), false).unwrap();
        manager.were_kept(vec![read.clone()], Vec::new());
        let offer = &manager.offers[&content];
        assert!(offer.awaited && !offer.again, "its person waits for a word");
        // What was really shared before comes back as that.
        manager.withdraw(content);
        manager.were_kept(vec![read], Vec::new());
        assert!(manager.offers[&content].again);
    }
}
