//! The checked settings of `hobnob serve`.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use hobnob_server::config::Registration;

use super::{Layers, Mistakes, Surroundings, value};

/// Everything `hobnob serve` needs, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServeSettings {
    /// `HOST:PORT`.
    pub(crate) listen: String,
    /// Folder of the database and the key.
    pub(crate) data: PathBuf,
    /// Accounts to import.
    pub(crate) credentials: Option<PathBuf>,
    /// How long three failures block a name.
    pub(crate) block_duration: Duration,
    /// `None`: nobody is logged out for doing nothing.
    pub(crate) idle_timeout: Option<Duration>,
    /// Who may make an account.
    pub(crate) registration: Registration,
    /// What a login is answered with.
    pub(crate) welcome: String,
    /// Where the certificate comes from.
    pub(crate) tls: TlsSource,
    /// Whether private talk is relayed.
    pub(crate) relay: bool,
    /// Bytes a second that one user may send over the relay; `None`: no limit.
    pub(crate) relay_rate: Option<u32>,
    /// How long delivered messages are kept; `None`: not at all.
    pub(crate) history: Option<Duration>,
    /// Sessions a user may have at once.
    pub(crate) sessions_per_user: u32,
    /// Messages per second and session; `None`: no limit.
    pub(crate) send_rate: Option<u32>,
    /// Most messages that wait for one user.
    pub(crate) inbox_messages: u32,
    /// Most bytes of text that wait for one user.
    pub(crate) inbox_bytes: u64,
    /// Most messages of one sender that wait for one user.
    pub(crate) inbox_per_sender: u32,
    /// A filter as `tracing` knows it.
    pub(crate) log: String,
}

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TlsSource {
    /// Made at first start.
    SelfSigned,
    /// There is none.
    Off,
    /// PEM files.
    Files {
        /// The chain, leaf first.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
}

impl ServeSettings {
    /// Checks everything.
    ///
    /// # Errors
    /// Every mistake at once.
    pub(crate) fn check(mut layers: Layers, surroundings: &dyn Surroundings) -> Result<Self, Mistakes> {
        let l = &mut layers;
        let listen = l.check("listen", value::listen);
        let data = l.data("server", surroundings);
        let credentials = l.path("credentials");
        let block_duration = l.check("block-duration", value::duration);
        let idle_timeout = l.check("idle-timeout", value::off_or(value::duration));
        let registration = l.check("registration", registration);
        let welcome = l.check("welcome", value::shown);
        let tls = l.check("tls", tls);
        let insecure = l.switch("insecure");
        let relay = l.check("relay", value::off_or(on)).map(|relay| relay.is_some());
        let relay_rate = l.check("relay-rate", value::off_or(value::byte_rate));
        let history = l.check("history", value::off_or(value::duration));
        let sessions_per_user = l.check("sessions-per-user", value::count);
        let send_rate = l.check("send-rate", value::off_or(value::rate));
        let inbox_messages = l.check("inbox-messages", value::count);
        let inbox_bytes = l.check("inbox-bytes", value::bytes);
        let inbox_per_sender = l.check("inbox-per-sender", value::count);
        let log = l.check("log", log);

        if let Some(path) = &credentials {
            credentials_mistakes(path).iter().for_each(|mistake| l.blame("credentials", mistake));
        }
        let open = listen.as_deref().is_some_and(|listen| !value::is_loopback(listen));
        if open && !insecure && tls == Some(TlsSource::Off) {
            l.blame(
                "tls",
                "would send passwords in the clear on an address that is not loopback; --insecure allows it",
            );
        }
        let read = || {
            Some(Self {
                listen: listen?,
                data: data?,
                credentials,
                block_duration: block_duration?,
                idle_timeout: idle_timeout?,
                registration: registration?,
                welcome: welcome?,
                tls: tls?,
                relay: relay?,
                relay_rate: relay_rate?,
                history: history?,
                sessions_per_user: sessions_per_user?,
                send_rate: send_rate?,
                inbox_messages: inbox_messages?,
                inbox_bytes: inbox_bytes?,
                inbox_per_sender: inbox_per_sender?,
                log: log?,
            })
        };
        layers.finish(read())
    }
}

/// What is wrong in a file of credentials. It is imported only when everything is right.
fn credentials_mistakes(path: &Path) -> Vec<String> {
    match std::fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => hobnob_server::import::parse(&text).err().unwrap_or_default(),
        Ok(Err(_)) => vec!["is not UTF-8".to_owned()],
        Err(error) => vec![format!("cannot be read: {error}")],
    }
}

fn registration(text: &str) -> Result<Registration, String> {
    match text {
        "open" => Ok(Registration::Open),
        "closed" => Ok(Registration::Closed),
        "invite" => Ok(Registration::Invite),
        _ => Err("is none of open, closed and invite".to_owned()),
    }
}

fn on(text: &str) -> Result<(), String> {
    matches!(text, "on" | "true").then_some(()).ok_or_else(|| "is not on".to_owned())
}

fn tls(text: &str) -> Result<TlsSource, String> {
    match text {
        "self-signed" => return Ok(TlsSource::SelfSigned),
        "off" | "false" => return Ok(TlsSource::Off),
        _ => {}
    }
    let (certificate, key) = text
        .split_once(',')
        .filter(|(certificate, key)| !certificate.is_empty() && !key.is_empty())
        .ok_or_else(|| "is none of self-signed, off and CERT.pem,KEY.pem".to_owned())?;
    for path in [certificate, key] {
        File::open(path).map_err(|error| format!("cannot be used, {path}: {error}"))?;
    }
    Ok(TlsSource::Files { certificate: certificate.into(), key: key.into() })
}

fn log(text: &str) -> Result<String, String> {
    match tracing_subscriber::EnvFilter::try_new(text) {
        // A lone unknown word would be taken for the name of a module, and silence everything.
        Ok(_) if text.contains(['=', ',']) => Ok(text.to_owned()),
        Ok(_) if matches!(text, "off" | "error" | "warn" | "info" | "debug" | "trace") => Ok(text.to_owned()),
        _ => Err("is none of error, warn, info, debug, trace and off".to_owned()),
    }
}
