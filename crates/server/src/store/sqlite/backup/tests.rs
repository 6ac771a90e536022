use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::super::conformance::{Folder, head, numbers, people, send, write};
use super::super::super::{AccountId, Store, StreamId};
use super::super::{SqliteOptions, SqliteStore};
use super::*;

fn store(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir, SqliteOptions::default()).unwrap()
}

/// A folder with a store and keys: five entries for ann, two of them noted, and three of broadcast.
fn lived_in(folder: &Folder) -> (SqliteStore, AccountId) {
    let store = store(folder.path());
    let [ann, bob] = people(&store, ["ann", "bob"]);
    send(&store, StreamId::Inbox(ann), bob, &["the first", "b", "c", "d", "e"]);
    send(&store, StreamId::Broadcast, bob, &["a", "b", "c"]);
    write(&store, |tx| tx.set_cursor(ann, 2));
    for name in IDENTITY_FILES {
        fs::write(folder.path().join(name), format!("this is {name}")).unwrap();
    }
    (store, ann)
}

#[test]
fn what_is_restored_is_what_was_there() {
    let (folder, out, new) = (Folder::new(), Folder::new(), Folder::new());
    let (store_before, ann) = lived_in(&folder);
    let (file, data) = (out.path().join("file"), new.path().join("data"));
    let made = make(folder.path(), &file, 77).unwrap();
    assert_eq!((made.report.findings.len(), made.report.accounts, made.report.entries), (0, 2, 8));
    send(&store_before, StreamId::Inbox(ann), ann, &["after it"]);
    let restored = restore(&file, &data, 88).unwrap();
    assert_eq!((restored.made_ms, restored.program.as_str()), (77, env!("CARGO_PKG_VERSION")));
    for name in IDENTITY_FILES {
        assert_eq!(fs::read_to_string(data.join(name)).unwrap(), format!("this is {name}"));
    }
    for entry in fs::read_dir(&data).unwrap() {
        let (path, mode) =
            entry.map(|entry| (entry.path(), entry.metadata().unwrap().permissions())).unwrap();
        assert_eq!(mode.mode() & 0o777, 0o600, "{}", path.display());
    }
    // No key is left in the pages.
    let bytes = fs::read(open::database(&data)).unwrap();
    assert!(!bytes.windows(7).any(|window| window == b"this is"), "a key is in the database");
    let again = store(&data);
    assert_eq!(numbers(&again, StreamId::Inbox(ann)), [1, 2, 3, 4, 5]);
    assert_eq!(head(&again, StreamId::Broadcast), 3);
    assert_eq!(again.account(ann).unwrap(), store_before.account(ann).unwrap());
    let (old, new) = (store_before.epoch().unwrap(), again.epoch().unwrap());
    assert!(old != new && new.len() == 16);
    write(&again, |tx| {
        let earlier =
            |tx: &mut dyn crate::store::Tx, epoch: &[u8], stream| tx.earlier_head(epoch, stream).unwrap();
        assert_eq!(earlier(tx, &old, StreamId::Inbox(ann)), Some(5));
        assert_eq!(earlier(tx, &old, StreamId::Broadcast), Some(3));
        assert_eq!(earlier(tx, &old, StreamId::Inbox(AccountId(99))), Some(0), "who came later");
        assert_eq!(earlier(tx, &new, StreamId::Inbox(ann)), None);
        assert_eq!(earlier(tx, b"", StreamId::Inbox(ann)), None);
        Ok(())
    });
    assert!(verify_folder(&data).unwrap().is_good());
}

#[test]
fn only_the_last_histories_are_remembered() {
    let (folder, scratch) = (Folder::new(), Folder::new());
    let (first, ann) = lived_in(&folder);
    let mut epochs = vec![first.epoch().unwrap()];
    drop(first);
    let mut data = folder.path().to_owned();
    for n in 0..10 {
        let file = scratch.path().join(format!("file{n}"));
        make(&data, &file, n).unwrap();
        data = scratch.path().join(format!("data{n}"));
        restore(&file, &data, n).unwrap();
        epochs.push(store(&data).epoch().unwrap());
    }
    write(&store(&data), |tx| {
        for (n, epoch) in epochs.iter().enumerate() {
            let expected = (2..10).contains(&n).then_some(5);
            assert_eq!(tx.earlier_head(epoch, StreamId::Inbox(ann))?, expected, "{n}");
        }
        Ok(())
    });
}

#[test]
fn a_folder_that_holds_something_is_refused() {
    let (folder, out, new) = (Folder::new(), Folder::new(), Folder::new());
    let file = out.path().join("file");
    let running = lived_in(&folder).0;
    make(folder.path(), &file, 1).unwrap();
    let before = fs::read(folder.path().join("key.pem")).unwrap();
    assert!(matches!(restore(&file, folder.path(), 1), Err(BackupError::Held(_))));
    drop(running);
    assert!(matches!(restore(&file, folder.path(), 1), Err(BackupError::NotEmpty { name: "hobnob.db", .. })));
    assert_eq!(fs::read(folder.path().join("key.pem")).unwrap(), before);
    fs::write(new.path().join("key.pem"), "somebody's").unwrap();
    assert!(matches!(restore(&file, new.path(), 1), Err(BackupError::NotEmpty { name: "key.pem", .. })));
    assert_eq!(fs::read(new.path().join("key.pem")).unwrap(), b"somebody's");
}

#[test]
fn a_restore_that_was_torn_off_is_begun_anew() {
    let (folder, out, new) = (Folder::new(), Folder::new(), Folder::new());
    let file = out.path().join("file");
    drop(lived_in(&folder));
    make(folder.path(), &file, 1).unwrap();
    // It had put the keys in place, not yet the database.
    fs::create_dir(new.path().join(".restore")).unwrap();
    fs::write(new.path().join(".restore/hobnob.db"), "half").unwrap();
    fs::write(new.path().join("key.pem"), "half").unwrap();
    restore(&file, new.path(), 1).unwrap();
    assert_eq!(fs::read(new.path().join("key.pem")).unwrap(), b"this is key.pem");
    assert!(!new.path().join(".restore").exists());
    assert!(verify_folder(new.path()).unwrap().is_good());
}

#[test]
fn a_bit_that_flips_is_found_or_means_nothing() {
    let (folder, out) = (Folder::new(), Folder::new());
    drop(lived_in(&folder));
    let (file, changed) = (out.path().join("file"), out.path().join("changed"));
    make(folder.path(), &file, 1).unwrap();
    let whole = fs::read(&file).unwrap();
    let digest = |path: &Path| digest::of(&connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap());
    let expected = digest(&file).unwrap();
    let text = whole.windows(9).position(|window| window == b"the first").unwrap();
    let mut found = 0;
    for at in (0..whole.len()).step_by(997).chain([text, text + 8]) {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        fs::write(&changed, &bytes).unwrap();
        match inspect(&changed) {
            Err(_) => found += 1,
            Ok(summary) => {
                assert!(at < text || at > text + 8, "a text has changed unnoticed");
                assert_eq!(digest(&changed).unwrap(), expected, "byte {at}");
                assert!(summary.report.is_good());
            }
        }
    }
    assert!(found > 2);
    for length in [0, 50, 100, 4096, whole.len() / 2, whole.len() - 1, whole.len() - 4096] {
        fs::write(&changed, &whole[..length]).unwrap();
        assert!(inspect(&changed).is_err(), "{length} bytes");
        let new = Folder::new();
        assert!(restore(&changed, new.path(), 1).is_err(), "{length} bytes");
        assert!(fs::read_dir(new.path()).unwrap().all(|entry| entry.unwrap().file_name() == "server.lock"));
    }
}

#[test]
fn what_is_no_backup_is_refused() {
    let (folder, out, new) = (Folder::new(), Folder::new(), Folder::new());
    let running = lived_in(&folder).0;
    let said = |file: &Path| restore(file, new.path(), 1).unwrap_err().to_string();
    assert!(said(&open::database(folder.path())).contains("the store of a server"));
    drop(running);
    assert!(said(&open::database(folder.path())).contains("the store of a server"));
    let (other, text) = (out.path().join("other"), out.path().join("text"));
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
    assert!(said(&other).contains("not a database of hobnob"));
    fs::write(&text, "this is text, and enough of it to be no header".repeat(100)).unwrap();
    assert!(said(&text).contains("not a database"));
    assert!(said(out.path()).contains("it is a folder"));
    assert!(matches!(restore(&out.path().join("none"), new.path(), 1), Err(BackupError::File { .. })));
    let change = |sql: &str| {
        let file = out.path().join("newer");
        make(folder.path(), &file, 1).unwrap();
        Connection::open(&file).unwrap().execute_batch(sql).unwrap();
        let said = said(&file);
        fs::remove_file(file).unwrap();
        said
    };
    assert!(change("PRAGMA user_version = 999").contains("a newer hobnob wrote it"));
    assert!(change("UPDATE backup SET value = 2 WHERE name = 'format'").contains("a newer hobnob made it"));
    assert!(change("DELETE FROM entry").contains("has changed since"));
    assert_eq!(fs::read_dir(new.path()).unwrap().count(), 1, "nothing but the lock");
    assert!(matches!(make(new.path(), &out.path().join("b"), 1), Err(BackupError::NoStore(_))));
    assert!(matches!(verify_folder(&text), Err(BackupError::NoStore(_))));
}

#[test]
fn a_backup_is_of_one_moment_though_somebody_writes() {
    let (folder, out) = (Folder::new(), Folder::new());
    let store = store(folder.path());
    let [ann, bob] = people(&store, ["ann", "bob"]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // Both or none, in one transaction.
                write(&store, |tx| {
                    let text = bytes::Bytes::from_static(&[b'x'; 500]);
                    tx.append(StreamId::Inbox(ann), bob, 1, &text)?;
                    tx.append(StreamId::Inbox(bob), ann, 1, &text)
                });
            }
        });
        for n in 0..8 {
            let before = store.heads(&[StreamId::Inbox(ann)]).unwrap()[0];
            let file = out.path().join(n.to_string());
            let report = make(folder.path(), &file, 1).unwrap().report;
            assert!(report.is_good(), "{:?}", report.findings);
            assert!(report.entries >= 2 * before && report.entries.is_multiple_of(2));
        }
        stop.store(true, Ordering::Relaxed);
    });
}
