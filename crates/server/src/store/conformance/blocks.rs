//! Blocks.

use super::super::{AccountId, Store};
use super::{fail, people, write};

fn set(store: &dyn Store, blocker: AccountId, blocked: AccountId, on: bool) -> bool {
    write(store, |tx| tx.set_block(blocker, blocked, on))
}

pub(super) fn blocks_are_set_once(store: &dyn Store) {
    let [ann, bob] = people(store, ["ann", "bob"]);
    let state =
        || write(store, |tx| Ok((tx.blocks(ann, bob)?, tx.blocks(bob, ann)?, tx.is_blocked_by_any(bob)?)));
    assert_eq!(state(), (false, false, false));
    assert!(!set(store, ann, bob, false));
    assert!(set(store, ann, bob, true));
    assert!(!set(store, ann, bob, true));
    assert_eq!(state(), (true, false, true));
    assert!(!write(store, |tx| tx.is_blocked_by_any(ann)));
    assert!(set(store, bob, bob, true));
    assert!(set(store, ann, bob, false));
    assert_eq!(state(), (false, false, true));
    assert!(set(store, bob, bob, false));
    assert_eq!(state(), (false, false, false));
}

pub(super) fn blocks_come_in_order_of_keys(store: &dyn Store) {
    let [cy, ann, bob] = people(store, ["cy", "ann", "bob"]);
    for (blocker, blocked) in [(ann, cy), (ann, bob), (cy, bob), (bob, ann)] {
        set(store, blocker, blocked, true);
    }
    assert_eq!(store.blocks_of(ann).unwrap(), [bob, cy]);
    assert_eq!(store.blocks_of(cy).unwrap(), [bob]);
    let mut of_ann = write(store, |tx| tx.blocks_of(ann));
    of_ann.sort();
    let mut as_made = [cy, bob];
    as_made.sort();
    assert_eq!(of_ann, as_made);
    assert_eq!(write(store, |tx| tx.blocks_of(AccountId(99))), []);
    assert_eq!(store.blockers_of(bob).unwrap(), [cy, ann]);
    assert_eq!(store.blockers_of(AccountId(99)).unwrap(), []);
    assert_eq!(store.blocks_of(AccountId(99)).unwrap(), []);
}

pub(super) fn a_failed_transaction_leaves_blocks(store: &dyn Store) {
    let [ann, bob, cy] = people(store, ["ann", "bob", "cy"]);
    set(store, ann, bob, true);
    fail(store, |tx| {
        assert!(tx.set_block(ann, bob, false)?);
        assert!(tx.set_block(ann, cy, true)?);
        assert_eq!((tx.is_blocked_by_any(bob)?, tx.is_blocked_by_any(cy)?), (false, true));
        Ok(())
    });
    assert_eq!(store.blocks_of(ann).unwrap(), [bob]);
    let state = write(store, |tx| {
        Ok((tx.blocks(ann, bob)?, tx.blocks(ann, cy)?, tx.is_blocked_by_any(bob)?, tx.is_blocked_by_any(cy)?))
    });
    assert_eq!(state, (true, false, true, false));
}
