//! Who has asked whom for private talk, and who is introduced to whom: a pure machine.
//!
//! A request belongs to the session that asked and to the user who is asked: any session of that user may
//! answer, once for all. Consent makes an introduction of two sessions, and only that gives either the
//! other's key and contact. Connections lose what was told on them, so whatever stands, and how a request
//! ended, is told again to a session that resumes.

mod book;
#[cfg(test)]
mod properties;
mod tell;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hobnob_protocol::{
    limits::{INTRODUCTION_LIFETIME, INVITE_LIFETIME, INVITES_IN_MAX, INVITES_OUT_MAX},
    v1::{self, invite_ended::Reason, peer_event::Event},
};
use tokio::time::Instant;

pub use self::tell::{Tell, To};
use self::{
    book::{Book, Request, Serial, Stage},
    tell::{ended_to_asked, ended_to_asker, question, to_session},
};
use crate::{
    rules::contact::Contacts,
    store::{AccountId, SessionId},
};

/// How long an introduction is told again, and contacts go on being passed on.
const INTRODUCTION_KEPT: Duration = INTRODUCTION_LIFETIME.saturating_mul(2);
/// How long it is kept how a request ended: longer than a broken session has for coming back.
const ENDED_KEPT: Duration = INVITE_LIFETIME;

/// Nothing in [`Invites`] is due sooner than this after it was added, or has gone on to its next stage.
pub const SHORTEST: Duration = INVITE_LIFETIME;
const _: () = assert!(SHORTEST.as_millis() <= INTRODUCTION_KEPT.as_millis());
const _: () = assert!(SHORTEST.as_millis() <= ENDED_KEPT.as_millis());

/// One end of a request: a session, and the device that logged in on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// Whose.
    pub account: AccountId,
    /// Which session.
    pub session: SessionId,
    /// The user's name as first registered.
    pub name: Arc<str>,
    /// The device's Ed25519 key, which it has proven at login.
    pub key: Bytes,
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq)]
pub enum Asking {
    /// The other is asked under this name.
    Asked(Bytes, Vec<Tell>),
    /// The other had asked already, under this name: both are introduced.
    Consented(Bytes, Vec<Tell>),
    /// Too many requests stand.
    Full,
}

/// All requests and introductions that stand, in memory alone.
#[derive(Debug, Default)]
pub struct Invites {
    book: Book,
    contacts: Contacts,
}

impl Invites {
    /// Where sessions are. What reads it introduces somebody to them.
    #[must_use]
    pub fn contacts(&self) -> &Contacts {
        &self.contacts
    }

    /// A session asks a user who is online (another than its own, which does not block it). `invite` is 16
    /// random bytes to name the request by, if it becomes one.
    pub fn ask(
        &mut self,
        asker: Party,
        asked: AccountId,
        asked_name: &str,
        invite: Bytes,
        now: Instant,
    ) -> Asking {
        let theirs = |(_, one): &(Serial, &Request)| one.asker.account == asked && one.is_open(now);
        let theirs = self.book.of_asked(asker.account).find(theirs);
        if let Some((serial, invite)) = theirs.map(|(serial, one)| (serial, one.invite.clone())) {
            return Asking::Consented(invite, self.introduce(serial, &asker, now));
        }
        let ours = self.book.of_session(asker.session).filter(|(_, one)| one.is_open(now));
        let ours: Vec<_> = ours.collect();
        if let Some((_, same)) = ours.iter().find(|(_, one)| one.asked == asked) {
            return Asking::Asked(same.invite.clone(), Vec::new());
        }
        let of_them = self.book.of_asked(asked).filter(|(_, one)| one.is_open(now)).count();
        let full = ours.len() >= INVITES_OUT_MAX || of_them >= INVITES_IN_MAX;
        if full || asked == asker.account || self.book.find(&invite).is_some() {
            return Asking::Full;
        }
        let request = Request {
            invite: invite.clone(),
            asker,
            asked,
            asked_name: asked_name.into(),
            stage: Stage::Pending,
            until: now + INVITE_LIFETIME,
        };
        let tell = question(&request);
        self.book.add(request);
        Asking::Asked(invite, vec![tell])
    }

    /// A session answers a request to its user. `None`: there is none to answer. The same answer again, from
    /// the same session, is as good as the first.
    pub fn answer(&mut self, by: &Party, invite: &[u8], accept: bool, now: Instant) -> Option<Vec<Tell>> {
        let (serial, request) = self.book.find(invite).filter(|(_, one)| one.asked == by.account)?;
        match &request.stage {
            Stage::Pending if now >= request.until => None,
            Stage::Pending if accept => Some(self.introduce(serial, by, now)),
            Stage::Pending => {
                let asker = Some(Reason::Declined);
                Some(self.end(serial, asker, Reason::Expired, Some(by.session), now))
            }
            Stage::Introduced { answerer, .. } if now < request.until => {
                (accept && answerer.session == by.session).then(Vec::new)
            }
            Stage::Introduced { .. } => None,
            Stage::Ended { answerer, .. } => (!accept && *answerer == Some(by.session)).then(Vec::new),
        }
    }

    /// A session takes its request back, or gives up an introduction. What is not its own is left alone.
    pub fn cancel(&mut self, session: SessionId, invite: &[u8], now: Instant) -> Vec<Tell> {
        let Some((serial, request)) = self.book.find(invite) else { return Vec::new() };
        match &request.stage {
            Stage::Pending if request.asker.session == session && now < request.until => {
                return self.end(serial, None, Reason::Withdrawn, None, now);
            }
            Stage::Introduced { answerer, .. }
                if [request.asker.session, answerer.session].contains(&session) =>
            {
                let given_up = tell::given_up(request, answerer, session);
                self.book.remove(serial);
                return vec![given_up];
            }
            _ => {}
        }
        Vec::new()
    }

    /// A session that is online says where it is: those it is introduced to are told. What is no address, or
    /// cannot be sent to, is dropped.
    pub fn contact(&mut self, session: SessionId, contact: &v1::Contact, now: Instant) -> Vec<Tell> {
        let Some(contact) = self.contacts.note(session, contact) else { return Vec::new() };
        let introductions = self.book.of_session(session);
        let tell = |(_, request): (Serial, &Request)| {
            let (asker, answerer) = request.introduction(now)?;
            let [me, other] = if asker.session == session { [asker, answerer] } else { [answerer, asker] };
            let event = v1::PeerContact { invite: request.invite.clone(), contact: Some(contact.clone()) };
            Some(to_session(other, me, Event::Contact(event)))
        };
        introductions.filter_map(tell).collect()
    }

    /// A session is connected: what it is to be told. One that has resumed may have lost anything it was told
    /// before.
    #[must_use]
    pub fn arrived(&self, account: AccountId, session: SessionId, resumed: bool, now: Instant) -> Vec<Tell> {
        let own = self.book.of_session(session).filter(|(_, one)| one.asker.session == session);
        let own = own.filter_map(|(_, request)| match &request.stage {
            Stage::Introduced { .. } => self.introductions(request, now).map(|[asker, _]| asker),
            Stage::Ended { asker: Some(reason), .. } => Some(ended_to_asker(request, *reason)),
            _ => None,
        });
        let to_us = self.book.of_asked(account).filter_map(|(_, request)| {
            let ended = |reason| ended_to_asked(request, reason, To::Session(account, session));
            match &request.stage {
                Stage::Pending => request
                    .is_open(now)
                    .then(|| Tell { to: To::Session(account, session), ..question(request) }),
                Stage::Introduced { answerer, .. } if answerer.session == session => {
                    self.introductions(request, now).map(|[_, answerer]| answerer)
                }
                Stage::Introduced { .. } => resumed.then(|| ended(Reason::Expired)),
                Stage::Ended { answerer, .. } if *answerer == Some(session) => None,
                Stage::Ended { asked, .. } => resumed.then(|| ended(*asked)),
            }
        });
        own.chain(to_us).collect()
    }

    /// A session is over, or its user counts as offline; `last`: the user has no other. `hidden_from`: whom
    /// the user blocks. They must not learn from a request that the user has gone: what they asked goes on
    /// waiting until its time is up, and what they were asked looks withdrawn.
    pub fn left(
        &mut self,
        account: AccountId,
        session: SessionId,
        last: bool,
        hidden_from: impl Fn(AccountId) -> bool,
        now: Instant,
    ) -> Vec<Tell> {
        self.contacts.forget(session);
        let mut tells = Vec::new();
        let own: Vec<_> = self.book.of_session(session).map(|(serial, one)| (serial, one.asked)).collect();
        for (serial, asked) in own {
            let asked = if hidden_from(asked) { Reason::Withdrawn } else { Reason::Expired };
            tells.extend(self.abandon(serial, asked, now));
        }
        if last {
            let to_us = self.book.of_asked(account).filter(|(_, one)| one.is_open(now));
            let to_us = to_us.filter(|(_, one)| !hidden_from(one.asker.account));
            for serial in to_us.map(|(serial, _)| serial).collect::<Vec<_>>() {
                tells.extend(self.abandon(serial, Reason::Expired, now));
            }
        }
        tells
    }

    /// Ends what waits and forgets what is introduced; what has ended already stays as it is.
    fn abandon(&mut self, serial: Serial, asked: Reason, now: Instant) -> Vec<Tell> {
        let Some(request) = self.book.get(serial) else { return Vec::new() };
        match request.stage {
            Stage::Pending => self.end(serial, Some(Reason::Expired), asked, None, now),
            Stage::Introduced { .. } => {
                self.book.remove(serial);
                Vec::new()
            }
            Stage::Ended { .. } => Vec::new(),
        }
    }

    /// Sees to everything whose time is up.
    pub fn expire(&mut self, now: Instant) -> Vec<Tell> {
        let mut tells = Vec::new();
        while let Some((serial, request)) = self.book.due(now) {
            if matches!(request.stage, Stage::Pending) {
                tells.extend(self.end(serial, Some(Reason::Expired), Reason::Expired, None, now));
            } else {
                self.book.remove(serial);
            }
        }
        tells
    }

    /// When [`expire`](Self::expire) is due next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.book.deadline()
    }

    // ---------------------------------------------------------------- steps

    /// The user who is asked has consented, by this session.
    fn introduce(&mut self, serial: Serial, by: &Party, now: Instant) -> Vec<Tell> {
        let Some(asker) = self.book.get(serial).map(|request| request.asker.session) else {
            return Vec::new();
        };
        self.make_room(asker, by.session, now);
        self.make_room(by.session, asker, now);
        let stage = Stage::Introduced { answerer: by.clone(), made: now };
        self.book.change(serial, stage, now + INTRODUCTION_KEPT);
        let Some(request) = self.book.get(serial) else { return Vec::new() };
        let others = To::Others(by.account, by.session);
        let mut tells: Vec<_> = self.introductions(request, now).into_iter().flatten().collect();
        tells.push(ended_to_asked(request, Reason::Expired, others));
        tells
    }

    /// A new introduction takes the place of an earlier one of the same two, and of the oldest of too many.
    fn make_room(&mut self, session: SessionId, other: SessionId, now: Instant) {
        let all = self.book.of_session(session).filter_map(|(serial, request)| {
            let (asker, answerer) = request.introduction(now)?;
            Some((serial, [asker.session, answerer.session].contains(&other)))
        });
        let (earlier, rest): (Vec<_>, Vec<_>) = all.partition(|(_, same)| *same);
        let too_many = (rest.len() + 1).saturating_sub(INVITES_IN_MAX);
        for (serial, _) in earlier.into_iter().chain(rest.into_iter().take(too_many)) {
            self.book.remove(serial);
        }
    }

    /// What the asker and the one who consented are told.
    fn introductions(&self, request: &Request, now: Instant) -> Option<[Tell; 2]> {
        let Stage::Introduced { answerer, made } = &request.stage else { return None };
        let asker = &request.asker;
        request.introduction(now)?;
        let left = (*made + INTRODUCTION_LIFETIME).saturating_duration_since(now);
        let event = |other: &Party, dials| {
            Event::Introduced(v1::Introduced {
                invite: request.invite.clone(),
                user: other.name.to_string(),
                key: other.key.clone(),
                contact: Some(self.contacts.of(other.session).cloned().unwrap_or_default()),
                dials,
                you_block: false,
                valid_ms: u32::try_from(left.as_millis()).unwrap_or(u32::MAX),
            })
        };
        Some([
            to_session(asker, answerer, event(answerer, true)),
            to_session(answerer, asker, event(asker, false)),
        ])
    }

    /// A request that waits ends without consent.
    fn end(
        &mut self,
        serial: Serial,
        asker: Option<Reason>,
        asked: Reason,
        answerer: Option<SessionId>,
        now: Instant,
    ) -> Vec<Tell> {
        self.book.change(serial, Stage::Ended { asker, asked, answerer }, now + ENDED_KEPT);
        let Some(request) = self.book.get(serial) else { return Vec::new() };
        let to = answerer.map_or(To::Account(request.asked), |session| To::Others(request.asked, session));
        let mut tells: Vec<_> = asker.map(|reason| ended_to_asker(request, reason)).into_iter().collect();
        tells.push(ended_to_asked(request, asked, to));
        let (session, account) = (request.asker.session, request.asked);
        let has_ended =
            |(serial, one): (Serial, &Request)| matches!(one.stage, Stage::Ended { .. }).then_some(serial);
        let of_asker: Vec<_> = self.book.of_session(session).filter_map(has_ended).collect();
        let of_asked: Vec<_> = self.book.of_asked(account).filter_map(has_ended).collect();
        let oldest = |all: Vec<Serial>, most: usize| {
            let too_many = all.len().saturating_sub(most);
            all.into_iter().take(too_many)
        };
        oldest(of_asker, INVITES_OUT_MAX)
            .chain(oldest(of_asked, INVITES_IN_MAX))
            .for_each(|serial| self.book.remove(serial));
        tells
    }
}
