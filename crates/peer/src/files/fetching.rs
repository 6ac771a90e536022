//! How a download begins and ends.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::time::Instant;

use super::download::{Download, Phase, Purpose};
use super::event::{Content, Entry, Event};
use super::limits::{DOWNLOADS_MAX, LISTING_BYTES_MAX};
use super::manager::Manager;
use super::note::{Found, Note};
use super::offer::Offer;
use super::sharing::{self, Read};
use super::shelf::{File, Shelf};
use super::telling::Told;
use crate::file::partial::{Finished, Opened, PartialError, Target};
use crate::file::source::SourceError;
use crate::file::{Partial, Shape, name};
use crate::swarm::Event as SwarmEvent;

/// What is read for something is wanted as long as this lives.
#[derive(Debug, Default)]
pub(super) struct Wish(Arc<()>);

impl Wish {
    /// Says on another thread whether it lives.
    pub(super) fn lives(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let wish = Arc::downgrade(&self.0);
        move || wish.strong_count() > 0
    }
}

impl Manager {
    /// The person wants this.
    pub(super) fn download(&mut self, entry: Entry) {
        let Entry { content, name, folder, sources } = entry;
        let name = name::safe(&name);
        if self.downloads.contains_key(&content) || self.folders.contains_key(&content) {
            return self.out(Event::AlreadyComing { name });
        }
        let fails = |why: &str| {
            let (name, why) = (name.clone(), why.to_owned());
            Event::DownloadFailed { name, id: content.id, why, resumable: false }
        };
        let Ok(shape) = Shape::of(content.size) else { return self.out(fails("the file is too large")) };
        if folder.is_some() && content.size > LISTING_BYTES_MAX {
            return self.out(fails("the folder's list is too large"));
        }
        if self.downloads.len() >= DOWNLOADS_MAX {
            return self.out(fails("too many downloads are under way"));
        }
        let purpose = if folder.is_some() { Purpose::Listing } else { Purpose::Itself };
        let mut download = Download::new(content, shape, name, purpose);
        download.first = sources;
        download.folder = folder;
        let place = match folder {
            Some(_) => self.common.listings(),
            None => self.common.downloads.clone(),
        };
        self.begin(download, place);
    }

    /// Looks for what is there, and opens it otherwise.
    pub(super) fn begin(&mut self, mut download: Download, folder: PathBuf) {
        self.last_run.0 += 1;
        let run = self.last_run;
        download.run = run;
        let (content, shape, name) = (download.content, download.shape, download.name.clone());
        let own = self.offers.get(&content).filter(|offer| offer.own);
        let own = own.map(|offer| (Arc::clone(&offer.shelf), offer.shown(content).path));
        let (journals, wanted) = (self.common.journals(), download.wish.lives());
        self.downloads.insert(content, download);
        let look = move || {
            let target = Target { id: content.id, shape, name: &name, folder: &folder, journals: &journals };
            find(&target, own.as_ref(), &wanted)
        };
        self.work_unless_busy(look, move |found| Note::Found(content, run, Box::new(found)));
    }

    /// What was found.
    pub(super) fn found(&mut self, content: Content, found: Result<Found, PartialError>) {
        let Some(download) = self.downloads.get_mut(&content) else { return };
        match found {
            Ok(Found::Part(Opened::Going(partial))) => {
                download.go(Arc::clone(&partial), RandomState::new().build_hasher().finish());
                let (name, folder) = (download.name.clone(), download.folder);
                let within = download.purpose.folder();
                if self.common.holds {
                    // What was offered under this content is not there any more.
                    self.withdraw(content);
                    let mut offer = Offer::new(name, Arc::new(Shelf::of_partial(partial)), false);
                    offer.folder = folder;
                    (offer.itself, offer.within) = (within.is_none(), within.into_iter().collect());
                    self.offers.insert(content, offer);
                    self.see_whether_offering();
                }
                self.swarm(content, SwarmEvent::Tick);
            }
            Ok(Found::Part(Opened::Complete(path))) => self.is_there(content, path, None),
            Ok(Found::There(path, file)) => self.is_there(content, path, file.map(|file| *file)),
            Err(error) => {
                let resumable = matches!(error, PartialError::DiskFull);
                self.fail(content, &error.to_string(), resumable);
            }
        }
    }

    /// The person has it already.
    fn is_there(&mut self, content: Content, path: PathBuf, file: Option<File>) {
        let Some(download) = self.take(content) else { return };
        match download.purpose {
            Purpose::Itself => self.out(already_there(download, path)),
            // A folder that is offered from here is there.
            Purpose::Listing if file.is_none() => self.out(already_there(download, path)),
            Purpose::Listing => self.listing_is_here(download, path),
            Purpose::OfFolder(folder, index) => self.file_is_here(folder, index, path, file, 0),
        }
    }

    /// All chunks are here.
    pub(super) fn all_is_here(&mut self, content: Content) {
        let Some(download) = self.downloads.get_mut(&content) else { return };
        download.phase = Phase::Finishing;
        if !download.commit.running {
            self.finish(content);
        }
    }

    fn finish(&mut self, content: Content) {
        let Some(download) = self.downloads.get(&content) else { return };
        let (run, Some(partial)) = (download.run, download.partial.clone()) else { return };
        self.work(move || {
            let finished = partial.finish();
            drop(partial);
            Note::Finished(content, run, finished)
        });
    }

    pub(super) fn committed(&mut self, content: Content, result: Result<u32, PartialError>) {
        let Some(download) = self.downloads.get_mut(&content) else { return };
        download.commit.running = false;
        match result {
            Err(error) => self.fail(content, &error.to_string(), true),
            Ok(_) if download.phase == Phase::Finishing => self.finish(content),
            Ok(_) => {}
        }
    }

    /// It has its name.
    pub(super) fn finished(&mut self, content: Content, result: Result<Finished, PartialError>) {
        let Some(download) = self.downloads.get_mut(&content) else { return };
        let Finished { path, source } = match result {
            Ok(finished) => finished,
            Err(error) => return self.fail(content, &error.to_string(), true),
        };
        download.phase = Phase::Named(path);
        download.partial = None;
        match source {
            Ok(source) => {
                let file = File::of(&source);
                download.file = Some(file.clone());
                if let Some(offer) = self.offers.get_mut(&content) {
                    offer.shelf.becomes(file);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "what was downloaded cannot be offered");
                self.withdraw(content);
            }
        }
        self.swarm(content, SwarmEvent::Stop);
        self.complete(content);
    }

    /// If it has its name and the server knows, the person is told.
    pub(super) fn complete(&mut self, content: Content) {
        let Some(download) = self.downloads.get(&content) else { return };
        let Phase::Named(path) = download.phase.clone() else { return };
        let told = self.offers.get(&content).map_or(Told::Nothing, |offer| offer.told);
        if matches!(told, Told::Waits | Told::Asked) {
            return;
        }
        let Some(mut download) = self.take(content) else { return };
        if let Some(offer) = self.offers.get_mut(&content) {
            offer.own = true;
        }
        match download.purpose {
            Purpose::Itself => {
                let shown = shown_name(&path, &download.name);
                if let Some(file) = download.file.take() {
                    // Others find it under the name under which it was found, now and after the next login.
                    let name = download.name.clone();
                    let files = vec![(name.clone(), file)];
                    let read = Read { name, root: path.clone(), files, listing: None };
                    self.keep(content, read);
                }
                let (size, peers) = (content.size, download.givers.len());
                self.out(Event::Downloaded {
                    name: shown,
                    id: content.id,
                    path,
                    size,
                    peers,
                    time: download.begun.elapsed(),
                });
            }
            Purpose::Listing => self.listing_is_here(download, path),
            Purpose::OfFolder(folder, index) => {
                if let Some(offer) = self.offers.get_mut(&content) {
                    (offer.itself, offer.within) = (false, vec![folder]);
                }
                let rate = download.meter.rate;
                self.gave_to_folder(folder, &download.givers);
                self.file_is_here(folder, index, path, download.file.take(), rate);
            }
        }
    }

    /// It cannot go on.
    pub(super) fn fail(&mut self, content: Content, why: &str, resumable: bool) {
        let Some(download) = self.downloads.get(&content) else { return };
        if let Purpose::OfFolder(folder, _) = download.purpose {
            return self.fail_folder(folder, why, resumable);
        }
        let name = download.name.clone();
        self.stop(content);
        self.out(Event::DownloadFailed { name, id: content.id, why: why.to_owned(), resumable });
    }

    /// Ends a download; what came is kept.
    pub(super) fn stop(&mut self, content: Content) {
        let Some(mut download) = self.take(content) else { return };
        download.swarm_event(SwarmEvent::Stop, Instant::now());
        download.links.values().for_each(|link| link.task.abort());
        if let Some(partial) = download.partial.take() {
            self.work_without_end(move || commit(&partial));
        }
        if self.offers.get(&content).is_some_and(|offer| !offer.own) {
            self.withdraw(content);
        }
    }

    /// It is under way no longer, however that came.
    fn take(&mut self, content: Content) -> Option<Download> {
        self.freed = true;
        self.downloads.remove(&content)
    }

    /// What the person calls this download; `None`: it is a part of one.
    pub(super) fn name_for_person(&self, download: &Download) -> Option<String> {
        match download.purpose {
            Purpose::Itself | Purpose::Listing => Some(download.name.clone()),
            Purpose::OfFolder(..) => None,
        }
    }

    /// The deadlines of all downloads.
    pub(super) fn tick_downloads(&mut self) {
        let now = Instant::now();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let late: Vec<_> =
            self.downloads.iter().filter(|(_, it)| due(it.deadline())).map(|(content, _)| *content).collect();
        for content in late {
            self.tick_proof(content);
            let Some(download) = self.downloads.get_mut(&content) else { continue };
            if download.commit.take_if_due()
                && let Some(partial) = download.partial.clone()
            {
                let run = download.run;
                self.work(move || Note::Committed(content, run, partial.commit()));
            }
            let Some(download) = self.downloads.get_mut(&content) else { continue };
            if download.meter.tick() {
                match download.purpose {
                    Purpose::Itself => {
                        let progress = download.progress();
                        self.out(Event::Progress(progress));
                    }
                    Purpose::Listing => {}
                    Purpose::OfFolder(folder, _) => self.tell_folder(folder),
                }
            }
            if self.downloads.get(&content).is_some_and(|download| due(download.swarm_deadline())) {
                self.swarm(content, SwarmEvent::Tick);
            }
        }
    }
}

fn already_there(download: Download, path: PathBuf) -> Event {
    Event::AlreadyThere { name: download.name, id: download.content.id, path }
}

/// Makes durable what came. Blocks.
pub(super) fn commit(partial: &Partial) {
    if let Err(error) = partial.commit() {
        tracing::warn!(%error, "what came last of a download is not kept");
    }
}

pub(super) fn shown_name(path: &Path, otherwise: &str) -> String {
    path.file_name().map_or_else(|| otherwise.to_owned(), |name| name.to_string_lossy().into_owned())
}

/// What there is of it: offered here, under its name, or begun. Blocks.
fn find(
    target: &Target<'_>,
    own: Option<&(Arc<Shelf>, Option<PathBuf>)>,
    wanted: &dyn Fn() -> bool,
) -> Result<Found, PartialError> {
    if let Some((shelf, Some(path))) = own
        && shelf.check().is_ok()
    {
        return Ok(Found::There(path.clone(), None));
    }
    std::fs::create_dir_all(target.folder)?;
    let path = target.folder.join(name::safe(target.name));
    if let Some(file) = same(&path, target, wanted)? {
        return Ok(Found::There(path, Some(Box::new(file))));
    }
    match Partial::open(target)? {
        Opened::Complete(path) => match same(&path, target, wanted)? {
            Some(file) => Ok(Found::There(path, Some(Box::new(file)))),
            None => Ok(Found::Part(Partial::open(target)?)),
        },
        going => Ok(Found::Part(going)),
    }
}

/// The file there, if it has this content. It is read only if it has the size, and as long as that is wanted.
pub(super) fn same(
    path: &Path,
    target: &Target<'_>,
    wanted: &dyn Fn() -> bool,
) -> Result<Option<File>, PartialError> {
    let metadata = path.symlink_metadata().ok();
    if !metadata.is_some_and(|it| it.is_file() && it.len() == target.shape.size()) {
        return Ok(None);
    }
    match sharing::hash(path, &mut |_| wanted()) {
        Err(SourceError::Stopped) => Err(PartialError::Io(io::Error::other(SourceError::Stopped))),
        result => Ok(result.ok().filter(|file| file.manifest.id() == target.id)),
    }
}
