//! The disk of a downloader: full, and with names that are taken. A small file system is mounted in a mount namespace of
//! its own, for which the test has to be root; otherwise that is skipped, and said.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod files_common;

use std::path::{Path, PathBuf};

use files_common::hostile::{HandGiver, Manner};
use files_common::{Node, SOON, Server, Way, content};
use hobnob_peer::files::Event;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

const CHUNK: usize = 256 * 1024;
const MIB: usize = 1 << 20;
/// Where the small disk is, for the process that has it.
const DISK: &str = "HOBNOB_SMALL_DISK";

/// Runs a test of this file in a process that has a disk of 8 MiB.
async fn with_a_small_disk(test: &str) {
    let folder = TempDir::new().unwrap();
    let may = ["--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "none"];
    let probe = Command::new("unshare").args(may).arg(folder.path()).output().await;
    if !probe.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED {test}: mounting a small disk needs root and `unshare`");
        return;
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", "mount -t tmpfs -o size=8m none \"$0\"; exec \"$@\""]);
    command.arg(folder.path()).arg(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--ignored", "--nocapture"]).env(DISK, folder.path());
    let output = timeout(SOON, command.kill_on_drop(true).output()).await.expect("it ends").unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// A device whose downloads go to the small disk.
async fn small_node(server: &Server) -> Option<(Node, PathBuf)> {
    let small = PathBuf::from(std::env::var_os(DISK)?);
    let taker = Node::start(server, 2, Way::Tcp).await;
    std::fs::remove_dir(&taker.downloads).unwrap();
    std::os::unix::fs::symlink(&small, &taker.downloads).unwrap();
    Some((taker, small))
}

async fn fails_as_full(taker: &mut Node) {
    let failed = taker.next().await;
    let Event::DownloadFailed { why, resumable: true, .. } = failed else { panic!("{failed:?}") };
    assert_eq!(why, "the disk is full");
}

fn part(small: &Path) -> PathBuf {
    small.join("file.part")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_ends_a_download_which_goes_on_later() {
    with_a_small_disk("on_a_small_disk_a_download_goes_on").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "another test begins it, with a small disk"]
async fn on_a_small_disk_a_download_goes_on() {
    let server = Server::default();
    let Some((mut taker, small)) = small_node(&server).await else { return };
    let bytes = content(24 * CHUNK, 4);
    let giver = HandGiver::start(&server, 10, &bytes, Manner::Honest(10_000)).await;
    let filler = small.join("filler");
    std::fs::write(&filler, vec![1; 5 * MIB]).unwrap();
    taker.download(giver.content);
    fails_as_full(&mut taker).await;
    // Again, and in another session: the part stays, and nothing of it is forgotten or fetched again.
    let had = giver.log().told.len();
    taker.download(giver.content);
    fails_as_full(&mut taker).await;
    let mut taker = taker.restart().await;
    assert!(part(&small).metadata().unwrap().len() == bytes.len() as u64 && had > 0);
    let (told, asked) = (giver.log().told, giver.log().asked.len());
    std::fs::remove_file(filler).unwrap();
    taker.download(giver.content);
    assert!(std::fs::read(taker.downloaded().await).unwrap() == bytes);
    let again: Vec<_> =
        giver.log().asked[asked..].iter().copied().filter(|chunk| told.contains(chunk)).collect();
    assert!(again.is_empty(), "{again:?}");
    // What found no room was sent again, and so was what was under way beside it.
    assert!(giver.log().sent.len() <= 24 + 2 * 17, "{}", giver.log().sent.len());
    assert!(!part(&small).exists());
    taker.leave().await;
}

/// Space comes back, and another program takes the name meanwhile: both keep what is theirs.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_meanwhile_is_not_overwritten() {
    let server = Server::default();
    let bytes = content(24 * CHUNK, 5);
    let giver = HandGiver::start(&server, 10, &bytes, Manner::Honest(20)).await;
    let mut taker = Node::start(&server, 2, Way::Tcp).await;
    taker.download(giver.content);
    giver.until(|log| log.told.len() == 20).await;
    std::fs::write(taker.downloads.join("file"), b"mine").unwrap();
    std::fs::write(taker.downloads.join("file (1)"), b"mine, too").unwrap();
    let rest = HandGiver::start(&server, 11, &bytes, Manner::Honest(10_000)).await;
    assert_eq!(taker.downloaded().await, taker.downloads.join("file (2)"));
    assert!(std::fs::read(taker.downloads.join("file (2)")).unwrap() == bytes);
    assert_eq!(std::fs::read(taker.downloads.join("file")).unwrap(), b"mine");
    assert_eq!(std::fs::read(taker.downloads.join("file (1)")).unwrap(), b"mine, too");
    assert!(rest.log().sent.len() >= 4);
}
