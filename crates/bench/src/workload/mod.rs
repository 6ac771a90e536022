//! What can be measured, one workload a file.

pub(crate) mod direct;
pub(crate) mod fanout;
pub(crate) mod files;
pub(crate) mod idle;
pub(crate) mod offline;
pub(crate) mod swarm;
pub(crate) mod talk;

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
    crew.all_open().await?;
    crew.stage.begin(Phase::Warming);
    crew.pass(warm_up).await?;
    crew.stage.begin(Phase::Measuring);
    let begun = Sample::take(server, &crew.stage)?;
    crew.pass(seconds).await?;
    let span = Sample::take(server, &crew.stage)?.since(begun);
    crew.stage.begin(Phase::Ending);
    eprintln!("  {} acked and {} delivered in {:.2} s", span.acked, span.delivered, span.seconds);
    Ok(span)
}
