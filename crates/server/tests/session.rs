//! Sessions over links in memory: delivery, blocks, presence, resume, time-outs, back-pressure.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hobnob_protocol::{
    close::Close,
    limits::{MAILBOX_FRAMES, PONG_TIMEOUT},
    v1::{self, client_frame::Body, login_refused::Reason, reply, server_frame, submitted::Outcome},
};
use hobnob_server::{
    config::Policy,
    mailbox::Round,
    store::{StoreError, Tx, memory::MemoryStore},
    writer::Job,
};
use support::*;
use tokio::{
    sync::Mutex,
    time::{advance, sleep, timeout},
};

fn who_else() -> Body {
    Body::WhoElse(v1::WhoElse {})
}

fn since(seconds: u64) -> Body {
    Body::WhoElseSince(v1::WhoElseSince { seconds })
}

#[tokio::test(start_paused = true)]
async fn a_message_arrives_now_or_at_the_next_login() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, opened) = server.login("Yoda").await;
    assert_eq!(hans.event().await, presence("Yoda", true));
    assert_eq!(hans.submit(1, message("YODA", "now")).await.user, "Yoda");
    assert_eq!(yoda.entry().await, "hans: now");
    yoda.send(0, Body::Received(v1::Received { inbox: opened.inbox + 1, broadcast: 0 })).await;
    yoda.request(Body::Logout(v1::Logout {})).await;
    assert_eq!(yoda.closed().await, Some(Close::LoggedOut));
    assert_eq!(hans.event().await, presence("Yoda", false));
    for (number, text) in [(2, "later"), (3, "and later")] {
        assert_eq!(hans.outcome(number, message("yoda", text)).await, Outcome::Accepted);
    }
    let (mut yoda, opened) = server.login("Yoda").await;
    assert_eq!((opened.inbox, opened.inbox_head), (1, 3));
    assert_eq!(yoda.entry().await, "hans: later");
    assert_eq!(yoda.entry().await, "hans: and later");
}

#[tokio::test(start_paused = true)]
async fn every_refusal_has_its_outcome() {
    let mut policy = Policy::default();
    policy.inbox.entries_per_sender = 2;
    let mut server = TestServer::new(policy);
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    let (mut luke, _) = server.login("luke").await;
    assert_eq!(luke.outcome(1, block("hans")).await, Outcome::Accepted);
    let cases = [
        (message("nobody", "x"), Outcome::InvalidUser),
        (message("no good name", "x"), Outcome::InvalidUser),
        (message("HANS", "x"), Outcome::Self_),
        (message("luke", "x"), Outcome::Blocked),
        (message("yoda", &"x".repeat(64 * 1024 + 1)), Outcome::TooLong),
        (message("yoda", "a\u{1b}[2Jb"), Outcome::ControlCharacters),
        (message("yoda", "1\n\t2"), Outcome::Accepted),
        (message("yoda", "2"), Outcome::Accepted),
        (message("yoda", "3"), Outcome::InboxFull),
        (broadcast("all"), Outcome::AcceptedForSome),
        (block("hans"), Outcome::Self_),
        (block("nobody"), Outcome::InvalidUser),
        (block("yoda"), Outcome::Accepted),
        (block("yoda"), Outcome::AlreadyBlocked),
        (unblock("yoda"), Outcome::Accepted),
        (unblock("yoda"), Outcome::NotBlocked),
    ];
    for (number, (op, expected)) in (1..).zip(cases) {
        assert_eq!(hans.outcome(number, op.clone()).await, expected, "{op:?}");
    }
    assert_eq!(yoda.event().await, presence("luke", true));
    for text in ["hans: 1\n\t2", "hans: 2", "hans: all"] {
        assert_eq!(yoda.entry().await, text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_number_takes_effect_once_and_a_repeat_gets_the_first_answer() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    for _ in 0..3 {
        let first = hans.submit(1, message("yoda", "once")).await;
        assert_eq!((first.outcome(), first.user.as_str()), (Outcome::Accepted, "yoda"));
    }
    assert_eq!(hans.outcome(1, message("yoda", "another text")).await, Outcome::Stale);
    let gap = hans.submit(7, message("yoda", "too early")).await;
    assert_eq!((gap.outcome(), gap.expected), (Outcome::Gap, 2));
    for _ in 0..2 {
        assert_eq!(hans.outcome(2, block("yoda")).await, Outcome::Accepted);
    }
    assert_eq!(hans.outcome(3, message("yoda", "twice")).await, Outcome::Accepted);
    assert_eq!(yoda.entry().await, "hans: once");
    assert_eq!(yoda.entry().await, "hans: twice");
}

#[tokio::test(start_paused = true)]
async fn what_was_held_back_by_a_block_stays_away() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, opened) = server.login("yoda").await;
    // Yoda's connection is lost; what comes now waits in the store.
    drop(yoda);
    hans.outcome(1, message("yoda", "held back")).await;
    hans.outcome(2, broadcast("this too")).await;
    // A background session of yoda blocks and unblocks.
    let mut other = server.connect();
    other.hello().await;
    let login = Body::Login(v1::Login {
        name: "yoda".to_owned(),
        proof: Some(v1::login::Proof::Token(opened.token.clone())),
        background: true,
        device: Some(v1::Device { outbox: Bytes::from_static(b"another outbox!!"), ..other.device("yoda") }),
        ..v1::Login::default()
    });
    other.opened(login).await;
    assert_eq!(other.outcome(1, block("hans")).await, Outcome::Accepted);
    assert_eq!(other.outcome(2, unblock("hans")).await, Outcome::Accepted);
    hans.outcome(3, message("yoda", "after")).await;
    yoda = server.connect();
    yoda.hello().await;
    let resume = yoda.resume_frame("yoda", &opened);
    yoda.opened(resume).await;
    let skip = v1::Skip { stream: v1::Stream::Inbox as i32, upto: 1 };
    assert_eq!(yoda.event().await, server_frame::Body::Skip(skip));
    assert_eq!(yoda.entry().await, "hans: after");
}

#[tokio::test(start_paused = true)]
async fn a_block_hides_presence_from_the_blocked_only() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    assert_eq!(hans.event().await, presence("yoda", true));
    yoda.outcome(1, block("hans")).await;
    assert_eq!(hans.names(who_else()).await, Vec::<String>::new());
    assert_eq!(hans.names(since(100)).await, Vec::<String>::new());
    assert_eq!(yoda.names(who_else()).await, ["hans"]);
    yoda.request(Body::Logout(v1::Logout {})).await;
    let (mut luke, _) = server.login("luke").await;
    assert_eq!(hans.event().await, presence("luke", true), "nothing of yoda in between");
    assert_eq!(hans.names(since(100)).await, ["luke"]);
    assert_eq!(luke.names(since(100)).await, ["hans", "yoda"]);
}

#[tokio::test(start_paused = true)]
async fn whoelsesince_counts_from_leaving() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    yoda.request(Body::Logout(v1::Logout {})).await;
    advance(Duration::from_secs(10)).await;
    assert_eq!(hans.names(since(9)).await, Vec::<String>::new());
    assert_eq!(hans.names(since(11)).await, ["yoda"]);
    assert_eq!(hans.names(since(u64::MAX)).await, ["yoda"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_counts_as_online_for_the_grace() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (yoda, opened) = server.login("yoda").await;
    assert_eq!(hans.event().await, presence("yoda", true));
    drop(yoda);
    assert_eq!(hans.names(who_else()).await, ["yoda"]);
    hans.outcome(1, broadcast("in the grace")).await;
    let skip = |upto| server_frame::Body::Skip(v1::Skip { stream: v1::Stream::Broadcast as i32, upto });
    assert_eq!(hans.event().await, skip(1), "nobody gets what they sent to all");
    advance(Duration::from_secs(20)).await;
    let mut yoda = server.connect();
    yoda.hello().await;
    let resume = yoda.resume_frame("yoda", &opened);
    yoda.opened(resume).await;
    assert_eq!(yoda.entry().await, "hans: in the grace");
    drop(yoda);
    // Now it takes too long.
    assert_eq!(hans.event().await, presence("yoda", false), "only this, and only now");
    hans.outcome(2, broadcast("while it was offline")).await;
    assert_eq!(hans.event().await, skip(2));
    hans.outcome(3, message("yoda", "kept")).await;
    let mut yoda = server.connect();
    yoda.hello().await;
    let resume = yoda.resume_frame("yoda", &v1::Opened { broadcast: 1, ..opened });
    yoda.opened(resume).await;
    assert_eq!(hans.event().await, presence("yoda", true));
    assert_eq!(yoda.entry().await, "hans: kept");
    assert_eq!(yoda.event().await, skip(2));
}

#[tokio::test(start_paused = true)]
async fn a_login_elsewhere_replaces_a_broken_session_only() {
    let mut server = TestServer::new(Policy::default());
    let (yoda, opened) = server.login("yoda").await;
    let mut second = server.connect();
    second.hello().await;
    // The live one answers pings in its own task.
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let mut yoda = yoda;
        yoda.closed().await
    });
    let login = second.login_frame("yoda", "secret", false);
    assert_eq!(second.refused(login).await, Reason::InUse);
    tasks.shutdown().await;
    let login = second.login_frame("yoda", "secret", false);
    second.opened(login).await;
    let mut first = server.connect();
    first.hello().await;
    let resume = first.resume_frame("yoda", &opened);
    assert_eq!(first.refused(resume).await, Reason::Replaced);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_does_not_answer_the_probe_is_replaced() {
    let mut server = TestServer::new(Policy::default());
    let (mut dead, _) = server.login("yoda").await;
    let (mut second, _) = server.login("yoda").await;
    assert_eq!(dead.closed().await, Some(Close::Replaced));
    assert_eq!(second.names(who_else()).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn idleness_ends_a_session_and_receiving_is_no_activity() {
    let policy = Policy { idle_timeout: Some(Duration::from_secs(60)), ..Policy::default() };
    let mut server = TestServer::new(policy);
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, opened) = server.login("yoda").await;
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { yoda.closed().await });
    assert_eq!(hans.event().await, presence("yoda", true));
    for number in 1..=5 {
        advance(Duration::from_secs(11)).await;
        hans.outcome(number, message("yoda", "are you there?")).await;
    }
    assert_eq!(hans.event().await, presence("yoda", false));
    assert_eq!(tasks.join_next().await.unwrap().unwrap(), Some(Close::Idle));
    let mut yoda = server.connect();
    yoda.hello().await;
    let resume = yoda.resume_frame("yoda", &opened);
    assert_eq!(yoda.refused(resume).await, Reason::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_answer_pings_is_dropped() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    loop {
        match hans.from_server.recv().await {
            Some(Sent::Close(close)) => break assert_eq!(close, Close::Unresponsive),
            Some(_) => {}
            None => panic!("no reason given"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn queries_see_what_was_submitted_before_them() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (_yoda, _) = server.login("yoda").await;
    hans.event().await;
    for number in 1..=20 {
        hans.ask(submit(number, if number % 2 == 1 { block("yoda") } else { unblock("yoda") })).await;
        hans.ask(Body::ListBlocks(v1::ListBlocks {})).await;
    }
    for number in 1..=20u64 {
        let (_, reply::Body::Submitted(submitted)) = hans.reply().await else { panic!() };
        assert_eq!(submitted.outcome(), Outcome::Accepted);
        let (_, reply::Body::Names(names)) = hans.reply().await else { panic!() };
        assert_eq!(names.names.len() as u64, number % 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stops_reading_costs_nothing_and_misses_nothing() {
    let mut server = TestServer::new(Policy { send_rate: None, ..Policy::default() });
    let (mut hans, _) = server.login("hans").await;
    let mut yoda = server.connect_with_room(4);
    yoda.hello().await;
    let login = yoda.login_frame("yoda", "secret", true);
    yoda.opened(login).await;
    hans.event().await;
    for number in 1..=900 {
        assert_eq!(hans.outcome(number, message("yoda", &number.to_string())).await, Outcome::Accepted);
    }
    for number in 1..=900 {
        assert_eq!(yoda.entry().await, format!("hans: {number}"));
    }
}

#[tokio::test(start_paused = true)]
async fn who_answers_while_much_is_written_to_it_slowly_is_not_unresponsive() {
    const PAGES: usize = 6;
    let mut policy = Policy { send_rate: None, ..Policy::default() };
    policy.inbox.entries_per_sender = u64::MAX;
    let mut server = TestServer::new(policy);
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    yoda.request(Body::Logout(v1::Logout {})).await;
    hans.event().await;
    let last = (PAGES * MAILBOX_FRAMES) as u64;
    for number in 1..=last {
        assert_eq!(hans.outcome(number, message("yoda", &number.to_string())).await, Outcome::Accepted);
    }
    // A page takes longer than the answer to a ping may.
    let mut yoda = server.connect_slowly(MAILBOX_FRAMES / 2, PONG_TIMEOUT * 6 / 10);
    yoda.hello().await;
    let login = yoda.login_frame("yoda", "secret", false);
    yoda.opened(login).await;
    for number in 1..=last {
        assert_eq!(yoda.entry().await, format!("hans: {number}"));
    }
    yoda.names(who_else()).await;
}

#[tokio::test(start_paused = true)]
async fn a_word_on_more_than_was_sent_does_not_mute_those_that_follow() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, opened) = server.login("yoda").await;
    for (number, noted) in [(1, u64::MAX), (2, opened.inbox + 2)] {
        assert_eq!(hans.outcome(number, message("yoda", "x")).await, Outcome::Accepted);
        yoda.entry().await;
        yoda.send(0, Body::Received(v1::Received { inbox: noted, broadcast: 0 })).await;
        yoda.names(who_else()).await;
    }
    yoda.request(Body::Logout(v1::Logout {})).await;
    let (_, again) = server.login("yoda").await;
    assert_eq!(again.inbox, opened.inbox + 2);
}

/// Fills the writer's queue.
struct Nothing;

impl Job for Nothing {
    fn run(&mut self, _: &mut dyn Tx) -> hobnob_server::store::Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>, _: Result<(), &StoreError>, _: &mut Round) {}
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_after_a_submit_that_finds_the_writer_full_is_answered_at_once() {
    let key = Arc::new(Mutex::new(()));
    let mut server = TestServer::gated(key.clone(), Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let _stuck = key.lock().await;
    server.node.writer.try_submit(Box::new(Nothing)).unwrap();
    // The writer waits with it.
    sleep(Duration::from_millis(1)).await;
    while server.node.writer.try_submit(Box::new(Nothing)).is_ok() {}
    // Both are there before the session looks.
    let submitted = hans.ask(submit(1, broadcast("x"))).await;
    let asked = hans.ask(who_else()).await;
    let answered = timeout(Duration::from_secs(1), async { [hans.reply().await, hans.reply().await] }).await;
    let [(first, submit), (second, names)] = answered.unwrap();
    assert_eq!([first, second], [submitted, asked]);
    assert!(matches!(submit, reply::Body::Submitted(it) if it.outcome() == Outcome::Busy));
    assert!(matches!(names, reply::Body::Names(_)));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_starts_a_stream_over() {
    let mut server = TestServer::new(Policy { history: Some(Duration::from_secs(100)), ..Policy::default() });
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    for number in 1..=3 {
        hans.outcome(number, message("yoda", &number.to_string())).await;
        yoda.entry().await;
    }
    let fetch = v1::Fetch { stream: v1::Stream::Inbox as i32, after: 1 };
    yoda.ask(Body::Fetch(fetch)).await;
    yoda.reply().await;
    assert_eq!(yoda.entry().await, "hans: 2");
    assert_eq!(yoda.entry().await, "hans: 3");
}

#[tokio::test(start_paused = true)]
async fn delivered_entries_are_removed_and_unread_ones_kept() {
    let store = MemoryStore::new(Bytes::from_static(b"epoch"));
    let mut server = TestServer::on(store.clone(), Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    for number in 1..=4 {
        hans.outcome(number, message("yoda", "x")).await;
    }
    hans.outcome(5, broadcast("y")).await;
    yoda.send(0, Body::Received(v1::Received { inbox: 3, broadcast: 1 })).await;
    hans.send(0, Body::Received(v1::Received { inbox: 0, broadcast: 1 })).await;
    advance(Duration::from_secs(20)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let node = server.node.clone();
    let kept = node.reader.run(|store| {
        use hobnob_server::store::{AccountId, StreamId};
        let yoda = store.account_by_key("yoda")?.map_or(AccountId(0), |account| account.id);
        Ok((
            store.entries(StreamId::Inbox(yoda), 0, 10, 1000)?.len(),
            store.entries(StreamId::Broadcast, 0, 10, 1000)?.len(),
            store.heads(&[StreamId::Inbox(yoda), StreamId::Broadcast])?,
        ))
    });
    assert_eq!(kept.await.unwrap(), (1, 0, vec![4, 1]));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_tells_its_clients() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let mut stranger = server.connect();
    server.node.shutdown.cancel();
    assert_eq!(hans.closed().await, Some(Close::GoingAway));
    assert_eq!(stranger.closed().await, Some(Close::GoingAway));
}

#[tokio::test(start_paused = true)]
async fn a_changed_password_ends_the_other_sessions() {
    let mut server = TestServer::new(Policy { sessions_per_user: 2, ..Policy::default() });
    let (mut first, _) = server.login("hans").await;
    let (mut second, _) = server.login("hans").await;
    let change = |old: &str, new: &str| {
        Body::ChangePassword(v1::ChangePassword {
            old_password: old.to_owned(),
            new_password: new.to_owned(),
        })
    };
    let reply::Body::Refused(refused) = second.request(change("wrong", "new")).await else { panic!() };
    assert_eq!(refused.reason(), v1::refused::Reason::WrongPassword);
    assert!(matches!(second.request(change("secret", "new")).await, reply::Body::Done(_)));
    assert_eq!(first.closed().await, Some(Close::PasswordChanged));
    let login = {
        first = server.connect();
        first.hello().await;
        first.login_frame("hans", "new", false)
    };
    first.opened(login).await;
}

fn background(connection: &Connection, name: &str, token: &Bytes) -> Body {
    Body::Login(v1::Login {
        name: name.to_owned(),
        proof: Some(v1::login::Proof::Token(token.clone())),
        background: true,
        device: Some(connection.device(name)),
        ..v1::Login::default()
    })
}

#[tokio::test(start_paused = true)]
async fn a_background_session_is_used_again_and_again() {
    let mut server = TestServer::new(Policy::default());
    let (_hans, opened) = server.login("hans").await;
    let mut token = opened.token.clone();
    for round in 0..3 {
        let mut script = server.connect();
        script.hello().await;
        let login = background(&script, "hans", &token);
        let next = script.opened(login).await.token;
        assert_eq!(next == token, round > 0, "the first opens one beside the chat, the others go on with it");
        token = next;
    }
    let mut thief = server.connect();
    thief.hello().await;
    let login = background(&thief, "yoda", &token);
    assert_eq!(thief.refused(login).await, Reason::UnknownToken, "a token is good for its own user only");
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_cut_short_leaves_nobody_online() {
    let mut server = TestServer::new(Policy::default());
    let (hans, _) = server.login("hans").await;
    drop(hans);
    tokio::time::sleep(Duration::from_secs(31)).await;
    // The client is gone before the answer to its login.
    let mut connection = server.connect();
    connection.hello().await;
    let login = connection.login_frame("hans", "secret", false);
    connection.ask(login).await;
    drop(connection);
    let (mut hans, _) = server.login("hans").await;
    assert_eq!(hans.names(who_else()).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_was_broadcast_before_a_login_cannot_be_fetched() {
    let mut server =
        TestServer::new(Policy { history: Some(Duration::from_secs(1000)), ..Policy::default() });
    let (mut hans, _) = server.login("hans").await;
    hans.outcome(1, broadcast("before")).await;
    let (mut yoda, _) = server.login("yoda").await;
    yoda.request(Body::Fetch(v1::Fetch { stream: v1::Stream::Broadcast as i32, after: 0 })).await;
    hans.outcome(2, broadcast("after")).await;
    assert_eq!(yoda.entry().await, "hans: after");
}

#[tokio::test(start_paused = true)]
async fn a_liar_cannot_make_others_start_over_again_and_again() {
    let mut server = TestServer::new(Policy::default());
    let mut epochs = Vec::new();
    for name in ["hans", "yoda", "luke"] {
        let (first, opened) = server.login(name).await;
        drop(first);
        let mut liar = server.connect();
        liar.hello().await;
        let position = v1::Opened { inbox: u64::MAX, ..opened.clone() };
        let resume = liar.resume_frame(name, &position);
        liar.opened(resume).await;
        epochs.push(server.node.epoch.get());
    }
    assert_ne!(epochs[0], "epoch", "the first is believed");
    assert!(epochs.windows(2).all(|pair| pair[0] == pair[1]), "{epochs:?}");
}

#[tokio::test(start_paused = true)]
async fn guesses_at_a_password_change_count_whatever_the_device() {
    let mut server = TestServer::new(Policy::default());
    let (first, opened) = server.login("hans").await;
    drop(first);
    let change = v1::ChangePassword { old_password: "wrong".into(), new_password: "new".into() };
    let mut texts = Vec::new();
    for guess in 0..4u8 {
        let mut connection = server.connect();
        connection.hello().await;
        let Body::Resume(mut resume) = connection.resume_frame("hans", &opened) else { panic!() };
        resume.device = Some(connection.fresh_device("hans", guess));
        connection.opened(Body::Resume(resume)).await;
        let reply::Body::Refused(refused) = connection.request(Body::ChangePassword(change.clone())).await
        else {
            panic!()
        };
        texts.push(refused.text);
    }
    assert_eq!(texts[2], "Wrong password");
    assert_eq!(texts[3], "Too many wrong passwords. Please try again later");
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_at_the_end_of_a_stream_is_told() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (yoda, opened) = server.login("yoda").await;
    hans.event().await;
    drop(yoda);
    assert_eq!(hans.event().await, presence("yoda", false));
    hans.outcome(1, broadcast("while yoda was offline")).await;
    hans.send(0, Body::Received(v1::Received { inbox: 0, broadcast: 1 })).await;
    // Everyone who needs it has it, so it is removed.
    hans.events.clear();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut yoda = server.connect();
    yoda.hello().await;
    let resume = yoda.resume_frame("yoda", &opened);
    yoda.opened(resume).await;
    let truncated = v1::Truncated { stream: v1::Stream::Broadcast as i32, from: 1, to: 1 };
    assert_eq!(yoda.event().await, server_frame::Body::Truncated(truncated));
}

#[tokio::test(start_paused = true)]
async fn a_request_right_behind_the_login_is_answered() {
    let mut server = TestServer::new(Policy::default());
    for name in ["hans", "yoda", "luke"] {
        let mut connection = server.connect();
        connection.hello().await;
        let login = connection.login_frame(name, "secret", true);
        connection.ask(login).await;
        // Sent before the answer to the login, so it is there while stored messages are being looked for.
        connection.ask(Body::ListBlocks(v1::ListBlocks {})).await;
        assert!(matches!(connection.reply().await, (2, reply::Body::Opened(_))));
        let answered = tokio::time::timeout(Duration::from_secs(1), connection.reply()).await;
        assert!(matches!(answered, Ok((3, reply::Body::Names(_)))), "{answered:?}");
    }
}
