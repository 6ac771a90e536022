//! What of the libraries' messages is shown, and where.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use tracing::Level;
use tracing_subscriber::{
    EnvFilter,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

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

/// Logs to standard error. The filter is as in the settings, where it was checked.
pub(crate) fn to_stderr(filter: &str) {
    let filter = EnvFilter::new(for_a_server(filter));
    let layer = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    layer.with_ansi(termios::is_terminal(io::stderr())).init();
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
