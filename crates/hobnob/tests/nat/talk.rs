//! Private talk through routers: how it runs, what passes on the wires, and what does not.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    capture::{Packet, TCP, UDP, carries},
    internet::{OWN, PUBLIC, Router, SERVER},
    people::{PORT, Passed, Town, Ways},
};

/// How soon a direct path has to be found.
const DIRECT_WITHIN: Duration = Duration::from_secs(10);
/// Messages to and fro during which a relayed talk has every chance to find a direct path that there is not.
const ROUNDS: usize = 20;

/// Something that nobody says by chance.
fn marker(what: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_nanos();
    format!("{what}-{:x}-{now:x}", std::process::id())
}

/// A talk, and what passed before and after the consent.
struct Talk {
    town: Town,
    before: Passed,
    after: Passed,
    /// What was said in private, and what through the server.
    private: String,
    common: String,
    /// What `path` said.
    path: String,
}

/// Has the two talk; `path` is asked until it begins with `beginning`, and again at the end.
async fn talk(routers: [Router; 2], ways: Ways, beginning: &str) -> Option<Talk> {
    let mut town = Town::new(routers, ways)?;
    let (private, common) = (marker("private"), marker("common"));
    let before = town.capture("before");
    let Town { anna, bert, .. } = &town;
    anna.types("startprivate bert");
    anna.sees("Start private messaging with bert");
    bert.is_asked("anna would like to private message, enter y or n: ");
    let after = town.capture("after");
    let before = before.end();
    bert.types("y");
    bert.sees("Start private messaging with anna");
    anna.sees("bert accepts private messaging");
    anna.types(&format!("private bert {private}"));
    bert.sees(&format!("anna(private): {private}"));
    bert.types(&format!("private anna {private}"));
    anna.sees(&format!("bert(private): {private}"));
    let first = anna.path_becomes("bert", beginning, DIRECT_WITHIN).await;
    for round in 0..ROUNDS {
        anna.types(&format!("private bert {private} {round}"));
        bert.sees(&format!("anna(private): {private} {round}"));
        bert.types(&format!("private anna {private} {round}"));
        anna.sees(&format!("bert(private): {private} {round}"));
    }
    let path = anna.path("bert");
    assert!(first.starts_with(beginning) && path.starts_with(beginning), "first {first:?}, then {path:?}");
    anna.types(&format!("message bert {common}"));
    bert.sees(&format!("anna: {common}"));
    town.anna.leaves();
    town.bert.sees("Private messaging with anna ended: anna logged out");
    town.bert.leaves();
    let after = after.end();
    Some(Talk { town, before, after, private, common, path })
}

impl Talk {
    /// What holds for every talk.
    fn check(&self) {
        for passed in [&self.before, &self.after] {
            assert!(passed.all().all(|packets| !carries(packets, &self.private)), "nobody else reads it");
        }
        for home in 0..2 {
            let out = |passed: &Passed| foreign(&passed.homes[home], home, &[SERVER]);
            assert_eq!(out(&self.before), "", "before the consent only the server is spoken to");
            let known = [SERVER, PUBLIC[1 - home], OWN[1 - home]];
            assert_eq!(foreign(&self.after.homes[home], home, &known), "", "nobody else is spoken to");
            assert!(!passes_between(&self.before.public[home]), "no way is tried before the consent");
        }
    }

    /// Whether a packet went from one home to the other.
    fn went_directly(&self) -> bool {
        self.after.public.iter().any(|packets| passes_between(packets))
    }
}

/// Where a home sent packets but to these addresses; at the server only one port counts.
fn foreign(packets: &[Packet], home: usize, known: &[&str]) -> String {
    let own: IpAddr = OWN[home].parse().expect("an address");
    let (server, known): (IpAddr, Vec<IpAddr>) = (
        SERVER.parse().expect("an address"),
        known.iter().map(|known| known.parse().expect("an address")).collect(),
    );
    assert!(packets.iter().any(|packet| packet.from.ip() == own), "the capture shows something");
    let fine = |packet: &&Packet| {
        let ported = packet.protocol == TCP || packet.protocol == UDP;
        ported && known.contains(&packet.to.ip()) && (packet.to.ip() != server || packet.to.port() == PORT)
    };
    let mut out: Vec<_> = packets
        .iter()
        .filter(|packet| packet.from.ip() == own && !fine(packet))
        .map(|packet| format!("{} ({})", packet.to, packet.protocol))
        .collect();
    out.sort();
    out.dedup();
    out.join(", ")
}

/// Whether a packet went between the two routers.
fn passes_between(packets: &[Packet]) -> bool {
    let public = PUBLIC.map(|address| address.parse::<IpAddr>().expect("an address"));
    packets.iter().any(|packet| public.contains(&packet.from.ip()) && public.contains(&packet.to.ip()))
}

#[tokio::test]
async fn two_routers_that_keep_ports_let_them_talk_directly() {
    let direct = format!("direct {}:", PUBLIC[1]);
    let routers = [Router::Keeps, Router::Keeps];
    let Some(talk) = talk(routers, Ways::default(), &direct).await else { return };
    talk.check();
    assert!(talk.went_directly());
}

#[tokio::test]
async fn a_router_with_random_ports_makes_it_relayed() {
    for routers in [[Router::Random, Router::Keeps], [Router::Keeps, Router::Random]] {
        let Some(talk) = talk(routers, Ways::default(), "relayed via ").await else { return };
        talk.check();
        assert!(talk.path.contains(SERVER), "{}", talk.path);
    }
}

#[tokio::test]
async fn without_udp_on_one_side_it_is_relayed_over_https() {
    let Some(talk) = talk([Router::NoUdp, Router::Keeps], Ways::default(), "relayed via ").await else {
        return;
    };
    talk.check();
    assert!(!talk.after.public[0].iter().any(|packet| packet.protocol == UDP), "the router lets no UDP out");
    drop(talk.town);
}

/// Without TLS the captures show all that the server and its relay carry, and who is told what when.
#[tokio::test]
async fn the_relay_carries_only_what_it_cannot_read() {
    let ways = Ways { plain: true, ..Ways::default() };
    let Some(talk) = talk([Router::Random, Router::Keeps], ways, "relayed via ").await else { return };
    talk.check();
    assert!(
        carries(&talk.after.public[1], &talk.common),
        "what goes through the server shows in this capture"
    );
    for (address, home) in [(PUBLIC[1], 0), (OWN[1], 0), (PUBLIC[0], 1), (OWN[0], 1)] {
        let address = format!("{address}:");
        assert!(!carries(&talk.before.public[home], &address), "{address} is not told before the consent");
        assert!(carries(&talk.after.public[home], &address), "{address} is told after it");
    }
}

#[tokio::test]
async fn who_wants_only_the_relay_shows_no_address() {
    let ways = Ways { plain: true, second: &["--relay-only"] };
    let Some(talk) = talk([Router::Keeps, Router::Keeps], ways, "relayed via ").await else { return };
    talk.check();
    assert!(!talk.went_directly());
    for address in [PUBLIC[1], OWN[1]] {
        let told =
            [&talk.before, &talk.after].map(|passed| carries(&passed.public[0], &format!("{address}:")));
        assert_eq!(told, [false, false], "{address} is hidden");
    }
    let own: IpAddr = OWN[1].parse().expect("an address");
    let udp = |packet: &&Packet| packet.from.ip() == own && packet.protocol == UDP;
    assert_eq!(talk.after.homes[1].iter().filter(udp).count(), 0, "there is no way but the relay");
}

#[test]
fn the_doctor_tells_what_stands_between() {
    let table = [
        (Router::Keeps, "keeps ports", "direct if the other side's router keeps ports as well"),
        (Router::Random, "changes ports", "Private talk and files: relayed, but"),
        (Router::NoUdp, "UDP does not get through", "Private talk and files: always relayed"),
    ];
    for (router, found, verdict) in table {
        let Some(town) = Town::new([router, Router::Keeps], Ways::default()) else { return };
        let (code, said) = town.doctor(0);
        assert!(said.contains(found) && said.contains(verdict), "{router:?}:\n{said}");
        assert_eq!(code, 0, "{router:?}");
        let (code, said) = town.doctor_in_public();
        assert!(code == 0 && said.contains("no router translates"), "{said}");
    }
}
