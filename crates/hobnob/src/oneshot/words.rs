//! What `share`, `files` and `get` say. All lines end in a newline.

use std::path::Path;

use hobnob_peer::{
    file::ContentId,
    files::{Content, Ended},
};
use hobnob_protocol::v1;

use crate::{
    chat::text::one_line,
    progress::{size, time},
};

pub(super) const NO_FILES: &str = "No files are shared now.\n";
pub(super) const MORE_FILES: &str = "There are more: say what is in the name\n";
/// The server's version is older than files.
pub(super) const NOT_HERE: &str = "Error. This server knows nothing of files\n";
pub(super) const LOST: &str = "Error. The connection was lost before the server answered\n";

/// Something is offered, and the server knows.
pub(super) fn sharing(name: &str, bytes: u64, chunks: u64, id: ContentId) -> String {
    format!("Sharing {}: {}, {chunks} chunks, {id}\n", one_line(name), size(bytes))
}

/// Something cannot be offered.
pub(super) fn share_failed(path: &Path, why: &str) -> String {
    format!("Error. Cannot share {}: {}\n", one_line(&path.to_string_lossy()), one_line(why))
}

/// Something is not offered any more.
pub(super) fn share_ended(name: &str, why: Ended) -> String {
    let why = match why {
        Ended::Changed => "it has changed",
        Ended::Gone => "it is gone, or cannot be read",
    };
    format!("{} is not shared any more: {why}\n", one_line(name))
}

/// A download is complete.
pub(super) fn downloaded(name: &str, bytes: u64, peers: usize, took: std::time::Duration) -> String {
    format!("Downloaded {}: {} from {peers} peers in {}, verified\n", one_line(name), size(bytes), time(took))
}

/// It need not be downloaded.
pub(super) fn already_there(name: &str, path: &Path) -> String {
    format!("{} is already there: {}\n", one_line(name), one_line(&path.to_string_lossy()))
}

/// A download cannot go on.
pub(super) fn download_failed(name: &str, why: &str, resumable: bool) -> String {
    let next =
        if resumable { "  What came is kept, the same command goes on where it stopped\n" } else { "" };
    format!("Error. {} could not be downloaded: {}\n{next}", one_line(name), one_line(why))
}

/// Nobody has it.
pub(super) fn no_one_shares(name: &str) -> String {
    format!("Error. No one shares {}\n", one_line(name))
}

/// One name, several contents.
pub(super) fn ambiguous(name: &str, entries: &[v1::FileEntry]) -> String {
    format!("Error. {} is ambiguous:\n{}", one_line(name), rows(entries))
}

/// What others offer.
pub(super) fn table(files: &v1::Files) -> String {
    let more = if files.more { MORE_FILES } else { "" };
    if files.files.is_empty() { NO_FILES.to_owned() } else { rows(&files.files) + more }
}

/// A line each: id, size, sources, name.
fn rows(entries: &[v1::FileEntry]) -> String {
    entries.iter().map(row).collect()
}

fn row(entry: &v1::FileEntry) -> String {
    let content = entry.content.as_ref().and_then(Content::of_wire);
    let id = content.map_or(String::new(), |content| content.id.to_string());
    let bytes = entry.folder.map_or(content.map_or(0, |content| content.size), |folder| folder.bytes);
    let sources = format!("{} source{}", entry.sources, if entry.sources == 1 { "" } else { "s" });
    let folder = entry.folder.map_or(String::new(), |folder| format!("/ ({} files)", folder.files));
    format!("{id:12}  {:>11}  {sources:>10}  {}{folder}\n", size(bytes), one_line(&entry.name))
}
