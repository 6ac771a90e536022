//! Which files somebody asks for.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Included, Unbounded},
};

use super::{Content, Listed, Shares};
use crate::store::AccountId;

/// Hexadecimal digits that an id is known by, at least.
const DIGITS_MIN: usize = 6;

/// Which names are meant. Case does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Those with this in them, in lower case.
    Part(String),
    /// Those that are as a whole like this: `*` stands for anything, `?` for one character.
    Whole(Vec<char>),
}

impl Pattern {
    /// As somebody types it.
    #[must_use]
    pub fn new(typed: &str) -> Self {
        let lower = typed.to_lowercase();
        if lower.contains(['*', '?']) { Self::Whole(lower.chars().collect()) } else { Self::Part(lower) }
    }

    /// Whether a name is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Part(part) if part.is_empty() => true,
            Self::Part(part) => name.to_lowercase().contains(part),
            Self::Whole(pattern) => is_like(&name.to_lowercase().chars().collect::<Vec<_>>(), pattern),
        }
    }
}

/// Takes each star for as little as it can, and for more where the rest does not fit: only the last star is
/// ever looked at again.
fn is_like(name: &[char], pattern: &[char]) -> bool {
    let (mut at, mut next, mut star) = (0, 0, None);
    while at < name.len() {
        match pattern.get(next) {
            Some('*') => {
                star = Some((at, next));
                next += 1;
            }
            Some(one) if *one == '?' || *one == name[at] => (at, next) = (at + 1, next + 1),
            _ => {
                let Some((from, place)) = star else { return false };
                star = Some((from + 1, place));
                (at, next) = (from + 1, place + 1);
            }
        }
    }
    pattern[next..].iter().all(|one| *one == '*')
}

/// The ids that begin alike: from the first to the last that can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(Content, Content);

impl Prefix {
    /// Those that begin with these digits; `None`: they are too few, or no hexadecimal digits.
    #[must_use]
    pub fn new(digits: &str) -> Option<Self> {
        let hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !hexadecimal || !(DIGITS_MIN..=64).contains(&digits.len()) {
            return None;
        }
        let filled = |with: char| {
            let mut digits = digits.to_owned();
            digits.extend(std::iter::repeat_n(with, 64 - digits.len()));
            let byte = |place: usize| u8::from_str_radix(&digits[2 * place..2 * place + 2], 16).ok();
            (0..32).map(byte).collect::<Option<Vec<_>>>()?.try_into().ok()
        };
        let (first, last) = (filled('0')?, filled('f')?);
        Some(Self(Content { id: first, size: 0 }, Content { id: last, size: u64::MAX }))
    }
}

/// Which files somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Those with such a name.
    Like(Pattern),
    /// Those of exactly this name.
    Named(String),
    /// Those with such an id.
    Id(Prefix),
}

impl Query {
    fn wants(&self, name: &str) -> bool {
        match self {
            Self::Like(pattern) => pattern.matches(name),
            Self::Named(wanted) => wanted == name,
            Self::Id(_) => true,
        }
    }
}

/// A part of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// What is in it, in the order of the contents.
    pub listed: Vec<Listed>,
    /// After which the next page begins; `None`: this was the last one.
    pub next: Option<Content>,
}

impl Shares {
    /// Looks at `most` of the contents above `after` that may be meant.
    pub fn page(
        &self,
        query: &Query,
        after: Option<&Content>,
        most: usize,
        sees: impl Fn(AccountId) -> bool,
    ) -> Page {
        let from = after.map_or(Unbounded, Excluded);
        let contents: Vec<_> = match query {
            Query::Like(_) => self.files.range((from, Unbounded)).map(|(one, _)| one).take(most).collect(),
            Query::Named(name) => self.named(name, after, most),
            Query::Id(Prefix(first, last)) => {
                let from = after.map_or(Included(first), Excluded);
                self.files.range((from, Included(last))).map(|(one, _)| one).take(most).collect()
            }
        };
        let next = contents.last().filter(|_| contents.len() == most).map(|last| **last);
        let listed = contents.into_iter().filter_map(|content| self.listed(content, query, &sees));
        Page { listed: listed.collect(), next }
    }

    /// The first `most` contents above `after` that somebody calls so.
    #[must_use]
    pub fn named(&self, name: &str, after: Option<&Content>, most: usize) -> Vec<&Content> {
        let from = after.map_or(Unbounded, Excluded);
        let contents = self.names.get(name).into_iter().flat_map(|all| all.range((from, Unbounded)));
        contents.map(|(content, _)| content).take(most).collect()
    }

    fn listed(&self, content: &Content, query: &Query, sees: impl Fn(AccountId) -> bool) -> Option<Listed> {
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut users, mut folder) = (BTreeSet::new(), None);
        for (account, share) in self.files.get(content)?.values() {
            if sees(*account) && !share.held.is_empty() {
                users.insert(*account);
                if share.inner && !matches!(query, Query::Id(_)) {
                    continue;
                }
                *names.entry(&share.name).or_default() += 1;
                folder = folder.or(share.folder);
            }
        }
        let wanted = names.iter().filter(|(name, _)| query.wants(name));
        let name = wanted.max_by(|one, other| one.1.cmp(other.1).then(other.0.cmp(one.0)))?.0;
        let sources = u32::try_from(users.len()).unwrap_or(u32::MAX);
        Some(Listed { content: *content, name: (*name).to_owned(), sources, folder })
    }
}
