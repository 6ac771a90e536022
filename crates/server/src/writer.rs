//! The one place where anything is written: requests queue here, and whatever queued while the last transaction
//! was being committed goes into the next one (group commit, without a timer).
//!
//! `Queue::commit` is the core. It has two drivers: a thread of its own in production, and a task that commits
//! inline in the simulation, where a real thread would let simulated time run ahead of it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hobnob_protocol::limits::WRITER_QUEUE;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    mailbox::Round,
    store::{Result, Store, StoreError, Tx},
    trouble::{Health, Trouble},
};

/// Most requests in one transaction.
const BATCH_MAX: usize = 512;
/// Bytes of text in one transaction where there is not room for everything that waits.
const SLICE_BYTES: usize = 1 << 20;
/// Most bytes of text that wait.
const QUEUE_BYTES_MAX: usize = 16 << 20;

/// A request to the store.
pub trait Job: Send {
    /// Reads, judges and writes. May be run again after a rollback, so it keeps nothing of an earlier run.
    ///
    /// # Errors
    /// What the store said.
    fn run(&mut self, tx: &mut dyn Tx) -> Result<()>;

    /// Bytes that it holds while it waits.
    fn bytes(&self) -> usize {
        0
    }

    /// Whether it is there to add text. While the disk is full it is not tried.
    fn adds_text(&self) -> bool {
        false
    }

    /// Tells whoever asked. `Ok` means that it is durable. Must not block. Sessions are woken with the others of the
    /// round: one that hears of several requests of a transaction runs once.
    fn finish(self: Box<Self>, result: std::result::Result<(), &StoreError>, round: &mut Round);
}

/// The queue is full, or the writer has ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Busy;

/// Sends requests to the writer.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<Box<dyn Job>>,
    queue_bytes: Arc<AtomicUsize>,
    recent: Arc<Mutex<Recent>>,
    health: Arc<Health>,
}

/// The writer's end of the queue, for a driver.
pub struct Queue {
    jobs: mpsc::Receiver<Box<dyn Job>>,
    queue_bytes: Arc<AtomicUsize>,
    recent: Arc<Mutex<Recent>>,
    health: Arc<Health>,
}

/// How much the writer has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests that wait for the next transaction.
    pub requests: usize,
    /// Bytes of text that they hold.
    pub bytes: usize,
    /// Transactions since the start.
    pub commits: u64,
    /// How long a transaction took from its beginning until it was durable: the median of the last ones.
    pub median: Duration,
    /// The longest of the last ones.
    pub longest: Duration,
}

/// Transactions that are looked back at.
const RECENT: usize = 512;

/// How long the last transactions took, in a ring.
#[derive(Debug, Default)]
struct Recent {
    took: Vec<Duration>,
    commits: u64,
}

impl Recent {
    fn note(&mut self, took: Duration) {
        let place = (self.commits % RECENT as u64) as usize;
        match self.took.get_mut(place) {
            Some(oldest) => *oldest = took,
            None => self.took.push(took),
        }
        self.commits += 1;
    }
}

/// A queue without its driver yet.
#[must_use]
pub fn queue() -> (Writer, Queue) {
    let (sender, jobs) = mpsc::channel(WRITER_QUEUE);
    let queue_bytes = Arc::new(AtomicUsize::new(0));
    let recent = Arc::new(Mutex::new(Recent::default()));
    let health = Arc::new(Health::default());
    let writer = Writer {
        queue: sender,
        queue_bytes: queue_bytes.clone(),
        recent: recent.clone(),
        health: health.clone(),
    };
    (writer, Queue { jobs, queue_bytes, recent, health })
}

impl Writer {
    /// Queues a request without waiting.
    ///
    /// # Errors
    /// When there is no room; the request is dropped unheard.
    pub fn try_submit(&self, job: Box<dyn Job>) -> std::result::Result<(), Busy> {
        let bytes = job.bytes();
        if self.queue_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE_BYTES_MAX {
            self.queue_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Busy);
        }
        self.queue.try_send(job).map_err(|_| {
            self.queue_bytes.fetch_sub(bytes, Ordering::Relaxed);
            Busy
        })
    }

    /// How much there is to do.
    #[must_use]
    pub fn load(&self) -> Load {
        let (mut took, commits) = {
            let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            (recent.took.clone(), recent.commits)
        };
        took.sort_unstable();
        Load {
            requests: self.queue.max_capacity() - self.queue.capacity(),
            bytes: self.queue_bytes.load(Ordering::Relaxed),
            commits,
            median: took.get(took.len() / 2).copied().unwrap_or_default(),
            longest: took.last().copied().unwrap_or_default(),
        }
    }

    /// What keeps the store from being written now, if anything does.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.health.trouble()
    }

    /// Runs `work` in a transaction together with others and waits until it is durable. Once queued it is
    /// carried out even if the caller goes away.
    ///
    /// # Errors
    /// What the store said.
    pub async fn run<R, F>(&self, work: F) -> Result<R>
    where
        R: Send + 'static,
        F: FnMut(&mut dyn Tx) -> Result<R> + Send + 'static,
    {
        self.run_then(work, |value| value).await
    }

    /// The same; as soon as it is durable, and before anyone is told of a request that comes after it, `then` is
    /// done with the outcome, on the writer's thread. It must not block.
    ///
    /// # Errors
    /// What the store said.
    pub async fn run_then<V, R, F, G>(&self, work: F, then: G) -> Result<R>
    where
        V: Send + 'static,
        R: Send + 'static,
        F: FnMut(&mut dyn Tx) -> Result<V> + Send + 'static,
        G: FnOnce(V) -> R + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Closure { work, value: None, then, reply };
        let ended = || StoreError::Database("the writer has ended".to_owned());
        self.queue.send(Box::new(job)).await.map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

struct Closure<F, V, G, R> {
    work: F,
    value: Option<V>,
    then: G,
    reply: oneshot::Sender<Result<R>>,
}

impl<V, R, F, G> Job for Closure<F, V, G, R>
where
    V: Send,
    R: Send,
    F: FnMut(&mut dyn Tx) -> Result<V> + Send,
    G: FnOnce(V) -> R + Send,
{
    fn run(&mut self, tx: &mut dyn Tx) -> Result<()> {
        self.value = Some((self.work)(tx)?);
        Ok(())
    }

    fn finish(self: Box<Self>, result: std::result::Result<(), &StoreError>, _: &mut Round) {
        let answer = match (result, self.value) {
            (Ok(()), Some(value)) => Ok((self.then)(value)),
            (Ok(()), None) => Err(StoreError::Database("a request was not run".to_owned())),
            (Err(error), _) => Err(error.clone()),
        };
        // Whoever asked may be gone; what it asked for has happened all the same.
        let _ = self.reply.send(answer);
    }
}

impl Queue {
    /// Commits until every [`Writer`] is gone. Blocks: give it a thread.
    pub fn run_blocking(mut self, store: &dyn Store) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while self.jobs.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
            self.commit(store, &mut batch);
        }
    }

    /// The same as a task, for a store that does not block. `pause` is awaited before each commit, which gives
    /// other requests the time to join it.
    pub async fn run_inline<P: Future<Output = ()>>(
        mut self,
        store: &dyn Store,
        mut pause: impl FnMut() -> P,
    ) {
        let mut batch = Vec::new();
        while let Some(first) = self.jobs.recv().await {
            batch.push(first);
            pause().await;
            while batch.len() < BATCH_MAX {
                let Ok(job) = self.jobs.try_recv() else { break };
                batch.push(job);
            }
            self.commit(store, &mut batch);
        }
    }

    fn commit(&self, store: &dyn Store, batch: &mut Vec<Box<dyn Job>>) {
        let bytes: usize = batch.iter().map(|job| job.bytes()).sum();
        let begun = Instant::now();
        let mut round = Round::default();
        self.commit_as_there_is_room(store, batch, bytes, &mut round);
        round.ring();
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).note(begun.elapsed());
        self.queue_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Queue {
    /// While the store cannot be written, or has no room, what would add to it waits where it came from.
    fn commit_as_there_is_room(
        &self,
        store: &dyn Store,
        batch: &mut Vec<Box<dyn Job>>,
        bytes: usize,
        round: &mut Round,
    ) {
        let mut left = Vec::new();
        if bytes > SLICE_BYTES && !self.health.is_in_trouble() && !self.health.has_room(store, bytes) {
            // There may be room for a part of it.
            left = std::mem::take(batch);
        } else if (bytes > 0 || self.health.is_in_trouble()) && !self.health.takes(store, bytes) {
            refuse(batch, &self.health.error(), round);
        }
        let mut left = left.into_iter().peekable();
        loop {
            if !batch.is_empty() {
                commit_batch(store, batch, &self.health, round);
                round.ring();
            }
            let mut slice_bytes = 0;
            while let Some(job) =
                left.next_if(|job| slice_bytes == 0 || slice_bytes + job.bytes() <= SLICE_BYTES)
            {
                slice_bytes += job.bytes();
                batch.push(job);
            }
            if batch.is_empty() {
                return;
            }
            if !self.health.takes(store, slice_bytes) {
                refuse(batch, &self.health.error(), round);
            }
        }
    }
}

/// Commits requests in one transaction and tells each. If that fails, each is tried alone, so that one bad request
/// does not take the others with it; only what would add to a store that takes nothing is not tried again.
fn commit_batch(store: &dyn Store, batch: &mut Vec<Box<dyn Job>>, health: &Health, round: &mut Round) {
    let together = store.write(&mut |tx| batch.iter_mut().try_for_each(|job| job.run(tx)));
    let Err(error) = together else {
        return batch.drain(..).for_each(|job| job.finish(Ok(()), round));
    };
    // What is left when others were refused was not tried alone.
    let alone = batch.len() == 1;
    if Trouble::of(&error).is_some() {
        health.begin(&error);
        refuse(batch, &error, round);
    } else if !alone {
        tracing::warn!(%error, requests = batch.len(), "a transaction failed, trying its requests one by one");
    }
    if alone {
        return batch.drain(..).for_each(|job| fail(job, &error, round));
    }
    for mut job in batch.drain(..) {
        match store.write(&mut |tx| job.run(tx)) {
            Ok(()) => job.finish(Ok(()), round),
            Err(error) => fail(job, &error, round),
        }
        // Nobody waits for the transactions of others.
        round.ring();
    }
}

/// Answers what would add to the store, and leaves the rest.
fn refuse(batch: &mut Vec<Box<dyn Job>>, error: &StoreError, round: &mut Round) {
    batch.extract_if(.., |job| job.adds_text()).for_each(|job| job.finish(Err(error), round));
}

fn fail(job: Box<dyn Job>, error: &StoreError, round: &mut Round) {
    // That the store takes nothing is said once, not for each request.
    if Trouble::of(error).is_none() {
        tracing::error!(%error, "a request could not be written");
    }
    job.finish(Err(error), round);
}

#[cfg(test)]
mod tests;
