//! Who online holds which file, and how much of it: a pure index, in memory alone.
//!
//! A file is known by its content and size. Its name is what each holder calls it. Every question is asked
//! for somebody, and answered as if those whom the asker does not see were not there. Questions that may
//! concern many files are answered a page at a time, so that nobody else waits long for the index.

mod chunks;
mod query;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use hobnob_protocol::limits::{
    FILE_BYTES_MAX, FILE_CHUNK_BYTES_MIN, FILE_CHUNKS_MAX, FILE_NAME_BYTES_MAX, FILES_HELD_MAX,
};

pub use self::{
    chunks::{Chunks, Held},
    query::{Page, Pattern, Prefix, Query},
};
use crate::{
    rules::invite::Party,
    store::{AccountId, SessionId},
};

/// A content: its BLAKE3 and its size in bytes. The size is part of it because only the hash is proven by the
/// hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Content {
    id: [u8; 32],
    size: u64,
}

impl Content {
    /// From the wire; `None`: no file is so.
    #[must_use]
    pub fn new(id: &[u8], size: u64) -> Option<Self> {
        let id = id.try_into().ok()?;
        (size <= FILE_BYTES_MAX).then_some(Self { id, size })
    }

    /// BLAKE3.
    #[must_use]
    pub fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// In bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many chunks it has: that follows from the size alone.
    #[must_use]
    pub fn chunks(&self) -> u32 {
        let chunk = self.size.div_ceil(FILE_CHUNKS_MAX.into()).next_power_of_two().max(FILE_CHUNK_BYTES_MIN);
        u32::try_from(self.size.div_ceil(chunk)).unwrap_or(FILE_CHUNKS_MAX)
    }
}

/// What people see of a folder, which is shared as a small file that lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Bytes of all files in it.
    pub bytes: u64,
    /// How many they are.
    pub files: u32,
}

/// What a session says of a file that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// What the user calls it.
    pub name: String,
    /// How much of it is there.
    pub held: Held,
    /// What it lists, if it is a folder.
    pub folder: Option<Folder>,
    /// It is held as a file of a folder: nobody asks for it by its name.
    pub inner: bool,
}

/// A file, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The content.
    pub content: Content,
    /// The name by which most of its holders know it; the first in order among equals.
    pub name: String,
    /// How many users hold any of it.
    pub sources: u32,
    /// What it lists, if it is a folder.
    pub folder: Option<Folder>,
}

/// Why a file is not taken into the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// The session holds as many as it may.
    #[error("Too many files are shared, {FILES_HELD_MAX} at most")]
    TooMany,
    /// The name cannot be one.
    #[error("A file cannot be called so")]
    Name,
}

/// A session that holds files.
#[derive(Debug)]
struct Holder {
    by: Party,
    files: BTreeSet<Content>,
}

/// The index.
#[derive(Debug, Default)]
pub struct Shares {
    files: BTreeMap<Content, BTreeMap<SessionId, (AccountId, Share)>>,
    /// The contents by the names that their holders give them, and how many do.
    names: BTreeMap<String, BTreeMap<Content, usize>>,
    holders: BTreeMap<SessionId, Holder>,
}

impl Shares {
    /// A session holds a file, or holds it under another name, or more of it, than it said before. One that
    /// has come back from another device does not hold what the first one did.
    ///
    /// # Errors
    /// It holds too many, or no file is called so.
    pub fn hold(&mut self, by: &Party, content: Content, mut share: Share) -> Result<(), ShareError> {
        if !is_name(&share.name) {
            return Err(ShareError::Name);
        }
        if self.holders.get(&by.session).is_some_and(|holder| holder.by.key != by.key) {
            self.left(by.session);
        }
        let holder = self.holders.entry(by.session);
        let holder = holder.or_insert_with(|| Holder { by: by.clone(), files: BTreeSet::new() });
        if !holder.files.contains(&content) && holder.files.len() >= FILES_HELD_MAX {
            return Err(ShareError::TooMany);
        }
        holder.files.insert(content);
        share.held.cut(content.chunks());
        if !share.inner {
            *self.names.entry(share.name.clone()).or_default().entry(content).or_default() += 1;
        }
        let all = self.files.entry(content).or_default();
        if let Some((_, old)) = all.insert(by.session, (by.account, share)) {
            self.unname(&old, &content);
        }
        Ok(())
    }

    /// A session holds more chunks of a file that it holds some of.
    pub fn extend(&mut self, session: SessionId, content: &Content, more: &Chunks) {
        let share = self.files.get_mut(content).and_then(|holders| holders.get_mut(&session));
        if let Some((_, share)) = share {
            share.held.extend(more);
            share.held.cut(content.chunks());
        }
    }

    /// A session does not hold a file any more.
    pub fn release(&mut self, session: SessionId, content: &Content) {
        if let Some(holder) = self.holders.get_mut(&session) {
            holder.files.remove(content);
            if holder.files.is_empty() {
                self.holders.remove(&session);
            }
        }
        self.forget(session, content);
    }

    /// A session is not online any more.
    pub fn left(&mut self, session: SessionId) {
        let Some(holder) = self.holders.remove(&session) else { return };
        holder.files.iter().for_each(|content| self.forget(session, content));
    }

    /// The sessions that hold any of the file, with how much each has, as far as the asker sees their users.
    pub fn sources<'a>(
        &'a self,
        sees: impl Fn(AccountId) -> bool + 'a,
        content: &Content,
    ) -> impl Iterator<Item = (&'a Party, &'a Held)> {
        let all = self.files.get(content).into_iter().flatten();
        let seen = all.filter(move |(_, (account, share))| sees(*account) && !share.held.is_empty());
        seen.filter_map(|(session, (_, share))| Some((&self.holders.get(session)?.by, &share.held)))
    }

    /// The sessions that hold any of the file, or one of these chunks of it, and call it `name`, as far as
    /// the asker sees their users.
    pub fn who_has<'a>(
        &'a self,
        sees: impl Fn(AccountId) -> bool + 'a,
        content: &'a Content,
        name: &'a str,
        chunks: Option<&'a Chunks>,
    ) -> impl Iterator<Item = &'a Party> {
        let having = move |held: &Held| chunks.is_none_or(|chunks| held.has_any_of(chunks, content.chunks()));
        let all = self.files.get(content).into_iter().flatten();
        let seen = all.filter(move |(_, (account, share))| {
            share.name == name
                && !share.inner
                && !share.held.is_empty()
                && having(&share.held)
                && sees(*account)
        });
        seen.filter_map(|(session, _)| Some(&self.holders.get(session)?.by))
    }

    fn forget(&mut self, session: SessionId, content: &Content) {
        let Entry::Occupied(mut holders) = self.files.entry(*content) else { return };
        let Some((_, share)) = holders.get_mut().remove(&session) else { return };
        if holders.get().is_empty() {
            holders.remove();
        }
        self.unname(&share, content);
    }

    fn unname(&mut self, share: &Share, content: &Content) {
        let Some(contents) = self.names.get_mut(&share.name).filter(|_| !share.inner) else { return };
        if let Some(count) = contents.get_mut(content) {
            *count -= 1;
            if *count == 0 {
                contents.remove(content);
            }
        }
        if contents.is_empty() {
            self.names.remove(&share.name);
        }
    }
}

/// Whether a file may be called so.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= FILE_NAME_BYTES_MAX && !name.chars().any(char::is_control)
}
