//! What happened in a run, in order: hashed, so that two runs can be compared, and kept only if somebody is to read
//! it.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// The log of one run.
#[derive(Debug)]
pub(crate) struct Trace {
    start: Instant,
    keep: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    hash: u64,
    lines: Vec<String>,
}

impl Trace {
    pub(crate) fn new(keep: bool) -> Self {
        let inner = Inner { hash: 0xcbf2_9ce4_8422_2325, lines: Vec::new() };
        Self { start: Instant::now(), keep, inner: Mutex::new(inner) }
    }

    /// Milliseconds since the run began.
    pub(crate) fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Notes something.
    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        let line = format!("{:>8} {what}", self.now_ms());
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.hash(line.as_bytes());
        if self.keep {
            inner.lines.push(line);
        }
    }

    /// Notes a frame; `shown` is asked only if the log is to be read.
    pub(crate) fn frame(&self, bytes: &[u8], shown: impl FnOnce() -> String) {
        let now_ms = self.now_ms();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.hash(&now_ms.to_le_bytes());
        inner.hash(bytes);
        if self.keep {
            let line = format!("{now_ms:>8} {}", shown());
            inner.lines.push(line);
        }
    }

    /// The hash of everything so far, and the lines if they were kept.
    pub(crate) fn take(&self) -> (u64, Vec<String>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        (inner.hash, std::mem::take(&mut inner.lines))
    }
}

impl Inner {
    fn hash(&mut self, bytes: &[u8]) {
        // FNV-1a over words: what matters is that a difference shows.
        for word in bytes.chunks(8) {
            let mut padded = [0; 8];
            padded[..word.len()].copy_from_slice(word);
            self.hash = (self.hash ^ u64::from_le_bytes(padded)).wrapping_mul(0x0000_0100_0000_01b3);
            self.hash ^= self.hash >> 29;
        }
    }
}
