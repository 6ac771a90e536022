//! The streams that files go over.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::time::Duration;

use hobnob_peer::network::{LinkEvent, Network, NetworkEvents, Setup};
use hobnob_protocol::v1;
use ring::signature::{Ed25519KeyPair, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(60);
/// Nothing has moved for so long: the window is full.
const QUIET: Duration = Duration::from_millis(500);
const BLOCK: usize = 256 * 1024;
/// More than all windows together.
const BLOCKS: usize = 128;

async fn device(seed: u8) -> (Network, NetworkEvents, v1::Contact) {
    let setup = Setup { seed: [seed; 32], relay: None, relay_only: false };
    let (network, mut events) = Network::open(setup).await.unwrap();
    loop {
        if let LinkEvent::Contact(contact) = timeout(SOON, events.next()).await.unwrap().unwrap() {
            return (network, events, contact);
        }
    }
}

/// Once such a connection died of more than 2,048 packets that nobody had read yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_bears_a_taker_that_is_late() {
    let (giving, _giving_events, contact) = device(1).await;
    let (taking, _taking_events, _) = device(2).await;
    let key: [u8; 32] =
        Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap().public_key().as_ref().try_into().unwrap();
    giving.files().open(true);
    let (given_in, mut given) = watch::channel(0);
    let port = giving.files();
    let mut give = JoinSet::new();
    give.spawn(async move {
        let mut call = port.accept().await.unwrap();
        assert!(call.admit().await);
        let mut io = call.take_io().unwrap();
        let mut greeting = [0; 1];
        io.read_exact(&mut greeting).await.unwrap();
        for block in 0..BLOCKS {
            io.write_all(&[block as u8; BLOCK]).await.unwrap();
            given_in.send_replace(block + 1);
        }
        io.shutdown().await.unwrap();
        call.linger().await;
    });
    let mut stream = timeout(SOON, taking.files().dial(key, &contact)).await.unwrap().unwrap();
    let mut io = stream.take_io().unwrap();
    io.write_all(&[1]).await.unwrap();
    let mut block = vec![0; BLOCK];
    for number in 0..BLOCKS {
        if number % 32 == 0 {
            while let Ok(Ok(())) = timeout(QUIET, given.changed()).await {}
            assert!(*given.borrow() < BLOCKS || number > 64, "the other is held back");
        }
        timeout(SOON, io.read_exact(&mut block)).await.unwrap().unwrap();
        assert!(block.iter().all(|byte| *byte == number as u8));
    }
    drop((io, stream));
    timeout(SOON, give.join_next()).await.unwrap().unwrap().unwrap();
    giving.close().await;
    taking.close().await;
}
