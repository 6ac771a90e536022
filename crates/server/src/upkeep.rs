//! What happens by itself: the sweep, the end of broken sessions, retention.

use std::{collections::BTreeMap, sync::Arc, sync::atomic::Ordering, time::Duration};

use futures_util::future::{join, join_all};
use hobnob_protocol::limits::TOKEN_LIFETIME;
use tokio::time::{Instant, sleep};

use crate::{
    clock::Watch,
    handler::{presence, private},
    hub::{Expiry, Handle, Place},
    node::Node,
    store::{AccountId, Result, StoreError, StreamId},
    trouble::Trouble,
};

/// How long a failed attempt waits for the next.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How often entries that may go are removed.
const TRIM_PERIOD: Duration = Duration::from_secs(1);
/// Rows removed in one transaction: few enough that messages do not wait for it.
const TRIM_ROWS: usize = 1_000;

/// What keeps the store from being written is said once, by the writer.
pub(crate) fn failed(error: &StoreError, what: &str) {
    if Trouble::of(error).is_none() {
        tracing::error!(%error, "{what}");
    }
}

/// Compares the heads of all streams with what was sent, so that a wake-up that was lost only delays.
pub async fn sweep(node: Arc<Node>) {
    loop {
        sleep(node.policy.get().sweep_period).await;
        if let Err(error) = sweep_once(&node).await {
            failed(&error, "the sweep failed");
        }
    }
}

async fn sweep_once(node: &Node) -> Result<()> {
    let connected = node.hub.connected();
    let mut streams: Vec<_> = connected.iter().map(|(place, _)| StreamId::Inbox(place.account)).collect();
    streams.dedup();
    streams.push(StreamId::Broadcast);
    let asked = streams.clone();
    let heads = node.reader.run(move |store| store.heads(&asked)).await?;
    let heads: BTreeMap<_, _> = streams.into_iter().zip(heads).collect();
    let head = |stream| heads.get(&stream).copied().unwrap_or(0);
    for (place, handle) in &connected {
        let shared = &handle.shared;
        let behind = shared.sent_inbox.load(Ordering::Relaxed) < head(StreamId::Inbox(place.account))
            || shared.sent_broadcast.load(Ordering::Relaxed) < head(StreamId::Broadcast);
        if behind {
            handle.look_again();
        }
    }
    note_broadcast(node, connected).await
}

/// Writes down how far the clients are with broadcast, so that what all have passed can go.
async fn note_broadcast(node: &Node, connected: Vec<(Place, Handle)>) -> Result<()> {
    let noted: Vec<_> = connected
        .into_iter()
        .map(|(place, handle)| (place, handle.shared.noted_broadcast.swap(0, Ordering::Relaxed)))
        .filter(|(_, noted)| *noted > 0)
        .collect();
    for some in noted.chunks(TRIM_ROWS) {
        let some = some.to_vec();
        node.writer
            .run(move |tx| {
                for (place, noted) in &some {
                    if let Some(mut row) = tx.session(place.session)? {
                        row.broadcast_floor = row.broadcast_floor.max(*noted);
                        tx.save_session(&row)?;
                    }
                }
                Ok(())
            })
            .await?;
    }
    Ok(())
}

/// Sees to broken sessions, and to requests for private talk, whose time is up.
pub async fn expire(node: Arc<Node>) {
    join(expire_sessions(&node), private::expire(&node)).await;
}

async fn expire_sessions(node: &Node) {
    loop {
        let expired = node.hub.expired().await;
        // Together, so that they share commits.
        for some in expired.chunks(TRIM_ROWS) {
            join_all(some.iter().map(|expiry| expire_one(node, *expiry))).await;
        }
    }
}

async fn expire_one(node: &Node, expiry: Expiry) {
    if let Err(error) = presence::expire(node, expiry).await {
        failed(&error, "a broken session could not be ended");
        node.hub.broken(expiry.place, Instant::now() + RETRY_PAUSE, expiry.ended);
    }
}

/// Sessions that were online when the server stopped count as broken now, and as online for the grace.
///
/// # Errors
/// Of the store.
pub async fn restore_sessions(node: &Node) -> Result<()> {
    // Only that nobody is locked out for long. Whether a clock had been ahead, or is early now, a start cannot tell, and
    // what is drawn back to an early time looks old for good.
    draw_back_times(node, i64::MAX).await;
    let sessions = node.reader.run(|store| {
        let rows = store.online_sessions()?;
        let accounts: Vec<AccountId> = rows.iter().map(|row| row.account).collect();
        let names = store.names(&accounts)?;
        let blocks: Result<Vec<_>> = accounts.iter().map(|account| store.blocks_of(*account)).collect();
        Ok(rows.into_iter().zip(names).zip(blocks?).collect::<Vec<_>>())
    });
    let until = Instant::now() + node.policy.get().grace;
    for ((row, name), blocked) in sessions.await? {
        // Nobody's: its account is gone, as never happens by itself.
        if name.is_empty() {
            tracing::error!(session = row.id.0, "a session belongs to nobody and is passed over");
            continue;
        }
        let place = Place { account: row.account, session: row.id, generation: row.generation };
        node.hub.restore(place, &name, blocked, until);
    }
    Ok(())
}

/// Removes delivered entries, forgotten sessions and expired invitations, a few at a time.
pub async fn trim(node: Arc<Node>) {
    let mut watch = Watch::default();
    loop {
        sleep(TRIM_PERIOD).await;
        watch_clock(&node, &mut watch).await;
        while trim_once(&node, watch.ahead_ms()).await {}
    }
}

/// Says when the time of day has jumped. Ahead, nothing is removed for its age until it has stayed there for a day. Back,
/// what was noted of the future is drawn back, so that nobody is locked out, or counts as seen, for as long as that.
async fn watch_clock(node: &Node, watch: &mut Watch) {
    let Some(jump_ms) = watch.look(Instant::now(), node.world.now_ms()) else { return };
    let seconds = jump_ms.unsigned_abs() / 1000;
    if jump_ms > 0 {
        tracing::warn!(seconds, "the clock was set forward, or the machine slept");
        return;
    }
    tracing::warn!(seconds, "the clock was set back");
    draw_back_times(node, node.world.now_ms()).await;
}

/// No block lasts longer than one that begins now, and no time of the past lies after `past_ms`.
async fn draw_back_times(node: &Node, past_ms: i64) {
    let block_ms = i64::try_from(node.policy.get().block_duration.as_millis()).unwrap_or(i64::MAX);
    let until_ms = node.world.now_ms().saturating_add(block_ms);
    match node.writer.run(move |tx| tx.draw_back_times(past_ms, until_ms)).await {
        Ok(0) => {}
        Ok(rows) => {
            tracing::warn!(rows, "times that lay in the future are drawn back: the clock had been ahead")
        }
        Err(error) => failed(&error, "what a clock that was ahead has noted could not be drawn back"),
    }
}

/// `true`: there is more.
async fn trim_once(node: &Node, ahead_ms: i64) -> bool {
    let now = node.world.now_ms().saturating_sub(ahead_ms);
    // Without a history the age does not count, and neither does a clock that was set back.
    let before = node.policy.get().history.map_or(i64::MAX, |history| {
        now.saturating_sub(i64::try_from(history.as_millis()).unwrap_or(i64::MAX))
    });
    let tokens_before = now.saturating_sub(i64::try_from(TOKEN_LIFETIME.as_millis()).unwrap_or(i64::MAX));
    let trimmed = node.writer.run(move |tx| {
        let inboxes = tx.trim_inboxes(before, TRIM_ROWS)?;
        let broadcast = tx.trim_broadcast(before, TRIM_ROWS)?;
        let sessions = tx.trim_sessions(tokens_before, TRIM_ROWS)?;
        let invitations = tx.trim_invitations(now, TRIM_ROWS)?;
        Ok(inboxes.max(broadcast).max(sessions).max(invitations))
    });
    match trimmed.await {
        Ok(rows) => rows >= TRIM_ROWS,
        Err(error) => {
            failed(&error, "delivered entries could not be removed");
            false
        }
    }
}
