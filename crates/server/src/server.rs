//! The server as a whole: what is opened and started in which order, and how it stops.

use std::{fs, net::SocketAddr, sync::Arc, thread, time::Duration};

use hobnob_protocol::close::Close;
use tokio::{
    net::TcpListener,
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admin::{Door, Keeper, answer_drained},
    config::Config,
    control::{Asked, Control, Reloads},
    hub::Hub,
    identity::{Identity, IdentityError},
    import,
    listen::listen,
    node::{Epoch, Node, RealWorld, World},
    password::Argon2Pool,
    reader::Reader,
    relay::Relay,
    store::{
        Store, StoreError,
        sqlite::{SqliteOptions, SqliteStore},
    },
    ticket::TicketKey,
    upkeep, writer,
};

/// How long sessions have to say good-bye, and what is left of them to end.
const SESSIONS_GRACE: Duration = Duration::from_secs(4);
const SESSIONS_END: Duration = Duration::from_secs(3);

/// Why a server does not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The data folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The credentials file; every mistake is a line.
    #[error("{0}")]
    Credentials(String),
    /// The operating system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The writer's thread ended though nobody asked it to.
    #[error("the store's writer has failed, its panic is in the log")]
    Writer,
}

/// A server that is ready to listen: its data folder is open and its own.
pub struct Server {
    config: Config,
    control: Control,
    reloads: (Reloads, Option<mpsc::Receiver<Asked>>),
    tickets: TicketKey,
    store: Arc<dyn Store>,
    /// `None`: there is no socket to keep the server by.
    door: Option<Door>,
}

impl Server {
    /// Opens the data folder, reads or makes the key, and imports credentials. Blocks; nothing listens yet.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn open(config: Config, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Self, ServerError> {
        let credentials = read_credentials(&config)?;
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config.data, SqliteOptions::default())?);
        let identity = Identity::load(&config.tls, &config.data)?;
        let world = RealWorld::default();
        let tickets = TicketKey::load(&config.data, &world)?;
        let now = world.now_ms();
        let added = import::import(&*store, &credentials, now, progress)?;
        if !credentials.is_empty() {
            tracing::info!(added, listed = credentials.len(), "imported credentials");
        }
        let door = Door::open(&config.data).inspect_err(|error| {
            tracing::error!(%error, "there is no admin socket: `hobnob admin` will find no server");
        });
        let control = Control::new(&config.data, config.policy.clone(), identity);
        let (ask, asked) = Reloads::new();
        Ok(Self { config, control, reloads: (ask, Some(asked)), tickets, store, door: door.ok() })
    }

    /// `SHA256:…`, by which clients know the server.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.control.identity().get().fingerprint()
    }

    /// What can be done to the server while it runs.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Requests of the server's keeper to read the settings again. They can be taken once; if nobody takes them, they
    /// are refused.
    pub fn take_reloads(&mut self) -> Option<mpsc::Receiver<Asked>> {
        self.reloads.1.take()
    }

    /// Serves until `shutdown`, then drains: clients are told, what was accepted is on disk.
    ///
    /// # Errors
    /// When it cannot go on.
    pub async fn run(
        mut self,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> Result<(), ServerError> {
        // What nobody has taken nobody answers.
        drop(self.take_reloads());
        let (writer, queue) = writer::queue();
        let writer_store = self.store.clone();
        // The one thread that writes, so that no client that hangs up can cancel a transaction.
        let writer_ended = CancellationToken::new();
        let ended = writer_ended.clone().drop_guard();
        let writer_thread = thread::Builder::new().name("writer".to_owned()).spawn(move || {
            let _ended = ended;
            queue.run_blocking(&*writer_store);
        })?;
        let hub = Arc::new(Hub::default());
        let reader = Reader::new(self.store.clone());
        let relay = self.start_relay(listener.local_addr()?, reader.clone())?;
        let node = Arc::new(Node {
            policy: self.control.policy().clone(),
            server_key: self.control.identity().get().server_key.clone(),
            reader,
            writer,
            wake: hub.clone(),
            hub,
            passwords: Arc::new(Argon2Pool::new()),
            throttle: Default::default(),
            gate: Default::default(),
            invites: Default::default(),
            shares: Default::default(),
            tickets: self.tickets,
            relay: relay.clone(),
            security: Default::default(),
            epoch: Arc::new(Epoch::new(self.store.epoch()?)),
            world: Arc::new(RealWorld::default()),
            shutdown: shutdown.clone(),
        });
        upkeep::restore_sessions(&node).await?;
        let mut upkeep = JoinSet::new();
        upkeep.spawn(upkeep::sweep(node.clone()));
        upkeep.spawn(upkeep::expire(node.clone()));
        upkeep.spawn(upkeep::trim(node.clone()));
        let connections = TaskTracker::new();
        let keeper = Arc::new(Keeper {
            node: node.clone(),
            data: self.config.data.clone(),
            identity: Some(self.control.identity().clone()),
            reloads: self.reloads.0.clone(),
            started: Instant::now(),
            connections: connections.clone(),
        });
        let mut keeping = JoinSet::new();
        let proxies = Arc::new(self.config.proxies.clone());
        let door = self.door;
        keeping.spawn(async move {
            let waiting = match &door {
                Some(door) => door.serve(keeper).await,
                None => Vec::new(),
            };
            (door, waiting)
        });
        self.control.serves(&node);
        let identity = self.control.identity().clone();
        tokio::select! {
            () = listen(node.clone(), listener, identity, proxies, connections.clone()) => {}
            () = writer_ended.cancelled() => shutdown.cancel(),
        }
        upkeep.shutdown().await;
        tokio::join!(drain(&node, &connections), async {
            if let Some(relay) = relay {
                relay.stop().await;
            }
        });
        let kept = keeping.join_next().await.and_then(Result::ok);
        drop(node);
        let joined = tokio::task::spawn_blocking(move || writer_thread.join()).await;
        joined.ok().and_then(Result::ok).ok_or(ServerError::Writer)?;
        drop(self.store);
        if let Some((_door, waiting)) = kept {
            answer_drained(waiting).await;
        }
        Ok(())
    }

    fn start_relay(&self, address: SocketAddr, reader: Reader) -> Result<Option<Arc<Relay>>, ServerError> {
        let Some(policy) = &self.config.relay else { return Ok(None) };
        let (grace, tls) = (self.config.policy.grace, self.control.identity().get().quic.clone());
        Ok(Some(Relay::start(policy, grace, tls, address, reader)?))
    }
}

fn read_credentials(config: &Config) -> Result<Vec<import::Credential>, ServerError> {
    let Some(path) = &config.credentials else { return Ok(Vec::new()) };
    let shown = path.display();
    let text = fs::read(path).map_err(|error| ServerError::Credentials(format!("{shown}: {error}")))?;
    let text =
        String::from_utf8(text).map_err(|_| ServerError::Credentials(format!("{shown}: not UTF-8")))?;
    let mistakes = |mistakes: Vec<String>| {
        let lines: Vec<_> = mistakes.iter().map(|mistake| format!("{shown}: {mistake}")).collect();
        ServerError::Credentials(lines.join("\n"))
    };
    import::parse(&text).map_err(mistakes)
}

/// Every session sees the shutdown by itself; whatever is stuck in a write is cut off.
async fn drain(node: &Node, connections: &TaskTracker) {
    connections.close();
    tracing::info!(connections = connections.len(), "stopping");
    if timeout(SESSIONS_GRACE, connections.wait()).await.is_ok() {
        return;
    }
    for (_, handle) in node.hub.connected() {
        handle.shared.kick(Close::GoingAway);
    }
    for (_, handle) in node.hub.visits() {
        handle.shared.kick(Close::GoingAway);
    }
    tokio::select! {
        () = connections.wait() => {}
        () = sleep(SESSIONS_END) => tracing::warn!(connections = connections.len(), "left connections behind"),
    }
}
