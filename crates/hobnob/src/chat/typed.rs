//! Standard input, read by a thread that nobody can interrupt, and whether anything typed is still on its way.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// The end that is read from. Who does must have passed on what came before when reading again.
pub(super) struct Typed {
    watch: Arc<Watch>,
}

/// The end that is watched.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Whether the thread waits for more, with nothing in its hands but a part of a line.
    waiting: AtomicBool,
    changed: Notify,
}

/// Both ends of standard input.
pub(super) fn typed() -> (Typed, Arc<Watch>) {
    let watch = Arc::new(Watch::default());
    (Typed { watch: watch.clone() }, watch)
}

impl Read for Typed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // Of what comes while this waits, a single byte is taken: until the flag is down again the rest of a line
        // is seen where it came from.
        let length = if lies_ready() {
            into.len()
        } else {
            self.watch.rest();
            into.len().min(1)
        };
        let read = rustix::io::read(io::stdin(), &mut into[..length]);
        self.watch.waiting.store(false, Ordering::Release);
        Ok(read?)
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        self.watch.rest();
    }
}

impl Watch {
    fn rest(&self) {
        self.waiting.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Ends when nothing typed is on its way to who reads the thread's channel, which may still hold something; not
    /// before `from`, and never without it.
    pub(super) async fn dry(&self, from: Option<Instant>) {
        let Some(from) = from else { return std::future::pending().await };
        sleep_until(from).await;
        // In this order: what no longer lies ready has put the flag down, which is up again when it was passed on.
        while lies_ready() || !self.waiting.load(Ordering::Acquire) {
            self.changed.notified().await;
        }
    }
}

/// Whether a read would not wait. The end of input does not count, nor what cannot be asked.
fn lies_ready() -> bool {
    rustix::io::ioctl_fionread(io::stdin()).is_ok_and(|bytes| bytes > 0)
}
