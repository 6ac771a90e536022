//! Private talk of two people at real clients: how long from consent to the first message, how long a message takes
//! straight, over the relay and over the server, and what a relayed GiB costs the server.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::ensure;
use tokio::time::Instant;

use crate::{
    account::{self, Account},
    args::{Common, Talk},
    crew::Stage,
    histogram::Histogram,
    person::Person,
    report::{Latency, Line, Sample, Span},
    server::{self, Server},
};

/// Bytes of a text where bytes count: close to the most that a message may have.
const BULK_BYTES: usize = 64_000;

/// Measures consent and latencies on every way, then the relay's cost.
pub(crate) async fn run(common: &Common, args: &Talk) -> anyhow::Result<Line> {
    let accounts = account::make("person", 2)?;
    let server = Server::start(common, &accounts, &[("relay-rate", "off")]).await?;
    let program = server::program(common)?;
    let stage = Stage::new();
    let mut pair = Pair::log_in(&server, program.clone(), &accounts, &[]).await?;
    let straight = pair.measure(args, "direct").await?;
    let by_server = pair.latency(args, "message", ": ").await?;
    pair.leave().await?;
    let mut pair = Pair::log_in(&server, program, &accounts, &["--relay-only"]).await?;
    let relayed = pair.measure(args, "relayed").await?;
    let before = server.memory()?;
    let begun = Sample::take(&server, &stage)?;
    let bytes = pair.bulk(args).await?;
    let span = Sample::take(&server, &stage)?.since(begun);
    let after = server.memory()?;
    pair.leave().await?;
    server.stop().await?;
    let gib = bytes as f64 / (1u64 << 30) as f64;
    Ok(Line {
        workload: "private talk".to_owned(),
        sessions: 2,
        delivery: Latency::from(&straight.latency),
        note: note(&straight, &relayed, &by_server)
            + &format!(
                "; relayed {gib:.2} GiB of text in {:.1} s: server CPU s per GiB {:.2}, its RSS {} KiB before and {} after; {}",
                span.seconds,
                span.server_cpu / gib,
                before.rss_kib,
                after.rss_kib,
                Span::shares(&span),
            ),
        ..Line::default()
    })
}

/// What was measured on one way.
struct Measured {
    /// From `y` to the first message shown, and from `y` to `accepts`.
    first: Histogram,
    accepted: Histogram,
    latency: Histogram,
}

fn note(straight: &Measured, relayed: &Measured, by_server: &Histogram) -> String {
    let median = |histogram: &Histogram| millis(histogram.quantile(0.5));
    format!(
        "`y` to `accepts` {} ms direct, {} relayed; `y` to the first message {} direct, {} relayed; a message takes {} direct, {} \
         relayed, {} over the server (medians)",
        median(&straight.accepted),
        median(&relayed.accepted),
        median(&straight.first),
        median(&relayed.first),
        median(&straight.latency),
        median(&relayed.latency),
        median(by_server),
    )
}

fn millis(duration: Option<Duration>) -> String {
    duration.map_or("–".to_owned(), |duration| format!("{:.2}", duration.as_secs_f64() * 1e3))
}

/// Two people who talk.
struct Pair {
    one: Person,
    other: Person,
}

impl Pair {
    async fn log_in(
        server: &Server,
        program: PathBuf,
        accounts: &[Arc<Account>],
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let folder = server.folder();
        let one = Person::log_in(&program, folder, &server.target, &accounts[0], arguments).await?;
        let mut other = Person::log_in(&program, folder, &server.target, &accounts[1], arguments).await?;
        let mut one = one;
        one.sees(&format!("{} logged in", accounts[1].name)).await?;
        other.types("whoelse").await?;
        other.sees(&accounts[0].name).await?;
        Ok(Self { one, other })
    }

    async fn measure(&mut self, args: &Talk, way: &str) -> anyhow::Result<Measured> {
        let (mut first, mut accepted) = (Histogram::default(), Histogram::default());
        for round in 0..args.rounds {
            if round > 0 {
                self.stop().await?;
            }
            let (yes, to_accept, to_first) = self.consent(round).await?;
            accepted.record(to_accept - yes);
            first.record(to_first - yes);
        }
        self.comes_to_run(way).await?;
        let latency = self.latency(args, "private", "(private): ").await?;
        Ok(Measured { first, accepted, latency })
    }

    /// One asks, the other says yes, one sends a message.
    async fn consent(&mut self, round: u32) -> anyhow::Result<(Instant, Instant, Instant)> {
        let Self { one, other } = self;
        one.types(&format!("startprivate {}", other.name)).await?;
        one.sees("Start private messaging with").await?;
        other.sees("enter y or n: ").await?;
        let yes = Instant::now();
        other.types("y").await?;
        let accepted = one.sees("accepts private messaging").await?;
        one.types(&format!("private {} first {round}", other.name)).await?;
        let first = other.sees(&format!("(private): first {round}\n")).await?;
        Ok((yes, accepted, first))
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        let Self { one, other } = self;
        one.types(&format!("stopprivate {}", other.name)).await?;
        one.sees("Stop private messaging with").await?;
        other.sees("stopped private messaging").await?;
        Ok(())
    }

    /// A link begins over the relay and moves to a straight path when one is found.
    async fn comes_to_run(&mut self, way: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) {
            self.one.types(&format!("path {}", self.other.name)).await?;
            if self.one.sees_line(&["direct ", "relayed "]).await?.contains(way) {
                return Ok(());
            }
        }
        anyhow::bail!("the talk does not come to run {way}")
    }

    async fn latency(&mut self, args: &Talk, verb: &str, mark: &str) -> anyhow::Result<Histogram> {
        let Self { one, other } = self;
        let mut latency = Histogram::default();
        for number in 0..args.messages {
            let sent = Instant::now();
            one.types(&format!("{verb} {} number {number}.", other.name)).await?;
            let seen = other.sees(&format!("{mark}number {number}.\n")).await?;
            latency.record(seen - sent);
        }
        Ok(latency)
    }

    /// Says a lot.
    async fn bulk(&mut self, args: &Talk) -> anyhow::Result<u64> {
        let Self { one, other } = self;
        let lines = (args.mebibytes << 20).div_ceil(BULK_BYTES as u64);
        let line = format!("private {} {}", other.name, "x".repeat(BULK_BYTES));
        let shown = format!("{}(private): \n", one.name).len() + BULK_BYTES;
        let types = async {
            for _ in 0..lines {
                one.types(&line).await?;
            }
            anyhow::Ok(())
        };
        let (typed, seen) = tokio::join!(types, other.sees_bytes(lines * shown as u64));
        typed?;
        seen?;
        ensure!(lines > 0, "there is nothing to say");
        Ok(lines * BULK_BYTES as u64)
    }

    async fn leave(self) -> anyhow::Result<()> {
        self.one.leave().await?;
        self.other.leave().await
    }
}
