//! Opening and resuming a session: one transaction claims the place, and what else stood there gives way.

use std::sync::Arc;

use bytes::Bytes;
use hobnob_protocol::{
    limits::PROBE_TIMEOUT,
    name::Name,
    v1::{Device, Login, Opened, Position, Resume, login::Proof, login_refused::Reason},
};

use crate::{
    handler::login::{Answered, Greeted, check_device, sha256, usable},
    hub::{Blocks, Handle, Hub, Place, Visit},
    node::{Epoch, Node, random},
    store::{Account, AccountId, Ended, NewSession, OutboxId, Result, Secret, SessionRow, StreamId, Tx},
};

/// A session on its connection, as the transaction left it.
#[derive(Debug)]
pub(crate) struct LoggedIn {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) background: bool,
    pub(crate) outbox: OutboxId,
    /// Its place in the hub.
    pub(crate) here: Here,
    /// Broadcast entries `from+1..=to` are not for this session.
    pub(crate) hole: Option<(u64, u64)>,
    /// Sessions that this one took the place of.
    pub(crate) replaced: Vec<Place>,
    /// The reply.
    pub(crate) opened: Opened,
}

/// A session's place in the hub. It is taken when the transaction that gives it is durable, before anyone hears of a later
/// one: whoever ends the session or sets a block finds it there.
#[derive(Debug, Default)]
pub(crate) struct Here {
    /// Whom the user blocks.
    pub(crate) blocks: Arc<Blocks>,
    /// A background session's place.
    pub(crate) visit: Option<Visit>,
}

/// What a transaction knows that the hub does not know yet.
#[derive(Debug)]
struct Arrival {
    logged_in: LoggedIn,
    blocked: Vec<AccountId>,
    /// The store has more than the client.
    behind: bool,
}

impl Arrival {
    /// Takes the session's place in the hub.
    fn attach(self, hub: &Arc<Hub>, handle: Handle) -> LoggedIn {
        let Self { mut logged_in, blocked, behind } = self;
        handle.starts(logged_in.opened.inbox, logged_in.opened.broadcast, behind);
        let place = logged_in.place;
        logged_in.here = if logged_in.background {
            Here { visit: Some(hub.visit(place, handle)), ..Here::default() }
        } else {
            Here { blocks: hub.attach(place, &logged_in.name, blocked, handle), visit: None }
        };
        logged_in
    }
}

/// What a session is opened with. Bounded and checked.
#[derive(Clone)]
struct Request {
    account: AccountId,
    name: String,
    background: bool,
    outbox: Bytes,
    position: Position,
    /// What the password was verified against; `None`: it was not a password.
    verified: Option<Secret>,
    /// The token that proved who it is; one of a background session is good for the next one, too.
    token: Option<Bytes>,
    epoch: Arc<Epoch>,
    /// Becomes the epoch if the client proves that this database is older than what it has seen.
    next_epoch: [u8; 16],
    now_ms: i64,
}

impl Request {
    /// Of nobody yet.
    fn new(node: &Node, device: &Device, position: Option<Position>) -> Self {
        Self {
            account: AccountId(0),
            name: String::new(),
            background: false,
            outbox: device.outbox.clone(),
            position: position.unwrap_or_default(),
            verified: None,
            token: None,
            epoch: node.epoch.clone(),
            next_epoch: random(&*node.world),
            now_ms: node.world.now_ms(),
        }
    }
}

/// Opens a session for somebody who has proven who it is. Sessions whose connection is broken give way; others
/// are asked whether they live.
pub(crate) async fn open(
    node: &Node,
    account: &Account,
    login: &Login,
    device: &Device,
    handle: &Handle,
) -> Answered<LoggedIn> {
    let mut request = Request::new(node, device, login.position.clone());
    (request.account, request.name) = (account.id, account.name.clone());
    request.background = login.background;
    if let Some(Proof::Token(token)) = &login.proof {
        request.token = Some(token.clone());
    }
    request.verified = matches!(login.proof, Some(Proof::Password(_))).then(|| account.password.clone());
    let token: [u8; 32] = random(&*node.world);
    let mut gone = broken_sessions(node, account.id);
    let mut probed = false;
    loop {
        let (request, may_replace) = (request.clone(), gone.clone());
        let (most, token_hash) = (node.policy.get().sessions_per_user as usize, sha256(&token));
        let (hub, handle) = (node.hub.clone(), handle.clone());
        let claimed = node.writer.run_then(
            move |tx| claim(tx, &request, token_hash, most, &may_replace),
            move |claim| claim.map(|arrival| arrival.attach(&hub, handle)),
        );
        match claimed.await? {
            Claim::Opened(mut logged_in) => {
                if logged_in.opened.token.is_empty() {
                    logged_in.opened.token = Bytes::copy_from_slice(&token);
                }
                logged_in.opened.welcome.clone_from(&node.policy.get().welcome);
                return Ok(complete(node, *logged_in));
            }
            Claim::Refused(reason) => return Err(reason.into()),
            Claim::InUse if probed => return Err(Reason::InUse.into()),
            Claim::InUse => {
                gone = unresponsive_sessions(node, account.id).await;
                probed = true;
            }
        }
    }
}

fn broken_sessions(node: &Node, account: AccountId) -> Vec<Place> {
    let sessions = node.hub.sessions_of(account).into_iter();
    sessions.filter(|(_, handle)| handle.is_none()).map(|(place, _)| place).collect()
}

/// Asks every connected session of the user for a sign of life, all at once.
async fn unresponsive_sessions(node: &Node, account: AccountId) -> Vec<Place> {
    let mut asked = tokio::task::JoinSet::new();
    let mut gone = Vec::new();
    for (place, handle) in node.hub.sessions_of(account) {
        let Some(handle) = handle else {
            gone.push(place);
            continue;
        };
        asked.spawn(async move {
            let alive = tokio::time::timeout(PROBE_TIMEOUT, handle.probe()).await.unwrap_or(false);
            (!alive).then_some(place)
        });
    }
    gone.extend(asked.join_all().await.into_iter().flatten());
    gone
}

/// What a transaction that claims a place comes to.
enum Claim<T> {
    Opened(Box<T>),
    /// All places are taken.
    InUse,
    /// Meanwhile what proved who it is does so no more.
    Refused(Reason),
}

impl<T> Claim<T> {
    fn map<U>(self, opened: impl FnOnce(T) -> U) -> Claim<U> {
        match self {
            Self::Opened(value) => Claim::Opened(Box::new(opened(*value))),
            Self::InUse => Claim::InUse,
            Self::Refused(reason) => Claim::Refused(reason),
        }
    }
}

/// Background sessions that an account may have; the oldest makes room.
const BACKGROUND_MAX: usize = 32;

/// Takes a place, replacing `may_replace` as far as needed.
fn claim(
    tx: &mut dyn Tx,
    request: &Request,
    token_hash: [u8; 32],
    most: usize,
    may_replace: &[Place],
) -> Result<Claim<Arrival>> {
    if let Err(reason) = still_proven(tx, request)? {
        return Ok(Claim::Refused(reason));
    }
    if let Some(token) = request.token.as_ref().filter(|_| request.background)
        && let Some(row) = tx.session_by_token(&sha256(token))?.filter(|row| row.background)
    {
        let mut arrival = start(tx, request, row, Vec::new(), false)?;
        arrival.logged_in.opened.token = token.clone();
        return Ok(Claim::Opened(Box::new(arrival)));
    }
    let mut replaced = Vec::new();
    let mut taken = tx.sessions_of(request.account)?;
    taken.retain(|row| row.background == request.background);
    if request.background {
        // Nothing stands behind a background session but its row.
        taken.sort_by_key(|row| (row.used_ms, row.id));
        let excess = (taken.len() + 1).saturating_sub(BACKGROUND_MAX);
        for mut row in taken.drain(..excess) {
            row.used_ms = 0;
            end(tx, row, Ended::Replaced)?;
        }
    } else {
        // Offline ones go first, then the broken, oldest first; a live one never.
        taken.sort_by_key(|row| (row.online, row.id));
        let excess = (taken.len() + 1).saturating_sub(most);
        // A resume that came first has another generation, and wins.
        taken.retain(|row| !row.online || may_replace.contains(&place(row)));
        if taken.len() < excess {
            return Ok(Claim::InUse);
        }
        for row in taken.drain(..excess) {
            replaced.push(place(&row));
            end(tx, row, Ended::Replaced)?;
        }
    }
    let new = NewSession {
        account: request.account,
        background: request.background,
        token_hash,
        now_ms: request.now_ms,
    };
    let row = tx.add_session(&new)?;
    Ok(Claim::Opened(Box::new(start(tx, request, row, replaced, false)?)))
}

/// Looks again, now that nothing can come between: since the proof was checked the password may have been changed,
/// the token's session ended, the account disabled or deleted.
fn still_proven(tx: &mut dyn Tx, request: &Request) -> Result<std::result::Result<(), Reason>> {
    let account = tx.account(request.account)?;
    if let Some(verified) = &request.verified
        && account.as_ref().is_none_or(|account| account.password != *verified)
    {
        return Ok(Err(Reason::WrongPassword));
    }
    if let Some(token) = &request.token {
        let row = tx.session_by_token(&sha256(token))?.filter(|row| row.account == request.account);
        if let Err(reason) = row.map_or(Err(Reason::UnknownToken), |row| usable(&row)) {
            return Ok(Err(reason));
        }
    }
    let disabled = account.is_none_or(|account| account.disabled);
    Ok(if disabled { Err(Reason::Disabled) } else { Ok(()) })
}

/// A row's last connection.
pub(crate) fn place(row: &SessionRow) -> Place {
    Place { account: row.account, session: row.id, generation: row.generation }
}

/// Marks a session as over.
pub(crate) fn end(tx: &mut dyn Tx, mut row: SessionRow, ended: Ended) -> Result<()> {
    row.online = false;
    row.ended = Some(ended);
    tx.save_session(&row)
}

/// What the database's history is called toward the clients of one account. Another account that has taken over the name
/// of one that was deleted or renamed has another inbox: to a client that still knows the old one it must not look
/// like the same history, with its messages seen already, or like an older copy of it.
fn epoch_of(epoch: &[u8], account: AccountId) -> Bytes {
    let mut name = epoch.to_vec();
    for (byte, of_account) in name.iter_mut().rev().zip(account.0.to_le_bytes()) {
        *byte ^= of_account;
    }
    name.into()
}

/// Where the connection takes up its streams.
fn start(
    tx: &mut dyn Tx,
    request: &Request,
    mut row: SessionRow,
    replaced: Vec<Place>,
    resumed: bool,
) -> Result<Arrival> {
    let account = request.account;
    let told = &request.position;
    let inbox_head = tx.head(StreamId::Inbox(account))?;
    let broadcast_head = tx.head(StreamId::Broadcast)?;
    let same_history = told.epoch == epoch_of(&request.epoch.get(), account);
    let ahead = told.inbox > inbox_head || resumed && told.broadcast > broadcast_head;
    if same_history && ahead {
        if request.epoch.may_renew() {
            tracing::warn!(
                "a client has seen more than this database holds: it was restored from an older copy"
            );
            request.epoch.renew(Bytes::copy_from_slice(&request.next_epoch));
            tx.set_epoch(&request.next_epoch)?;
        }
    } else if same_history && !request.background {
        tx.set_cursor(account, told.inbox)?;
        row.broadcast_floor = match resumed {
            true => row.broadcast_floor.max(told.broadcast),
            false => broadcast_head,
        };
    } else if !request.background {
        seen_before_a_restore(tx, request, &mut row, resumed)?;
    }
    row.broadcast_floor = row.broadcast_floor.min(broadcast_head);
    // The name, too: it may have changed since it was looked up.
    let name = tx.account(account)?.map_or_else(|| request.name.clone(), |account| account.name.clone());
    let inbox = tx.cursor(account)?;
    let outbox = tx.outbox(account, &request.outbox)?;
    let outbox_last = tx.outbox_last(outbox)?;
    tx.save_session(&row)?;
    let opened = Opened {
        name: name.clone(),
        epoch: epoch_of(&request.epoch.get(), account),
        inbox,
        broadcast: row.broadcast_floor,
        inbox_head,
        outbox_last,
        ..Opened::default()
    };
    let behind = inbox < inbox_head || row.broadcast_floor < broadcast_head;
    let logged_in = LoggedIn {
        place: place(&row),
        name,
        background: request.background,
        outbox,
        here: Here::default(),
        hole: row.broadcast_hole.and_then(|(from, to)| Some((from, to?))),
        replaced,
        opened,
    };
    Ok(Arrival { logged_in, blocked: tx.blocks_of(account)?, behind })
}

/// A client that comes from the history of which this database is a backup has seen what it has seen: its numbers hold as
/// far as the backup went.
fn seen_before_a_restore(
    tx: &mut dyn Tx,
    request: &Request,
    row: &mut SessionRow,
    resumed: bool,
) -> Result<()> {
    let (account, told) = (request.account, &request.position);
    let earlier = epoch_of(&told.epoch, account);
    let Some(inbox) = tx.earlier_head(&earlier, StreamId::Inbox(account))? else { return Ok(()) };
    tx.set_cursor(account, told.inbox.min(inbox))?;
    if resumed {
        let broadcast = tx.earlier_head(&earlier, StreamId::Broadcast)?.unwrap_or(0);
        row.broadcast_floor = row.broadcast_floor.max(told.broadcast.min(broadcast));
    }
    Ok(())
}

/// Takes up a session whose connection is gone, or is taken for gone by its client.
pub(crate) async fn resume(
    node: &Node,
    greeted: &Greeted,
    resume: Resume,
    handle: &Handle,
) -> Answered<LoggedIn> {
    let device = resume.device.clone().unwrap_or_default();
    check_device(greeted, &resume.name, &device)?;
    let key = Name::parse(&resume.name).map_err(|_| Reason::UnknownToken)?.key().to_owned();
    let token_hash = sha256(&resume.token);
    let request = Request::new(node, &device, resume.position);
    let (hub, handle) = (node.hub.clone(), handle.clone());
    let taken_up = node.writer.run_then(
        move |tx| take_up(tx, &request, &key, &token_hash),
        move |taken_up| taken_up.map(|arrival| arrival.attach(&hub, handle)),
    );
    Ok(complete(node, taken_up.await??))
}

/// Adds what the transaction need not know.
fn complete(node: &Node, mut logged_in: LoggedIn) -> LoggedIn {
    logged_in.opened.limits = Some(node.policy.get().limits());
    logged_in.opened.ticket_key = node.tickets.public();
    logged_in
}

fn take_up(
    tx: &mut dyn Tx,
    request: &Request,
    key: &str,
    token_hash: &[u8; 32],
) -> Result<std::result::Result<Arrival, Reason>> {
    let Some(account) = tx.account_by_key(key)? else { return Ok(Err(Reason::UnknownToken)) };
    let Some(mut row) = tx.session_by_token(token_hash)?.filter(|row| row.account == account.id) else {
        return Ok(Err(Reason::UnknownToken));
    };
    if let Err(reason) = usable(&row) {
        return Ok(Err(reason));
    }
    row.generation += 1;
    row.used_ms = row.used_ms.max(request.now_ms);
    if !row.background && !row.online {
        row.online = true;
        let head = tx.head(StreamId::Broadcast)?;
        row.broadcast_hole = row.broadcast_hole.map(|(from, _)| (from, Some(head)));
    }
    let background = row.background;
    let request = Request { account: account.id, name: account.name.clone(), background, ..request.clone() };
    start(tx, &request, row, Vec::new(), true).map(Ok)
}
