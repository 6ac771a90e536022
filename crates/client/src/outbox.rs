//! The outbox as a file: records are only appended, each with its length and checksum, and rewritten as a whole when
//! most of them are answered.
//!
//! What was cut off by a crash at its end was never sent, because nothing is sent before it is durable. Damage
//! elsewhere is another matter: the file is kept as it was, what is whole goes on, and the user is told.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use hobnob_protocol::codec;
use hobnob_protocol::v1::client_frame::Body;
use hobnob_protocol::v1::{ClientFrame, Submit};

use crate::file::{self, CHECKSUM_BYTES};
use crate::random::{self, Random};
use crate::storage::{Outbox, Record, Waiting};

/// Below this the file is not worth rewriting.
const COMPACT_BYTES_MIN: u64 = 256 * 1024;
/// Length and checksum.
const FRAME_BYTES: usize = 4 + CHECKSUM_BYTES;
/// No record is longer: a submit fits in a frame of the wire.
const RECORD_BYTES_MAX: usize = hobnob_protocol::limits::FRAME_BYTES_MAX + 1;

const HEAD: u8 = 0;
const ADDED: u8 = 1;
const ANSWERED: u8 = 2;

/// An outbox in a file.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    name: [u8; 16],
    next: u64,
    /// Bytes of the file that count.
    len: u64,
    /// Where the record of each unanswered number is: offset and length, frame included.
    live: BTreeMap<u64, (u64, u64)>,
    /// Bytes of these records.
    live_bytes: u64,
    random: Arc<dyn Random>,
    blocks: bool,
    /// The file was damaged when it was opened.
    damaged: bool,
    /// A write failed: nobody knows what is on the disk.
    broken: bool,
}

impl Journal {
    /// Opens the file, or makes it, and cuts off what a crash left unfinished at its end. A damaged one is kept beside
    /// it as `outbox.damaged`.
    pub(crate) fn open(path: &Path, random: Arc<dyn Random>, blocks: bool) -> io::Result<(Self, Waiting)> {
        let content = match std::fs::read(path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let Some(found) = Found::read(&content) else {
            return Self::make(path, random, blocks, &content);
        };
        if found.damaged {
            set_aside(path, &content)?;
        }
        let file = file::options().open(path)?;
        let Found { name, next, len, live, submits, damaged } = found;
        let waiting = Waiting { submits: submits.into_values().collect(), next };
        let live_bytes = live.values().map(|(_, len)| len).sum();
        let (path, broken) = (path.to_owned(), false);
        let mut journal =
            Self { path, file, name, next, len, live, live_bytes, random, blocks, damaged, broken };
        if damaged {
            journal.rewrite_live()?;
        } else if len < content.len() as u64 {
            tracing::warn!(bytes = content.len() as u64 - len, "the outbox was cut off by a crash");
            journal.file.set_len(len)?;
            journal.file.sync_all()?;
        }
        Ok((journal, waiting))
    }

    /// A new one. What is there instead is no outbox.
    fn make(
        path: &Path,
        random: Arc<dyn Random>,
        blocks: bool,
        content: &[u8],
    ) -> io::Result<(Self, Waiting)> {
        let damaged = !content.is_empty();
        if damaged {
            set_aside(path, content)?;
        }
        let name = random::bytes(&*random);
        let content = frame(&head(name, 1));
        let file = file::replace(path, &content)?;
        let (path, len, live) = (path.to_owned(), content.len() as u64, BTreeMap::new());
        let (next, live_bytes, broken) = (1, 0, false);
        let journal = Self { path, file, name, next, len, live, live_bytes, random, blocks, damaged, broken };
        Ok((journal, Waiting { submits: Vec::new(), next: 1 }))
    }

    fn apply(&mut self, records: &[Record]) -> io::Result<()> {
        let mut batch = Vec::new();
        let mut durable = false;
        for record in records {
            match record {
                Record::Added(submit) => {
                    let at = self.len + batch.len() as u64;
                    batch.extend(frame(&added(submit)));
                    self.note(submit.number, at, self.len + batch.len() as u64 - at);
                    self.next = self.next.max(submit.number.saturating_add(1));
                    durable = true;
                }
                Record::Answered(number) => {
                    batch.extend(frame(&answered(*number)));
                    self.live_bytes -= self.live.remove(number).map_or(0, |(_, len)| len);
                }
                Record::Renewed(submits) => {
                    batch.clear();
                    durable = false;
                    self.renew(submits)?;
                }
            }
        }
        self.append(&batch, durable)?;
        self.compact()
    }

    /// Notes where the record of an unanswered number is.
    fn note(&mut self, number: u64, at: u64, len: u64) {
        let before = self.live.insert(number, (at, len));
        self.live_bytes = self.live_bytes + len - before.map_or(0, |(_, len)| len);
    }

    fn append(&mut self, batch: &[u8], durable: bool) -> io::Result<()> {
        self.file.write_all_at(batch, self.len)?;
        self.len += batch.len() as u64;
        if durable { self.file.sync_data() } else { Ok(()) }
    }

    fn renew(&mut self, submits: &[Submit]) -> io::Result<()> {
        self.name = random::bytes(&*self.random);
        self.next = submits.last().map_or(1, |submit| submit.number.saturating_add(1));
        let records: Vec<_> = submits.iter().map(|submit| (submit.number, frame(&added(submit)))).collect();
        self.rewrite(records)
    }

    /// Rewrites the file once most of it is history.
    fn compact(&mut self) -> io::Result<()> {
        if self.len < COMPACT_BYTES_MIN || self.len < self.live_bytes.saturating_mul(4) {
            return Ok(());
        }
        self.rewrite_live()
    }

    fn rewrite_live(&mut self) -> io::Result<()> {
        let mut records = Vec::new();
        for (number, (at, len)) in &self.live {
            let mut record = vec![0; *len as usize];
            self.file.read_exact_at(&mut record, *at)?;
            records.push((*number, record));
        }
        self.rewrite(records)
    }

    fn rewrite(&mut self, records: Vec<(u64, Vec<u8>)>) -> io::Result<()> {
        let mut content = frame(&head(self.name, self.next));
        self.live.clear();
        self.live_bytes = 0;
        for (number, record) in records {
            self.note(number, content.len() as u64, record.len() as u64);
            content.extend(record);
        }
        self.file = file::replace(&self.path, &content)?;
        self.len = content.len() as u64;
        Ok(())
    }
}

impl Outbox for Journal {
    fn name(&self) -> [u8; 16] {
        self.name
    }

    fn write(&mut self, records: &[Record]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write failed"));
        }
        let result = self.apply(records);
        self.broken = result.is_err();
        result
    }

    fn blocks(&self) -> bool {
        self.blocks
    }

    fn damaged(&self) -> bool {
        self.damaged
    }
}

/// Keeps a damaged file, which is about to be replaced.
fn set_aside(path: &Path, content: &[u8]) -> io::Result<()> {
    tracing::warn!("the outbox is damaged; it is kept as outbox.damaged");
    file::replace(&path.with_extension("damaged"), content).map(drop)
}

/// What a file holds.
struct Found {
    name: [u8; 16],
    next: u64,
    len: u64,
    live: BTreeMap<u64, (u64, u64)>,
    submits: BTreeMap<u64, Submit>,
    /// Something in it is neither whole nor the end that a crash left.
    damaged: bool,
}

impl Found {
    /// Reads every record that is whole, up to what a crash left at the end. None if the head is not one.
    fn read(content: &[u8]) -> Option<Self> {
        let first = unframe(content)?;
        let (name, next) = parse_head(first)?;
        let len = (FRAME_BYTES + first.len()) as u64;
        let (live, submits, damaged) = (BTreeMap::new(), BTreeMap::new(), false);
        let mut found = Self { name, next, len, live, submits, damaged };
        loop {
            let rest = &content[found.len as usize..];
            if unframe(rest).is_some_and(|payload| found.take(payload).is_some()) {
                continue;
            }
            found.damaged |= claims_to_be_whole(rest);
            let Some(skip) = (1..rest.len()).find(|at| unframe(&rest[*at..]).is_some()) else {
                return Some(found);
            };
            found.damaged = true;
            found.len += skip as u64;
        }
    }

    fn take(&mut self, payload: &[u8]) -> Option<()> {
        let (kind, rest) = payload.split_first()?;
        let len = (FRAME_BYTES + payload.len()) as u64;
        match *kind {
            ADDED => {
                let submit = parse_added(rest)?;
                self.next = self.next.max(submit.number.checked_add(1)?);
                self.live.insert(submit.number, (self.len, len));
                self.submits.insert(submit.number, submit);
            }
            ANSWERED => {
                let number = u64::from_le_bytes(rest.try_into().ok()?);
                self.live.remove(&number);
                self.submits.remove(&number);
            }
            _ => return None,
        }
        self.len += len;
        Some(())
    }
}

fn head(name: [u8; 16], next: u64) -> Vec<u8> {
    [&[HEAD][..], &name, &next.to_le_bytes()].concat()
}

fn parse_head(payload: &[u8]) -> Option<([u8; 16], u64)> {
    let (kind, rest) = payload.split_first()?;
    let (name, next) = rest.split_at_checked(16)?;
    (*kind == HEAD).then_some(())?;
    Some((name.try_into().ok()?, u64::from_le_bytes(next.try_into().ok()?)))
}

/// A submit is kept as the frame of the wire that carries it.
fn added(submit: &Submit) -> Vec<u8> {
    let frame = ClientFrame { id: 0, body: Some(Body::Submit(submit.clone())) };
    [&[ADDED][..], &codec::encode(&frame)].concat()
}

fn parse_added(bytes: &[u8]) -> Option<Submit> {
    match codec::decode_client(Bytes::copy_from_slice(bytes), RECORD_BYTES_MAX).ok()?.body? {
        Body::Submit(submit) => Some(submit),
        _ => None,
    }
}

fn answered(number: u64) -> Vec<u8> {
    [&[ANSWERED][..], &number.to_le_bytes()].concat()
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut record = (payload.len() as u32).to_le_bytes().to_vec();
    record.extend_from_slice(&file::checksum(payload));
    record.extend_from_slice(payload);
    record
}

/// The payload of the record at the beginning, if it is whole.
fn unframe(bytes: &[u8]) -> Option<&[u8]> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<CHECKSUM_BYTES>()?;
    let len = u32::from_le_bytes(*len) as usize;
    if len > RECORD_BYTES_MAX {
        return None;
    }
    let payload = rest.get(..len)?;
    (file::checksum(payload) == *sum).then_some(payload)
}

/// Whether a record of the length named fits in: then it is damaged, not cut off.
fn claims_to_be_whole(bytes: &[u8]) -> bool {
    let Some((len, rest)) = bytes.split_first_chunk::<4>() else { return false };
    let len = u32::from_le_bytes(*len) as usize;
    len <= RECORD_BYTES_MAX && len.saturating_add(CHECKSUM_BYTES) <= rest.len()
}

#[cfg(test)]
mod tests {
    use hobnob_protocol::v1::DirectMessage;
    use hobnob_protocol::v1::submit::Op;

    use super::*;
    use crate::SystemRandom;

    fn open(path: &Path) -> (Journal, Waiting) {
        Journal::open(path, Arc::new(SystemRandom::new()), false).unwrap()
    }

    fn message(number: u64, text: &str) -> Submit {
        let op = Op::Message(DirectMessage { to: "yoda".into(), text: text.into() });
        Submit { number, op: Some(op) }
    }

    fn numbers(waiting: &Waiting) -> Vec<u64> {
        waiting.submits.iter().map(|submit| submit.number).collect()
    }

    #[test]
    fn keeps_what_has_no_answer_and_never_gives_a_number_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox");
        let (mut journal, waiting) = open(&path);
        assert_eq!(waiting, Waiting { submits: vec![], next: 1 });
        let name = journal.name();
        journal.write(&[1, 2, 3].map(|n| Record::Added(message(n, "hello")))).unwrap();
        journal.write(&[Record::Answered(1), Record::Answered(3)]).unwrap();
        drop(journal);
        let (mut journal, waiting) = open(&path);
        assert_eq!(waiting, Waiting { submits: vec![message(2, "hello")], next: 4 });
        assert_eq!(journal.name(), name);
        journal.write(&[Record::Answered(2)]).unwrap();
        drop(journal);
        assert_eq!(open(&path).1, Waiting { submits: vec![], next: 4 });
    }

    #[test]
    fn a_file_cut_anywhere_yields_a_prefix_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox");
        let (mut journal, _) = open(&path);
        let mut ends = vec![(journal.len, vec![])];
        for (record, expected) in [
            (Record::Added(message(1, "one")), vec![1]),
            (Record::Added(message(2, "two")), vec![1, 2]),
            (Record::Answered(1), vec![2]),
            (Record::Added(message(3, "three")), vec![2, 3]),
        ] {
            journal.write(&[record]).unwrap();
            ends.push((journal.len, expected));
        }
        let whole = std::fs::read(&path).unwrap();
        for cut in ends[0].0..=whole.len() as u64 {
            std::fs::write(&path, &whole[..cut as usize]).unwrap();
            let (mut journal, waiting) = open(&path);
            let expected = ends.iter().rev().find(|(end, _)| *end <= cut).unwrap();
            assert_eq!(numbers(&waiting), expected.1, "cut at {cut}");
            assert!(!journal.damaged(), "cut at {cut}");
            assert_eq!(journal.len, expected.0);
            journal.write(&[Record::Added(message(waiting.next, "more"))]).unwrap();
            assert_eq!(open(&path).1.submits.last().unwrap().number, waiting.next, "cut at {cut}");
        }
    }

    #[test]
    fn damage_in_the_middle_is_told_and_costs_one_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox");
        let (mut journal, _) = open(&path);
        let name = journal.name();
        let mut ends = vec![journal.len as usize];
        for number in 1..=3 {
            journal.write(&[Record::Added(message(number, "hello"))]).unwrap();
            ends.push(journal.len as usize);
        }
        assert!(!journal.damaged());
        let whole = std::fs::read(&path).unwrap();
        for at in ends[1]..ends[2] {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            std::fs::write(&path, &bytes).unwrap();
            let (mut journal, waiting) = open(&path);
            assert_eq!((numbers(&waiting), waiting.next), (vec![1, 3], 4), "at {at}");
            assert!(journal.damaged() && journal.name() == name);
            assert_eq!(std::fs::read(path.with_extension("damaged")).unwrap(), bytes);
            journal.write(&[Record::Answered(1), Record::Added(message(4, "more"))]).unwrap();
            let (journal, waiting) = open(&path);
            assert!(!journal.damaged(), "it is told once");
            assert_eq!(numbers(&waiting), [3, 4]);
        }
    }

    #[test]
    fn thousands_wait_in_few_bytes_and_are_answered_without_much_ado() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox");
        let (mut journal, _) = open(&path);
        let all: Vec<_> = (1..=16_000).map(|number| Record::Added(message(number, "hello"))).collect();
        journal.write(&all).unwrap();
        let most = journal.len;
        for number in 1..16_000 {
            journal.write(&[Record::Answered(number)]).unwrap();
            assert!(journal.len <= 2 * most, "{}", journal.len);
            let live = journal.live.values().map(|(_, len)| len).sum::<u64>();
            assert!(number % 1000 > 0 || journal.live_bytes == live);
        }
        assert!(journal.len <= COMPACT_BYTES_MIN, "{}", journal.len);
        assert_eq!(numbers(&open(&path).1), [16_000]);
    }

    #[test]
    fn a_flipped_bit_costs_one_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox");
        let (mut journal, _) = open(&path);
        let head_len = journal.len as usize;
        journal.write(&[1, 2].map(|n| Record::Added(message(n, "hello")))).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for at in head_len..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            std::fs::write(&path, &bytes).unwrap();
            let found = numbers(&open(&path).1);
            assert!(found.len() == 1, "bit at {at}: {found:?}");
        }
    }

    #[test]
    fn a_damaged_head_starts_a_new_outbox_and_keeps_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox");
        let name = open(&path).0.name();
        std::fs::write(&path, b"nonsense").unwrap();
        let (journal, waiting) = open(&path);
        assert_ne!(journal.name(), name);
        assert!(journal.damaged());
        assert_eq!(waiting, Waiting { submits: vec![], next: 1 });
        assert_eq!(std::fs::read(folder.path().join("outbox.damaged")).unwrap(), b"nonsense");
    }

    #[test]
    fn renewed_means_a_new_name_and_only_what_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox");
        let (mut journal, _) = open(&path);
        let name = journal.name();
        journal.write(&[7, 8].map(|n| Record::Added(message(n, "hello")))).unwrap();
        let renewed = Record::Renewed(vec![message(1, "hello")]);
        journal.write(&[Record::Added(message(9, "x")), renewed, Record::Added(message(2, "y"))]).unwrap();
        assert_ne!(journal.name(), name);
        let (reopened, waiting) = open(&path);
        assert_eq!(reopened.name(), journal.name());
        assert_eq!(waiting, Waiting { submits: vec![message(1, "hello"), message(2, "y")], next: 3 });
    }

    #[test]
    fn compaction_bounds_the_file_and_keeps_what_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox");
        let (mut journal, _) = open(&path);
        let text = "x".repeat(1000);
        journal.write(&[Record::Added(message(1, "first"))]).unwrap();
        for number in 2..2000 {
            journal.write(&[Record::Added(message(number, &text)), Record::Answered(number)]).unwrap();
            assert!(journal.len <= COMPACT_BYTES_MIN + 4096, "{}", journal.len);
        }
        drop(journal);
        assert_eq!(open(&path).1, Waiting { submits: vec![message(1, "first")], next: 2000 });
        assert!(!path.with_extension("new").exists());
    }

    #[test]
    fn after_a_failed_write_nothing_more_is_promised() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox");
        let (mut journal, _) = open(&path);
        journal.file = File::open(&path).unwrap();
        assert!(journal.write(&[Record::Added(message(1, "hello"))]).is_err());
        journal.file = file::options().open(&path).unwrap();
        assert!(journal.write(&[Record::Added(message(1, "hello"))]).is_err());
    }
}
