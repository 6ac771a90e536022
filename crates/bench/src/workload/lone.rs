//! W6: how long the ack of a lone message takes, beside what the disk takes for an fsync in the same moment.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    account,
    args::{Common, Lone},
    chatter::Chatter,
    crew::Stage,
    histogram::Histogram,
    report::{Figure, Line, Sample},
    server::Server,
};

/// What a commit of one message writes to SQLite's log: some pages.
const WRITE_BYTES: usize = 16 * 1024;
/// The file is written from its beginning again after so much, as the log is.
const FILE_BYTES: u64 = 16 << 20;

/// Sends one message after the other to somebody who is offline, and syncs a file of its own in between.
pub(crate) async fn run(common: &Common, args: &Lone) -> anyhow::Result<Line> {
    let accounts = account::make("lone", 2)?;
    let most = args.messages.to_string();
    let settings = [("inbox-messages", &*most), ("inbox-per-sender", &most)];
    let server = Server::start(common, &accounts, &settings).await?;
    let mut chatter = Chatter::open(&server.target, &accounts[0], false).await?;
    let file = Arc::new(preallocated(server.folder())?);
    let (mut ack, mut fsync) = (Histogram::default(), Histogram::default());
    let (stage, text) = (Stage::new(), "x".repeat(common.text_bytes));
    let begun = Sample::take(&server, &stage)?;
    for number in 0..u64::from(args.messages) {
        let sent = Instant::now();
        chatter.send(&accounts[1].name, &text).await?;
        chatter.flush().await?;
        while chatter.take().await?.acks == 0 {}
        ack.record(sent.elapsed());
        let file = file.clone();
        fsync.record(tokio::task::spawn_blocking(move || sync(&file, number)).await??);
    }
    let span = Sample::take(&server, &stage)?.since(begun);
    drop(chatter);
    server.stop().await?;
    let beyond = ack.quantile(0.5).zip(fsync.quantile(0.5)).map(|(ack, fsync)| ack.saturating_sub(fsync));
    let figures = [
        Figure::millis("fsync p50 ms", fsync.quantile(0.5)),
        Figure::millis("fsync p99 ms", fsync.quantile(0.99)),
        Figure::millis("ack beyond fsync ms (medians)", beyond),
    ];
    let million = f64::from(args.messages) / 1e6;
    Ok(Line {
        workload: "a lone message".to_owned(),
        subject: common.subject(),
        sessions: 1,
        ack: (&ack).into(),
        server_cpu: Some(span.server_cpu / million),
        figures: figures.into_iter().flatten().collect(),
        note: span.shares(),
        ..Line::default()
    })
}

/// A file whose blocks are there already, as the log's are most of the time.
fn preallocated(folder: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).open(folder.join("beside"))?;
    let block = vec![1; WRITE_BYTES];
    for at in (0..FILE_BYTES).step_by(WRITE_BYTES) {
        file.write_all_at(&block, at)?;
    }
    file.sync_all()?;
    Ok(file)
}

fn sync(file: &File, number: u64) -> std::io::Result<Duration> {
    let block = [2; WRITE_BYTES];
    let begun = Instant::now();
    file.write_all_at(&block, number * WRITE_BYTES as u64 % FILE_BYTES)?;
    file.sync_data()?;
    Ok(begun.elapsed())
}
