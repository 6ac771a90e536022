//! How far downloads and readings are, and when a person is told: at each word in a row of the screen, or else every
//! few seconds in a line.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use hobnob_peer::{
    file::ContentId,
    files::{Entry, Event, Progress},
};

use crate::chat::{
    line::Effect,
    text::files::{self as text, Row},
};

/// Least time between two lines about one thing.
const LINE_PERIOD: Duration = Duration::from_secs(5);
/// Least time between two signs of life.
const ACTIVE_PERIOD: Duration = Duration::from_secs(5);

/// Everything that makes progress.
pub(super) struct Board {
    row: bool,
    downloads: BTreeMap<ContentId, Download>,
    reading: BTreeMap<PathBuf, Reading>,
    /// Downloads that were begun.
    begun: u64,
    /// When the server was last told that something comes.
    active: Option<Duration>,
}

/// A download under way.
struct Download {
    /// Later ones have higher numbers.
    number: u64,
    /// `None`: nothing is known yet.
    progress: Option<Progress>,
    /// When a line was last printed, or it began.
    told: Duration,
}

/// A file that is being read to be shared.
struct Reading {
    done: u64,
    size: u64,
    told: Duration,
}

impl Board {
    pub(super) fn new(row: bool) -> Self {
        Self { row, downloads: BTreeMap::new(), reading: BTreeMap::new(), begun: 0, active: None }
    }

    /// A download begins, or goes on.
    pub(super) fn begin(&mut self, entry: &Entry, now: Duration) {
        self.begun += 1;
        let new = Download { number: self.begun, progress: None, told: now };
        self.downloads.entry(entry.content.id).or_insert(new);
    }

    /// Everything ends; how many downloads were under way.
    pub(super) fn end(&mut self) -> usize {
        self.reading.clear();
        std::mem::take(&mut self.downloads).len()
    }

    /// Takes what is said of progress.
    pub(super) fn note(&mut self, event: &Event, now: Duration) -> Vec<Effect> {
        let mut effects = match event {
            Event::Progress(progress) => self.progress(progress, now),
            Event::Reading { path, done, size } => self.reading(path.clone(), *done, *size, now),
            Event::Sharing { .. } | Event::ShareFailed { .. } => {
                // Which of them it was is not said; the others come again with their next word.
                self.reading.clear();
                Vec::new()
            }
            Event::Downloaded { id, .. }
            | Event::AlreadyThere { id, .. }
            | Event::DownloadFailed { id, .. }
            | Event::Cancelled { id, .. } => {
                self.downloads.remove(id);
                Vec::new()
            }
            _ => return Vec::new(),
        };
        if self.row {
            effects.push(Effect::Row(self.row()));
        }
        effects
    }

    fn progress(&mut self, new: &Progress, now: Duration) -> Vec<Effect> {
        // What has ended has nothing more to say.
        let Some(download) = self.downloads.get_mut(&new.id) else { return Vec::new() };
        let before = download.progress.replace(new.clone());
        let mut effects = Vec::new();
        let more = before.is_none_or(|before| before.done < new.done);
        if more && self.active.is_none_or(|active| active + ACTIVE_PERIOD <= now) {
            self.active = Some(now);
            effects.push(Effect::Active);
        }
        if !self.row && download.told + LINE_PERIOD <= now {
            download.told = now;
            effects.push(Effect::Print(text::progress(new)));
        }
        effects
    }

    fn reading(&mut self, path: PathBuf, done: u64, size: u64, now: Duration) -> Vec<Effect> {
        let new = Reading { done, size, told: now };
        let reading = self.reading.entry(path.clone()).or_insert(new);
        (reading.done, reading.size) = (done, size);
        if self.row || reading.told + LINE_PERIOD > now {
            return Vec::new();
        }
        reading.told = now;
        vec![Effect::Print(text::reading(&path, done, size))]
    }

    /// The newest of all that is known.
    fn row(&self) -> Option<Row> {
        let known = self.downloads.values().filter_map(|it| Some((it.number, it.progress.as_ref()?)));
        let others = (self.downloads.len() + self.reading.len()).saturating_sub(1);
        if let Some((_, progress)) = known.max_by_key(|(number, _)| *number) {
            return Some(Row::Download { progress: progress.clone(), others });
        }
        let (path, reading) = self.reading.first_key_value()?;
        Some(Row::Reading { path: path.clone(), done: reading.done, size: reading.size, others })
    }
}
