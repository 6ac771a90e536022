//! Removing entries.

use super::super::{AccountId, NewSession, SessionRow, Store, StreamId};
use super::{head, numbers, people, send, write};

const ALL: i64 = i64::MAX;

fn session(store: &dyn Store, account: AccountId, token: u8, background: bool) -> SessionRow {
    let new = NewSession { account, background, token_hash: [token; 32], now_ms: 1 };
    write(store, |tx| tx.add_session(&new))
}

fn trim_broadcast(store: &dyn Store) -> Vec<u64> {
    write(store, |tx| tx.trim_broadcast(ALL, 100));
    numbers(store, StreamId::Broadcast)
}

pub(super) fn noted_entries_go(store: &dyn Store) {
    let [ann, bob] = people(store, ["ann", "bob"]);
    let (to_ann, to_bob) = (StreamId::Inbox(ann), StreamId::Inbox(bob));
    send(store, to_ann, bob, &["a", "b", "c"]);
    send(store, to_bob, ann, &["a", "b"]);
    send(store, StreamId::Broadcast, ann, &["a"]);
    assert_eq!(write(store, |tx| tx.trim_inboxes(ALL, 100)), 0);
    write(store, |tx| tx.set_cursor(ann, 2));
    assert_eq!(write(store, |tx| tx.trim_inboxes(1000, 100)), 0);
    assert_eq!(write(store, |tx| tx.trim_inboxes(1001, 100)), 1);
    assert_eq!(numbers(store, to_ann), [2, 3]);
    assert_eq!(write(store, |tx| tx.trim_inboxes(ALL, 100)), 1);
    assert_eq!((numbers(store, to_ann), numbers(store, to_bob)), (vec![3], vec![1, 2]));
    assert_eq!(write(store, |tx| tx.trim_inboxes(ALL, 100)), 0);
    let both = write(store, |tx| {
        tx.set_cursor(ann, 3)?;
        tx.set_cursor(bob, 1)?;
        tx.trim_inboxes(ALL, 100)
    });
    assert_eq!((both, numbers(store, to_bob)), (2, vec![2]));
    assert_eq!(numbers(store, StreamId::Broadcast), [1]);
    assert_eq!(write(store, |tx| tx.unread_counted(bob, ann)).of_sender, 1);
}

pub(super) fn heads_survive_trimming(store: &dyn Store) {
    let [ann, bob] = people(store, ["ann", "bob"]);
    let stream = StreamId::Inbox(ann);
    send(store, stream, bob, &["a", "b"]);
    send(store, StreamId::Broadcast, bob, &["a", "b", "c"]);
    let removed = write(store, |tx| {
        tx.set_cursor(ann, 2)?;
        Ok((tx.trim_inboxes(ALL, 100)?, tx.trim_broadcast(ALL, 100)?))
    });
    assert_eq!(removed, (2, 3));
    assert_eq!((head(store, stream), head(store, StreamId::Broadcast)), (2, 3));
    send(store, stream, bob, &["c"]);
    send(store, StreamId::Broadcast, bob, &["d"]);
    assert_eq!((numbers(store, stream), numbers(store, StreamId::Broadcast)), (vec![3], vec![4]));
}

pub(super) fn trimming_is_bounded(store: &dyn Store) {
    let [ann, bob] = people(store, ["ann", "bob"]);
    for stream in [StreamId::Inbox(ann), StreamId::Inbox(bob), StreamId::Broadcast] {
        send(store, stream, bob, &["a", "b", "c"]);
    }
    write(store, |tx| {
        tx.set_cursor(ann, 3)?;
        tx.set_cursor(bob, 2)
    });
    let left = || [StreamId::Inbox(ann), StreamId::Inbox(bob)].map(|stream| numbers(store, stream));
    assert_eq!(write(store, |tx| tx.trim_inboxes(ALL, 0)), 0);
    assert_eq!(write(store, |tx| tx.trim_inboxes(ALL, 2)), 2);
    assert_eq!(left(), [vec![3], vec![1, 2, 3]]);
    assert_eq!(write(store, |tx| tx.trim_inboxes(ALL, 2)), 2);
    assert_eq!(left(), [vec![], vec![2, 3]]);
    assert_eq!(write(store, |tx| tx.trim_inboxes(ALL, 2)), 1);
    assert_eq!(left(), [vec![], vec![3]]);
    assert_eq!(write(store, |tx| tx.trim_broadcast(1002, 1)), 1);
    assert_eq!(write(store, |tx| tx.trim_broadcast(1002, 5)), 1);
    assert_eq!(write(store, |tx| tx.trim_broadcast(1002, 5)), 0);
    assert_eq!(numbers(store, StreamId::Broadcast), [3]);
}

pub(super) fn broadcast_waits_for_sessions(store: &dyn Store) {
    let [ann, bob] = people(store, ["ann", "bob"]);
    send(store, StreamId::Broadcast, bob, &["a"]);
    let first = session(store, ann, 1, false);
    send(store, StreamId::Broadcast, bob, &["b", "c"]);
    let second = session(store, bob, 2, false);
    assert_eq!((first.broadcast_floor, second.broadcast_floor), (1, 3));
    assert_eq!(trim_broadcast(store), [2, 3]);
    write(store, |tx| tx.save_session(&SessionRow { broadcast_floor: 2, ..first.clone() }));
    assert_eq!(trim_broadcast(store), [3]);
    write(store, |tx| tx.save_session(&SessionRow { broadcast_floor: 3, online: false, ..first.clone() }));
    assert!(trim_broadcast(store).is_empty());
    assert_eq!(head(store, StreamId::Broadcast), 3);
}

pub(super) fn broadcast_in_a_hole_goes(store: &dyn Store) {
    let [ann] = people(store, ["ann"]);
    let online = session(store, ann, 1, false);
    send(store, StreamId::Broadcast, ann, &["1", "2", "3", "4", "5", "6", "7", "8"]);
    let save = |broadcast_floor, broadcast_hole| {
        let row = SessionRow { broadcast_floor, broadcast_hole, ..online.clone() };
        write(store, |tx| tx.save_session(&row));
        assert_eq!(write(store, |tx| tx.session(online.id)), Some(row));
        trim_broadcast(store)
    };
    assert_eq!(save(1, Some((3, Some(5)))), [2, 3, 6, 7, 8]);
    assert_eq!(save(2, Some((3, None))), [3]);
    assert_eq!(head(store, StreamId::Broadcast), 8);
    assert!(save(3, Some((3, None))).is_empty());
    send(store, StreamId::Broadcast, ann, &["9", "10"]);
    assert_eq!(save(3, Some((3, Some(9)))), [10]);
}

pub(super) fn sessions_without_broadcast_do_not_count(store: &dyn Store) {
    let [ann] = people(store, ["ann"]);
    let ended = session(store, ann, 1, false);
    session(store, ann, 2, true);
    send(store, StreamId::Broadcast, ann, &["a"]);
    assert_eq!(trim_broadcast(store), [1]);
    let row = SessionRow { ended: Some(super::super::Ended::LoggedOut), online: false, ..ended };
    write(store, |tx| tx.save_session(&row));
    assert!(trim_broadcast(store).is_empty());
}

pub(super) fn a_younger_entry_blocks_the_way(store: &dyn Store) {
    let [ann] = people(store, ["ann"]);
    for stream in [StreamId::Inbox(ann), StreamId::Broadcast] {
        send(store, stream, ann, &["1000", "1001"]);
        send(store, stream, ann, &["1000 again"]);
    }
    write(store, |tx| tx.set_cursor(ann, 3));
    assert_eq!(write(store, |tx| tx.trim_inboxes(1001, 9)), 1);
    assert_eq!(write(store, |tx| tx.trim_broadcast(1001, 9)), 1);
    assert_eq!(write(store, |tx| tx.trim_inboxes(1002, 9)), 2);
    assert_eq!(write(store, |tx| tx.trim_broadcast(1002, 9)), 2);
}
