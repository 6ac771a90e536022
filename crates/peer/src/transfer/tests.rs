//! Both sides of a stream, over memory.

use std::{
    io,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use hobnob_protocol::v1::{
    FileData, FileHave, FileManifest, FileOpen, FileOpened, FileRefused, file_frame::Body, file_refused::Why,
};
use tokio::{
    io::{AsyncWriteExt, DuplexStream},
    sync::mpsc,
    task::JoinSet,
};

use super::{
    Holding, Outcome, Wanting, Writing,
    fetch::{self, Ask, Got, Over},
    serve::{self, Asked, Order},
    wire::{self, Frames},
};

/// Three chunks, the last is short. Large enough that each is several blocks.
const CHUNK: usize = 600_000;
const LAST: usize = 1_234;

fn content(chunk: u32) -> Vec<u8> {
    let bytes = if chunk == 2 { LAST } else { CHUNK };
    (0..bytes).map(|at| (at as u32 * 7 + chunk) as u8).collect()
}

struct Source {
    /// The file breaks when this chunk is read.
    broken: Option<u32>,
}

impl Holding for Source {
    fn bytes(&self, chunk: u32) -> Option<u32> {
        (chunk < 3).then(|| content(chunk).len() as u32)
    }

    fn read(&self, chunk: u32, offset: u32, block: &mut [u8]) -> io::Result<()> {
        if self.broken == Some(chunk) {
            return Err(io::Error::other("changed"));
        }
        block.copy_from_slice(&content(chunk)[offset as usize..][..block.len()]);
        Ok(())
    }

    fn manifest(&self) -> Option<Bytes> {
        Some(vec![9; 96].into())
    }
}

#[derive(Default)]
struct Target {
    written: Mutex<Vec<(u32, Vec<u8>)>>,
    full: bool,
}

struct Part {
    target: Arc<Target>,
    chunk: u32,
    bytes: Vec<u8>,
}

struct Wanted(Arc<Target>);

impl Wanting for Wanted {
    fn begin(&self, chunk: u32) -> Option<Box<dyn Writing>> {
        (chunk < 3).then(|| Box::new(Part { target: self.0.clone(), chunk, bytes: Vec::new() }) as _)
    }
}

impl Writing for Part {
    fn bytes(&self) -> u32 {
        content(self.chunk).len() as u32
    }

    fn write(&mut self, block: &[u8]) -> io::Result<()> {
        if self.target.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(block);
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<Outcome> {
        let verified = self.bytes == content(self.chunk);
        self.target.written.lock().unwrap().push((self.chunk, self.bytes));
        Ok(if verified { Outcome::Verified } else { Outcome::Wrong })
    }
}

/// The taking side, with the other end of its stream.
struct Taker {
    asks: mpsc::Sender<Ask>,
    got: mpsc::Receiver<Got>,
    target: Arc<Target>,
    tasks: JoinSet<()>,
}

fn taker(full: bool) -> (Taker, DuplexStream) {
    let (near, far) = tokio::io::duplex(100_000);
    let ((asks, asks_rx), (got_tx, got)) = (mpsc::channel(16), mpsc::channel(16));
    let target = Arc::new(Target { full, ..Target::default() });
    let mut tasks = JoinSet::new();
    let open = FileOpen { id: vec![1; 32].into(), size: 7, ..FileOpen::default() };
    tasks.spawn(fetch::run(near, open, Arc::new(Wanted(target.clone())), asks_rx, got_tx));
    (Taker { asks, got, target, tasks }, far)
}

/// The giving side in front of a taker: what it is asked, and where to order.
async fn giver(
    tasks: &mut JoinSet<()>,
    far: DuplexStream,
    broken: Option<u32>,
) -> (mpsc::Sender<Order>, mpsc::Receiver<Asked>) {
    let (open, frames, write) = serve::open(far).await.unwrap();
    assert_eq!((open.id, open.size), (vec![1; 32].into(), 7));
    let ((orders, orders_rx), (asked_tx, asked)) = (mpsc::channel(16), mpsc::channel(16));
    let opened = FileOpened { complete: true, ..FileOpened::default() };
    tasks.spawn(serve::run(frames, write, opened, Arc::new(Source { broken }), orders_rx, asked_tx));
    (orders, asked)
}

/// What comes next but progress.
async fn next(got: &mut mpsc::Receiver<Got>) -> Got {
    loop {
        match got.recv().await.unwrap() {
            Got::Bytes { .. } => {}
            other => return other,
        }
    }
}

#[tokio::test]
async fn chunks_and_the_manifest_come_as_they_are() {
    let (mut taker, far) = taker(false);
    let (orders, mut asked) = giver(&mut taker.tasks, far, None).await;
    assert!(matches!(next(&mut taker.got).await, Got::Opened(opened) if opened.complete));
    taker.asks.send(Ask::Manifest).await.unwrap();
    assert_eq!(asked.recv().await, Some(Asked::Manifest));
    orders.send(Order::Manifest).await.unwrap();
    assert!(matches!(next(&mut taker.got).await, Got::Manifest(manifest) if manifest == [9; 96]));
    for chunk in [2, 0, 1] {
        taker.asks.send(Ask::Chunk(chunk)).await.unwrap();
        assert_eq!(asked.recv().await, Some(Asked::Chunk(chunk)));
        orders.send(Order::Send(chunk)).await.unwrap();
        let Got::Chunk { chunk: came, outcome } = next(&mut taker.got).await else { panic!("no chunk") };
        assert!(came == chunk && outcome == Outcome::Verified);
        assert_eq!(asked.recv().await, Some(Asked::Sent(chunk)));
    }
    let written = taker.target.written.lock().unwrap();
    assert!(written.iter().all(|(chunk, bytes)| *bytes == content(*chunk)) && written.len() == 3);
}

#[tokio::test]
async fn refusals_news_and_the_end_come_through() {
    let (mut taker, far) = taker(false);
    let (orders, mut asked) = giver(&mut taker.tasks, far, None).await;
    next(&mut taker.got).await;
    taker.asks.send(Ask::Chunk(1)).await.unwrap();
    taker.asks.send(Ask::Cancel(1)).await.unwrap();
    assert_eq!(asked.recv().await, Some(Asked::Chunk(1)));
    assert_eq!(asked.recv().await, Some(Asked::Cancel(1)));
    taker.asks.send(Ask::Have(vec![0, 2])).await.unwrap();
    assert_eq!(asked.recv().await, Some(Asked::Have(vec![0, 2])));
    orders.send(Order::Refuse(1, Why::Busy)).await.unwrap();
    assert!(matches!(next(&mut taker.got).await, Got::Refused { chunk: 1, why: Why::Busy }));
    taker.asks.send(Ask::Chunk(3)).await.unwrap();
    assert_eq!(asked.recv().await, Some(Asked::Chunk(3)));
    orders.send(Order::Send(3)).await.unwrap();
    assert!(matches!(next(&mut taker.got).await, Got::Refused { chunk: 3, why: Why::NotHere }));
    assert_eq!(asked.recv().await, Some(Asked::Sent(3)));
    orders.send(Order::Have(vec![1, 2])).await.unwrap();
    assert!(matches!(next(&mut taker.got).await, Got::Have(chunks) if chunks == [1, 2]));
    orders.send(Order::End(Why::Denied)).await.unwrap();
    assert!(matches!(next(&mut taker.got).await, Got::Over(Over::Refused(Why::Denied))));
    assert!(taker.got.recv().await.is_none());
}

#[tokio::test]
async fn a_file_that_changes_is_not_given_any_more() {
    let (mut taker, far) = taker(false);
    let (orders, mut asked) = giver(&mut taker.tasks, far, Some(1)).await;
    next(&mut taker.got).await;
    orders.send(Order::Send(1)).await.unwrap();
    assert!(matches!(next(&mut taker.got).await, Got::Over(Over::Refused(Why::Gone))));
    assert_eq!(asked.recv().await, Some(Asked::Over));
}

#[tokio::test]
async fn what_is_taken_back_in_time_is_not_sent() {
    let (mut taker, far) = taker(false);
    let (orders, mut asked) = giver(&mut taker.tasks, far, None).await;
    next(&mut taker.got).await;
    for ask in [Ask::Chunk(1), Ask::Cancel(1), Ask::Chunk(2)] {
        taker.asks.send(ask).await.unwrap();
        asked.recv().await.unwrap();
    }
    for chunk in [1, 2] {
        orders.send(Order::Send(chunk)).await.unwrap();
        assert_eq!(asked.recv().await, Some(Asked::Sent(chunk)));
    }
    assert!(matches!(next(&mut taker.got).await, Got::Chunk { chunk: 2, .. }));
}

#[tokio::test]
async fn a_full_disk_is_told_from_a_bad_source() {
    let (mut taker, far) = taker(true);
    let (orders, mut asked) = giver(&mut taker.tasks, far, None).await;
    next(&mut taker.got).await;
    taker.asks.send(Ask::Chunk(0)).await.unwrap();
    assert_eq!(asked.recv().await, Some(Asked::Chunk(0)));
    orders.send(Order::Send(0)).await.unwrap();
    let Got::Over(Over::Disk(error)) = next(&mut taker.got).await else { panic!("no error") };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

/// What a taker makes of a giver that says this.
async fn says(bodies: Vec<Body>, raw: &[u8]) -> Got {
    let (mut taker, far) = taker(false);
    let (read, mut write) = tokio::io::split(far);
    let mut frames = Frames::new(read);
    assert!(matches!(frames.next().await.unwrap(), Some(Body::Open(_))));
    for ask in [Ask::Chunk(2), Ask::Chunk(3), Ask::Manifest] {
        taker.asks.send(ask).await.unwrap();
        frames.next().await.unwrap();
    }
    for body in bodies {
        wire::write(&mut write, body).await.unwrap();
    }
    // A taker that has seen enough does not read on.
    let _ = write.write_all(raw).await;
    let _ = write.shutdown().await;
    loop {
        match next(&mut taker.got).await {
            Got::Over(over) => return Got::Over(over),
            chunk @ Got::Chunk { outcome: Outcome::Wrong, .. } => return chunk,
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_giver_that_lies_is_found_out() {
    let data = |chunk, bytes| vec![Body::Data(FileData { chunk, bytes })];
    let wrong = says(data(2, LAST as u32), &[0; LAST]).await;
    assert!(matches!(wrong, Got::Chunk { chunk: 2, outcome: Outcome::Wrong }));
    let broken = |got| matches!(got, Got::Over(Over::Broken(_)));
    assert!(broken(says(data(2, LAST as u32 + 1), &[0; 2_000]).await), "too long");
    assert!(broken(says(data(2, u32::MAX), &[0; 2_000]).await), "endless");
    assert!(broken(says(data(3, 1), &[0]).await), "no such chunk");
    assert!(broken(says(vec![Body::Manifest(FileManifest { bytes: u32::MAX })], &[]).await));
    assert!(broken(says(vec![Body::AskManifest(Default::default())], &[]).await), "the wrong side");
    assert!(matches!(says(data(2, LAST as u32), &[0; 5]).await, Got::Over(Over::Lost)), "breaks off");
    let have = || Body::Have(FileHave { chunks: vec![1; 8_000] });
    assert!(matches!(says(vec![have()], &[]).await, Got::Over(Over::Lost)));
    assert!(broken(says((0..9).map(|_| have()).collect(), &[]).await), "tells for ever");
    assert!(broken(says(data(1, CHUNK as u32), &[]).await), "was not asked for that");
    assert!(broken(says(data(2, LAST as u32), &[&content(2)[..], &[0, 0, 0, 0]].concat()).await), "nonsense");
    let refused = |chunk| Body::Refused(FileRefused { why: Why::Busy.into(), chunk });
    let opened = || Body::Opened(FileOpened { complete: true, ..Default::default() });
    assert!(broken(says(vec![opened(), refused(2), refused(2)], &[]).await), "answers twice");
    // That is no lie: it has no place.
    let over = says(vec![refused(0)], &[]).await;
    assert!(matches!(over, Got::Over(Over::Refused(Why::Busy))), "{over:?}");
}

#[tokio::test]
async fn a_taker_that_does_not_say_what_it_wants_is_let_go() {
    tokio::time::pause();
    let (near, far) = tokio::io::duplex(1000);
    assert!(serve::open(far).await.is_err(), "silence");
    let (mut near, far) = (near, tokio::io::duplex(1000));
    near.shutdown().await.unwrap();
    let (mut taking, giving) = far;
    wire::write(&mut taking, Body::AskManifest(Default::default())).await.unwrap();
    assert!(serve::open(giving).await.is_err(), "another frame");
}
