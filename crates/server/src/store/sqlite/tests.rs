//! What only a store in a file can do: be opened again, be refused, be full, be torn away.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bytes::Bytes;
use rusqlite::Connection;

use super::super::conformance::{Folder, head, new_account, numbers, people, send, write};
use super::super::{AccountId, NewSession, Outcome, SessionRow, Store, StoreError, StreamId};
use super::{SqliteOptions, SqliteStore};

fn open(dir: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(dir, SqliteOptions::default())
}

fn refused(dir: &Path) -> String {
    open(dir).err().expect("refused").to_string()
}

/// A store in which some of everything has happened.
fn lived_in(store: &dyn Store) -> (AccountId, AccountId) {
    let [ann, bob] = people(store, ["ann", "bob"]);
    send(store, StreamId::Inbox(ann), bob, &["a", "b", "c"]);
    send(store, StreamId::Inbox(bob), ann, &["a", "b"]);
    send(store, StreamId::Broadcast, bob, &["a", "b", "c", "d"]);
    write(store, |tx| {
        let outbox = tx.outbox(bob, b"box")?;
        (0..70).try_for_each(|n| tx.add_outcome(outbox, Outcome { code: n % 16, hash: [n; 4] }))?;
        tx.set_cursor(ann, 1)?;
        tx.set_cursor(bob, 2)?;
        assert_eq!(tx.trim_inboxes(i64::MAX, 100)?, 3);
        assert_eq!(tx.trim_broadcast(i64::MAX, 100)?, 4);
        tx.set_block(ann, bob, true)?;
        tx.add_session(&NewSession { account: ann, background: false, token_hash: [7; 32], now_ms: 3 })?;
        Ok(())
    });
    (ann, bob)
}

fn check_lived_in(store: &dyn Store, ann: AccountId, bob: AccountId) {
    let (to_ann, to_bob) = (StreamId::Inbox(ann), StreamId::Inbox(bob));
    let heads = [to_ann, to_bob, StreamId::Broadcast].map(|stream| head(store, stream));
    assert_eq!(heads, [3, 2, 4]);
    assert_eq!((numbers(store, to_ann), numbers(store, to_bob)), (vec![2, 3], vec![]));
    write(store, |tx| {
        let outbox = tx.outbox(bob, b"box")?;
        let state = tx.outbox_state(outbox)?;
        assert_eq!((state.last_number, state.outcomes.len()), (70, 64));
        assert_eq!(state.outcomes[0], Outcome { code: 6, hash: [6; 4] });
        let unread = tx.unread_counted(ann, bob)?;
        assert_eq!((tx.unread(ann)?, unread.bytes, unread.of_sender), (2, 2, 2));
        assert!(tx.blocks(ann, bob)? && tx.is_blocked_by_any(bob)?);
        assert_eq!(tx.session_by_token(&[7; 32])?.map(|row: SessionRow| row.broadcast_floor), Some(4));
        Ok(())
    });
}

#[test]
fn everything_is_there_when_opened_again() {
    let folder = Folder::new();
    let first = open(folder.path()).unwrap();
    let epoch = first.epoch().unwrap();
    let (ann, bob) = lived_in(&first);
    drop(first);
    let again = open(folder.path()).unwrap();
    assert_eq!(again.epoch().unwrap(), epoch);
    check_lived_in(&again, ann, bob);
    send(&again, StreamId::Broadcast, bob, &["next"]);
    assert_eq!(numbers(&again, StreamId::Broadcast), [5]);
    let other = open(Folder::new().path()).unwrap().epoch().unwrap();
    assert!(other != epoch && other.len() == 16);
}

#[test]
fn a_crash_loses_nothing_that_was_committed() {
    let folder = Folder::new();
    let store = open(folder.path()).unwrap();
    let (ann, bob) = lived_in(&store);
    let torn = write(&store, |tx| {
        tx.append(StreamId::Inbox(ann), bob, 1, &Bytes::from_static(b"never committed"))?;
        Ok(folder.torn())
    });
    check_lived_in(&open(torn.path()).unwrap(), ann, bob);
}

#[test]
fn a_panic_in_a_transaction_rolls_it_back() {
    let folder = Folder::new();
    let store = open(folder.path()).unwrap();
    let (ann, bob) = lived_in(&store);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        store.write(&mut |tx| {
            tx.append(StreamId::Inbox(ann), bob, 1, &Bytes::from_static(b"x")).unwrap();
            panic!("on purpose");
        })
    }));
    assert!(panicked.is_err());
    check_lived_in(&store, ann, bob);
}

#[test]
fn a_folder_has_one_owner() {
    let folder = Folder::new();
    let store = open(folder.path()).unwrap();
    let error = open(folder.path()).err().unwrap();
    assert!(
        matches!(&error, StoreError::Held(dir) if *dir == folder.path().display().to_string()),
        "{error}"
    );
    drop(store);
    open(folder.path()).unwrap();
}

#[test]
fn files_are_for_their_owner_only() {
    let folder = Folder::new();
    let dir = folder.path().join("new/data");
    let store = open(&dir).unwrap();
    people(&store, ["ann"]);
    store.epoch().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for name in ["hobnob.db", "hobnob.db-wal", "hobnob.db-shm", "server.lock"] {
        assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
    }
}

#[test]
fn what_is_not_ours_is_refused() {
    let folder = Folder::new();
    drop(open(folder.path()).unwrap());
    let change =
        |sql: &str| Connection::open(folder.path().join("hobnob.db")).unwrap().execute_batch(sql).unwrap();
    change("PRAGMA user_version = 999");
    let text = refused(folder.path());
    assert!(text.contains("version 999") && text.contains("newer"), "{text}");
    change("PRAGMA user_version = 1; PRAGMA application_id = 5");
    assert_eq!(refused(folder.path()), "hobnob.db is not a database of hobnob");
    change("PRAGMA user_version = 0; PRAGMA application_id = 0");
    assert_eq!(refused(folder.path()), "hobnob.db is not a database of hobnob");
    let other = Folder::new();
    fs::write(other.path().join("hobnob.db"), "this is text, and enough of it to be no header".repeat(100))
        .unwrap();
    assert!(matches!(open(other.path()).err().unwrap(), StoreError::Unusable(_)));
}

#[test]
fn a_full_disk_is_told_and_survived() {
    let folder = Folder::new();
    let store = open(folder.path()).unwrap();
    let (ann, bob) = lived_in(&store);
    let limit_pages = |pages: u32| {
        let writer = store.writer();
        let set =
            writer.conn.pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, i64>(0));
        set.unwrap();
    };
    limit_pages(1);
    let big = Bytes::from(vec![b'x'; 100_000]);
    let full = store.write(&mut |tx| {
        tx.set_cursor(ann, 3)?;
        tx.append(StreamId::Inbox(ann), bob, 1, &big).map(|_| ())
    });
    assert!(matches!(full, Err(StoreError::Full)), "{full:?}");
    check_lived_in(&store, ann, bob);
    limit_pages(1_000_000);
    write(&store, |tx| tx.append(StreamId::Inbox(ann), bob, 1, &big));
    assert_eq!(numbers(&store, StreamId::Inbox(ann)), [2, 3, 4]);
}

#[test]
fn the_log_is_bounded_though_somebody_reads() {
    let folder = Folder::new();
    let log_bytes_max = 300_000;
    let store = SqliteStore::open(folder.path(), SqliteOptions { log_bytes_max, ..SqliteOptions::default() })
        .unwrap();
    let [ann] = people(&store, ["ann"]);
    let log_bytes = || fs::metadata(folder.path().join("hobnob.db-wal")).unwrap().len();
    let text = Bytes::from(vec![b'x'; 10_000]);
    let append = || write(&store, |tx| tx.append(StreamId::Broadcast, ann, 1, &text));
    for _ in 0..100 {
        append();
        assert!(log_bytes() <= log_bytes_max + 100_000);
    }
    let reader = Connection::open(folder.path().join("hobnob.db")).unwrap();
    let snapshot = reader.unchecked_transaction().unwrap();
    let count = || snapshot.query_row("SELECT count(*) FROM entry", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count(), 100);
    for _ in 0..100 {
        append();
    }
    assert_eq!(count(), 100);
    assert!(log_bytes() > log_bytes_max, "the reader needs it");
    snapshot.finish().unwrap();
    for _ in 0..100 {
        append();
    }
    assert!(log_bytes() <= log_bytes_max + 100_000);
    assert_eq!(head(&store, StreamId::Broadcast), 300);
}

#[test]
fn a_clean_end_leaves_no_log() {
    let folder = Folder::new();
    let store = open(folder.path()).unwrap();
    write(&store, |tx| tx.add_account(&new_account("ann")));
    store.epoch().unwrap();
    drop(store);
    assert!(!folder.path().join("hobnob.db-wal").exists());
}
