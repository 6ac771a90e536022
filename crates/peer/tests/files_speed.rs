//! What a gibibyte costs within one process; `hobnob-bench files` measures processes apart. To be run alone,
//! optimised, where `/dev/shm` is:
//! `cargo test --release -p hobnob-peer --test files_speed -- --ignored --nocapture --test-threads 1`.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod files_common;

use std::io::Write;
use std::sync::Arc;

use files_common::{Node, Server, Way, content};
use tempfile::TempDir;
use tokio::time::Instant;

/// CPU seconds of this process so far, and the most memory that it had, in MiB.
fn spent() -> (f64, u64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks: Vec<f64> =
        stat.rsplit(')').next().unwrap().split(' ').skip(12).take(2).map(|n| n.parse().unwrap()).collect();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    ((ticks[0] + ticks[1]) / 100.0, peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024)
}

async fn a_gibibyte(way: Way) {
    let server = Server::default();
    let folder = || Arc::new(TempDir::new_in("/dev/shm").unwrap());
    let mut giver = Node::start_in(&server, 1, way, folder(), true).await;
    let mut taker = Node::start_in(&server, 2, way, folder(), true).await;
    let path = giver.folder.path().join("large");
    let mut file = std::fs::File::create(&path).unwrap();
    let part = content(16 << 20, 1);
    (0..64).for_each(|_| file.write_all(&part).unwrap());
    drop((file, part));
    let shared = giver.share_path(&path).await;
    let ((cpu, _), begin) = (spent(), Instant::now());
    taker.download(shared);
    taker.downloaded().await;
    let (wall, (after, peak)) = (begin.elapsed(), spent());
    println!(
        "{way:?}: {:.2} s, {:.2} CPU s, at most {peak} MiB for both ends",
        wall.as_secs_f64(),
        after - cpu
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn over_tcp() {
    a_gibibyte(Way::Tcp).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn over_quic() {
    a_gibibyte(Way::Quic).await;
}
