//! Who is there, and what happens when somebody leaves.

use std::collections::BTreeSet;

use hobnob_protocol::{
    close::Close,
    limits::ANSWER_BYTES_MAX,
    v1::{Names, refused::Reason, reply::Body},
};

use crate::{
    handler::{claim, file, private},
    hub::{Expiry, Place},
    node::Node,
    session::wire::refused,
    store::{AccountId, Ended, Result, StreamId},
    trouble::Trouble,
};

/// Everyone online whom the caller may see.
pub(crate) fn who_else(node: &Node, caller: AccountId) -> Body {
    let mut names: Vec<_> = node.hub.who_else(caller).into_iter().map(|(_, name)| name).collect();
    names.sort_unstable();
    list(names)
}

/// An answer that fits into a frame, whoever may be there.
pub(crate) fn list(mut names: Vec<String>) -> Body {
    let mut bytes = 1024;
    let fit = names.iter().take_while(|name| {
        // Tag and length take less than eight bytes.
        bytes += name.len() + 8;
        bytes <= ANSWER_BYTES_MAX
    });
    let fit = fit.count();
    names.truncate(fit);
    Body::Names(Names { names })
}

/// Everyone who was online within the last seconds and does not block the caller.
pub(crate) async fn who_else_since(node: &Node, caller: AccountId, seconds: u64) -> Body {
    let ms = i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
    let since_ms = node.world.now_ms().saturating_sub(ms).max(1);
    let here = node.hub.who_else(caller);
    let left = node.reader.run(move |store| {
        let mut seen = store.seen_since(since_ms)?;
        let mut passed_over: BTreeSet<_> = store.blockers_of(caller)?.into_iter().collect();
        passed_over.insert(caller);
        passed_over.extend(here.iter().map(|(id, _)| *id));
        seen.retain(|id| !passed_over.contains(id));
        let mut names = store.names(&seen)?;
        names.extend(here.into_iter().map(|(_, name)| name));
        names.sort_unstable();
        Ok(names)
    });
    match left.await {
        Ok(names) => list(names),
        Err(error) => internal(&error),
    }
}

/// Whom the caller blocks.
pub(crate) async fn list_blocks(node: &Node, caller: AccountId) -> Body {
    let names = node.reader.run(move |store| store.names(&store.blocks_of(caller)?));
    match names.await {
        Ok(names) => list(names),
        Err(error) => internal(&error),
    }
}

/// The store failed: its error is for the log, not for the client.
pub(crate) fn internal(error: &crate::store::StoreError) -> Body {
    // What keeps the store from being written is said once, by the writer.
    if let Some(trouble) = Trouble::of(error) {
        return refused(Reason::Internal, trouble.for_clients());
    }
    tracing::error!(%error, "a request failed in the store");
    refused(Reason::Internal, "The server failed, see its log")
}

/// A session is over or offline by now: whoever may know is told, and its connection, if it has one, is closed.
pub(crate) fn detach(node: &Node, place: Place, close: Close) {
    node.hub.detach(place, close, |present, last| {
        private::left(node, present, place, last);
        file::left(node, place);
    });
}

/// Ends a session for good: its token is worth nothing from now on. Others are told once that is durable.
pub(crate) async fn end(node: &Node, place: Place, ended: Ended) -> Result<()> {
    let now = node.world.now_ms();
    node.writer
        .run(move |tx| {
            tx.set_last_seen(place.account, now)?;
            match tx.session(place.session)? {
                Some(row) if row.ended.is_none() && row.generation == place.generation => {
                    claim::end(tx, row, ended)
                }
                _ => Ok(()),
            }
        })
        .await?;
    detach(node, place, close(ended));
    Ok(())
}

/// What a connection of a session that ended so is closed with.
pub(crate) fn close(ended: Ended) -> Close {
    match ended {
        Ended::LoggedOut => Close::LoggedOut,
        Ended::TimedOut => Close::Idle,
        Ended::Replaced => Close::Replaced,
        Ended::PasswordChanged => Close::PasswordChanged,
        Ended::Kicked => Close::Kicked,
    }
}

/// The time of a broken session is up: it goes offline, or ends.
pub(crate) async fn expire(node: &Node, expiry: Expiry) -> Result<()> {
    let Expiry { place, ended } = expiry;
    if let Some(ended) = ended {
        return end(node, place, ended).await;
    }
    let now = node.world.now_ms();
    node.writer
        .run(move |tx| {
            let Some(mut row) = tx.session(place.session)? else { return Ok(()) };
            if row.generation != place.generation || row.ended.is_some() {
                return Ok(());
            }
            row.online = false;
            // Never back: a clock may be early for a while after a start.
            row.used_ms = row.used_ms.max(now);
            // Broadcasts from here on are not for it. A session has one hole: an earlier one that it has not passed
            // yet is forgotten, since to show what was sent while it was offline is better than to lose what
            // was sent while it was not.
            row.broadcast_hole = Some((tx.head(StreamId::Broadcast)?, None));
            tx.set_last_seen(place.account, now)?;
            tx.save_session(&row)
        })
        .await?;
    detach(node, place, Close::Unresponsive);
    Ok(())
}
