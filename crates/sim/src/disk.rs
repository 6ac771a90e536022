//! A client's folder in memory: what it wrote survives its crash, what it had not written does not.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hobnob_client::storage::{Cursor, CursorFile, Folder, Outbox, Record, Storage, TokenFile, Waiting};
use hobnob_client::{OpenError, Slot};
use hobnob_protocol::v1::Submit;
use hobnob_protocol::v1::submit::Op;
use tokio::sync::Notify;

use crate::chance::Chance;
use crate::sim::{Sim, crash};

/// The folder of one person.
pub(crate) struct Disk {
    sim: Arc<Sim>,
    chance: Chance,
    files: Mutex<Files>,
    /// The process died while it wrote.
    pub(crate) died: Notify,
}

#[derive(Default)]
struct Files {
    seed: [u8; 32],
    outbox: [u8; 16],
    next: u64,
    submits: BTreeMap<u64, Submit>,
    cursor: Cursor,
    token: Option<Bytes>,
    /// Which process may write: an earlier one is dead, whatever its tasks still do.
    process: u64,
    locked: bool,
}

impl Disk {
    pub(crate) fn new(sim: &Arc<Sim>, person: &str) -> Arc<Self> {
        let chance = Chance::new(sim.seed, &format!("disk of {person}"));
        let mut files = Files { next: 1, ..Files::default() };
        chance.fill(&mut files.seed);
        chance.fill(&mut files.outbox);
        Arc::new(Self { sim: sim.clone(), chance, files: Mutex::new(files), died: Notify::new() })
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process is dead: what it has open is worth nothing.
    pub(crate) fn abandon(&self) {
        let mut files = self.files();
        files.process += 1;
        files.locked = false;
    }

    pub(crate) fn cursor(&self) -> Cursor {
        self.files().cursor.clone()
    }

    /// Submits without an answer.
    pub(crate) fn waiting(&self) -> Vec<Submit> {
        self.files().submits.values().cloned().collect()
    }
}

/// The storage of one person's clients, as they see it.
pub(crate) struct OnDisk(pub(crate) Arc<Disk>);

impl Storage for OnDisk {
    fn open(&self, _: &str, _: Slot) -> Result<Folder, OpenError> {
        let mut files = self.0.files();
        if files.locked {
            return Err(OpenError::Refused("the folder is used by another process".to_owned()));
        }
        files.locked = true;
        files.process += 1;
        let handle = || Handle { disk: self.0.clone(), process: files.process };
        let waiting = Waiting { submits: files.submits.values().cloned().collect(), next: files.next };
        Ok(Folder {
            seed: files.seed,
            outbox: Box::new(handle()),
            waiting,
            cursor: Box::new(handle()),
            token: Box::new(Lock(handle())),
            peers: None,
            files: None,
        })
    }

    fn saved_token(&self, _: &str, _: Slot) -> Option<Bytes> {
        self.0.files().token.clone()
    }

    fn forget_token(&self, _: &str, token: &[u8]) {
        let mut files = self.0.files();
        if files.token.as_deref() == Some(token) {
            files.token = None;
        }
    }
}

/// What one process has open.
struct Handle {
    disk: Arc<Disk>,
    process: u64,
}

impl Handle {
    /// The files, if this process lives.
    fn files(&self) -> io::Result<MutexGuard<'_, Files>> {
        let files = self.disk.files();
        if files.process == self.process { Ok(files) } else { Err(io::Error::other("this process is dead")) }
    }

    fn record(&self, record: &Record) -> io::Result<()> {
        let mut files = self.files()?;
        match record {
            Record::Added(submit) => {
                files.next = files.next.max(submit.number + 1);
                files.submits.insert(submit.number, submit.clone());
            }
            Record::Answered(number) => drop(files.submits.remove(number)),
            Record::Renewed(submits) => {
                self.disk.chance.fill(&mut files.outbox);
                files.next = submits.last().map_or(1, |submit| submit.number + 1);
                files.submits = submits.iter().map(|submit| (submit.number, submit.clone())).collect();
            }
        }
        drop(files);
        if let Record::Added(submit) = record {
            self.disk.sim.ledger.durable(text(submit));
        }
        Ok(())
    }

    /// The process dies here.
    fn die(&self) {
        self.disk.sim.count("client crash while writing");
        self.disk.abandon();
        self.disk.died.notify_one();
        crash();
    }
}

/// The text of a message or broadcast.
pub(crate) fn text(submit: &Submit) -> &str {
    match &submit.op {
        Some(Op::Message(message)) => &message.text,
        Some(Op::Broadcast(broadcast)) => &broadcast.text,
        _ => "",
    }
}

impl Outbox for Handle {
    fn name(&self) -> [u8; 16] {
        self.disk.files().outbox
    }

    fn write(&mut self, records: &[Record]) -> io::Result<()> {
        let disk = &self.disk;
        let dies = !disk.sim.is_calm() && disk.chance.per_mille(disk.sim.mood.client_write_crash);
        let whole = if dies { disk.chance.within(0..=records.len() as u64) as usize } else { records.len() };
        for record in &records[..whole] {
            self.record(record)?;
        }
        if dies {
            self.die();
        }
        Ok(())
    }

    fn blocks(&self) -> bool {
        false
    }
}

impl CursorFile for Handle {
    fn load(&self) -> Cursor {
        self.disk.cursor()
    }

    fn save(&mut self, cursor: &Cursor) -> io::Result<()> {
        self.files()?.cursor = cursor.clone();
        Ok(())
    }
}

/// The token, and the lock of the folder.
struct Lock(Handle);

impl TokenFile for Lock {
    fn save(&mut self, token: &[u8]) -> io::Result<()> {
        self.0.files()?.token = Some(Bytes::copy_from_slice(token));
        Ok(())
    }

    fn remove(&mut self) {
        if let Ok(mut files) = self.0.files() {
            files.token = None;
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Ok(mut files) = self.0.files() {
            files.locked = false;
        }
    }
}
