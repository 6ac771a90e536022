//! A device whose process is killed in the middle of a download, and begun again.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod files_common;

use std::collections::BTreeSet;
use std::time::Duration;

use files_common::child::{self, Other};
use files_common::hostile::{HandGiver, Log, Manner, are_different};
use files_common::{Server, content};
use tempfile::TempDir;

const CHUNK: usize = 256 * 1024;
/// Requests that may stand at one source.
const IN_FLIGHT_MAX: usize = 16;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "other tests begin it"]
async fn a_device_in_a_process_of_its_own() {
    child::play().await;
}

/// What had come before anything was synced is not asked for again.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_forgets_no_chunk_that_was_verified() {
    let (server, folder) = (Server::default(), TempDir::new().unwrap());
    let bytes = content(64 * CHUNK + 5, 31);
    let first = HandGiver::start(&server, 10, &bytes, Manner::Honest(20)).await;
    let other = Other::downloads(folder.path(), first.content, &[first.at()]);
    // All that was sent was verified, and nothing else is on its way.
    first.until(|log| log.told.len() == 20).await;
    other.kill().await;
    let before = first.log();
    drop(first);
    let second = HandGiver::start(&server, 11, &bytes, Manner::Honest(1000)).await;
    let mut other = Other::downloads(folder.path(), second.content, &[second.at()]);
    assert!(std::fs::read(other.downloaded().await).unwrap() == bytes);
    let after = second.log();
    assert!(after.asked.iter().all(|chunk| !before.told.contains(chunk)), "{:?}", after.asked);
    assert_eq!((before.sent.len(), after.sent.len()), (20, 45));
    assert!(are_different(&[before.sent, after.sent].concat()));
}

/// Killed again and again while chunks come: what was verified before is never asked for again, and so all that is sent
/// is the file, and what was under way at each kill.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_is_killed_at_any_moment_goes_on() {
    const KILLS: usize = 6;
    let (server, folder) = (Server::default(), TempDir::new().unwrap());
    let bytes = content(240 * CHUNK + 77, 32);
    let giver = HandGiver::start(&server, 10, &bytes, Manner::Paced(Duration::from_millis(2))).await;
    let mut verified = BTreeSet::new();
    let mut asked = 0;
    let check = |log: &Log, verified: &BTreeSet<u32>, asked: usize| {
        let again: Vec<_> = log.asked[asked..].iter().filter(|chunk| verified.contains(chunk)).collect();
        assert!(again.is_empty(), "{again:?}");
    };
    for kill in 0..KILLS {
        let other = Other::downloads(folder.path(), giver.content, &[giver.at()]);
        // At another place of its work each time.
        let sent = giver.log().sent.len() + 5 + 7 * kill;
        giver.until(|log| log.sent.len() >= sent).await;
        other.kill().await;
        let log = giver.log();
        check(&log, &verified, asked);
        (verified, asked) = (log.told, log.asked.len());
    }
    let mut other = Other::downloads(folder.path(), giver.content, &[giver.at()]);
    assert!(std::fs::read(other.downloaded().await).unwrap() == bytes);
    let log = giver.log();
    check(&log, &verified, asked);
    let chunks = log.asked.iter().collect::<BTreeSet<_>>().len();
    assert_eq!(chunks, 241);
    assert!(log.asked.len() <= chunks + KILLS * IN_FLIGHT_MAX, "{} of {chunks}", log.asked.len());
    let received: usize = log.sent.iter().map(|chunk| if *chunk == 240 { 77 } else { CHUNK }).sum();
    assert!(received <= bytes.len() + KILLS * IN_FLIGHT_MAX * CHUNK);
}
