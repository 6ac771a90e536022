//! A server that is killed in the middle of bringing its database up to date: the database is as it was or as it is to
//! be, nothing is missing, and the next start completes it.
//!
//! A child process opens a big database of the first version under `strace`, which kills it at one of the calls that
//! write or sync, each in its turn. Where `strace` cannot trace, that is skipped, and said.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hobnob_server::store::sqlite::{SqliteOptions, SqliteStore};
use hobnob_server::store::{AccountId, Store, StreamId};
use rusqlite::Connection;
use tempfile::TempDir;

/// The schema as the first version made it.
const FIRST: &str = include_str!("../src/store/sqlite/migrations/0001_first.sql");
/// "hobn", as in `schema.rs`.
const APPLICATION_ID: i64 = 0x686f_626e;
const PEOPLE: i64 = 300;
const MESSAGES: i64 = 20_000;
/// For the child process: where its database is.
const FOLDER: &str = "HOBNOB_MIGRATE";
/// At how many places it is killed at least.
const PLACES_MIN: usize = 5;
const PLACES_MAX: usize = 60;

/// A database of the first version with a lot in it.
fn old_database(dir: &Path) {
    let conn = Connection::open(dir.join("hobnob.db")).unwrap();
    conn.execute_batch("PRAGMA journal_mode = wal; PRAGMA synchronous = off; BEGIN;").unwrap();
    conn.execute_batch(FIRST).unwrap();
    for id in 1..=PEOPLE {
        let sql = "INSERT INTO account (id, key, name, skeleton, password, cursor, last_seen_ms, created_ms)
                   VALUES (?1, ?2, ?2, ?2, 'hash', 0, ?1, 1)";
        conn.execute(sql, (id, format!("user{id}"))).unwrap();
        conn.execute(
            "INSERT INTO outbox (account, name, last_number, outcomes) VALUES (?1, x'00', 1, x'0101020304')",
            [id],
        )
        .unwrap();
        conn.execute("INSERT INTO block VALUES (?1, ?2)", (id, id % PEOPLE + 1)).unwrap();
    }
    for number in 0..MESSAGES {
        let (stream, seq) = (number % PEOPLE + 1, number / PEOPLE + 1);
        let sql = "INSERT INTO entry (stream, seq, sender, sent_ms, text) VALUES (?1, ?2, ?3, ?4, ?5)";
        let text = format!("message {number} {}", "x".repeat(100)).into_bytes();
        conn.execute(sql, (stream, seq, (stream % PEOPLE) + 1, number, text)).unwrap();
    }
    conn.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1; COMMIT;"
    ))
    .unwrap();
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
}

fn copy(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

fn version(dir: &Path) -> i64 {
    // A copy, so that the look itself repairs nothing.
    let look = TempDir::new().unwrap();
    copy(dir, look.path());
    let conn = Connection::open(look.path().join("hobnob.db")).unwrap();
    let check: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    conn.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

/// Everything that was there is there.
fn check(store: &dyn Store) {
    let streams: Vec<_> = (1..=PEOPLE).map(|id| StreamId::Inbox(AccountId(id))).collect();
    let expected = |id: i64| (MESSAGES - id).div_euclid(PEOPLE) + 1;
    let heads = store.heads(&streams).unwrap();
    assert!(heads.iter().zip(1..).all(|(head, id)| *head == expected(id) as u64), "{heads:?}");
    for (stream, id) in streams.into_iter().zip(1..) {
        let entries = store.entries(stream, 0, usize::MAX, usize::MAX).unwrap();
        assert_eq!(entries.len() as i64, expected(id));
        for entry in entries {
            let number = (entry.seq as i64 - 1) * PEOPLE + id - 1;
            assert!(entry.text.starts_with(format!("message {number} ").as_bytes()));
            assert_eq!(entry.sender, Some(AccountId(id % PEOPLE + 1)));
        }
        let account = store.account(AccountId(id)).unwrap().unwrap();
        assert_eq!((account.name, account.last_seen_ms), (format!("user{id}"), id));
        assert_eq!(store.blocks_of(AccountId(id)).unwrap(), [AccountId(id % PEOPLE + 1)]);
    }
}

fn open(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir, SqliteOptions::default()).unwrap()
}

/// Opens the store in a process of its own, which `strace` kills at the `nth` of these calls.
fn open_and_die(dir: &Path, call: &str, nth: usize) -> Output {
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    command.args(["-e", &format!("inject={call}:signal=KILL:when={nth}")]);
    command.arg(std::env::current_exe().unwrap());
    command.args(["opens_the_store", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(FOLDER, dir).output().unwrap()
}

#[test]
#[ignore = "another test begins it, in a process that is killed"]
fn opens_the_store() {
    let Some(dir) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    drop(open(&dir));
}

#[test]
fn a_kill_at_any_write_of_a_migration_loses_nothing() {
    let may = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED a_kill_at_any_write_of_a_migration_loses_nothing: strace cannot trace here");
        return;
    }
    let old = TempDir::new().unwrap();
    old_database(old.path());
    let newest = {
        let folder = TempDir::new().unwrap();
        copy(old.path(), folder.path());
        let store = open(folder.path());
        check(&store);
        drop(store);
        version(folder.path())
    };
    let (mut places, mut versions) = (0, std::collections::BTreeSet::new());
    for call in ["pwrite64", "fdatasync,fsync", "ftruncate", "unlink,unlinkat"] {
        for nth in 1..=PLACES_MAX {
            let folder = TempDir::new().unwrap();
            copy(old.path(), folder.path());
            let output = open_and_die(folder.path(), call, nth);
            if output.status.success() {
                // There are no more of them.
                break;
            }
            assert!(
                output.stderr.is_empty() || !String::from_utf8_lossy(&output.stderr).contains("panicked")
            );
            places += 1;
            let left = version(folder.path());
            assert!((1..=newest).contains(&left), "{call} {nth}: version {left}");
            versions.insert(left);
            check(&open(folder.path()));
            assert_eq!(version(folder.path()), newest, "{call} {nth}: the next start completes it");
        }
    }
    println!("killed at {places} places, versions left behind: {versions:?}");
    assert!(places >= PLACES_MIN, "killed at {places} places only");
    assert!(versions.contains(&1) && versions.contains(&newest), "{versions:?}");
}

/// What a power cut may leave of the three files, and the one case in which something is missing.
#[test]
fn a_log_without_its_index_is_read_and_an_index_without_a_log_is_made_anew() {
    let (folder, crashed) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    old_database(folder.path());
    let store = open(folder.path());
    copy(folder.path(), crashed.path());
    drop(store);
    for lost in [&["hobnob.db-shm"][..], &["server.lock"], &["hobnob.db-shm", "server.lock"]] {
        let left = TempDir::new().unwrap();
        copy(crashed.path(), left.path());
        for name in lost {
            fs::remove_file(left.path().join(name)).unwrap();
        }
        check(&open(left.path()));
    }
    // An index that is nonsense is no different.
    fs::write(crashed.path().join("hobnob.db-shm"), vec![0xa5; 32_768]).unwrap();
    check(&open(crashed.path()));
}
