//! What the writer remembers, so that a message costs no look-up in the database.
//!
//! Everything here can be read again from the database, and is thrown away when a transaction fails. What its row does not
//! hold yet ([`Cache::behind`]) is not forgotten before it does.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque, hash_map::RandomState};
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use super::super::{Account, AccountId, OutboxId};
use super::inbox::Inbox;
use super::journal::Behind;
use super::outbox::Outbox;
use super::trim::Swept;

/// Rows remembered about inboxes (unread entries that were counted) for each row remembered of another kind.
const UNREAD_FACTOR: usize = 20;

/// What the writer remembers.
pub(super) struct Cache {
    pub(super) accounts: Recent<AccountId, Arc<Account>>,
    /// People choose these keys, so their hashes are not to be guessed.
    pub(super) keys: Recent<String, AccountId, RandomState>,
    pub(super) inboxes: Recent<AccountId, Inbox>,
    pub(super) outboxes: Recent<OutboxId, Outbox>,
    /// Whom somebody blocks.
    pub(super) blocks: Recent<AccountId, BTreeSet<AccountId>>,
    /// Whether anyone blocks somebody.
    pub(super) blocked: Recent<AccountId, bool>,
    pub(super) broadcast_head: Option<u64>,
    /// Classes of failures whose name is no account.
    pub(super) unknown_names: Option<usize>,
    /// Inboxes that can have entries at or below the cursor, with the time of the first of them
    /// (`i64::MIN`: not looked at).
    pub(super) trimmable: Option<BTreeMap<AccountId, i64>>,
    /// Together with `trimmable`.
    pub(super) swept: Swept,
    /// Accounts whose cursor this transaction has moved.
    pub(super) changed_cursors: Vec<AccountId>,
    /// Outboxes to which this transaction has added.
    pub(super) changed_outboxes: Vec<OutboxId>,
    /// Rows that do not hold yet what is remembered, with the row of the journal that first said so, in its order.
    pub(super) behind: VecDeque<(i64, Behind)>,
    /// `behind` is known.
    pub(super) journal_loaded: bool,
    /// About how many rows of each kind are kept.
    max: usize,
}

impl Cache {
    /// An empty one that keeps about `max` rows of each kind.
    pub(super) fn new(max: usize) -> Self {
        Self {
            accounts: Recent::new(max, |_| 1),
            keys: Recent::new(max, |_| 1),
            inboxes: Recent::new(max * UNREAD_FACTOR, Inbox::weight),
            outboxes: Recent::new(max, |_| 1),
            blocks: Recent::new(max, |blocked| blocked.len() + 1),
            blocked: Recent::new(max, |_| 1),
            broadcast_head: None,
            unknown_names: None,
            trimmable: None,
            swept: Swept::default(),
            changed_cursors: Vec::new(),
            changed_outboxes: Vec::new(),
            behind: VecDeque::new(),
            journal_loaded: false,
            max,
        }
    }

    /// Forgets everything. Nothing may be behind or changed.
    pub(super) fn clear(&mut self) {
        debug_assert!(self.is_settled(), "forgets unwritten rows");
        *self = Self { journal_loaded: true, ..Self::new(self.max) };
    }

    /// Whether what can be behind its row is so much that some of it has to be forgotten.
    pub(super) fn must_settle(&self) -> bool {
        self.inboxes.is_heavy() || self.outboxes.is_heavy()
    }

    fn is_settled(&self) -> bool {
        self.changed_cursors.is_empty() && self.changed_outboxes.is_empty() && self.behind.is_empty()
    }

    /// Forgets what was not used lately, where there is too much. Only at the end of a transaction; if
    /// [`Cache::must_settle`], after that was done.
    pub(super) fn age(&mut self) {
        debug_assert!(self.is_settled() || !self.must_settle(), "forgets unwritten rows");
        self.accounts.age();
        self.keys.age();
        self.inboxes.age();
        self.outboxes.age();
        self.blocks.age();
        self.blocked.age();
    }
}

/// A map that forgets what was not used lately: what is used moves to the young half; when that is full, the
/// old half is dropped and the halves change places.
pub(super) struct Recent<K, V, S = FxBuildHasher> {
    young: HashMap<K, V, S>,
    old: HashMap<K, V, S>,
    weigh: fn(&V) -> usize,
    young_weight: usize,
    young_weight_max: usize,
}

impl<K: Eq + Hash + Clone, V, S: BuildHasher + Default> Recent<K, V, S> {
    fn new(weight_max: usize, weigh: fn(&V) -> usize) -> Self {
        let (young, old) = (HashMap::default(), HashMap::default());
        Self { young, old, weigh, young_weight: 0, young_weight_max: weight_max / 2 }
    }

    pub(super) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        Q: Hash + Eq + ?Sized,
        K: std::borrow::Borrow<Q>,
    {
        if let Some((key, value)) = self.old.remove_entry(key) {
            self.young_weight += (self.weigh)(&value);
            self.young.insert(key, value);
        }
        self.young.get_mut(key)
    }

    /// Remembers a value (in place of an earlier one) and gives it back.
    pub(super) fn insert(&mut self, key: K, value: V) -> &mut V {
        self.old.remove(&key);
        self.young_weight += (self.weigh)(&value);
        self.young.entry(key).insert_entry(value).into_mut()
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.old.remove(key);
        self.young.remove(key);
    }

    /// A value became heavier. That one became lighter need not be told: it is forgotten sooner, no more.
    pub(super) fn grew(&mut self, by: usize) {
        self.young_weight += by;
    }

    fn is_heavy(&self) -> bool {
        self.young_weight > self.young_weight_max
    }

    fn age(&mut self) {
        if self.is_heavy() {
            self.old = std::mem::take(&mut self.young);
            self.young_weight = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays() {
        let mut recent: Recent<u32, u32> = Recent::new(4, |_| 1);
        for n in 0..100_u32 {
            recent.insert(n, n);
            assert_eq!(recent.get_mut(&0), Some(&mut 0));
            recent.age();
            assert!(recent.young.len() + recent.old.len() <= 6);
        }
        assert_eq!(recent.get_mut(&50), None);
        assert_eq!(recent.get_mut(&99), Some(&mut 99));
    }

    #[test]
    fn heavy_values_age_sooner() {
        let mut recent: Recent<u32, u32> = Recent::new(4, |_| 1);
        recent.insert(1, 1);
        recent.age();
        recent.grew(5);
        recent.age();
        assert!(recent.young.is_empty());
        recent.insert(2, 2);
        recent.grew(5);
        recent.age();
        assert_eq!(recent.get_mut(&1), None);
        recent.remove(&2);
        assert_eq!(recent.get_mut(&2), None);
    }
}
