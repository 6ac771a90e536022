//! What the network between this machine and the server's relay lets through, for a person who wonders.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use iroh::endpoint::presets;
use iroh::unstable_net_report::{NetReport, Probe};
use iroh::{Endpoint, SecretKey, Watcher};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout, timeout_at};

use super::{NetworkError, Relay, endpoint};

/// Longest wait for answers.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Longest orderly end.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// What was found. Everything is as the relay's side sees it; nobody else is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Examination {
    /// The relay answered over HTTP in this time; `None`: it did not. Includes making the connection.
    pub relay: Option<Duration>,
    /// The address discovery answered over UDP in this time; `None`: it did not, or the server has none.
    pub discovery: Option<Duration>,
    /// The UDP address that the discovery saw this machine under, for IPv4 and IPv6.
    pub public: Vec<SocketAddr>,
    /// The UDP address from which it was asked, in the same order.
    pub local: Vec<SocketAddr>,
}

/// What happens to a UDP address between this machine and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translation {
    /// Nothing: the address is seen as it is.
    None,
    /// The address is another, the port is kept.
    PortKept,
    /// Address and port are others.
    PortChanged,
}

impl Examination {
    /// Whether UDP gets through.
    #[must_use]
    pub fn udp(&self) -> bool {
        self.discovery.is_some()
    }

    /// What happens to each of the public addresses, in their order.
    pub fn translations(&self) -> impl Iterator<Item = (SocketAddr, Translation)> {
        self.public.iter().zip(&self.local).map(|(public, local)| (*public, translation(*public, *local)))
    }
}

fn translation(public: SocketAddr, local: SocketAddr) -> Translation {
    if public == local {
        Translation::None
    } else if public.port() == local.port() {
        Translation::PortKept
    } else {
        Translation::PortChanged
    }
}

/// Asks the relay and its address discovery, under a key that is thrown away afterwards; takes about 6 s at most.
///
/// # Errors
/// The endpoint cannot be bound, or the relay's address makes no sense.
pub async fn examine(relay: &Relay) -> Result<Examination, NetworkError> {
    // Once the discovery has answered, HTTP is not asked any more; so each is asked by an endpoint of its own.
    let over_http = Relay { discovery_port: 0, ..relay.clone() };
    let discovery = async {
        if relay.discovery_port == 0 {
            Ok(Examination::default())
        } else {
            ask(relay, Question::Discovery).await
        }
    };
    let (http, udp) = tokio::join!(ask(&over_http, Question::Http), discovery);
    Ok(Examination { relay: http?.relay, ..udp? })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Http,
    Discovery,
}

async fn ask(relay: &Relay, question: Question) -> Result<Examination, NetworkError> {
    let mut seed = [0; 32];
    SystemRandom::new()
        .fill(&mut seed)
        .map_err(|_| NetworkError::Bind("there are no random numbers".to_owned()))?;
    let builder = Endpoint::builder(presets::Minimal).secret_key(SecretKey::from_bytes(&seed));
    let endpoint = endpoint::with_relay(builder, Some(relay))?.bind().await;
    let endpoint = endpoint.map_err(|error| NetworkError::Bind(error.to_string()))?;
    let report = report(&endpoint, question).await;
    let mut found = Examination {
        relay: latency(&report, |probe| matches!(probe, Probe::Https)),
        discovery: latency(&report, |probe| matches!(probe, Probe::QadIpv4 | Probe::QadIpv6)),
        ..Examination::default()
    };
    let public = report.global_v4.map(SocketAddr::V4).into_iter().chain(report.global_v6.map(SocketAddr::V6));
    for public in public {
        if let Some(local) = local(relay, &endpoint.bound_sockets(), public).await {
            found.public.push(public);
            found.local.push(local);
        }
    }
    let _ = timeout(CLOSE_MAX, endpoint.close()).await;
    Ok(found)
}

/// The first report with an answer to the question, or else the last one.
async fn report(endpoint: &Endpoint, question: Question) -> NetReport {
    let deadline = Instant::now() + WAIT_MAX;
    let mut reports = endpoint.net_report();
    loop {
        let report = reports.get().unwrap_or_default();
        let answered = match question {
            Question::Http => latency(&report, |probe| matches!(probe, Probe::Https)).is_some(),
            Question::Discovery => report.has_udp(),
        };
        if answered || !matches!(timeout_at(deadline, reports.updated()).await, Ok(Ok(_))) {
            return report;
        }
    }
}

fn latency(report: &NetReport, counts: impl Fn(&Probe) -> bool) -> Option<Duration> {
    report.relay_latency.iter().filter(|(probe, _, _)| counts(probe)).map(|(_, _, latency)| latency).min()
}

/// The address from which packets to the relay leave, of the kind of the public one. Nothing is sent to find it.
async fn local(relay: &Relay, sockets: &[SocketAddr], public: SocketAddr) -> Option<SocketAddr> {
    let of_kind = |address: &SocketAddr| address.is_ipv4() == public.is_ipv4();
    let port = sockets.iter().find(|socket| of_kind(socket))?.port();
    let host = relay.host.trim_start_matches('[').trim_end_matches(']');
    let to = tokio::net::lookup_host((host, relay.discovery_port)).await.ok()?.find(of_kind)?;
    let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((any, 0)).await.ok()?;
    socket.connect(to).await.ok()?;
    Some(SocketAddr::new(socket.local_addr().ok()?.ip(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_translation_is_told_by_address_and_port() {
        let check = |public: &str, local: &str, expected| {
            assert_eq!(translation(public.parse().unwrap(), local.parse().unwrap()), expected);
        };
        check("192.0.2.7:1", "192.0.2.7:1", Translation::None);
        check("192.0.2.7:1", "10.0.0.1:1", Translation::PortKept);
        check("192.0.2.7:2", "10.0.0.1:1", Translation::PortChanged);
    }
}
