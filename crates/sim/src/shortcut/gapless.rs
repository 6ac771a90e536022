//! No gap check: an entry is lost on its way and the client takes the next one as if nothing were missing. To a
//! client that does check, a skip in the place of the lost entry looks the same.

use std::sync::Arc;

use hobnob_protocol::v1::{ServerFrame, Skip, server_frame};

use crate::chance::Chance;
use crate::sim::Sim;
use crate::watch::ClientTap;

/// Entries of a thousand that are lost.
const LOST_PER_MILLE: u64 = 20;

/// Hides that an entry is lost.
pub(super) struct NoGapCheck {
    sim: Arc<Sim>,
    chance: Chance,
}

impl NoGapCheck {
    pub(super) fn new(sim: &Arc<Sim>, number: u64) -> Self {
        Self { sim: sim.clone(), chance: Chance::new(sim.seed, &format!("gaps of {number}")) }
    }
}

impl ClientTap for NoGapCheck {
    fn receives(&mut self, frame: ServerFrame) -> Option<ServerFrame> {
        match frame.body {
            Some(server_frame::Body::Entry(entry)) if self.chance.per_mille(LOST_PER_MILLE) => {
                self.sim.count("entry lost and not missed");
                let skip = Skip { stream: entry.stream, upto: entry.seq };
                Some(ServerFrame { body: Some(server_frame::Body::Skip(skip)) })
            }
            body => Some(ServerFrame { body }),
        }
    }
}
