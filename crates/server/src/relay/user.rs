//! What one user does on the relay: connections, bytes, and the limit that all of them share.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use iroh_relay::server::ConnectionId;
use tokio::time::Instant;

use super::{
    admitted::Key,
    limit::{Allowance, Rate},
};
use crate::store::AccountId;

/// Connections of one key; the oldest makes room. A client has one, and for a moment the one that it replaces.
const CONNECTIONS_MAX: usize = 4;
/// Users that are gone and not looked for.
const ROOM_MIN: usize = 64;

/// One user's part of the relay. Lives as long as one of the user's keys is admitted, or connected.
#[derive(Debug)]
pub(super) struct User {
    account: AccountId,
    /// For the log; learned with the first connection.
    name: OnceLock<String>,
    totals: Arc<Totals>,
    rate: Rate,
    allowance: Mutex<Allowance>,
    /// Oldest first.
    open: Mutex<VecDeque<(Key, ConnectionId)>>,
    /// Bytes from the user since the first of the open connections.
    received: AtomicU64,
    /// Bytes to the user since then.
    sent: AtomicU64,
}

/// Everybody who has a key that is admitted, or a connection.
#[derive(Debug, Default)]
pub(super) struct Users {
    users: HashMap<AccountId, Weak<User>>,
    /// How many may stand here before those who are gone are looked for.
    room: usize,
}

impl Users {
    /// The user of an account, or a new one.
    pub(super) fn get(&mut self, account: AccountId, new: impl FnOnce() -> User) -> Arc<User> {
        if let Some(user) = self.users.get(&account).and_then(Weak::upgrade) {
            return user;
        }
        if self.users.len() >= self.room {
            self.users.retain(|_, user| user.strong_count() > 0);
            self.room = 2 * self.users.len() + ROOM_MIN;
        }
        let user = Arc::new(new());
        self.users.insert(account, Arc::downgrade(&user));
        user
    }
}

/// Counts of the whole relay since it started.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) connections: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
}

impl User {
    /// A user without connections who may send at this rate.
    pub(super) fn new(account: AccountId, rate: Rate, totals: Arc<Totals>) -> Self {
        Self {
            account,
            name: OnceLock::new(),
            totals,
            rate,
            allowance: Mutex::new(Allowance::new(Instant::now())),
            open: Mutex::default(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        }
    }

    pub(super) fn account(&self) -> AccountId {
        self.account
    }

    pub(super) fn is_named(&self) -> bool {
        self.name.get().is_some()
    }

    pub(super) fn set_name(&self, name: String) {
        // Two connections at once have learned the same.
        let _ = self.name.set(name);
    }

    /// A connection begins. Returns the one of the same key that is to make room, if there are too many.
    pub(super) fn open(&self, key: Key, connection: ConnectionId) -> Option<ConnectionId> {
        self.totals.connections.fetch_add(1, Relaxed);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push_back((key, connection));
        let mut same = open.iter().filter(|(other, _)| *other == key);
        let oldest = same.next().map(|(_, oldest)| *oldest);
        oldest.filter(|_| same.count() >= CONNECTIONS_MAX)
    }

    /// A connection is gone. Says in the log what the last one leaves behind.
    pub(super) fn close(&self, connection: ConnectionId) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(_, other)| *other != connection);
        if !open.is_empty() {
            return;
        }
        let (received, sent) = (self.received.swap(0, Relaxed), self.sent.swap(0, Relaxed));
        drop(open);
        let user = self.name.get().map_or("?", String::as_str);
        tracing::info!(%user, received, sent, "left the relay");
    }

    /// Counts bytes from the user against the limit.
    pub(super) fn count_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
        self.totals.received.fetch_add(bytes as u64, Relaxed);
        if let Some(rate) = self.rate.get() {
            self.allowance.lock().unwrap_or_else(PoisonError::into_inner).take(bytes, rate, Instant::now());
        }
    }

    /// Counts bytes to the user.
    pub(super) fn count_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
        self.totals.sent.fetch_add(bytes as u64, Relaxed);
    }

    /// When the user may send on; `None`: now.
    pub(super) fn ready_at(&self) -> Option<Instant> {
        self.rate.get()?;
        let allowance = self.allowance.lock().unwrap_or_else(PoisonError::into_inner);
        allowance.ready_at(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use iroh_base::SecretKey;
    use iroh_relay::server::OnDisconnectGuard;

    use super::*;

    #[test]
    fn the_oldest_connection_of_a_key_makes_room() {
        let user = User::new(AccountId(1), Rate::default(), Arc::default());
        let id = || OnDisconnectGuard::empty(SecretKey::from_bytes(&[1; 32]).public()).connection_id();
        let ids: Vec<_> = (0..=CONNECTIONS_MAX).map(|_| id()).collect();
        assert!(ids[1..].iter().all(|id| user.open([1; 32], *id).is_none()));
        assert_eq!(user.open([2; 32], ids[0]), None);
        assert_eq!(user.open([1; 32], id()), Some(ids[1]));
        user.close(ids[1]);
        user.close(ids[2]);
        assert_eq!(user.open([1; 32], id()), None);
    }

    #[test]
    fn a_user_lasts_as_long_as_somebody_asks() {
        let mut users = Users::default();
        let new = |account| move || User::new(AccountId(account), Rate::default(), Arc::default());
        let hans = users.get(AccountId(0), new(0));
        for account in 1..1000 {
            drop(users.get(AccountId(account), new(account)));
        }
        assert!(Arc::ptr_eq(&hans, &users.get(AccountId(0), new(0))));
        assert!(users.users.len() <= 2 + ROOM_MIN, "{}", users.users.len());
    }
}
