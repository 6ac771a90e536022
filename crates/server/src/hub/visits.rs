//! Connections of background sessions. Nobody is told of them and nothing is pushed to them, but they end when the
//! sessions of their account do.

use std::{collections::BTreeMap, sync::Arc};

use hobnob_protocol::close::Close;

use super::{Handle, Hub, Place, lock};
use crate::store::{AccountId, SessionId};

/// All of them, by account and a number of their own: several may use one session.
#[derive(Debug, Default)]
pub(super) struct Visits {
    open: BTreeMap<(AccountId, u64), (SessionId, Handle)>,
    last: u64,
}

/// One connection of a background session; over when dropped.
#[derive(Debug)]
pub(crate) struct Visit {
    hub: Arc<Hub>,
    key: (AccountId, u64),
}

impl Drop for Visit {
    fn drop(&mut self) {
        lock(&self.hub.visits).open.remove(&self.key);
    }
}

impl Hub {
    /// A connection of a background session begins.
    pub(crate) fn visit(self: &Arc<Self>, place: Place, handle: Handle) -> Visit {
        let mut visits = lock(&self.visits);
        visits.last += 1;
        let key = (place.account, visits.last);
        visits.open.insert(key, (place.session, handle));
        Visit { hub: self.clone(), key }
    }

    /// Ends those of an account, but for one session.
    pub(crate) fn end_visits(&self, account: AccountId, but: Option<SessionId>, close: Close) {
        let visits = lock(&self.visits);
        let of_account = visits.open.range((account, 0)..=(account, u64::MAX));
        for (_, (_, handle)) in of_account.filter(|(_, (session, _))| Some(*session) != but) {
            handle.shared.kick(close);
        }
    }

    /// Which session each belongs to, and its handle.
    pub(crate) fn visits(&self) -> Vec<(SessionId, Handle)> {
        lock(&self.visits).open.values().cloned().collect()
    }
}
