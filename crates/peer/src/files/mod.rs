//! Files between people's machines: sharing what lies here, and downloading what others share, from all of them at once.
//!
//! [`Files`] is the driver of [`file`](crate::file), [`swarm`](crate::swarm) and [`transfer`](crate::transfer). One
//! task owns all state; streams, and whatever blocks on the disk, are tasks of their own that tell it what happens. It
//! knows the server only through [`Event::Server`]: whoever has the connection passes these requests on, in their order,
//! and answers with [`Files::answered`]. So everything that is under way goes on while the server is away.

mod dial;
mod door;
mod download;
mod event;
mod fetching;
mod folders;
mod kept;
mod landing;
mod limits;
mod listing;
mod manager;
mod note;
mod offer;
mod outbox;
mod proof;
mod root;
mod sharing;
mod shelf;
mod taking;
mod tcp;
mod telling;
mod ticket;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use ring::signature::{Ed25519KeyPair, KeyPair};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::network::FilesPort;
use crate::transfer::tls::TlsKey;
use door::Door;
use limits::{COMMANDS, EVENTS};
use manager::{Command, Manager};

pub use event::{Content, Ended, Entry, Event, Progress, Reply, Request, RequestId, Shared};
pub use kept::kept_any;
pub use tcp::addresses as tcp_addresses;

/// What files are begun with.
#[derive(Clone)]
pub struct Setup {
    /// Seed of the device's Ed25519 key.
    pub seed: [u8; 32],
    /// The key with which the server signs tickets.
    pub ticket_key: [u8; 32],
    /// A folder of the device's own, for journals and the list of shares. It is made.
    pub data: PathBuf,
    /// Where downloads go.
    pub downloads: PathBuf,
    /// Never show an address to others: no TCP in either direction.
    pub relay_only: bool,
    /// What is here is offered to others. A session that is not online offers nothing.
    pub holds: bool,
    /// What was shared before is shared again, and what is shared now will be the next time.
    pub comes_back: bool,
    /// Where others may call over TCP; `None`: everywhere.
    pub listen: Option<IpAddr>,
    /// Users that are blocked.
    pub blocked: Vec<String>,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").field("data", &self.data).finish_non_exhaustive()
    }
}

/// Why there are no files.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The folder for journals cannot be made.
    #[error("the folder for downloads under way cannot be used: {0}")]
    Folder(#[from] io::Error),
    /// The device's key is of no use.
    #[error("the device's key cannot be used")]
    Key,
}

/// So many commands wait that this one has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too much is under way")]
pub struct Busy;

/// All shares and downloads of a device. Dropped, they end, and what came last of a download may be fetched again;
/// [`leave`](Self::leave) is better. No method but that waits.
#[derive(Debug)]
pub struct Files {
    commands: mpsc::Sender<Command>,
    task: JoinSet<()>,
}

/// What happens, in order.
#[derive(Debug)]
pub struct FilesEvents {
    events: mpsc::Receiver<Event>,
}

impl Files {
    /// Begins: what was shared before is offered again. To be called within the runtime.
    ///
    /// # Errors
    /// The folder for journals, or the key, cannot be used.
    pub fn start(setup: Setup) -> Result<(Self, FilesEvents), FilesError> {
        let blocked: BTreeSet<_> = setup.blocked.iter().map(|user| folded(user)).collect();
        let common = Arc::new(Common::new(setup)?);
        for folder in [common.journals(), common.shares(), common.listings(), common.roots()] {
            std::fs::create_dir_all(folder)?;
        }
        let (commands, commands_out) = mpsc::channel(COMMANDS);
        let (events_in, events) = mpsc::channel(EVENTS);
        let (manager, notes) = Manager::new(common, blocked);
        let mut task = JoinSet::new();
        task.spawn(manager.run(notes, commands_out, events_in));
        Ok((Self { commands, task }, FilesEvents { events }))
    }

    /// Streams go over this network too. A network that was closed is replaced by the next.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn use_network(&self, port: FilesPort) -> Result<(), Busy> {
        self.command(Command::Network(port))
    }

    /// Shares a file or a folder: [`Event::Sharing`] or [`Event::ShareFailed`] follows.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn share(&self, path: impl Into<PathBuf>) -> Result<(), Busy> {
        self.command(Command::Share(path.into()))
    }

    /// Shares it no longer, by its name or the first digits of its id: [`Event::Unshared`], [`Event::Unknown`] or
    /// [`Event::Ambiguous`] follows.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn unshare(&self, meant: impl Into<String>) -> Result<(), Busy> {
        self.command(Command::Unshare(meant.into()))
    }

    /// [`Event::Shares`] follows.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn shares(&self) -> Result<(), Busy> {
        self.command(Command::Shares)
    }

    /// Downloads a file or a folder, or goes on with it.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn download(&self, entry: Entry) -> Result<(), Busy> {
        self.command(Command::Download(entry))
    }

    /// Stops a download, by its name or the first digits of its id: [`Event::Cancelled`], [`Event::Unknown`] or
    /// [`Event::Ambiguous`] follows.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn cancel(&self, meant: impl Into<String>) -> Result<(), Busy> {
        self.command(Command::Cancel(meant.into()))
    }

    /// [`Event::Downloads`] follows.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn downloads(&self) -> Result<(), Busy> {
        self.command(Command::Downloads)
    }

    /// Gives this user nothing any more, from now on.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn block(&self, user: impl Into<String>) -> Result<(), Busy> {
        self.command(Command::Block(user.into()))
    }

    /// May give to this user again.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn unblock(&self, user: impl Into<String>) -> Result<(), Busy> {
        self.command(Command::Unblock(user.into()))
    }

    /// The server's answer to [`Event::Server`].
    ///
    /// # Errors
    /// [`Busy`].
    pub fn answered(&self, id: RequestId, reply: Reply) -> Result<(), Busy> {
        self.command(Command::Answered(id, reply))
    }

    /// The server is there again and may have forgotten what is held here: it is told of everything.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn announce(&self) -> Result<(), Busy> {
        self.command(Command::Announce)
    }

    /// Ends everything. What came of downloads is made durable; nobody is told. Takes 10 s at most.
    pub async fn leave(mut self) {
        // Where there is no place for it, the end of the commands says the same.
        let _ = self.commands.try_send(Command::Leave);
        drop(self.commands);
        while self.task.join_next().await.is_some() {}
    }

    fn command(&self, command: Command) -> Result<(), Busy> {
        self.commands.try_send(command).map_err(|_| Busy)
    }
}

impl FilesEvents {
    /// The next event; `None`: everything has ended.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

/// What all tasks need.
#[derive(Debug)]
struct Common {
    /// This device's own key.
    key: [u8; 32],
    tls: TlsKey,
    tls_server: Arc<rustls::ServerConfig>,
    ticket_key: [u8; 32],
    data: PathBuf,
    downloads: PathBuf,
    relay_only: bool,
    holds: bool,
    comes_back: bool,
    listen: Option<IpAddr>,
    door: Arc<Door>,
    port: RwLock<Option<FilesPort>>,
}

impl Common {
    fn new(setup: Setup) -> Result<Self, FilesError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&setup.seed).map_err(|_| FilesError::Key)?;
        let key = pair.public_key().as_ref().try_into().map_err(|_| FilesError::Key)?;
        let tls = TlsKey::new(&setup.seed).map_err(|_| FilesError::Key)?;
        let tls_server = Arc::new(tls.server().map_err(|_| FilesError::Key)?);
        let Setup { ticket_key, data, downloads, relay_only, holds, comes_back, listen, .. } = setup;
        Ok(Self {
            key,
            tls,
            tls_server,
            ticket_key,
            data,
            downloads,
            relay_only,
            holds,
            comes_back,
            listen,
            door: Arc::default(),
            port: RwLock::default(),
        })
    }

    fn journals(&self) -> PathBuf {
        self.data.join("journals")
    }

    fn shares(&self) -> PathBuf {
        self.data.join(kept::FOLDER)
    }

    fn roots(&self) -> PathBuf {
        self.data.join(root::FOLDER)
    }

    fn listings(&self) -> PathBuf {
        self.data.join("listings")
    }

    /// The network, if there is one.
    fn port(&self) -> Option<FilesPort> {
        self.port.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_port(&self, port: FilesPort) {
        *self.port.write().unwrap_or_else(PoisonError::into_inner) = Some(port);
    }

    /// A source can be reached of which only the key is known.
    fn has_relay(&self) -> bool {
        self.port().is_some_and(|port| port.has_relay())
    }
}

/// A user's name as it is compared: the server has one account for names that differ in case alone.
fn folded(user: &str) -> String {
    user.to_lowercase()
}
