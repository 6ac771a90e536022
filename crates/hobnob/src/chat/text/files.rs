//! The lines of files.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use hobnob_peer::files::{Content, Ended, Event, Progress, Shared};
use hobnob_protocol::v1;
use unicode_width::UnicodeWidthStr;

use super::{error, names, one_line};
use crate::progress::{bar, plain, size, time};

pub(crate) const NO_FILES: &str = "No files are shared now.\n";
const MORE_FILES: &str = "There are more. Narrow it down: files <pattern>\n";
const NO_SHARES: &str = "You share nothing\n";
const NO_DOWNLOADS: &str = "Nothing is being downloaded\n";
const AVAILABLE: &str = "Available\n";
const NOT_AVAILABLE: &str = "Not available\n";
/// More is wanted than can be.
pub(crate) const BUSY: &str = "Error. Too much is under way. Please try again later\n";
/// The server is an old one, or nothing can be kept on disk.
pub(crate) const NOT_HERE: &str = "files are not possible with this server";

/// What a person is told; empty where that is not for a person, or where progress shows it.
pub(crate) fn event(event: &Event) -> String {
    match event {
        Event::Sharing { again: true, .. }
        | Event::Reading { .. }
        | Event::Progress(_)
        | Event::Listening { .. }
        | Event::Server { .. } => String::new(),
        Event::Sharing { name, size, chunks, id, again: false } => sharing(name, *size, *chunks, id),
        Event::ShareFailed { path, why } => {
            error(&format!("Cannot share {}: {}", shown(path), one_line(why)))
        }
        Event::ShareEnded { name, why: Ended::Changed, .. } => ended(name, "it has changed"),
        Event::ShareEnded { name, why: Ended::Gone, .. } => ended(name, "it is gone, or cannot be read"),
        Event::Unshared { name } => format!("Stopped sharing {}\n", one_line(name)),
        Event::Unknown { meant } => unknown(meant),
        Event::Ambiguous { meant, are } => {
            several(meant, are.iter().map(|(name, content)| (name.as_str(), *content)))
        }
        Event::Shares(own) => shares(own),
        Event::Downloads(all) => downloads(all),
        Event::Downloaded { name, size, peers, time, .. } => downloaded(name, *size, *peers, *time),
        Event::AlreadyThere { name, path, .. } => already_there(name, path),
        Event::AlreadyComing { name } => format!("{} is being downloaded already\n", one_line(name)),
        Event::DownloadFailed { name, why, resumable, .. } => failed(name, why, *resumable),
        Event::Cancelled { name, .. } => cancelled(name),
        Event::Stalled { name } => {
            format!("{} waits: nobody who is online has what is missing\n", one_line(name))
        }
        Event::GoesOn { name } => format!("{} goes on\n", one_line(name)),
    }
}

fn sharing(name: &str, bytes: u64, chunks: u64, id: &impl std::fmt::Display) -> String {
    format!("Sharing {}: {}, {chunks} chunks, {id}\n", one_line(name), size(bytes))
}

fn ended(name: &str, why: &str) -> String {
    format!("{} is not shared any more: {why}\n", one_line(name))
}

/// Nothing of that name or id is here.
pub(crate) fn unknown(meant: &str) -> String {
    error(&format!("You neither share nor download {meant}"))
}

fn downloaded(name: &str, bytes: u64, peers: usize, took: Duration) -> String {
    format!("Downloaded {}: {} from {peers} peers in {}, verified\n", one_line(name), size(bytes), time(took))
}

fn already_there(name: &str, path: &Path) -> String {
    format!("{} is already there: {}\n", one_line(name), shown(path))
}

fn failed(name: &str, why: &str, resumable: bool) -> String {
    let next =
        if resumable { "  What came is kept, the same command goes on where it stopped\n" } else { "" };
    format!("{}{next}", error(&format!("{name} could not be downloaded: {why}")))
}

/// A download was stopped.
pub(crate) fn cancelled(name: &str) -> String {
    format!("Cancelled {}, what came is kept\n", one_line(name))
}

/// Downloads that were under way when the user left.
pub(crate) fn unfinished(count: usize) -> String {
    let are = if count == 1 { "download is" } else { "downloads are" };
    format!("{count} {are} not finished; the same command goes on where it stopped\n")
}

/// Nobody who may be seen has it.
pub(crate) fn no_one_shares(name: &str) -> String {
    error(&format!("No one shares {name}"))
}

/// One name, several contents.
pub(crate) fn ambiguous(meant: &str, files: &[v1::FileEntry]) -> String {
    let contents = files.iter().filter_map(|file| {
        Some((file.name.as_str(), Content::of_wire(file.content.as_ref()?)?, bytes_of(file)))
    });
    ambiguity(meant, contents)
}

fn several<'a>(meant: &str, are: impl Iterator<Item = (&'a str, Content)>) -> String {
    ambiguity(meant, are.map(|(name, content)| (name, content, content.size)))
}

fn ambiguity<'a>(meant: &str, are: impl Iterator<Item = (&'a str, Content, u64)>) -> String {
    let rows = are.map(|(name, content, bytes)| [content.id.to_string(), size(bytes), safe(name)]);
    let lines: String = table(rows.collect()).lines().map(|line| format!("  {line}\n")).collect();
    format!("Error. {} is ambiguous:\n{lines}", one_line(meant))
}

/// What others offer.
pub(crate) fn list(files: &[v1::FileEntry], more: bool) -> String {
    let rows = files.iter().filter_map(|file| {
        let content = Content::of_wire(file.content.as_ref()?)?;
        let sources =
            if file.sources == 1 { "1 source".to_owned() } else { format!("{} sources", file.sources) };
        Some([content.id.to_string(), size(bytes_of(file)), sources, called(&file.name, file.folder)])
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return NO_FILES.to_owned();
    }
    table(rows) + if more { MORE_FILES } else { "" }
}

/// Of a folder, of all its files.
fn bytes_of(file: &v1::FileEntry) -> u64 {
    let content = file.content.as_ref().map_or(0, |content| content.size);
    file.folder.map_or(content, |folder| folder.bytes)
}

fn called(name: &str, folder: Option<v1::Folder>) -> String {
    match folder {
        None => safe(name),
        Some(v1::Folder { files: 1, .. }) => format!("{}/ (1 file)", one_line(name)),
        Some(v1::Folder { files, .. }) => format!("{}/ ({files} files)", one_line(name)),
    }
}

/// Who holds any of a file.
pub(crate) fn holders(users: &[String]) -> String {
    if users.is_empty() { NOT_AVAILABLE.to_owned() } else { AVAILABLE.to_owned() + &names(users, "") }
}

/// What is offered here.
pub(crate) fn shares(own: &[Shared]) -> String {
    if own.is_empty() {
        return NO_SHARES.to_owned();
    }
    let rows = own.iter().map(|shared| {
        let place = shared.path.as_deref().map_or_else(|| "(being downloaded)".to_owned(), shown);
        // The size of a folder's list means nothing to a person.
        let bytes = match shared.files {
            None => size(shared.content.size),
            Some(1) => "1 file".to_owned(),
            Some(files) => format!("{files} files"),
        };
        [shared.content.id.to_string(), bytes, safe(&shared.name), place]
    });
    table(rows.collect())
}

/// What is under way.
pub(crate) fn downloads(all: &[Progress]) -> String {
    if all.is_empty() { NO_DOWNLOADS.to_owned() } else { all.iter().map(progress).collect() }
}

/// How far one is.
pub(crate) fn progress(progress: &Progress) -> String {
    plain(progress) + "\n"
}

/// How far the reading of a file is that is to be shared.
pub(crate) fn reading(path: &Path, done: u64, bytes: u64) -> String {
    format!("Reading {}: {} of {}\n", shown(path), size(done), size(bytes))
}

/// The network cannot be opened.
pub(crate) fn no_network(why: &str) -> String {
    error(&format!("Others may not reach this device: {why}"))
}

/// Nothing can be done with files.
pub(crate) fn impossible(why: &str) -> String {
    error(&format!("No files: {why}"))
}

/// What stands in the row for progress.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Row {
    /// This download, and so many other things.
    Download { progress: Progress, others: usize },
    /// A file that is read to be shared, and so many other things.
    Reading { path: PathBuf, done: u64, size: u64, others: usize },
}

impl Row {
    /// In so many columns at most.
    pub(crate) fn text(&self, columns: usize) -> String {
        let (Self::Download { others, .. } | Self::Reading { others, .. }) = self;
        let rest = if *others > 0 { format!("  +{others}") } else { String::new() };
        let rest = if rest.width() * 4 > columns { String::new() } else { rest };
        let room = columns - rest.width();
        match self {
            Self::Download { progress, .. } => bar(progress, room) + &rest,
            Self::Reading { path, done, size, .. } => {
                let line = reading(path, *done, *size);
                // What has no room says nothing that matters.
                let line = Some(line.trim_end()).filter(|line| line.width() <= room);
                line.map_or_else(String::new, |line| line.to_owned() + &rest)
            }
        }
    }
}

fn safe(text: &str) -> String {
    one_line(text).into_owned()
}

fn shown(path: &Path) -> String {
    safe(&path.to_string_lossy())
}

/// Lines in columns, of which the second is flush right.
fn table<const N: usize>(rows: Vec<[String; N]>) -> String {
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).enumerate().map(|(at, (cell, width))| {
            let space = " ".repeat(width - cell.width());
            match at {
                1 => space + cell,
                last if last + 1 == N => cell.clone(),
                _ => cell.clone() + &space,
            }
        });
        cells.collect::<Vec<_>>().join("  ") + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests;
