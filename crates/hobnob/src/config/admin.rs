//! The checked settings of `hobnob admin`.

use std::path::PathBuf;

use super::{Layers, Mistakes, Surroundings};

/// Everything `hobnob admin` needs, checked.
#[derive(Clone, Debug)]
pub(crate) struct AdminSettings {
    /// Folder of the server, as `hobnob serve` finds it.
    pub(crate) data: PathBuf,
    /// JSON instead of words.
    pub(crate) json: bool,
}

impl AdminSettings {
    /// Checks everything.
    ///
    /// # Errors
    /// Every mistake at once.
    pub(crate) fn check(mut layers: Layers, surroundings: &dyn Surroundings) -> Result<Self, Mistakes> {
        let data = layers.data("server", surroundings);
        let json = layers.switch("json");
        layers.finish(data.map(|data| Self { data, json }))
    }
}
