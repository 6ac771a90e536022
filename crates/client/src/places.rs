//! How much may wait for an answer: places, of which a long command takes several.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::client::Closed;
use crate::event::Command;

/// Places of one session: some 16,000 lines, or 16 MiB of text.
pub(crate) const PLACES: usize = 16 * 1024;
/// Free at the beginning at least, whatever was left over: room for the longest message.
const FREE_MIN: usize = 256;
/// Bytes of text to a place.
const PLACE_BYTES: usize = 1024;

/// The places of a session.
pub(crate) struct Places {
    free: Semaphore,
    /// Places of what was left over that are not there; what is given back pays for them first.
    owed: AtomicUsize,
}

impl Places {
    /// What an earlier process left over takes its places, but never so that nothing can be said.
    pub(crate) fn new<'a>(left_over: impl Iterator<Item = &'a Command>) -> Self {
        let taken: usize = left_over.map(cost).sum();
        let free = PLACES.saturating_sub(taken).max(FREE_MIN);
        let owed = taken.saturating_sub(PLACES - free);
        Self { free: Semaphore::new(free), owed: AtomicUsize::new(owed) }
    }

    /// Waits for the places of a command.
    pub(crate) async fn take(&self, command: &Command) -> Result<SemaphorePermit<'_>, Closed> {
        let many = u32::try_from(cost(command)).map_err(|_| Closed)?;
        self.free.acquire_many(many).await.map_err(|_| Closed)
    }

    /// The command is answered. Called by the driver alone.
    pub(crate) fn give_back(&self, command: &Command) {
        let owed = self.owed.load(Ordering::Relaxed);
        let paid = owed.min(cost(command));
        self.owed.store(owed - paid, Ordering::Relaxed);
        self.free.add_permits(cost(command) - paid);
    }

    /// Nobody gets a place any more, nor waits for one.
    pub(crate) fn close(&self) {
        self.free.close();
    }
}

/// The places that a command takes. Not more than there are, so that each has its turn.
fn cost(command: &Command) -> usize {
    let bytes = match command {
        Command::Message { to, text } => to.len() + text.len(),
        Command::Broadcast { text } => text.len(),
        Command::Block(user) | Command::Unblock(user) | Command::Invite(user) | Command::MaySee(user) => {
            user.len()
        }
        _ => 0,
    };
    (1 + bytes / PLACE_BYTES).min(PLACES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broadcast(bytes: usize) -> Command {
        Command::Broadcast { text: "x".repeat(bytes) }
    }

    #[test]
    fn a_long_command_takes_more_and_every_one_fits() {
        let table = [(0, 1), (1023, 1), (1024, 2), (64 * 1024, 65), (64 << 20, PLACES)];
        for (bytes, places) in table {
            assert_eq!(cost(&broadcast(bytes)), places, "{bytes}");
        }
    }

    #[test]
    fn in_the_end_there_are_as_many_as_at_first() {
        for (each, count) in [(1, 0), (1, 100), (1, 16_384), (1, 40_000), (65, 249), (65, 251), (65, 252)] {
            let left_over: Vec<_> = (0..count).map(|_| broadcast((each - 1) * PLACE_BYTES)).collect();
            let places = Places::new(left_over.iter());
            let free = places.free.available_permits();
            assert_eq!(free, PLACES.saturating_sub(each * count).max(FREE_MIN), "{each} times {count}");
            left_over.iter().for_each(|command| places.give_back(command));
            assert_eq!(places.free.available_permits(), PLACES, "{each} times {count}");
        }
    }
}
