//! The checked settings of the commands that talk to a server.

use std::path::PathBuf;

use hobnob_client::Address;

use super::{Layers, Mistakes, Surroundings};

/// A server, and perhaps who to log in as.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    /// As typed before the `@`.
    pub(crate) user: Option<String>,
    /// The server.
    pub(crate) address: Address,
}

/// Everything `hobnob chat` needs, checked.
#[derive(Clone, Debug)]
pub(crate) struct ChatSettings {
    /// Where to, and as whom.
    pub(crate) destination: Destination,
    /// Folder of keys and sessions.
    pub(crate) data: PathBuf,
    /// The only key to accept.
    pub(crate) pin: Option<String>,
    /// Where downloads go; it may not be there yet.
    pub(crate) downloads: PathBuf,
    /// Never show an address to others: private talk goes through the relay.
    pub(crate) relay_only: bool,
}

/// Everything that a command without a conversation needs, checked.
#[derive(Clone, Debug)]
pub(crate) struct OneShotSettings {
    /// Where to, and as whom.
    pub(crate) destination: Destination,
    /// File whose first line is the password.
    pub(crate) password_file: Option<PathBuf>,
    /// Folder of keys and sessions.
    pub(crate) data: PathBuf,
    /// The only key to accept.
    pub(crate) pin: Option<String>,
    /// JSON instead of words, where a command has a flag for it.
    pub(crate) json: bool,
    /// `share` and `get`: never show an address to others.
    pub(crate) relay_only: bool,
    /// `get`: where downloads go.
    pub(crate) downloads: PathBuf,
}

impl ChatSettings {
    /// Checks everything.
    ///
    /// # Errors
    /// Every mistake at once.
    pub(crate) fn check(mut layers: Layers, surroundings: &dyn Surroundings) -> Result<Self, Mistakes> {
        let destination = layers.check("server", destination);
        // Accepted already; it takes effect with the full screen.
        layers.switch("plain");
        let relay_only = layers.switch("relay-only");
        let data = layers.data("client", surroundings);
        let pin = layers.check("pin", pin);
        let downloads = layers.path("downloads");
        if downloads.as_ref().is_some_and(|path| path.exists() && !path.is_dir()) {
            layers.blame("downloads", "is not a folder");
        }
        let downloads = downloads.unwrap_or_else(|| PathBuf::from("."));
        let read = || Some(Self { destination: destination?, data: data?, pin, downloads, relay_only });
        let read = read();
        layers.finish(read)
    }
}

impl OneShotSettings {
    /// Checks everything.
    ///
    /// # Errors
    /// Every mistake at once.
    pub(crate) fn check(mut layers: Layers, surroundings: &dyn Surroundings) -> Result<Self, Mistakes> {
        let mut destination = layers.check("server", destination);
        let user = layers.check("user", name);
        layers.refuse_empty("user", "HOBNOB_USER", surroundings);
        if let (Some(destination), Some(user)) = (&mut destination, user) {
            destination.user = Some(user);
        }
        let password_file = layers.path("password-file");
        let data = layers.data("client", surroundings);
        let pin = layers.check("pin", pin);
        let json = layers.switch("json");
        let relay_only = layers.switch("relay-only");
        let downloads = layers.path("downloads").unwrap_or_else(|| PathBuf::from("."));
        let read = || {
            let (destination, data) = (destination?, data?);
            Some(Self { destination, password_file, data, pin, json, relay_only, downloads })
        };
        let read = read();
        layers.finish(read)
    }
}

/// `[USER@]HOST[:PORT]`; a scheme, `ws://` or `wss://`, may stand before all of it.
pub(super) fn destination(text: &str) -> Result<Destination, String> {
    let (scheme, rest) = match text.find("://") {
        Some(end) => text.split_at(end + 3),
        None => ("", text),
    };
    let (user, host) = match rest.rsplit_once('@') {
        Some((user, host)) => (Some(name(user)?), host),
        None => (None, rest),
    };
    let address = format!("{scheme}{host}").parse::<Address>();
    let address = address.map_err(|_| "is no server, write [USER@]HOST[:PORT]".to_owned())?;
    Ok(Destination { user, address })
}

fn name(text: &str) -> Result<String, String> {
    match hobnob_protocol::name::Name::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("cannot name a user: {error}")),
    }
}

/// `SHA256:` and 43 characters of base64, as the first contact and the server print it.
fn pin(text: &str) -> Result<String, String> {
    let base64 = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
    match text.strip_prefix("SHA256:") {
        Some(hash) if hash.len() == 43 && hash.chars().all(base64) => Ok(text.to_owned()),
        _ => Err("is no fingerprint, write it as the server prints it, SHA256:…".to_owned()),
    }
}
