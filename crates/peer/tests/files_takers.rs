//! Takers that have no right, or make trouble.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod files_common;

use files_common::hostile::HandTaker;
use files_common::{Node, SOON, Server, Way, content, now_ms, public, ticket};
use hobnob_peer::file::ContentId;
use hobnob_peer::files::Content;
use hobnob_protocol::v1::{FileHave, file_frame::Body, file_refused::Why};
use tokio::time::timeout;

const CHUNK: usize = 256 * 1024;
const NUMBER: u8 = 9;

struct Scene {
    server: Server,
    giver: Node,
    shared: Content,
    bytes: Vec<u8>,
}

impl Scene {
    async fn begin(chunks: usize) -> Self {
        let server = Server::default();
        let mut giver = Node::start(&server, 1, Way::Tcp).await;
        let bytes = content(chunks * CHUNK, 5);
        let shared = giver.share("a.bin", &bytes).await;
        Self { server, giver, shared, bytes }
    }

    fn tcp(&self) -> String {
        let sources = self.server.sources([0; 32], "", self.shared);
        sources.sources[0].tcp[0].clone()
    }

    async fn call(&self, content: Content, ticket: (Vec<u8>, Vec<u8>)) -> HandTaker {
        HandTaker::call(&self.tcp(), self.giver.key(), NUMBER, content, ticket).await.unwrap()
    }

    fn good(&self, content: Content) -> (Vec<u8>, Vec<u8>) {
        ticket(public([NUMBER; 32]), "mallory", content, now_ms() + 60_000)
    }

    /// One that was let in.
    async fn taker(&self) -> HandTaker {
        let mut taker = self.call(self.shared, self.good(self.shared)).await;
        assert!(matches!(taker.next().await, Some(Body::Opened(opened)) if opened.complete));
        taker
    }

    /// Somebody honest gets the file.
    async fn serves_others(&self) {
        let mut taker = Node::start(&self.server, 2, Way::Tcp).await;
        taker.download(self.shared);
        assert!(std::fs::read(taker.downloaded().await).unwrap() == self.bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_ticket_nothing_is_given() {
    let scene = Scene::begin(3).await;
    let (shared, mine) = (scene.shared, public([NUMBER; 32]));
    let other = Content { id: ContentId::of(b"other"), size: 5 };
    let soon = now_ms() + 60_000;
    let mut forged = scene.good(shared);
    forged.1[0] ^= 1;
    for (why, content, ticket) in [
        ("forged", shared, forged),
        ("none", shared, (Vec::new(), Vec::new())),
        ("another's", shared, ticket(public([3; 32]), "mallory", shared, soon)),
        ("for another file", shared, scene.good(other)),
        ("old", shared, ticket(mine, "mallory", shared, now_ms() - 1)),
    ] {
        let mut taker = scene.call(content, ticket).await;
        assert_eq!(timeout(SOON, taker.refusal()).await.unwrap(), Some(Why::Denied), "{why}");
        assert_eq!(taker.next().await, None, "{why}");
    }
    let mut taker = scene.call(other, scene.good(other)).await;
    assert_eq!(taker.refusal().await, Some(Why::Gone), "not offered");
    scene.serves_others().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_are_not_there_are_refused() {
    let scene = Scene::begin(3).await;
    let mut taker = scene.taker().await;
    for chunk in [3, 4, u32::MAX] {
        assert!(taker.ask(chunk).await);
        assert_eq!(taker.refusal().await, Some(Why::NotHere));
    }
    assert!(taker.ask(2).await);
    assert!(matches!(taker.next().await, Some(Body::Data(data)) if data.chunk == 2));
    assert!(taker.ask_manifest().await);
    assert!(matches!(taker.next().await, Some(Body::Manifest(manifest)) if manifest.bytes == 96));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_nonsense_for_ever_is_put_out() {
    let scene = Scene::begin(3).await;
    let mut taker = scene.taker().await;
    let over = async {
        loop {
            if !taker.ask(7).await || taker.next().await.is_none() {
                return;
            }
        }
    };
    timeout(SOON, over).await.expect("it is put out");
    let mut taker = scene.taker().await;
    let over = async { while taker.say(Body::Have(FileHave { chunks: vec![1; 1000] })).await {} };
    timeout(SOON, over).await.expect("it is put out");
    let mut taker = scene.taker().await;
    let over = async { while taker.ask_manifest().await && taker.next().await.is_some() {} };
    timeout(SOON, over).await.expect("it is put out");
    scene.serves_others().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_and_never_reads_holds_up_nobody() {
    let scene = Scene::begin(200).await;
    let mut takers = Vec::new();
    for _ in 0..2 {
        let mut taker = scene.taker().await;
        for chunk in 0..200 {
            taker.ask(chunk).await;
        }
        takers.push(taker);
    }
    timeout(SOON, scene.serves_others()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_key_there_is_a_limit_and_who_is_beyond_it_is_told_to_come_later() {
    let mut scene = Scene::begin(3).await;
    let mut contents = vec![scene.shared];
    for number in 0..17 {
        contents.push(scene.giver.share(&format!("{number}"), &content(CHUNK, 20 + number)).await);
    }
    let mut inside = Vec::new();
    for content in &contents[..16] {
        let mut taker = scene.call(*content, scene.good(*content)).await;
        assert!(matches!(timeout(SOON, taker.next()).await.unwrap(), Some(Body::Opened(_))));
        inside.push(taker);
    }
    for content in &contents[16..] {
        let mut taker = scene.call(*content, scene.good(*content)).await;
        assert_eq!(timeout(SOON, taker.refusal()).await.unwrap(), Some(Why::Busy));
    }
    // Another stream for the same takes the place of the first.
    for _ in 0..40 {
        let again = scene.taker().await;
        let first = std::mem::replace(&mut inside[0], again);
        let mut first = first;
        assert_eq!(timeout(SOON, first.next()).await.unwrap(), None);
    }
    let others = inside.split_off(1);
    for (mut taker, number) in others.into_iter().zip(1..) {
        assert!(taker.ask(0).await);
        let answer = timeout(SOON, taker.next()).await.unwrap();
        assert!(matches!(answer, Some(Body::Data(_))), "{number}: {answer:?}");
    }
    drop(inside);
    scene.serves_others().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_closes_what_is_open_and_stays() {
    let scene = Scene::begin(3).await;
    let mut taker = scene.taker().await;
    scene.giver.files().block("Mallory").unwrap();
    assert_eq!(timeout(SOON, taker.next()).await.unwrap(), None);
    let mut again = scene.call(scene.shared, scene.good(scene.shared)).await;
    // As if it were not shared.
    assert_eq!(again.refusal().await, Some(Why::Gone));
    scene.giver.files().unblock("mallory").unwrap();
    scene.taker().await;
    scene.serves_others().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_its_ticket_has_expired_a_taker_gets_nothing_more() {
    let scene = Scene::begin(3).await;
    let expires_ms = now_ms() + 2_000;
    let ticket = ticket(public([NUMBER; 32]), "mallory", scene.shared, expires_ms);
    let mut taker = scene.call(scene.shared, ticket).await;
    assert!(matches!(taker.next().await, Some(Body::Opened(_))));
    let asking = async { while taker.ask(0).await && taker.next().await.is_some() {} };
    timeout(SOON, asking).await.expect("it is put out");
    assert!(now_ms() >= expires_ms);
    scene.serves_others().await;
}
