//! The command line.

use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand, ValueEnum};

/// Measures a hobnob server over loopback.
#[derive(Debug, Parser)]
#[command(name = "hobnob-bench", version)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) workload: Workload,
}

/// What all workloads share.
#[derive(Clone, Debug, Group)]
pub(crate) struct Common {
    /// The program to start [default: `hobnob` beside this one]
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) server: Option<PathBuf>,
    /// Further arguments for `serve`
    #[arg(long, global = true, value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) server_arg: Vec<String>,
    /// Folder to put the server's folder in; it decides which disk is measured [default: the system's for
    /// temporary files]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_in: Option<PathBuf>,
    /// Leave the server's folder behind, and say where
    #[arg(long, global = true)]
    pub(crate) keep: bool,
    /// Without TLS
    #[arg(long, global = true)]
    pub(crate) plain: bool,
    /// Threads of the generator
    #[arg(long, global = true, value_name = "N", default_value_t = 2)]
    pub(crate) threads: usize,
    /// Bytes of each text
    #[arg(long, global = true, value_name = "N", default_value_t = 100)]
    pub(crate) text_bytes: usize,
    /// Seconds after which a workload is given up
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 600)]
    pub(crate) time_limit: u64,
}

/// What to measure.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Workload {
    /// Sessions that do nothing: memory for each
    Idle(Idle),
    /// Pairs of users: every other session sends to the next one, which is another user
    Direct(Direct),
    /// One broadcasts to all
    Fanout(Fanout),
    /// Messages to users who are offline, and their catch-up at login
    Offline(Offline),
    /// Private talk of two people at real clients: consent, latency, the relay's cost
    Talk(Talk),
    /// One shares a file, others download it together, on machines with capped uplinks: network namespaces, as root
    Swarm(Swarm),
    /// A file between processes, over TCP and over QUIC, beside rsync: time, CPU and memory
    Files(Files),
    /// One side of a file transfer, which `files` starts
    #[command(hide = true)]
    Side(Side),
    /// All of them in turn, as the project's aims are stated
    All {
        /// Tiny numbers, to see that it works
        #[arg(long)]
        tiny: bool,
    },
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Idle {
    /// Sessions to open
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=19_000))]
    pub(crate) sessions: u32,
    /// Users they belong to
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) users: u32,
    /// How long to hold them open: longer than the server's ping period (25) shows that they live
    #[arg(long, default_value_t = 40.0)]
    pub(crate) seconds: f64,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Direct {
    /// Sessions, each of a user of its own
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub(crate) sessions: u32,
    /// Messages that each sender has under way
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=32))]
    pub(crate) in_flight: u32,
    /// Seconds that count
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// Seconds before that
    #[arg(long, default_value_t = 2.0)]
    pub(crate) warm_up: f64,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Fanout {
    /// Sessions that receive
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=19_000))]
    pub(crate) sessions: u32,
    /// Users they belong to
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) users: u32,
    /// Broadcasts under way: acked and, unless --unpaced, received by all
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=32))]
    pub(crate) in_flight: u32,
    /// Only acks hold the sender back, so that receivers may fall behind
    #[arg(long)]
    pub(crate) unpaced: bool,
    /// Seconds that count
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// Seconds before that
    #[arg(long, default_value_t = 2.0)]
    pub(crate) warm_up: f64,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Offline {
    /// Users who are offline, and as many who send
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) recipients: u32,
    /// Messages for each
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) messages: u32,
    /// Messages that each sender has under way
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=32))]
    pub(crate) in_flight: u32,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Talk {
    /// How often they begin
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) rounds: u32,
    /// Messages, one after the other, on each way
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) messages: u32,
    /// MiB of text over the relay
    #[arg(long, default_value_t = 1_024, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) mebibytes: u64,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Swarm {
    /// Size of the file
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) mebibytes: u64,
    /// Those who download
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=60))]
    pub(crate) leechers: u8,
    /// Mbit/s of every uplink
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) uplink: u32,
    /// How often, each time with another file
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Files {
    /// Size of the file
    #[arg(long, value_name = "N", default_value_t = 1_024, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) mebibytes: u64,
    /// How often; medians are printed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) rounds: u32,
    /// What it goes over
    #[arg(long, value_enum, default_value_t = Over::Both)]
    pub(crate) over: Over,
    /// Processes that give it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=30))]
    pub(crate) sources: u8,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Side {
    #[arg(long, value_enum)]
    pub(crate) over: Over,
    /// Each side of a transfer has its own
    #[arg(long)]
    pub(crate) number: u8,
    /// Where its files are
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// What to give; without it, this side takes
    #[arg(long)]
    pub(crate) file: Option<PathBuf>,
}

/// What a file goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Over {
    Tcp,
    Quic,
    /// One after the other
    Both,
}

impl Over {
    pub(crate) fn each(self) -> Vec<Self> {
        match self {
            Self::Both => vec![Self::Tcp, Self::Quic],
            one => vec![one],
        }
    }

    /// As on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Quic => "quic",
            Self::Both => "both",
        }
    }
}

impl Workload {
    /// The workloads to run, one after the other.
    pub(crate) fn each(&self) -> Vec<Self> {
        match self {
            Self::All { tiny: false } => vec![
                Self::Direct(direct(200, 1, 10.0)),
                Self::Direct(direct(200, 16, 10.0)),
                Self::Fanout(fanout(1_000, 10.0)),
                Self::Offline(Offline { recipients: 20, messages: 10_000, in_flight: 32 }),
                Self::Idle(Idle { sessions: 10_000, users: 100, seconds: 40.0 }),
            ],
            Self::All { tiny: true } => vec![
                Self::Direct(direct(4, 1, 0.3)),
                Self::Direct(direct(4, 16, 0.3)),
                Self::Fanout(fanout(10, 0.3)),
                Self::Offline(Offline { recipients: 2, messages: 300, in_flight: 32 }),
                Self::Idle(Idle { sessions: 20, users: 2, seconds: 0.1 }),
            ],
            one => vec![one.clone()],
        }
    }
}

fn direct(sessions: u32, in_flight: u32, seconds: f64) -> Direct {
    Direct { sessions, in_flight, seconds, warm_up: seconds / 5.0 }
}

fn fanout(sessions: u32, seconds: f64) -> Fanout {
    let users = sessions.div_ceil(100);
    Fanout { sessions, users, in_flight: 16, unpaced: false, seconds, warm_up: seconds / 5.0 }
}
