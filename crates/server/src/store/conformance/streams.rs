//! Appending, reading, cursors, hiding.

use bytes::Bytes;

use super::super::{AccountId, Entry, Store, StreamId, Unread};
use super::{fail, head, numbers, people, send, write};

fn unread(store: &dyn Store, inbox: AccountId, sender: AccountId) -> (u64, u64, u64) {
    write(store, |tx| {
        let Unread { bytes, of_sender } = tx.unread_counted(inbox, sender)?;
        Ok((tx.unread(inbox)?, bytes, of_sender))
    })
}

pub(super) fn numbers_are_dense(store: &dyn Store) {
    let [ann, bob] = people(store, ["ann", "bob"]);
    let (to_ann, to_bob) = (StreamId::Inbox(ann), StreamId::Inbox(bob));
    let given = write(store, |tx| {
        let mut append = |stream| tx.append(stream, ann, 5, &Bytes::from_static(b"x"));
        Ok([append(to_ann)?, append(to_bob)?, append(StreamId::Broadcast)?, append(to_ann)?])
    });
    assert_eq!(given, [1, 1, 1, 2]);
    send(store, StreamId::Broadcast, bob, &["a", "b"]);
    let all = [StreamId::Broadcast, to_bob, to_ann, StreamId::Inbox(AccountId(99))];
    assert_eq!(store.heads(&all).unwrap(), [3, 1, 2, 0]);
    assert_eq!(all.map(|stream| head(store, stream)), [3, 1, 2, 0]);
    assert_eq!(numbers(store, StreamId::Broadcast), [1, 2, 3]);
    let text = Bytes::from_static(b"b");
    let last = Entry { seq: 3, sender: Some(bob), sent_ms: 1001, text };
    assert_eq!(store.entries(StreamId::Broadcast, 2, 10, 10).unwrap(), [last]);
}

pub(super) fn entries_come_in_bounds(store: &dyn Store) {
    let [ann] = people(store, ["ann"]);
    let stream = StreamId::Inbox(ann);
    send(store, stream, ann, &["four", "", "four", "four", "12345678"]);
    let check = |after, entries_max, bytes_max, expected: &[u64]| {
        let found = store.entries(stream, after, entries_max, bytes_max).unwrap();
        let numbers: Vec<u64> = found.iter().map(|entry| entry.seq).collect();
        assert_eq!(numbers, expected, "after {after}, at most {entries_max} and {bytes_max} bytes");
    };
    check(0, 100, 100, &[1, 2, 3, 4, 5]);
    check(0, 2, 100, &[1, 2]);
    check(1, 2, 100, &[2, 3]);
    check(0, 0, 100, &[]);
    check(0, 100, 8, &[1, 2, 3]);
    check(0, 100, 7, &[1, 2]);
    check(0, 100, 0, &[1]);
    check(4, 100, 7, &[5]);
    check(5, 100, 100, &[]);
    check(u64::MAX, usize::MAX, usize::MAX, &[]);
}

pub(super) fn unread_is_accounted(store: &dyn Store) {
    let [ann, bob, cy] = people(store, ["ann", "bob", "cy"]);
    let stream = StreamId::Inbox(ann);
    assert_eq!(unread(store, ann, bob), (0, 0, 0));
    send(store, stream, bob, &["a", "bb"]);
    send(store, stream, cy, &["ccc"]);
    send(store, stream, bob, &["dddd"]);
    assert_eq!(unread(store, ann, bob), (4, 10, 3));
    assert_eq!(unread(store, ann, cy), (4, 10, 1));
    assert_eq!(unread(store, ann, ann), (4, 10, 0));
    assert_eq!(unread(store, bob, cy), (0, 0, 0));
    write(store, |tx| tx.set_cursor(ann, 1));
    assert_eq!(unread(store, ann, bob), (3, 9, 2));
    write(store, |tx| {
        tx.set_cursor(ann, 3)?;
        assert_eq!(tx.unread(ann)?, 1);
        assert_eq!(tx.unread_counted(ann, cy)?, Unread { bytes: 4, of_sender: 0 });
        tx.append(stream, cy, 9, &Bytes::from_static(b"ee"))?;
        Ok(())
    });
    assert_eq!(unread(store, ann, cy), (2, 6, 1));
    write(store, |tx| tx.set_cursor(ann, 5));
    assert_eq!(unread(store, ann, bob), (0, 0, 0));
    assert_eq!(head(store, stream), 5);
}

pub(super) fn cursor_stays_in_bounds(store: &dyn Store) {
    let [ann] = people(store, ["ann"]);
    let stream = StreamId::Inbox(ann);
    send(store, stream, ann, &["a", "b", "c"]);
    for (asked, expected) in [(2, 2), (1, 2), (0, 2), (u64::MAX, 3), (2, 3)] {
        write(store, |tx| {
            tx.set_cursor(ann, asked)?;
            assert_eq!(tx.cursor(ann)?, expected);
            Ok(())
        });
        assert_eq!(write(store, |tx| tx.cursor(ann)), expected);
        assert_eq!(head(store, stream), 3);
    }
    assert_eq!(numbers(store, stream), [1, 2, 3], "entries stay until they are trimmed");
    write(store, |tx| tx.set_cursor(AccountId(99), 5));
}

pub(super) fn hidden_entries_count_on(store: &dyn Store) {
    let [ann, bob, cy] = people(store, ["ann", "bob", "cy"]);
    let stream = StreamId::Inbox(ann);
    send(store, stream, bob, &["old", "new"]);
    send(store, stream, cy, &["other"]);
    send(store, StreamId::Broadcast, bob, &["all"]);
    write(store, |tx| {
        tx.set_cursor(ann, 1)?;
        tx.hide(ann, bob)
    });
    assert_eq!(unread(store, ann, bob), (2, 5, 0));
    assert_eq!(unread(store, ann, cy), (2, 5, 1));
    let found = store.entries(stream, 0, 10, 100).unwrap();
    let seen: Vec<_> = found.iter().map(|e| (e.seq, e.sender, e.sent_ms, e.text.as_ref())).collect();
    let expected: [(u64, Option<AccountId>, i64, &[u8]); 3] =
        [(1, Some(bob), 1000, b"old"), (2, None, 1001, b""), (3, Some(cy), 1000, b"other")];
    assert_eq!(seen, expected);
    assert_eq!(store.entries(StreamId::Broadcast, 0, 10, 100).unwrap()[0].sender, Some(bob));
    write(store, |tx| tx.hide(ann, bob));
    send(store, stream, bob, &["later"]);
    assert_eq!(unread(store, ann, bob), (3, 10, 1));
    fail(store, |tx| tx.hide(ann, cy));
    assert_eq!(unread(store, ann, cy), (3, 10, 1));
    write(store, |tx| tx.set_cursor(ann, 4));
    assert_eq!(unread(store, ann, bob), (0, 0, 0));
}

pub(super) fn a_failed_transaction_leaves_the_stream(store: &dyn Store) {
    let [ann, bob] = people(store, ["ann", "bob"]);
    let stream = StreamId::Inbox(ann);
    send(store, stream, bob, &["a", "b"]);
    send(store, StreamId::Broadcast, bob, &["a"]);
    fail(store, |tx| {
        let text = Bytes::from_static(b"gone");
        assert_eq!(tx.append(stream, bob, 1, &text)?, 3);
        assert_eq!(tx.append(StreamId::Broadcast, bob, 1, &text)?, 2);
        tx.set_cursor(ann, 3)?;
        assert_eq!(tx.unread(ann)?, 0);
        assert_eq!(tx.unread_counted(ann, bob)?, Unread::default());
        Ok(())
    });
    assert_eq!((head(store, stream), head(store, StreamId::Broadcast)), (2, 1));
    assert_eq!(numbers(store, stream), [1, 2]);
    assert_eq!(unread(store, ann, bob), (2, 2, 2));
    assert_eq!(write(store, |tx| tx.cursor(ann)), 0);
    send(store, stream, bob, &["c"]);
    assert_eq!(numbers(store, stream), [1, 2, 3]);
}

pub(super) fn many_senders_are_counted_apart(store: &dyn Store) {
    let [ann] = people(store, ["ann"]);
    let text = Bytes::from_static(b"xy");
    write(store, |tx| {
        for n in 0..300 {
            tx.append(StreamId::Inbox(ann), AccountId(100 + n % 7), n, &text)?;
        }
        Ok(())
    });
    assert_eq!(unread(store, ann, AccountId(100)), (300, 600, 43));
    assert_eq!(unread(store, ann, AccountId(106)), (300, 600, 42));
    write(store, |tx| tx.set_cursor(ann, 295));
    assert_eq!(unread(store, ann, AccountId(100)), (5, 10, 0));
    assert_eq!(unread(store, ann, AccountId(101)), (5, 10, 1));
}
