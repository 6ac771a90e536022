//! The server: who has what, as it was told.

use hobnob_peer::swarm::{ChunkSet, Found, Peer, Report};

use crate::chance::Chance;

/// Sources in one answer.
const HOLDERS_MAX: usize = 30;

pub(super) struct Server {
    maps: Vec<ChunkSet>,
    online: Vec<bool>,
    chance: Chance,
}

impl Server {
    pub(super) fn new(seed: u64, members: usize, chunks: u32) -> Self {
        let maps = vec![ChunkSet::none(chunks); members];
        Self { maps, online: vec![false; members], chance: Chance::new(seed, "server") }
    }

    pub(super) fn online(&mut self, member: usize, online: bool) {
        self.online[member] = online;
        if !online {
            self.maps[member] = ChunkSet::none(self.maps[member].chunks());
        }
    }

    pub(super) fn told(&mut self, member: usize, report: &Report) {
        let map = &mut self.maps[member];
        match report {
            Report::First(chunk) => {
                map.insert(*chunk);
            }
            Report::More(chunks) => chunks.iter().for_each(|chunk| {
                map.insert(*chunk);
            }),
            Report::Complete => *map = ChunkSet::all(map.chunks()),
        }
    }

    /// Some of those who have something, by chance.
    pub(super) fn holders(&self, asker: usize) -> Vec<Found> {
        let holds =
            |member: &usize| *member != asker && self.online[*member] && !self.maps[*member].is_empty();
        let mut holders: Vec<_> = (0..self.maps.len()).filter(holds).collect();
        let count = holders.len().min(HOLDERS_MAX);
        for at in 0..count {
            let other = self.chance.within(at as u64..=holders.len() as u64 - 1) as usize;
            holders.swap(at, other);
        }
        holders.truncate(count);
        let found = |member: usize| Found { peer: Peer(member as u64), map: Some(self.maps[member].clone()) };
        holders.into_iter().map(found).collect()
    }
}
