//! Writes the outbox: on a thread, one batch at a time. What comes while a batch is written is the next batch, so
//! that one fsync serves all of it.

use std::io;

use tokio::task::JoinSet;

use crate::storage::{Outbox, Record};

type Job = (Box<dyn Outbox>, io::Result<()>);

/// The outbox with what waits to be written. That is bounded by the commands without an answer.
pub(super) struct Writer {
    /// None while a batch is being written.
    outbox: Option<Box<dyn Outbox>>,
    name: [u8; 16],
    waiting: Vec<Record>,
    /// Records given to the outbox so far.
    given: u64,
    job: JoinSet<Job>,
}

impl Writer {
    pub(super) fn new(outbox: Box<dyn Outbox>) -> Self {
        let name = outbox.name();
        Self { outbox: Some(outbox), name, waiting: Vec::new(), given: 0, job: JoinSet::new() }
    }

    /// The outbox's name as of what is written.
    pub(super) fn name(&self) -> [u8; 16] {
        self.name
    }

    /// Puts a record behind those that wait.
    pub(super) fn push(&mut self, record: Record) {
        self.waiting.push(record);
    }

    /// Waits until a batch is written: how many records are, in all. Waits for ever when there is nothing to write.
    /// Cancel safe.
    pub(super) async fn written(&mut self) -> io::Result<u64> {
        if let Some(mut outbox) = self.outbox.take_if(|_| !self.waiting.is_empty()) {
            let batch = std::mem::take(&mut self.waiting);
            self.given += batch.len() as u64;
            if !outbox.blocks() {
                let result = outbox.write(&batch);
                return self.take_back((outbox, result));
            }
            self.job.spawn_blocking(move || {
                let result = outbox.write(&batch);
                (outbox, result)
            });
        }
        match self.job.join_next().await {
            Some(Ok(job)) => self.take_back(job),
            Some(Err(error)) => Err(io::Error::other(error)),
            None => std::future::pending().await,
        }
    }

    fn take_back(&mut self, (outbox, result): Job) -> io::Result<u64> {
        self.name = outbox.name();
        self.outbox = Some(outbox);
        result.map(|()| self.given)
    }

    /// Writes what waits, so that the folder can be given up.
    pub(super) async fn finish(mut self) {
        while !self.job.is_empty() || !self.waiting.is_empty() && self.outbox.is_some() {
            if let Err(error) = self.written().await {
                tracing::warn!(%error, "the outbox is not written");
                return;
            }
        }
    }
}
