//! Standard output, and whether anybody reads it.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// How often it is looked whether a write has ended, and at how many looks in a row it has not when it is stuck: 8 s.
const LOOK: Duration = Duration::from_millis(250);
const LOOKS: u32 = 32;

/// Counts the beginnings and ends of writes, of which there is one at a time: odd while one is under way.
static WRITES: AtomicUsize = AtomicUsize::new(0);

/// Standard output. A write waits for a reader who does not read; [`stuck`] finds that out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output;

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _writing = Writing::begin();
        io::stdout().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let _writing = Writing::begin();
        io::stdout().flush()
    }
}

/// Writes all of a text.
///
/// # Errors
/// Nobody reads any more.
pub(crate) fn write(text: &str) -> io::Result<()> {
    Output.write_all(text.as_bytes())?;
    Output.flush()
}

/// Ends when one write has been under way for 8 s.
pub(crate) async fn stuck() {
    let mut seen = Seen::default();
    while !seen.is_stuck(WRITES.load(Ordering::Acquire)) {
        tokio::time::sleep(LOOK).await;
    }
}

/// One write.
struct Writing;

impl Writing {
    fn begin() -> Self {
        WRITES.fetch_add(1, Ordering::AcqRel);
        Self
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        WRITES.fetch_add(1, Ordering::AcqRel);
    }
}

/// What was seen of the count, and how often in a row.
#[derive(Default)]
struct Seen {
    count: usize,
    looks: u32,
}

impl Seen {
    fn is_stuck(&mut self, count: usize) -> bool {
        let same = count == self.count && count % 2 == 1;
        self.looks = if same { self.looks + 1 } else { 0 };
        self.count = count;
        self.looks >= LOOKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_write_that_does_not_end_is_stuck() {
        let mut seen = Seen::default();
        assert!((0..1000).all(|_| !seen.is_stuck(2)), "nothing is written");
        assert!((0..1000).all(|write| !seen.is_stuck(2 * write + 1)), "one write after the other");
        assert!((0..LOOKS).all(|_| !seen.is_stuck(7)), "not yet");
        assert!(seen.is_stuck(7));
    }
}
