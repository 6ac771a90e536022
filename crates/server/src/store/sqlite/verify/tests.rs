use bytes::Bytes;

use super::super::super::conformance::{Folder, people, send, write};
use super::super::super::{AccountId, Failures, NewInvitation, NewSession, Outcome, SERVER};
use super::*;
use crate::store::sqlite::{SqliteOptions, SqliteStore};

/// A store with some of everything.
fn lived_in(folder: &Folder) -> SqliteStore {
    let store = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
    let [ann, bob, gone] = people(&store, ["ann", "bob", "gone"]);
    send(&store, StreamId::Inbox(ann), bob, &["a", "b", "c", "d"]);
    send(&store, StreamId::Inbox(ann), gone, &["e"]);
    send(&store, StreamId::Inbox(bob), ann, &["a"]);
    send(&store, StreamId::Broadcast, bob, &["a", "b", "c", "d"]);
    write(&store, |tx| {
        tx.append(StreamId::Broadcast, SERVER, 1, &Bytes::from_static(b"soon"))?;
        let outbox = tx.outbox(bob, b"box")?;
        (0..70).try_for_each(|n| tx.add_outcome(outbox, Outcome { code: 1, hash: [n; 4] }))?;
        let outbox = tx.outbox(ann, b"box")?;
        tx.add_outcome(outbox, Outcome { code: 1, hash: [1; 4] })?;
        tx.set_cursor(ann, 2)?;
        let session =
            |account, token| NewSession { account, background: false, token_hash: [token; 32], now_ms: 3 };
        let mut row = tx.add_session(&session(bob, 1))?;
        (row.broadcast_floor, row.broadcast_hole) = (1, Some((2, Some(3))));
        tx.save_session(&row)?;
        tx.add_session(&session(ann, 2))?;
        tx.trim_inboxes(i64::MAX, 100)?;
        tx.trim_broadcast(i64::MAX, 100)?;
        tx.set_block(bob, ann, true)?;
        tx.add_device(ann, &[1; 32], 1)?;
        tx.set_failures("ann", b"", Failures { count: 1, blocked_until_ms: 0 }, 1)?;
        tx.set_failures("nobody", b"", Failures { count: 1, blocked_until_ms: 0 }, 1)?;
        tx.count_failed_login(ann, b"")?;
        let note = String::new();
        tx.add_invitation(&NewInvitation {
            code_hash: [1; 32],
            uses: 2,
            expires_ms: None,
            made_ms: 1,
            note,
        })?;
        tx.delete_account(gone)
    });
    store
}

#[test]
fn a_store_that_was_lived_in_is_whole() {
    let folder = Folder::new();
    let store = lived_in(&folder);
    let report = super::folder(folder.path()).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!((report.accounts, report.sessions), (2, 2));
    // 3 of ann's, 1 of bob's, and what the session of bob needs of broadcast.
    assert_eq!(report.entries, 3 + 1 + 3);
    drop(store);
    assert!(super::folder(folder.path()).unwrap().is_good(), "without a server, too");
}

#[test]
fn every_kind_of_damage_is_found() {
    let table = [
        ("account-numbers", "UPDATE sqlite_sequence SET seq = 1 WHERE name = 'account'"),
        ("former-accounts", "INSERT INTO former (id, name) VALUES (1, 'ann')"),
        ("inbox-orphans", "UPDATE entry SET stream = 9 WHERE stream = 2"),
        ("senders", "DELETE FROM former"),
        ("senders", "UPDATE entry SET sender = -1 WHERE stream = 2"),
        ("hidden-entries", "UPDATE entry SET sender = NULL WHERE stream = 2"),
        ("inbox-density", "DELETE FROM entry WHERE stream = 1 AND seq = 4"),
        ("inbox-beginnings", "DELETE FROM entry WHERE stream = 1 AND seq = 3"),
        ("broadcast-numbers", "UPDATE entry SET seq = -1 WHERE stream = 0 AND seq = 2"),
        ("broadcast-density", "DELETE FROM entry WHERE stream = 0 AND seq = 4"),
        ("broadcast-density", "DELETE FROM entry WHERE stream = 0 AND seq = 5"),
        ("broadcast-floors", "UPDATE session SET broadcast_floor = 6"),
        ("cursors", "UPDATE account SET cursor = -1"),
        ("outbox-orphans", "UPDATE outbox SET account = 9 WHERE id = 1"),
        ("outbox-outcomes", "UPDATE outbox SET outcomes = x'0102030405' WHERE id = 1"),
        ("session-orphans", "UPDATE session SET account = 9 WHERE id = 1"),
        ("sessions", "UPDATE session SET ended = 1 WHERE id = 1"),
        ("block-orphans", "UPDATE block SET blocked = 9"),
        ("device-orphans", "UPDATE device SET account = 9"),
        ("failure-orphans", "UPDATE failed_login SET account = 9"),
        ("failure-names", "UPDATE failure SET known = 0"),
        ("meta", "DELETE FROM meta WHERE name = 'epoch'"),
        ("earlier-histories", "INSERT INTO meta (name, value) VALUES ('earlier:00', x'0102')"),
        ("invitation-numbers", "UPDATE sqlite_sequence SET seq = 0 WHERE name = 'invitation'"),
        ("invitations", "UPDATE invitation SET uses_left = 0"),
        ("invitations", "UPDATE invitation SET code_hash = x'01'"),
        ("journal", "INSERT INTO journal (changes) VALUES (x'0901')"),
        ("file", "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'entry_place'"),
        (
            "file",
            "PRAGMA ignore_check_constraints = ON; PRAGMA writable_schema = ON;
            UPDATE sqlite_schema SET rootpage = 3 WHERE name = 'device'",
        ),
    ];
    for (check, sql) in table {
        let folder = Folder::new();
        drop(lived_in(&folder));
        Connection::open(open::database(folder.path())).unwrap().execute_batch(sql).unwrap();
        let findings = super::folder(folder.path()).unwrap().findings;
        let found: Vec<_> = findings.iter().map(|finding| finding.check).collect();
        assert!(found.contains(&check), "{check}: {findings:?}");
        assert!(
            findings.iter().all(|finding| finding.count > 0 && !finding.text.contains("{}")),
            "{findings:?}"
        );
    }
    for rule in RULES {
        assert!(table.iter().any(|(check, _)| *check == rule.check), "{} is tried", rule.check);
    }
}

#[test]
fn what_waits_in_the_journal_is_no_damage() {
    let folder = Folder::new();
    let store = lived_in(&folder);
    for n in 0..20 {
        write(&store, |tx| {
            let outbox = tx.outbox(AccountId(1), b"box")?;
            tx.add_outcome(outbox, Outcome { code: 1, hash: [n; 4] })?;
            tx.set_cursor(AccountId(1), 3 + u64::from(n) / 10)?;
            tx.trim_inboxes(i64::MAX, 1)
        });
        assert_eq!(super::folder(folder.path()).unwrap().findings, [], "{n}");
    }
    let conn = open::reader(folder.path()).unwrap();
    let waits = |sql| conn.query_row(sql, [], |row| row.get::<_, bool>(0)).unwrap();
    assert!(waits("SELECT count(*) > 0 FROM journal"), "this is tried with something in the journal");
}
