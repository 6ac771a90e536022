//! The relay: carries what two clients have encrypted for each other where nothing goes straight. Only sessions of
//! this server may use it.
//!
//! A connection comes as a WebSocket on the server's own port, proves its key (`door`), and is served by a task of
//! iroh's relay over a socket of ours (`socket`), which counts and slows down (`user`, `limit`). Whose key may do that
//! follows the sessions (`admitted`). All of it runs on a runtime of its own, with one thread, so that it cannot
//! delay chat.

mod admitted;
mod discovery;
mod door;
mod limit;
mod socket;
mod user;

use std::{
    fmt::{self, Display},
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use hyper::upgrade::OnUpgrade;
use iroh_base::EndpointId;
use iroh_relay::{
    KeyCache,
    server::{Metrics, clients::Clients},
};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::door::{Visitor, version};
use self::{
    admitted::{Admitted, Key},
    limit::Rate,
    user::{Totals, User, Users},
};
use crate::{config::RelayPolicy, reader::Reader, refusals::Refusals, security, store::AccountId};

/// How long connections have to end when the relay stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// Keys that need not be parsed again.
const KEY_CACHE: usize = 4096;

/// The relay of one server.
pub struct Relay {
    shared: Arc<Shared>,
    discovery_port: u16,
    /// `None`: its port was taken.
    discovery: Option<noq::Endpoint>,
    tasks: TaskTracker,
    stop: CancellationToken,
    handle: Handle,
    /// Taken when the relay has stopped.
    runtime: Mutex<Option<Runtime>>,
}

/// What the relay has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys that may use it now.
    pub keys: usize,
    /// Connections that proved such a key.
    pub connections: u64,
    /// Connections that proved another.
    pub refused: u64,
    /// Bytes from clients.
    pub received: u64,
    /// Bytes to clients.
    pub sent: u64,
    /// Packets for a client that was not connected, or went before it had taken them.
    pub dropped: u64,
}

/// What the relay's tasks share. The locks are short: none is taken within another, held across an await or while
/// `clients` is called.
struct Shared {
    clients: Clients,
    metrics: Arc<Metrics>,
    key_cache: KeyCache,
    rate: Rate,
    admitted: Mutex<Admitted<Arc<User>>>,
    /// A grace begins.
    grace_begins: Notify,
    users: Mutex<Users>,
    totals: Arc<Totals>,
    refusals: Mutex<Refusals>,
    reader: Reader,
}

impl Relay {
    /// Starts the relay and, on the UDP port of `address`, address discovery with the certificate of `tls` (QUIC: TLS
    /// 1.3 alone). If that port is taken there is none. `grace` is how long a key outlives a session that broke.
    ///
    /// # Errors
    /// There can be no further thread.
    pub fn start(
        policy: &RelayPolicy,
        grace: Duration,
        tls: Arc<rustls::ServerConfig>,
        address: SocketAddr,
        reader: Reader,
    ) -> io::Result<Arc<Self>> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(1)
            .thread_name("relay")
            .enable_all()
            .build()?;
        let shared = Arc::new(Shared {
            clients: Clients::default(),
            metrics: Arc::default(),
            key_cache: KeyCache::new(KEY_CACHE),
            rate: Rate::new(policy.rate),
            admitted: Mutex::new(Admitted::new(grace)),
            grace_begins: Notify::new(),
            users: Mutex::default(),
            totals: Arc::default(),
            refusals: Mutex::default(),
            reader,
        });
        let (handle, tasks, stop) = (runtime.handle().clone(), TaskTracker::new(), CancellationToken::new());
        tasks.spawn_on(shared.clone().expire(stop.clone()), &handle);
        let discovery = {
            let _within = handle.enter();
            discovery::bind(tls, address).inspect(|endpoint| {
                tasks.spawn_on(discovery::serve(endpoint.clone(), stop.clone()), &handle);
            })
        };
        let discovery = discovery.inspect_err(|error| {
            tracing::warn!(%address, %error, "no address discovery: fewer clients will reach each other directly");
        });
        let discovery = discovery.ok();
        let discovery_port = discovery.as_ref().map_or(0, |_| address.port());
        let runtime = Mutex::new(Some(runtime));
        Ok(Arc::new(Self { shared, discovery_port, discovery, tasks, stop, handle, runtime }))
    }

    /// UDP port on which clients learn their public address; 0: none.
    #[must_use]
    pub fn discovery_port(&self) -> u16 {
        self.discovery_port
    }

    /// Lets the device with this key (Ed25519, 32 bytes) use the relay, for as long as the admission lives,
    /// and a grace after it.
    pub fn admit(self: &Arc<Self>, key: &[u8], account: AccountId) -> Admission {
        // What is no key cannot be proven either.
        let key = Key::try_from(key).ok();
        if let Some(key) = key {
            self.shared.admit(key, account);
        }
        Admission { shared: self.shared.clone(), key }
    }

    /// Bytes a second that one user may send from now on; `None`: no limit.
    pub(crate) fn set_rate(&self, rate: Option<u32>) {
        self.shared.rate.set(rate);
    }

    /// The certificate that address discovery shows from now on.
    pub(crate) fn set_certificate(&self, tls: Arc<rustls::ServerConfig>) {
        let Some(discovery) = &self.discovery else { return };
        match discovery::config(tls) {
            Ok(config) => discovery.set_server_config(Some(config)),
            Err(error) => tracing::error!(%error, "address discovery keeps its old certificate"),
        }
    }

    /// Ends all that a user has here, at once.
    pub fn shut_out(&self, account: AccountId) {
        let keys = self.shared.admitted().shut_out(|user| user.account() == account);
        keys.iter().for_each(|key| self.shared.cut(key));
    }

    /// What it has done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let totals = &self.shared.totals;
        Counts {
            keys: self.shared.admitted().len(),
            connections: totals.connections.load(Relaxed),
            refused: totals.refused.load(Relaxed),
            received: totals.received.load(Relaxed),
            sent: totals.sent.load(Relaxed),
            dropped: self.shared.metrics.send_packets_dropped.get(),
        }
    }

    /// Takes a connection over, once it is upgraded.
    pub(crate) fn receive(&self, upgraded: OnUpgrade, visitor: Visitor) {
        let receive = door::receive(self.shared.clone(), upgraded, visitor, self.stop.clone());
        self.tasks.spawn_on(receive, &self.handle);
    }

    /// Ends all connections and the relay's thread, within two seconds.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        let shared = self.shared.clone();
        // On the relay's own thread: a client that is being received meanwhile is gone before this looks for clients.
        let tasks = self.tasks.clone();
        let end = self.handle.spawn(async move {
            let end = async {
                tasks.wait().await;
                shared.clients.shutdown().await;
            };
            timeout(STOP_TIMEOUT, end).await
        });
        if !matches!(end.await, Ok(Ok(()))) {
            tracing::warn!("left connections to the relay behind");
        }
        self.shut_down();
    }

    /// Whatever still runs is dropped; nothing waits for it, since this may be called from a task.
    fn shut_down(&self) {
        if let Some(runtime) = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl Shared {
    fn admitted(&self) -> MutexGuard<'_, Admitted<Arc<User>>> {
        self.admitted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, key: Key, account: AccountId) {
        let new = || User::new(account, self.rate.clone(), self.totals.clone());
        let user = self.users.lock().unwrap_or_else(PoisonError::into_inner).get(account, new);
        self.admitted().admit(key, user);
    }

    /// Whose key it is, if it is admitted.
    fn user(&self, key: &Key) -> Option<Arc<User>> {
        self.admitted().user(key, Instant::now())
    }

    /// Learns what the user is called in the log.
    async fn learn_name(&self, user: &User) {
        if user.is_named() {
            return;
        }
        let account = user.account();
        // Without it the log is less clear, and all else works.
        if let Ok(Some(account)) = self.reader.run(move |store| store.account(account)).await {
            user.set_name(account.name.to_string());
        }
    }

    /// A key that is not admitted was proven.
    fn refused(&self, address: IpAddr, key: &impl Display) {
        self.totals.refused.fetch_add(1, Relaxed);
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(others) = refusals.tell(address.into(), Instant::now()) {
            security::refused_at_relay(address, key, others);
        }
    }

    /// Ends all connections of a key.
    fn cut(&self, key: &Key) {
        if let Ok(client) = EndpointId::from_bytes(key) {
            self.clients.disconnect(client, None);
        }
    }

    /// Puts out keys whose grace is over.
    async fn expire(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let next = self.admitted().next_end();
            let due = async {
                match next {
                    Some(end) => sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.grace_begins.notified() => {}
                () = due => {}
            }
            loop {
                let expired = self.admitted().expire(Instant::now());
                let Some(key) = expired else { break };
                self.cut(&key);
            }
        }
    }
}

/// One session's right to use the relay. Dropped, the session may come back: the right lasts for the grace.
#[must_use = "dropped, it lasts for the grace only"]
pub struct Admission {
    shared: Arc<Shared>,
    /// `None`: it was none, or the admission has ended.
    key: Option<Key>,
}

impl Admission {
    /// The session is over: its connections to the relay end now.
    pub fn end(mut self) {
        let Some(key) = self.key.take() else { return };
        let out = self.shared.admitted().over(key);
        if out {
            self.shared.cut(&key);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        if self.shared.admitted().broke(key, Instant::now()) {
            self.shared.grace_begins.notify_one();
        }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").finish_non_exhaustive()
    }
}
