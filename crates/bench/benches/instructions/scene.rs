//! What is counted.

use std::{path::Path, sync::Arc};

use anyhow::ensure;
use bytes::Bytes;
use hobnob_protocol::v1::{Broadcast, DirectMessage, submit::Op};
use hobnob_server::store::{
    memory::MemoryStore,
    sqlite::{SqliteOptions, SqliteStore},
};
use tempfile::TempDir;

use crate::server::{Client, Server, is_accepted};

/// Bytes of each text.
const TEXT_BYTES: usize = 100;
/// Submits that a session takes before it reads no more: one commit.
const BATCH: u64 = 64;
/// Sessions that hear a broadcast, and messages that are caught up with.
const MANY: u64 = 1_000;

/// Something that is done over and over again.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    /// The smaller number of repetitions.
    pub(crate) steps: u64,
    kind: Kind,
}

enum Kind {
    Send,
    Commit,
    FanOut,
    CatchUp,
}

/// All of them.
pub(crate) const SCENES: &[Scene] = &[
    Scene { name: "send", steps: 100, kind: Kind::Send },
    Scene { name: "commit_64", steps: 5, kind: Kind::Commit },
    Scene { name: "fan_out_1000", steps: 4, kind: Kind::FanOut },
    Scene { name: "catch_up_1000", steps: 3, kind: Kind::CatchUp },
];

impl Scene {
    /// Runs it on one thread with the clock standing still.
    pub(crate) fn run(&self, steps: u64) -> anyhow::Result<()> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        runtime.block_on(async {
            match self.kind {
                Kind::Send => send(steps).await,
                Kind::Commit => commit(steps).await,
                Kind::FanOut => fan_out(steps).await,
                Kind::CatchUp => catch_up(steps).await,
            }
        })
    }
}

fn in_memory() -> anyhow::Result<Server> {
    Server::new(Arc::new(MemoryStore::new(Bytes::from_static(b"epoch"))))
}

/// In memory where the system has a folder there, so that no disk is waited for; what is counted is the same.
fn on_disk() -> anyhow::Result<(Server, TempDir)> {
    let shared = Path::new("/dev/shm");
    let folder = if shared.is_dir() { TempDir::new_in(shared)? } else { TempDir::new()? };
    let store = SqliteStore::open(folder.path(), SqliteOptions::default())?;
    Ok((Server::new(Arc::new(store))?, folder))
}

fn message() -> Op {
    Op::Message(DirectMessage { to: "receiver".to_owned(), text: "x".repeat(TEXT_BYTES) })
}

/// One sends, the other is offline.
async fn pair(server: &mut Server) -> anyhow::Result<(Client, Bytes)> {
    let (receiver, opened) = server.log_in("receiver", true).await?;
    drop(receiver);
    let (sender, _) = server.log_in("sender", true).await?;
    Ok((sender, opened.token))
}

/// Submits that are under way together, until all are acked.
async fn burst(sender: &mut Client, count: u64) -> anyhow::Result<()> {
    for _ in 0..count {
        sender.submit(message()).await?;
    }
    for number in 1..=count {
        let frame = sender.frame().await?;
        // Decoding the last one is enough to see that all is well.
        ensure!(number < count || is_accepted(frame)?, "a submit was not accepted");
    }
    Ok(())
}

/// Parse, dispatch, judge and ack a message; its store is a map.
async fn send(steps: u64) -> anyhow::Result<()> {
    let mut server = in_memory()?;
    let (mut sender, _) = pair(&mut server).await?;
    sender.settle().await;
    for _ in 0..steps {
        burst(&mut sender, 1).await?;
    }
    Ok(())
}

/// A commit of 64 messages to SQLite, from their frames to their acks.
async fn commit(steps: u64) -> anyhow::Result<()> {
    let (mut server, _folder) = on_disk()?;
    let (mut sender, _) = pair(&mut server).await?;
    sender.settle().await;
    let before = server.commits();
    for _ in 0..steps {
        burst(&mut sender, BATCH).await?;
    }
    ensure!(server.commits() - before == steps, "the messages were not committed together");
    Ok(())
}

/// A broadcast to 1,000 sessions, from its frame to theirs.
async fn fan_out(steps: u64) -> anyhow::Result<()> {
    let mut server = in_memory()?;
    let (mut sender, _) = server.log_in("sender", true).await?;
    let mut receivers = Vec::new();
    for number in 0..MANY {
        receivers.push(server.log_in("receiver", number == 0).await?.0);
    }
    sender.settle().await;
    for receiver in &mut receivers {
        receiver.settle().await;
    }
    for _ in 0..steps {
        sender.submit(Op::Broadcast(Broadcast { text: "x".repeat(TEXT_BYTES) })).await?;
        for receiver in &mut receivers {
            receiver.frame().await?;
        }
        while !is_accepted(sender.frame().await?)? {}
    }
    Ok(())
}

/// A session that comes back and gets 1,000 messages from SQLite.
async fn catch_up(steps: u64) -> anyhow::Result<()> {
    let (mut server, _folder) = on_disk()?;
    let (mut sender, token) = pair(&mut server).await?;
    sender.settle().await;
    for _ in 0..MANY / 50 {
        burst(&mut sender, 50).await?;
    }
    for _ in 0..steps {
        let (mut receiver, opened) = server.resume("receiver", &token).await?;
        ensure!(opened.inbox_head - opened.inbox == MANY, "{} messages wait", opened.inbox_head);
        for _ in 0..MANY {
            receiver.frame().await?;
        }
    }
    Ok(())
}
