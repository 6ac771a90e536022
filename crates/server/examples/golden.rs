//! Makes the store that every later version must open, with one of everything in it:
//! `cargo run --locked -p hobnob-server --example golden -- crates/server/tests/golden/VERSION`.
//!
//! Run for the version that is about to be released, once its schema is final; what was released stays as it is. The
//! passwords are `NAME-secret`, and the keys are of this store alone. `tests/golden.rs` says what must be found.

use std::error::Error;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use hobnob_server::config::Tls;
use hobnob_server::identity::Identity;
use hobnob_server::node::RealWorld;
use hobnob_server::password;
use hobnob_server::store::sqlite::backup::{self, IDENTITY_FILES};
use hobnob_server::store::sqlite::{SqliteOptions, SqliteStore};
use hobnob_server::store::{
    AccountId, Ended, Failures, NewAccount, NewInvitation, NewName, NewSession, Outcome, Result, SERVER,
    Store, StreamId, Tx,
};
use hobnob_server::ticket::TicketKey;

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let target = std::env::args().nth(1).ok_or("which folder?")?;
    let target = Path::new(&target);
    let folder = tempfile::tempdir()?;
    let (first, data) = (folder.path().join("first"), folder.path().join("data"));
    fs::create_dir(&first)?;
    Identity::load(&Tls::SelfSigned, &first)?;
    TicketKey::load(&first, &RealWorld::default())?;
    let store = SqliteStore::open(&first, SqliteOptions::default())?;
    // In many transactions, as in life.
    let mut accounts = Vec::new();
    for name in ["Anna", "bert", "carl", "dora", "emil"] {
        let new = account(name);
        store.write(&mut |tx| {
            accounts.extend(tx.add_account(&new)?);
            Ok(())
        })?;
    }
    let [anna, bert, carl, dora, emil] = accounts[..] else { return Err("five accounts".into()) };
    let accounts = [anna, bert, carl, dora, emil];
    store.write(&mut |tx| streams(tx, accounts))?;
    // One that was restored: its history begins anew, and it knows how far the one before it was.
    store.write(&mut |tx| tx.set_epoch(&[8; 16]))?;
    let copy = folder.path().join("copy");
    backup::make(&first, &copy, 1_700_000_000_000)?;
    drop(store);
    backup::restore(&copy, &data, 1_700_000_000_000)?;
    let store = SqliteStore::open(&data, SqliteOptions::default())?;
    // What comes last is still in the journal when the backup is made.
    for step in [sessions, logins, invitations, keeping, outboxes] {
        store.write(&mut |tx| step(tx, accounts))?;
    }
    fs::create_dir_all(target)?;
    let backup = target.join("backup");
    if backup.exists() {
        fs::remove_file(&backup)?;
    }
    let summary = backup::make(&data, &backup, 1_800_000_000_000)?;
    // The backup is of a store in use, what is copied is one that was closed.
    drop(store);
    for name in IDENTITY_FILES.into_iter().chain(["hobnob.db"]) {
        fs::copy(data.join(name), target.join(name))?;
    }
    println!("{}: {:?}", target.display(), summary.report);
    Ok(())
}

fn account(name: &str) -> NewAccount {
    let key = name.to_lowercase();
    NewAccount {
        name: name.to_owned(),
        password: password::hash(&format!("{key}-secret")),
        skeleton: key.clone(),
        key,
        created_ms: 1_000,
    }
}

fn say(tx: &mut dyn Tx, stream: StreamId, from: AccountId, texts: &[&'static str]) -> Result<()> {
    for (sent_ms, text) in (2_000..).zip(texts) {
        tx.append(stream, from, sent_ms, &Bytes::from_static(text.as_bytes()))?;
    }
    Ok(())
}

fn streams(tx: &mut dyn Tx, [anna, bert, carl, dora, _]: [AccountId; 5]) -> Result<()> {
    let inbox = StreamId::Inbox(anna);
    say(tx, inbox, bert, &["noted and gone", "noted and gone, too", "noted"])?;
    tx.set_cursor(anna, 2)?;
    tx.trim_inboxes(i64::MAX, 100)?;
    say(tx, inbox, bert, &["waits"])?;
    say(tx, inbox, carl, &["hidden by a block"])?;
    say(tx, inbox, dora, &["of somebody who is gone"])?;
    say(tx, inbox, bert, &["two\nlines, and \u{fc}\u{4e2d}\u{1f600}"])?;
    tx.set_block(anna, carl, true)?;
    tx.hide(anna, carl)?;
    tx.set_block(bert, anna, true)?;
    tx.set_block(bert, anna, false)?;
    tx.set_last_seen(bert, 5_000)
}

fn outboxes(tx: &mut dyn Tx, [anna, bert, ..]: [AccountId; 5]) -> Result<()> {
    let full = tx.outbox(bert, &[7; 16])?;
    (0..70).try_for_each(|n| tx.add_outcome(full, Outcome { code: n % 12 + 1, hash: [n; 4] }))?;
    tx.set_cursor(anna, 3)?;
    let short = tx.outbox(anna, &[7; 16])?;
    tx.add_outcome(short, Outcome { code: 1, hash: [9; 4] })
}

fn sessions(tx: &mut dyn Tx, [anna, bert, carl, _, emil]: [AccountId; 5]) -> Result<()> {
    say(tx, StreamId::Broadcast, bert, &["to all", "to all again"])?;
    let add = |tx: &mut dyn Tx, account, token: u8, background| {
        tx.add_session(&NewSession { account, background, token_hash: [token; 32], now_ms: i64::MAX / 2 })
    };
    let mut online = add(tx, anna, 1, false)?;
    online.generation = 3;
    tx.save_session(&online)?;
    let mut offline = add(tx, bert, 2, false)?;
    (offline.online, offline.broadcast_hole) = (false, Some((2, None)));
    tx.save_session(&offline)?;
    let mut over = add(tx, carl, 3, false)?;
    (over.online, over.ended) = (false, Some(Ended::Kicked));
    tx.save_session(&over)?;
    add(tx, emil, 4, true)?;
    tx.trim_broadcast(i64::MAX, 100)?;
    say(tx, StreamId::Broadcast, anna, &["kept for whoever is online"])?;
    say(tx, StreamId::Broadcast, SERVER, &["said by the server"])
}

fn logins(tx: &mut dyn Tx, [anna, bert, ..]: [AccountId; 5]) -> Result<()> {
    tx.add_device(anna, &[5; 32], 1_000)?;
    tx.add_device(bert, &[6; 32], 1_000)?;
    tx.set_failures("anna", &[5; 32], Failures { count: 2, blocked_until_ms: 0 }, 1_000)?;
    tx.set_failures("bert", b"", Failures { count: 3, blocked_until_ms: 9_000 }, 1_000)?;
    tx.set_failures("nobody", b"", Failures { count: 1, blocked_until_ms: 0 }, 1_000)?;
    tx.count_failed_login(anna, &[6; 32])?;
    tx.count_failed_login(anna, b"")
}

fn invitations(tx: &mut dyn Tx, _: [AccountId; 5]) -> Result<()> {
    let add = |tx: &mut dyn Tx, code: u8, uses, expires_ms, note: &str| {
        let note = note.to_owned();
        tx.add_invitation(&NewInvitation { code_hash: [code; 32], uses, expires_ms, made_ms: 1_000, note })
    };
    add(tx, 1, 30, Some(4_000_000_000_000), "class 6b, \u{fc}")?;
    add(tx, 2, 1, None, "")?;
    add(tx, 3, 5, Some(2_000), "was over soon")?;
    add(tx, 4, 1, None, "the last, and used up")?;
    tx.use_invitation(&[1; 32], 2_000)?;
    tx.use_invitation(&[4; 32], 2_000)?;
    Ok(())
}

fn keeping(tx: &mut dyn Tx, [_, _, carl, dora, emil]: [AccountId; 5]) -> Result<()> {
    tx.set_disabled(carl, true)?;
    let new = NewName { name: "Erna".to_owned(), key: "erna".to_owned(), skeleton: "erna".to_owned() };
    tx.rename(emil, &new)?;
    tx.delete_account(dora)
}
