//! Files as people see them: real servers and chats, every command and every answer by its exact text.

#[path = "../support/mod.rs"]
mod support;

mod blocks;
mod chaos;
mod folders;
mod leaving;
mod names;
mod outage;
mod relay;
mod searching;
mod sharing;
mod sizes;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use support::{Chat, World};
use tokio::time::Instant;

const CHUNK: usize = 256 * 1024;
/// What takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(30);

/// Somebody with a folder of their own for downloads.
fn person(world: &World, name: &str) -> Chat {
    person_with(world, name, &[])
}

fn person_with(world: &World, name: &str, arguments: &[&str]) -> Chat {
    let downloads = downloads(world, name);
    let mut all = vec!["--downloads", downloads.to_str().expect("a path in UTF-8")];
    all.extend(arguments);
    world.user_with(name, &all)
}

fn downloads(world: &World, name: &str) -> PathBuf {
    world.path(&format!("{name}-downloads"))
}

/// Bytes that look like nothing, others for each seed.
fn content(bytes: usize, seed: u64) -> Vec<u8> {
    let mut content = vec![0; bytes];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut content);
    content
}

/// A file of somebody's, in a folder of its own.
fn file(world: &World, owner: &str, name: &str, bytes: &[u8]) -> PathBuf {
    let folder = world.path(&format!("{owner}-files"));
    fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(name);
    fs::write(&path, bytes).expect("a file");
    path
}

/// The id that people see.
fn id(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..12].to_owned()
}

/// Shares a file, which is known to the server then; its id.
fn share(world: &World, owner: &str, chat: &Chat, name: &str, bytes: &[u8]) -> String {
    let path = file(world, owner, name, bytes);
    chat.types(&format!("share {}", path.display()));
    let line = chat.finds(&format!("Sharing {name}: "));
    let id = id(bytes);
    assert!(line.ends_with(&format!(", {id}")), "{line}");
    id
}

/// Downloads something, and checks that it is what it was.
fn fetch(world: &World, who: &str, chat: &Chat, meant: &str, name: &str, bytes: &[u8]) {
    chat.types(&format!("download {meant}"));
    downloaded(chat, name);
    is_there(&downloads(world, who).join(name), bytes);
}

/// Waits for a download to be complete, and nothing else said of it.
fn downloaded(chat: &Chat, name: &str) -> String {
    let line = chat.finds(&format!("Downloaded {name}: "));
    assert!(line.ends_with(", verified"), "{line}");
    line
}

fn is_there(path: &Path, bytes: &[u8]) {
    let found = fs::read(path).expect("what was downloaded");
    assert!(blake3::hash(&found) == blake3::hash(bytes), "{} is something else", path.display());
}

/// Waits until something is so on the disk.
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not come");
        std::thread::yield_now();
    }
}

/// Whether anything of a download has come that is not complete.
fn has_begun(world: &World, who: &str) -> bool {
    let entries = fs::read_dir(downloads(world, who)).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).any(|metadata| {
        // A part has its length from the beginning; blocks are what has come.
        std::os::unix::fs::MetadataExt::blocks(&metadata) > 0
    })
}

/// Keeps a process from doing anything.
fn freeze(chat: &Chat) {
    chat.signal(rustix::process::Signal::STOP);
}

fn thaw(chat: &Chat) {
    chat.signal(rustix::process::Signal::CONT);
}
