//! What of the libraries' messages is shown, and where.

mod line;
pub(crate) mod security;

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt, LevelFilter, Targets, dynamic_filter_fn, filter_fn},
    fmt,
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

pub(crate) use self::line::Format;
use self::{line::Lines, security::SecurityLog};
use crate::termios;

/// Beginnings of the targets whose messages are about packets, routes and relays. What of it concerns a person is told
/// by hobnob in words of its own.
const NETWORK: &[&str] = &["iroh", "noq", "netwatch", "netdev", "netlink", "portmapper", "n0_", "hickory"];

/// Shows the warnings of the client library on standard error; where a line is typed on the same terminal, only what
/// is worse, because it would be garbled.
pub(crate) fn show_warnings(typing: bool) {
    let terminal = |file: BorrowedFd<'_>| termios::is_terminal(file);
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let garbled = typing && [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()].into_iter().all(terminal);
    let level = if garbled { Level::ERROR } else { Level::WARN };
    let layer = tracing_subscriber::fmt::layer().with_target(false).without_time().with_ansi(false);
    // Nothing can be said where nobody listens.
    let layer = layer.with_writer(io::stderr).log_internal_errors(false);
    tracing_subscriber::registry().with(for_people(level)).with(layer).init();
}

/// The logs of a server, which can be changed while it runs.
pub(crate) struct Logs {
    filter: reload::Handle<EnvFilter, Registry>,
    security: SecurityLog,
}

impl Logs {
    /// Logs to standard error, and security events to a file of their own, if there is one. The filter is as in the
    /// settings, where it was checked; it does not concern that file.
    pub(crate) fn begin(filter: &str, format: Format, security: Option<File>) -> Self {
        let (filter, handle) = reload::Layer::new(EnvFilter::new(for_a_server(filter)));
        let security = SecurityLog::new(format, security);
        let apart = security.clone();
        // Asked each time, since a file may come and go.
        let with_the_rest = dynamic_filter_fn(move |about, _| !(is_security(about) && apart.is_apart()));
        let main = fmt::layer().event_format(Lines(format)).with_writer(io::stderr);
        let main = main.with_ansi(termios::is_terminal(io::stderr())).log_internal_errors(false);
        let main = main.with_filter(filter.and(filter_fn(is_harmless)).and(with_the_rest));
        let apart = fmt::layer().event_format(Lines(format)).with_writer(security.clone()).with_ansi(false);
        let apart = apart.log_internal_errors(false);
        let apart = apart.with_filter(filter_fn(is_security).with_max_level_hint(Level::INFO));
        tracing_subscriber::registry().with(main).with(apart).init();
        Self { filter: handle, security }
    }

    /// Another filter counts from now on.
    pub(crate) fn set_filter(&self, filter: &str) {
        // There is a log as long as there is a process.
        let _ = self.filter.reload(EnvFilter::new(for_a_server(filter)));
    }

    /// Security events go to this file from now on, or with the rest.
    pub(crate) fn set_security(&self, file: Option<File>) {
        self.security.set(file);
    }
}

fn is_security(about: &Metadata<'_>) -> bool {
    about.target().starts_with(hobnob_server::security::TARGET)
}

/// The finest level of libraries shows what they send and receive, which is for no log.
fn is_harmless(about: &Metadata<'_>) -> bool {
    about.target().starts_with("hobnob") || *about.level() < Level::TRACE
}

/// Everything of this level and worse but what the network is made of.
fn for_people(level: Level) -> Targets {
    let network = NETWORK.iter().map(|target| (*target, LevelFilter::OFF));
    Targets::new().with_default(level).with_targets(network)
}

/// A lone level is about hobnob itself; of others only errors count. Who writes more than that gets just that.
fn for_a_server(filter: &str) -> String {
    match filter {
        "off" => filter.to_owned(),
        level if level.contains(['=', ',']) => level.to_owned(),
        level => format!("error,hobnob={level}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_of_the_network_do_not_reach_a_person() {
        let targets = for_people(Level::WARN);
        for (target, shown) in [
            ("hobnob_client::door", true),
            ("tokio", true),
            ("iroh::socket", false),
            ("iroh_relay::client", false),
            ("noq_proto::connection", false),
            ("n0_dns_resolver", false),
        ] {
            assert_eq!(targets.would_enable(target, &Level::WARN), shown, "{target}");
            assert!(!targets.would_enable(target, &Level::INFO), "{target}");
        }
    }

    #[test]
    fn a_level_is_about_hobnob_itself() {
        assert_eq!(for_a_server("info"), "error,hobnob=info");
        assert_eq!(for_a_server("off"), "off");
        assert_eq!(for_a_server("warn,iroh=debug"), "warn,iroh=debug");
        assert_eq!(for_a_server("hobnob_server=debug"), "hobnob_server=debug");
    }
}
