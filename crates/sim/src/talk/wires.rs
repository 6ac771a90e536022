//! The network: what the driver below a machine keeps, and links that carry frames in order or not at all.

use std::collections::VecDeque;
use std::time::Duration;

use hobnob_peer::network::{Link, LinkEvent};
use hobnob_peer::talk::Invite;
use hobnob_protocol::v1::{Contact, talk_frame::Body};

use super::world::{Event, World};

/// How long what was sent before a link is closed may take to arrive.
pub(super) const FLUSH_MAX: Duration = Duration::from_secs(1);

/// A talk that is expected on one side.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) key: [u8; 32],
    pub(super) wire: Option<u64>,
    /// An attempt to make a link.
    pub(super) dial: Option<u64>,
    pub(super) contact: Contact,
}

/// A link between two processes.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) invite: Invite,
    /// The dialler's is the first.
    pub(super) ends: [End; 2],
    pub(super) relayed: bool,
    /// The dialler knows of it.
    pub(super) born: bool,
    /// Nothing gets through until then, for no reason that could be seen.
    pub(super) cursed: Duration,
    pub(super) works: bool,
    /// Names the time in which nothing got through.
    pub(super) outage: u64,
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) who: usize,
    pub(super) life: u64,
    pub(super) state: State,
    /// On its way to the other end, and when it is there.
    pub(super) out: VecDeque<(Duration, Body)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// Closed, but what was sent may arrive.
    Finishing,
    Gone,
}

impl World {
    pub(super) fn link(wire: u64, side: usize) -> Link {
        Link(2 * wire + side as u64)
    }

    // ---------------------------------------------------------------- the end of links

    pub(super) fn forget(&mut self, who: usize, invite: &Invite) {
        let place = self.people[who].board.remove(invite);
        if let Some(wire) = place.and_then(|place| place.wire) {
            self.close_end(wire, who);
        }
    }

    pub(super) fn close(&mut self, who: usize, link: Link) {
        self.close_end(link.0 / 2, who);
    }

    fn close_end(&mut self, name: u64, who: usize) {
        let Some(wire) = self.wires.get_mut(&name) else { return };
        let side = usize::from(wire.ends[0].who != who);
        if wire.ends[side].state == State::Open {
            wire.ends[side].state = State::Finishing;
            self.after(FLUSH_MAX, Event::Finished { wire: name, side });
            self.after(Duration::ZERO, Event::Pump { wire: name });
        }
    }

    /// The time for flushing is over.
    pub(super) fn finished(&mut self, name: u64, side: usize) {
        let Some(wire) = self.wires.get_mut(&name) else { return };
        if wire.ends[side].state == State::Finishing {
            wire.ends[side].out.clear();
            self.pump(name);
            if let Some(wire) = self.wires.get_mut(&name) {
                self.ledger.trouble(wire.ends[0].who, wire.ends[1].who);
                wire.ends[side].state = State::Gone;
            }
        }
    }

    // ---------------------------------------------------------------- frames

    pub(super) fn send(&mut self, who: usize, link: Link, frame: Body) {
        let (name, side) = (link.0 / 2, (link.0 % 2) as usize);
        let delay = self.mood.delay(&self.chance);
        let Some(wire) = self.wires.get_mut(&name).filter(|wire| wire.ends[side].who == who) else { return };
        if wire.ends[side].state == State::Open {
            let last = wire.ends[side].out.back().map_or(Duration::ZERO, |(at, _)| *at);
            let at = last.max(self.now + delay);
            wire.ends[side].out.push_back((at, frame));
            self.at(at, Event::Pump { wire: name });
        }
    }

    /// Hands over what has arrived.
    pub(super) fn pump(&mut self, name: u64) {
        for side in 0..2 {
            while let Some(frame) = self.arrived(name, side) {
                let Some(other) = self.wires.get(&name).map(|wire| &wire.ends[1 - side]) else { return };
                if other.state == State::Open {
                    let (who, link) = (other.who, Self::link(name, 1 - side));
                    self.link_event(who, LinkEvent::Frame { link, frame });
                }
            }
            let Some(wire) = self.wires.get(&name).filter(|wire| wire.works && wire.born) else { return };
            let over = wire.ends[side].state == State::Finishing && wire.ends[side].out.is_empty();
            if over && wire.ends[1 - side].state == State::Finishing && !wire.ends[1 - side].out.is_empty() {
                continue;
            }
            if over {
                self.lose_end(name, 1 - side);
                self.wires.remove(&name);
                return;
            }
        }
    }

    fn arrived(&mut self, name: u64, side: usize) -> Option<Body> {
        let now = self.now;
        let wire = self.wires.get_mut(&name).filter(|wire| wire.works && wire.born)?;
        wire.ends[side].out.pop_front_if(|(at, _)| *at <= now).map(|(_, frame)| frame)
    }

    // ---------------------------------------------------------------- what gets through

    /// Looks whether anything gets through, after anything has happened.
    pub(super) fn refresh_wires(&mut self) {
        for name in self.wires.keys().copied().collect::<Vec<_>>() {
            let Some(wire) = self.wires.get(&name) else { continue };
            if wire.ends.iter().all(|end| end.state == State::Gone || !self.runs(end)) {
                self.wires.remove(&name);
                continue;
            }
            let works = self.now >= wire.cursed
                && wire
                    .ends
                    .iter()
                    .all(|end| self.runs(end) && end.state != State::Gone && self.is_in_world(end))
                && (!wire.relayed || self.has_relay(wire));
            if works != wire.works {
                self.changed(name, works);
            }
        }
    }

    fn changed(&mut self, name: u64, works: bool) {
        let outage = self.name();
        let Some(wire) = self.wires.get_mut(&name) else { return };
        (wire.works, wire.outage) = (works, outage);
        let pair = (wire.ends[0].who, wire.ends[1].who);
        if works {
            let pause = self.chance.ms(10..=500);
            return self.after(pause, Event::Pump { wire: name });
        }
        self.ledger.trouble(pair.0, pair.1);
        for side in 0..2 {
            let found = self.chance.ms(10_000..=15_000);
            self.after(found, Event::Idle { wire: name, side, outage });
        }
    }

    fn runs(&self, end: &End) -> bool {
        self.people[end.who].running && self.people[end.who].life == end.life
    }

    fn is_in_world(&self, end: &End) -> bool {
        !self.people[end.who].isolated
    }

    fn has_relay(&self, wire: &Wire) -> bool {
        self.server.up && wire.ends.iter().all(|end| self.people[end.who].relay)
    }

    /// Nothing has been heard for too long.
    pub(super) fn idle(&mut self, name: u64, side: usize, outage: u64) {
        if self.wires.get(&name).is_some_and(|wire| !wire.works && wire.outage == outage) {
            self.lose_end(name, side);
        }
    }

    pub(super) fn lose_end(&mut self, name: u64, side: usize) {
        let Some(wire) = self.wires.get_mut(&name) else { return };
        let end = &mut wire.ends[side];
        if std::mem::replace(&mut end.state, State::Gone) != State::Open {
            return;
        }
        let (who, life, invite) = (end.who, end.life, wire.invite.clone());
        // Who has not heard of the link loses nothing.
        if (side == 0 && !wire.born) || self.people[who].life != life {
            return;
        }
        if let Some(place) = self.people[who].board.get_mut(&invite) {
            place.wire.take_if(|one| *one == name);
        }
        self.link_event(who, LinkEvent::Down { link: Self::link(name, side) });
    }

    /// A link takes another way, and both ends find out.
    pub(super) fn flip_path(&mut self, name: u64) {
        let Some(wire) = self.wires.get(&name).filter(|wire| wire.born) else { return };
        let [one, two] = [wire.ends[0].who, wire.ends[1].who];
        let relayed = !wire.relayed;
        if if relayed { !self.has_relay(wire) } else { !self.is_direct(one, two) } {
            return;
        }
        self.ledger.count("path changed");
        self.wires.get_mut(&name).into_iter().for_each(|wire| wire.relayed = relayed);
        for (side, who) in [(0, one), (1, two)] {
            let open = self.wires.get(&name).is_some_and(|wire| wire.ends[side].state == State::Open);
            if open {
                self.link_event(who, LinkEvent::Path { link: Self::link(name, side), relayed });
            }
        }
    }
}
