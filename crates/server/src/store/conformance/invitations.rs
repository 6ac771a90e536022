//! Invitations to register.

use super::super::{Invitation, InvitationId, NewInvitation, Store};
use super::{fail, write};

fn new(code: u8, uses: u32, expires_ms: Option<i64>) -> NewInvitation {
    NewInvitation { code_hash: [code; 32], uses, expires_ms, made_ms: 5, note: format!("note {code}") }
}

fn add(store: &dyn Store, code: u8, uses: u32, expires_ms: Option<i64>) -> InvitationId {
    write(store, |tx| tx.add_invitation(&new(code, uses, expires_ms)))
}

fn uses(store: &dyn Store, code: u8, now_ms: i64) -> Option<InvitationId> {
    write(store, |tx| tx.use_invitation(&[code; 32], now_ms))
}

fn ids(store: &dyn Store, after: i64, max: usize) -> Vec<i64> {
    store.invitations(InvitationId(after), max).unwrap().into_iter().map(|one| one.id.0).collect()
}

pub(super) fn an_invitation_is_used_as_often_as_it_may(store: &dyn Store) {
    let (one, two) = (add(store, 1, 1, None), add(store, 2, 2, Some(100)));
    assert_eq!(uses(store, 3, 9), None);
    assert_eq!((uses(store, 1, 9), uses(store, 1, 9)), (Some(one), None));
    assert_eq!(store.invitation(&[1; 32]).unwrap(), None);
    assert_eq!(uses(store, 2, 9), Some(two));
    assert_eq!(store.invitation(&[2; 32]).unwrap().map(|left| left.uses_left), Some(1));
    // Both in one transaction: the first takes what there is.
    let both = write(store, |tx| Ok([tx.use_invitation(&[2; 32], 9)?, tx.use_invitation(&[2; 32], 9)?]));
    assert_eq!(both, [Some(two), None]);
    assert!(ids(store, 0, 9).is_empty());
}

pub(super) fn an_expired_invitation_is_worth_nothing(store: &dyn Store) {
    let id = add(store, 1, 2, Some(100));
    assert_eq!(uses(store, 1, 100), None);
    assert_eq!(uses(store, 1, i64::MAX), None);
    assert_eq!(store.invitation(&[1; 32]).unwrap().map(|left| left.uses_left), Some(2), "nothing was used");
    assert_eq!(uses(store, 1, 99), Some(id));
}

pub(super) fn invitations_are_listed(store: &dyn Store) {
    let [one, two, three] = [1, 2, 3].map(|code| add(store, code, u32::MAX, Some(70)));
    assert_eq!(ids(store, 0, 9), [one.0, two.0, three.0]);
    assert_eq!((ids(store, one.0, 1), ids(store, three.0, 9)), (vec![two.0], vec![]));
    let listed = store.invitations(two, 1).unwrap().remove(0);
    let (uses_left, expires_ms, made_ms, note) = (u32::MAX, Some(70), 5, "note 3".to_owned());
    assert_eq!(listed, Invitation { id: three, uses_left, expires_ms, made_ms, note });
    assert_eq!(store.invitation(&[3; 32]).unwrap(), Some(listed));
    assert!(store.invitation(&[4; 32]).unwrap().is_none());
}

pub(super) fn invitations_are_taken_back(store: &dyn Store) {
    let (one, two) = (add(store, 1, 5, None), add(store, 2, 5, None));
    assert!(write(store, |tx| tx.remove_invitation(two)));
    assert!(!write(store, |tx| tx.remove_invitation(two)));
    assert_eq!((ids(store, 0, 9), uses(store, 2, 9)), (vec![one.0], None));
    assert!(add(store, 2, 1, None) > two, "numbers are not given again");
}

pub(super) fn codes_are_unique(store: &dyn Store) {
    let one = add(store, 1, 1, None);
    assert!(store.write(&mut |tx| tx.add_invitation(&new(1, 9, None)).map(drop)).is_err());
    assert_eq!((uses(store, 1, 9), uses(store, 1, 9)), (Some(one), None));
}

pub(super) fn expired_invitations_go(store: &dyn Store) {
    let [never, late, early, middle] =
        [(1, None), (2, Some(90)), (3, Some(50)), (4, Some(60))].map(|(code, at)| add(store, code, 1, at));
    assert_eq!(write(store, |tx| tx.trim_invitations(49, 9)), 0);
    assert_eq!(write(store, |tx| tx.trim_invitations(60, 1)), 1);
    assert_eq!(ids(store, 0, 9), [never.0, late.0, middle.0], "{early:?}");
    assert_eq!(write(store, |tx| tx.trim_invitations(60, 9)), 1);
    assert_eq!(write(store, |tx| tx.trim_invitations(i64::MAX, 9)), 1);
    assert_eq!(ids(store, 0, 9), [never.0]);
}

pub(super) fn a_failed_transaction_leaves_invitations(store: &dyn Store) {
    let (one, two) = (add(store, 1, 1, None), add(store, 2, 2, Some(50)));
    fail(store, |tx| {
        assert!(tx.use_invitation(&[1; 32], 9)?.is_some() && tx.use_invitation(&[2; 32], 9)?.is_some());
        assert_eq!(tx.trim_invitations(50, 9)?, 1);
        tx.add_invitation(&new(3, 1, None)).map(drop)
    });
    assert_eq!(ids(store, 0, 9), [one.0, two.0]);
    assert_eq!(store.invitation(&[2; 32]).unwrap().map(|left| left.uses_left), Some(2));
    assert_eq!((uses(store, 1, 9), uses(store, 3, 9)), (Some(one), None));
}
