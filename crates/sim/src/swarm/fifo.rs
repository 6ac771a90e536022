//! Who asks first is served first: what the order of the product is compared with.

use std::collections::VecDeque;
use std::time::Duration;

use hobnob_peer::swarm::{Peer, UploadEffect, UploadEvent, Uploads};

use super::plan::Order;

/// Requests older than this are refused, as the product does.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// One device's order of serving.
pub(super) enum Service {
    Uploads(Uploads),
    Fifo(Fifo),
}

impl Service {
    pub(super) fn new(order: Order, chunks: u32, slots: usize) -> Self {
        match order {
            Order::Uploads => Self::Uploads(Uploads::new(chunks, slots)),
            Order::Fifo => Self::Fifo(Fifo { slots, ..Fifo::default() }),
        }
    }

    pub(super) fn handle(&mut self, event: UploadEvent, now: Duration) -> Vec<UploadEffect> {
        match self {
            Self::Uploads(uploads) => uploads.handle(event, now),
            Self::Fifo(fifo) => fifo.handle(event, now),
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        match self {
            Self::Uploads(uploads) => uploads.deadline(),
            Self::Fifo(fifo) => fifo.waiting.front().map(|(_, _, since)| *since + WAIT_MAX),
        }
    }
}

#[derive(Default)]
pub(super) struct Fifo {
    slots: usize,
    waiting: VecDeque<(Peer, u32, Duration)>,
    serving: Vec<(Peer, u32)>,
}

impl Fifo {
    fn handle(&mut self, event: UploadEvent, now: Duration) -> Vec<UploadEffect> {
        match event {
            UploadEvent::Request { peer, chunk } => self.waiting.push_back((peer, chunk, now)),
            UploadEvent::Cancel { peer, chunk } => {
                self.waiting.retain(|(of, other, _)| (*of, *other) != (peer, chunk));
                self.serving.retain(|serving| *serving != (peer, chunk));
            }
            UploadEvent::Sent { peer, chunk } => self.serving.retain(|serving| *serving != (peer, chunk)),
            UploadEvent::Gone { peer } => {
                self.waiting.retain(|(of, ..)| *of != peer);
                self.serving.retain(|(of, _)| *of != peer);
            }
            UploadEvent::Has { .. } | UploadEvent::Tick => {}
        }
        let mut out = Vec::new();
        while self.waiting.front().is_some_and(|(_, _, since)| now >= *since + WAIT_MAX) {
            let old = self.waiting.pop_front();
            out.extend(old.map(|(peer, chunk, _)| UploadEffect::Refuse { peer, chunk }));
        }
        while self.serving.len() < self.slots {
            let Some((peer, chunk, _)) = self.waiting.pop_front() else { break };
            self.serving.push((peer, chunk));
            out.push(UploadEffect::Serve { peer, chunk });
        }
        out
    }
}
