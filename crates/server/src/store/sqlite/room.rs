//! How much room the disk has for messages.
//!
//! A database that has filled its disk to the last byte cannot even forget anything: a deletion is written to the log
//! first. So messages are refused while some room is left, and what makes room goes on with that.

use std::path::Path;

use super::{Writer, open};

/// With so much free nothing needs to be reckoned: more than a log and a full queue of messages can take.
const PLENTY_BYTES: u64 = 256 << 20;
/// With less free the log is kept short.
const SCARCE_BYTES: u64 = 32 << 20;
/// Below this, the log's own file included, there is none for a log, and so for nothing.
const LOG_BYTES_MIN: u64 = 4 << 20;
/// Pages in the log after which a commit copies them to the database, while it is kept short.
const SCARCE_CHECKPOINT_PAGES: u32 = 200;

impl Writer {
    pub(super) fn room(&mut self, wanted: u64) -> u64 {
        // Where the system does not say, the first write that fails will.
        let Some(free) = free_bytes(&self.dir) else { return u64::MAX };
        if free >= PLENTY_BYTES && !self.scarce {
            return free;
        }
        let mut room = self.reckon(free);
        self.set_scarce(free < SCARCE_BYTES);
        if room < wanted {
            // What the log holds is room, too, once the database has it.
            if let Err(error) = self.empty_log() {
                tracing::debug!(%error, "the write-ahead log could not be emptied");
            }
            room = self.reckon(free_bytes(&self.dir).unwrap_or(free));
        }
        room
    }

    /// Bytes that new rows can take: what is free on the disk and in the database, but for what the log already
    /// holds and the database has yet to grow by.
    fn reckon(&self, free: u64) -> u64 {
        let pages = |pragma| self.conn.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0));
        let (Ok(all), Ok(unused), Ok(size)) =
            (pages("page_count"), pages("freelist_count"), pages("page_size"))
        else {
            return free;
        };
        let bytes = |pages: u32| u64::from(pages) * u64::from(size);
        let length = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        if free + length(&self.log) < LOG_BYTES_MIN {
            return 0;
        }
        let growth = bytes(all).saturating_sub(length(&open::database(&self.dir)));
        (free + bytes(unused)).saturating_sub(growth)
    }

    fn set_scarce(&mut self, scarce: bool) {
        if std::mem::replace(&mut self.scarce, scarce) == scarce {
            return;
        }
        let pages = if scarce { SCARCE_CHECKPOINT_PAGES } else { open::CHECKPOINT_PAGES };
        if let Err(error) = self.conn.pragma_update(None, "wal_autocheckpoint", pages) {
            tracing::debug!(%error, "the length of the write-ahead log could not be set");
        }
    }
}

/// Bytes that are free on the disk of a folder, for this user.
fn free_bytes(dir: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    // A file system that counts no blocks (FUSE without statfs) has nothing to say on what is free.
    if disk.f_blocks == 0 {
        return None;
    }
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_system_that_counts_no_blocks_does_not_count_as_full() {
        assert_eq!(free_bytes(Path::new("/proc")), None);
        assert!(free_bytes(Path::new("/")).is_some());
    }
}
