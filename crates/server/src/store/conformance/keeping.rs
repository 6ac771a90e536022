//! What the keeper of a server does to whole accounts.

use bytes::Bytes;

use super::super::{
    AccountId, Ended, Failures, NewName, NewSession, OutboxState, Outcome, SERVER, SessionId, SessionRow,
    Store, StreamId,
};
use super::{fail, head, new_account, numbers, people, send, write};

fn name(key: &str) -> NewName {
    NewName { name: key.to_uppercase(), key: key.to_owned(), skeleton: format!("~{key}") }
}

fn keys(store: &dyn Store, after: &str, max: usize) -> Vec<String> {
    store.accounts(after, max).unwrap().into_iter().map(|listed| listed.key).collect()
}

fn failed(store: &dyn Store, name: &str, device: &[u8], blocked_until_ms: i64) {
    let failures = Failures { count: 3, blocked_until_ms };
    write(store, |tx| tx.set_failures(name, device, failures, 5));
}

pub(super) fn accounts_are_listed(store: &dyn Store) {
    let [_, ann] = people(store, ["bob", "ann"]);
    people(store, ["cy"]);
    assert_eq!(keys(store, "", 10), ["ann", "bob", "cy"]);
    assert_eq!(keys(store, "", 2), ["ann", "bob"]);
    assert_eq!(keys(store, "ann", 2), ["bob", "cy"]);
    assert_eq!(keys(store, "b", 1), ["bob"]);
    assert!(keys(store, "cy", 9).is_empty() && keys(store, "", 0).is_empty());
    failed(store, "ann", b"", 70);
    failed(store, "ann", b"device", 90);
    failed(store, "ann2", b"", 99);
    let listed = store.accounts("", 1).unwrap().remove(0);
    assert_eq!((listed.account.id, listed.created_ms, listed.blocked_until_ms), (ann, 1, 90));
    assert_eq!(store.accounts("ann", 1).unwrap()[0].blocked_until_ms, 0);
}

pub(super) fn accounts_are_disabled(store: &dyn Store) {
    let [ann, bob] = people(store, ["ann", "bob"]);
    write(store, |tx| {
        tx.set_disabled(ann, true)?;
        assert!(tx.account(ann)?.unwrap().disabled);
        tx.set_disabled(AccountId(99), true)
    });
    assert!(store.account(ann).unwrap().unwrap().disabled);
    assert!(!store.account(bob).unwrap().unwrap().disabled);
    assert!(write(store, |tx| tx.account_by_key("ann")).unwrap().disabled);
    write(store, |tx| tx.set_disabled(ann, false));
    assert!(!store.account_by_key("ann").unwrap().unwrap().disabled);
}

pub(super) fn accounts_are_renamed(store: &dyn Store) {
    let [ann, bob] = people(store, ["ann", "bob"]);
    send(store, StreamId::Inbox(bob), ann, &["a"]);
    write(store, |tx| {
        tx.set_block(bob, ann, true)?;
        // What is only remembered so far must not be lost.
        tx.set_cursor(bob, 1)?;
        let outbox = tx.outbox(ann, b"box")?;
        tx.add_outcome(outbox, Outcome { code: 1, hash: [1; 4] })?;
        assert!(!tx.rename(ann, &name("bob"))?);
        assert!(!tx.rename(AccountId(99), &name("dan"))?);
        assert!(tx.rename(ann, &name("cy"))?);
        assert_eq!(tx.account_by_key("ann")?, None);
        assert_eq!(tx.account_by_key("cy")?.unwrap().id, ann);
        assert_eq!(tx.outbox_state(outbox)?.last_number, 1);
        Ok(())
    });
    assert_eq!(store.account_by_key("ann").unwrap(), None);
    let found = store.account_by_key("cy").unwrap().unwrap();
    assert_eq!((found.id, found.name.as_str()), (ann, "CY"));
    assert!(store.skeleton_exists("~cy").unwrap() && !store.skeleton_exists("~ann").unwrap());
    assert_eq!(store.names(&[ann]).unwrap(), ["CY"]);
    assert_eq!((store.blockers_of(ann).unwrap(), head(store, StreamId::Inbox(bob))), (vec![bob], 1));
    assert_eq!(write(store, |tx| tx.cursor(bob)), 1);
    assert!(write(store, |tx| tx.rename(ann, &NewName { name: "Cy".to_owned(), ..name("cy") })));
    assert_eq!(store.names(&[ann]).unwrap(), ["Cy"]);
    assert_ne!(people(store, ["ann"]), [ann]);
}

pub(super) fn failures_follow_a_name(store: &dyn Store) {
    let [ann] = people(store, ["ann"]);
    failed(store, "ann", b"", 70);
    failed(store, "ann", b"x", 80);
    // Tries of a name that nobody has count toward the bound of those; the account's do not.
    failed(store, "cy", b"", 90);
    failed(store, "cy", b"y", 90);
    assert!(write(store, |tx| tx.rename(ann, &name("cy"))));
    write(store, |tx| {
        assert_eq!(tx.failures("cy", b"")?.blocked_until_ms, 70);
        assert_eq!(tx.failures("cy", b"x")?.blocked_until_ms, 80);
        assert_eq!(tx.failures("cy", b"y")?, Failures::default());
        assert_eq!(tx.failures("ann", b"")?, Failures::default());
        // The bound is five: these push out none of the account's.
        for n in 0..9 {
            tx.set_failures(&format!("nobody{n}"), b"", Failures { count: 1, blocked_until_ms: 0 }, 10 + n)?;
        }
        assert_eq!(tx.failures("cy", b"")?.blocked_until_ms, 70);
        assert!(tx.rename(ann, &NewName { name: "CY!".to_owned(), ..name("cy") })?);
        assert_eq!(tx.failures("cy", b"")?.blocked_until_ms, 70);
        Ok(())
    });
}

/// Ann and Bob, between whom everything has happened.
fn lived_in(store: &dyn Store) -> [AccountId; 3] {
    let [ann, bob, cy] = people(store, ["ann", "bob", "cy"]);
    send(store, StreamId::Inbox(ann), bob, &["to ann", "again"]);
    send(store, StreamId::Inbox(bob), ann, &["to bob"]);
    send(store, StreamId::Broadcast, ann, &["to all"]);
    failed(store, "ann", b"", 70);
    write(store, |tx| {
        tx.set_cursor(ann, 1)?;
        let outbox = tx.outbox(ann, b"box")?;
        tx.add_outcome(outbox, Outcome { code: 1, hash: [1; 4] })?;
        for (blocker, blocked) in [(ann, bob), (bob, ann), (cy, ann), (bob, cy)] {
            tx.set_block(blocker, blocked, true)?;
        }
        tx.add_device(ann, b"device", 3)?;
        tx.count_failed_login(ann, b"device")?;
        for (account, token_hash) in [(ann, [1; 32]), (bob, [2; 32])] {
            tx.add_session(&NewSession { account, background: false, token_hash, now_ms: 3 })?;
        }
        tx.set_last_seen(ann, 50)
    });
    [ann, bob, cy]
}

pub(super) fn deleted_accounts_leave_only_what_others_have(store: &dyn Store) {
    let [ann, bob, cy] = lived_in(store);
    write(store, |tx| {
        tx.delete_account(ann)?;
        tx.delete_account(AccountId(99))?;
        assert_eq!((tx.account(ann)?, tx.account_by_key("ann")?), (None, None));
        assert!(tx.session_by_token(&[1; 32])?.is_none() && tx.sessions_of(ann)?.is_empty());
        assert!(tx.session_by_token(&[2; 32])?.is_some());
        assert!(!tx.blocks(bob, ann)? && !tx.blocks(ann, bob)? && tx.blocks(bob, cy)?);
        assert!(!tx.is_blocked_by_any(ann)? && !tx.is_blocked_by_any(bob)? && tx.is_blocked_by_any(cy)?);
        assert!(!tx.device_known(ann, b"device")?);
        assert_eq!(tx.failures("ann", b"")?, Failures::default());
        assert_eq!(tx.take_failed_logins(ann, b"")?, 0);
        // A client's word that was on its way finds nothing.
        tx.set_cursor(ann, 2)?;
        tx.set_last_seen(ann, 60)
    });
    assert_eq!((store.account(ann).unwrap(), store.account_by_key("ann").unwrap()), (None, None));
    assert_eq!((numbers(store, StreamId::Inbox(ann)), head(store, StreamId::Inbox(ann))), (vec![], 0));
    assert_eq!((store.blocks_of(bob).unwrap(), store.blockers_of(ann).unwrap()), (vec![cy], vec![]));
    assert!(store.seen_since(1).unwrap().is_empty() && !store.skeleton_exists("~ann").unwrap());
    assert_eq!(keys(store, "", 9), ["bob", "cy"]);
    assert_eq!(store.sessions(SessionId(0), 9).unwrap().len(), 1);
    for stream in [StreamId::Inbox(bob), StreamId::Broadcast] {
        let entry = store.entries(stream, 0, 9, 999).unwrap().remove(0);
        assert_eq!((entry.sender, store.names(&[ann]).unwrap()), (Some(ann), vec!["ANN".to_owned()]));
    }
    assert_eq!(write(store, |tx| tx.unread_counted(bob, ann)).of_sender, 1);
}

pub(super) fn a_deleted_name_is_free(store: &dyn Store) {
    let [old, bob, _] = lived_in(store);
    write(store, |tx| tx.delete_account(old));
    let [ann] = people(store, ["ann"]);
    assert!(ann > old, "numbers are never given again");
    let account = store.account(ann).unwrap().unwrap();
    assert_eq!((account.last_seen_ms, account.disabled), (0, false));
    send(store, StreamId::Inbox(ann), bob, &["first"]);
    assert_eq!(numbers(store, StreamId::Inbox(ann)), [1]);
    write(store, |tx| {
        assert_eq!(tx.unread(ann)?, 1);
        assert!(!tx.blocks(ann, bob)? && !tx.blocks(bob, ann)? && tx.sessions_of(ann)?.is_empty());
        let outbox = tx.outbox(ann, b"box")?;
        assert_eq!(tx.outbox_state(outbox)?, OutboxState::default());
        assert_eq!(tx.trim_inboxes(i64::MAX, 9)?, 0);
        Ok(())
    });
    assert_eq!(store.names(&[old, ann]).unwrap(), ["ANN", "ANN"]);
}

pub(super) fn the_server_has_a_name(store: &dyn Store) {
    let text = Bytes::from_static(b"back at noon");
    assert_eq!(write(store, |tx| tx.append(StreamId::Broadcast, SERVER, 1, &text)), 1);
    let entry = store.entries(StreamId::Broadcast, 0, 9, 999).unwrap().remove(0);
    assert_eq!((entry.sender, entry.text), (Some(SERVER), text));
    assert_eq!(store.names(&[SERVER]).unwrap(), ["server"]);
    assert!(
        store.account_by_key("server").unwrap().is_none() && !write(store, |tx| tx.is_blocked_by_any(SERVER))
    );
}

pub(super) fn sessions_are_listed(store: &dyn Store) {
    let [ann] = people(store, ["ann"]);
    let rows: Vec<SessionRow> = write(store, |tx| {
        let new = |n| NewSession { account: ann, background: n == 2, token_hash: [n; 32], now_ms: 3 };
        (1..=4).map(|n| tx.add_session(&new(n))).collect()
    });
    let ids = |after: SessionId, max| -> Vec<SessionId> {
        store.sessions(after, max).unwrap().iter().map(|row| row.id).collect()
    };
    let [one, two, three, four] = [0, 1, 2, 3].map(|n: usize| rows[n].id);
    assert_eq!(ids(SessionId(0), 9), [one, two, three, four]);
    let mut ended = rows[1].clone();
    (ended.ended, ended.online) = (Some(Ended::Kicked), false);
    write(store, |tx| tx.save_session(&ended));
    assert_eq!(write(store, |tx| tx.session(two)), Some(ended));
    assert_eq!((ids(SessionId(0), 2), ids(three, 9)), (vec![one, three], vec![four]));
}

pub(super) fn failures_of_a_name_are_cleared(store: &dyn Store) {
    people(store, ["ann"]);
    for name in ["ann", "ann2", "an"] {
        failed(store, name, b"", 70);
        failed(store, name, b"x", 80);
    }
    assert_eq!(write(store, |tx| tx.clear_failures("ann")), 2);
    assert_eq!(write(store, |tx| tx.clear_failures("an")), 2);
    assert_eq!(write(store, |tx| tx.clear_failures("nobody")), 0);
    write(store, |tx| {
        for (name, count) in [("ann", 0), ("an", 0), ("ann2", 3)] {
            for device in [&b""[..], b"x"] {
                assert_eq!(tx.failures(name, device)?.count, count, "{name}");
            }
        }
        Ok(())
    });
}

pub(super) fn a_failed_transaction_keeps_accounts(store: &dyn Store) {
    let [ann, bob, _] = lived_in(store);
    let before = format!("{:?} {:?}", store.accounts("", 9), store.sessions(SessionId(0), 9));
    fail(store, |tx| {
        tx.set_disabled(bob, true)?;
        tx.clear_failures("ann")?;
        assert!(tx.rename(bob, &name("dan"))?);
        tx.delete_account(ann)?;
        assert!(tx.add_account(&new_account("ann"))?.is_some());
        Ok(())
    });
    assert_eq!(format!("{:?} {:?}", store.accounts("", 9), store.sessions(SessionId(0), 9)), before);
    write(store, |tx| {
        assert_eq!(tx.account_by_key("ann")?.unwrap().id, ann);
        assert_eq!(tx.account_by_key("bob")?.unwrap().id, bob);
        assert_eq!(tx.failures("ann", b"")?.count, 3);
        assert!(tx.blocks(bob, ann)? && tx.session_by_token(&[1; 32])?.is_some());
        assert_eq!(tx.unread(ann)?, 1);
        Ok(())
    });
    assert_eq!(numbers(store, StreamId::Inbox(ann)), [1, 2]);
}
