//! Rules that change while sessions live by them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use hobnob_protocol::{
    close::Close,
    v1::{login_refused::Reason, submitted::Outcome},
};
use hobnob_server::config::Policy;
use support::{TestServer, message};
use tokio::time::{Instant, sleep};

/// Changes the rules as `hobnob serve` does.
fn set(server: &TestServer, change: impl FnOnce(&mut Policy)) {
    let mut policy = Policy::clone(&server.node.policy.get());
    change(&mut policy);
    server.node.policy.set(policy);
    server.node.hub.connected().iter().for_each(|(_, handle)| handle.look_again());
}

#[tokio::test(start_paused = true)]
async fn limits_count_for_sessions_under_way() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, opened) = server.login("hans").await;
    let (yoda, _) = server.login("yoda").await;
    drop(yoda);
    assert_eq!(opened.limits.unwrap().send_rate, 50);
    assert_eq!(hans.outcome(1, message("yoda", "1")).await, Outcome::Accepted);
    set(&server, |policy| policy.inbox.entries_per_sender = 2);
    assert_eq!(hans.outcome(2, message("yoda", "2")).await, Outcome::Accepted);
    assert_eq!(hans.outcome(3, message("yoda", "3")).await, Outcome::InboxFull);
    set(&server, |policy| {
        policy.inbox.entries_per_sender = 1000;
        policy.send_rate = Some(1);
    });
    let start = Instant::now();
    for number in 4..=9 {
        assert_eq!(hans.outcome(number, message("yoda", "x")).await, Outcome::Accepted);
    }
    assert!(start.elapsed() > Duration::from_secs(1), "four at once, then one a second");
    set(&server, |policy| policy.send_rate = None);
    hans.outcome(10, message("yoda", "x")).await;
    let start = Instant::now();
    for number in 11..=60 {
        assert_eq!(hans.outcome(number, message("yoda", "x")).await, Outcome::Accepted);
    }
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn who_idles_already_is_out_when_the_new_time_is_up() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    sleep(Duration::from_secs(3)).await;
    set(&server, |policy| policy.idle_timeout = Some(Duration::from_secs(5)));
    let start = Instant::now();
    assert_eq!(hans.closed().await, Some(Close::Idle));
    assert!((1..=3).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn registration_can_be_closed_and_more_sessions_allowed() {
    let mut server = TestServer::new(Policy::default());
    let (_hans, _) = server.login("hans").await;
    set(&server, |policy| {
        policy.registration_open = false;
        policy.sessions_per_user = 2;
        policy.welcome = "Hi".to_owned();
    });
    let mut luke = server.connect();
    luke.hello().await;
    let login = luke.login_frame("luke", "secret", true);
    assert_eq!(luke.refused(login).await, Reason::WrongPassword);
    let (_second, opened) = server.login("hans").await;
    assert_eq!(opened.welcome, "Hi");
}
