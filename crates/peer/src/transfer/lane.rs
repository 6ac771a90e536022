//! Steps on the disk, one after the other, on a thread that may block. The thread is there while there are steps, and a
//! moment longer: with a fast stream every step finds it awake, with a slow one nothing holds a thread for nothing.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

/// How long a thread waits for the next step before it leaves.
const LINGER: Duration = Duration::from_millis(5);

/// A lane with so many places: steps that wait, the one that is being done, and results that nobody took yet.
pub(super) fn lane<T, U>(
    places: usize,
    work: impl FnMut(T) -> U + Send + 'static,
) -> (Steps<T, U>, Results<U>)
where
    T: Send + 'static,
    U: Send + 'static,
{
    let (done, results) = mpsc::channel(places);
    let worker = Worker { work: Box::new(work), done };
    let state = State { waiting: VecDeque::with_capacity(places), idle: Some(worker), closed: false };
    let shared = Arc::new(Shared { state: Mutex::new(state), wake: Condvar::new() });
    let free = Arc::new(Semaphore::new(places));
    let threads = Arc::default();
    let steps = Steps { shared, free: Arc::clone(&free), threads: Arc::clone(&threads) };
    (steps, Results { results, free, places, _threads: threads })
}

/// Where steps are put. Dropped, what waits is still done, unless nobody takes the results.
pub(super) struct Steps<T, U> {
    shared: Arc<Shared<T, U>>,
    free: Arc<Semaphore>,
    threads: Threads,
}

/// Where results are taken, in the order of the steps.
pub(super) struct Results<U> {
    results: mpsc::Receiver<U>,
    free: Arc<Semaphore>,
    places: usize,
    _threads: Threads,
}

/// One at most that works. Both ends own it: what has no result yet is not to be broken off when no step follows.
type Threads = Arc<Mutex<JoinSet<()>>>;

/// A step panicked, or the runtime ends: nothing more will be done.
#[derive(Debug)]
pub(super) struct Broken;

struct Shared<T, U> {
    state: Mutex<State<T, U>>,
    wake: Condvar,
}

struct State<T, U> {
    waiting: VecDeque<T>,
    /// What no thread has at the moment.
    idle: Option<Worker<T, U>>,
    /// No step follows.
    closed: bool,
}

struct Worker<T, U> {
    work: Box<dyn FnMut(T) -> U + Send>,
    /// Has room for all results there can be.
    done: mpsc::Sender<U>,
}

impl<T: Send + 'static, U: Send + 'static> Steps<T, U> {
    /// Waits for a place, and puts a step there. Cancelled while it waits, it puts nothing.
    pub(super) async fn push(&mut self, step: T) {
        if let Ok(place) = self.free.acquire().await {
            // Whoever takes the result gives it back.
            place.forget();
        }
        let mut state = self.shared.lock();
        state.waiting.push_back(step);
        match state.idle.take() {
            Some(worker) => {
                drop(state);
                self.begin(worker);
            }
            None => self.shared.wake.notify_one(),
        }
    }

    fn begin(&self, worker: Worker<T, U>) {
        let mut threads = lock(&self.threads);
        while threads.try_join_next().is_some() {}
        let shared = Arc::clone(&self.shared);
        threads.spawn_blocking(move || worker.run(&shared));
    }
}

impl<T, U> Drop for Steps<T, U> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let idle = state.idle.take();
        drop(state);
        drop(idle);
        self.shared.wake.notify_one();
    }
}

impl<U> Results<U> {
    /// The next result, if there is one.
    pub(super) fn try_next(&mut self) -> Option<U> {
        let result = self.results.try_recv().ok()?;
        self.free.add_permits(1);
        Some(result)
    }

    /// The next result; `None`: all is done and no step follows. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Result<U, Broken>> {
        match self.results.recv().await {
            Some(result) => {
                self.free.add_permits(1);
                Some(Ok(result))
            }
            None if self.free.available_permits() == self.places => None,
            // There are steps without a result.
            None => Some(Err(Broken)),
        }
    }
}

impl<T, U> Worker<T, U> {
    /// Until there is nothing to do. If a step panics, the worker is lost, and with it the end of the results.
    fn run(self, shared: &Shared<T, U>) {
        let mut next = shared.next(self);
        while let Some((mut worker, step)) = next {
            let result = (worker.work)(step);
            // Where nobody takes results there is nothing to do either.
            next = worker.done.try_send(result).ok().and_then(|()| shared.next(worker));
        }
    }
}

impl<T, U> Shared<T, U> {
    fn lock(&self) -> MutexGuard<'_, State<T, U>> {
        lock(&self.state)
    }

    /// The next step, which is waited for as long as a thread waits; `None`: the worker was put away.
    fn next(&self, worker: Worker<T, U>) -> Option<(Worker<T, U>, T)> {
        let nothing = |state: &mut State<T, U>| state.waiting.is_empty() && !state.closed;
        let waited = self.wake.wait_timeout_while(self.lock(), LINGER, nothing);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if worker.done.is_closed() {
            return None;
        }
        if let Some(step) = state.waiting.pop_front() {
            return Some((worker, step));
        }
        if !state.closed {
            state.idle = Some(worker);
        }
        None
    }
}

/// What a thread that panicked left behind is used as it is: no lock here guards more than single steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn results_come_in_order_also_after_the_thread_has_left() {
        let mut sum = 0;
        let (mut steps, mut results) = lane(3, move |step: u32| {
            sum += step;
            sum
        });
        for (step, sum) in [(1, 1), (2, 3), (3, 6)] {
            steps.push(step).await;
            let result = timeout(SOON, results.next()).await.unwrap();
            assert_eq!(result.unwrap().unwrap(), sum);
            let mut threads = std::mem::take(&mut *lock(&steps.threads));
            while threads.join_next().await.is_some() {}
        }
        for step in [4, 5, 6] {
            steps.push(step).await;
        }
        drop(steps);
        for sum in [10, 15, 21] {
            assert_eq!(timeout(SOON, results.next()).await.unwrap().unwrap().unwrap(), sum);
        }
        assert!(timeout(SOON, results.next()).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn no_more_steps_are_taken_than_there_are_places() {
        let (mut steps, mut results) = lane(2, |step: u32| step);
        steps.push(1).await;
        steps.push(2).await;
        {
            let third = steps.push(3);
            tokio::pin!(third);
            let pending = poll_fn(|context| Poll::Ready(third.as_mut().poll(context).is_pending()));
            assert!(pending.await);
            assert_eq!(results.next().await.unwrap().unwrap(), 1);
            timeout(SOON, third).await.unwrap();
        }
        assert_eq!(results.next().await.unwrap().unwrap(), 2);
        assert_eq!(results.next().await.unwrap().unwrap(), 3);
    }

    #[tokio::test]
    async fn a_step_that_panics_is_told() {
        let (mut steps, mut results) = lane(2, |step: u32| assert_eq!(step, 1));
        steps.push(1).await;
        assert!(matches!(timeout(SOON, results.next()).await.unwrap(), Some(Ok(()))));
        steps.push(2).await;
        assert!(matches!(timeout(SOON, results.next()).await.unwrap(), Some(Err(Broken))));
    }

    #[tokio::test]
    async fn when_nobody_takes_results_nothing_more_is_done() {
        let (done_in, mut done) = mpsc::channel(3);
        let (go, gate) = std::sync::mpsc::sync_channel::<()>(1);
        let (mut steps, results) = lane(3, move |step: u32| {
            let _ = gate.recv();
            let _ = done_in.try_send(step);
        });
        for step in [1, 2, 3] {
            steps.push(step).await;
        }
        drop(results);
        go.send(()).unwrap();
        // The work is dropped, and what it holds with it.
        let mut seen = Vec::new();
        while let Some(step) = timeout(SOON, done.recv()).await.unwrap() {
            seen.push(step);
        }
        assert!(seen.len() < 2, "{seen:?}");
    }
}
