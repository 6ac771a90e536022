//! W5: what others' logins by password do to messages: paced pairs, first alone, then while many log in at once.

use std::sync::{Arc, Mutex, PoisonError};

use super::pairs::{self, Seen};
use super::{logins, measure_while};
use crate::{
    account,
    args::{Common, Storm},
    crew::Crew,
    histogram::Histogram,
    report::{Figure, Latency, Line},
    server::Server,
};

/// Messages a second where nothing else is said.
const RATE: f64 = 10_000.0;

/// Runs the pairs twice.
pub(crate) async fn run(common: &Common, args: &Storm) -> anyhow::Result<Line> {
    let sessions = args.pairs.sessions as usize / 2 * 2;
    // Other users than in the storm, or what is still under way of the quiet pairs would come to them then.
    let calm = account::make("calm", sessions)?;
    let accounts = account::make("pair", sessions)?;
    let strangers = account::make("login", args.passwords as usize)?;
    let all: Vec<_> = calm.iter().chain(&accounts).chain(&strangers).cloned().collect();
    let server = Server::start(common, &all, &[]).await?;
    let paced = crate::args::Pairs { rate: args.pairs.rate.or(Some(RATE)), ..args.pairs.clone() };
    let quiet = pairs::converse(common, &paced, &server, &calm).await?;
    let mut crew = Crew::new(server.target.clone());
    pairs::enlist(&mut crew, &accounts, common.text_bytes, paced.rate);
    let logins = Arc::new(Mutex::new(Ok(Histogram::default())));
    let (target, done) = (server.target.clone(), logins.clone());
    let storm = async move {
        let outcome = logins::all_by_password(&target, &strangers, strangers.len()).await;
        *done.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
    };
    let span = measure_while(&mut crew, &server, paced.warm_up, storm).await?;
    let seen = Seen::all(crew.finish().await?);
    server.stop().await?;
    let logins = std::mem::replace(
        &mut *logins.lock().unwrap_or_else(PoisonError::into_inner),
        Ok(Histogram::default()),
    )?;
    let stormy = Latency::from(&seen.delivery);
    let ratio =
        quiet.delivery.p99.zip(stormy.p99).map(|(quiet, stormy)| stormy.as_secs_f64() / quiet.as_secs_f64());
    let figures = [
        Figure::millis("quiet p50 ms", quiet.delivery.p50),
        Figure::millis("quiet p99 ms", quiet.delivery.p99),
        ratio.map(|ratio| Figure::new("p99 beside the quiet one", ratio)),
        Figure::millis("login p50 ms", logins.quantile(0.5)),
        Some(Figure::new("storm s", span.seconds)),
    ];
    let workload = format!("pairs, {}/s, while {} log in", paced.rate.unwrap_or(RATE), args.passwords);
    Ok(Line {
        subject: common.subject(),
        ack: (&seen.ack).into(),
        delivery: stormy,
        figures: figures.into_iter().flatten().collect(),
        note: span.shares(),
        ..Line::new(&workload, accounts.len(), &span)
    })
}
