//! The one task that owns everything: offers, downloads, and all that is said about them. It waits for nothing but for
//! what happens; what takes time is done by other tasks, which tell it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout};

use super::door;
use super::download::{Download, Purpose, RunId};
use super::event::{Content, Entry, Event, Reply, RequestId};
use super::fetching::commit;
use super::folders::Folder;
use super::limits::{LOOK, NOTES, NOTES_AT_ONCE};
use super::note::Note;
use super::offer::Offer;
use super::outbox::Outbox;
use super::sharing::Jobs;
use super::telling::Telling;
use super::{Common, kept, tcp};
use crate::file::partial::PartialError;
use crate::file::{ContentId, Partial};
use crate::network::FilesPort;

/// How long what is still written at the end may take.
const LEAVE_MAX: Duration = Duration::from_secs(10);
/// How long the last steps on the disk are waited for, and how often they are looked at.
const STEPS_MAX: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(5);
/// Least digits by which an id is meant.
const DIGITS_MIN: usize = 6;

/// What is wanted.
#[derive(Debug)]
pub(super) enum Command {
    Share(PathBuf),
    Unshare(String),
    Shares,
    Download(Entry),
    Cancel(String),
    Downloads,
    Block(String),
    Unblock(String),
    Answered(RequestId, Reply),
    Announce,
    Network(FilesPort),
    Leave,
}

/// Everything.
pub(super) struct Manager {
    pub(super) common: Arc<Common>,
    pub(super) begun: Instant,
    outbox: Outbox,
    pub(super) notes: mpsc::Sender<Note>,
    /// Streams, and those who listen.
    pub(super) streams: JoinSet<()>,
    /// What is done on threads that may block.
    jobs_running: JoinSet<()>,
    /// The end of the last step on what is kept for the next login.
    kept_last: Option<oneshot::Receiver<()>>,
    pub(super) last_stream: u64,
    pub(super) last_run: RunId,
    pub(super) offers: BTreeMap<Content, Offer>,
    /// Those that somebody takes.
    pub(super) active: BTreeSet<Content>,
    pub(super) downloads: BTreeMap<Content, Download>,
    pub(super) folders: BTreeMap<Content, Folder>,
    /// What is being copied into a folder.
    pub(super) copying: BTreeSet<Content>,
    /// A content is not being fetched or copied any more: a folder may have waited for that.
    pub(super) freed: bool,
    pub(super) telling: Telling,
    pub(super) jobs: Jobs,
    /// Folded names.
    pub(super) blocked: BTreeSet<String>,
    pub(super) looking: bool,
    pub(super) looked_at: Option<Content>,
    look_at: Instant,
}

impl Manager {
    pub(super) fn new(common: Arc<Common>, blocked: BTreeSet<String>) -> (Self, mpsc::Receiver<Note>) {
        let (notes, notes_out) = mpsc::channel(NOTES);
        let manager = Self {
            common,
            begun: Instant::now(),
            outbox: Outbox::default(),
            notes,
            streams: JoinSet::new(),
            jobs_running: JoinSet::new(),
            kept_last: None,
            last_stream: 0,
            last_run: RunId::default(),
            offers: BTreeMap::new(),
            active: BTreeSet::new(),
            downloads: BTreeMap::new(),
            folders: BTreeMap::new(),
            copying: BTreeSet::new(),
            freed: false,
            telling: Telling::default(),
            jobs: Jobs::default(),
            blocked,
            looking: false,
            looked_at: None,
            look_at: Instant::now() + LOOK,
        };
        (manager, notes_out)
    }

    /// Until it is to leave.
    pub(super) async fn run(
        mut self,
        mut notes: mpsc::Receiver<Note>,
        mut commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<Event>,
    ) {
        self.start().await;
        let mut some = Vec::with_capacity(NOTES_AT_ONCE);
        loop {
            let deadline = self.deadline();
            let due = sleep_until(deadline.unwrap_or_else(Instant::now));
            tokio::select! {
                command = commands.recv(), if !self.outbox.is_full() => match command {
                    None | Some(Command::Leave) => break,
                    Some(command) => self.command(command),
                },
                _ = notes.recv_many(&mut some, NOTES_AT_ONCE) => {
                    some.drain(..).for_each(|note| self.note(note));
                }
                place = events.reserve(), if !self.outbox.is_empty() => match place {
                    Ok(place) => {
                        if let Some(event) = self.outbox.pop() {
                            place.send(event);
                        }
                    }
                    // Nobody listens any more.
                    Err(_) => break,
                },
                () = due, if deadline.is_some() => {}
                Some(ended) = self.streams.join_next() => {
                    if let Err(error) = ended {
                        self.broken_off(&error);
                    }
                }
                Some(_) = self.jobs_running.join_next() => {}
            }
            if self.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
                self.tick();
            }
            self.wake_folders();
            self.begin_waiting();
        }
        drop(notes);
        drop(commands);
        // It may take a moment; whoever waits for it has waited enough after that.
        let _ = timeout(LEAVE_MAX, self.leave()).await;
    }

    async fn start(&mut self) {
        if !self.common.holds {
            return;
        }
        if !self.common.relay_only {
            match tcp::bind(self.common.listen).await {
                Ok((listener, port)) => {
                    self.streams.spawn(door::listen(listener, Arc::clone(&self.common), self.notes.clone()));
                    self.out(Event::Listening { port });
                }
                Err(error) => tracing::warn!(%error, "nobody can call over TCP"),
            }
        }
        if !self.common.comes_back {
            return;
        }
        let folder = self.common.shares();
        self.work(move || {
            let (kept, ended) = kept::load(&folder);
            Note::Kept(kept, ended)
        });
    }

    pub(super) fn out(&mut self, event: Event) {
        self.outbox.push(event);
    }

    /// Events wait in great number.
    pub(super) fn nobody_listens(&self) -> bool {
        self.outbox.is_full()
    }

    /// Does something on a thread that may block, and takes what it tells.
    pub(super) fn work(&mut self, job: impl FnOnce() -> Note + Send + 'static) {
        let notes = self.notes.clone();
        self.jobs_running.spawn(async move {
            if let Ok(note) = tokio::task::spawn_blocking(job).await {
                // Nobody listens when everything ends.
                let _ = notes.send(note).await;
            }
        });
    }

    /// The same, again and again while the download is open elsewhere: what was just stopped may be for a moment longer.
    pub(super) fn work_unless_busy<T: Send + 'static>(
        &mut self,
        job: impl Fn() -> Result<T, PartialError> + Send + Sync + 'static,
        note: impl FnOnce(Result<T, PartialError>) -> Note + Send + 'static,
    ) {
        let (notes, job, end) = (self.notes.clone(), Arc::new(job), Instant::now() + STEPS_MAX);
        self.jobs_running.spawn(async move {
            loop {
                let job = Arc::clone(&job);
                let Ok(result) = tokio::task::spawn_blocking(move || job()).await else { return };
                if !matches!(result, Err(PartialError::Busy)) || Instant::now() >= end {
                    // Nobody listens when everything ends.
                    let _ = notes.send(note(result)).await;
                    return;
                }
                sleep(STEP).await;
            }
        });
    }

    /// The same where there is nothing to tell.
    pub(super) fn work_without_end(&mut self, job: impl FnOnce() + Send + 'static) {
        self.jobs_running.spawn(async move {
            if tokio::task::spawn_blocking(job).await.is_err() {
                tracing::warn!("a step on the disk was broken off");
            }
        });
    }

    /// The same for what is kept for the next login: one step after the other, so that what is shared and at once not any
    /// more is not kept.
    pub(super) fn work_on_kept(&mut self, job: impl FnOnce() + Send + 'static) {
        let (ended, end) = oneshot::channel();
        let before = self.kept_last.replace(end);
        self.jobs_running.spawn(async move {
            if let Some(before) = before {
                // However it ended.
                let _ = before.await;
            }
            if tokio::task::spawn_blocking(job).await.is_err() {
                tracing::warn!("a step on the disk was broken off");
            }
            drop(ended);
        });
    }

    /// When something is to be done at the latest; `None`: when something happens.
    fn deadline(&self) -> Option<Instant> {
        let downloads = self.downloads.values().filter_map(Download::deadline);
        let givers = self.active.iter().filter_map(|content| self.offers.get(content)?.givers.deadline());
        let givers = givers.map(|deadline| self.begun + deadline);
        // Where nothing is to be looked at, nothing wakes this.
        let look = !self.active.is_empty() || self.offers.values().any(|offer| offer.own);
        let look = look.then_some(self.look_at);
        downloads.chain(givers).chain(look).min()
    }

    fn tick(&mut self) {
        self.tick_downloads();
        self.tick_givers();
        if self.look_at <= Instant::now() {
            self.look_at = Instant::now() + LOOK;
            self.look();
            self.end_idle();
        }
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Arrived(arrival) => self.arrived(*arrival),
            Note::Giver(stream, content, asked) => self.asked(stream, content, asked),
            Note::Taker(stream, content, got) => self.got(stream, content, got),
            Note::Path { stream, content, relayed } => self.path(stream, content, relayed),
            Note::Unreadable(content, wrong) => self.unreadable(content, &wrong),
            // What is told of an earlier download of the same content is told to nobody.
            Note::Found(content, run, _)
            | Note::Committed(content, run, _)
            | Note::Finished(content, run, _)
                if self.downloads.get(&content).is_none_or(|download| download.run != run) => {}
            Note::Found(content, _, found) => self.found(content, *found),
            Note::Committed(content, _, result) => self.committed(content, result),
            Note::Finished(content, _, result) => self.finished(content, result),
            Note::Reading(job, done, size) => self.reading(job, done, size),
            Note::Read(job, read) => self.was_read(job, read),
            Note::Kept(kept, ended) => self.were_kept(kept, ended),
            Note::Looked(wrong) => self.looked(wrong),
            Note::Listed(content, plan) => self.listed(content, plan),
            Note::Copied { folder, index, content, copied } => self.copied(folder, index, content, copied),
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Share(path) => self.share(path),
            Command::Unshare(meant) => self.unshare(meant),
            Command::Shares => {
                let own = self.offers.iter().filter(|(_, offer)| offer.itself);
                let shown = own.map(|(content, offer)| offer.shown(*content)).collect();
                self.out(Event::Shares(shown));
            }
            Command::Download(entry) => self.download(entry),
            Command::Cancel(meant) => self.cancel(meant),
            Command::Downloads => {
                let single =
                    self.downloads.values().filter(|it| !matches!(it.purpose, Purpose::OfFolder(..)));
                let mut all: Vec<_> = single.map(Download::progress).collect();
                all.extend(self.folders.keys().filter_map(|content| self.folder_progress(*content)));
                self.out(Event::Downloads(all));
            }
            Command::Block(user) => {
                let user = super::folded(&user);
                self.cut_user(&user);
                self.blocked.insert(user);
            }
            Command::Unblock(user) => {
                self.blocked.remove(&super::folded(&user));
                // Those who are blocked are shunned again when they call.
                if let Some(port) = self.common.port() {
                    port.forgive();
                }
            }
            Command::Answered(id, reply) => self.answered(id, reply),
            Command::Announce => self.announce(),
            Command::Network(port) => {
                self.streams.spawn(door::attend(port.clone(), Arc::clone(&self.common), self.notes.clone()));
                self.common.set_port(port);
                self.see_whether_offering();
            }
            Command::Leave => {}
        }
    }

    fn unshare(&mut self, meant: String) {
        let own = self.offers.iter().filter(|(_, offer)| offer.own && offer.itself);
        match the_one(&meant, own.map(|(content, offer)| (offer.name.as_str(), *content))) {
            Ok((name, content)) => {
                self.withdraw_itself(content);
                self.out(Event::Unshared { name });
            }
            Err(event) => self.out(*event),
        }
    }

    /// What is a file of a folder as well stays offered as that.
    fn withdraw_itself(&mut self, content: Content) {
        match self.offers.get_mut(&content).filter(|offer| !offer.within.is_empty()) {
            Some(offer) => {
                offer.itself = false;
                self.forget(content);
                self.hold(content);
            }
            None => self.withdraw(content),
        }
    }

    fn cancel(&mut self, meant: String) {
        let single = self.downloads.iter().filter(|(_, it)| !matches!(it.purpose, Purpose::OfFolder(..)));
        let all = single.map(|(content, it)| (it.name.as_str(), *content));
        let all = all.chain(self.folders.iter().map(|(content, it)| (it.name.as_str(), *content)));
        match the_one(&meant, all) {
            Ok((name, content)) => {
                if self.stop_folder(content).is_none() {
                    self.stop(content);
                }
                self.out(Event::Cancelled { name, id: content.id });
            }
            Err(event) => self.out(*event),
        }
    }

    /// Ends everything; what came is made durable.
    async fn leave(mut self) {
        self.common.door.set_open(false);
        if let Some(port) = self.common.port() {
            port.open(false);
        }
        self.streams.shutdown().await;
        // Partials are to be held here alone.
        self.offers.clear();
        self.folders.clear();
        let downloads = std::mem::take(&mut self.downloads);
        let partials: Vec<Arc<Partial>> =
            downloads.into_values().filter_map(|mut it| it.partial.take()).collect();
        for partial in partials.clone() {
            self.work_without_end(move || commit(&partial));
        }
        while self.jobs_running.join_next().await.is_some() {}
        for partial in &partials {
            released(partial).await;
        }
    }
}

/// The one that is meant: by its name, or by the first digits of its id.
fn the_one<'a>(
    meant: &str,
    all: impl Iterator<Item = (&'a str, Content)>,
) -> Result<(String, Content), Box<Event>> {
    let by_id = |id: ContentId| meant.len() >= DIGITS_MIN && id.begins_with(meant);
    let (named, others): (Vec<_>, Vec<_>) = all.partition(|(name, _)| *name == meant);
    let fit = if named.is_empty() {
        others.into_iter().filter(|(_, content)| by_id(content.id)).collect()
    } else {
        named
    };
    match fit.as_slice() {
        [] => Err(Box::new(Event::Unknown { meant: meant.to_owned() })),
        [(name, content)] => Ok(((*name).to_owned(), *content)),
        several => {
            let are = several.iter().map(|(name, content)| ((*name).to_owned(), *content)).collect();
            Err(Box::new(Event::Ambiguous { meant: meant.to_owned(), are }))
        }
    }
}

/// Waits until nothing else holds a download, so that it can be opened again.
async fn released(partial: &Arc<Partial>) {
    let wait = async {
        while Arc::strong_count(partial) > 1 {
            sleep(STEP).await;
        }
    };
    // What still holds it then is a step on a disk that hangs.
    let _ = timeout(STEPS_MAX, wait).await;
}
