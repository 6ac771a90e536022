//! A file of 10 GB, with chunks larger than the smallest. It needs as much room where temporary files are, and minutes:
//! `cargo test -p hobnob-peer --test files_large -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod files_common;

use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use files_common::{Node, Server, Way};
use hobnob_peer::file::source::Unhashed;
use hobnob_peer::files::Event;
use tokio::time::{Instant, timeout};

const SIZE: u64 = 10_000_000_000;
/// It fails if it takes longer.
const LONG: Duration = Duration::from_secs(900);

/// The next event that is not about how far something is.
async fn next(node: &mut Node) -> Event {
    let found = async {
        loop {
            match node.events.recv().await.unwrap() {
                Event::Progress(_) | Event::Reading { .. } => {}
                event => return event,
            }
        }
    };
    timeout(LONG, found).await.expect("it takes longer than it may")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes, and 10 GB"]
async fn a_sparse_file_of_10_gb() {
    let server = Server::default();
    let mut giver = Node::start(&server, 1, Way::Tcp).await;
    let path = giver.folder.path().join("large");
    let file = File::create(&path).unwrap();
    file.set_len(SIZE).unwrap();
    for at in [0, SIZE / 3, SIZE - 5] {
        file.write_all_at(b"marks", at).unwrap();
    }
    let begin = Instant::now();
    giver.files().share(&path).unwrap();
    let Event::Sharing { id, chunks, .. } = next(&mut giver).await else { panic!("not shared") };
    println!("{chunks} chunks, read and hashed in {:.1} s", begin.elapsed().as_secs_f64());
    // Of a mebibyte each.
    assert_eq!(chunks, SIZE.div_ceil(1 << 20));
    let mut taker = Node::start(&server, 2, Way::Tcp).await;
    let begin = Instant::now();
    taker.download(server.with_id(id));
    let Event::Downloaded { path, size, .. } = next(&mut taker).await else { panic!("not downloaded") };
    println!("downloaded in {:.1} s", begin.elapsed().as_secs_f64());
    assert_eq!(size, SIZE);
    let hashed = Unhashed::open(&path).unwrap().hash(|_| ControlFlow::Continue(())).unwrap();
    assert_eq!(hashed.manifest().id(), id);
    giver.leave().await;
    taker.leave().await;
}
