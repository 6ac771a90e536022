//! How many linked sources have each chunk, kept so that the rarest one that a source has is found by a few steps over
//! words of 64 chunks.

use super::ChunkSet;
use super::chance::Chance;

/// Chunks that more sources have than this are all alike.
const LEVELS: usize = 64;

/// Counts for all chunks, and the open ones (neither here nor asked for) by their counts.
#[derive(Debug)]
pub(super) struct Rarity {
    counts: Vec<u16>,
    open: ChunkSet,
    levels: Vec<ChunkSet>,
}

impl Rarity {
    /// All chunks that are not in `have` are open.
    pub(super) fn new(have: &ChunkSet) -> Self {
        let len = have.chunks();
        let none = ChunkSet::none(len);
        let mut rarity =
            Self { counts: vec![0; len as usize], open: none.clone(), levels: vec![none; LEVELS] };
        (0..len).filter(|chunk| !have.contains(*chunk)).for_each(|chunk| rarity.open(chunk));
        rarity
    }

    /// How many sources have it.
    pub(super) fn count(&self, chunk: u32) -> u16 {
        self.counts[chunk as usize]
    }

    /// Whether an open one is had by any source.
    pub(super) fn has_open(&self) -> bool {
        self.levels[1..].iter().any(|level| !level.is_empty())
    }

    pub(super) fn open(&mut self, chunk: u32) {
        self.open.insert(chunk);
        let level = self.level(chunk);
        self.levels[level].insert(chunk);
    }

    pub(super) fn close(&mut self, chunk: u32) {
        self.open.remove(chunk);
        let level = self.level(chunk);
        self.levels[level].remove(chunk);
    }

    /// One more source has it.
    pub(super) fn add(&mut self, chunk: u32) {
        self.change(chunk, |count| count.saturating_add(1));
    }

    /// One source less has it.
    pub(super) fn subtract(&mut self, chunk: u32) {
        self.change(chunk, |count| count.saturating_sub(1));
    }

    fn change(&mut self, chunk: u32, change: impl FnOnce(u16) -> u16) {
        let before = self.level(chunk);
        let count = &mut self.counts[chunk as usize];
        *count = change(*count);
        let after = self.level(chunk);
        if before != after && self.levels[before].remove(chunk) {
            self.levels[after].insert(chunk);
        }
    }

    fn level(&self, chunk: u32) -> usize {
        usize::from(self.counts[chunk as usize]).min(LEVELS - 1)
    }

    /// One of the rarest open chunks in `map` but not in `except`, by chance.
    pub(super) fn rarest(
        &self,
        map: &ChunkSet,
        except: Option<&ChunkSet>,
        chance: &mut Chance,
    ) -> Option<u32> {
        let levels = self.levels.iter().filter(|level| !level.is_empty());
        levels.filter_map(|level| pick(level, map, except, chance)).next()
    }

    /// Any open chunk in `map` but not in `except`, by chance.
    pub(super) fn any(&self, map: &ChunkSet, except: Option<&ChunkSet>, chance: &mut Chance) -> Option<u32> {
        pick(&self.open, map, except, chance)
    }

    /// Whether an open chunk in `map` is had by one source only.
    pub(super) fn has_unique(&self, map: &ChunkSet) -> bool {
        self.levels[1].words().iter().zip(map.words()).any(|(level, map)| level & map != 0)
    }
}

/// One of those in both sets but not in the third, all with the same probability.
fn pick(level: &ChunkSet, map: &ChunkSet, except: Option<&ChunkSet>, chance: &mut Chance) -> Option<u32> {
    let common = |at: usize| {
        let except = except.map_or(0, |except| except.words()[at]);
        level.words()[at] & map.words()[at] & !except
    };
    let words = level.words().len();
    let count: u32 = (0..words).map(|at| common(at).count_ones()).sum();
    let mut skip = (count > 0).then(|| chance.below(count))?;
    for at in 0..words {
        let mut word = common(at);
        if skip >= word.count_ones() {
            skip -= word.count_ones();
            continue;
        }
        (0..skip).for_each(|_| word &= word - 1);
        return Some(at as u32 * 64 + word.trailing_zeros());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rarest_of_the_open_ones_is_chosen() {
        let mut chance = Chance::new(1);
        let mut rarity = Rarity::new(&ChunkSet::none(100));
        (0..100).for_each(|chunk| rarity.add(chunk));
        (0..100).filter(|chunk| *chunk != 77).for_each(|chunk| rarity.add(chunk));
        let all = ChunkSet::all(100);
        assert_eq!(rarity.rarest(&all, None, &mut chance), Some(77));
        assert!(rarity.has_unique(&all));
        rarity.close(77);
        assert!(!rarity.has_unique(&all));
        let other = rarity.rarest(&all, None, &mut chance).unwrap();
        assert_ne!(other, 77);
        rarity.subtract(77);
        rarity.open(77);
        assert_eq!((rarity.count(77), rarity.rarest(&all, None, &mut chance)), (0, Some(77)));
        assert_ne!(
            rarity.rarest(
                &all,
                Some(&ChunkSet::from_bitmap(100, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 32])),
                &mut chance
            ),
            Some(77)
        );
        assert_eq!(rarity.rarest(&ChunkSet::none(100), None, &mut chance), None);
    }

    #[test]
    fn ties_fall_evenly() {
        let (mut chance, rarity) = (Chance::new(7), Rarity::new(&ChunkSet::none(130)));
        let mut hits = [0; 130];
        for _ in 0..13_000 {
            hits[rarity.any(&ChunkSet::all(130), None, &mut chance).unwrap() as usize] += 1;
        }
        assert!(hits.iter().all(|hits| (50..200).contains(hits)), "{hits:?}");
    }
}
