//! A disk that fills up, fails to sync, or stops at any step.

use std::collections::BTreeMap;
use std::sync::mpsc;

use super::*;

/// The real disk, with a limit.
#[derive(Debug, Default)]
pub(super) struct Fake {
    fate: Mutex<Fate>,
}

#[derive(Debug, Default)]
struct Fate {
    /// Steps until the crash; none means never.
    steps: Option<usize>,
    /// Bytes that there is room for.
    room: Option<usize>,
    /// Syncs fail.
    no_sync: bool,
    /// What was written to a file since it was last synced: offsets and lengths.
    unsynced: BTreeMap<u64, (File, Vec<(u64, usize)>)>,
    /// Somebody takes the next name just before a file gets it.
    robbed: bool,
    /// The next sync says that it has begun, and waits.
    stops: Option<(mpsc::SyncSender<()>, mpsc::Receiver<()>)>,
}

/// What becomes of the writes that were not synced when the power fails.
#[derive(Clone, Copy, Debug)]
pub(super) enum Loss {
    All,
    /// Each by itself is there, lost, or torn, by this seed: the system writes in any order.
    Some(u64),
}

impl Loss {
    /// Which part of so many bytes is lost.
    fn next(&mut self, len: usize) -> std::ops::Range<usize> {
        let Self::Some(seed) = self else { return 0..len };
        // The generator of Knuth's MMIX.
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (fate, place) = (*seed >> 62, (*seed >> 32) as usize % (len + 1));
        match fate {
            0 => 0..0,
            1 => 0..len,
            2 => 0..place,
            _ => place..len,
        }
    }
}

impl Fake {
    pub(super) fn crashing_after(steps: usize) -> Arc<Self> {
        let fake = Self::default();
        lock(&fake.fate).steps = Some(steps);
        Arc::new(fake)
    }

    pub(super) fn has_crashed(&self) -> bool {
        lock(&self.fate).steps == Some(0)
    }

    pub(super) fn leave_room(&self, bytes: Option<usize>) {
        lock(&self.fate).room = bytes;
    }

    pub(super) fn stop_syncing(&self) {
        lock(&self.fate).no_sync = true;
    }

    /// The next sync says when it has begun, and goes on when it is told to.
    pub(super) fn stop_in_next_sync(&self) -> (mpsc::Receiver<()>, mpsc::SyncSender<()>) {
        let ((begun, syncing), (go_on, told)) = (mpsc::sync_channel(1), mpsc::sync_channel(1));
        lock(&self.fate).stops = Some((begun, told));
        (syncing, go_on)
    }

    /// Somebody else takes the next name that a file is to get.
    pub(super) fn rob_next_name(&self) {
        lock(&self.fate).robbed = true;
    }

    /// The power fails: what was not synced is gone, or some of it.
    pub(super) fn lose_power(&self, mut loss: Loss) {
        for (file, writes) in std::mem::take(&mut lock(&self.fate).unsynced).into_values() {
            for (offset, len) in writes {
                let lost = loss.next(len);
                let start = offset + lost.start as u64;
                let end = file.metadata().unwrap().len().min(offset + lost.end as u64);
                file.write_all_at(&vec![0; end.saturating_sub(start) as usize], start).unwrap();
            }
        }
    }

    /// Lets go of the files that it would need when the power fails, and so of their locks.
    pub(super) fn let_go(&self) {
        lock(&self.fate).unsynced.clear();
    }

    /// The last step before the crash is the last that is done as it should be.
    fn step(&self) -> io::Result<()> {
        let mut fate = lock(&self.fate);
        match &mut fate.steps {
            Some(0) => return Err(io::Error::other("crashed")),
            Some(steps) => *steps -= 1,
            None => {}
        }
        if fate.steps == Some(0) { Err(io::Error::other("crash")) } else { Ok(()) }
    }

    fn note(&self, file: &File, offset: u64, len: usize) {
        let inode = std::os::unix::fs::MetadataExt::ino(&file.metadata().unwrap());
        let mut fate = lock(&self.fate);
        let of_file = fate.unsynced.entry(inode).or_insert_with(|| (file.try_clone().unwrap(), Vec::new()));
        of_file.1.push((offset, len));
    }
}

impl Disk for Fake {
    fn create(&self, path: &Path) -> io::Result<File> {
        self.step()?;
        System.create(path)
    }

    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let was_crashed = self.has_crashed();
        let result = self.step();
        if was_crashed {
            return result;
        }
        let room = lock(&self.fate).room.unwrap_or(usize::MAX);
        let written = match &result {
            Ok(()) => bytes.len().min(room),
            Err(_) => bytes.len() / 2,
        };
        self.note(file, offset, written);
        System.write(file, &bytes[..written], offset)?;
        if let Some(room) = &mut lock(&self.fate).room {
            *room -= written;
        }
        result?;
        if written < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn resize(&self, file: &File, len: u64) -> io::Result<()> {
        self.step()?;
        System.resize(file, len)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.step()?;
        let stops = lock(&self.fate).stops.take();
        if let Some((begun, go_on)) = stops {
            begun.send(()).unwrap();
            go_on.recv().unwrap();
        }
        let mut fate = lock(&self.fate);
        if fate.no_sync {
            return Err(io::Error::other("sync"));
        }
        // The real disk is not waited for: this one does not lose power.
        fate.unsynced.remove(&std::os::unix::fs::MetadataExt::ino(&file.metadata()?));
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.step()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        if std::mem::take(&mut lock(&self.fate).robbed) {
            std::fs::write(to, "another's").unwrap();
        }
        System.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        System.remove(path)
    }
}
