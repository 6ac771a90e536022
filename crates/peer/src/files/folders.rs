//! A folder is downloaded as its listing first, and then file by file, a few at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use hobnob_protocol::v1;
use tokio::time::{Duration, Instant};

use super::download::{Download, Purpose, left};
use super::event::{Content, Event, Progress};
use super::fetching::Wish;
use super::limits::{LISTING_BYTES_MAX, OF_FOLDER_MAX, PROGRESS};
use super::manager::Manager;
use super::note::Note;
use super::offer::Offer;
use super::root::Kept;
use super::sharing::{self, Read};
use super::shelf::{File, Shelf};
use super::{fetching, listing, root};
use crate::file::partial::{Opened, PartialError, Target};
use crate::file::source::SourceError;
use crate::file::{Partial, Shape};

/// Bytes that are copied at once.
const BLOCK_BYTES: usize = 1 << 20;

/// What a listing says.
pub(super) struct Plan {
    root: PathBuf,
    listing: Bytes,
    files: Vec<(PathBuf, Content)>,
}

/// A folder that is being downloaded.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) name: String,
    /// Empty until the list is read.
    root: PathBuf,
    listing: Bytes,
    files: Vec<(PathBuf, Content)>,
    /// Those whose turn has not come.
    waiting: VecDeque<usize>,
    running: BTreeSet<usize>,
    /// Where those are that are here.
    here: BTreeMap<usize, PathBuf>,
    kept: BTreeMap<usize, File>,
    bytes: u64,
    done: u64,
    begun: Instant,
    wish: Wish,
    givers: BTreeSet<String>,
    told: Instant,
}

impl Manager {
    /// The list of a folder is here: it is read.
    pub(super) fn listing_is_here(&mut self, download: Download, path: PathBuf) {
        let Download { content, name, begun, .. } = download;
        let (downloads, kept) = (self.common.downloads.clone(), Kept::of(&self.common.data, content));
        let wanted = name.clone();
        let folder = Folder {
            root: PathBuf::new(),
            name,
            listing: Bytes::new(),
            files: Vec::new(),
            waiting: VecDeque::new(),
            running: BTreeSet::new(),
            here: BTreeMap::new(),
            kept: BTreeMap::new(),
            bytes: 0,
            done: 0,
            begun,
            wish: Wish::default(),
            givers: BTreeSet::new(),
            told: begun,
        };
        self.folders.insert(content, folder);
        self.work(move || Note::Listed(content, plan(&path, &downloads, &wanted, &kept)));
    }

    pub(super) fn listed(&mut self, content: Content, plan: Result<Plan, String>) {
        let Some(folder) = self.folders.get_mut(&content) else { return };
        match plan {
            Ok(Plan { root, listing, files }) => {
                folder.root = root;
                folder.bytes = files.iter().fold(0, |sum: u64, (_, file)| sum.saturating_add(file.size));
                folder.waiting = (0..files.len()).collect();
                (folder.listing, folder.files) = (listing, files);
                self.fetch_some(content);
            }
            Err(why) => self.fail_folder(content, &why, false),
        }
    }

    /// Folders go on that waited for a content which something else fetched.
    pub(super) fn wake_folders(&mut self) {
        while std::mem::take(&mut self.freed) {
            let waiting = self.folders.iter().filter(|(_, folder)| !folder.waiting.is_empty());
            let waiting: Vec<_> = waiting.map(|(content, _)| *content).collect();
            waiting.into_iter().for_each(|content| self.fetch_some(content));
        }
    }

    /// Begins with the next files.
    fn fetch_some(&mut self, content: Content) {
        loop {
            let Some(folder) = self.folders.get_mut(&content) else { return };
            if folder.running.len() >= OF_FOLDER_MAX {
                return;
            }
            // Two files with the same content come one after the other, and so do those of two folders.
            let is_free = |index: &usize| {
                let content = &folder.files[*index].1;
                !self.downloads.contains_key(content) && !self.copying.contains(content)
            };
            let Some(at) = folder.waiting.iter().position(is_free) else { break };
            let Some(index) = folder.waiting.remove(at) else { break };
            folder.running.insert(index);
            self.fetch(content, index);
        }
        let Some(folder) = self.folders.get(&content) else { return };
        if folder.running.is_empty() && folder.waiting.is_empty() {
            self.folder_is_here(content);
        }
    }

    fn fetch(&mut self, folder_content: Content, index: usize) {
        let Some(folder) = self.folders.get(&folder_content) else { return };
        let (path, content) = folder.files[index].clone();
        let target = folder.root.join(&path);
        let place = target.parent().unwrap_or(&folder.root).to_owned();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Ok(shape) = Shape::of(content.size) else {
            return self.fail_folder(folder_content, "a file in it is too large", false);
        };
        let twin = folder.files.iter().position(|(_, other)| *other == content);
        let twin = twin.and_then(|twin| folder.here.get(&twin)).cloned();
        let own = self.offers.get(&content).filter(|offer| offer.own).and_then(|offer| offer.shelf.path());
        if let Some(from) = twin.or(own) {
            let (journals, wanted) = (self.common.journals(), folder.wish.lives());
            let make = move || {
                let target =
                    Target { id: content.id, shape, name: &name, folder: &place, journals: &journals };
                copy(&from, &target, &wanted)
            };
            self.copying.insert(content);
            self.work_unless_busy(make, move |copied| {
                let copied = copied.map_err(|error| error.to_string());
                Note::Copied { folder: folder_content, index, content, copied }
            });
            return;
        }
        let download = Download::new(content, shape, name, Purpose::OfFolder(folder_content, index));
        self.begin(download, place);
    }

    pub(super) fn copied(
        &mut self,
        folder: Content,
        index: usize,
        content: Content,
        copied: Result<File, String>,
    ) {
        self.copying.remove(&content);
        self.freed = true;
        // One that was stopped, and perhaps begun anew, does not wait for this.
        if !self.folders.get(&folder).is_some_and(|folder| folder.running.contains(&index)) {
            return;
        }
        match copied {
            Ok(file) => self.file_is_here(folder, index, file.path.clone(), Some(file), 0),
            Err(why) => self.fail_folder(folder, &why, true),
        }
    }

    /// One of the files is here.
    pub(super) fn file_is_here(
        &mut self,
        content: Content,
        index: usize,
        path: PathBuf,
        file: Option<File>,
        _rate: u64,
    ) {
        let Some(folder) = self.folders.get_mut(&content) else { return };
        if !path.starts_with(&folder.root) {
            // It was begun for itself, and went on where it was.
            folder.here.insert(index, path);
            folder.running.remove(&index);
            folder.waiting.push_front(index);
            return self.fetch_some(content);
        }
        folder.running.remove(&index);
        folder.done = folder.done.saturating_add(folder.files[index].1.size);
        folder.here.insert(index, path.clone());
        if let Some(file) = file {
            folder.kept.insert(index, file.clone());
            if self.common.holds {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                self.offer_within(content, &name, file);
            }
        }
        self.tell_folder(content);
        self.fetch_some(content);
    }

    pub(super) fn gave_to_folder(&mut self, folder: Content, givers: &BTreeSet<String>) {
        if let Some(folder) = self.folders.get_mut(&folder) {
            folder.givers.extend(givers.iter().cloned());
        }
    }

    /// All of it is here.
    fn folder_is_here(&mut self, content: Content) {
        let Some(folder) = self.folders.remove(&content) else { return };
        let (path, size, peers) = (folder.root.clone(), folder.bytes, folder.givers.len());
        let (name, time) = (fetching::shown_name(&path, &folder.name), folder.begun.elapsed());
        let kept = Kept::of(&self.common.data, content);
        self.work_without_end(move || kept.forget());
        if self.common.holds {
            self.offer_folder(content, folder);
        }
        self.out(Event::Downloaded { name, id: content.id, path, size, peers, time });
    }

    /// What was downloaded as a folder is offered as one.
    fn offer_folder(&mut self, content: Content, folder: Folder) {
        let Some(listing) = sharing::listing_of(folder.listing) else { return };
        let files: Vec<_> = (0..folder.files.len())
            .filter_map(|index| {
                Some((folder.files[index].0.to_string_lossy().into_owned(), folder.kept.get(&index)?.clone()))
            })
            .collect();
        let chunks = files.iter().map(|(_, file)| u64::from(file.manifest.shape().chunks())).sum();
        let shelf = Arc::new(Shelf::of_memory(listing.0.clone(), listing.1.clone()));
        let new = || Offer::new(folder.name.clone(), Arc::clone(&shelf), true);
        let offer = self.offers.entry(content).or_insert_with(new);
        offer.shelf = shelf.clone();
        offer.own = true;
        offer.folder = Some(v1::Folder { bytes: folder.bytes, files: files.len() as u32 });
        offer.folder_chunks = chunks;
        offer.folder_path = Some(folder.root.clone());
        self.hold(content);
        let complete = files.len() == folder.files.len();
        if complete {
            let read = Read { name: folder.name, root: folder.root, files, listing: Some(listing) };
            self.keep(content, read);
        }
    }

    /// It cannot go on.
    pub(super) fn fail_folder(&mut self, content: Content, why: &str, resumable: bool) {
        if let Some(name) = self.stop_folder(content) {
            self.out(Event::DownloadFailed { name, id: content.id, why: why.to_owned(), resumable });
        }
    }

    /// Ends the download of a folder; what came is kept.
    pub(super) fn stop_folder(&mut self, content: Content) -> Option<String> {
        let folder = self.folders.remove(&content)?;
        for index in &folder.running {
            let of_this = Purpose::OfFolder(content, *index);
            let file = folder.files[*index].1;
            if self.downloads.get(&file).is_some_and(|download| download.purpose == of_this) {
                self.stop(file);
            }
        }
        self.withdraw(content);
        Some(folder.name)
    }

    pub(super) fn folder_progress(&self, content: Content) -> Option<Progress> {
        let folder = self.folders.get(&content)?;
        let mut sum = Progress {
            name: folder.name.clone(),
            id: content.id,
            done: folder.done,
            size: folder.bytes,
            rate: 0,
            direct: 0,
            relayed: 0,
            left: None,
            stalled: !folder.running.is_empty(),
        };
        if folder.running.is_empty() {
            // It waits for what something else fetches or copies.
            let mut waits_for =
                folder.waiting.iter().map(|index| self.downloads.get(&folder.files[*index].1));
            sum.stalled =
                !folder.waiting.is_empty() && waits_for.all(|it| it.is_some_and(|it| it.progress().stalled));
        }
        for index in &folder.running {
            let Some(download) = self.downloads.get(&folder.files[*index].1) else {
                // It is being copied.
                sum.stalled = false;
                continue;
            };
            let one = download.progress();
            sum.stalled &= one.stalled;
            sum.done = sum.done.saturating_add(one.done);
            sum.rate = sum.rate.saturating_add(one.rate);
            sum.direct = sum.direct.max(one.direct);
            sum.relayed = sum.relayed.max(one.relayed);
        }
        sum.left = left(sum.size.saturating_sub(sum.done), sum.rate);
        Some(sum)
    }

    /// Tells how far it is, from time to time.
    pub(super) fn tell_folder(&mut self, content: Content) {
        let Some(folder) = self.folders.get_mut(&content) else { return };
        if folder.told.elapsed() + Duration::from_millis(1) < PROGRESS {
            return;
        }
        folder.told = Instant::now();
        if let Some(progress) = self.folder_progress(content) {
            self.out(Event::Progress(progress));
        }
    }
}

/// Reads a listing, and makes the folder, which may stay empty. Blocks.
fn plan(path: &Path, downloads: &Path, name: &str, kept: &Kept) -> Result<Plan, String> {
    let size = path.metadata().map_err(|error| error.to_string())?.len();
    if size > LISTING_BYTES_MAX {
        return Err("the folder's list is too large".to_owned());
    }
    let listing = std::fs::read(path).map_err(|error| error.to_string())?;
    let files = listing::read(&listing)?;
    let root = root::choose(downloads, name, &files, kept).map_err(|error| error.to_string())?;
    Ok(Plan { root, listing: listing.into(), files })
}

/// Makes a file out of one with the same content. Blocks.
fn copy(from: &Path, target: &Target<'_>, wanted: &dyn Fn() -> bool) -> Result<File, PartialError> {
    std::fs::create_dir_all(target.folder)?;
    if let Some(file) = fetching::same(&target.folder.join(target.name), target, wanted)? {
        return Ok(file);
    }
    let file = sharing::hash(from, &mut |_| wanted()).map_err(gone)?;
    let partial = match Partial::open(target)? {
        Opened::Going(partial) => partial,
        Opened::Complete(path) => return sharing::hash(&path, &mut |_| wanted()).map_err(gone),
    };
    fill(&partial, &file, wanted)?;
    partial.finish()?.source.map(|source| File::of(&source)).map_err(gone)
}

fn fill(partial: &Arc<Partial>, file: &File, wanted: &dyn Fn() -> bool) -> Result<(), PartialError> {
    let source = file.open().map_err(gone)?;
    partial.give(file.manifest.clone());
    let shape = partial.shape();
    // The last proves the manifest.
    for chunk in shape.last().into_iter().chain(0..shape.chunks()) {
        let (Some(range), Ok(mut writer)) = (shape.range(chunk), partial.writer(chunk)) else { continue };
        let mut block = vec![0; BLOCK_BYTES.min((range.end - range.start) as usize)];
        let mut at = range.start;
        while at < range.end {
            if !wanted() {
                return Err(gone(SourceError::Stopped));
            }
            let block = &mut block[..((range.end - at).min(BLOCK_BYTES as u64)) as usize];
            source.read_at(at, block).map_err(gone)?;
            writer.write(block).map_err(|error| PartialError::Io(std::io::Error::other(error)))?;
            at += block.len() as u64;
        }
        writer.finish().map_err(|error| PartialError::Io(std::io::Error::other(error)))?;
    }
    Ok(())
}

fn gone(error: SourceError) -> PartialError {
    PartialError::Io(std::io::Error::other(error))
}
