//! What can be measured, one workload a file.

pub(crate) mod crowd;
pub(crate) mod direct;
pub(crate) mod fanout;
pub(crate) mod files;
pub(crate) mod grown;
pub(crate) mod idle;
pub(crate) mod logins;
pub(crate) mod lone;
pub(crate) mod offline;
pub(crate) mod pairs;
pub(crate) mod reconnect;
pub(crate) mod storm;
pub(crate) mod swarm;
pub(crate) mod talk;

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    crew::{Crew, Phase},
    report::{Sample, Span},
    server::Server,
};

/// Leads a crew through warming and measuring, and lets it end.
async fn measure<T: Send + 'static>(
    crew: &mut Crew<T>,
    server: &Server,
    warm_up: f64,
    seconds: f64,
) -> anyhow::Result<Span> {
    // In a block of its own, so that it begins when it is waited for.
    measure_while(crew, server, warm_up, async { sleep(Duration::from_secs_f64(seconds)).await }).await
}

/// The same for as long as something else takes.
async fn measure_while<T: Send + 'static>(
    crew: &mut Crew<T>,
    server: &Server,
    warm_up: f64,
    other: impl Future<Output = ()>,
) -> anyhow::Result<Span> {
    crew.all_open().await?;
    crew.stage.begin(Phase::Warming);
    crew.pass(warm_up).await?;
    crew.stage.begin(Phase::Measuring);
    let begun = Sample::take(server, &crew.stage)?;
    crew.until(other).await?;
    let span = Sample::take(server, &crew.stage)?.since(begun);
    crew.stage.begin(Phase::Ending);
    eprintln!("  {} acked and {} delivered in {:.2} s", span.acked, span.delivered, span.seconds);
    Ok(span)
}
