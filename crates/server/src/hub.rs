//! Who is here: the users that count as online on this node, and how to reach their sessions.
//!
//! The hub owns presence. It is one short mutex, never held across an await; everything it does to a session is
//! a non-blocking send into that session's bounded mailbox. What does not fit there is either waiting in the store
//! (entries: the session is marked as behind) or ends that session (presence: `slow_consumer`).

mod present;
mod visits;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Poll,
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use hobnob_protocol::{
    close::Close,
    codec,
    limits::{MAILBOX_FRAMES, OUT_BYTES_MAX},
    v1,
};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

pub(crate) use self::{present::Present, visits::Visit};
use crate::mailbox::{self, Receiver, Refused, Round, Sender};
use crate::store::{AccountId, Ended, SessionId, StreamId};

/// A committed entry on its way to whoever is online.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The stream it stands in.
    pub stream: StreamId,
    /// Its number there.
    pub seq: u64,
    /// Who sent it.
    pub sender: AccountId,
    /// The frame, encoded once for all.
    pub frame: Bytes,
}

/// Takes committed entries to sessions. A wake-up may be lost: the sweep makes up for it.
pub trait Wake: Send + Sync {
    /// Tells every session that the entry concerns. Their tasks are woken with the others of the round.
    fn wake(&self, entry: &Committed, round: &mut Round);
}

/// What a session finds in its mailbox.
#[derive(Debug)]
pub enum Mail {
    /// The answer to a submit of its own, by the request's id. It always has room: a session stops reading before it
    /// has too many under way.
    Answer(u64, v1::Submitted),
    /// A committed entry.
    Entry(Committed),
    /// An encoded frame to pass on.
    Frame(Bytes),
    /// Look into the store: something may have been missed.
    LookAgain,
    /// Prove to be alive; dropped unanswered if the client does not answer.
    Probe(oneshot::Sender<()>),
}

/// Whom one online user blocks; shared by the hub and the user's sessions.
#[derive(Debug, Default)]
pub struct Blocks {
    set: Mutex<BTreeSet<AccountId>>,
    len: AtomicUsize,
}

impl Blocks {
    fn new(blocked: impl IntoIterator<Item = AccountId>) -> Self {
        let set: BTreeSet<_> = blocked.into_iter().collect();
        Self { len: AtomicUsize::new(set.len()), set: Mutex::new(set) }
    }

    /// Whether `account` is blocked. Free for the many who block nobody.
    #[must_use]
    pub fn contains(&self, account: AccountId) -> bool {
        self.len.load(Ordering::Acquire) > 0 && lock(&self.set).contains(&account)
    }

    fn set(&self, account: AccountId, on: bool) {
        let mut set = lock(&self.set);
        if on {
            set.insert(account)
        } else {
            set.remove(&account)
        };
        self.len.store(set.len(), Ordering::Release);
    }
}

/// The hub's end of a connected session.
#[derive(Clone, Debug)]
pub struct Handle {
    mailbox: Sender<Mail>,
    /// What the connection's session shares with the hub.
    pub shared: Arc<Shared>,
}

/// What a connected session and the hub both see.
#[derive(Debug, Default)]
pub struct Shared {
    /// The mailbox was full: entries wait in the store.
    pub behind: AtomicBool,
    /// Bytes of the entries in the mailbox.
    pub mail_bytes: AtomicUsize,
    /// Last inbox entry pushed on this connection.
    pub sent_inbox: AtomicU64,
    /// Last broadcast entry pushed on this connection.
    pub sent_broadcast: AtomicU64,
    /// Last broadcast entry that the client has noted, by its own word.
    pub noted_broadcast: AtomicU64,
    /// Up to here the client has noted its inbox, by its own word; 0 where that could not be written, so that its next
    /// word counts whatever it says.
    pub(crate) noted_inbox: AtomicU64,
    /// It was told what stands of private talk, and is told from then on what happens.
    hears_private: AtomicBool,
    /// From where and since when (in ms since 1970) it is connected.
    origin: OnceLock<(IpAddr, i64)>,
    kicked: OnceLock<Close>,
    /// The connection's task.
    task: AtomicWaker,
}

impl Shared {
    /// Ends the connection for this reason; the first reason counts.
    pub fn kick(&self, close: Close) {
        if self.kicked.set(close).is_ok() {
            self.task.wake();
        }
    }

    /// Notes from where and since when (in ms since 1970) it is connected; the first note counts.
    pub(crate) fn came(&self, from: IpAddr, now_ms: i64) {
        let _ = self.origin.set((from, now_ms));
    }

    /// From where and since when (in ms since 1970) it is connected.
    pub(crate) fn origin(&self) -> Option<(IpAddr, i64)> {
        self.origin.get().copied()
    }

    /// Waits until the connection is to end, and says why. For the connection's task alone.
    pub(crate) async fn kicked(&self) -> Close {
        poll_fn(|context| {
            self.task.register(context.waker());
            self.kicked.get().map_or(Poll::Pending, |close| Poll::Ready(*close))
        })
        .await
    }
}

/// A mailbox for a new connection.
#[must_use]
pub fn mailbox() -> (Handle, Receiver<Mail>) {
    let (mailbox, mail) = mailbox::bounded(MAILBOX_FRAMES);
    (Handle { mailbox, shared: Arc::default() }, mail)
}

impl Handle {
    /// Notes where the connection starts in its streams, for the sweep; `behind`: the store has more.
    pub(crate) fn starts(&self, inbox: u64, broadcast: u64, behind: bool) {
        self.shared.sent_inbox.store(inbox, Ordering::Relaxed);
        self.shared.sent_broadcast.store(broadcast, Ordering::Relaxed);
        self.shared.behind.store(behind, Ordering::Release);
    }

    /// What answers of the writer are sent to.
    pub(crate) fn mailbox(&self) -> Sender<Mail> {
        self.mailbox.clone()
    }

    fn entry(&self, entry: &Committed, round: &mut Round) {
        let bytes = entry.frame.len();
        let fits = self.shared.mail_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= OUT_BYTES_MAX;
        if !fits || self.mailbox.send_in(Mail::Entry(entry.clone()), round).is_err() {
            self.shared.mail_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.look_again();
        }
    }

    fn frame(&self, frame: &Bytes) {
        if let Err(Refused::Full) = self.mailbox.try_send(Mail::Frame(frame.clone())) {
            self.shared.kick(Close::SlowConsumer);
        }
    }

    /// Makes the session read its streams from the store.
    pub fn look_again(&self) {
        self.shared.behind.store(true, Ordering::Release);
        // A full mailbox is about to be read, and then the mark is seen.
        let _ = self.mailbox.try_send(Mail::LookAgain);
    }

    /// Whether the client behind it answers; the caller limits the time.
    pub async fn probe(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        self.mailbox.send(Mail::Probe(reply)).await.is_ok() && answer.await.is_ok()
    }
}

/// A session's place in the hub: which session, and which of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub session: SessionId,
    /// Which of its connections.
    pub generation: u64,
}

/// What becomes of a broken session when its time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Its last connection.
    pub place: Place,
    /// `Some`: it is over. `None`: it only goes offline and may be resumed.
    pub ended: Option<Ended>,
}

#[derive(Debug)]
enum Connection {
    Connected(Handle),
    /// Until when it counts as online, and whether it is over then.
    Broken(Instant, Option<Ended>),
}

#[derive(Debug)]
struct Here {
    generation: u64,
    connection: Connection,
}

/// One online user. Exists exactly while it has a session here.
#[derive(Debug)]
struct User {
    name: String,
    blocks: Arc<Blocks>,
    sessions: BTreeMap<SessionId, Here>,
}

/// Who is here.
#[derive(Debug, Default)]
pub struct Hub {
    users: Mutex<BTreeMap<AccountId, User>>,
    /// When broken sessions are looked at again, soonest first; what has changed since is passed over. Taken
    /// before `users` where both are.
    deadlines: Mutex<BTreeSet<(Instant, Place)>>,
    deadlines_changed: Notify,
    /// Connections of background sessions. Stands alone.
    visits: Mutex<visits::Visits>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code under these locks can leave its data half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// A session is connected, new or again. A user who was not here until now is announced.
    /// Returns the user's blocks, for the session to check at delivery.
    pub fn attach(&self, place: Place, name: &str, blocked: Vec<AccountId>, handle: Handle) -> Arc<Blocks> {
        let mut users = lock(&self.users);
        let new = !users.contains_key(&place.account);
        let blocks = put(&mut users, place, name, blocked, Connection::Connected(handle));
        if new {
            announce(&users, place.account, true);
        }
        blocks
    }

    /// A session that was online when the server stopped: it counts as broken now, and nobody is told.
    pub fn restore(&self, place: Place, name: &str, blocked: Vec<AccountId>, until: Instant) {
        put(&mut lock(&self.users), place, name, blocked, Connection::Broken(until, None));
        self.look_at(place, until);
    }

    fn look_at(&self, place: Place, until: Instant) {
        let mut deadlines = lock(&self.deadlines);
        deadlines.insert((until, place));
        if deadlines.first() == Some(&(until, place)) {
            self.deadlines_changed.notify_one();
        }
    }

    /// A connection is lost: until `until` its session counts as online, then it goes the way `ended` says.
    pub fn broken(&self, place: Place, until: Instant, ended: Option<Ended>) {
        let mut users = lock(&self.users);
        let here = users.get_mut(&place.account).and_then(|user| user.sessions.get_mut(&place.session));
        let Some(here) = here.filter(|here| here.generation == place.generation) else { return };
        here.connection = Connection::Broken(until, ended);
        drop(users);
        self.look_at(place, until);
    }

    /// How many users count as online.
    pub(crate) fn online(&self) -> usize {
        lock(&self.users).len()
    }

    /// Everybody who is here, held fast.
    pub(crate) fn present(&self) -> Present<'_> {
        Present { users: lock(&self.users) }
    }

    /// A session is no longer here, unless a later connection has taken it up. A user without another is
    /// announced as gone. A connection that it still has is closed with `close`. `gone` sees to what the
    /// session leaves behind, while its user is still known, and is told whether that was the user's last.
    pub(crate) fn detach(&self, place: Place, close: Close, gone: impl FnOnce(&Present<'_>, bool)) {
        let mut present = self.present();
        let users = &mut present.users;
        let Some(user) = users.get_mut(&place.account) else { return };
        if user.sessions.get(&place.session).is_none_or(|here| here.generation > place.generation) {
            return;
        }
        if let Some(Here { connection: Connection::Connected(handle), .. }) =
            user.sessions.remove(&place.session)
        {
            handle.shared.kick(close);
        }
        let last = user.sessions.is_empty();
        if last {
            announce(users, place.account, false);
        }
        gone(&present, last);
        if last {
            present.users.remove(&place.account);
        }
    }

    /// The sessions of a user: where they are, and the handle of those that are connected.
    #[must_use]
    pub fn sessions_of(&self, account: AccountId) -> Vec<(Place, Option<Handle>)> {
        let users = lock(&self.users);
        let Some(user) = users.get(&account) else { return Vec::new() };
        let place = |(&session, here): (&SessionId, &Here)| {
            let handle = match &here.connection {
                Connection::Connected(handle) => Some(handle.clone()),
                Connection::Broken(..) => None,
            };
            (Place { account, session, generation: here.generation }, handle)
        };
        user.sessions.iter().map(place).collect()
    }

    /// Those here who block `account`.
    #[must_use]
    pub fn blockers_of(&self, account: AccountId) -> Vec<AccountId> {
        let users = lock(&self.users);
        users.iter().filter(|(_, user)| user.blocks.contains(account)).map(|(id, _)| *id).collect()
    }

    /// Names of those here that `asker` may see, in the order of their accounts.
    #[must_use]
    pub fn who_else(&self, asker: AccountId) -> Vec<(AccountId, String)> {
        let users = lock(&self.users);
        let seen = users.iter().filter(|(id, user)| **id != asker && !user.blocks.contains(asker));
        seen.map(|(id, user)| (*id, user.name.clone())).collect()
    }

    /// A block was committed or removed.
    pub fn set_block(&self, blocker: AccountId, blocked: AccountId, on: bool) {
        if let Some(user) = lock(&self.users).get(&blocker) {
            user.blocks.set(blocked, on);
        }
    }

    /// Every connected session, in the order of accounts.
    #[must_use]
    pub fn connected(&self) -> Vec<(Place, Handle)> {
        let users = lock(&self.users);
        let all =
            users.iter().flat_map(|(&account, user)| user.sessions.iter().map(move |one| (account, one)));
        all.filter_map(|(account, (&session, here))| match &here.connection {
            Connection::Connected(handle) => {
                Some((Place { account, session, generation: here.generation }, handle.clone()))
            }
            Connection::Broken(..) => None,
        })
        .collect()
    }

    /// Waits until broken sessions' time is up, and returns all whose is, once.
    pub async fn expired(&self) -> Vec<Expiry> {
        loop {
            let changed = self.deadlines_changed.notified();
            let (due, next) = self.due(Instant::now());
            if !due.is_empty() {
                return due;
            }
            match next {
                Some(next) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(next) => {}
                },
                None => changed.await,
            }
        }
    }

    fn due(&self, now: Instant) -> (Vec<Expiry>, Option<Instant>) {
        let mut due = Vec::new();
        let mut deadlines = lock(&self.deadlines);
        let users = lock(&self.users);
        while let Some(&(until, place)) = deadlines.first().filter(|(until, _)| *until <= now) {
            deadlines.pop_first();
            let here = users.get(&place.account).and_then(|user| user.sessions.get(&place.session));
            let here = here.filter(|here| here.generation == place.generation);
            if let Some(Here { connection: Connection::Broken(at, ended), .. }) = here
                && *at == until
            {
                due.push(Expiry { place, ended: *ended });
            }
        }
        (due, deadlines.first().map(|(until, _)| *until))
    }
}

impl Wake for Hub {
    fn wake(&self, entry: &Committed, round: &mut Round) {
        let users = lock(&self.users);
        let wake_user = |user: &User| {
            for here in user.sessions.values() {
                if let Connection::Connected(handle) = &here.connection {
                    handle.entry(entry, round);
                }
            }
        };
        match entry.stream {
            StreamId::Inbox(account) => users.get(&account).into_iter().for_each(wake_user),
            StreamId::Broadcast => users.values().for_each(wake_user),
        }
    }
}

fn put(
    users: &mut BTreeMap<AccountId, User>,
    place: Place,
    name: &str,
    blocked: Vec<AccountId>,
    connection: Connection,
) -> Arc<Blocks> {
    let user = users.entry(place.account).or_insert_with(|| User {
        name: name.to_owned(),
        blocks: Arc::new(Blocks::new(blocked)),
        sessions: BTreeMap::new(),
    });
    let here = Here { generation: place.generation, connection };
    let newer = user.sessions.get(&place.session).is_some_and(|other| other.generation > here.generation);
    let replaced = if newer { Some(here) } else { user.sessions.insert(place.session, here) };
    if let Some(Here { connection: Connection::Connected(old), .. }) = replaced {
        // Two that hold one token: the later goes on, the other must not come back and take it in turn.
        old.shared.kick(Close::Replaced);
    }
    user.blocks.clone()
}

/// Tells everyone here whom the user has not blocked; never the user.
fn announce(users: &BTreeMap<AccountId, User>, account: AccountId, online: bool) {
    let Some(user) = users.get(&account) else { return };
    let presence = v1::Presence { user: user.name.clone(), online };
    let frame = codec::encode(&v1::ServerFrame { body: Some(v1::server_frame::Body::Presence(presence)) });
    for (&other, to) in users {
        if other == account || user.blocks.contains(other) {
            continue;
        }
        for here in to.sessions.values() {
            if let Connection::Connected(handle) = &here.connection {
                handle.frame(&frame);
            }
        }
    }
}
