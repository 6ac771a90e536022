//! Opening and resuming a session: one transaction claims the place, and what else stood there gives way.

use bytes::Bytes;
use hobnob_protocol::{
    limits::PROBE_TIMEOUT,
    name::Name,
    v1::{Device, Login, Opened, Position, Resume, login_refused::Reason},
};

use crate::{
    handler::login::{Answered, Greeted, check_device, sha256, usable},
    hub::Place,
    node::{Node, random},
    store::{Account, AccountId, Ended, NewSession, OutboxId, Result, SessionRow, StreamId, Tx},
};

/// A session on its connection, as the transaction left it.
#[derive(Debug)]
pub(crate) struct LoggedIn {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) background: bool,
    pub(crate) outbox: OutboxId,
    /// Whom the user blocks.
    pub(crate) blocked: Vec<AccountId>,
    /// Broadcast entries `from+1..=to` are not for this session.
    pub(crate) hole: Option<(u64, u64)>,
    /// Sessions that this one took the place of.
    pub(crate) replaced: Vec<Place>,
    /// The reply.
    pub(crate) opened: Opened,
}

/// What a session is opened with. Bounded and checked.
#[derive(Clone)]
struct Request {
    account: AccountId,
    name: String,
    background: bool,
    outbox: Bytes,
    position: Position,
    /// Of the database as read before; the transaction decides whether it still holds.
    epoch: Bytes,
    /// Becomes the epoch if the client proves that this database is older than what it has seen.
    next_epoch: [u8; 16],
    now_ms: i64,
}

impl Request {
    async fn new(
        node: &Node,
        account: &Account,
        device: &Device,
        position: Option<Position>,
    ) -> Result<Self> {
        Ok(Self {
            account: account.id,
            name: account.name.clone(),
            background: false,
            outbox: device.outbox.clone(),
            position: position.unwrap_or_default(),
            epoch: node.reader.run(|store| store.epoch()).await?,
            next_epoch: random(&*node.world),
            now_ms: node.world.now_ms(),
        })
    }
}

/// Opens a session for somebody who has proven who it is. Sessions whose connection is broken give way; others
/// are asked whether they live.
pub(crate) async fn open(
    node: &Node,
    account: &Account,
    login: &Login,
    device: &Device,
) -> Answered<LoggedIn> {
    let mut request = Request::new(node, account, device, login.position.clone()).await?;
    request.background = login.background;
    let token: [u8; 32] = random(&*node.world);
    let mut gone = broken_sessions(node, account.id);
    let mut probed = false;
    loop {
        let (request, may_replace) = (request.clone(), gone.clone());
        let (most, token_hash) = (node.policy.sessions_per_user as usize, sha256(&token));
        let claimed = node.writer.run(move |tx| claim(tx, &request, token_hash, most, &may_replace)).await?;
        match claimed {
            Some(mut logged_in) => {
                logged_in.opened.token = Bytes::copy_from_slice(&token);
                logged_in.opened.welcome.clone_from(&node.policy.welcome);
                return Ok(complete(node, logged_in).await?);
            }
            None if probed => return Err(Reason::InUse.into()),
            None => {
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

/// Takes a place, replacing `may_replace` as far as needed; `None` if all are taken.
fn claim(
    tx: &mut dyn Tx,
    request: &Request,
    token_hash: [u8; 32],
    most: usize,
    may_replace: &[Place],
) -> Result<Option<LoggedIn>> {
    let mut replaced = Vec::new();
    if !request.background {
        let mut taken = tx.sessions_of(request.account)?;
        taken.retain(|row| !row.background);
        // Offline ones go first, then the broken, oldest first; a live one never.
        taken.sort_by_key(|row| (row.online, row.id));
        let excess = (taken.len() + 1).saturating_sub(most);
        // A resume that came first has another generation, and wins.
        taken.retain(|row| !row.online || may_replace.contains(&place(row)));
        if taken.len() < excess {
            return Ok(None);
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
    start(tx, request, row, replaced, false).map(Some)
}

fn place(row: &SessionRow) -> Place {
    Place { account: row.account, session: row.id, generation: row.generation }
}

/// Marks a session as over.
pub(crate) fn end(tx: &mut dyn Tx, mut row: SessionRow, ended: Ended) -> Result<()> {
    row.online = false;
    row.ended = Some(ended);
    tx.save_session(&row)
}

/// Where the connection takes up its streams.
fn start(
    tx: &mut dyn Tx,
    request: &Request,
    mut row: SessionRow,
    replaced: Vec<Place>,
    resumed: bool,
) -> Result<LoggedIn> {
    let account = request.account;
    let told = &request.position;
    let inbox_head = tx.head(StreamId::Inbox(account))?;
    let broadcast_head = tx.head(StreamId::Broadcast)?;
    let mut epoch = request.epoch.clone();
    let same_history = told.epoch == epoch;
    if same_history && (told.inbox > inbox_head || resumed && told.broadcast > broadcast_head) {
        tracing::warn!("a client has seen more than this database holds: it was restored from an older copy");
        epoch = Bytes::copy_from_slice(&request.next_epoch);
        tx.set_epoch(&epoch)?;
    } else if same_history && !request.background {
        tx.set_cursor(account, told.inbox)?;
        row.broadcast_floor = match resumed {
            true => row.broadcast_floor.max(told.broadcast),
            false => broadcast_head,
        };
    }
    row.broadcast_floor = row.broadcast_floor.min(broadcast_head);
    let inbox = tx.account(account)?.map_or(0, |account| account.cursor);
    let outbox = tx.outbox(account, &request.outbox)?;
    let outbox_last = tx.outbox_state(outbox)?.last_number;
    tx.save_session(&row)?;
    let opened = Opened {
        name: request.name.clone(),
        epoch,
        inbox,
        broadcast: row.broadcast_floor,
        inbox_head,
        outbox_last,
        ..Opened::default()
    };
    Ok(LoggedIn {
        place: place(&row),
        name: request.name.clone(),
        background: request.background,
        outbox,
        blocked: Vec::new(),
        hole: row.broadcast_hole.and_then(|(from, to)| Some((from, to?))),
        replaced,
        opened,
    })
}

/// Takes up a session whose connection is gone, or is taken for gone by its client.
pub(crate) async fn resume(node: &Node, greeted: &Greeted, resume: Resume) -> Answered<LoggedIn> {
    let device = resume.device.clone().unwrap_or_default();
    check_device(node, greeted, &resume.name, &device)?;
    let key = Name::parse(&resume.name).map_err(|_| Reason::UnknownToken)?.key().to_owned();
    let found = node.reader.run(move |store| store.account_by_key(&key)).await?;
    let account = found.ok_or(Reason::UnknownToken)?;
    let request = Request::new(node, &account, &device, resume.position).await?;
    let token_hash = sha256(&resume.token);
    let taken_up = node.writer.run(move |tx| take_up(tx, &request, &token_hash)).await?;
    tracing::info!(user = %account.name, "resumed");
    Ok(complete(node, taken_up?).await?)
}

/// Adds what the transaction need not know.
async fn complete(node: &Node, mut logged_in: LoggedIn) -> Result<LoggedIn> {
    logged_in.opened.limits = Some(node.policy.limits());
    let account = logged_in.place.account;
    logged_in.blocked = node.reader.run(move |store| store.blocks_of(account)).await?;
    Ok(logged_in)
}

fn take_up(
    tx: &mut dyn Tx,
    request: &Request,
    token_hash: &[u8; 32],
) -> Result<std::result::Result<LoggedIn, Reason>> {
    let Some(mut row) = tx.session_by_token(token_hash)?.filter(|row| row.account == request.account) else {
        return Ok(Err(Reason::UnknownToken));
    };
    if let Err(reason) = usable(&row, request.now_ms) {
        return Ok(Err(reason));
    }
    row.generation += 1;
    row.used_ms = request.now_ms;
    let mut request = request.clone();
    request.background = row.background;
    if !row.background && !row.online {
        row.online = true;
        let head = tx.head(StreamId::Broadcast)?;
        row.broadcast_hole = row.broadcast_hole.map(|(from, _)| (from, Some(head)));
    }
    tx.save_session(&row)?;
    start(tx, &request, row, Vec::new(), true).map(Ok)
}
