//! The list of shares, kept for the next login: a file for each, written beside its place and then put there. What cannot
//! be read is as if it were not there. Everything here blocks.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use prost::Message;

use super::event::{Content, Ended};
use super::sharing::Read;
use super::shelf::File;
use crate::file::source::{SourceError, Stamp, Unhashed};
use crate::file::{ContentId, Manifest, Shape};

/// Where these files are, in a device's folder.
pub(super) const FOLDER: &str = "shares";
/// How the names of these files end.
const SUFFIX: &str = ".share";

#[derive(Clone, PartialEq, Message)]
struct Share {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", tag = "2")]
    root: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    files: Vec<SharedFile>,
    /// Of a folder.
    #[prost(bytes = "vec", optional, tag = "4")]
    listing: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct SharedFile {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", tag = "2")]
    path: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    stamp: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    id: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    manifest: Vec<u8>,
}

fn path_of(folder: &Path, content: Content) -> PathBuf {
    folder.join(format!("{:#}-{}{SUFFIX}", content.id, content.size))
}

/// Keeps a share.
pub(super) fn save(folder: &Path, content: Content, read: &Read) -> io::Result<()> {
    let files = read.files.iter().map(|(name, file)| SharedFile {
        name: name.clone(),
        path: file.path.as_os_str().as_bytes().to_vec(),
        stamp: file.stamp.encode().to_vec(),
        id: file.manifest.id().as_bytes().to_vec(),
        manifest: file.manifest.encode().to_vec(),
    });
    let share = Share {
        name: read.name.clone(),
        root: read.root.as_os_str().as_bytes().to_vec(),
        files: files.collect(),
        listing: read.listing.as_ref().map(|(bytes, _)| bytes.to_vec()),
    };
    let path = path_of(folder, content);
    let beside = path.with_extension("new");
    std::fs::write(&beside, share.encode_to_vec())?;
    std::fs::rename(beside, path)
}

/// Forgets a share.
pub(super) fn remove(folder: &Path, content: Content) -> io::Result<()> {
    match std::fs::remove_file(path_of(folder, content)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// All that were kept and are what they were, and those that are not any more, which are forgotten.
pub(super) fn load(folder: &Path) -> (Vec<Read>, Vec<(String, ContentId, Ended)>) {
    let (mut kept, mut ended) = (Vec::new(), Vec::new());
    let entries = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<_> =
        entries.filter(|path| path.as_os_str().as_bytes().ends_with(SUFFIX.as_bytes())).collect();
    paths.sort();
    for path in paths {
        let share = std::fs::read(&path).ok().and_then(|bytes| Share::decode(&*bytes).ok());
        match share.and_then(|share| restore(&share).map_err(|why| (share.name, why)).transpose()) {
            Some(Ok(read)) => kept.push(read),
            Some(Err((name, why))) => {
                let id = id_in(&path).unwrap_or(ContentId::of(b""));
                ended.push((name, id, why));
                forget(&path);
            }
            None => forget(&path),
        }
    }
    (kept, ended)
}

/// Whether something was shared in an earlier session of the device with this folder, and may be there still.
#[must_use]
pub fn kept_any(data: &Path) -> bool {
    let entries = data.join(FOLDER).read_dir().into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| path.as_os_str().as_bytes().ends_with(SUFFIX.as_bytes()))
}

fn forget(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(%error, "a share cannot be forgotten");
    }
}

fn id_in(path: &Path) -> Option<ContentId> {
    path.file_name()?.to_str()?.get(..64)?.parse().ok()
}

/// `None`: it is damaged.
fn restore(share: &Share) -> Result<Option<Read>, Ended> {
    let mut files = Vec::new();
    for file in &share.files {
        match restore_file(file)? {
            Some(restored) => files.push((file.name.clone(), restored)),
            None => return Ok(None),
        }
    }
    let listing = match &share.listing {
        None => None,
        Some(bytes) => match super::sharing::listing_of(bytes.clone().into()) {
            Some(listing) => Some(listing),
            None => return Ok(None),
        },
    };
    let root = to_path(&share.root);
    Ok(Some(Read { name: share.name.clone(), root, files, listing }))
}

fn restore_file(file: &SharedFile) -> Result<Option<File>, Ended> {
    let path = to_path(&file.path);
    let unhashed = Unhashed::open(&path).map_err(|error| match error {
        SourceError::Changed | SourceError::Shortened => Ended::Changed,
        _ => Ended::Gone,
    })?;
    let (Ok(stamp), Ok(id)) = (file.stamp.as_slice().try_into(), file.id.as_slice().try_into()) else {
        return Ok(None);
    };
    let stamp = Stamp::decode(stamp);
    let Ok(shape) = Shape::of(stamp.size()) else { return Ok(None) };
    let Ok(manifest) = Manifest::decode(ContentId::from_bytes(id), shape, &file.manifest) else {
        return Ok(None);
    };
    if stamp != unhashed.stamp() {
        return Err(Ended::Changed);
    }
    Ok(Some(File { path, stamp, manifest }))
}

fn to_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(OsStr::from_bytes(bytes).as_bytes().to_vec()))
}
