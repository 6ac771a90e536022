//! What was said once is not said again by a copy of it, under whatever name or number the copy comes.

use bytes::Bytes;
use hobnob_protocol::v1::{self, client_frame::Body, server_frame::Body as Event, submitted::Outcome};
use hobnob_server::config::Policy;

use crate::support::{Connection, TestServer, broadcast, message};

/// The texts of the entries that come now.
async fn entries(of: &mut Connection) -> Vec<String> {
    let _ = of.request(Body::ListBlocks(v1::ListBlocks {})).await;
    let events = of.events.drain(..).filter_map(|event| match event {
        Event::Entry(entry) => Some(format!("{}: {}", entry.sender, entry.text)),
        _ => None,
    });
    events.collect()
}

/// The name of an outbox is no secret and no right: under another's name everybody has an outbox of their own.
#[tokio::test(start_paused = true)]
async fn an_outbox_named_like_another_s_is_one_s_own() {
    let mut server = TestServer::new(Policy::default());
    let (mut yoda, _) = server.login("yoda").await;
    let (mut hans, _) = server.login("hans").await;
    let outbox = hans.device("hans").outbox;
    for number in 1..=3 {
        assert_eq!(hans.outcome(number, message("yoda", &format!("{number}"))).await, Outcome::Accepted);
    }
    assert_eq!(entries(&mut yoda).await, ["hans: 1", "hans: 2", "hans: 3"]);
    let mut luke = server.connect();
    luke.hello().await;
    let Body::Login(mut login) = luke.login_frame("luke", "secret", true) else { panic!() };
    login.device.as_mut().unwrap().outbox = outbox;
    let opened = luke.opened(Body::Login(login)).await;
    assert_eq!(opened.outbox_last, 0);
    // Neither is what hans said repeated, nor can numbers of hans be used up.
    assert_eq!(luke.outcome(4, message("yoda", "4")).await, Outcome::Gap);
    assert_eq!(luke.outcome(1, message("yoda", "1")).await, Outcome::Accepted);
    assert_eq!(entries(&mut yoda).await, ["luke: 1"]);
    assert_eq!(hans.outcome(4, message("yoda", "4")).await, Outcome::Accepted);
    assert_eq!(entries(&mut yoda).await, ["hans: 4"]);
}

/// A number that was judged has its effect once, whatever comes under it afterwards.
#[tokio::test(start_paused = true)]
async fn a_number_with_other_content_has_no_effect() {
    let mut server = TestServer::new(Policy::default());
    let (mut yoda, _) = server.login("yoda").await;
    let (mut luke, _) = server.login("luke").await;
    let (mut hans, _) = server.login("hans").await;
    assert_eq!(hans.outcome(1, message("yoda", "pay luke 1")).await, Outcome::Accepted);
    for forged in [message("yoda", "pay luke 100"), message("luke", "pay luke 1"), broadcast("pay luke 1")] {
        assert_eq!(hans.outcome(1, forged).await, Outcome::Stale);
    }
    assert_eq!(hans.outcome(1, message("yoda", "pay luke 1")).await, Outcome::Accepted, "the first answer");
    for far in [0, u64::MAX, 3] {
        assert_ne!(hans.outcome(far, message("yoda", "far")).await, Outcome::Accepted, "{far}");
    }
    assert_eq!(entries(&mut yoda).await, ["hans: pay luke 1"]);
    assert_eq!(entries(&mut luke).await, [] as [&str; 0]);
}

/// Cursors are one's own: nobody can have another's messages passed over, or see them.
#[tokio::test(start_paused = true)]
async fn what_a_client_claims_to_have_seen_concerns_its_own_inbox_alone() {
    let mut server = TestServer::new(Policy::default());
    let (yoda, of_yoda) = server.login("yoda").await;
    drop(yoda);
    let (mut hans, of_hans) = server.login("hans").await;
    assert_eq!(hans.outcome(1, message("yoda", "hi")).await, Outcome::Accepted);
    for (inbox, broadcast) in [(u64::MAX, u64::MAX), (1, 1)] {
        hans.send(0, Body::Received(v1::Received { inbox, broadcast })).await;
    }
    // A fetch has no name of an inbox in it; the position of a resume has, by its epoch.
    let fetch = v1::Fetch { stream: v1::Stream::Inbox as i32, after: 0 };
    let _ = hans.request(Body::Fetch(fetch)).await;
    assert_eq!(entries(&mut hans).await, [] as [&str; 0]);
    assert_ne!(of_yoda.epoch, of_hans.epoch);
    drop(hans);
    let mut hans = server.connect();
    hans.hello().await;
    let forged = v1::Opened { epoch: of_yoda.epoch.clone(), inbox: 1, ..of_hans };
    let resume = hans.resume_frame("hans", &forged);
    hans.opened(resume).await;
    let mut yoda = server.connect();
    yoda.hello().await;
    let login = yoda.login_frame("yoda", "secret", false);
    let opened = yoda.opened(login).await;
    assert_eq!(
        (opened.inbox, opened.epoch),
        (0, of_yoda.epoch),
        "nothing is taken for seen, nothing starts over"
    );
    assert_eq!(entries(&mut yoda).await, ["hans: hi"]);
}

/// The same frame many times, as a proxy that was told to retry would send it.
#[tokio::test(start_paused = true)]
async fn a_frame_that_comes_again_ends_the_connection_and_says_nothing_twice() {
    let mut server = TestServer::new(Policy::default());
    let (mut yoda, _) = server.login("yoda").await;
    let (mut hans, _) = server.login("hans").await;
    let body = crate::support::submit(1, message("yoda", "once"));
    let frame = hobnob_protocol::codec::encode(&v1::ClientFrame { id: 90, body: Some(body) });
    for _ in 0..3 {
        hans.send_raw(Bytes::clone(&frame)).await;
    }
    assert_eq!(hans.closed().await, Some(hobnob_protocol::close::Close::BadFrame));
    // The connection may be closed before what it has sent is written.
    let mut seen = Vec::new();
    for _ in 0..100 {
        seen.extend(entries(&mut yoda).await);
    }
    assert_eq!(seen, ["hans: once"]);
}
