//! Three people, a server and a network in a few lines: everything arrives at once, and only what a test
//! breaks is broken.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use hobnob_protocol::limits::INVITE_LIFETIME;
use hobnob_protocol::v1;
use v1::invite_ended::Reason;
use v1::invited::Outcome;
use v1::peer_event::Event;
use v1::talk_frame::Body;

use crate::keys::Keys;
use crate::network::{Link, LinkEvent};

use super::super::{Effect, Input, Invite, Talks};
use super::said::said;

pub(super) const NAMES: [&str; 3] = ["Ann", "Bob", "Cyn"];
pub(super) const ANN: usize = 0;
pub(super) const BOB: usize = 1;
pub(super) const CYN: usize = 2;

pub(super) struct World {
    pub(super) now: Duration,
    pub(super) talks: Vec<Talks>,
    /// What each was told and has not been looked at.
    told: Vec<Vec<String>>,
    /// Everything that each machine wanted done.
    pub(super) effects: Vec<Vec<Effect>>,
    todo: VecDeque<(usize, Input)>,
    // ---- the server
    pub(super) server_up: bool,
    requests: BTreeMap<Invite, Request>,
    pub(super) online: BTreeSet<usize>,
    /// Who blocks whom.
    pub(super) blocks: BTreeSet<(usize, usize)>,
    /// What the server sends to these gets lost.
    pub(super) deaf: BTreeSet<usize>,
    /// The keys that it introduces.
    pub(super) keys: Vec<[u8; 32]>,
    invites: u8,
    // ---- the network
    expected: BTreeSet<(usize, Invite)>,
    pub(super) links: BTreeMap<Link, Wire>,
    pub(super) reachable: bool,
    pub(super) relayed: bool,
}

struct Request {
    asker: usize,
    asked: usize,
    until: Duration,
    consented: bool,
}

/// A link: its ends, and whether anything gets through.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    invite: Invite,
    ends: [usize; 2],
    pub(super) dead: bool,
}

impl World {
    pub(super) fn new() -> Self {
        let keys: Vec<_> = (1..=3).map(|byte| [byte; 32]).collect();
        let talks = NAMES.iter().zip(&keys).map(|(name, key)| Talks::new(name, *key, Keys::default()));
        Self {
            now: Duration::from_secs(100),
            talks: talks.collect(),
            told: vec![Vec::new(); 3],
            effects: vec![Vec::new(); 3],
            todo: VecDeque::new(),
            server_up: true,
            requests: BTreeMap::new(),
            online: BTreeSet::from([ANN, BOB, CYN]),
            blocks: BTreeSet::new(),
            deaf: BTreeSet::new(),
            keys,
            invites: 0,
            expected: BTreeSet::new(),
            links: BTreeMap::new(),
            reachable: true,
            relayed: false,
        }
    }

    /// Ann and Bob talk.
    pub(super) fn talking() -> Self {
        let mut world = Self::new();
        world.start(ANN, "bob");
        world.answer(BOB, true);
        world.told(ANN);
        world.told(BOB);
        world
    }

    pub(super) fn relayed() -> Self {
        let mut world = Self::new();
        world.relayed = true;
        world.start(ANN, "bob");
        world.answer(BOB, true);
        world.told(ANN);
        world.told(BOB);
        world
    }

    // ---------------------------------------------------------------- what people do

    pub(super) fn start(&mut self, who: usize, user: &str) {
        self.input(who, Input::Start(user.to_owned()));
    }

    pub(super) fn answer(&mut self, who: usize, accept: bool) {
        self.input(who, Input::Answer { user: None, accept });
    }

    pub(super) fn answer_to(&mut self, who: usize, user: &str, accept: bool) {
        self.input(who, Input::Answer { user: Some(user.to_owned()), accept });
    }

    pub(super) fn private(&mut self, who: usize, to: &str, text: &str) {
        self.input(who, Input::Private { to: to.to_owned(), text: text.to_owned() });
    }

    pub(super) fn stop(&mut self, who: usize, user: &str) {
        self.input(who, Input::Stop(user.to_owned()));
    }

    pub(super) fn verify(&mut self, who: usize, user: &str, confirm: bool) {
        self.input(who, Input::Verify { user: user.to_owned(), confirm });
    }

    /// Goes and is gone: the server tells those who have to do with it.
    pub(super) fn leave(&mut self, who: usize) {
        self.input(who, Input::Leave);
        self.online.remove(&who);
        let mine = |request: &Request| request.asker == who || request.asked == who;
        let ended: Vec<_> =
            self.requests.iter().filter(|(_, one)| mine(one)).map(|(it, _)| it.clone()).collect();
        ended.iter().for_each(|invite| self.end(invite, Reason::Expired));
        self.run();
    }

    /// What was told since the last look.
    pub(super) fn told(&mut self, who: usize) -> Vec<String> {
        std::mem::take(&mut self.told[who])
    }

    /// Something happens.
    pub(super) fn input(&mut self, who: usize, input: Input) {
        self.todo.push_back((who, input));
        self.run();
    }

    /// Time passes.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let deadlines = self.talks.iter().filter_map(Talks::deadline);
            let until = self.requests.values().filter(|request| !request.consented).map(|it| it.until);
            let next = deadlines.chain(until).min().unwrap_or(end);
            self.now = self.now.max(next.min(end));
            let late = |(_, request): &(&Invite, &Request)| !request.consented && request.until <= self.now;
            let late: Vec<_> = self.requests.iter().filter(late).map(|(invite, _)| invite.clone()).collect();
            late.iter().for_each(|invite| self.end(invite, Reason::Expired));
            (0..3).for_each(|who| self.todo.push_back((who, Input::Tick)));
            self.run();
            if self.now >= end {
                return;
            }
        }
    }

    // ---------------------------------------------------------------- what goes wrong

    pub(super) fn server(&mut self, up: bool) {
        self.server_up = up;
        (0..3).for_each(|who| self.todo.push_back((who, Input::ServerUp(up))));
        self.run();
    }

    pub(super) fn relay(&mut self, up: bool) {
        self.reachable = up;
        (0..3).for_each(|who| self.todo.push_back((who, Input::Link(LinkEvent::Relay(up)))));
        self.run();
    }

    /// The server has forgotten everything.
    pub(super) fn forget(&mut self) {
        self.requests.clear();
    }

    /// From now on nothing gets through on any link, and nobody knows.
    pub(super) fn cut(&mut self) {
        self.links.values_mut().for_each(|wire| wire.dead = true);
    }

    /// All find out that the links are gone.
    pub(super) fn down(&mut self) {
        for (link, wire) in std::mem::take(&mut self.links) {
            for who in wire.ends {
                self.todo.push_back((who, Input::Link(LinkEvent::Down { link })));
            }
        }
        self.run();
    }

    pub(super) fn link(&self) -> Link {
        *self.links.keys().next_back().expect("no link")
    }

    /// A frame that no sound peer sends, to this one.
    pub(super) fn frame(&mut self, to: usize, frame: Body) {
        let link = self.link();
        self.input(to, Input::Link(LinkEvent::Frame { link, frame }));
    }

    /// The server tells once more what it has told before.
    pub(super) fn tell_again(&mut self) {
        for invite in self.requests.keys().cloned().collect::<Vec<_>>() {
            if self.requests[&invite].consented { self.introduce(&invite) } else { self.ask(&invite) }
        }
        self.run();
    }

    // ---------------------------------------------------------------- how it works

    fn run(&mut self) {
        while let Some((who, input)) = self.todo.pop_front() {
            for effect in self.talks[who].handle(input, self.now) {
                self.effects[who].push(effect.clone());
                self.carry_out(who, effect);
            }
            if let Some(deadline) = self.talks[who].deadline() {
                assert!(deadline > self.now, "due and not done");
            }
        }
    }

    fn carry_out(&mut self, who: usize, effect: Effect) {
        match effect {
            Effect::Invite(typed) => self.invite(who, typed),
            Effect::Answer { invite, accept } => self.answered(who, &invite, accept),
            Effect::Cancel(invite) => self.cancel(who, &invite),
            Effect::MaySee(user) => {
                let blocked = person(&user).is_some_and(|other| self.blocks.contains(&(other, who)));
                self.todo.push_back((who, Input::Sight { user, may: !self.server_up || !blocked }));
            }
            Effect::Expect { invite, key } => {
                assert!(self.keys.contains(&key));
                self.expected.insert((who, invite));
            }
            Effect::Dial { invite, key, .. } => self.dial(who, invite, key),
            Effect::Forget(invite) => {
                let of_talk = |(_, wire): &(&Link, &Wire)| wire.invite == invite && wire.ends.contains(&who);
                let link = self.links.iter().find(of_talk).map(|(link, _)| *link);
                link.into_iter().for_each(|link| self.close(who, link));
                self.expected.remove(&(who, invite));
            }
            Effect::Send { link, frame } => {
                if let Some(wire) = self.links.get(&link).filter(|wire| !wire.dead) {
                    let other = wire.ends[usize::from(wire.ends[0] == who)];
                    self.todo.push_back((other, Input::Link(LinkEvent::Frame { link, frame })));
                }
            }
            Effect::Close(link) => self.close(who, link),
            Effect::Tell(news) => self.told[who].push(said(&news)),
            Effect::Prepare | Effect::Active | Effect::SaveKeys | Effect::Done => {}
        }
    }

    fn close(&mut self, who: usize, link: Link) {
        if let Some(wire) = self.links.remove(&link).filter(|wire| !wire.dead) {
            let other = wire.ends[usize::from(wire.ends[0] == who)];
            self.todo.push_back((other, Input::Link(LinkEvent::Down { link })));
        }
    }

    fn push(&mut self, to: usize, event: Event) {
        if self.server_up && !self.deaf.contains(&to) {
            self.todo.push_back((to, Input::Server(v1::PeerEvent { event: Some(event) })));
        }
    }

    fn invite(&mut self, who: usize, typed: String) {
        let (outcome, user, invite) = self.judge(who, &typed);
        let answer = v1::Invited { outcome: outcome.into(), user, invite: invite.clone() };
        let answer = self.server_up.then_some(answer);
        self.todo.push_back((who, Input::Invited { typed, answer }));
        match outcome {
            Outcome::Asked => self.ask(&invite),
            Outcome::Consented => self.introduce(&invite),
            _ => {}
        }
    }

    fn judge(&mut self, who: usize, typed: &str) -> (Outcome, String, Invite) {
        let Some(asked) = person(typed) else { return (Outcome::InvalidUser, String::new(), Invite::new()) };
        let name = NAMES[asked].to_owned();
        if self.blocks.contains(&(asked, who)) {
            return (Outcome::Blocked, name, Invite::new());
        }
        if !self.online.contains(&asked) {
            return (Outcome::Offline, name, Invite::new());
        }
        let theirs =
            |(_, one): &(&Invite, &mut Request)| one.asker == asked && one.asked == who && !one.consented;
        if let Some((invite, request)) = self.requests.iter_mut().find(theirs) {
            request.consented = true;
            return (Outcome::Consented, name, invite.clone());
        }
        self.invites += 1;
        let invite = Invite::from(vec![self.invites; 16]);
        let until = self.now + INVITE_LIFETIME;
        if self.server_up {
            self.requests.insert(invite.clone(), Request { asker: who, asked, until, consented: false });
        }
        (Outcome::Asked, name, invite)
    }

    fn ask(&mut self, invite: &Invite) {
        let Some(request) = self.requests.get(invite) else { return };
        let asked = v1::Asked { invite: invite.clone(), user: NAMES[request.asker].to_owned() };
        self.push(request.asked, Event::Asked(asked));
    }

    fn introduce(&mut self, invite: &Invite) {
        let Some(Request { asker, asked, .. }) = self.requests.get(invite) else { return };
        for (to, other, dials) in [(*asked, *asker, false), (*asker, *asked, true)] {
            let introduced = v1::Introduced {
                invite: invite.clone(),
                user: NAMES[other].to_owned(),
                key: self.keys[other].to_vec().into(),
                contact: None,
                dials,
                you_block: self.blocks.contains(&(to, other)),
                valid_ms: 30_000,
            };
            self.push(to, Event::Introduced(introduced));
        }
    }

    fn answered(&mut self, who: usize, invite: &Invite, accept: bool) {
        match self.requests.get_mut(invite) {
            _ if !self.server_up => {}
            Some(request) if accept && request.asked == who => {
                request.consented = true;
                self.introduce(invite);
            }
            Some(_) => self.end(invite, Reason::Declined),
            None => self.todo.push_back((who, Input::Gone(invite.clone()))),
        }
    }

    fn cancel(&mut self, who: usize, invite: &Invite) {
        match self.requests.get(invite) {
            _ if !self.server_up => {}
            Some(request) if !request.consented && request.asker == who => {
                self.end(invite, Reason::Withdrawn)
            }
            _ => {
                self.requests.remove(invite);
            }
        }
    }

    fn end(&mut self, invite: &Invite, reason: Reason) {
        let Some(Request { asker, asked, consented: false, .. }) = self.requests.remove(invite) else {
            return;
        };
        for (to, other) in [(asker, asked), (asked, asker)] {
            let told = match reason {
                Reason::Declined => to == asker,
                Reason::Withdrawn => to == asked,
                _ => true,
            };
            let (invite, user) = (invite.clone(), NAMES[other].to_owned());
            if told && self.online.contains(&to) {
                self.push(to, Event::Ended(v1::InviteEnded { invite, user, reason: reason.into() }));
            }
        }
    }

    fn dial(&mut self, who: usize, invite: Invite, key: [u8; 32]) {
        let other = self.keys.iter().position(|one| *one == key);
        let found = other.filter(|other| self.reachable && self.expected.contains(&(*other, invite.clone())));
        let Some(other) = found else {
            return self.todo.push_back((who, Input::Link(LinkEvent::Failed { invite })));
        };
        let link = Link(self.links.keys().next_back().map_or(1, |link| link.0 + 1));
        self.links.insert(link, Wire { invite: invite.clone(), ends: [who, other], dead: false });
        for end in [other, who] {
            let up = LinkEvent::Up { invite: invite.clone(), link, relayed: self.relayed };
            self.todo.push_back((end, Input::Link(up)));
        }
    }
}

fn person(name: &str) -> Option<usize> {
    NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))
}
