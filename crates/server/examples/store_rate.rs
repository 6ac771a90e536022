//! How many direct messages a second the store takes, each fsynced before it counts:
//! `cargo run --release --example store_rate [SECONDS] [PEOPLE]`.

use std::error::Error;

use bytes::Bytes;
use hobnob_server::store::sqlite::{SqliteOptions, SqliteStore};
use hobnob_server::store::{AccountId, NewAccount, OutboxId, Outcome, Result, Secret, Store, StreamId, Tx};
use tokio::time::Instant;

/// A message's text.
const TEXT: Bytes = Bytes::from_static(&[b'x'; 100]);
/// A recipient notes what came after this many entries, as clients do.
const NOTED_EVERY: u64 = 64;

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let seconds: u64 = args.next().map_or(Ok(5), |arg| arg.parse())?;
    let people: usize = args.next().map_or(Ok(200), |arg| arg.parse())?;
    for batch in [1, 10, 100] {
        let dir = tempfile::tempdir()?;
        let store = SqliteStore::open(dir.path(), SqliteOptions::default())?;
        let (sent, took_s, slowest_ms) = send(&store, batch, people, seconds)?;
        println!(
            "batches of {batch:>3}: {:>7.0} messages/s, slowest commit {slowest_ms:.1} ms",
            sent as f64 / took_s
        );
    }
    Ok(())
}

/// Sends for some seconds; tells how many, how long it took, and the slowest commit.
fn send(store: &SqliteStore, batch: usize, people: usize, seconds: u64) -> Result<(usize, f64, f64)> {
    let mut outboxes = Vec::new();
    store.write(&mut |tx| {
        for n in 0..people {
            outboxes.push(register(tx, n)?);
        }
        Ok(())
    })?;
    let begin = Instant::now();
    let (mut sent, mut slowest_ms) = (0, 0.0_f64);
    while begin.elapsed().as_secs() < seconds {
        let commit = Instant::now();
        store.write(&mut |tx| {
            (sent..sent + batch).try_for_each(|n| {
                // Everybody writes in turn, to somebody else each time.
                let (from, step) = (n % people, n / people + 1);
                message(tx, outboxes[from], (from + step) % people)
            })
        })?;
        sent += batch;
        slowest_ms = slowest_ms.max(commit.elapsed().as_secs_f64() * 1e3);
    }
    Ok((sent, begin.elapsed().as_secs_f64(), slowest_ms))
}

fn register(tx: &mut dyn Tx, n: usize) -> Result<(AccountId, OutboxId)> {
    let key = format!("user{n}");
    let new = NewAccount {
        name: key.clone(),
        skeleton: key.clone(),
        key,
        password: Secret("x".repeat(97)),
        created_ms: 0,
    };
    let id = tx.add_account(&new)?.expect("the names differ");
    Ok((id, tx.outbox(id, &[7; 16])?))
}

/// What the server does for a direct message, and now and then for its receipt.
fn message(tx: &mut dyn Tx, (from, outbox): (AccountId, OutboxId), to: usize) -> Result<()> {
    let last = tx.outbox_last(outbox)?;
    let to = tx.account_by_key(&format!("user{to}"))?.expect("registered").id;
    let refused = tx.blocks(to, from)? || tx.unread(to)? > 1_000;
    assert!(!refused, "there is room");
    let seq = tx.append(StreamId::Inbox(to), from, 1, &TEXT)?;
    if seq.is_multiple_of(NOTED_EVERY) {
        tx.set_cursor(to, seq)?;
    }
    let hash = u32::try_from(last).unwrap_or_default().to_be_bytes();
    tx.add_outcome(outbox, Outcome { code: 1, hash })
}
