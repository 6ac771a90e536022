//! How far the messages were shown: the file, and what is shared between who shows and who tells the server.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hobnob_protocol::v1::Stream;
use tokio::sync::Notify;

use crate::file::{self, CHECKSUM_BYTES};
use crate::storage::{Cursor, CursorFile};

/// Longest epoch that a record holds.
const EPOCH_BYTES_MAX: usize = 64;
/// Generation, length of the epoch, epoch, two numbers, checksum.
const RECORD_BYTES: usize = 8 + 1 + EPOCH_BYTES_MAX + 8 + 8 + CHECKSUM_BYTES;
/// Distance of the two records.
const RECORD_STEP: u64 = 128;

/// A [`Cursor`] in a file of two records written in turn: the younger whole one counts, so a torn write loses only
/// what was about to be noted.
pub(crate) struct Slots {
    file: File,
    generation: u64,
    saved: Cursor,
}

impl Slots {
    /// Opens or makes the file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = file::options().create(true).truncate(false).open(path)?;
        let youngest = [0, 1].into_iter().filter_map(|slot| read(&file, slot)).max_by_key(|found| found.0);
        let (generation, saved) = youngest.unwrap_or_default();
        Ok(Self { file, generation, saved })
    }
}

impl CursorFile for Slots {
    fn load(&self) -> Cursor {
        self.saved.clone()
    }

    fn save(&mut self, cursor: &Cursor) -> io::Result<()> {
        let generation = self.generation + 1;
        let record = encode(generation, cursor)?;
        self.file.write_all_at(&record, generation % 2 * RECORD_STEP)?;
        self.generation = generation;
        self.saved.clone_from(cursor);
        Ok(())
    }
}

fn encode(generation: u64, cursor: &Cursor) -> io::Result<Vec<u8>> {
    if cursor.epoch.len() > EPOCH_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the epoch is too long"));
    }
    let mut record = Vec::with_capacity(RECORD_BYTES);
    record.extend_from_slice(&generation.to_le_bytes());
    record.push(cursor.epoch.len() as u8);
    record.extend_from_slice(&cursor.epoch);
    record.resize(8 + 1 + EPOCH_BYTES_MAX, 0);
    record.extend_from_slice(&cursor.inbox.to_le_bytes());
    record.extend_from_slice(&cursor.broadcast.to_le_bytes());
    record.extend_from_slice(&file::checksum(&record));
    Ok(record)
}

fn read(file: &File, slot: u64) -> Option<(u64, Cursor)> {
    let mut record = [0; RECORD_BYTES];
    file.read_exact_at(&mut record, slot * RECORD_STEP).ok()?;
    let (content, sum) = record.split_at(RECORD_BYTES - CHECKSUM_BYTES);
    if file::checksum(content) != sum {
        return None;
    }
    let number = |at: usize| content[at..at + 8].try_into().map(u64::from_le_bytes).ok();
    let epoch = content[9..].get(..usize::from(content[8]))?.to_vec();
    let numbers = 9 + EPOCH_BYTES_MAX;
    Some((number(0)?, Cursor { epoch, inbox: number(numbers)?, broadcast: number(numbers + 8)? }))
}

/// The cursor as both know it: the one who shows notes it at once, the driver learns of it and tells the server.
pub(crate) struct Marks {
    noted: Mutex<Noted>,
    changed: Notify,
}

struct Noted {
    cursor: Cursor,
    file: Box<dyn CursorFile>,
    /// Per stream the last message of an earlier epoch that was told but not shown: what is shown up to it means
    /// nothing in this epoch.
    foreign: [Option<u64>; 2],
}

impl Marks {
    pub(crate) fn new(file: Box<dyn CursorFile>) -> Self {
        let noted = Noted { cursor: file.load(), file, foreign: [None; 2] };
        Self { noted: Mutex::new(noted), changed: Notify::new() }
    }

    /// Notes that a message was shown.
    pub(crate) fn shown(&self, stream: Stream, seq: u64) {
        let mut noted = self.lock();
        let place = usize::from(stream == Stream::Broadcast);
        if let Some(last) = noted.foreign[place] {
            if last == seq {
                noted.foreign[place] = None;
            }
            return;
        }
        let (inbox, broadcast) = if stream == Stream::Broadcast { (0, seq) } else { (seq, 0) };
        if noted.advance(inbox, broadcast) {
            drop(noted);
            self.changed.notify_one();
        }
    }

    /// Moves forward to these, never back.
    pub(crate) fn advance(&self, inbox: u64, broadcast: u64) {
        self.lock().advance(inbox, broadcast);
    }

    /// Takes these numbers of another epoch instead. `untold` are the last messages of the old one that may yet be
    /// shown.
    pub(crate) fn start_over(&self, cursor: Cursor, untold: [Option<u64>; 2]) {
        let mut noted = self.lock();
        for (foreign, untold) in noted.foreign.iter_mut().zip(untold) {
            *foreign = untold.or(*foreign);
        }
        noted.cursor = cursor;
        noted.save();
    }

    pub(crate) fn cursor(&self) -> Cursor {
        self.lock().cursor.clone()
    }

    /// Waits until something was shown since the last time.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    fn advance(&mut self, inbox: u64, broadcast: u64) -> bool {
        if inbox <= self.cursor.inbox && broadcast <= self.cursor.broadcast {
            return false;
        }
        self.cursor.inbox = self.cursor.inbox.max(inbox);
        self.cursor.broadcast = self.cursor.broadcast.max(broadcast);
        self.save();
        true
    }

    /// A cursor that cannot be saved only means that messages are shown again after a crash.
    fn save(&mut self) {
        if let Err(error) = self.file.save(&self.cursor) {
            tracing::warn!(%error, "the cursor is not saved");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(inbox: u64, broadcast: u64) -> Cursor {
        Cursor { epoch: vec![7; 16], inbox, broadcast }
    }

    #[test]
    fn keeps_what_was_saved_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cursor");
        assert_eq!(Slots::open(&path).unwrap().load(), Cursor::default());
        for number in 1..6 {
            Slots::open(&path).unwrap().save(&at(number, number * 2)).unwrap();
            assert_eq!(Slots::open(&path).unwrap().load(), at(number, number * 2));
        }
        let too_long = Cursor { epoch: vec![0; 65], ..Cursor::default() };
        assert!(Slots::open(&path).unwrap().save(&too_long).is_err());
        assert_eq!(Slots::open(&path).unwrap().load(), at(5, 10));
    }

    #[test]
    fn a_write_torn_anywhere_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cursor");
        let mut slots = Slots::open(&path).unwrap();
        slots.save(&at(1, 1)).unwrap();
        slots.save(&at(2, 2)).unwrap();
        let before = std::fs::read(&path).unwrap();
        slots.save(&at(3, 3)).unwrap();
        let after = std::fs::read(&path).unwrap();
        for torn in 0..RECORD_BYTES {
            let place = RECORD_STEP as usize;
            let mut bytes = before.clone();
            bytes.resize(after.len(), 0);
            bytes[place..place + torn].copy_from_slice(&after[place..place + torn]);
            std::fs::write(&path, &bytes).unwrap();
            let loaded = Slots::open(&path).unwrap().load();
            let whole = bytes[place..] == after[place..];
            assert_eq!(loaded, if whole { at(3, 3) } else { at(2, 2) }, "torn after {torn} bytes");
        }
    }

    #[test]
    fn marks_go_forward_only_and_are_in_the_file_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cursor");
        let marks = Marks::new(Box::new(Slots::open(&path).unwrap()));
        marks.start_over(at(3, 9), [None, None]);
        marks.shown(Stream::Inbox, 5);
        marks.shown(Stream::Inbox, 4);
        marks.shown(Stream::Broadcast, 8);
        marks.advance(2, 11);
        assert_eq!(marks.cursor(), at(5, 11));
        assert_eq!(Slots::open(&path).unwrap().load(), at(5, 11));
    }

    #[test]
    fn what_is_shown_late_of_an_earlier_epoch_moves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let marks = Marks::new(Box::new(Slots::open(&folder.path().join("cursor")).unwrap()));
        marks.start_over(at(3, 0), [Some(41), None]);
        marks.shown(Stream::Inbox, 40);
        marks.shown(Stream::Broadcast, 1);
        assert_eq!(marks.cursor(), at(3, 1));
        marks.shown(Stream::Inbox, 41);
        marks.shown(Stream::Inbox, 4);
        assert_eq!(marks.cursor(), at(4, 1));
    }
}
