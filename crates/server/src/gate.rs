//! One password check at a time for each class of login attempts, so that many at once cannot outrun the count of
//! failures.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::OwnedMutexGuard;

type Class = (String, Vec<u8>);
type Turn = tokio::sync::Mutex<()>;

/// Hands out turns. Holds nothing for classes that nobody waits for.
#[derive(Debug, Default)]
pub struct Gate {
    turns: Mutex<HashMap<Class, Weak<Turn>>>,
}

/// A turn; over when dropped.
pub type Guard = OwnedMutexGuard<()>;

/// Entries of the table after which those nobody holds are swept out.
const SWEEP_AT: usize = 1024;

impl Gate {
    /// Waits for the turn of a class: a name, and a device's key or nothing for strangers.
    pub async fn enter(&self, name: &str, device: &[u8]) -> Guard {
        let class = (name.to_owned(), device.to_vec());
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            if turns.len() >= SWEEP_AT {
                turns.retain(|_, turn| turn.strong_count() > 0);
            }
            let held = turns.get(&class).and_then(Weak::upgrade);
            held.unwrap_or_else(|| {
                let turn = Arc::new(Turn::default());
                turns.insert(class, Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_class_takes_turns_and_others_do_not_wait() {
        let gate = Gate::default();
        let first = gate.enter("hans", b"").await;
        let second = tokio_test_pending(gate.enter("hans", b"")).await;
        assert!(second.is_none());
        drop(gate.enter("hans", b"device").await);
        drop(gate.enter("yoda", b"").await);
        drop(first);
        drop(gate.enter("hans", b"").await);
    }

    /// `None` if the future is not ready at once.
    async fn tokio_test_pending<T>(future: impl Future<Output = T>) -> Option<T> {
        tokio::select! { biased; value = future => Some(value), () = std::future::ready(()) => None }
    }
}
