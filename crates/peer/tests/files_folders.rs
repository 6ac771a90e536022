//! Folders: shared as a list and its files, and built again.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod files_common;

use std::path::Path;

use files_common::hostile::{HandGiver, Manner};
use files_common::{Node, SOON, Server, Way, content};
use hobnob_peer::file::ContentId;
use hobnob_peer::files::{Content, Event, Progress};
use hobnob_protocol::v1;
use tokio::time::timeout;

const CHUNK: usize = 256 * 1024;

fn put(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_built_again() {
    let server = Server::default();
    let mut giver = Node::start(&server, 1, Way::Tcp).await;
    let root = giver.folder.path().join("holiday");
    let large = content(5 * CHUNK + 3, 1);
    let files: [(&str, &[u8]); 7] = [
        ("a.txt", b"a"),
        ("empty", b""),
        ("also empty", b""),
        ("pictures/1.jpg", &large),
        ("pictures/copy of 1.jpg", &large),
        ("pictures/raw/2.jpg", b"2"),
        ("z%y\nx", b"odd"),
    ];
    files.iter().for_each(|(path, bytes)| put(&root, path, bytes));
    std::os::unix::fs::symlink("/etc/passwd", root.join("link")).unwrap();
    giver.files().share(&root).unwrap();
    let Event::Sharing { name, size, chunks, id, .. } = giver.next().await else { panic!("not shared") };
    assert_eq!((name.as_str(), size, chunks), ("holiday", 2 * large.len() as u64 + 5, 15));
    let shared = giver.server.with_id(id);
    let mut taker = Node::start(&server, 2, Way::Tcp).await;
    taker.download(shared);
    let path = taker.downloaded().await;
    assert_eq!(path, taker.downloads.join("holiday"));
    for (name, bytes) in files {
        let name = if name == "z%y\nx" { "z%y^Jx" } else { name };
        assert!(std::fs::read(path.join(name)).unwrap() == bytes, "{name}");
    }
    assert!(!path.join("link").exists());
    // It comes back at the next login, and a third gets it from there.
    let mut taker = taker.restart().await;
    assert!(matches!(taker.next().await, Event::Sharing { again: true, id: of, .. } if of == id));
    giver.leave().await;
    let mut third = Node::start(&server, 3, Way::Tcp).await;
    third.download(shared);
    let path = third.downloaded().await;
    assert!(std::fs::read(path.join("pictures/1.jpg")).unwrap() == large);
    third.download(shared);
    assert!(matches!(third.next().await, Event::AlreadyThere { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_is_a_folder() {
    let server = Server::default();
    let mut giver = Node::start(&server, 1, Way::Tcp).await;
    let root = giver.folder.path().join("nothing");
    std::fs::create_dir(&root).unwrap();
    let shared = giver.share_path(&root).await;
    let mut taker = Node::start(&server, 2, Way::Tcp).await;
    taker.download(shared);
    assert!(taker.downloaded().await.is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_leads_out_of_the_folder_is_refused() {
    let server = Server::default();
    let mut giver = Node::start(&server, 1, Way::Tcp).await;
    let mut taker = Node::start(&server, 2, Way::Tcp).await;
    let evil = giver.share("evil.bin", b"evil").await;
    for (number, path) in ["../evil.bin", "/tmp/evil.bin", "a/../../evil.bin", "a//b"].iter().enumerate() {
        let text = format!("hobnob folder 1\n{:#} 4 {path}\n", evil.id);
        let list = giver.share(&format!("list{number}"), text.as_bytes()).await;
        let mut entry = server.entry(list);
        entry.folder = Some(v1::Folder { bytes: 4, files: 1 });
        taker.files().download(entry).unwrap();
        let failed = taker.next().await;
        assert!(matches!(failed, Event::DownloadFailed { resumable: false, .. }), "{path}: {failed:?}");
    }
    assert_eq!(std::fs::read_dir(&taker.downloads).unwrap().count(), 0);
    let huge = Content { id: ContentId::of(b"huge"), size: 9 << 20 };
    let mut entry = server.entry(huge);
    entry.folder = Some(v1::Folder::default());
    taker.files().download(entry).unwrap();
    assert!(matches!(taker.next().await, Event::DownloadFailed { .. }));
}

/// Shares the list of a folder without its files.
async fn share_list(giver: &mut Node, name: &str, files: &[(&str, Content)]) -> Content {
    let lines = files.iter().map(|(path, content)| format!("{:#} {} {path}\n", content.id, content.size));
    let text = format!("hobnob folder 1\n{}", lines.collect::<String>());
    let list = giver.share(name, text.as_bytes()).await;
    let bytes = files.iter().map(|(_, content)| content.size).sum();
    let folder = v1::Folder { bytes, files: files.len() as u32 };
    giver.server.lock().names.insert(list, (name.to_owned(), Some(folder)));
    list
}

/// Waits until this is so of a download.
async fn until(node: &mut Node, id: ContentId, so: impl Fn(&Progress) -> bool) {
    let wait = async {
        loop {
            node.files().downloads().unwrap();
            let all = loop {
                if let Some(Event::Downloads(all)) = node.events.recv().await {
                    break all;
                }
            };
            if all.iter().any(|one| one.id == id && so(one)) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, wait).await.expect("it becomes so");
}

/// Nothing of the folder is under way: it waits for what the person fetches for itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_goes_on_when_another_download_has_fetched_its_file() {
    let server = Server::default();
    let mut giver = Node::start(&server, 1, Way::Tcp).await;
    let bytes = content(20 * CHUNK + 1, 5);
    let large = Content { id: ContentId::of(&bytes), size: bytes.len() as u64 };
    let list = share_list(&mut giver, "iso", &[("large.bin", large)]).await;
    let mut taker = Node::start(&server, 2, Way::Tcp).await;
    taker.download(large);
    taker.download(list);
    until(&mut taker, list.id, |folder| folder.size == large.size && folder.stalled).await;
    let _source = HandGiver::start(&server, 10, &bytes, Manner::Honest(1000)).await;
    assert_eq!(taker.downloaded().await, taker.downloads.join("file"));
    let folder = taker.downloaded().await;
    assert_eq!(folder, taker.downloads.join("iso"));
    assert!(std::fs::read(folder.join("large.bin")).unwrap() == bytes);
}

/// Nothing is put into a folder of the person's, nor through a link; what was begun goes on where it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_gets_a_place_of_its_own() {
    let server = Server::default();
    let mut giver = Node::start(&server, 1, Way::Tcp).await;
    let small = giver.share("b", b"theirs").await;
    let bytes = content(3 * CHUNK, 6);
    let large = Content { id: ContentId::of(&bytes), size: bytes.len() as u64 };
    let list = share_list(&mut giver, "src", &[("b", small), ("deep/large", large)]).await;
    let mut taker = Node::start(&server, 2, Way::Tcp).await;
    let place = |name: &str| taker.downloads.join(name);
    let (own, link, third) = (place("src"), place("src (1)"), place("src (2)"));
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("a"), b"mine").unwrap();
    let elsewhere = taker.folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
    taker.download(list);
    until(&mut taker, list.id, |folder| folder.done == small.size).await;
    // One that was cancelled, and one after the end, go on there.
    taker.files().cancel("src").unwrap();
    assert_eq!(taker.next().await, Event::Cancelled { name: "src".to_owned(), id: list.id });
    taker.download(list);
    until(&mut taker, list.id, |folder| folder.done == small.size).await;
    let mut taker = taker.restart().await;
    taker.download(list);
    let _source = HandGiver::start(&server, 10, &bytes, Manner::Honest(1000)).await;
    let path = loop {
        match taker.next().await {
            Event::Sharing { .. } => {}
            Event::Downloaded { name, path, .. } => {
                assert_eq!(name, "src (2)");
                break path;
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(path, third);
    assert!(std::fs::read(path.join("deep/large")).unwrap() == bytes);
    assert_eq!(std::fs::read_dir(&own).unwrap().count(), 1);
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(&taker.downloads).unwrap().count(), 3);
    // It is recognised where nothing is kept of it.
    taker.files().unshare("src").unwrap();
    assert_eq!(taker.next().await, Event::Unshared { name: "src".to_owned() });
    taker.download(list);
    assert_eq!(taker.downloaded().await, third);
}
