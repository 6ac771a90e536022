//! Six plausible shortcuts in the design, each put on by a wrapper at a seam. A run with one has to fail, or the
//! simulation would not notice if somebody took it.

mod early_ack;
mod early_cursor;
mod early_number;
mod forgetful;
mod gapless;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hobnob_server::hub::Wake;
use hobnob_server::store::Store;
use hobnob_server::store::memory::MemoryStore;

use crate::sim::Sim;
use crate::watch::{ClientTap, ServerTap};

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The server answers before its commit is durable: a crash loses the last ones.
    AckBeforeCommit,
    /// A number is given before its entry is committed: younger ones can be read before it.
    NumberBeforeCommit,
    /// The server takes what it has sent for received.
    CursorAtSend,
    /// The server forgets what it has accepted.
    NoIdempotency,
    /// The client does not see that an entry is missing.
    NoGapCheck,
    /// Nobody looks for what a lost wake-up has left behind.
    NoSweep,
}

/// One of them, or none.
#[derive(Clone)]
pub(crate) struct Shortcut {
    which: Option<Which>,
    disk: Disk,
}

#[derive(Clone)]
enum Disk {
    Sound(Arc<dyn Store>),
    EarlyAck(early_ack::Disk),
    EarlyNumber(Arc<early_number::Disk>),
}

impl Shortcut {
    pub(crate) fn new(which: Option<Which>, sim: &Arc<Sim>) -> Self {
        let epoch = Bytes::from_static(b"epoch of the sim");
        let sound = || Arc::new(MemoryStore::new(epoch.clone()));
        let disk = match which {
            Some(Which::AckBeforeCommit) => Disk::EarlyAck(early_ack::Disk::new(sim, epoch.clone())),
            Some(Which::NumberBeforeCommit) => {
                Disk::EarlyNumber(Arc::new(early_number::Disk::new(sim, sound())))
            }
            Some(Which::NoIdempotency) => Disk::Sound(Arc::new(forgetful::store(sound()))),
            _ => Disk::Sound(sound()),
        };
        Self { which, disk }
    }

    /// What the server finds on its disk when it starts.
    pub(crate) fn disk(&self) -> Arc<dyn Store> {
        match &self.disk {
            Disk::Sound(store) => store.clone(),
            Disk::EarlyAck(disk) => disk.store(),
            Disk::EarlyNumber(disk) => disk.clone(),
        }
    }

    /// The server has crashed.
    pub(crate) fn crashed(&self) {
        if let Disk::EarlyAck(disk) = &self.disk {
            disk.crashed();
        }
    }

    pub(crate) fn wake(&self, hub: Arc<dyn Wake>) -> Arc<dyn Wake> {
        match &self.disk {
            Disk::EarlyNumber(disk) => Arc::new(early_number::LateWake::new(hub, disk.clone())),
            _ => hub,
        }
    }

    pub(crate) fn sweep_period(&self) -> Option<Duration> {
        (self.which == Some(Which::NoSweep)).then_some(Duration::from_secs(1 << 30))
    }

    pub(crate) fn server_tap(&self) -> Option<Box<dyn ServerTap>> {
        let early = || Box::new(early_cursor::CursorAtSend::default()) as Box<dyn ServerTap>;
        (self.which == Some(Which::CursorAtSend)).then(early)
    }

    pub(crate) fn client_tap(&self, sim: &Arc<Sim>, number: u64) -> Option<Box<dyn ClientTap>> {
        let gapless = || Box::new(gapless::NoGapCheck::new(sim, number)) as Box<dyn ClientTap>;
        (self.which == Some(Which::NoGapCheck)).then(gapless)
    }
}
