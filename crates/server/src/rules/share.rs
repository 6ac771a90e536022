//! Who online holds which file, and how much of it: a pure index, in memory alone.
//!
//! A file is known by its content and size. Its name is what each holder calls it. Every question is asked for
//! somebody, and answered as if those who block the asker were not there.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::store::{AccountId, SessionId};

/// Chunks in a file, at most.
pub const CHUNKS_MAX: u32 = 16_384;
/// Files that one session may hold.
pub const HELD_MAX: usize = 2_048;
/// Bytes of a file's name.
pub const NAME_BYTES_MAX: usize = 255;

/// A content: its BLAKE3 and its size in bytes. The size is part of it because only the hash is proven by the hash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Content {
    /// BLAKE3, 32 bytes.
    pub id: Bytes,
    /// In bytes.
    pub size: u64,
}

/// Which chunks are held: a bit each, the lowest of the first byte first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunks(Vec<u8>);

impl Chunks {
    /// From the wire, cut to what a file can have.
    #[must_use]
    pub fn new(bits: &[u8]) -> Self {
        Self(bits.iter().take(CHUNKS_MAX as usize / 8).copied().collect())
    }

    /// For the wire.
    #[must_use]
    pub fn bits(&self) -> &[u8] {
        &self.0
    }

    /// Whether this chunk is held.
    #[must_use]
    pub fn contains(&self, chunk: u32) -> bool {
        self.0.get(chunk as usize / 8).is_some_and(|bits| bits >> (chunk % 8) & 1 == 1)
    }

    fn extend(&mut self, more: &Self) {
        if self.0.len() < more.0.len() {
            self.0.resize(more.0.len(), 0);
        }
        self.0.iter_mut().zip(&more.0).for_each(|(bits, more)| *bits |= more);
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|bits| *bits == 0)
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

/// How much of a file a session holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// All of it.
    All,
    /// Some chunks.
    Some(Chunks),
}

impl Held {
    fn any_of(&self, chunks: &[u32]) -> bool {
        match self {
            Self::All => !chunks.is_empty(),
            Self::Some(held) => chunks.iter().any(|chunk| held.contains(*chunk)),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Some(chunks) if chunks.is_empty())
    }
}

/// A holder, for somebody who wants the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Whose session.
    pub account: AccountId,
    /// Which.
    pub session: SessionId,
    /// How much it holds.
    pub held: Held,
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

/// What a session says of a file that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Whose session it is.
    pub account: AccountId,
    /// What the user calls it.
    pub name: String,
    /// How much of it is there.
    pub held: Held,
    /// What it lists, if it is a folder.
    pub folder: Option<Folder>,
}

/// Why a file is not taken into the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// The session holds as many as it may.
    #[error("too many files are shared, {HELD_MAX} at most")]
    TooMany,
    /// The name, or the size, cannot be one.
    #[error("this cannot be shared")]
    Invalid,
}

/// The index.
#[derive(Debug, Default)]
pub struct Shares {
    files: BTreeMap<Content, BTreeMap<SessionId, Share>>,
    /// The contents by the names that their holders give them.
    names: BTreeMap<String, BTreeMap<Content, u32>>,
    held: BTreeMap<SessionId, BTreeSet<Content>>,
}

impl Shares {
    /// A session holds a file, or holds it under another name, or more of it, than it said before.
    ///
    /// # Errors
    /// It holds too many, or this cannot be a file.
    pub fn hold(&mut self, session: SessionId, content: &Content, share: Share) -> Result<(), ShareError> {
        let name = share.name.clone();
        let named = !name.is_empty() && name.len() <= NAME_BYTES_MAX;
        if !named || content.id.len() != 32 || i64::try_from(content.size).is_err() {
            return Err(ShareError::Invalid);
        }
        let mine = self.held.entry(session).or_default();
        if !mine.contains(content) && mine.len() >= HELD_MAX {
            return Err(ShareError::TooMany);
        }
        mine.insert(content.clone());
        if let Some(old) = self.files.entry(content.clone()).or_default().insert(session, share) {
            self.unname(&old.name, content);
        }
        *self.names.entry(name).or_default().entry(content.clone()).or_default() += 1;
        Ok(())
    }

    /// A session holds more chunks of a file that it holds some of.
    pub fn extend(&mut self, session: SessionId, content: &Content, more: &Chunks) {
        let share = self.files.get_mut(content).and_then(|holders| holders.get_mut(&session));
        if let Some(Share { held: Held::Some(chunks), .. }) = share {
            chunks.extend(more);
        }
    }

    /// A session does not hold a file any more.
    pub fn release(&mut self, session: SessionId, content: &Content) {
        if let Some(mine) = self.held.get_mut(&session) {
            mine.remove(content);
            if mine.is_empty() {
                self.held.remove(&session);
            }
        }
        let Some(holders) = self.files.get_mut(content) else { return };
        let Some(share) = holders.remove(&session) else { return };
        if holders.is_empty() {
            self.files.remove(content);
        }
        self.unname(&share.name, content);
    }

    /// A session is not online any more.
    pub fn left(&mut self, session: SessionId) {
        for content in self.held.remove(&session).unwrap_or_default() {
            self.release(session, &content);
        }
    }

    /// What others offer to the asker, by name, as far as `wanted` says yes to the name.
    pub fn list(
        &self,
        sees: impl Fn(AccountId) -> bool,
        wanted: impl Fn(&str) -> bool,
        most: usize,
    ) -> Vec<Listed> {
        let mut listed: Vec<_> =
            self.files.keys().filter_map(|content| self.listed(content, &sees, &wanted)).collect();
        listed.sort_by(|one, other| (&one.name, &one.content).cmp(&(&other.name, &other.content)));
        listed.truncate(most);
        listed
    }

    /// The files that somebody may mean by this: a name, or the first hexadecimal digits of an id (at least 6).
    pub fn find(&self, sees: impl Fn(AccountId) -> bool, meant: &str) -> Vec<Listed> {
        let named = self.names.get(meant).into_iter().flat_map(BTreeMap::keys);
        let found: Vec<_> =
            named.filter_map(|content| self.listed(content, &sees, &|name| name == meant)).collect();
        if !found.is_empty() {
            return found;
        }
        let Some((from, digits)) = prefix(meant) else { return Vec::new() };
        let from = Content { id: from, size: 0 };
        let near = self.files.range(from..).map(|(content, _)| content);
        let near = near.take_while(|content| hex(&content.id).starts_with(&digits));
        near.filter_map(|content| self.listed(content, &sees, &|_| true)).collect()
    }

    /// Those who hold any of the file, as the asker may see them.
    pub fn holders(&self, sees: impl Fn(AccountId) -> bool, content: &Content) -> Vec<Holder> {
        let holders = self.files.get(content).into_iter().flatten();
        let seen = holders.filter(|(_, share)| sees(share.account) && !share.held.is_empty());
        seen.map(|(&session, share)| Holder { account: share.account, session, held: share.held.clone() })
            .collect()
    }

    /// Users who hold any of a file of this name, or one of these chunks of it.
    pub fn who_has(
        &self,
        sees: impl Fn(AccountId) -> bool,
        name: &str,
        chunks: Option<&[u32]>,
    ) -> BTreeSet<AccountId> {
        let contents = self.names.get(name).into_iter().flat_map(BTreeMap::keys);
        let shares = contents.filter_map(|content| self.files.get(content)).flat_map(BTreeMap::values);
        let meant = shares.filter(|share| share.name == name && !share.held.is_empty());
        let having = meant.filter(|share| chunks.is_none_or(|chunks| share.held.any_of(chunks)));
        having.map(|share| share.account).filter(|account| sees(*account)).collect()
    }

    fn listed(
        &self,
        content: &Content,
        sees: &impl Fn(AccountId) -> bool,
        wanted: &impl Fn(&str) -> bool,
    ) -> Option<Listed> {
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut users, mut folder) = (BTreeSet::new(), None);
        for share in self.files.get(content)?.values() {
            if sees(share.account) && !share.held.is_empty() {
                *names.entry(&share.name).or_default() += 1;
                users.insert(share.account);
                folder = folder.or(share.folder);
            }
        }
        let most = names.iter().filter(|(name, _)| wanted(name));
        let name = most.max_by(|one, other| one.1.cmp(other.1).then(other.0.cmp(one.0)))?.0;
        let sources = u32::try_from(users.len()).unwrap_or(u32::MAX);
        Some(Listed { content: content.clone(), name: (*name).to_owned(), sources, folder })
    }

    fn unname(&mut self, name: &str, content: &Content) {
        let Some(contents) = self.names.get_mut(name) else { return };
        if let Some(count) = contents.get_mut(content) {
            *count -= 1;
            if *count == 0 {
                contents.remove(content);
            }
        }
        if contents.is_empty() {
            self.names.remove(name);
        }
    }
}

/// Hexadecimal digits of an id, and the smallest id that begins with them.
fn prefix(digits: &str) -> Option<(Bytes, String)> {
    let digits = digits.to_ascii_lowercase();
    let hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !hexadecimal || !(6..=64).contains(&digits.len()) {
        return None;
    }
    let padded = format!("{digits:0<64}");
    let id: Option<Vec<u8>> =
        (0..32).map(|byte| u8::from_str_radix(&padded[2 * byte..2 * byte + 2], 16).ok()).collect();
    Some((id?.into(), digits))
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
