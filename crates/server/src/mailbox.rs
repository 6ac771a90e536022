//! A bounded queue into one task that costs next to nothing while it is empty: ten thousand sessions that do nothing
//! should not each hold room for the day they are busy. (A channel of tokio's holds room for 32 from its beginning.)
//!
//! Who puts something in may be left to wake the task later, so that a task for which a whole round of deliveries
//! brings much runs once.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tokio::sync::Notify;

/// Items for which an empty queue keeps its room.
const KEPT: usize = 8;

/// An end to put something in.
#[derive(Debug)]
pub struct Sender<T>(Arc<Mailbox<T>>);

/// The end that takes it out.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Mailbox<T>>);

#[derive(Debug)]
struct Mailbox<T> {
    /// `None`: nobody will take anything out any more.
    queue: Mutex<Option<Queue<T>>>,
    bound: usize,
    /// There is room for one who waits for it.
    room: Notify,
}

#[derive(Debug)]
struct Queue<T> {
    items: VecDeque<T>,
    /// The task that waits for something; whoever takes this wakes it.
    taker: Option<Waker>,
    /// Wait for room; one who has gone meanwhile may be counted still.
    waiting: usize,
}

/// Why something was not put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no room.
    Full,
    /// Nobody will take it out.
    Closed,
}

/// Tasks to be woken at the end of a round of deliveries, each once. Whatever is left is woken when this is dropped.
#[derive(Debug, Default)]
pub struct Round(Vec<Waker>);

impl Round {
    /// Wakes them.
    pub fn ring(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        self.ring();
    }
}

/// A queue for so many items.
#[must_use]
pub fn bounded<T>(bound: usize) -> (Sender<T>, Receiver<T>) {
    let queue = Mutex::new(Some(Queue { items: VecDeque::new(), taker: None, waiting: 0 }));
    let mailbox = Arc::new(Mailbox { queue, bound, room: Notify::new() });
    (Sender(Arc::clone(&mailbox)), Receiver(mailbox))
}

impl<T> Mailbox<T> {
    fn lock(&self) -> MutexGuard<'_, Option<Queue<T>>> {
        // No code under the lock can leave the queue half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Sender<T> {
    /// Puts something in.
    ///
    /// # Errors
    /// There is no room, or nobody takes anything out any more.
    pub fn try_send(&self, item: T) -> Result<(), Refused> {
        let taker = self.put(item, self.0.bound, false).map_err(|(_, refused)| refused)?;
        taker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Puts something in; who takes it out is woken with the others of the round.
    ///
    /// # Errors
    /// There is no room, or nobody takes anything out any more.
    pub fn send_in(&self, item: T, round: &mut Round) -> Result<(), Refused> {
        round.0.extend(self.put(item, self.0.bound, false).map_err(|(_, refused)| refused)?);
        Ok(())
    }

    /// Puts something in beyond the bound. Only for what is bounded elsewhere.
    ///
    /// # Errors
    /// Nobody takes anything out any more.
    pub fn send_beyond(&self, item: T, round: &mut Round) -> Result<(), Refused> {
        round.0.extend(self.put(item, usize::MAX, false).map_err(|(_, refused)| refused)?);
        Ok(())
    }

    /// Puts something in as soon as there is room. For few who wait: each is woken when there is room for one.
    ///
    /// # Errors
    /// Nobody takes anything out any more.
    pub async fn send(&self, mut item: T) -> Result<(), Refused> {
        loop {
            let room = self.0.room.notified();
            match self.put(item, self.0.bound, true) {
                Ok(taker) => {
                    taker.into_iter().for_each(Waker::wake);
                    return Ok(());
                }
                Err((back, Refused::Full)) => item = back,
                Err((_, Refused::Closed)) => return Err(Refused::Closed),
            }
            room.await;
        }
    }

    /// Returns the task that waits for it, which is to be woken.
    fn put(&self, item: T, bound: usize, waits: bool) -> Result<Option<Waker>, (T, Refused)> {
        let mut guard = self.0.lock();
        let Some(queue) = guard.as_mut() else { return Err((item, Refused::Closed)) };
        if queue.items.len() >= bound {
            queue.waiting += usize::from(waits);
            return Err((item, Refused::Full));
        }
        queue.items.push_back(item);
        Ok(queue.taker.take())
    }
}

impl<T> Receiver<T> {
    /// The next item. A future that is dropped has taken none.
    pub async fn recv(&mut self) -> T {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// The next item; while there is none, the task is woken when one comes.
    pub fn poll_recv(&mut self, context: &Context<'_>) -> Poll<T> {
        self.take(Some(context)).map_or(Poll::Pending, Poll::Ready)
    }

    /// The next item, if there is one.
    pub fn try_recv(&mut self) -> Option<T> {
        self.take(None)
    }

    fn take(&mut self, waits: Option<&Context<'_>>) -> Option<T> {
        let mut guard = self.0.lock();
        let queue = guard.as_mut()?;
        let Some(item) = queue.items.pop_front() else {
            if queue.items.capacity() > KEPT {
                queue.items = VecDeque::new();
            }
            if let Some(context) = waits {
                match &mut queue.taker {
                    Some(taker) => taker.clone_from(context.waker()),
                    none => *none = Some(context.waker().clone()),
                }
            }
            return None;
        };
        let waited_for = queue.waiting > 0;
        queue.waiting -= usize::from(waited_for);
        drop(guard);
        if waited_for {
            self.0.room.notify_one();
        }
        Some(item)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // What is left may itself tell somebody that it is gone, so not under the lock.
        let left = self.0.lock().take();
        drop(left);
        self.0.room.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
    };

    use futures_util::FutureExt;
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn what_goes_in_comes_out_in_order_and_no_more_than_fits() {
        let (sender, mut receiver) = bounded(3);
        for item in 1..=3 {
            assert_eq!(sender.try_send(item), Ok(()));
        }
        assert_eq!(sender.try_send(4), Err(Refused::Full));
        assert_eq!((receiver.recv().await, receiver.try_recv()), (1, Some(2)));
        assert_eq!(sender.try_send(5), Ok(()));
        assert_eq!((receiver.recv().await, receiver.recv().await, receiver.try_recv()), (3, 5, None));
        assert!(receiver.recv().now_or_never().is_none());
        sender.try_send(6).unwrap();
        assert_eq!(receiver.recv().now_or_never(), Some(6));
    }

    #[tokio::test]
    async fn who_waits_for_room_gets_it() {
        let (sender, mut receiver) = bounded(2);
        sender.try_send(0).unwrap();
        sender.try_send(4).unwrap();
        let mut others = JoinSet::new();
        for item in 1..=3 {
            let sender = sender.clone();
            others.spawn(async move { sender.send(item).await });
        }
        tokio::task::yield_now().await;
        // Two at once make room for two.
        let mut got = vec![receiver.recv().await, receiver.recv().await];
        while got.len() < 5 {
            got.push(receiver.recv().await);
        }
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2, 3, 4]);
        assert_eq!(others.join_all().await, [Ok(()); 3]);
    }

    #[tokio::test]
    async fn nothing_is_put_where_nobody_takes_it() {
        let (sender, receiver) = bounded(1);
        sender.try_send(0).unwrap();
        let mut waits = Box::pin(sender.send(1));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(receiver);
        assert_eq!(waits.await, Err(Refused::Closed));
        assert_eq!(sender.try_send(2), Err(Refused::Closed));
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_round_wakes_at_its_end_and_once() {
        let (sender, mut receiver) = bounded(1);
        let (woken, mut round) = (Arc::new(Woken::default()), Round::default());
        let waker = Waker::from(Arc::clone(&woken));
        let context = Context::from_waker(&waker);
        let count = || woken.0.load(Ordering::Relaxed);
        assert!(receiver.poll_recv(&context).is_pending());
        assert_eq!(sender.send_in(1, &mut round), Ok(()));
        assert_eq!(sender.send_in(2, &mut round), Err(Refused::Full));
        assert_eq!(sender.send_beyond(3, &mut round), Ok(()));
        assert_eq!(count(), 0);
        round.ring();
        assert_eq!(count(), 1);
        assert_eq!(receiver.poll_recv(&context), Poll::Ready(1));
        assert_eq!(receiver.poll_recv(&context), Poll::Ready(3));
        assert!(receiver.poll_recv(&context).is_pending());
        assert_eq!(sender.try_send(4), Ok(()));
        assert_eq!(count(), 2);
        assert_eq!(sender.send_in(5, &mut round), Err(Refused::Full));
    }

    #[tokio::test]
    async fn an_item_that_is_dropped_with_the_queue_may_use_it() {
        struct Loud(Sender<Loud>);
        impl Drop for Loud {
            fn drop(&mut self) {
                assert!(self.0.0.lock().is_none());
            }
        }
        let (sender, receiver) = bounded(1);
        assert!(sender.try_send(Loud(sender.clone())).is_ok());
        drop(receiver);
    }

    #[test]
    fn an_empty_queue_holds_little() {
        let (sender, mut receiver) = bounded(256);
        (0..256).for_each(|item| sender.try_send(item).unwrap());
        while receiver.try_recv().is_some() {}
        assert!(receiver.0.lock().as_ref().unwrap().items.capacity() <= KEPT);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_is_lost_between_threads() {
        let (sender, mut receiver) = bounded(4);
        let mut sends = JoinSet::new();
        sends.spawn(async move {
            for item in 0..20_000_u32 {
                sender.send(item).await.unwrap();
            }
        });
        for item in 0..20_000 {
            assert_eq!(receiver.recv().await, item);
        }
        sends.join_all().await;
    }
}
