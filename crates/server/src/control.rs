//! What whoever runs a server can do to it while it runs: replace its settings and its certificate, answer `hobnob
//! admin reload`, and ask whether it still works.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::wire::{Done, Reason, Refused},
    config::{Policy, RelayPolicy, Tls},
    current::Current,
    identity::{Identity, IdentityError},
    node::Node,
};

/// Requests to reload that wait.
const ASKED_MAX: usize = 4;

/// A handle on a server, which it outlives.
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared>,
}

struct Shared {
    data: PathBuf,
    policy: Current<Policy>,
    identity: Current<Identity>,
    /// There from when the server serves until it has ended.
    node: OnceLock<Weak<Node>>,
    serving: CancellationToken,
}

impl Control {
    pub(crate) fn new(data: &Path, policy: Policy, identity: Identity) -> Self {
        let (policy, identity) = (policy.into(), identity.into());
        let (node, serving) = (OnceLock::new(), CancellationToken::new());
        Self { shared: Arc::new(Shared { data: data.to_owned(), policy, identity, node, serving }) }
    }

    pub(crate) fn policy(&self) -> &Current<Policy> {
        &self.shared.policy
    }

    pub(crate) fn identity(&self) -> &Current<Identity> {
        &self.shared.identity
    }

    pub(crate) fn serves(&self, node: &Arc<Node>) {
        // A server serves once.
        let _ = self.shared.node.set(Arc::downgrade(node));
        self.shared.serving.cancel();
    }

    fn node(&self) -> Option<Arc<Node>> {
        self.shared.node.get().and_then(Weak::upgrade)
    }

    /// Waits until the server accepts connections.
    pub async fn serving(&self) {
        self.shared.serving.cancelled().await;
    }

    /// Reads a certificate and its key, and changes nothing. Blocks.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn read_identity(&self, tls: &Tls) -> Result<Identity, IdentityError> {
        Identity::load(tls, &self.shared.data)
    }

    /// Whether it is another certificate than the one in use.
    #[must_use]
    pub fn is_other_certificate(&self, identity: &Identity) -> bool {
        self.shared.identity.get().chain_hash != identity.chain_hash
    }

    /// Shows this certificate to whoever connects from now on.
    pub fn set_identity(&self, identity: Identity) {
        if let Some(relay) = self.node().and_then(|node| node.relay.clone()) {
            relay.set_certificate(identity.quic.clone());
        }
        self.shared.identity.set(identity);
    }

    /// These rules are in force from now on, for sessions under way too. How fast they may send was told to their clients
    /// when they came, so those go on at the old pace; more than is allowed now is read more slowly.
    pub fn set_policy(&self, policy: Policy, relay: RelayPolicy) {
        self.shared.policy.set(policy);
        let Some(node) = self.node() else { return };
        if let Some(carrier) = &node.relay {
            carrier.set_rate(relay.rate);
        }
        // They wait for a time that may now be another: the end of what they may idle.
        for (_, handle) in node.hub.connected() {
            handle.look_again();
        }
    }

    /// Whether the server works: an empty transaction goes through its writer. Waits as long as that takes.
    pub async fn pulse(&self) -> bool {
        let Some(writer) = self.node().map(|node| node.writer.clone()) else { return false };
        // A store that refuses answers, too: another process would find the same disk.
        let _ = writer.run(|_| Ok(())).await;
        true
    }

    /// Tells, twice in the time that is allowed, that the server works: each time after its writer has answered. One that
    /// is stuck says nothing.
    pub async fn watch(&self, allowed: Duration, tell: impl Fn()) {
        watch(allowed, || self.pulse(), tell).await;
    }
}

async fn watch<P: Future<Output = bool>>(allowed: Duration, pulse: impl Fn() -> P, tell: impl Fn()) {
    let mut times = interval(allowed / 2);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        if pulse().await {
            tell();
        }
    }
}

/// A request to reload, which waits for its answer.
#[derive(Debug)]
pub struct Asked {
    answer: oneshot::Sender<Result<Done, Refused>>,
}

impl Asked {
    /// Answers it.
    pub fn answer(self, answer: Result<Done, Refused>) {
        // Who asked may be gone; what was asked for has happened all the same.
        let _ = self.answer.send(answer);
    }
}

/// Where requests to reload go.
#[derive(Clone, Debug)]
pub struct Reloads(mpsc::Sender<Asked>);

impl Reloads {
    /// Requests, and where they come out.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Asked>) {
        let (sender, receiver) = mpsc::channel(ASKED_MAX);
        (Self(sender), receiver)
    }

    pub(crate) async fn ask(&self) -> Result<Done, Refused> {
        let nobody = || Refused::new(Reason::NotPossible, "This server has no settings to read again");
        let (answer, answered) = oneshot::channel();
        self.0.send(Asked { answer }).await.map_err(|_| nobody())?;
        answered.await.unwrap_or_else(|_| Err(nobody()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use tokio::{sync::Mutex, task::JoinSet, time::sleep};

    use super::*;
    use crate::{store::memory::MemoryStore, writer};

    /// A writer that commits while it has the key, and a watch over it that counts.
    fn watched(key: Arc<Mutex<()>>, told: Arc<AtomicUsize>) -> JoinSet<()> {
        let (writer, queue) = writer::queue();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let turn = || {
                let key = key.clone();
                async move { drop(key.lock().await) }
            };
            queue.run_inline(&MemoryStore::new(Bytes::from_static(b"epoch")), turn).await;
        });
        tasks.spawn(async move {
            let pulse = || async { writer.run(|_| Ok(())).await.is_ok() };
            let tell = || {
                told.fetch_add(1, Ordering::Relaxed);
            };
            watch(Duration::from_secs(10), pulse, tell).await;
        });
        tasks
    }

    #[tokio::test(start_paused = true)]
    async fn a_writer_that_is_stuck_is_not_said_to_work() {
        let (key, told) = (Arc::new(Mutex::new(())), Arc::new(AtomicUsize::new(0)));
        let _tasks = watched(key.clone(), told.clone());
        let count = || told.load(Ordering::Relaxed);
        sleep(Duration::from_secs(99)).await;
        assert_eq!(count(), 20, "twice in the time allowed");
        let stuck = key.lock().await;
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(count(), 20);
        drop(stuck);
        sleep(Duration::from_millis(1)).await;
        let then = count();
        assert!(then > 20, "as soon as it works again");
        sleep(Duration::from_secs(50)).await;
        assert!(count() >= then + 9);
    }

    #[tokio::test]
    async fn a_server_that_reads_no_settings_says_so() {
        let (reloads, asked) = Reloads::new();
        drop(asked);
        assert_eq!(reloads.ask().await.unwrap_err().reason, Reason::NotPossible);
        let (reloads, mut asked) = Reloads::new();
        let (answered, ()) = tokio::join!(reloads.ask(), async {
            asked.recv().await.unwrap().answer(Ok(Done::default()));
        });
        assert_eq!(answered, Ok(Done::default()));
    }
}
