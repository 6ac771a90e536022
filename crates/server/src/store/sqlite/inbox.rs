//! How much of an inbox is unread, kept up to date instead of counted.

use std::collections::{HashMap, VecDeque};

use super::super::{AccountId, Unread};

/// One inbox: its head and what is above its owner's cursor.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Inbox {
    head: u64,
    unread: VecDeque<Item>,
    bytes: u64,
    /// No zeros.
    by_sender: HashMap<AccountId, u64>,
}

/// An unread entry.
#[derive(Debug, PartialEq, Eq)]
struct Item {
    seq: u64,
    sender: Option<AccountId>,
    bytes: u64,
}

impl Inbox {
    /// An inbox nothing of which is unread.
    pub(super) fn new(head: u64) -> Self {
        Self { head, ..Self::default() }
    }

    pub(super) fn head(&self) -> u64 {
        self.head
    }

    pub(super) fn unread_len(&self) -> usize {
        self.unread.len()
    }

    pub(super) fn unread(&self, sender: AccountId) -> Unread {
        let of_sender = self.by_sender.get(&sender).copied().unwrap_or(0);
        Unread { entries: self.unread.len() as u64, bytes: self.bytes, of_sender }
    }

    /// Adds an entry above all others.
    pub(super) fn push(&mut self, seq: u64, sender: Option<AccountId>, bytes: u64) {
        self.head = self.head.max(seq);
        self.bytes += bytes;
        if let Some(sender) = sender {
            *self.by_sender.entry(sender).or_default() += 1;
        }
        self.unread.push_back(Item { seq, sender, bytes });
    }

    /// Takes out what is at or below `cursor`.
    pub(super) fn pass(&mut self, cursor: u64) {
        while let Some(item) = self.unread.pop_front_if(|item| item.seq <= cursor) {
            self.bytes -= item.bytes;
            if let Some(sender) = item.sender {
                self.forget_one_of(sender);
            }
        }
    }

    /// Makes the unread entries of `sender` nobody's and empty; `false` if there are none.
    pub(super) fn hide(&mut self, sender: AccountId) -> bool {
        if self.by_sender.remove(&sender).is_none() {
            return false;
        }
        for item in self.unread.iter_mut().filter(|item| item.sender == Some(sender)) {
            self.bytes -= item.bytes;
            (item.sender, item.bytes) = (None, 0);
        }
        true
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
