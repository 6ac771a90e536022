//! Tells where this client can be reached, and whether it is connected to the relay.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use hobnob_protocol::limits::CONTACT_ADDRESSES_MAX;
use hobnob_protocol::v1;
use iroh::Watcher;
use iroh::endpoint::RelayStatus;
use tokio::time::{Instant, sleep_until};

use super::{LinkEvent, Shared};

/// Watches the endpoint until it is closed.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut places = shared.endpoint.watch_addr();
    let mut relays = shared.endpoint.home_relay_status();
    let mut told = Told::new(&shared);
    loop {
        let status = relays.get();
        let up = status.iter().any(RelayStatus::is_connected);
        let denied = status.iter().any(|status| status.auth_denied_reason().is_some());
        let addresses = places.get().ip_addrs().copied().collect();
        let contact = contact(&shared, addresses, up);
        for event in told.look(up, denied, contact, Instant::now()) {
            let Some(permit) = shared.permit().await else { return };
            permit.send(event);
        }
        let deadline = told.deadline();
        tokio::select! {
            changed = places.updated() => if changed.is_err() { return },
            changed = relays.updated() => if changed.is_err() { return },
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {}
        }
    }
}

/// What the other side of a talk may know of this one.
fn contact(shared: &Shared, mut addresses: Vec<SocketAddr>, relay: bool) -> v1::Contact {
    if shared.relay_only {
        addresses.clear();
    } else if shared.beside_server {
        addresses.extend(loopback(&shared.endpoint.bound_sockets()));
    }
    v1::Contact { addresses: choose(addresses), relay, tcp: Vec::new() }
}

/// Where somebody on the same machine finds these sockets.
fn loopback(sockets: &[SocketAddr]) -> impl Iterator<Item = SocketAddr> {
    sockets.iter().filter(|socket| socket.ip().is_unspecified()).map(|socket| match socket.ip() {
        IpAddr::V4(_) => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), socket.port()),
        IpAddr::V6(_) => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), socket.port()),
    })
}

/// As a contact holds them. An address of one link of the network means nothing elsewhere.
fn choose(addresses: Vec<SocketAddr>) -> Vec<String> {
    let sorted: BTreeSet<SocketAddr> =
        addresses.into_iter().filter(|address| !is_of_one_link(address)).collect();
    sorted.iter().take(CONTACT_ADDRESSES_MAX).map(SocketAddr::to_string).collect()
}

fn is_of_one_link(address: &SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// What was told, and what is to be told when. Pure.
#[derive(Debug)]
struct Told {
    relay: bool,
    contact: v1::Contact,
    /// Waits for its time.
    waiting: Option<v1::Contact>,
    contact_after: Instant,
    contact_pause: std::time::Duration,
    /// Without the relay since then; `None`: there is one, or none is wanted, or it was told.
    missing_until: Option<Instant>,
    relay_return: std::time::Duration,
    given_up: bool,
    /// It was there before: a denial then means that this client's session is not back yet.
    was_up: bool,
}

impl Told {
    fn new(shared: &Shared) -> Self {
        let now = Instant::now();
        Self {
            relay: false,
            contact: v1::Contact::default(),
            waiting: None,
            contact_after: now,
            contact_pause: shared.tuning.contact_pause,
            missing_until: shared.relay.as_ref().map(|_| now + shared.tuning.relay_wait),
            relay_return: shared.tuning.relay_return,
            given_up: shared.relay.is_none(),
            was_up: false,
        }
    }

    /// How it is now, and what is to be told of it.
    fn look(&mut self, up: bool, denied: bool, contact: v1::Contact, now: Instant) -> Vec<LinkEvent> {
        let mut events = Vec::new();
        if up != self.relay {
            self.relay = up;
            if up {
                (self.was_up, self.given_up) = (true, false);
            }
            self.missing_until = (!up && !self.given_up).then_some(now + self.relay_return);
            events.push(LinkEvent::Relay(up));
        }
        let denied = denied && !self.was_up;
        if !self.given_up && !up && (denied || self.missing_until.is_some_and(|until| until <= now)) {
            self.given_up = true;
            self.missing_until = None;
            let words = if denied {
                "the server's relay does not admit this device"
            } else {
                "the server's relay cannot be reached"
            };
            events.push(LinkEvent::NoRelay(words.to_owned()));
        }
        self.waiting = (contact != self.contact).then_some(contact);
        if now >= self.contact_after
            && let Some(contact) = self.waiting.take()
        {
            self.contact = contact.clone();
            self.contact_after = now + self.contact_pause;
            events.push(LinkEvent::Contact(contact));
        }
        events
    }

    /// When to look again, if nothing changes before.
    fn deadline(&self) -> Option<Instant> {
        let contact = self.waiting.as_ref().map(|_| self.contact_after);
        [contact, self.missing_until].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn told(relay: bool) -> (Told, Instant) {
        let now = Instant::now();
        let told = Told {
            relay: false,
            contact: v1::Contact::default(),
            waiting: None,
            contact_after: now,
            contact_pause: Duration::from_millis(250),
            missing_until: relay.then_some(now + Duration::from_secs(10)),
            relay_return: Duration::from_secs(60),
            given_up: !relay,
            was_up: false,
        };
        (told, now)
    }

    fn at(address: &str) -> v1::Contact {
        v1::Contact { addresses: vec![address.to_owned()], relay: false, tcp: Vec::new() }
    }

    #[test]
    fn contacts_that_follow_each_other_fast_are_told_as_one() {
        let (mut told, now) = told(false);
        assert_eq!(told.look(false, false, at("a"), now), [LinkEvent::Contact(at("a"))]);
        assert_eq!(told.look(false, false, at("b"), now), []);
        assert_eq!(told.look(false, false, at("c"), now), []);
        let later = told.deadline().unwrap();
        assert_eq!(later, now + Duration::from_millis(250));
        assert_eq!(told.look(false, false, at("c"), later), [LinkEvent::Contact(at("c"))]);
        assert_eq!(told.deadline(), None);
    }

    #[test]
    fn a_contact_that_is_back_to_what_was_told_is_not_told() {
        let (mut told, now) = told(false);
        told.look(false, false, at("a"), now);
        told.look(false, false, at("b"), now);
        assert_eq!(told.look(false, false, at("a"), now + Duration::from_secs(1)), []);
        assert_eq!(told.deadline(), None);
    }

    #[test]
    fn a_relay_that_stays_away_is_told_once() {
        let (mut told, now) = told(true);
        let nothing = v1::Contact::default();
        assert_eq!(told.look(false, false, nothing.clone(), now), []);
        let later = told.deadline().unwrap();
        assert!(matches!(told.look(false, false, nothing.clone(), later)[..], [LinkEvent::NoRelay(_)]));
        assert_eq!(told.look(true, false, nothing.clone(), later), [LinkEvent::Relay(true)]);
        // A denial after that is no more than an absence, and told when it lasts.
        assert_eq!(told.look(false, true, nothing.clone(), later), [LinkEvent::Relay(false)]);
        let again = told.deadline().unwrap();
        assert_eq!(again, later + Duration::from_secs(60));
        assert!(matches!(told.look(false, true, nothing.clone(), again)[..], [LinkEvent::NoRelay(_)]));
        assert_eq!(told.deadline(), None);
    }

    #[test]
    fn a_relay_that_refuses_is_told_at_once() {
        let (mut told, now) = told(true);
        let events = told.look(false, true, v1::Contact::default(), now);
        assert_eq!(events, [LinkEvent::NoRelay("the server's relay does not admit this device".to_owned())]);
    }

    #[test]
    fn without_a_relay_none_is_missed() {
        let (mut told, now) = told(false);
        assert_eq!(told.look(false, false, v1::Contact::default(), now), []);
        assert_eq!(told.deadline(), None);
    }

    #[test]
    fn a_contact_has_sixteen_addresses_and_none_of_one_link_only() {
        let many = (1..=20).map(|port| SocketAddr::from(([192, 0, 2, 7], port)));
        let local = ["169.254.0.1:1".parse().unwrap(), "[fe80::1]:1".parse().unwrap()];
        let chosen = choose(local.into_iter().chain(many).collect());
        assert_eq!(chosen.len(), CONTACT_ADDRESSES_MAX);
        assert!(chosen.iter().all(|address| address.starts_with("192.0.2.7:")), "{chosen:?}");
    }

    #[test]
    fn on_one_machine_sockets_are_found_at_loopback() {
        let sockets =
            ["0.0.0.0:7".parse().unwrap(), "[::]:8".parse().unwrap(), "192.0.2.7:9".parse().unwrap()];
        let found: Vec<String> = loopback(&sockets).map(|address| address.to_string()).collect();
        assert_eq!(found, ["127.0.0.1:7", "[::1]:8"]);
    }
}
