//! Files that are not what they were, while others take them.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod files_common;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use files_common::hostile::{HandGiver, HandTaker, Manner};
use files_common::{Node, SOON, Server, Way, content, now_ms, public, ticket};
use hobnob_peer::files::{Ended, Event, Request};
use hobnob_protocol::v1::{file_frame::Body, file_refused::Why};
use tokio::time::timeout;

const CHUNK: usize = 256 * 1024;
const NUMBER: u8 = 9;

type Change = (&'static str, fn(&Path), Ended);

/// What may become of a shared file, and how that is told.
const CHANGES: [Change; 6] = [
    ("changed", |path| write(path).write_all_at(b"x", 5).unwrap(), Ended::Changed),
    ("shortened", |path| write(path).set_len(CHUNK as u64).unwrap(), Ended::Changed),
    ("emptied", |path| write(path).set_len(0).unwrap(), Ended::Changed),
    ("longer", |path| write(path).write_all_at(b"x", 100 * CHUNK as u64).unwrap(), Ended::Changed),
    ("deleted", |path| std::fs::remove_file(path).unwrap(), Ended::Gone),
    ("replaced", replace, Ended::Changed),
];

fn write(path: &Path) -> File {
    File::options().write(true).open(path).unwrap()
}

fn replace(path: &Path) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, b"another").unwrap();
    std::fs::rename(&beside, path).unwrap();
}

/// The server is told that it is not held any more.
async fn released(server: &Server) {
    let released = || server.lock().requests.iter().any(|it| matches!(it, Request::Release(_)));
    let wait = async {
        while !released() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, wait).await.expect("the server is told");
}

/// One who is being served is refused, nobody else is let in, and the person is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_while_it_is_taken_is_given_no_further() {
    for (what, change, why) in CHANGES {
        let server = Server::default();
        let mut giver = Node::start(&server, 1, Way::Tcp).await;
        // Its door stays open for the other.
        giver.share("other.bin", b"other").await;
        let shared = giver.share("a.bin", &content(6 * CHUNK + 3, 2)).await;
        let call = async || {
            let ticket = ticket(public([NUMBER; 32]), "mallory", shared, now_ms() + 60_000);
            HandTaker::call(&server.tcp_of(giver.key()), giver.key(), NUMBER, shared, ticket).await.unwrap()
        };
        let mut taker = call().await;
        assert!(matches!(taker.next().await, Some(Body::Opened(opened)) if opened.complete));
        assert!(taker.ask(6).await);
        assert!(matches!(taker.next().await, Some(Body::Data(data)) if data.chunk == 6), "{what}");
        change(&giver.folder.path().join("a.bin"));
        // Even of what did not change nothing more is given.
        assert!(taker.ask(0).await);
        assert_eq!(timeout(SOON, taker.refusal()).await.unwrap(), Some(Why::Gone), "{what}");
        assert_eq!(taker.next().await, None, "{what}");
        let mut late = call().await;
        assert_eq!(timeout(SOON, late.refusal()).await.unwrap(), Some(Why::Gone), "{what}");
        let ended = Event::ShareEnded { name: "a.bin".to_owned(), id: shared.id, why };
        assert_eq!(giver.next().await, ended, "{what}");
        released(&server).await;
        giver.files().shares().unwrap();
        let Event::Shares(shares) = giver.next().await else { panic!("no shares") };
        assert_eq!(shares.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["other.bin"], "{what}");
    }
}

/// Nobody takes it: that is noticed all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_while_nobody_takes_it_is_offered_no_longer() {
    let server = Server::default();
    let mut giver = Node::start(&server, 1, Way::Tcp).await;
    let shared = giver.share("a.bin", &content(CHUNK, 2)).await;
    std::fs::remove_file(giver.folder.path().join("a.bin")).unwrap();
    let ended = Event::ShareEnded { name: "a.bin".to_owned(), id: shared.id, why: Ended::Gone };
    assert_eq!(giver.next().await, ended);
    released(&server).await;
}

/// In the middle of a download one of two sources loses the file: the rest comes from the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_when_a_source_loses_the_file() {
    for (what, change, why) in CHANGES {
        let server = Server::default();
        let bytes = content(80 * CHUNK + 9, 3);
        let mut giver = Node::start(&server, 1, Way::Tcp).await;
        let slow = HandGiver::start(&server, 10, &bytes, Manner::Paced(Duration::from_millis(8))).await;
        let shared = giver.share("a.bin", &bytes).await;
        let mut taker = Node::start(&server, 2, Way::Tcp).await;
        taker.download(shared);
        slow.until(|log| log.told.len() > 4 && !log.sent.is_empty()).await;
        change(&giver.folder.path().join("a.bin"));
        assert!(std::fs::read(taker.downloaded().await).unwrap() == bytes, "{what}");
        assert!(matches!(giver.next().await, Event::ShareEnded { why: told, .. } if told == why), "{what}");
    }
}

/// The only source loses the file: the download waits, and goes on with the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_waits_for_another_source() {
    let server = Server::default();
    let bytes = content(20 * CHUNK, 4);
    let mut giver = Node::start(&server, 1, Way::Tcp).await;
    let shared = giver.share("a.bin", &bytes).await;
    std::fs::write(giver.folder.path().join("a.bin"), b"short").unwrap();
    let mut taker = Node::start(&server, 2, Way::Tcp).await;
    taker.download(shared);
    assert!(matches!(giver.next().await, Event::ShareEnded { why: Ended::Changed, .. }));
    let other = HandGiver::start(&server, 10, &bytes, Manner::Honest(1000)).await;
    assert!(std::fs::read(taker.downloaded().await).unwrap() == bytes);
    assert_eq!(other.log().sent.len(), 20);
}

/// The same content is shared again from another place, and the first place goes.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_shared_again_from_elsewhere_is_read_there() {
    let server = Server::default();
    let mut giver = Node::start(&server, 1, Way::Tcp).await;
    let bytes = content(3 * CHUNK + 1, 6);
    let place = |place: &str| giver.folder.path().join(place);
    let (stick, home) = (place("stick"), place("home"));
    for place in [&stick, &home] {
        std::fs::create_dir_all(place.join("folder")).unwrap();
        std::fs::write(place.join("a.bin"), &bytes).unwrap();
        std::fs::write(place.join("folder/b.bin"), &bytes[1..]).unwrap();
    }
    let mut shared = Vec::new();
    for place in [&stick, &home] {
        shared =
            vec![giver.share_path(&place.join("a.bin")).await, giver.share_path(&place.join("folder")).await];
    }
    std::fs::remove_dir_all(&stick).unwrap();
    let mut taker = Node::start(&server, 2, Way::Tcp).await;
    taker.download(shared[0]);
    assert!(std::fs::read(taker.downloaded().await).unwrap() == bytes);
    taker.download(shared[1]);
    assert!(std::fs::read(taker.downloaded().await.join("b.bin")).unwrap() == bytes[1..]);
    // It comes back from there.
    let mut giver = giver.restart().await;
    for _ in 0..2 {
        let event = giver.next().await;
        assert!(matches!(event, Event::Sharing { again: true, .. }), "{event:?}");
    }
}

/// A stream that ends because a file is not shared any more says nothing against the file, which may be shared anew.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_shared_anew_at_once_stays_shared() {
    let server = Server::default();
    let mut giver = Node::start(&server, 1, Way::Tcp).await;
    giver.share("other.bin", b"other").await;
    let shared = giver.share("a.bin", &content(CHUNK, 7)).await;
    let path = giver.folder.path().join("a.bin");
    for _ in 0..20 {
        let ticket = ticket(public([NUMBER; 32]), "user", shared, now_ms() + 60_000);
        let address = server.tcp_of(giver.key());
        let call = HandTaker::call(&address, giver.key(), NUMBER, shared, ticket);
        let mut taker = call.await.unwrap();
        assert!(matches!(taker.next().await, Some(Body::Opened(_))));
        giver.files().unshare("a.bin").unwrap();
        assert_eq!(giver.next().await, Event::Unshared { name: "a.bin".to_owned() });
        assert_eq!(giver.share_path(&path).await, shared);
        assert_eq!(taker.refusal().await, Some(Why::Gone));
    }
}
