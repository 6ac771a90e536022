//! What is to be simulated.

use std::time::Duration;

/// A swarm: one file, those who have it and those who want it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// All chance comes from it.
    pub seed: u64,
    /// Bytes of the file.
    pub size: u64,
    /// Bytes of a chunk.
    pub chunk_bytes: u64,
    /// Who takes part.
    pub members: Vec<Member>,
    /// How senders choose whom to serve.
    pub order: Order,
    /// Chunks are chosen at random, not the rarest first.
    pub random_choice: bool,
    /// The server is away during this time.
    pub server_away: Option<(Duration, Duration)>,
    /// No longer than this.
    pub limit: Duration,
}

impl Plan {
    /// The rules as they are, for a file with the chunks that its size calls for.
    #[must_use]
    pub fn new(seed: u64, size: u64, members: Vec<Member>) -> Self {
        Self {
            seed,
            size,
            chunk_bytes: chunk_bytes(size),
            members,
            order: Order::Uploads,
            random_choice: false,
            server_away: None,
            limit: Duration::from_secs(3600),
        }
    }

    /// No swarm can be faster, if all start together: everything has to leave those who have it at the beginning once,
    /// the slowest downlink has to take all of it, and all uplinks together have to carry it to all who want it.
    #[must_use]
    pub fn bound(&self) -> Duration {
        let honest = || self.members.iter().filter(|member| member.manner == Manner::Honest);
        let wanting = || honest().filter(|member| !member.has_all);
        let first: u64 = honest().filter(|member| member.has_all).map(|member| member.up).sum();
        let all: u64 = honest().map(|member| member.up).sum();
        let slowest = wanting().map(|member| member.down).min().unwrap_or(u64::MAX);
        let demand = self.size as f64 * wanting().count() as f64;
        let size = self.size as f64;
        let seconds = (size / first as f64).max(size / slowest as f64).max(demand / all as f64);
        Duration::from_secs_f64(seconds)
    }
}

/// Bytes of a chunk of a file of this size: a power of two from 256 KiB, so that there are at most 16,384.
#[must_use]
pub fn chunk_bytes(size: u64) -> u64 {
    size.div_ceil(u64::from(hobnob_protocol::limits::FILE_CHUNKS_MAX)).next_power_of_two().max(256 << 10)
}

/// One device.
#[derive(Clone, Debug)]
pub struct Member {
    /// Bytes a second of its uplink and its downlink.
    pub up: u64,
    /// See `up`.
    pub down: u64,
    /// From it to the middle of the network; between two it is the sum.
    pub latency: Duration,
    /// It has the whole file at the beginning, and no wish for it.
    pub has_all: bool,
    /// When it comes.
    pub joins: Duration,
    /// When it goes.
    pub leaves: Leaves,
    /// How it behaves.
    pub manner: Manner,
    /// Its links run over the relay.
    pub relayed: bool,
}

impl Member {
    /// Wants the file from the beginning, and stays. Bytes a second.
    #[must_use]
    pub fn leecher(up: u64, down: u64, latency: Duration) -> Self {
        Self {
            up,
            down,
            latency,
            has_all: false,
            joins: Duration::ZERO,
            leaves: Leaves::Never,
            manner: Manner::Honest,
            relayed: false,
        }
    }

    /// Has the file from the beginning, and stays.
    #[must_use]
    pub fn seeder(up: u64, down: u64, latency: Duration) -> Self {
        Self { has_all: true, ..Self::leecher(up, down, latency) }
    }
}

/// When a device goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// It stays.
    Never,
    /// At a time.
    At(Duration),
    /// As soon as the others have each chunk at least once among them.
    AfterOneCopy,
    /// So long after it has everything.
    AfterDone(Duration),
}

/// How a device behaves to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Honest,
    /// What it sends is wrong.
    Liar,
    /// It takes requests and says nothing.
    Silent,
    /// It says that it has everything, and more than there is.
    Boaster,
}

/// How senders choose whom to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As the product does it.
    Uploads,
    /// Who asks first.
    Fifo,
}
