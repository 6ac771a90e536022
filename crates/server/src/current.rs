//! What may be replaced while the server runs: settings, the certificate.

use std::{fmt, sync::Arc};

use arc_swap::{ArcSwap, Guard};

/// A value that many read and seldom anybody replaces. Reading takes neither a lock nor memory, so the path of a
/// message may do it; all who hold one of these see the same value.
pub struct Current<T>(Arc<ArcSwap<T>>);

impl<T> Current<T> {
    /// The value now. Not for keeping: who needs it for longer takes a part of it, or clones it.
    #[must_use]
    pub fn get(&self) -> Guard<Arc<T>> {
        self.0.load()
    }

    /// Replaces it. Who has read it before goes on with what there was.
    pub fn set(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}

impl<T> From<T> for Current<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }
}

impl<T> Clone for Current<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: fmt::Debug> fmt::Debug for Current<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
