//! An inbox as the writer remembers it: its numbers, and where that was asked for, what is unread, kept up to date
//! instead of counted again.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::super::{AccountId, Unread};

/// One inbox: its head and its owner's cursor.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Inbox {
    pub(super) head: u64,
    pub(super) cursor: u64,
    /// The cursor was changed in this transaction.
    pub(super) changed: bool,
    /// The row of the account has an earlier cursor.
    pub(super) behind: bool,
    counted: Option<Box<Counted>>,
}

/// What is above the cursor.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    unread: VecDeque<Item>,
    bytes: u64,
    /// No zeros.
    by_sender: FxHashMap<AccountId, u64>,
}

/// An unread entry.
#[derive(Debug, PartialEq, Eq)]
struct Item {
    seq: u64,
    sender: Option<AccountId>,
    bytes: u64,
}

impl Inbox {
    pub(super) fn new(head: u64, cursor: u64) -> Self {
        Self { head: head.max(cursor), cursor, ..Self::default() }
    }

    /// How much is remembered of it, in rows.
    pub(super) fn weight(&self) -> usize {
        1 + self.counted.as_ref().map_or(0, |counted| counted.unread.len())
    }

    /// Entries above the cursor; there are no holes.
    pub(super) fn unread(&self) -> u64 {
        self.head - self.cursor
    }

    pub(super) fn counted(&self) -> Option<&Counted> {
        self.counted.as_deref()
    }

    /// Remembers what was counted.
    pub(super) fn count(&mut self, counted: Counted) {
        self.counted = Some(Box::new(counted));
    }

    /// Forgets what was counted.
    pub(super) fn uncount(&mut self) {
        self.counted = None;
    }

    /// Adds an entry above all others.
    pub(super) fn push(&mut self, sender: AccountId, bytes: u64) {
        self.head += 1;
        if let Some(counted) = &mut self.counted {
            counted.push(self.head, Some(sender), bytes);
        }
    }

    /// Moves the cursor up to `seq`, which is at most the head.
    pub(super) fn pass(&mut self, seq: u64) {
        self.cursor = seq;
        if let Some(counted) = &mut self.counted {
            counted.pass(seq);
            if counted.unread.is_empty() {
                self.counted = None;
            }
        }
    }
}

impl Counted {
    pub(super) fn of_sender(&self, sender: AccountId) -> Unread {
        Unread { bytes: self.bytes, of_sender: self.by_sender.get(&sender).copied().unwrap_or(0) }
    }

    /// Adds an entry above all others.
    pub(super) fn push(&mut self, seq: u64, sender: Option<AccountId>, bytes: u64) {
        self.bytes += bytes;
        if let Some(sender) = sender {
            *self.by_sender.entry(sender).or_default() += 1;
        }
        self.unread.push_back(Item { seq, sender, bytes });
    }

    /// Takes out what is at or below `cursor`.
    fn pass(&mut self, cursor: u64) {
        while let Some(item) = self.unread.pop_front_if(|item| item.seq <= cursor) {
            self.bytes -= item.bytes;
            if let Some(sender) = item.sender {
                self.forget_one_of(sender);
            }
        }
    }

    fn forget_one_of(&mut self, sender: AccountId) {
        if let Some(count) = self.by_sender.get_mut(&sender) {
            *count -= 1;
            if *count == 0 {
                self.by_sender.remove(&sender);
            }
        }
    }
}
