//! The command line.

use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand, ValueEnum};

use crate::{plan::Run, subject::Subject};

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
    /// Whom to measure; only `pairs`, `direct`, `fanout`, `idle` and `logins` know others than hobnob
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) at: Subject,
    /// Milliseconds to add to each fsync of hobnob, by strace; 0 shows what strace itself costs
    #[arg(long, global = true, value_name = "MS")]
    pub(crate) fsync_delay: Option<f64>,
}

impl Common {
    /// Who is measured, as tables show it.
    pub(crate) fn subject(&self) -> String {
        match self.fsync_delay {
            Some(delay_ms) if self.at == Subject::Hobnob => format!("hobnob, fsync + {delay_ms} ms"),
            _ => self.at.name().to_owned(),
        }
    }
}

/// What to measure.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Workload {
    /// W1: pairs of users who answer each other
    Pairs(Pairs),
    /// W2: every other session sends to the next one, which is another user, with many messages under way
    Direct(Direct),
    /// W3: one broadcasts to all
    Fanout(Fanout),
    /// W4: sessions that do nothing: memory for each
    Idle(Idle),
    /// W5: logins by password, and connections that come back by the token of their session
    Logins(Logins),
    /// W5: paced pairs while many log in by password at once
    Storm(Storm),
    /// W6: messages to users who are offline, a crash, and their catch-up at login
    Offline(Offline),
    /// W6: messages to many users who are offline and have much waiting already
    Crowd(Crowd),
    /// W6: how long a lone message takes beside an fsync
    Lone(Lone),
    /// W7: everyone comes back after a restart
    Reconnect(Reconnect),
    /// W8: pairs as accounts and stored messages grow
    Grown(Grown),
    /// Private talk of two people at real clients: consent, latency, the relay's cost
    Talk(Talk),
    /// One shares a file, others download it together, on machines with capped uplinks: network namespaces, as root
    Swarm(Swarm),
    /// A file between processes, over TCP and over QUIC, beside rsync: time, CPU and memory
    Files(Files),
    /// One side of a file transfer, which `files` starts
    #[command(hide = true)]
    Side(Side),
    /// W1 to W8 in interleaved rounds beside what they are compared with
    Run(Run),
    /// The smallest router, for the others to be measured beside
    #[command(hide = true)]
    Router,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Pairs {
    /// Sessions, each of a user of its own
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub(crate) sessions: u32,
    /// Messages a second of all together, whatever comes back [default: the next when one has come]
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// Seconds that count
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// Seconds before that
    #[arg(long, default_value_t = 2.0)]
    pub(crate) warm_up: f64,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Logins {
    /// Logins by password, each of a user of its own
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) passwords: u32,
    /// Sessions that come back again and again
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) sessions: u32,
    /// Connections under way at once
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) at_once: u32,
    /// Seconds that count
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Storm {
    #[command(flatten)]
    pub(crate) pairs: Pairs,
    /// Logins by password, all at once
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=250))]
    pub(crate) passwords: u32,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Crowd {
    /// Users who are offline
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) recipients: u32,
    /// Messages that wait for them already
    #[arg(long, default_value_t = 2_000_000)]
    pub(crate) stored: u64,
    /// Users who send
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) senders: u32,
    /// Messages of each
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) messages: u32,
    /// Messages that each sender has under way
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=32))]
    pub(crate) in_flight: u32,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Lone {
    /// Messages, one after the other
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) messages: u32,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Reconnect {
    /// Sessions
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=19_000))]
    pub(crate) sessions: u32,
    /// Users they belong to
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) users: u32,
    /// Connections under way at once
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) at_once: u32,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Grown {
    /// Accounts; there are ten times as many stored messages
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000, 1_000_000])]
    pub(crate) accounts: Vec<u64>,
    /// How often each is measured, one after the other and over again
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: u32,
    #[command(flatten)]
    pub(crate) pairs: Pairs,
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
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub(crate) sessions: u32,
    /// Messages that each sender has under way
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=32))]
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
