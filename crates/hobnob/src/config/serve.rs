//! The checked settings of `hobnob serve`.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Layers, Mistakes, Surroundings, value};
use crate::log::Format;

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
    /// Whether unknown names may register.
    pub(crate) registration_open: bool,
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
    /// What a line of the log looks like.
    pub(crate) log_format: Format,
    /// Where security events go; `None`: with the rest of the log.
    pub(crate) security_log: Option<PathBuf>,
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
        if let Some(path) = layers.path("credentials") {
            credentials_mistakes(&path).iter().for_each(|mistake| layers.blame("credentials", mistake));
        }
        Self::check_again(layers, surroundings)
    }

    /// Checks everything but the accounts to import, which count at the start only and may be gone since.
    ///
    /// # Errors
    /// Every mistake at once.
    pub(crate) fn check_again(mut layers: Layers, surroundings: &dyn Surroundings) -> Result<Self, Mistakes> {
        let l = &mut layers;
        let listen = l.check("listen", value::listen);
        let data = l.data("server", surroundings);
        let credentials = l.given.get("credentials").map(|given| PathBuf::from(&given.value));
        let block_duration = l.check("block-duration", value::duration);
        let idle_timeout = l.check("idle-timeout", value::off_or(value::duration));
        let registration_open = l.check("registration", value::either("open", "closed"));
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
        let log_format = l.check("log-format", value::either("json", "text"));
        let security_log = l.path("security-log");

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
                registration_open: registration_open?,
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
                log_format: if log_format? { Format::Json } else { Format::Text },
                security_log,
            })
        };
        layers.finish(read())
    }
}

impl ServeSettings {
    /// These settings, but for what cannot be changed while a server runs that was started with `old`; then the names of
    /// what differs, and of what would, but takes a restart.
    pub(crate) fn in_place_of(mut self, old: &Self) -> (Self, Vec<&'static str>, Vec<&'static str>) {
        let mut restart = Vec::new();
        let mut keep = |name, differs: bool| differs.then(|| restart.push(name)).is_some();
        if keep("listen", self.listen != old.listen) {
            self.listen.clone_from(&old.listen);
        }
        if keep("data", self.data != old.data) {
            self.data.clone_from(&old.data);
        }
        if keep("credentials", self.credentials != old.credentials) {
            self.credentials.clone_from(&old.credentials);
        }
        let plain = |settings: &Self| settings.tls == TlsSource::Off;
        if keep("tls", plain(&self) != plain(old)) {
            self.tls.clone_from(&old.tls);
        }
        if keep("relay", self.relay != old.relay) {
            self.relay = old.relay;
        }
        if keep("log-format", self.log_format != old.log_format) {
            self.log_format = old.log_format;
        }
        let changed = self.differences(old);
        (self, changed, restart)
    }

    fn differences(&self, old: &Self) -> Vec<&'static str> {
        let all = [
            ("block-duration", self.block_duration != old.block_duration),
            ("idle-timeout", self.idle_timeout != old.idle_timeout),
            ("registration", self.registration_open != old.registration_open),
            ("welcome", self.welcome != old.welcome),
            ("tls", self.tls != old.tls),
            ("relay-rate", self.relay_rate != old.relay_rate),
            ("history", self.history != old.history),
            ("sessions-per-user", self.sessions_per_user != old.sessions_per_user),
            ("send-rate", self.send_rate != old.send_rate),
            ("inbox-messages", self.inbox_messages != old.inbox_messages),
            ("inbox-bytes", self.inbox_bytes != old.inbox_bytes),
            ("inbox-per-sender", self.inbox_per_sender != old.inbox_per_sender),
            ("log", self.log != old.log),
            ("security-log", self.security_log != old.security_log),
        ];
        all.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
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
