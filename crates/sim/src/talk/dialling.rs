//! How links are made: the relay, attempts, and what both ends must expect.

use std::collections::VecDeque;
use std::time::Duration;

use hobnob_peer::network::LinkEvent;
use hobnob_peer::talk::Invite;
use hobnob_protocol::v1::Contact;

use super::people::key;
use super::wires::{End, FLUSH_MAX, Place, State, Wire};
use super::world::{Event, World};

impl World {
    // ---------------------------------------------------------------- the relay

    /// A person's machine connects to the relay, some time from now.
    pub(super) fn try_relay(&mut self, who: usize) {
        let (life, pause) = (self.people[who].life, self.chance.ms(50..=4_000));
        self.after(pause, Event::Relay { who, life, up: true });
    }

    /// The connection to the relay breaks.
    pub(super) fn lose_relay(&mut self, who: usize) {
        self.ledger.count("relay lost");
        let (life, found) = (self.people[who].life, self.chance.ms(1..=2_000));
        self.after(found, Event::Relay { who, life, up: false });
    }

    pub(super) fn relay(&mut self, who: usize, life: u64, up: bool) {
        let person = &mut self.people[who];
        if !person.running || person.life != life {
            return;
        }
        let up = up && self.server.up && !person.isolated;
        if person.relay != up {
            person.relay = up;
            self.link_event(who, LinkEvent::Relay(up));
            self.tell_contact(who);
        }
        if !up && self.server.up && !self.people[who].isolated {
            self.try_relay(who);
        }
    }

    // ---------------------------------------------------------------- making links

    pub(super) fn expect(&mut self, who: usize, invite: Invite, key: [u8; 32]) {
        let place = Place { key, wire: None, dial: None, contact: Contact::default() };
        self.people[who].board.entry(invite).or_insert(place);
    }

    pub(super) fn dial(&mut self, who: usize, invite: Invite, key: [u8; 32], contact: Contact) {
        self.expect(who, invite.clone(), key);
        let number = self.name();
        let life = self.people[who].life;
        if let Some(place) = self.people[who].board.get_mut(&invite) {
            (place.dial, place.contact) = (Some(number), contact);
        }
        let takes = if self.chance.per_mille(800) { 300 } else { 10_000 };
        let takes = self.chance.ms(10..=takes);
        self.after(takes, Event::Attempted { who, life, number, invite });
    }

    pub(super) fn attempted(&mut self, who: usize, life: u64, number: u64, invite: Invite) {
        let person = &self.people[who];
        let Some(place) = person.board.get(&invite).filter(|place| place.dial == Some(number)) else {
            return;
        };
        if !person.running || person.life != life {
            return;
        }
        let Some((other, relayed)) = self.way(who, &invite, place) else {
            return self.dial_failed(who, invite);
        };
        let wire = self.name();
        let end =
            |who: usize| End { who, life: self.people[who].life, state: State::Open, out: VecDeque::new() };
        let ends = [end(who), end(other)];
        let (cursed, outage) = (Duration::ZERO, 0);
        let invite_of = invite.clone();
        self.wires.insert(wire, Wire { invite, ends, relayed, born: false, cursed, works: true, outage });
        self.raise(other, &invite_of, wire, 1);
        let delay = self.mood.delay(&self.chance);
        self.after(delay, Event::DialerUp { wire, number });
    }

    fn dial_failed(&mut self, who: usize, invite: Invite) {
        if let Some(place) = self.people[who].board.get_mut(&invite) {
            place.dial = None;
            self.link_event(who, LinkEvent::Failed { invite });
        }
    }

    /// The process that expects this talk and can be reached, and whether over the relay.
    fn way(&self, who: usize, invite: &Invite, place: &Place) -> Option<(usize, bool)> {
        let other = (0..self.people.len()).find(|other| key(*other) == place.key)?;
        let (one, two) = (&self.people[who], &self.people[other]);
        let expected = two.running && two.board.get(invite).is_some_and(|theirs| theirs.key == key(who));
        if !expected || one.isolated || two.isolated {
            return None;
        }
        if place.contact.addresses == two.contact().addresses && self.is_direct(who, other) {
            return Some((other, false));
        }
        let relay = place.contact.relay && one.relay && two.relay && self.server.up;
        relay.then_some((other, true))
    }

    /// Whether two people's machines can reach each other.
    pub(super) fn is_direct(&self, one: usize, other: usize) -> bool {
        self.mood.direct[one + other - 1]
    }

    /// A side has a link; an earlier one of the same talk is gone.
    fn raise(&mut self, who: usize, invite: &Invite, wire: u64, side: usize) {
        let Some(place) = self.people[who].board.get_mut(invite) else { return };
        if let Some(earlier) = place.wire.replace(wire).filter(|earlier| *earlier != wire) {
            self.give_up_end(earlier, who);
        }
        self.ledger.count("links");
        let relayed = self.wires.get(&wire).is_some_and(|wire| wire.relayed);
        let up = LinkEvent::Up { invite: invite.clone(), link: Self::link(wire, side), relayed };
        self.link_event(who, up);
    }

    /// A later link is there: the other end is told.
    fn give_up_end(&mut self, name: u64, who: usize) {
        let Some(wire) = self.wires.get_mut(&name) else { return };
        let side = usize::from(wire.ends[0].who != who);
        wire.ends[side].state = State::Gone;
        self.ledger.trouble(wire.ends[0].who, wire.ends[1].who);
        if wire.works {
            self.after(Duration::from_secs(1), Event::Replaced { wire: name, side: 1 - side });
        }
    }

    pub(super) fn replaced(&mut self, name: u64, side: usize) {
        self.lose_end(name, side);
    }

    pub(super) fn dialer_up(&mut self, name: u64, number: u64) {
        let Some(wire) = self.wires.get_mut(&name) else { return };
        let (who, invite, works) = (wire.ends[0].who, wire.invite.clone(), wire.works);
        let alive = self.people[who].running && self.people[who].life == wire.ends[0].life;
        let place = self.people[who].board.get_mut(&invite).filter(|_| alive);
        let wanted = place.and_then(|place| place.dial.take_if(|dial| *dial == number)).is_some();
        wire.born = true;
        if wanted && works {
            self.raise(who, &invite, name, 0);
            return self.pump(name);
        }
        self.ledger.trouble(wire.ends[0].who, wire.ends[1].who);
        wire.ends[0].state = State::Finishing;
        self.pump(name);
        self.after(FLUSH_MAX, Event::Finished { wire: name, side: 0 });
        if wanted {
            self.dial_failed(who, invite);
        }
    }
}
