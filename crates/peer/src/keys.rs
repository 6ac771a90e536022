//! Whose key is whose: the device keys that were seen of each user, which of them were verified, and safety numbers.

/// The keys that were seen, as one small text file keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {}

impl Keys {
    /// Reads what [`to_text`](Self::to_text) wrote; lines that make no sense are passed over.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let _ = text;
        Self::default()
    }

    /// For the file.
    #[must_use]
    pub fn to_text(&self) -> String {
        String::new()
    }
}
