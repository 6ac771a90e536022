//! Reads beside the writer, off the network tasks.

use std::sync::Arc;

use crate::store::{Result, Store, StoreError};

/// Reads from the store.
#[derive(Clone)]
pub struct Reader {
    store: Arc<dyn Store>,
    inline: bool,
}

impl Reader {
    /// Reads on the runtime's blocking pool.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, inline: false }
    }

    /// Reads on the spot: for a store that does not block.
    #[must_use]
    pub fn inline(store: Arc<dyn Store>) -> Self {
        Self { store, inline: true }
    }

    /// Runs `read` and waits for it.
    ///
    /// # Errors
    /// What the store said.
    pub async fn run<R, F>(&self, read: F) -> Result<R>
    where
        R: Send + 'static,
        F: FnOnce(&dyn Store) -> Result<R> + Send + 'static,
    {
        if self.inline {
            return read(&*self.store);
        }
        let store = self.store.clone();
        let task = tokio::task::spawn_blocking(move || read(&*store));
        task.await.unwrap_or_else(|error| Err(StoreError::Database(error.to_string())))
    }
}
