//! Sources and takers that lie, boast, flood or fall silent: they are found out and dropped, and the honest finish.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod files_common;

use std::time::Duration;

use files_common::child::{self, Other};
use files_common::hostile::{HandGiver, HandTaker, Log, Manner};
use files_common::{Node, SOON, Server, Way, content, now_ms, public, ticket};
use futures_util::future::join_all;
use hobnob_peer::file::ContentId;
use hobnob_peer::files::Content;
use hobnob_protocol::v1::{FileHave, file_frame::Body};
use tempfile::TempDir;
use tokio::time::timeout;

const CHUNK: usize = 256 * 1024;
/// A peer that is attacked needs no more memory than this, in MiB.
const MEMORY_MIB: u64 = 150;

/// Who does any of this lies, and is never called again for this file.
const LIARS: [Manner; 15] = [
    Manner::Wrong,
    Manner::WrongLast,
    Manner::WrongManifest,
    Manner::LongManifest,
    Manner::EndlessManifest,
    Manner::Long,
    Manner::Short,
    Manner::Huge,
    Manner::Endless,
    Manner::Other,
    Manner::Opening,
    Manner::Telling,
    Manner::Nonsense,
    Manner::HugeFrame,
    Manner::Refusing,
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "other tests begin it"]
async fn a_device_in_a_process_of_its_own() {
    child::play().await;
}

/// A source of this manner, alone at first so that it is asked, and then an honest one, which takes longer than a
/// failed source is left alone. What the first has seen.
async fn beside_an_honest_one(manner: Manner) -> Log {
    let server = Server::default();
    let bytes = content(24 * CHUNK + 5, 9);
    let bad = HandGiver::start(&server, 10, &bytes, manner).await;
    let mut taker = Node::start(&server, 2, Way::Tcp).await;
    taker.download(bad.content);
    bad.called().await;
    let good = HandGiver::start(&server, 11, &bytes, Manner::Paced(Duration::from_millis(150))).await;
    let path = taker.downloaded().await;
    assert!(std::fs::read(path).unwrap() == bytes, "{manner:?}");
    let claims_only = matches!(manner, Manner::Beyond | Manner::TellingNonsense);
    assert!(claims_only || good.log().sent.len() >= 20, "{manner:?}: {:?}", good.log().sent.len());
    taker.leave().await;
    bad.log()
}

async fn all_at_once(manners: &[Manner]) -> Vec<(Manner, Log)> {
    let each = |manner: Manner| Box::pin(async move { (manner, beside_an_honest_one(manner).await) });
    timeout(SOON, join_all(manners.iter().copied().map(each))).await.expect("all come to their end")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_lies_is_never_asked_again() {
    for (manner, log) in all_at_once(&LIARS).await {
        assert_eq!(log.calls, 1, "{manner:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_silent_or_boasts_does_not_keep_a_file_from_coming() {
    let manners = [
        Manner::Silent,
        Manner::Mute,
        Manner::HalfAndSilent,
        Manner::Half,
        Manner::Boastful,
        Manner::Beyond,
        Manner::TellingNonsense,
    ];
    for (manner, log) in all_at_once(&manners).await {
        match manner {
            // What it has it gives; only its claims go too far.
            Manner::Beyond | Manner::TellingNonsense => assert!(!log.sent.is_empty(), "{manner:?}"),
            // Asked again later, but not again and again.
            _ => {
                assert!(log.calls <= 4 && log.asked.len() <= 64, "{manner:?}: {} {:?}", log.calls, log.asked)
            }
        }
    }
}

/// All of them at once, against one download in a process of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_among_many_liars_needs_little_memory() {
    let (server, folder) = (Server::default(), TempDir::new().unwrap());
    let bytes = content(64 * CHUNK + 5, 12);
    let mut givers = Vec::new();
    for (manner, number) in LIARS.iter().chain(&[Manner::Silent, Manner::HalfAndSilent]).zip(20..) {
        givers.push(HandGiver::start(&server, number, &bytes, *manner).await);
    }
    givers.push(HandGiver::start(&server, 10, &bytes, Manner::Paced(Duration::from_millis(20))).await);
    let at: Vec<_> = givers.iter().map(HandGiver::at).collect();
    let mut other = Other::downloads(folder.path(), givers[0].content, &at);
    assert!(std::fs::read(other.downloaded().await).unwrap() == bytes);
    let peak = other.peak_mib();
    assert!(peak < MEMORY_MIB, "{peak} MiB");
    for (giver, manner) in givers.iter().zip(LIARS) {
        assert!(giver.log().calls <= 1, "{manner:?}");
    }
    other.kill().await;
}

/// A device that shares, in a process of its own.
struct Victim {
    other: Other,
    address: String,
    shared: Content,
    bytes: Vec<u8>,
    _folder: TempDir,
}

impl Victim {
    async fn start(chunks: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let bytes = content(chunks * CHUNK, 13);
        let file = folder.path().join("shared.bin");
        std::fs::write(&file, &bytes).unwrap();
        let (other, address) = Other::shares(folder.path(), &file).await;
        let shared = Content { id: ContentId::of(&bytes), size: bytes.len() as u64 };
        Self { other, address, shared, bytes, _folder: folder }
    }

    async fn taker(&self, number: u8, content: Content) -> Option<HandTaker> {
        let ticket = ticket(public([number; 32]), &format!("mallory{number}"), content, now_ms() + 60_000);
        HandTaker::call(&self.address, public([child::NUMBER; 32]), number, content, ticket).await
    }

    /// One that was let in.
    async fn inside(&self, number: u8) -> HandTaker {
        let mut taker = self.taker(number, self.shared).await.unwrap();
        let opened = timeout(SOON, taker.next()).await.unwrap();
        assert!(matches!(opened, Some(Body::Opened(_))), "{opened:?}");
        taker
    }

    /// It needs little memory, and somebody honest gets the file.
    async fn stands(self) {
        let server = Server::default();
        server.holds(public([child::NUMBER; 32]), "user", self.shared, &self.address);
        let mut taker = Node::start(&server, 3, Way::Tcp).await;
        taker.download(self.shared);
        assert!(std::fs::read(taker.downloaded().await).unwrap() == self.bytes);
        let peak = self.other.peak_mib();
        assert!(peak < MEMORY_MIB, "{peak} MiB");
        self.other.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_many_thousand_times_and_never_reads_is_put_out() {
    let victim = Victim::start(64).await;
    for number in 40..44 {
        let mut taker = victim.inside(number).await;
        let over = async {
            let mut asked = 0_u32;
            while taker.ask(asked % 64).await {
                asked += 1;
            }
            asked
        };
        let asked = timeout(SOON, over).await.expect("it is put out");
        assert!(asked < 100_000, "{asked}");
    }
    victim.stands().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_and_takes_back_for_ever_needs_little() {
    let victim = Victim::start(64).await;
    let mut taker = victim.inside(40).await;
    for number in 0..20_000 {
        if !taker.ask(number % 64).await || !taker.cancel(number % 64).await {
            break;
        }
    }
    victim.stands().await;
    drop(taker);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_what_is_not_there_or_not_shared_gets_nothing() {
    let victim = Victim::start(8).await;
    let mut inside = victim.inside(40).await;
    let over = async {
        let mut refused = 0;
        while inside.ask(8 + refused).await {
            match inside.next().await {
                Some(Body::Refused(_)) => refused += 1,
                Some(other) => panic!("{other:?}"),
                None => break,
            }
        }
        refused
    };
    let refused = timeout(SOON, over).await.expect("it is put out");
    assert!((100..2000).contains(&refused), "{refused}");
    for number in 0..300_u32 {
        let other = Content { id: ContentId::of(&number.to_le_bytes()), size: 4 };
        let taker = victim.taker(41, other).await;
        // Refused, or not even listened to while so many come.
        if let Some(mut taker) = taker {
            let answer = timeout(SOON, taker.next()).await.expect("an answer");
            assert!(matches!(answer, None | Some(Body::Refused(_))), "{answer:?}");
        }
    }
    victim.stands().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_floods_with_maps_is_put_out() {
    let victim = Victim::start(8).await;
    for chunks in [vec![u32::MAX; 5000], (0..5000).collect(), Vec::new()] {
        let mut taker = victim.inside(40).await;
        let over = async { while taker.say(Body::Have(FileHave { chunks: chunks.clone() })).await {} };
        timeout(SOON, over).await.expect("it is put out");
    }
    victim.stands().await;
}
