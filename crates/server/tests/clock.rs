//! A clock that jumps: a day and more, forward and back, while people talk.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use hobnob_protocol::v1::{self, client_frame::Body, login_refused::Reason, submit::Op, submitted::Outcome};
use hobnob_server::{config::Policy, store::Store};
use support::TestServer;
use tokio::time::sleep;

const DAY: i64 = 24 * 60 * 60 * 1000;

fn message(to: &str, text: &str) -> Op {
    Op::Message(v1::DirectMessage { to: to.to_owned(), text: text.to_owned() })
}

/// Lets the server notice.
async fn a_moment() {
    sleep(Duration::from_secs(3)).await;
}

async fn set(server: &TestServer, ahead_ms: i64) {
    server.ahead_ms.store(ahead_ms, Ordering::Relaxed);
    a_moment().await;
}

async fn fails(server: &mut TestServer, name: &str, password: &str) -> Reason {
    let mut connection = server.connect();
    connection.hello().await;
    let login = connection.login_frame(name, password, false);
    connection.refused(login).await
}

#[tokio::test(start_paused = true)]
async fn nobody_is_locked_out_for_a_day_because_the_clock_was_set_back() {
    let mut server = TestServer::new(Policy::default());
    server.login("hans").await;
    set(&server, DAY).await;
    for reason in [Reason::WrongPassword, Reason::WrongPassword, Reason::LockedNow] {
        assert_eq!(fails(&mut server, "hans", "wrong").await, reason);
    }
    set(&server, 0).await;
    assert_eq!(fails(&mut server, "hans", "secret").await, Reason::Locked, "still, for the rest of a minute");
    sleep(Duration::from_secs(61)).await;
    let mut hans = server.connect();
    hans.hello().await;
    let login = hans.login_frame("hans", "secret", false);
    hans.opened(login).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_outlives_a_clock_that_was_wrong_for_a_while() {
    for ahead in [DAY, 400 * DAY, -DAY, -99 * DAY] {
        println!("ahead by {ahead} ms");
        let mut server = TestServer::new(Policy::default());
        let (hans, opened) = server.login("hans").await;
        drop(hans);
        // Offline, when its grace is over.
        sleep(Duration::from_secs(40)).await;
        set(&server, ahead).await;
        set(&server, 0).await;
        let mut hans = server.connect();
        hans.hello().await;
        let resume = hans.resume_frame("hans", &opened);
        hans.opened(resume).await;
        // And so it does while the clock is wrong.
        set(&server, ahead).await;
        drop(hans);
        sleep(Duration::from_secs(40)).await;
        let mut hans = server.connect();
        hans.hello().await;
        let resume = hans.resume_frame("hans", &opened);
        hans.opened(resume).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_ends_when_it_is_old() {
    let mut server = TestServer::new(Policy::default());
    let (hans, opened) = server.login("hans").await;
    drop(hans);
    sleep(Duration::from_secs(40)).await;
    // A clock that stays where it was set to is believed, after a day.
    set(&server, 31 * DAY).await;
    sleep(Duration::from_secs(25 * 60 * 60)).await;
    let mut hans = server.connect();
    hans.hello().await;
    let resume = hans.resume_frame("hans", &opened);
    assert_eq!(hans.refused(resume).await, Reason::UnknownToken);
}

#[tokio::test(start_paused = true)]
async fn who_left_while_the_clock_was_ahead_is_not_seen_for_a_day() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    let since = |seconds| Body::WhoElseSince(v1::WhoElseSince { seconds });
    set(&server, DAY).await;
    yoda.ask(Body::Logout(v1::Logout {})).await;
    yoda.closed().await;
    assert_eq!(hans.names(since(60)).await, ["yoda"]);
    set(&server, 0).await;
    assert_eq!(hans.names(since(60)).await, ["yoda"], "it was just now");
    sleep(Duration::from_secs(600)).await;
    // The old connection has not answered for all that time.
    let (mut hans, _) = server.login("hans").await;
    assert!(hans.names(since(300)).await.is_empty());
    assert_eq!(hans.names(since(900)).await, ["yoda"]);
    // Coming and going again counts from then.
    let (mut yoda, _) = server.login("yoda").await;
    yoda.ask(Body::Logout(v1::Logout {})).await;
    yoda.closed().await;
    assert_eq!(hans.names(since(60)).await, ["yoda"]);
}

#[tokio::test(start_paused = true)]
async fn messages_come_each_once_in_order_whatever_the_clock_says() {
    for history in [None, Some(Duration::from_secs(60 * 60))] {
        let mut server = TestServer::new(Policy { history, ..Policy::default() });
        let (mut hans, _) = server.login("hans").await;
        let (yoda, opened) = server.login("yoda").await;
        drop(yoda);
        for (number, ahead) in (1..).zip([0, DAY, 0, -DAY, 400 * DAY, 0]) {
            set(&server, ahead).await;
            let outcome = hans.outcome(number, message("yoda", &number.to_string())).await;
            assert_eq!(outcome, Outcome::Accepted);
        }
        sleep(Duration::from_secs(25 * 60 * 60)).await;
        let mut yoda = server.connect();
        yoda.hello().await;
        let resume = yoda.resume_frame("yoda", &opened);
        yoda.opened(resume).await;
        for number in 1..=6 {
            assert_eq!(yoda.entry().await, format!("hans: {number}"), "none is removed before it was shown");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_outlives_a_start_with_a_clock_that_is_a_year_early() {
    use hobnob_server::{store::memory::MemoryStore, upkeep};
    let store = MemoryStore::new(bytes::Bytes::from_static(b"epoch"));
    let mut server = TestServer::on(store.clone(), Policy::default());
    let (hans, opened) = server.login("hans").await;
    let (_yoda, of_yoda) = server.login("yoda").await;
    drop(hans);
    // Offline, when its grace is over; yoda is online to the end.
    sleep(Duration::from_secs(40)).await;
    drop(server);
    // The second is right again, and would remove what looks old.
    for ahead in [-365 * DAY, 60_000] {
        let mut server = TestServer::on(store.clone(), Policy::default());
        // Its random numbers would be those of the first.
        (0..1_000).for_each(|_| server.node.world.fill(&mut [0; 8]));
        server.ahead_ms.store(ahead, Ordering::Relaxed);
        upkeep::restore_sessions(&server.node).await.unwrap();
        sleep(Duration::from_secs(40)).await;
        for (name, opened) in [("hans", &opened), ("yoda", &of_yoda)] {
            if ahead > 0 {
                let mut connection = server.connect();
                connection.hello().await;
                let resume = connection.resume_frame(name, opened);
                connection.opened(resume).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_draws_back_what_a_clock_that_was_ahead_has_left() {
    use hobnob_server::{store::memory::MemoryStore, upkeep};
    let store = MemoryStore::new(bytes::Bytes::from_static(b"epoch"));
    let mut server = TestServer::on(store.clone(), Policy::default());
    server.ahead_ms.store(DAY, Ordering::Relaxed);
    server.login("hans").await;
    for _ in 0..3 {
        fails(&mut server, "hans", "wrong").await;
    }
    drop(server);
    let mut server = TestServer::on(store.clone(), Policy::default());
    // Its random numbers would be those of the first.
    (0..1_000).for_each(|_| server.node.world.fill(&mut [0; 8]));
    upkeep::restore_sessions(&server.node).await.unwrap();
    let listed = store.accounts("", 1).unwrap().remove(0);
    assert!(listed.blocked_until_ms <= server.node.world.now_ms() + 60_000);
    sleep(Duration::from_secs(61)).await;
    let mut connection = server.connect();
    connection.hello().await;
    let login = connection.login_frame("hans", "secret", false);
    connection.opened(login).await;
}
