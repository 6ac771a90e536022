//! The connection that is up: frames out and in at once, so that neither side can block the other, and time limits
//! for both directions.

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hobnob_protocol::limits::{SILENCE_MAX, WRITE_TIMEOUT};
use tokio::time::{Instant, sleep_until, timeout};

use crate::link::{self, BoxLink, LinkError};

/// How long the server's farewell is waited for when it takes no more frames.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);
/// How long our own farewell may take.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// A connection with what waits to be sent. That is bounded by what the session may have under way.
pub(super) struct Wire {
    link: BoxLink,
    out: VecDeque<Bytes>,
    /// Since when something waits to be sent without any progress.
    stuck_since: Option<Instant>,
    /// When something came last, or reading began again.
    heard: Instant,
    reading: bool,
    /// The server takes nothing any more; why is perhaps still to be read.
    deaf: Option<Instant>,
}

impl Wire {
    pub(super) fn new(link: BoxLink) -> Self {
        let heard = Instant::now();
        Self { link, out: VecDeque::new(), stuck_since: None, heard, reading: true, deaf: None }
    }

    /// Puts a frame behind those that wait.
    pub(super) fn push(&mut self, frame: Bytes) {
        self.out.push_back(frame);
        self.stuck_since.get_or_insert_with(Instant::now);
    }

    /// Sends what waits, and returns the next frame that comes. Without `read` it only sends. Cancel safe.
    pub(super) async fn next(&mut self, read: bool) -> Result<Bytes, LinkError> {
        if read && !self.reading {
            self.heard = Instant::now();
        }
        self.reading = read;
        loop {
            let deadline = self.deadline();
            tokio::select! {
                biased;
                frame = std::future::poll_fn(|cx| self.poll(cx)) => match frame? {
                    Some(frame) => return Ok(frame),
                    None => continue,
                },
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    return Err(LinkError::default());
                }
            }
        }
    }

    /// When the connection is given up if nothing happens.
    fn deadline(&self) -> Option<Instant> {
        let silence = self.reading.then(|| self.heard + SILENCE_MAX);
        let stuck = self.stuck_since.map(|since| since + WRITE_TIMEOUT);
        let farewell = self.deaf.map(|since| since + FAREWELL_TIMEOUT);
        [silence, stuck, farewell].into_iter().flatten().min()
    }

    /// Ready with a frame, or with `None` when the deadline has moved.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, LinkError>> {
        let before = self.deadline();
        if self.deaf.is_none() && self.poll_write(cx).is_err() {
            self.deaf = Some(Instant::now());
            self.stuck_since = None;
            self.out.clear();
        }
        while self.reading
            && let Poll::Ready(frame) = self.link.poll_recv(cx)
        {
            self.heard = Instant::now();
            if let Some(frame) = frame? {
                return Poll::Ready(Ok(Some(frame)));
            }
        }
        if self.deadline() == before { Poll::Pending } else { Poll::Ready(Ok(None)) }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), LinkError> {
        while !self.out.is_empty() {
            let Poll::Ready(ready) = self.link.poll_ready(cx) else { return Ok(()) };
            ready?;
            if let Some(frame) = self.out.pop_front() {
                self.link.feed(frame)?;
                self.stuck_since = Some(Instant::now());
            }
        }
        if self.stuck_since.is_some()
            && let Poll::Ready(flushed) = self.link.poll_flush(cx)
        {
            flushed?;
            self.stuck_since = None;
        }
        Ok(())
    }

    /// Says that this was all, if that can be said at once.
    pub(super) async fn close(self) {
        if self.deaf.is_none() {
            // What does not go out in time does not matter any more.
            let _ = timeout(CLOSE_TIMEOUT, link::close(self.link)).await;
        }
    }
}
