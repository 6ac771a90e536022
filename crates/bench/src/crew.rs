//! Many sessions at once: a task each, opened a hundred at a time, and led through a run together.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use tokio::{
    sync::{Notify, Semaphore, watch},
    task::{JoinError, JoinSet},
    time::{Instant, sleep},
};

use crate::{
    account::Account,
    chatter::Chatter,
    link::{Speaks, Target},
};

/// Logins under way at once; hobnob allows an address 256 connections without a login.
const OPENING_MAX: usize = 100;
/// The same at other servers: ngIRCd stalls above some 200.
const OPENING_ELSEWHERE_MAX: usize = 40;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Sessions are being opened.
    Opening,
    /// Load, but it does not count yet.
    Warming,
    /// Load that counts.
    Measuring,
    /// What is under way is finished.
    Ending,
}

/// What the sessions of a run share.
pub(crate) struct Stage {
    opening: Semaphore,
    opened: AtomicUsize,
    all_opened: Notify,
    phase: AtomicU8,
    phases: watch::Sender<Phase>,
    /// Acks that came in.
    pub(crate) acked: AtomicU64,
    /// Entries that came in.
    pub(crate) delivered: AtomicU64,
}

impl Stage {
    /// A run that begins.
    pub(crate) fn new() -> Arc<Self> {
        Self::opening(OPENING_MAX)
    }

    fn opening(at_once: usize) -> Arc<Self> {
        Arc::new(Self {
            opening: Semaphore::new(at_once),
            opened: AtomicUsize::new(0),
            all_opened: Notify::new(),
            phase: AtomicU8::new(Phase::Opening as u8),
            phases: watch::Sender::new(Phase::Opening),
            acked: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
        })
    }

    /// Whether that phase has come. Cheap: asked for every message.
    pub(crate) fn is(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) >= phase as u8
    }

    /// Whether what happens now counts.
    pub(crate) fn counts(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == Phase::Measuring as u8
    }

    /// Waits for a phase.
    pub(crate) async fn reached(&self, phase: Phase) {
        // The sender is this stage itself, so it is still there.
        let _ = self.phases.subscribe().wait_for(|now| *now >= phase).await;
    }

    /// Begins a phase.
    pub(crate) fn begin(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.phases.send_replace(phase);
    }
}

/// The tasks of a run. Dropping it ends them.
pub(crate) struct Crew<T> {
    pub(crate) stage: Arc<Stage>,
    target: Arc<Target>,
    joins: bool,
    tasks: JoinSet<anyhow::Result<T>>,
    outcomes: Vec<T>,
}

impl<T: Send + 'static> Crew<T> {
    /// Nobody yet.
    pub(crate) fn new(target: Arc<Target>) -> Self {
        let at_once = if target.speaks == Speaks::Hobnob { OPENING_MAX } else { OPENING_ELSEWHERE_MAX };
        let stage = Stage::opening(at_once);
        Self { stage, target, joins: false, tasks: JoinSet::new(), outcomes: Vec::new() }
    }

    /// The same, and all of them hear what is said to all.
    pub(crate) fn joined(target: Arc<Target>) -> Self {
        Self { joins: true, ..Self::new(target) }
    }

    /// Logs in and lets `work` go on.
    pub(crate) fn enlist<W, F>(&mut self, account: Arc<Account>, work: W)
    where
        W: FnOnce(Chatter, Arc<Stage>) -> F + Send + 'static,
        F: Future<Output = anyhow::Result<T>> + Send,
    {
        let (stage, target, joins) = (self.stage.clone(), self.target.clone(), self.joins);
        self.tasks.spawn(async move {
            let permit = stage.opening.acquire().await?;
            let chatter = Box::pin(Chatter::open(&target, &account, joins)).await?;
            drop(permit);
            stage.opened.fetch_add(1, Ordering::Relaxed);
            stage.all_opened.notify_one();
            work(chatter, stage).await
        });
    }

    /// Waits until every session is open; returns how long that took.
    pub(crate) async fn all_open(&mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let stage = self.stage.clone();
        let size = self.tasks.len();
        while stage.opened.load(Ordering::Relaxed) < size {
            self.until(stage.all_opened.notified()).await?;
        }
        eprintln!("  {size} sessions open after {:.1} s", begun.elapsed().as_secs_f64());
        Ok(begun.elapsed())
    }

    /// Lets time pass; a task that fails meanwhile fails the run.
    pub(crate) async fn pass(&mut self, seconds: f64) -> anyhow::Result<()> {
        self.until(sleep(Duration::from_secs_f64(seconds))).await
    }

    /// Waits for something else; a task that fails meanwhile fails the run.
    pub(crate) async fn until(&mut self, done: impl Future<Output = ()>) -> anyhow::Result<()> {
        tokio::pin!(done);
        loop {
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next() => self.outcomes.push(outcome(ended)?),
                () = &mut done => return Ok(()),
            }
        }
    }

    /// Waits until all are done.
    pub(crate) async fn finish(mut self) -> anyhow::Result<Vec<T>> {
        while let Some(ended) = self.tasks.join_next().await {
            self.outcomes.push(outcome(ended)?);
        }
        Ok(self.outcomes)
    }

    /// How many are still at work.
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }
}

fn outcome<T>(ended: Result<anyhow::Result<T>, JoinError>) -> anyhow::Result<T> {
    ended.context("a session's task")?.context("a session")
}
