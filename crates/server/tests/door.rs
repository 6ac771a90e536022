//! Connections before a login: bounded, refused clearly, and no way to learn anything.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use hobnob_protocol::{
    close::Close,
    codec,
    limits::{FRAME_BYTES_MAX, LOGIN_FRAME_BYTES_MAX, LOGIN_FRAMES_MAX, LOGIN_TIMEOUT},
    v1::{self, ClientFrame, client_frame::Body, found::Answer, login_refused::Reason, refused, reply},
};
use hobnob_server::{
    config::{Policy, Registration},
    link::Incoming,
};
use support::*;
use tokio::time::Instant;

fn hello(version: u32) -> Body {
    Body::Hello(v1::Hello { version, ..v1::Hello::default() })
}

fn lookup(name: &str) -> Body {
    Body::Lookup(v1::Lookup { name: name.to_owned(), ..v1::Lookup::default() })
}

#[tokio::test(start_paused = true)]
async fn what_is_no_hello_closes_the_connection_with_a_reason() {
    let frame = |id, body| codec::encode(&ClientFrame { id, body: Some(body) }).to_vec();
    let cases: [(&str, Vec<u8>, Close); 7] = [
        ("unknown version", frame(1, hello(99)), Close::UnsupportedVersion),
        ("no hello", frame(1, lookup("hans")), Close::BadFrame),
        ("no id", frame(0, hello(1)), Close::BadFrame),
        ("truncated", frame(1, hello(1))[..3].to_vec(), Close::BadFrame),
        ("not UTF-8", vec![0x08, 0x01, 0x12, 0x04, 0x1a, 0x02, 0xff, 0xfe], Close::BadFrame),
        ("random", (0..200).map(|byte: u32| (byte * 97 % 251) as u8).collect(), Close::BadFrame),
        ("oversized", vec![0; LOGIN_FRAME_BYTES_MAX + 1], Close::TooLarge),
    ];
    let mut server = TestServer::new(Policy::default());
    for (case, bytes, expected) in cases {
        let mut connection = server.connect();
        connection.send_raw(bytes).await;
        assert_eq!(connection.closed().await, Some(expected), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_frame_at_all_closes_the_connection() {
    let mut server = TestServer::new(Policy::default());
    let mut connection = server.connect();
    connection.to_server.send(Incoming::Bad(Close::BadFrame)).await.unwrap();
    assert_eq!(connection.closed().await, Some(Close::BadFrame));
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed_in_time() {
    let mut server = TestServer::new(Policy::default());
    let (start, mut connection) = (Instant::now(), server.connect());
    assert_eq!(connection.closed().await, Some(Close::LoginTimeout));
    assert_eq!(start.elapsed(), LOGIN_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn endless_talk_before_a_login_ends() {
    let mut server = TestServer::new(Policy::default());
    let mut connection = server.connect();
    connection.hello().await;
    for _ in 1..LOGIN_FRAMES_MAX {
        connection.request(lookup("hans")).await;
    }
    assert_eq!(connection.closed().await, Some(Close::LoginTimeout));
}

#[tokio::test(start_paused = true)]
async fn commands_and_unknown_requests_before_a_login_are_refused_and_the_talk_goes_on() {
    let mut server = TestServer::new(Policy::default());
    let mut connection = server.connect();
    connection.hello().await;
    for (body, expected) in [
        (Body::WhoElse(v1::WhoElse {}), refused::Reason::NotLoggedIn),
        (hello(1), refused::Reason::NotLoggedIn),
    ] {
        let reply::Body::Refused(refused) = connection.request(body).await else { panic!() };
        assert_eq!(refused.reason(), expected);
    }
    // A body of a later version: field 99, length 0.
    connection.send_raw(vec![0x08, 0x60, 0x9a, 0x06, 0x00]).await;
    let (id, reply) = connection.reply().await;
    let reply::Body::Refused(refused) = reply else { panic!() };
    assert_eq!((id, refused.reason()), (0x60, refused::Reason::UnknownRequest));
}

#[tokio::test(start_paused = true)]
async fn request_ids_ascend() {
    let mut server = TestServer::new(Policy::default());
    let mut connection = server.connect();
    connection.hello().await;
    connection.send(1, lookup("hans")).await;
    assert_eq!(connection.closed().await, Some(Close::BadFrame));
}

#[tokio::test(start_paused = true)]
async fn the_257th_connection_of_a_source_takes_the_place_of_the_oldest() {
    let mut server = TestServer::new(Policy::default());
    let mut connections: Vec<_> = (0..257).map(|_| server.connect()).collect();
    assert_eq!(connections[0].closed().await, Some(Close::TooMany));
    for connection in &mut connections[1..] {
        connection.hello().await;
    }
}

#[tokio::test(start_paused = true)]
async fn three_failures_block_a_name_until_the_block_is_over() {
    let policy = Policy { block_duration: Duration::from_secs(5), ..Policy::default() };
    let mut server = TestServer::new(policy);
    let (owner, _) = server.login("hans").await;
    drop(owner);
    let mut stranger = server.connect();
    stranger.hello().await;
    let wrong = |connection: &Connection| match connection.login_frame("hans", "wrong", false) {
        Body::Login(mut login) => {
            let other = connection.device("other");
            // Another device than the owner's, with a signature for this name.
            login.device = Some(v1::Device { outbox: other.outbox, ..connection.fresh_device("hans", 9) });
            Body::Login(login)
        }
        other => other,
    };
    for expected in [Reason::WrongPassword, Reason::WrongPassword, Reason::LockedNow, Reason::Locked] {
        let frame = wrong(&stranger);
        assert_eq!(stranger.refused(frame).await, expected);
    }
    // The owner's own device is another class.
    let mut owner = server.connect();
    owner.hello().await;
    let login = owner.login_frame("hans", "secret", false);
    let opened = owner.opened(login).await;
    assert_eq!(opened.failed_logins, 3);
    tokio::time::advance(Duration::from_secs(5)).await;
    let frame = wrong(&stranger);
    assert_eq!(stranger.refused(frame).await, Reason::WrongPassword);
}

#[tokio::test(start_paused = true)]
async fn closed_registration_does_not_tell_which_names_exist() {
    let mut server = TestServer::new(Policy { registration: Registration::Closed, ..Policy::default() });
    let mut connection = server.connect();
    connection.hello().await;
    for name in ["nobody", "no good name", ""] {
        let reply::Body::Found(found) = connection.request(lookup(name)).await else { panic!() };
        assert_eq!(found.answer(), Answer::Known, "{name}");
    }
    for expected in [Reason::WrongPassword, Reason::WrongPassword, Reason::LockedNow, Reason::Locked] {
        let login = connection.login_frame("nobody", "secret", true);
        assert_eq!(connection.refused(login).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_does_not_hold_its_key_is_refused() {
    let mut server = TestServer::new(Policy::default());
    let mut connection = server.connect();
    connection.hello().await;
    let Body::Login(mut login) = connection.login_frame("hans", "secret", true) else { panic!() };
    // Signed for another name.
    login.device = Some(connection.device("yoda"));
    assert_eq!(connection.refused(Body::Login(login)).await, Reason::BadDevice);
}

#[tokio::test(start_paused = true)]
async fn of_two_that_register_one_name_the_second_is_asked_for_the_password() {
    let mut server = TestServer::new(Policy::default());
    let (mut first, mut second) = (server.connect(), server.connect());
    first.hello().await;
    second.hello().await;
    for connection in [&mut first, &mut second] {
        let reply::Body::Found(found) = connection.request(lookup("Hans")).await else { panic!() };
        assert_eq!(found.answer(), Answer::New);
    }
    let login = first.login_frame("Hans", "secret", true);
    assert_eq!(first.opened(login).await.name, "Hans");
    let login = second.login_frame("hans", "other", true);
    assert_eq!(second.refused(login).await, Reason::NameTaken);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { first.closed().await });
    let login = second.login_frame("hans", "secret", false);
    assert_eq!(second.refused(login).await, Reason::InUse);
}

#[tokio::test(start_paused = true)]
async fn of_many_that_register_one_name_at_the_same_moment_one_wins() {
    let mut server = TestServer::new(Policy::default());
    let mut connections: Vec<_> = (0..6).map(|_| server.connect()).collect();
    for connection in &mut connections {
        connection.hello().await;
    }
    // All are under way before the first is committed: nothing here waits for the server.
    for connection in &mut connections {
        let login = connection.login_frame("hans", "secret", true);
        connection.ask(login).await;
    }
    let mut opened = 0;
    for connection in &mut connections {
        match connection.reply().await.1 {
            reply::Body::Opened(_) => opened += 1,
            reply::Body::LoginRefused(refused) => assert_eq!(refused.reason(), Reason::NameTaken),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(opened, 1);
}

#[tokio::test(start_paused = true)]
async fn frames_past_the_limit_close_a_session() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    hans.send_raw(vec![0; FRAME_BYTES_MAX + 1]).await;
    assert_eq!(hans.closed().await, Some(Close::TooLarge));
}
