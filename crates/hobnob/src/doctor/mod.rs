//! `hobnob doctor`: what stands between here and a server, and what that means for private talk and files. It logs in
//! nowhere and notes nothing.

mod verdict;

use std::{io, net::SocketAddr, time::Duration};

use anyhow::Result;
use hobnob_client::{Address, Config, Knock, Slot, Trust, knock};
use hobnob_peer::network::{self, Examination, Translation};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use self::verdict::{Findings, Mark, Relay, Router, Udp};
use crate::{chat::AGENT, config::ChatSettings, output};

/// How long a server may take to answer to a first packet.
const REACH: Duration = Duration::from_secs(10);

/// Examines; the result is the exit code: 0 if there can be private talk.
///
/// # Errors
/// Nobody reads what is printed.
pub(crate) async fn run(settings: ChatSettings) -> Result<u8> {
    let config = Config {
        address: settings.destination.address,
        data: settings.data,
        pin: settings.pin,
        agent: AGENT.to_owned(),
        slot: Slot::OneShot,
    };
    let answer = reach(&config.address).await;
    let reached = answer.is_ok();
    tell(&reach_line(&config.address, answer))?;
    if !reached {
        return Ok(1);
    }
    let knock = match knock(&config).await {
        Ok(knock) => knock,
        Err(error) => {
            tell(&(Mark::Bad, error.to_string()))?;
            return Ok(1);
        }
    };
    tell(&(Mark::Good, format!("a hobnob server greets, protocol version {}", hobnob_protocol::VERSION)))?;
    tell(&trust_line(&knock.trust))?;
    let findings = examine(&knock).await;
    findings.lines().iter().try_for_each(tell)?;
    let verdict = findings.verdict();
    output::write(&format!("\n{verdict}\n"))?;
    Ok(u8::from(!verdict.possible()))
}

fn tell((mark, line): &(Mark, String)) -> io::Result<()> {
    output::write(&format!("{mark}{}\n", crate::chat::text::one_line(line)))
}

/// Makes a connection; where to.
async fn reach(address: &Address) -> io::Result<SocketAddr> {
    let found = lookup_host((address.host.as_str(), address.port));
    let found: Vec<_> = timeout(REACH, found).await??.collect();
    let stream = timeout(REACH, TcpStream::connect(&found[..])).await??;
    stream.peer_addr()
}

fn reach_line(address: &Address, answer: io::Result<SocketAddr>) -> (Mark, String) {
    match answer {
        Ok(at) if address.to_string() == at.to_string() => (Mark::Good, format!("{address} answers")),
        Ok(at) => (Mark::Good, format!("{address} is {} and answers", at.ip())),
        Err(error) => (Mark::Bad, format!("{address} cannot be reached: {error}")),
    }
}

fn trust_line(trust: &Trust) -> (Mark, String) {
    match trust {
        Trust::Roots => (Mark::Good, "this system trusts its certificate".to_owned()),
        Trust::Demanded(key) => (Mark::Good, format!("its key is {key}, as demanded")),
        Trust::Known(key) => (Mark::Good, format!("its key is {key}, as known here")),
        Trust::New(key) => (
            Mark::Note,
            format!(
                "its key is {key}, which is new here and is not noted now: compare it with what the server \
                 printed when it started"
            ),
        ),
        Trust::Plain => {
            (Mark::Note, "it speaks plain text: on the way, all but private talk can be read".to_owned())
        }
    }
}

/// Asks the relay, if there is one.
async fn examine(knock: &Knock) -> Findings {
    let silent = Findings { relay: Relay::Silent, udp: Udp::Unknown };
    let Some(relay) = knock.relay else { return Findings { relay: Relay::Off, udp: Udp::Unknown } };
    let (Some(verifier), Ok(discovery_port)) = (knock.verifier.clone(), relay.discovery_port.try_into())
    else {
        return silent;
    };
    let relay = network::Relay {
        host: knock.address.host.clone(),
        port: knock.address.port,
        tls: !knock.address.plain,
        discovery_port,
        verifier,
    };
    match network::examine(&relay).await {
        Ok(examination) => findings(&examination, discovery_port != 0),
        Err(error) => {
            tracing::warn!(%error, "the network cannot be examined");
            silent
        }
    }
}

fn findings(examination: &Examination, asked: bool) -> Findings {
    let router = |translation| match translation {
        Translation::None => Router::None,
        Translation::PortKept => Router::KeepsPort,
        Translation::PortChanged => Router::ChangesPort,
    };
    let places = examination.translations().map(|(seen, translation)| (seen, router(translation)));
    let udp = match (asked, examination.udp()) {
        (false, _) => Udp::Unknown,
        (true, false) => Udp::Blocked,
        (true, true) => Udp::Through(places.collect()),
    };
    Findings { relay: examination.relay.map_or(Relay::Silent, Relay::Answers), udp }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_examination_comes_to() {
        let at = |address: &str| address.parse::<SocketAddr>().expect("an address");
        let seen = Examination {
            relay: Some(Duration::from_millis(3)),
            discovery: Some(Duration::from_millis(1)),
            public: vec![at("198.51.100.11:7"), at("[2001:db8::1]:8")],
            local: vec![at("192.168.1.2:7"), at("[2001:db8::1]:8")],
        };
        let places = vec![(at("198.51.100.11:7"), Router::KeepsPort), (at("[2001:db8::1]:8"), Router::None)];
        let relay = Relay::Answers(Duration::from_millis(3));
        assert_eq!(findings(&seen, true), Findings { relay, udp: Udp::Through(places) });
        let nothing = Examination::default();
        assert_eq!(findings(&nothing, true), Findings { relay: Relay::Silent, udp: Udp::Blocked });
        assert_eq!(findings(&nothing, false).udp, Udp::Unknown);
    }

    #[test]
    fn a_server_is_said_to_be_where_it_was_found() {
        let line = |typed: &str, answer| {
            let (mark, line) = reach_line(&typed.parse().expect("an address"), answer);
            format!("{mark}{line}")
        };
        let at = || Ok(SocketAddr::from(([127, 0, 0, 1], 4000)));
        assert_eq!(line("127.0.0.1", at()), "ok  127.0.0.1:4000 answers");
        assert_eq!(line("localhost", at()), "ok  localhost:4000 is 127.0.0.1 and answers");
        let refused = || Err(io::ErrorKind::ConnectionRefused.into());
        assert_eq!(line("localhost", refused()), "no  localhost:4000 cannot be reached: connection refused");
    }

    #[test]
    fn a_new_key_is_shown() {
        let (mark, line) = trust_line(&Trust::New("SHA256:abc".to_owned()));
        assert!(mark == Mark::Note && line.contains("SHA256:abc") && line.contains("not noted"));
    }
}
