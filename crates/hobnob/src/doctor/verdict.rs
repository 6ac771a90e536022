//! What was found out, in words for a person, and what it means for private talk and files. Pure.

use std::{fmt, net::SocketAddr, time::Duration};

/// What the relay was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Relay {
    /// The server has none.
    Off,
    /// It answers, after so long.
    Answers(Duration),
    /// There should be one, but nothing answers.
    Silent,
}

/// What became of the packets that ask for the public address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Udp {
    /// Nobody could be asked.
    Unknown,
    /// No answer.
    Blocked,
    /// An answer: the addresses under which the server sees this machine, and what stands between.
    Through(Vec<(SocketAddr, Router)>),
}

/// What stands between this machine and the server, as far as addresses go; the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Router {
    /// The address seen is one of this machine.
    None,
    /// It is another, with the port that was sent from.
    KeepsPort,
    /// It is another, with another port.
    ChangesPort,
}

/// All that was found out about the way to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Findings {
    pub(super) relay: Relay,
    pub(super) udp: Udp,
}

/// How private talk and files will go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Directly, whatever the other side has.
    Direct,
    /// Directly with those on the same machine as the server; of others nothing was learnt.
    DirectHere,
    /// Directly if the other side's router keeps ports as well.
    DirectIfKept,
    /// Directly only with those who have no router, or share this one.
    MostlyRelayed,
    /// Never directly, but over the relay.
    Relayed,
    /// No relay: directly or not at all.
    OnlyDirect,
    /// Not at all.
    Impossible,
}

/// How a line turned out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// As it should be.
    Good,
    /// Worth knowing.
    Note,
    /// Not as it should be.
    Bad,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "ok  ",
            Self::Note => "-   ",
            Self::Bad => "no  ",
        })
    }
}

impl Findings {
    /// Everything that was found, a line each.
    pub(super) fn lines(&self) -> Vec<(Mark, String)> {
        let mut lines = vec![self.relay_line()];
        match &self.udp {
            Udp::Unknown => {
                let line = "whether UDP gets through is not known: the server does not answer to it";
                lines.push((Mark::Note, line.to_owned()));
            }
            Udp::Blocked => lines.push((Mark::Bad, "UDP does not get through to the server".to_owned())),
            Udp::Through(places) => {
                lines.push((Mark::Good, "UDP gets through to the server".to_owned()));
                for &(seen, router) in places {
                    lines.push((Mark::Note, format!("the server sees this machine as {seen}")));
                    lines.push(router_line(seen, router));
                }
            }
        }
        lines
    }

    fn relay_line(&self) -> (Mark, String) {
        match self.relay {
            Relay::Off => (
                Mark::Note,
                "the server has no relay, so there is no help where no direct way exists".to_owned(),
            ),
            Relay::Answers(after) => {
                (Mark::Good, format!("the server's relay answers in {:.1} ms", after.as_secs_f64() * 1e3))
            }
            Relay::Silent => (Mark::Bad, "the server's relay is on, but cannot be reached".to_owned()),
        }
    }

    /// What follows.
    pub(super) fn verdict(&self) -> Verdict {
        let relay = matches!(self.relay, Relay::Answers(_));
        match &self.udp {
            Udp::Through(places) if places.iter().any(|(seen, _)| seen.ip().is_loopback()) => {
                Verdict::DirectHere
            }
            // A way past two routers is arranged over the relay.
            Udp::Through(places) if relay => match places.iter().map(|(_, router)| router).min() {
                Some(Router::None) => Verdict::Direct,
                Some(Router::KeepsPort) => Verdict::DirectIfKept,
                Some(Router::ChangesPort) | None => Verdict::MostlyRelayed,
            },
            Udp::Through(_) => Verdict::OnlyDirect,
            Udp::Unknown if self.relay == Relay::Off => Verdict::OnlyDirect,
            Udp::Unknown | Udp::Blocked if relay => Verdict::Relayed,
            Udp::Unknown | Udp::Blocked => Verdict::Impossible,
        }
    }
}

fn router_line(seen: SocketAddr, router: Router) -> (Mark, String) {
    if seen.ip().is_loopback() {
        let line = "the server is on this machine, so nothing is learnt of the way to other places";
        return (Mark::Note, line.to_owned());
    }
    let (mark, line) = match router {
        Router::None => (Mark::Good, "that address is this machine's own: no router translates it"),
        Router::KeepsPort => (Mark::Good, "a router translates addresses and keeps ports"),
        Router::ChangesPort => (Mark::Note, "a router translates addresses and changes ports"),
    };
    (mark, line.to_owned())
}

impl Verdict {
    /// Whether there can be private talk at all.
    pub(super) fn possible(self) -> bool {
        self != Self::Impossible
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Private talk and files: ")?;
        f.write_str(match self {
            Self::Direct => "direct.",
            Self::DirectHere => "direct with others on this machine.",
            Self::DirectIfKept => "direct if the other side's router keeps ports as well, else relayed.",
            Self::MostlyRelayed => {
                "relayed, but for those who have no router between them and the server, or share this one."
            }
            Self::Relayed => "always relayed, end-to-end encrypted as ever.",
            Self::OnlyDirect => {
                "only where one of the two can reach the other directly, as in one network; there is no relay."
            }
            Self::Impossible => "not possible without UDP or the relay.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: Relay = Relay::Answers(Duration::from_micros(2540));

    fn through(seen: &str, router: Router) -> Udp {
        Udp::Through(vec![(seen.parse().expect("an address"), router)])
    }

    fn public(router: Router) -> Udp {
        through("198.51.100.11:41000", router)
    }

    #[test]
    fn what_follows_from_what() {
        let table = [
            (RELAY, public(Router::None), Verdict::Direct),
            (RELAY, public(Router::KeepsPort), Verdict::DirectIfKept),
            (RELAY, public(Router::ChangesPort), Verdict::MostlyRelayed),
            (RELAY, through("127.0.0.1:1", Router::None), Verdict::DirectHere),
            (RELAY, through("[::1]:1", Router::None), Verdict::DirectHere),
            (RELAY, Udp::Through(Vec::new()), Verdict::MostlyRelayed),
            (RELAY, Udp::Blocked, Verdict::Relayed),
            (RELAY, Udp::Unknown, Verdict::Relayed),
            (Relay::Off, Udp::Unknown, Verdict::OnlyDirect),
            (Relay::Off, public(Router::None), Verdict::OnlyDirect),
            (Relay::Off, Udp::Blocked, Verdict::Impossible),
            (Relay::Silent, public(Router::KeepsPort), Verdict::OnlyDirect),
            (Relay::Silent, Udp::Blocked, Verdict::Impossible),
            (Relay::Silent, Udp::Unknown, Verdict::Impossible),
        ];
        for (relay, udp, verdict) in table {
            let findings = Findings { relay, udp };
            assert_eq!(findings.verdict(), verdict, "{findings:?}");
            assert_eq!(verdict.possible(), verdict != Verdict::Impossible);
        }
    }

    #[test]
    fn the_better_of_two_kinds_of_address_counts() {
        let places = [("198.51.100.11:1", Router::KeepsPort), ("[2001:db8::1]:1", Router::None)];
        let places = places.map(|(seen, router)| (seen.parse().expect("an address"), router));
        let findings = Findings { relay: RELAY, udp: Udp::Through(places.into()) };
        assert_eq!(findings.verdict(), Verdict::Direct);
        assert_eq!(findings.lines().len(), 6);
    }

    #[test]
    fn every_finding_has_a_line() {
        let lines = |relay: Relay, udp: Udp| -> Vec<String> {
            let findings = Findings { relay, udp };
            findings.lines().into_iter().map(|(mark, line)| format!("{mark}{line}")).collect()
        };
        assert_eq!(
            lines(RELAY, public(Router::KeepsPort)),
            [
                "ok  the server's relay answers in 2.5 ms",
                "ok  UDP gets through to the server",
                "-   the server sees this machine as 198.51.100.11:41000",
                "ok  a router translates addresses and keeps ports",
            ]
        );
        assert_eq!(
            lines(Relay::Silent, Udp::Blocked),
            [
                "no  the server's relay is on, but cannot be reached",
                "no  UDP does not get through to the server",
            ]
        );
        assert_eq!(lines(Relay::Off, Udp::Unknown).len(), 2);
        let here = lines(RELAY, through("127.0.0.1:1", Router::None));
        assert!(here.last().is_some_and(|line| line.contains("on this machine")), "{here:?}");
    }
}
