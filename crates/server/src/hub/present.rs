//! The hub held fast: what is done to others depends on who is here, and nobody may come or go meanwhile.

use std::{
    collections::BTreeMap,
    sync::{MutexGuard, atomic::Ordering},
};

use bytes::Bytes;

use super::{Connection, Place, User};
use crate::store::{AccountId, SessionId};

/// Everybody who is here, for as long as nobody may come or go. Short: the whole hub waits.
pub(crate) struct Present<'a> {
    pub(super) users: MutexGuard<'a, BTreeMap<AccountId, User>>,
}

impl Present<'_> {
    /// Whether the session is here, on this connection.
    pub(crate) fn has(&self, place: Place) -> bool {
        let here = self.users.get(&place.account).and_then(|user| user.sessions.get(&place.session));
        here.is_some_and(|here| here.generation == place.generation)
    }

    /// Whether the session is here, on whichever connection.
    pub(crate) fn has_session(&self, account: AccountId, session: SessionId) -> bool {
        self.users.get(&account).is_some_and(|user| user.sessions.contains_key(&session))
    }

    /// Whether the user counts as online.
    pub(crate) fn is_online(&self, account: AccountId) -> bool {
        self.users.contains_key(&account)
    }

    /// Whether `blocker`, who is online, blocks `blocked`.
    pub(crate) fn blocks(&self, blocker: AccountId, blocked: AccountId) -> bool {
        self.users.get(&blocker).is_some_and(|user| user.blocks.contains(blocked))
    }

    /// Whether the session is here, on this connection; if so, frames of private talk go to it from now on.
    pub(crate) fn hears_private(&self, place: Place) -> bool {
        let here = self.users.get(&place.account).and_then(|user| user.sessions.get(&place.session));
        match here.filter(|here| here.generation == place.generation).map(|here| &here.connection) {
            Some(Connection::Connected(handle)) => {
                handle.shared.hears_private.store(true, Ordering::Relaxed);
                true
            }
            _ => false,
        }
    }

    /// Sends a frame of private talk to those sessions of the user that `which` picks, and that hear of it.
    pub(crate) fn send_private(&self, account: AccountId, which: impl Fn(SessionId) -> bool, frame: &Bytes) {
        let Some(user) = self.users.get(&account) else { return };
        for (_, here) in user.sessions.iter().filter(|(session, _)| which(**session)) {
            if let Connection::Connected(handle) = &here.connection
                && handle.shared.hears_private.load(Ordering::Relaxed)
            {
                handle.frame(frame);
            }
        }
    }
}
