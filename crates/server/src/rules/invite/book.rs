//! Where requests stand: found by name, by who takes part, and by when they are over.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use hobnob_protocol::v1::invite_ended::Reason;
use tokio::time::Instant;

use super::Party;
use crate::store::{AccountId, SessionId};

/// The place of a request among all there ever were: a lower one is older.
pub(super) type Serial = u64;

/// One request and what has become of it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) invite: Bytes,
    pub(super) asker: Party,
    pub(super) asked: AccountId,
    /// As first registered.
    pub(super) asked_name: Arc<str>,
    pub(super) stage: Stage,
    /// When it ends if it waits for its answer, else when it is forgotten.
    pub(super) until: Instant,
}

/// How far a request is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Nobody has answered.
    Pending,
    /// Both have consented.
    Introduced {
        /// Who consented to it.
        answerer: Party,
        /// When.
        made: Instant,
    },
    /// It ended without consent; kept for those who were not connected when it did.
    Ended {
        /// What the asker is told; `None`: it knows.
        asker: Option<Reason>,
        /// What sessions of the asked user are told.
        asked: Reason,
        /// But for this one, which knows.
        answerer: Option<SessionId>,
    },
}

impl Request {
    /// Whether it can be answered.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        matches!(self.stage, Stage::Pending) && now < self.until
    }

    /// The two ends of an introduction that stands.
    pub(super) fn introduction(&self, now: Instant) -> Option<(&Party, &Party)> {
        match &self.stage {
            Stage::Introduced { answerer, .. } if now < self.until => Some((&self.asker, answerer)),
            _ => None,
        }
    }
}

/// All requests.
#[derive(Debug, Default)]
pub(super) struct Book {
    last: Serial,
    requests: BTreeMap<Serial, Request>,
    by_invite: BTreeMap<Bytes, Serial>,
    by_asked: BTreeSet<(AccountId, Serial)>,
    /// Askers, and those who consented.
    by_session: BTreeSet<(SessionId, Serial)>,
    by_until: BTreeSet<(Instant, Serial)>,
}

impl Book {
    pub(super) fn add(&mut self, request: Request) {
        self.last += 1;
        let serial = self.last;
        self.by_invite.insert(request.invite.clone(), serial);
        self.by_asked.insert((request.asked, serial));
        self.by_session.insert((request.asker.session, serial));
        self.by_until.insert((request.until, serial));
        self.requests.insert(serial, request);
    }

    pub(super) fn find(&self, invite: &[u8]) -> Option<(Serial, &Request)> {
        let serial = *self.by_invite.get(invite)?;
        Some((serial, self.requests.get(&serial)?))
    }

    pub(super) fn get(&self, serial: Serial) -> Option<&Request> {
        self.requests.get(&serial)
    }

    /// The request goes on to another stage, until another time.
    pub(super) fn change(&mut self, serial: Serial, stage: Stage, until: Instant) {
        let Some(request) = self.requests.get_mut(&serial) else { return };
        self.by_until.remove(&(request.until, serial));
        self.by_until.insert((until, serial));
        if let Stage::Introduced { answerer, .. } = &stage {
            self.by_session.insert((answerer.session, serial));
        }
        (request.stage, request.until) = (stage, until);
    }

    pub(super) fn remove(&mut self, serial: Serial) {
        let Some(request) = self.requests.remove(&serial) else { return };
        self.by_invite.remove(&request.invite);
        self.by_asked.remove(&(request.asked, serial));
        self.by_session.remove(&(request.asker.session, serial));
        if let Stage::Introduced { answerer, .. } = &request.stage {
            self.by_session.remove(&(answerer.session, serial));
        }
        self.by_until.remove(&(request.until, serial));
    }

    /// Those that the user was asked with, oldest first.
    pub(super) fn of_asked(&self, asked: AccountId) -> impl Iterator<Item = (Serial, &Request)> {
        let all = self.by_asked.range((asked, 0)..=(asked, Serial::MAX));
        all.filter_map(|(_, serial)| Some((*serial, self.requests.get(serial)?)))
    }

    /// Those that the session asked with or consented to, oldest first.
    pub(super) fn of_session(&self, session: SessionId) -> impl Iterator<Item = (Serial, &Request)> {
        let all = self.by_session.range((session, 0)..=(session, Serial::MAX));
        all.filter_map(|(_, serial)| Some((*serial, self.requests.get(serial)?)))
    }

    /// One whose time is up.
    pub(super) fn due(&self, now: Instant) -> Option<(Serial, &Request)> {
        let (_, serial) = self.by_until.first().filter(|(until, _)| *until <= now)?;
        Some((*serial, self.requests.get(serial)?))
    }

    /// When the next one's time is up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.by_until.first().map(|(until, _)| *until)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let len = self.requests.len();
        assert_eq!((self.by_invite.len(), self.by_asked.len(), self.by_until.len()), (len, len, len));
        assert!((len..=2 * len).contains(&self.by_session.len()));
        len
    }
}
