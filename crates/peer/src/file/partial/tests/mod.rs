//! Downloads on a real disk and on one that fails.

mod crash;
mod fake;
mod writers;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::file::manifest::tests::content;
use crate::file::manifest::{Blame, ContentHash, Fault};
use disk::System;

const MIN: usize = 256 * 1024;
const BLOCK: usize = 100_000;

/// A content that somebody offers, and folders to download it to.
struct Setup {
    content: Vec<u8>,
    manifest: Manifest,
    root: tempfile::TempDir,
}

impl Setup {
    fn new(size: usize) -> Self {
        let content = content(size);
        let mut hash = ContentHash::new(Shape::of(size as u64).unwrap());
        hash.feed(&content);
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("downloads")).unwrap();
        std::fs::create_dir(root.path().join("journals")).unwrap();
        Self { content, manifest: hash.finish().unwrap(), root }
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("downloads")
    }

    fn journals(&self) -> PathBuf {
        self.root.path().join("journals")
    }

    fn journal(&self) -> PathBuf {
        self.journals().join(format!("{:#}-{}.journal", self.manifest.id(), self.content.len()))
    }

    fn open_on(&self, disk: Arc<dyn Disk>) -> Result<Opened, PartialError> {
        let (id, shape) = (self.manifest.id(), self.manifest.shape());
        let (folder, journals) = (self.folder(), self.journals());
        Partial::open_on(disk, &Target { id, shape, name: "../f.bin", folder: &folder, journals: &journals })
    }

    fn open(&self) -> Arc<Partial> {
        let Opened::Going(partial) = self.open_on(Arc::new(System)).unwrap() else { panic!("complete") };
        partial
    }

    /// The manifest as a stranger gives it.
    fn given(&self) -> Manifest {
        Manifest::decode(self.manifest.id(), self.manifest.shape(), self.manifest.encode()).unwrap()
    }

    fn bytes(&self, chunk: u32) -> &[u8] {
        let range = self.manifest.shape().range(chunk).unwrap();
        &self.content[range.start as usize..range.end as usize]
    }

    fn write(&self, partial: &Arc<Partial>, chunk: u32) -> Result<Verified, WriteError> {
        feed(partial.writer(chunk)?, self.bytes(chunk))
    }

    /// What is said to be there is there.
    fn check(&self, partial: &Partial) {
        for chunk in partial.verified().iter() {
            assert!(self.is_there(partial, chunk), "chunk {chunk}");
        }
    }

    fn is_there(&self, partial: &Partial, chunk: u32) -> bool {
        let range = self.manifest.shape().range(chunk).unwrap();
        let mut block = vec![0; (range.end - range.start) as usize];
        partial.read_at(range.start, &mut block).is_ok() && block == self.bytes(chunk)
    }

    /// Fetches what is missing and finishes.
    fn complete(&self, partial: &Arc<Partial>) -> PathBuf {
        partial.give(self.given());
        if let Some(last) = self.manifest.shape().last().filter(|last| !partial.has(*last)) {
            self.write(partial, last).unwrap();
        }
        for chunk in partial.verified().missing().iter() {
            self.write(partial, chunk).unwrap();
        }
        let finished = partial.finish().unwrap();
        assert_eq!(std::fs::read(&finished.path).unwrap(), self.content);
        let source = finished.source.unwrap();
        assert_eq!((source.path(), source.manifest()), (&*finished.path, &self.manifest));
        finished.path
    }

    /// The names in the folder of downloads, without empty parts.
    fn names(&self) -> Vec<String> {
        let is_empty_part = |path: &Path| {
            path.extension().is_some_and(|end| end == "part") && path.metadata().unwrap().len() == 0
        };
        let entries = self.folder().read_dir().unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<_> = entries
            .filter(|path| !is_empty_part(path))
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    fn has_journals(&self) -> bool {
        self.journals().read_dir().unwrap().next().is_some()
    }
}

fn feed(mut writer: ChunkWriter, bytes: &[u8]) -> Result<Verified, WriteError> {
    bytes.chunks(BLOCK).try_for_each(|block| writer.write(block))?;
    writer.finish()
}

fn set(chunks: u32, members: &[u32]) -> ChunkSet {
    let mut set = ChunkSet::none(chunks);
    members.iter().for_each(|chunk| assert!(set.insert(*chunk)));
    set
}

#[test]
fn files_of_all_sizes_come_in() {
    for size in [0, 1, MIN - 1, MIN, MIN + 1, 2 * MIN, 5 * MIN + 1234] {
        let setup = Setup::new(size);
        let partial = setup.open();
        assert_eq!(partial.name(), "_._f.bin");
        if size > 0 {
            assert!(matches!(partial.finish(), Err(PartialError::Incomplete)));
            assert_eq!(setup.names(), ["_._f.bin.part"]);
            assert_eq!(partial.path().metadata().unwrap().len(), size as u64);
        }
        let path = setup.complete(&partial);
        assert_eq!(path, setup.folder().canonicalize().unwrap().join("_._f.bin"));
        assert_eq!(setup.names(), ["_._f.bin"]);
        assert!(!setup.has_journals());
        // It is still read from, as long as somebody does.
        setup.check(&partial);
        assert!(partial.verified().is_full() && partial.durable().is_full());
    }
}

#[test]
fn what_is_committed_is_there_the_next_time() {
    let setup = Setup::new(6 * MIN);
    let partial = setup.open();
    assert!(matches!(partial.writer(5), Err(WriteError::NoManifest)));
    assert!(partial.give(setup.given()));
    assert!(matches!(partial.writer(0), Err(WriteError::NotNow(NotNow::LastFirst))));
    assert!(matches!(partial.writer(6), Err(WriteError::NotNow(NotNow::NoSuchChunk))));
    setup.write(&partial, 5).unwrap();
    assert_eq!(partial.manifest().unwrap().trust(), Trust::Proven);
    setup.write(&partial, 1).unwrap();
    assert_eq!((partial.verified(), partial.durable()), (set(6, &[1, 5]), set(6, &[])));
    assert!(matches!(partial.writer(1), Err(WriteError::There)));
    assert_eq!((partial.commit().unwrap(), partial.commit().unwrap()), (2, 0));
    setup.write(&partial, 2).unwrap();
    assert_eq!((partial.verified(), partial.durable()), (set(6, &[1, 2, 5]), set(6, &[1, 5])));
    std::fs::create_dir(setup.journals().join("folder.journal")).unwrap();
    std::fs::write(setup.journals().join("other"), std::fs::read(setup.journal()).unwrap()).unwrap();
    let unfinished = Partial::unfinished(&setup.journals()).unwrap();
    assert_eq!(unfinished.len(), 1);
    assert_eq!((&unfinished[0].name[..], &unfinished[0].durable), ("_._f.bin", &set(6, &[1, 5])));
    assert_eq!((unfinished[0].id, unfinished[0].shape), (partial.id(), partial.shape()));
    drop(partial);

    let partial = setup.open();
    assert_eq!((partial.verified(), partial.durable()), (set(6, &[1, 2, 5]), set(6, &[1, 5])));
    assert_eq!(partial.manifest().as_ref(), Some(&setup.manifest));
    setup.check(&partial);
    setup.complete(&partial);
    assert_eq!(Partial::unfinished(&setup.journals()).unwrap(), []);
}

#[test]
fn only_what_is_there_can_be_read() {
    let setup = Setup::new(3 * MIN);
    let partial = setup.open();
    partial.give(setup.given());
    setup.write(&partial, 2).unwrap();
    setup.write(&partial, 1).unwrap();
    let min = MIN as u64;
    let read = |offset, len| partial.read_at(offset, &mut vec![0; len]);
    for (offset, len) in [(min, 2 * MIN), (2 * min - 1, 2), (3 * min - 1, 1), (0, 0), (3 * min, 0)] {
        read(offset, len).unwrap();
    }
    for (offset, len) in [(0, 1), (min - 1, 2), (3 * min - 1, 2), (3 * min, 1), (u64::MAX, 1), (u64::MAX, 0)]
    {
        assert!(matches!(read(offset, len), Err(PartialError::NotThere)), "{offset} {len}");
    }
}

#[test]
fn one_download_has_one_owner() {
    let setup = Setup::new(2 * MIN);
    let partial = setup.open();
    assert!(matches!(setup.open_on(Arc::new(System)), Err(PartialError::Busy)));
    // Somebody with other journals has another part.
    let other = setup.root.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let (id, shape) = (partial.id(), partial.shape());
    let target = Target { id, shape, name: "../f.bin", folder: &setup.folder(), journals: &other };
    let Opened::Going(second) = Partial::open(&target).unwrap() else { panic!("complete") };
    assert_ne!(partial.path(), second.path());
    // If it leads to the same part by a copied journal, that one is locked itself.
    drop(second);
    std::fs::copy(setup.journal(), other.join(setup.journal().file_name().unwrap())).unwrap();
    assert!(matches!(Partial::open(&target), Err(PartialError::Busy)));
    drop(partial);
    drop(setup.open());
}

#[test]
fn nothing_is_overwritten() {
    let one = Setup::new(2 * MIN);
    let folder = one.folder();
    // Two contents of one name, and things that are there already.
    let mut two = Setup::new(MIN + 1);
    std::fs::write(folder.join("_._f.bin.part"), "mine").unwrap();
    std::fs::write(folder.join("_._f.bin"), "mine too").unwrap();
    std::os::unix::fs::symlink("nowhere", folder.join("_._f (1).bin")).unwrap();
    std::fs::create_dir(folder.join("_._f (2).bin")).unwrap();
    let first = one.open();
    let (id, shape) = (two.manifest.id(), two.manifest.shape());
    let journals = two.journals();
    let target = Target { id, shape, name: "../f.bin", folder: &folder, journals: &journals };
    let Opened::Going(second) = Partial::open(&target).unwrap() else { panic!("complete") };
    assert_eq!(one.complete(&first).file_name().unwrap(), "_._f (3).bin");
    assert_eq!(two.complete(&second).file_name().unwrap(), "_._f (4).bin");
    assert_eq!(std::fs::read(folder.join("_._f.bin.part")).unwrap(), b"mine");
    assert_eq!(std::fs::read(folder.join("_._f.bin")).unwrap(), b"mine too");
    assert_eq!(one.names().len(), 6);
    two.content.clear();
}

#[test]
fn two_that_finish_at_once_get_two_names() {
    let setups: Vec<_> = (0..6).map(|n| Setup::new(n + 1)).collect();
    let folder = setups[0].folder();
    std::thread::scope(|scope| {
        for setup in &setups {
            let folder = &folder;
            scope.spawn(move || {
                let (id, shape) = (setup.manifest.id(), setup.manifest.shape());
                let target = Target { id, shape, name: "f", folder, journals: &setup.journals() };
                let Opened::Going(partial) = Partial::open(&target).unwrap() else { panic!("complete") };
                setup.complete(&partial);
            });
        }
    });
    assert_eq!(setups[0].names(), ["f", "f (1)", "f (2)", "f (3)", "f (4)", "f (5)"]);
}

#[test]
fn a_part_that_is_not_as_it_was_left() {
    let begun = |change: &dyn Fn(&Path)| {
        let setup = Setup::new(4 * MIN + 10);
        let partial = setup.open();
        partial.give(setup.given());
        for chunk in [4, 0, 2] {
            setup.write(&partial, chunk).unwrap();
        }
        partial.commit().unwrap();
        let path = partial.path();
        drop(partial);
        change(&path);
        let partial = setup.open();
        setup.check(&partial);
        // Once found out, it is written down.
        let found = (partial.durable(), partial.path() == path);
        drop(partial);
        let partial = setup.open();
        assert_eq!((partial.durable(), partial.path() == path), found);
        setup.complete(&partial);
        found
    };
    let part = |path: &Path| File::options().read(true).write(true).open(path).unwrap();
    let copy = |path: &Path| {
        let beside = path.with_extension("copy");
        std::fs::copy(path, &beside).unwrap();
        std::fs::rename(&beside, path).unwrap();
    };
    let all = set(5, &[0, 2, 4]);
    assert_eq!(begun(&|_| {}), (all.clone(), true));
    assert_eq!(begun(&|path| std::fs::remove_file(path).unwrap()), (set(5, &[]), true));
    assert_eq!(begun(&|path| part(path).set_len(9 * MIN as u64).unwrap()), (all.clone(), true));
    assert_eq!(begun(&|path| part(path).set_len(3 * MIN as u64).unwrap()), (set(5, &[0, 2]), true));
    assert_eq!(begun(&|path| part(path).set_len(3 * MIN as u64 - 1).unwrap()), (set(5, &[0]), true));
    assert_eq!(begun(&|path| part(path).set_len(0).unwrap()), (set(5, &[]), true));
    // Copied, as by a backup: what it has is looked at.
    assert_eq!(begun(&copy), (all, true));
    let spoilt = |path: &Path| {
        copy(path);
        part(path).write_all_at(b"spoilt", 1000).unwrap();
    };
    assert_eq!(begun(&spoilt), (set(5, &[2, 4]), true));
    // Not a part of ours at all: it stays, and another is begun.
    let foreign = |path: &Path| {
        std::fs::remove_file(path).unwrap();
        std::fs::write(path, "something else").unwrap();
    };
    assert_eq!(begun(&foreign), (set(5, &[]), false));
    let linked = |path: &Path| {
        std::fs::rename(path, path.with_extension("moved")).unwrap();
        std::os::unix::fs::symlink(path.with_extension("moved"), path).unwrap();
    };
    assert_eq!(begun(&linked), (set(5, &[]), false));
}

#[test]
fn a_part_that_is_gone_at_the_end_is_told() {
    let setup = Setup::new(2 * MIN);
    let partial = setup.open();
    partial.give(setup.given());
    setup.write(&partial, 1).unwrap();
    setup.write(&partial, 0).unwrap();
    std::fs::remove_file(partial.path()).unwrap();
    std::fs::write(partial.path(), "another's").unwrap();
    assert!(matches!(partial.finish(), Err(PartialError::Gone)));
    partial.discard().unwrap();
    assert_eq!(setup.names(), ["_._f.bin.part"]);
    assert!(!setup.has_journals());
}

#[test]
fn a_discarded_download_leaves_nothing() {
    let setup = Setup::new(2 * MIN);
    let partial = setup.open();
    partial.give(setup.given());
    setup.write(&partial, 1).unwrap();
    partial.commit().unwrap();
    partial.discard().unwrap();
    assert!(setup.names().is_empty() && !setup.has_journals());
    assert!(matches!(partial.finish(), Err(PartialError::Broken)));
    assert!(matches!(partial.writer(0), Err(WriteError::Disk(PartialError::Broken))));
    drop(partial);
    setup.complete(&setup.open());
}

#[test]
fn what_cannot_be_opened() {
    let setup = Setup::new(2 * MIN);
    let (folder, journals) = (setup.folder(), setup.journals());
    let (id, shape) = (setup.manifest.id(), setup.manifest.shape());
    let target = Target { id, shape, name: "f", folder: &folder, journals: &journals };
    let nowhere = setup.root.path().join("nowhere");
    assert!(matches!(Partial::open(&Target { folder: &nowhere, ..target }), Err(PartialError::Io(_))));
    assert!(!setup.has_journals());
    assert!(matches!(Partial::open(&Target { journals: &nowhere, ..target }), Err(PartialError::Io(_))));
    let shape = Shape::of(0).unwrap();
    assert!(matches!(Partial::open(&Target { shape, ..target }), Err(PartialError::NoSuchContent)));
    assert!(setup.names().is_empty() && !setup.has_journals());
    // The file system says whether it can be so large; if it cannot, nothing is left.
    let shape = Shape::of(hobnob_protocol::limits::FILE_BYTES_MAX).unwrap();
    if let Err(error) = Partial::open(&Target { shape, ..target }) {
        assert!(matches!(error, PartialError::TooLarge), "{error}");
        assert!(setup.names().is_empty() && !setup.has_journals());
    }
}

#[test]
fn a_folder_that_is_away_takes_nothing_with_it() {
    let setup = Setup::new(2 * MIN);
    let partial = setup.open();
    partial.give(setup.given());
    setup.write(&partial, 1).unwrap();
    partial.commit().unwrap();
    drop(partial);
    let away = setup.root.path().join("away");
    std::fs::rename(setup.folder(), &away).unwrap();
    assert!(setup.open_on(Arc::new(System)).is_err());
    std::fs::rename(&away, setup.folder()).unwrap();
    assert_eq!(setup.open().durable(), set(2, &[1]));
}

#[test]
fn a_download_comes_to_the_folder_that_is_named_now() {
    let setup = Setup::new(5 * MIN);
    let partial = setup.open();
    partial.give(setup.given());
    setup.write(&partial, 4).unwrap();
    setup.write(&partial, 1).unwrap();
    let old = partial.path();
    drop(partial);
    let folder = setup.root.path().join("elsewhere");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("_._f.bin.part"), "another's").unwrap();
    let (id, shape) = (setup.manifest.id(), setup.manifest.shape());
    let target = Target { id, shape, name: "f.bin", folder: &folder, journals: &setup.journals() };
    for _ in 0..2 {
        let Opened::Going(partial) = Partial::open(&target).unwrap() else { panic!("complete") };
        assert!(!old.exists() && partial.path().starts_with(folder.canonicalize().unwrap()));
        assert_eq!(partial.verified().iter().collect::<Vec<_>>(), [1, 4]);
        setup.check(&partial);
    }
    assert_eq!(std::fs::read(folder.join("_._f.bin.part")).unwrap(), b"another's");
}
