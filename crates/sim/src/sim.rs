//! What everything in a run shares.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::chance::Chance;
use crate::chronicle::Chronicle;
use crate::ledger::Ledger;
use crate::mood::Mood;
use crate::trace::Trace;

/// One run.
pub(crate) struct Sim {
    pub(crate) seed: u64,
    pub(crate) mood: Mood,
    pub(crate) trace: Trace,
    pub(crate) ledger: Ledger,
    pub(crate) chronicle: Arc<Mutex<Chronicle>>,
    /// Cancelled when nothing new goes wrong any more.
    pub(crate) calm: CancellationToken,
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl Sim {
    pub(crate) fn new(seed: u64, mood: Mood, keep_trace: bool) -> Arc<Self> {
        Arc::new(Self {
            seed,
            mood,
            trace: Trace::new(keep_trace),
            ledger: Ledger::default(),
            chronicle: Arc::default(),
            calm: CancellationToken::new(),
            counts: Mutex::default(),
        })
    }

    /// From now on nothing new goes wrong.
    pub(crate) fn calm_down(&self) {
        self.trace.note(format_args!("calm"));
        self.calm.cancel();
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.calm.is_cancelled()
    }

    /// Counts something that went wrong, or happened.
    pub(crate) fn count(&self, what: &'static str) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
        self.trace.note(format_args!("{what}"));
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The committed truth.
    pub(crate) fn truth<R>(&self, look: impl FnOnce(&Chronicle) -> R) -> R {
        look(&self.chronicle.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a simulated process dies of.
struct Crash;

/// Ends the task here and now, without a word: unwinds past everything, as a process that is killed would not come
/// back to any of it.
pub(crate) fn crash() {
    resume_unwind(Box::new(Crash));
}

/// Whether a task ended by [`crash`], and not by a mistake.
pub(crate) fn is_crash(payload: &(dyn std::any::Any + Send)) -> bool {
    payload.is::<Crash>()
}

/// A process: all its tasks stop when it dies, at once and wherever they are.
#[derive(Clone, Default)]
pub(crate) struct Life(Arc<AtomicBool>);

impl Life {
    pub(crate) fn end(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// A task of the process.
    pub(crate) async fn task(self, work: impl Future<Output = ()>) {
        let mut work = pin!(work);
        poll_fn(|cx| if self.is_over() { Poll::Pending } else { work.as_mut().poll(cx) }).await;
    }
}

/// Time of day and chance, for the server and for clients.
pub(crate) struct World {
    chance: Chance,
    start: Instant,
}

/// When every run begins, in ms since 1970.
const EPOCH_MS: i64 = 1_700_000_000_000;

impl World {
    pub(crate) fn new(sim: &Sim, part: &str) -> Arc<Self> {
        Arc::new(Self { chance: Chance::new(sim.seed, part), start: Instant::now() })
    }
}

impl hobnob_server::node::World for World {
    fn now_ms(&self) -> i64 {
        EPOCH_MS + self.start.elapsed().as_millis() as i64
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.chance.fill(bytes);
    }
}

impl hobnob_client::Random for World {
    fn fill(&self, bytes: &mut [u8]) {
        self.chance.fill(bytes);
    }
}
