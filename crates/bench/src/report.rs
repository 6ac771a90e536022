//! What was measured, and how it is written down.

use std::{fmt::Write, sync::atomic::Ordering, time::Duration};

use serde::{Serialize, Serializer};
use tokio::time::Instant;

use crate::{crew::Stage, histogram::Histogram, process, server::Server};

/// The figures of one workload; `None` where a figure makes no sense.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Line {
    pub(crate) workload: String,
    /// Who was measured.
    pub(crate) subject: String,
    pub(crate) sessions: usize,
    /// Acks a second.
    #[serde(rename = "acked_per_s")]
    pub(crate) acked: Option<f64>,
    /// Deliveries a second.
    #[serde(rename = "delivered_per_s")]
    pub(crate) delivered: Option<f64>,
    pub(crate) ack: Latency,
    pub(crate) delivery: Latency,
    /// CPU seconds of the server for a million deliveries, or of what the workload says it counts.
    #[serde(rename = "server_cpu_s_per_million")]
    pub(crate) server_cpu: Option<f64>,
    /// The same of the generator.
    #[serde(rename = "generator_cpu_s_per_million")]
    pub(crate) own_cpu: Option<f64>,
    pub(crate) kib_per_session: Option<f64>,
    /// What only this workload has, each with its unit in its name.
    pub(crate) figures: Vec<Figure>,
    /// Its cost (CPU, otherwise memory) divided by that of somebody else in the same round.
    pub(crate) ratios: Vec<Figure>,
    pub(crate) note: String,
}

/// A figure with a name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
}

impl Figure {
    /// A figure; the unit is in the name.
    pub(crate) fn new(name: &str, value: f64) -> Self {
        Self { name: name.to_owned(), value }
    }

    /// A duration as milliseconds, if there is one.
    pub(crate) fn millis(name: &str, duration: Option<Duration>) -> Option<Self> {
        duration.map(|duration| Self::new(name, duration.as_secs_f64() * 1e3))
    }
}

/// Quantiles of a latency.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Latency {
    #[serde(rename = "p50_ms", serialize_with = "as_millis")]
    pub(crate) p50: Option<Duration>,
    #[serde(rename = "p99_ms", serialize_with = "as_millis")]
    pub(crate) p99: Option<Duration>,
    #[serde(rename = "p999_ms", serialize_with = "as_millis")]
    pub(crate) p999: Option<Duration>,
}

#[allow(clippy::ref_option, reason = "what serde hands over")]
fn as_millis<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_secs_f64() * 1e3).serialize(serializer)
}

impl From<&Histogram> for Latency {
    fn from(histogram: &Histogram) -> Self {
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| histogram.quantile(share));
        Self { p50, p99, p999 }
    }
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    at: Instant,
    acked: u64,
    delivered: u64,
    server_cpu: Duration,
    own_cpu: Duration,
    machine_cpu: Duration,
}

/// What happened between two samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) seconds: f64,
    pub(crate) acked: u64,
    pub(crate) delivered: u64,
    pub(crate) server_cpu: f64,
    pub(crate) own_cpu: f64,
    /// Of everything else on the machine: rates mean little where this is much.
    pub(crate) others_cpu: f64,
}

impl Sample {
    /// Reads all counters.
    pub(crate) fn take(server: &Server, stage: &Stage) -> anyhow::Result<Self> {
        Ok(Self {
            at: Instant::now(),
            acked: stage.acked.load(Ordering::Relaxed),
            delivered: stage.delivered.load(Ordering::Relaxed),
            server_cpu: server.cpu()?,
            own_cpu: process::cpu(std::process::id())?,
            machine_cpu: process::machine_cpu()?,
        })
    }

    /// What happened since an earlier sample.
    pub(crate) fn since(self, earlier: Self) -> Span {
        let server_cpu = (self.server_cpu - earlier.server_cpu).as_secs_f64();
        let own_cpu = (self.own_cpu - earlier.own_cpu).as_secs_f64();
        let machine_cpu = self.machine_cpu.saturating_sub(earlier.machine_cpu).as_secs_f64();
        Span {
            seconds: (self.at - earlier.at).as_secs_f64(),
            acked: self.acked - earlier.acked,
            delivered: self.delivered - earlier.delivered,
            server_cpu,
            own_cpu,
            others_cpu: (machine_cpu - server_cpu - own_cpu).max(0.0),
        }
    }
}

impl Span {
    /// How the machine was shared, in percent of a core.
    pub(crate) fn shares(&self) -> String {
        let share = |cpu: f64| cpu / self.seconds * 100.0;
        let (server, own, others) = (share(self.server_cpu), share(self.own_cpu), share(self.others_cpu));
        format!("% of a core: server {server:.0}, generator {own:.0}, others {others:.0}")
    }
}

impl Line {
    /// The rates and costs of a span.
    pub(crate) fn new(workload: &str, sessions: usize, span: &Span) -> Self {
        let million = (span.delivered > 0).then_some(span.delivered as f64 / 1e6);
        Self {
            workload: workload.to_owned(),
            sessions,
            acked: (span.acked > 0).then(|| span.acked as f64 / span.seconds),
            delivered: Some(span.delivered as f64 / span.seconds),
            server_cpu: million.map(|million| span.server_cpu / million),
            own_cpu: million.map(|million| span.own_cpu / million),
            ..Self::default()
        }
    }

    fn cells(&self) -> Vec<(&'static str, String)> {
        let rate = |rate: Option<f64>| number(rate, 0);
        let quantiles = |latency: Latency| {
            let all = [latency.p50, latency.p99, latency.p999];
            let shown: Vec<_> = all.into_iter().flatten().map(millis).collect();
            if shown.is_empty() { "–".to_owned() } else { shown.join(" / ") }
        };
        let figures = |figures: &[Figure]| {
            let shown: Vec<_> =
                figures.iter().map(|Figure { name, value }| format!("{name}: {value:.2}")).collect();
            if shown.is_empty() { "–".to_owned() } else { shown.join("; ") }
        };
        vec![
            ("workload", self.workload.clone()),
            ("at", self.subject.clone()),
            ("sessions", self.sessions.to_string()),
            ("acked/s", rate(self.acked)),
            ("delivered/s", rate(self.delivered)),
            ("ack ms p50/p99/p99.9", quantiles(self.ack)),
            ("delivery ms p50/p99/p99.9", quantiles(self.delivery)),
            ("server CPU s per million", number(self.server_cpu, 2)),
            ("generator's", number(self.own_cpu, 2)),
            ("KiB a session", number(self.kib_per_session, 1)),
            ("cost beside", figures(&self.ratios)),
            ("more", figures(&self.figures)),
            ("note", self.note.clone()),
        ]
    }
}

fn number(number: Option<f64>, digits: usize) -> String {
    number.map_or("–".to_owned(), |number| format!("{number:.digits$}"))
}

fn millis(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1e3)
}

/// A line for people who watch.
pub(crate) fn text(line: &Line) -> String {
    let cells = line.cells().into_iter().filter(|(_, cell)| !cell.is_empty() && cell != "–");
    cells.fold(String::from(" "), |mut text, (title, cell)| {
        write!(text, " {title}: {cell};").expect("writing to a string cannot fail");
        text
    })
}

/// A table in Markdown.
pub(crate) fn markdown(lines: &[Line]) -> String {
    let row = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let titles: Vec<_> = Line::default().cells().into_iter().map(|(title, _)| title.to_owned()).collect();
    let rule = vec!["---".to_owned(); titles.len()];
    let rows = lines.iter().map(|line| row(line.cells().into_iter().map(|(_, cell)| cell).collect()));
    [row(titles), row(rule)].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}
