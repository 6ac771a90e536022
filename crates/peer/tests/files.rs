//! Files between devices on one machine, over real sockets. The test plays the server.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod files_common;

use std::fs::File;
use std::time::Duration;

use files_common::hostile::{HandGiver, Manner, are_different};
use files_common::{Node, SOON, Server, Way, content};
use hobnob_peer::file::ContentId;
use hobnob_peer::files::{Content, Ended, Event, Request, kept_any};
use tokio::time::timeout;

const CHUNK: usize = 256 * 1024;
/// On both sides of the borders of chunks.
const SIZES: [usize; 11] = [
    0,
    1,
    CHUNK - 1,
    CHUNK,
    CHUNK + 1,
    2 * CHUNK - 1,
    2 * CHUNK,
    2 * CHUNK + 1,
    3 * CHUNK,
    3 * CHUNK + 17,
    40 * CHUNK - 1,
];

/// A file of each size goes from one to another.
async fn border_sizes(way: Way, sizes: &[usize]) {
    let server = Server::default();
    let mut giver = Node::start(&server, 1, way).await;
    let mut taker = Node::start(&server, 2, way).await;
    for size in sizes {
        let bytes = content(*size, *size as u64);
        let shared = giver.share(&format!("{size}.bin"), &bytes).await;
        taker.download(shared);
        let path = taker.downloaded().await;
        assert_eq!(path, taker.downloads.join(format!("{size}.bin")));
        assert!(std::fs::read(&path).unwrap() == bytes, "{size}");
        // What is there is offered, and not fetched again.
        assert_eq!(server.holder_count(shared), 2);
        taker.download(shared);
        assert_eq!(
            taker.next().await,
            Event::AlreadyThere { name: format!("{size}.bin"), id: shared.id, path }
        );
    }
    giver.leave().await;
    taker.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_all_border_sizes_over_tcp() {
    border_sizes(Way::Tcp, &SIZES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_all_border_sizes_over_quic() {
    border_sizes(Way::Quic, &SIZES).await;
}

async fn a_swarm(way: Way) {
    let server = Server::default();
    let mut seeder = Node::start(&server, 1, way).await;
    let bytes = content(64 * CHUNK + 5, 7);
    let shared = seeder.share("film.mkv", &bytes).await;
    let mut takers = Vec::new();
    for number in 2..=4 {
        takers.push(Node::start(&server, number, way).await);
    }
    takers.iter().for_each(|taker| taker.download(shared));
    for taker in &mut takers {
        let path = taker.downloaded().await;
        assert!(std::fs::read(path).unwrap() == bytes);
    }
    assert_eq!(server.holder_count(shared), 4);
    // The seeder goes, and those who have it now give it.
    seeder.leave().await;
    let mut late = Node::start(&server, 5, way).await;
    late.download(shared);
    match late.next().await {
        Event::Downloaded { path, size, .. } => {
            assert_eq!(size, bytes.len() as u64);
            assert!(std::fs::read(path).unwrap() == bytes);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_take_at_once_and_from_each_other_over_tcp() {
    a_swarm(Way::Tcp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_take_at_once_and_from_each_other_over_quic() {
    a_swarm(Way::Quic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_after_everything_was_dropped_and_fetches_no_chunk_twice() {
    let server = Server::default();
    let bytes = content(64 * CHUNK + 5, 8);
    let first = HandGiver::start(&server, 10, &bytes, Manner::Honest(20)).await;
    let mut taker = Node::start(&server, 2, Way::Tcp).await;
    taker.download(first.content);
    let size_of_20 = 19 * CHUNK as u64;
    loop {
        taker.files().downloads().unwrap();
        let all = timeout(SOON, async {
            loop {
                if let Some(Event::Downloads(all)) = taker.events.recv().await {
                    return all;
                }
            }
        });
        if all.await.unwrap().iter().any(|one| one.done >= size_of_20) {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut taker = taker.restart().await;
    server.lock().names.clear();
    let before = first.log().sent;
    drop(first);
    let second = HandGiver::start(&server, 10, &bytes, Manner::Honest(1000)).await;
    taker.download(second.content);
    let path = taker.downloaded().await;
    assert!(std::fs::read(path).unwrap() == bytes);
    let all = [before, second.log().sent].concat();
    assert!(are_different(&all), "{all:?}");
    assert_eq!(all.len(), 65);
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_come_back_while_they_are_what_they_were() {
    let server = Server::default();
    let mut node = Node::start(&server, 1, Way::Tcp).await;
    let kept = node.share("kept.txt", b"as it was").await;
    let changed = node.share("changed.txt", b"as it was, too").await;
    let gone = node.share("gone.txt", b"not for long").await;
    assert_eq!(node.share("unshared.txt", b"a mistake").await.size, 9);
    node.files().unshare("unshared.txt").unwrap();
    assert_eq!(node.next().await, Event::Unshared { name: "unshared.txt".to_owned() });
    node.files().unshare("nothing").unwrap();
    assert_eq!(node.next().await, Event::Unknown { meant: "nothing".to_owned() });
    let mut node = {
        let folder = node.folder.path().to_owned();
        let node_left = async {
            node.leave().await;
            std::fs::write(folder.join("changed.txt"), b"as it was not").unwrap();
            std::fs::remove_file(folder.join("gone.txt")).unwrap();
        };
        node_left.await;
        Node::start_in(&server, 1, Way::Tcp, node.folder.clone(), true).await
    };
    let mut ended = Vec::new();
    for _ in 0..3 {
        match node.next().await {
            Event::Sharing { id, again: true, .. } => assert_eq!(id, kept.id),
            Event::ShareEnded { id, why, .. } => ended.push((id, why)),
            other => panic!("{other:?}"),
        }
    }
    ended.sort_by_key(|(_, why)| *why == Ended::Gone);
    assert_eq!(ended, [(changed.id, Ended::Changed), (gone.id, Ended::Gone)]);
    node.files().shares().unwrap();
    let Event::Shares(shares) = node.next().await else { panic!("no shares") };
    assert_eq!(shares.iter().map(|share| share.name.as_str()).collect::<Vec<_>>(), ["kept.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_is_not_offered_any_more() {
    let server = Server::default();
    let mut giver = Node::start(&server, 1, Way::Tcp).await;
    let shared = giver.share("a.txt", &content(3 * CHUNK, 1)).await;
    std::fs::write(giver.folder.path().join("a.txt"), b"short").unwrap();
    let mut taker = Node::start(&server, 2, Way::Tcp).await;
    taker.download(shared);
    let ended = giver.next().await;
    assert!(matches!(ended, Event::ShareEnded { ref name, .. } if name == "a.txt"), "{ended:?}");
    let released = || server.lock().requests.iter().any(|it| matches!(it, Request::Release(_)));
    timeout(SOON, async {
        while !released() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    taker.files().cancel("a.txt").unwrap();
    assert_eq!(taker.next().await, Event::Cancelled { name: "a.txt".to_owned(), id: shared.id });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swarm_goes_on_without_the_server() {
    let server = Server::default();
    let mut giver = Node::start(&server, 1, Way::Tcp).await;
    let bytes = content(20 * CHUNK, 3);
    let shared = giver.share("a", &bytes).await;
    let mut taker = Node::start(&server, 2, Way::Tcp).await;
    let mut entry = server.entry(shared);
    entry.sources = Some(server.sources(taker.key(), &taker.user, shared));
    server.lock().away = true;
    taker.files().download(entry).unwrap();
    assert!(std::fs::read(taker.downloaded().await).unwrap() == bytes);
    assert_eq!(server.holder_count(shared), 1);
    server.lock().away = false;
    taker.files().announce().unwrap();
    timeout(SOON, async {
        while server.holder_count(shared) < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_background_session_holds_nothing() {
    let server = Server::default();
    let mut giver = Node::start(&server, 1, Way::Tcp).await;
    let bytes = content(3 * CHUNK, 3);
    let shared = giver.share("a", &bytes).await;
    let folder = std::sync::Arc::new(tempfile::TempDir::new().unwrap());
    let mut taker = Node::start_in(&server, 2, Way::Tcp, folder, false).await;
    taker.download(shared);
    assert!(std::fs::read(taker.downloaded().await).unwrap() == bytes);
    assert_eq!(server.holder_count(shared), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_shared_is_said() {
    let server = Server::default();
    let mut node = Node::start(&server, 1, Way::Tcp).await;
    let path = node.folder.path().join("nothing");
    node.files().share(&path).unwrap();
    let why = "there is no such file".to_owned();
    assert_eq!(node.next().await, Event::ShareFailed { path, why });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_not_overwritten() {
    let server = Server::default();
    let mut giver = Node::start(&server, 1, Way::Tcp).await;
    let shared = giver.share("a.txt", b"theirs").await;
    let mut taker = Node::start(&server, 2, Way::Tcp).await;
    std::fs::write(taker.downloads.join("a.txt"), b"mine!!").unwrap();
    taker.download(shared);
    assert_eq!(taker.downloaded().await, taker.downloads.join("a (1).txt"));
    assert_eq!(std::fs::read(taker.downloads.join("a.txt")).unwrap(), b"mine!!");
    // Others find it as before, also after the next login.
    assert_eq!(server.entry(shared).name, "a.txt");
    let mut taker = taker.restart().await;
    let again = taker.next().await;
    assert!(matches!(&again, Event::Sharing { name, again: true, .. } if name == "a.txt"), "{again:?}");
    assert_eq!(server.entry(shared).name, "a.txt");
    let evil = Content { ..shared };
    server.lock().names.insert(evil, ("../../evil".to_owned(), None));
    taker.download(evil);
    assert!(matches!(taker.next().await, Event::AlreadyThere { .. }));
}

/// What was found for a download that was cancelled is nothing to the next, which it would keep from opening the part.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_is_cancelled_while_it_opens_may_begin_anew() {
    let server = Server::default();
    let bytes = content(40 * CHUNK, 9);
    // Longer than a part that is open elsewhere is waited for.
    let giver = HandGiver::start(&server, 10, &bytes, Manner::Paced(Duration::from_millis(80))).await;
    let mut taker = Node::start(&server, 2, Way::Tcp).await;
    let id = giver.content.id;
    taker.download(giver.content);
    taker.files().cancel("file").unwrap();
    taker.download(giver.content);
    assert_eq!(taker.next().await, Event::Cancelled { name: "file".to_owned(), id });
    assert!(std::fs::read(taker.downloaded().await).unwrap() == bytes);
}

/// What is not shared any more while the server is away is released when it is there again.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_was_lost_is_said_again() {
    let server = Server::default();
    let mut node = Node::start(&server, 1, Way::Tcp).await;
    let (gone, back) = (node.share("gone", b"gone").await, node.share("back", b"back").await);
    server.lock().away = true;
    for name in ["gone", "back"] {
        node.files().unshare(name).unwrap();
        assert_eq!(node.next().await, Event::Unshared { name: name.to_owned() });
    }
    // It is told when the server hears again; not before that.
    node.files().share(node.folder.path().join("back")).unwrap();
    let told = |request: &Request| matches!(request, Request::Hold(_));
    until(|| server.lock().requests.iter().filter(|request| told(request)).count() == 3).await;
    assert_eq!(server.holder_count(gone), 1);
    server.lock().away = false;
    node.files().announce().unwrap();
    until(|| server.holder_count(gone) == 0).await;
    assert!(matches!(node.next().await, Event::Sharing { id, .. } if id == back.id));
    assert_eq!(server.holder_count(back), 1);
    // Folders have many files: not all are released at once.
    let folder = node.folder.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    for number in 0..50 {
        std::fs::write(folder.join(number.to_string()), number.to_string()).unwrap();
    }
    node.share_path(&folder).await;
    until(|| server.held_by(node.key()) == 52).await;
    node.files().unshare("folder").unwrap();
    until(|| server.held_by(node.key()) == 1).await;
}

async fn until(so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, wait).await.expect("it becomes so");
}

/// A file that would take minutes to read is there under the name: nobody waits for that at the end.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_for_a_download_ends_with_it() {
    let server = Server::default();
    let mut node = Node::start(&server, 1, Way::Tcp).await;
    let huge = Content { id: ContentId::of(b"huge"), size: 256 << 30 };
    File::create(node.downloads.join("file")).unwrap().set_len(huge.size).unwrap();
    node.download(huge);
    // Nor after a cancel: what is read for it is of no use to the next.
    node.files().cancel("file").unwrap();
    assert!(matches!(node.next().await, Event::Cancelled { .. }));
    node.download(huge);
    timeout(Duration::from_secs(8), node.leave()).await.expect("it ends");
}

/// What the server does not take for now comes back at the next login; what it never takes does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_share_is_forgotten_only_when_the_server_will_never_take_it() {
    let server = Server::default();
    let mut node = Node::start(&server, 1, Way::Tcp).await;
    let shared = node.share("a", b"a").await;
    let path = node.folder.path().join("a");
    let failed = Event::ShareFailed { path, why: "no".to_owned() };
    for is_final in [false, true] {
        server.lock().refuses = Some(is_final);
        node = node.restart().await;
        assert_eq!(node.next().await, failed);
        node.files().shares().unwrap();
        assert_eq!(node.next().await, Event::Shares(Vec::new()));
        server.lock().refuses = None;
        node = node.restart().await;
        if is_final {
            node.leave().await;
            assert!(!kept_any(&node.folder.path().join("data")));
        } else {
            assert!(matches!(node.next().await, Event::Sharing { id, .. } if id == shared.id));
        }
    }
}

/// All from one source, which lets in fewer streams of one device.
async fn many_at_once(way: Way) {
    const MANY: u64 = 40;
    let server = Server::default();
    let mut giver = Node::start(&server, 1, way).await;
    let mut contents = Vec::new();
    for number in 0..MANY {
        contents.push(giver.share(&format!("{number}.bin"), &content(300_000, 100 + number)).await);
    }
    let mut taker = Node::start(&server, 2, way).await;
    contents.iter().for_each(|content| taker.download(*content));
    let mut missing = MANY;
    while missing > 0 {
        match timeout(SOON, taker.events.recv()).await.expect("something happens").unwrap() {
            Event::Downloaded { .. } => missing -= 1,
            Event::Stalled { name } => panic!("{name} has stalled, {missing} are missing"),
            Event::Progress(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_come_from_one_source_without_a_stall() {
    many_at_once(Way::Tcp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_come_from_one_source_over_quic_without_a_stall() {
    many_at_once(Way::Quic).await;
}
