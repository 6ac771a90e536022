//! Stores of released versions are opened, with everything in them. `examples/golden.rs` has made them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use hobnob_server::store::sqlite::backup::{self, IDENTITY_FILES};
use hobnob_server::store::sqlite::{SqliteOptions, SqliteStore};
use hobnob_server::store::{
    AccountId, Ended, Failures, Invitation, InvitationId, NewInvitation, Outcome, SERVER, SessionRow, Store,
    StreamId, Tx,
};

/// A folder for each version.
fn versions() -> Vec<PathBuf> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut versions: Vec<PathBuf> =
        fs::read_dir(golden).unwrap().map(|entry| entry.unwrap().path()).collect();
    versions.sort();
    assert!(!versions.is_empty());
    versions
}

/// Opens a store, runs one transaction, and closes it.
fn with<T>(dir: &Path, look: impl FnOnce(&SqliteStore) -> T) -> T {
    look(&SqliteStore::open(dir, SqliteOptions::default()).unwrap())
}

fn write(store: &dyn Store, work: &mut dyn FnMut(&mut dyn Tx)) {
    let done = store.write(&mut |tx| {
        work(tx);
        Ok(())
    });
    done.unwrap();
}

#[test]
fn a_store_of_each_version_is_opened() {
    for version in versions() {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(&version).unwrap() {
            let (from, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
            assert!(from.metadata().unwrap().len() < 200 << 10, "{}", from.display());
            fs::copy(from, folder.path().join(name)).unwrap();
        }
        let epoch = with(folder.path(), |store| {
            reads(store);
            writes(store);
            store.epoch().unwrap()
        });
        assert_eq!(epoch.len(), 16);
        assert_eq!(backup::verify_folder(folder.path()).unwrap().findings, [], "{}", version.display());
        with(folder.path(), |store| assert_eq!(store.epoch().unwrap(), epoch));
        check_again_and_go_on(folder.path());
    }
}

#[test]
fn a_backup_of_each_version_is_restored() {
    for version in versions() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let summary = backup::restore(&version.join("backup"), &data, 1).unwrap();
        assert!(summary.report.is_good() && summary.fingerprint.is_some());
        assert_eq!(summary.made_ms, 1_800_000_000_000);
        for name in IDENTITY_FILES {
            assert_eq!(fs::read(data.join(name)).unwrap(), fs::read(version.join(name)).unwrap(), "{name}");
        }
        with(&data, |store| {
            reads(store);
            writes(store);
        });
        check_again_and_go_on(&data);
    }
}

/// What is read beside the writer.
fn reads(store: &dyn Store) {
    let listed = store.accounts("", 100).unwrap();
    let names: Vec<&str> = listed.iter().map(|listed| listed.account.name.as_str()).collect();
    assert_eq!(names, ["Anna", "bert", "carl", "Erna"]);
    let [anna, bert, carl, erna] = [0, 1, 2, 3].map(|at: usize| listed[at].account.clone());
    assert_eq!([anna.disabled, bert.disabled, carl.disabled, erna.disabled], [false, false, true, false]);
    assert!(
        listed.iter().all(|one| one.created_ms == 1_000 && one.account.password.0.starts_with("$argon2id$"))
    );
    assert_eq!((bert.last_seen_ms, listed[1].blocked_until_ms), (5_000, 9_000));
    assert!(store.account_by_key("anna").unwrap() == Some(anna.clone()));
    assert!(
        store.account_by_key("emil").unwrap().is_none() && store.account_by_key("dora").unwrap().is_none()
    );
    assert!(store.skeleton_exists("erna").unwrap() && !store.skeleton_exists("emil").unwrap());
    let entries = store.entries(StreamId::Inbox(anna.id), 0, 100, usize::MAX).unwrap();
    let texts: Vec<(u64, &str)> =
        entries.iter().map(|entry| (entry.seq, std::str::from_utf8(&entry.text).unwrap())).collect();
    let waiting = [
        (3, "noted"),
        (4, "waits"),
        (5, ""),
        (6, "of somebody who is gone"),
        (7, "two\nlines, and \u{fc}\u{4e2d}\u{1f600}"),
    ];
    assert_eq!(texts, waiting);
    assert_eq!((entries[0].sender, entries[0].sent_ms, entries[2].sender), (Some(bert.id), 2_002, None));
    let dora = entries[3].sender.unwrap();
    assert_eq!(store.names(&[dora, SERVER, erna.id, AccountId(99)]).unwrap(), ["dora", "server", "Erna", ""]);
    let broadcast = store.entries(StreamId::Broadcast, 0, 100, usize::MAX).unwrap();
    let broadcast: Vec<_> = broadcast.iter().map(|entry| (entry.seq, entry.sender.unwrap())).collect();
    assert_eq!(broadcast, [(3, anna.id), (4, SERVER)]);
    let streams = [StreamId::Broadcast, StreamId::Inbox(anna.id), StreamId::Inbox(bert.id)];
    assert_eq!(store.heads(&streams).unwrap(), [4, 7, 0]);
    assert_eq!(store.blocks_of(anna.id).unwrap(), [carl.id]);
    assert_eq!(store.blockers_of(carl.id).unwrap(), [anna.id]);
    assert_eq!(store.blockers_of(anna.id).unwrap(), []);
    assert_eq!(store.seen_since(5_000).unwrap(), [bert.id]);
    let online: Vec<_> =
        store.online_sessions().unwrap().iter().map(|row| (row.account, row.generation)).collect();
    assert_eq!(online, [(anna.id, 3)]);
    let all = store.invitations(InvitationId(0), 100).unwrap();
    let invitation = |id, uses_left, expires_ms, note: &str| {
        let note = note.to_owned();
        Invitation { id: InvitationId(id), uses_left, expires_ms, made_ms: 1_000, note }
    };
    let good = invitation(1, 29, Some(4_000_000_000_000), "class 6b, \u{fc}");
    assert_eq!(
        all,
        [good.clone(), invitation(2, 1, None, ""), invitation(3, 5, Some(2_000), "was over soon")]
    );
    assert_eq!(store.invitation(&[1; 32]).unwrap(), Some(good));
    assert_eq!(store.invitation(&[4; 32]).unwrap(), None);
}

/// What only a transaction tells; it changes nothing that [`reads`] looks at.
fn writes(store: &dyn Store) {
    let id = |key| store.account_by_key(key).unwrap().unwrap().id;
    let (anna, bert, carl, erna) = (id("anna"), id("bert"), id("carl"), id("erna"));
    write(store, &mut |tx| {
        let full = tx.outbox(bert, &[7; 16]).unwrap();
        let state = tx.outbox_state(full).unwrap();
        assert_eq!((state.last_number, state.outcomes.len()), (70, 64));
        assert_eq!(state.outcomes[63], Outcome { code: 10, hash: [69; 4] });
        let short = tx.outbox(anna, &[7; 16]).unwrap();
        let state = tx.outbox_state(short).unwrap();
        assert_eq!((state.last_number, state.outcomes), (1, vec![Outcome { code: 1, hash: [9; 4] }]));
        assert_eq!((tx.cursor(anna).unwrap(), tx.unread(anna).unwrap()), (3, 4));
        assert!(tx.blocks(anna, carl).unwrap() && !tx.blocks(bert, anna).unwrap());
        assert!(tx.is_blocked_by_any(carl).unwrap());
        let by_token = |tx: &mut dyn Tx, token| tx.session_by_token(&[token; 32]).unwrap().unwrap();
        let SessionRow { online, broadcast_floor, broadcast_hole, .. } = by_token(tx, 2);
        assert_eq!((online, broadcast_floor, broadcast_hole), (false, 2, Some((2, None))));
        assert_eq!(by_token(tx, 3).ended, Some(Ended::Kicked));
        assert!(by_token(tx, 4).background && by_token(tx, 4).account == erna);
        assert!(tx.device_known(anna, &[5; 32]).unwrap() && !tx.device_known(anna, &[6; 32]).unwrap());
        let failures = |tx: &mut dyn Tx, name, device: &[u8]| tx.failures(name, device).unwrap();
        assert_eq!(failures(tx, "anna", &[5; 32]), Failures { count: 2, blocked_until_ms: 0 });
        assert_eq!(failures(tx, "bert", b""), Failures { count: 3, blocked_until_ms: 9_000 });
        assert_eq!(failures(tx, "nobody", b"").count, 1);
        let mut earlier = |epoch: &[u8], stream| tx.earlier_head(epoch, stream).unwrap();
        assert_eq!(earlier(&[8; 16], StreamId::Inbox(anna)), Some(7));
        assert_eq!(earlier(&[8; 16], StreamId::Broadcast), Some(0));
        assert_eq!(earlier(&[9; 16], StreamId::Broadcast), None);
    });
}

/// Life goes on with it, under numbers that were never given before.
fn check_again_and_go_on(dir: &Path) {
    with(dir, |store| {
        reads(store);
        let anna = store.account_by_key("anna").unwrap().unwrap().id;
        write(store, &mut |tx| {
            assert_eq!(tx.take_failed_logins(anna, &[5; 32]).unwrap(), 2);
            let text = bytes::Bytes::from_static(b"new");
            assert_eq!(tx.append(StreamId::Inbox(anna), anna, 1, &text).unwrap(), 8);
            assert_eq!(tx.append(StreamId::Broadcast, anna, 1, &text).unwrap(), 5);
            let new = hobnob_server::store::NewAccount {
                name: "dora".to_owned(),
                key: "dora".to_owned(),
                skeleton: "dora".to_owned(),
                password: hobnob_server::store::Secret("hash".to_owned()),
                created_ms: 1,
            };
            assert_eq!(tx.add_account(&new).unwrap(), Some(AccountId(6)), "no number is given again");
            assert_eq!(tx.use_invitation(&[2; 32], 3_000).unwrap(), Some(InvitationId(2)));
            assert_eq!(tx.use_invitation(&[2; 32], 3_000).unwrap(), None);
            assert_eq!(tx.use_invitation(&[3; 32], 3_000).unwrap(), None, "it is over");
            let new = NewInvitation {
                code_hash: [2; 32],
                uses: 1,
                expires_ms: None,
                made_ms: 1,
                note: String::new(),
            };
            assert_eq!(tx.add_invitation(&new).unwrap(), InvitationId(5), "nor of an invitation");
        });
    });
}
