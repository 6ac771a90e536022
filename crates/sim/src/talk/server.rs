//! The server: its real requests, and as much around them as they need: who is here, blocks, connections that
//! break.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use hobnob_protocol::limits::GRACE;
use hobnob_protocol::v1;
use hobnob_server::rules::invite::{Invites, Party, Tell, To};
use hobnob_server::store::{AccountId, SessionId};
use tokio::time::Instant;
use v1::peer_event::Event as Told;

use super::people::{NAMES, key};
use super::world::{Event, World};

/// What a client asks.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Invite(String),
    Answer { invite: Bytes, accept: bool },
    Cancel(Bytes),
    MaySee(String),
    Contact(v1::Contact),
    Block { user: usize, on: bool },
    LogOut,
}

impl Request {
    /// Without a connection it comes to nothing at once.
    pub(super) fn is_for_now(&self) -> bool {
        matches!(self, Self::Invite(_) | Self::MaySee(_) | Self::Contact(_))
    }
}

/// What the server says.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Done,
    Invited(v1::Invited),
    Sight(bool),
    Event(v1::PeerEvent),
}

/// The server.
pub(super) struct Server {
    pub(super) up: bool,
    pub(super) invites: Invites,
    start: Instant,
    pub(super) sessions: BTreeMap<usize, Session>,
    /// Who blocks whom.
    pub(super) blocks: BTreeSet<(usize, usize)>,
    /// Connections on which something gets through, and when the last frame of either way arrives.
    alive: BTreeMap<u64, [Duration; 2]>,
}

#[derive(Debug)]
pub(super) struct Session {
    id: SessionId,
    life: u64,
    pub(super) connection: Option<u64>,
    /// The connection whose end began the grace.
    broken: Option<u64>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            up: false,
            invites: Invites::default(),
            start: Instant::now(),
            sessions: BTreeMap::new(),
            blocks: BTreeSet::new(),
            alive: BTreeMap::new(),
        }
    }
}

impl Server {
    /// It forgets whatever is only in memory.
    pub(super) fn crash(&mut self) {
        self.up = false;
        self.invites = Invites::default();
    }

    pub(super) fn is_alive(&self, connection: u64) -> bool {
        self.alive.contains_key(&connection)
    }

    pub(super) fn party(&self, who: usize) -> Option<Party> {
        let session = self.sessions.get(&who)?.id;
        Some(Party { account: account(who), session, name: NAMES[who].into(), key: key(who).to_vec().into() })
    }

    pub(super) fn is_online(&self, who: usize) -> bool {
        self.sessions.get(&who).is_some_and(|it| it.connection.is_some() || it.broken.is_some())
    }

    /// Nothing stands any more.
    pub(super) fn is_idle(&self) -> bool {
        self.invites.deadline().is_none()
    }
}

pub(super) fn account(who: usize) -> AccountId {
    AccountId(who as i64 + 1)
}

fn user(account: AccountId) -> usize {
    account.0 as usize - 1
}

impl World {
    pub(super) fn server_now(&self) -> Instant {
        self.server.start + self.now
    }

    // ---------------------------------------------------------------- connections

    /// A client tries to connect: logs in, or takes up its session.
    pub(super) fn connect(&mut self, who: usize, life: u64) {
        let person = &self.people[who];
        if !person.running || person.life != life || person.connection.is_some() {
            return;
        }
        if !self.server.up || person.isolated {
            let pause = self.chance.ms(500..=3_000);
            return self.after(pause, Event::Connect { who, life });
        }
        let connection = self.name();
        self.server.alive.insert(connection, [self.now; 2]);
        self.people[who].connection = Some(connection);
        let resumed = self.server.sessions.get(&who).is_some_and(|session| session.life == life);
        self.note(|| format!("{who} is connected, resumed: {resumed}"));
        if resumed {
            let session = self.server.sessions.get_mut(&who);
            session.into_iter().for_each(|it| (it.connection, it.broken) = (Some(connection), None));
            self.input(who, hobnob_peer::talk::Input::ServerUp(true));
        } else {
            let id = SessionId(connection as i64);
            let session = Session { id, life, connection: Some(connection), broken: None };
            let earlier = self.server.sessions.insert(who, session);
            earlier.into_iter().for_each(|earlier| self.session_over(who, earlier.id, false));
            self.after(self.mood.delay(&self.chance), Event::Type { who, life });
        }
        let now = self.server_now();
        if let Some(Party { account, session, .. }) = self.server.party(who) {
            let tells = self.server.invites.arrived(account, session, resumed, now);
            self.tell(tells);
        }
        for (id, request) in self.people[who].waiting.clone() {
            self.give(who, id, request);
        }
        self.tell_contact(who);
    }

    /// Nothing gets through any more, and both ends will find out.
    pub(super) fn silence_connection(&mut self, who: usize) {
        let Some(connection) = self.people[who].connection else { return };
        if self.server.alive.remove(&connection).is_some() {
            let (at_person, at_server) = (self.chance.ms(1..=45_000), self.chance.ms(1..=35_000));
            self.after(at_person, Event::PersonNotices { who, connection });
            self.after(at_server, Event::ServerNotices { who, connection });
        }
    }

    /// A connection breaks, and both ends find out soon.
    pub(super) fn cut_connection(&mut self, who: usize) {
        let Some(connection) = self.people[who].connection else { return };
        if self.server.alive.remove(&connection).is_some() {
            self.ledger.count("connection cut");
            let (at_person, at_server) = (self.chance.ms(1..=2_000), self.chance.ms(1..=2_000));
            self.after(at_person, Event::PersonNotices { who, connection });
            self.after(at_server, Event::ServerNotices { who, connection });
        }
    }

    pub(super) fn server_notices(&mut self, who: usize, connection: u64) {
        let Some(session) = self.server.sessions.get_mut(&who) else { return };
        if session.connection == Some(connection) {
            (session.connection, session.broken) = (None, Some(connection));
            self.after(GRACE, Event::GraceOver { who, connection });
        }
    }

    /// The user counts as offline from now on.
    pub(super) fn grace_over(&mut self, who: usize, connection: u64) {
        let Some(session) = self.server.sessions.get_mut(&who) else { return };
        if self.server.up && session.broken == Some(connection) {
            session.broken = None;
            let id = session.id;
            self.session_over(who, id, true);
        }
    }

    pub(super) fn session_over(&mut self, who: usize, session: SessionId, last: bool) {
        let now = self.server_now();
        let blocks = self.server.blocks.clone();
        let hidden = |other| blocks.contains(&(who, user(other)));
        let tells = self.server.invites.left(account(who), session, last, hidden, now);
        self.tell(tells);
    }

    pub(super) fn server_starts(&mut self) {
        if std::mem::replace(&mut self.server.up, true) {
            return;
        }
        self.note(|| "the server starts".to_owned());
        // Every session was broken by the crash, and its grace begins anew.
        for who in self.server.sessions.keys().copied().collect::<Vec<_>>() {
            let name = self.name();
            let session = self.server.sessions.get_mut(&who);
            session.into_iter().for_each(|it| (it.connection, it.broken) = (None, Some(name)));
            self.after(GRACE, Event::GraceOver { who, connection: name });
        }
        (0..self.people.len()).for_each(|who| self.try_relay(who));
    }

    // ---------------------------------------------------------------- frames

    /// Sends a request on the connection there is.
    pub(super) fn give(&mut self, who: usize, id: u64, request: Request) {
        let Some(connection) = self.people[who].connection else { return };
        let delay = self.mood.delay(&self.chance);
        if let Some([last, _]) = self.server.alive.get_mut(&connection) {
            *last = (*last).max(self.now + delay);
            let at = *last;
            self.at(at, Event::ToServer { who, connection, id, request });
        }
    }

    pub(super) fn tell_contact(&mut self, who: usize) {
        let contact = self.people[who].contact();
        if self.people[who].connection.is_some() {
            self.give(who, 0, Request::Contact(contact));
        }
    }

    pub(super) fn answer(&mut self, who: usize, connection: u64, id: u64, answer: Answer) {
        let delay = self.mood.delay(&self.chance);
        if let Some([_, last]) = self.server.alive.get_mut(&connection) {
            *last = (*last).max(self.now + delay);
            let at = *last;
            self.at(at, Event::ToPerson { who, connection, id, answer });
        }
    }

    pub(super) fn tell(&mut self, tells: Vec<Tell>) {
        for Tell { to, about, event } in tells {
            let (account, which): (_, Box<dyn Fn(SessionId) -> bool>) = match to {
                To::Session(account, session) => (account, Box::new(move |one| one == session)),
                To::Account(account) => (account, Box::new(|_| true)),
                To::Others(account, session) => (account, Box::new(move |one| one != session)),
            };
            let who = user(account);
            let blocks = self.server.blocks.contains(&(who, user(about)));
            let event = match event.event {
                Some(Told::Asked(_)) if blocks => continue,
                Some(Told::Introduced(it)) => {
                    Some(Told::Introduced(v1::Introduced { you_block: blocks, ..it }))
                }
                event => event,
            };
            let session = self.server.sessions.get(&who).filter(|session| which(session.id));
            if let Some(connection) = session.and_then(|session| session.connection) {
                self.answer(who, connection, 0, Answer::Event(v1::PeerEvent { event }));
            }
        }
        self.plan_server_tick();
    }

    fn plan_server_tick(&mut self) {
        if let Some(deadline) = self.server.invites.deadline() {
            self.at(deadline.duration_since(self.server.start), Event::ServerTick);
        }
    }

    pub(super) fn server_tick(&mut self) {
        let now = self.server_now();
        if self.server.up && self.server.invites.deadline().is_some_and(|deadline| deadline <= now) {
            let tells = self.server.invites.expire(now);
            self.tell(tells);
        }
    }
}
