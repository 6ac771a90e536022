//! A disk that fills up, fails to sync, or stops at any step.

use std::collections::BTreeMap;

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

    /// The power fails: what was not synced is gone.
    pub(super) fn lose_power(&self) {
        for (file, writes) in std::mem::take(&mut lock(&self.fate).unsynced).into_values() {
            for (offset, len) in writes {
                let end = file.metadata().unwrap().len().min(offset + len as u64);
                file.write_all_at(&vec![0; end.saturating_sub(offset) as usize], offset).unwrap();
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
        System.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        System.remove(path)
    }
}
