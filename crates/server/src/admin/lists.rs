//! What there is: users, sessions, and how the server is.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use super::{
    Answer, Gone, Keeper, Replies,
    wire::{Done, Relay, Reply, Session, SessionState, Status, User},
};
use crate::{
    hub::Handle,
    node::Node,
    store::{Listed, SessionId, SessionRow, sqlite},
};

/// Rows that are read at once.
const PAGE: usize = 500;

/// Every account, in the order of names.
pub(super) async fn users(node: &Node, replies: &mut impl Replies) -> Result<Answer, Gone> {
    let mut after = String::new();
    loop {
        let from = after.clone();
        let page = match node.reader.run(move |store| store.accounts(&from, PAGE)).await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error.into())),
        };
        let Some(last) = page.last() else { return Ok(Ok(Done::default())) };
        after.clone_from(&last.key);
        let now_ms = node.world.now_ms();
        let users: Vec<User> = {
            let present = node.hub.present();
            page.into_iter().map(|one| user(present.is_online(one.account.id), one, now_ms)).collect()
        };
        for user in users {
            replies.reply(&Reply::User(user)).await?;
        }
    }
}

fn user(online: bool, listed: Listed, now_ms: i64) -> User {
    let Listed { account, created_ms, blocked_until_ms, .. } = listed;
    let left = Some(account.last_seen_ms).filter(|ms| *ms > 0);
    User {
        name: account.name,
        online,
        disabled: account.disabled,
        locked_until_ms: Some(blocked_until_ms).filter(|until| *until > now_ms),
        last_seen_ms: if online { Some(now_ms) } else { left },
        created_ms,
    }
}

/// What is known of connections, by session.
struct Connected {
    online: BTreeMap<SessionId, Handle>,
    background: BTreeMap<SessionId, Handle>,
}

/// Every session, in the order they began; without `all` only those that somebody is at, or was just now.
pub(super) async fn sessions(node: &Node, all: bool, replies: &mut impl Replies) -> Result<Answer, Gone> {
    let online = node.hub.connected().into_iter().map(|(place, handle)| (place.session, handle)).collect();
    let connected = Connected { online, background: node.hub.visits().into_iter().collect() };
    let mut after = SessionId(0);
    loop {
        let from = after;
        let page = node.reader.run(move |store| {
            let rows = store.sessions(from, PAGE)?;
            let accounts: Vec<_> = rows.iter().map(|row| row.account).collect();
            Ok((store.names(&accounts)?, rows))
        });
        let (names, rows) = match page.await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error.into())),
        };
        let Some(last) = rows.last() else { return Ok(Ok(Done::default())) };
        after = last.id;
        for (row, name) in rows.iter().zip(names) {
            let session = connected.session(row, name);
            if all || session.state != SessionState::Offline {
                replies.reply(&Reply::Session(session)).await?;
            }
        }
    }
}

impl Connected {
    fn session(&self, row: &SessionRow, user: String) -> Session {
        let (state, handle) = match (self.online.get(&row.id), self.background.get(&row.id)) {
            (Some(handle), _) => (SessionState::Connected, Some(handle)),
            (None, Some(handle)) => (SessionState::Background, Some(handle)),
            (None, None) if row.online => (SessionState::Broken, None),
            (None, None) => (SessionState::Offline, None),
        };
        let origin = handle.and_then(|handle| handle.shared.origin());
        Session {
            user,
            session: row.id.0,
            state,
            from: origin.map(|(address, _): (IpAddr, _)| address.to_canonical().to_string()),
            since_ms: origin.map(|(_, since_ms)| since_ms),
            used_ms: row.used_ms,
        }
    }
}

/// How the server is.
pub(super) fn status(keeper: &Keeper) -> Status {
    let node = &*keeper.node;
    let load = node.writer.load();
    let (store_bytes, store_log_bytes) = sqlite::size(&keeper.data);
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        fingerprint: fingerprint(keeper),
        pid: std::process::id(),
        uptime_s: keeper.started.elapsed().as_secs(),
        connections: keeper.connections.len() as u64,
        users_online: node.hub.online() as u64,
        sessions: node.hub.connected().len() as u64,
        trouble: node.writer.trouble().map(|trouble| trouble.name().to_owned()),
        queue_requests: load.requests as u64,
        queue_bytes: load.bytes as u64,
        commits: load.commits,
        commit_median_us: micros(load.median),
        commit_longest_us: micros(load.longest),
        store_bytes,
        store_log_bytes,
        relay: node.relay.as_ref().map(|relay| {
            let counts = relay.counts();
            Relay {
                devices: counts.keys as u64,
                connections: counts.connections,
                refused: counts.refused,
                received_bytes: counts.received,
                sent_bytes: counts.sent,
                dropped: counts.dropped,
            }
        }),
    }
}

pub(super) fn fingerprint(keeper: &Keeper) -> String {
    keeper.identity.as_ref().map_or_else(String::new, |identity| identity.get().fingerprint())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
