//! Accounts and the epoch.

use super::super::{AccountId, Secret, Store, StreamId};
use super::{fail, new_account, people, write};

pub(super) fn added_once(store: &dyn Store) {
    let [ann, bob] = people(store, ["ann", "bob"]);
    assert_ne!(ann, bob);
    assert_eq!(write(store, |tx| tx.add_account(&new_account("ann"))), None);
    let found = store.account_by_key("ann").unwrap().unwrap();
    assert_eq!((found.id, found.name.as_str(), found.last_seen_ms), (ann, "ANN", 0));
    assert_eq!(found.password, Secret("hash of ann".to_owned()));
    assert_eq!(store.account(ann).unwrap(), Some(found.clone()));
    assert_eq!(write(store, |tx| tx.account_by_key("ann")).as_deref(), Some(&found));
    assert_eq!(write(store, |tx| tx.account(ann)).as_deref(), Some(&found));
    assert_eq!(store.account_by_key("ANN").unwrap(), None);
    assert_eq!(store.account(AccountId(99)).unwrap(), None);
    assert_eq!(write(store, |tx| tx.account_by_key("cy")), None);
    assert_eq!(write(store, |tx| tx.account(AccountId(99))), None);
}

pub(super) fn passwords_change(store: &dyn Store) {
    let [ann] = people(store, ["ann"]);
    let new = Secret("new".to_owned());
    write(store, |tx| {
        tx.set_password(ann, &new)?;
        assert_eq!(tx.account(ann)?.unwrap().password, new);
        Ok(())
    });
    assert_eq!(store.account(ann).unwrap().unwrap().password, new);
    fail(store, |tx| tx.set_password(ann, &Secret("other".to_owned())));
    assert_eq!(store.account(ann).unwrap().unwrap().password, new);
    assert_eq!(write(store, |tx| tx.account_by_key("ann")).unwrap().password, new);
    assert_eq!(format!("{new:?}"), "Secret(..)");
}

pub(super) fn last_seen_goes_forward(store: &dyn Store) {
    let [ann, bob, cy] = people(store, ["ann", "bob", "cy"]);
    write(store, |tx| {
        tx.set_last_seen(cy, 30)?;
        tx.set_last_seen(ann, 20)?;
        tx.set_last_seen(ann, 10)?;
        tx.set_last_seen(bob, 5)
    });
    assert_eq!(store.account(ann).unwrap().unwrap().last_seen_ms, 20);
    assert_eq!(store.seen_since(5).unwrap(), [ann, bob, cy]);
    assert_eq!(store.seen_since(20).unwrap(), [ann, cy]);
    assert_eq!(store.seen_since(31).unwrap(), []);
    fail(store, |tx| tx.set_last_seen(ann, 99));
    assert_eq!(store.seen_since(31).unwrap(), []);
    write(store, |tx| tx.set_last_seen(ann, 40));
    assert_eq!(store.seen_since(31).unwrap(), [ann]);
}

pub(super) fn epoch_changes(store: &dyn Store) {
    let first = store.epoch().unwrap();
    assert!(!first.is_empty());
    fail(store, |tx| tx.set_epoch(b"second"));
    assert_eq!(store.epoch().unwrap(), first);
    write(store, |tx| tx.set_epoch(b"second"));
    assert_eq!(store.epoch().unwrap(), "second");
    // Only a restore leaves an earlier history behind.
    for epoch in [&first[..], b"second", b""] {
        assert_eq!(write(store, |tx| tx.earlier_head(epoch, StreamId::Broadcast)), None);
    }
}

pub(super) fn names_in_order(store: &dyn Store) {
    let [ann, bob] = people(store, ["ann", "bob"]);
    let names = store.names(&[bob, AccountId(99), ann, bob]).unwrap();
    assert_eq!(names, ["BOB", "", "ANN", "BOB"]);
}

pub(super) fn a_failed_transaction_leaves_no_account(store: &dyn Store) {
    let [ann] = people(store, ["ann"]);
    fail(store, |tx| {
        let bob = tx.add_account(&new_account("bob"))?.unwrap();
        assert_eq!(tx.account_by_key("bob")?.unwrap().id, bob);
        Ok(())
    });
    assert_eq!(store.account_by_key("bob").unwrap(), None);
    assert_eq!(write(store, |tx| tx.account_by_key("bob")), None);
    assert!(!store.skeleton_exists("~bob").unwrap());
    let [bob] = people(store, ["bob"]);
    assert_ne!(bob, ann);
}

pub(super) fn skeletons_are_found(store: &dyn Store) {
    people(store, ["bob", "bo"]);
    write(store, |tx| {
        let twin = super::super::NewAccount { skeleton: "~bob".to_owned(), ..new_account("b0b") };
        assert!(tx.add_account(&twin)?.is_some());
        Ok(())
    });
    for (skeleton, exists) in [("~bob", true), ("~bo", true), ("~b", false), ("~bobb", false), ("", false)] {
        assert_eq!(store.skeleton_exists(skeleton).unwrap(), exists, "{skeleton}");
    }
}
