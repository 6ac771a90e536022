//! Sources, the downloader and the server are killed, one after the other and at moments that chance chooses, while one
//! file is on its way. In the end it is there, is what it was, and nothing else is left.
//!
//! `HOBNOB_CHAOS_ROUNDS=100 cargo test --release -p hobnob --test files chaos` for longer.

use std::os::unix::fs::MetadataExt;

use crate::{
    content, downloads, is_there, person, share,
    support::{Chat, World},
    wait_for,
};

/// Who kills may find the file complete at any time; so much leaves a few kills a round.
const BYTES: usize = 96 << 20;
/// Kills in one round.
const KILLS: u64 = 4;

/// Numbers by chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        // Xorshift, https://doi.org/10.18637/jss.v008.i14
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[test]
fn chaos_is_survived() {
    let rounds = std::env::var("HOBNOB_CHAOS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    for round in 0..rounds.unwrap_or(2) {
        eprintln!("round {round}");
        one_round(round);
    }
}

fn one_round(seed: u64) {
    let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d);
    let mut world = World::new();
    let mut sources = vec![("hans", person(&world, "hans")), ("eva", person(&world, "eva"))];
    let mut bob = person(&world, "bob");
    let bytes = content(BYTES, seed + 1);
    for (name, chat) in &sources {
        share(&world, name, chat, "a", &bytes);
    }
    bob.types("download a");
    for kill in 0..KILLS {
        // A little more than was there, so that each kill hits something under way.
        let most = (BYTES as u64 / (KILLS + 1)) * (kill + 1);
        let until = most - chance.below(BYTES as u64 / (KILLS + 1));
        wait_for("some of it", || has_come(&world) >= until || is_complete(&world));
        match chance.below(3) {
            0 => {
                let place = usize::try_from(chance.below(2)).expect("a small number");
                let (name, killed) = sources.remove(place);
                killed.crash();
                // What was shared before comes back by itself.
                sources.push((name, person(&world, name)));
            }
            1 => {
                bob.crash();
                bob = person(&world, "bob");
                comes_back(&bob, &world);
            }
            _ => {
                world.crash();
                world.start();
            }
        }
    }
    wait_for("all of it", || is_complete(&world));
    // Whoever was killed in the last moment finds it complete.
    is_there(&downloads(&world, "bob").join("a"), &bytes);
    wait_for("the end of everything else", || files(&world).len() == 1);
    drop((sources, bob));
}

/// The same command goes on with it, as soon as a source is there again.
fn comes_back(bob: &Chat, world: &World) {
    wait_for("a source", || {
        if is_complete(world) {
            return true;
        }
        bob.types("download a");
        let lines = bob.catches_up();
        !lines.iter().any(|line| line.starts_with("Error. "))
    });
}

fn files(world: &World) -> Vec<std::fs::DirEntry> {
    std::fs::read_dir(downloads(world, "bob")).into_iter().flatten().flatten().collect()
}

/// Bytes of it on the disk; a part has its whole length from the beginning.
fn has_come(world: &World) -> u64 {
    let blocks =
        files(world).iter().filter_map(|file| file.metadata().ok()).map(|file| file.blocks()).sum::<u64>();
    blocks * 512
}

fn is_complete(world: &World) -> bool {
    downloads(world, "bob").join("a").exists()
}
