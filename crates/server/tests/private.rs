//! Requests for private talk over links in memory: who is asked, who is introduced to whom, and what nobody
//! learns.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use hobnob_protocol::{
    close::Close,
    limits::{CONTACT_ADDRESSES_MAX, GRACE, INVITE_LIFETIME, INVITES_IN_MAX, INVITES_OUT_MAX},
    v1::{
        self, client_frame::Body, invite_ended::Reason, invited::Outcome, peer_event::Event, refused, reply,
        server_frame,
    },
};
use hobnob_server::config::Policy;
use support::*;
use tokio::time::{Instant, advance, timeout};

fn invite_frame(user: &str) -> Body {
    Body::Invite(v1::Invite { user: user.to_owned() })
}

fn answer_frame(invite: &Bytes, accept: bool) -> Body {
    Body::AnswerInvite(v1::AnswerInvite { invite: invite.clone(), accept })
}

fn contact(addresses: &[&str]) -> v1::Contact {
    v1::Contact {
        addresses: addresses.iter().map(|one| (*one).to_owned()).collect(),
        relay: true,
        tcp: Vec::new(),
    }
}

async fn invite(from: &mut Connection, user: &str) -> v1::Invited {
    match from.request(invite_frame(user)).await {
        reply::Body::Invited(invited) => invited,
        other => panic!("{other:?}"),
    }
}

/// Asks somebody who is online, who sees it.
async fn ask(from: &mut Connection, whom: &str, to: &mut Connection) -> Bytes {
    let invited = invite(from, whom).await;
    assert_eq!((invited.outcome(), invited.invite.len()), (Outcome::Asked, 16));
    let Event::Asked(asked) = peer(to).await else { panic!("not asked") };
    assert_eq!(asked.invite, invited.invite);
    invited.invite
}

/// `true`: it counts.
async fn answer(by: &mut Connection, invite: &Bytes, accept: bool) -> bool {
    match by.request(answer_frame(invite, accept)).await {
        reply::Body::Done(_) => true,
        reply::Body::Invited(gone) if gone.outcome() == Outcome::Gone => false,
        other => panic!("{other:?}"),
    }
}

async fn cancel(by: &mut Connection, invite: &Bytes) {
    let cancel = Body::CancelInvite(v1::CancelInvite { invite: invite.clone() });
    assert!(matches!(by.request(cancel).await, reply::Body::Done(_)));
}

async fn may_see(by: &mut Connection, user: &str) -> bool {
    match by.request(Body::MaySee(v1::MaySee { user: user.to_owned() })).await {
        reply::Body::Sight(sight) => sight.may,
        other => panic!("{other:?}"),
    }
}

async fn is_at(who: &mut Connection, addresses: &[&str]) {
    who.send(0, Body::Contact(contact(addresses))).await;
}

/// The next that is told of private talk; all of it is told within the time of a request.
async fn peer(to: &mut Connection) -> Event {
    let next = async {
        loop {
            if let server_frame::Body::Peer(event) = to.event().await {
                return event.event.unwrap();
            }
        }
    };
    timeout(2 * INVITE_LIFETIME, next).await.expect("nothing is told")
}

async fn ended(to: &mut Connection) -> (String, Reason) {
    match peer(to).await {
        Event::Ended(ended) => (ended.user.clone(), ended.reason()),
        other => panic!("{other:?}"),
    }
}

async fn introduced(to: &mut Connection) -> v1::Introduced {
    match peer(to).await {
        Event::Introduced(introduced) => introduced,
        other => panic!("{other:?}"),
    }
}

/// Everything of private talk that was told and not looked at, once all that was sent has been served.
async fn heard(by: &mut Connection) -> Vec<Event> {
    by.names(Body::ListBlocks(v1::ListBlocks {})).await;
    let events = std::mem::take(&mut by.events).into_iter();
    let peer = |event| match event {
        server_frame::Body::Peer(event) => event.event,
        _ => None,
    };
    events.filter_map(peer).collect()
}

async fn log_out(who: &mut Connection) {
    who.request(Body::Logout(v1::Logout {})).await;
    assert_eq!(who.closed().await, Some(Close::LoggedOut));
}

async fn resume(server: &mut TestServer, name: &str, opened: &v1::Opened) -> Connection {
    let mut connection = server.connect();
    connection.hello().await;
    let frame = connection.resume_frame(name, opened);
    connection.opened(frame).await;
    connection
}

fn several(sessions_per_user: u32) -> TestServer {
    TestServer::new(Policy { sessions_per_user, ..Policy::default() })
}

#[tokio::test(start_paused = true)]
async fn every_outcome_in_the_order_of_the_checks() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("Hans").await;
    let (mut yoda, _) = server.login("Yoda").await;
    let (mut luke, _) = server.login("luke").await;
    let (mut leia, _) = server.login("leia").await;
    for (number, who) in [(1, &mut luke), (1, &mut leia)] {
        assert_eq!(who.outcome(number, block("hans")).await, v1::submitted::Outcome::Accepted);
    }
    log_out(&mut leia).await;
    let (mut chewie, _) = server.login("chewie").await;
    log_out(&mut chewie).await;
    let cases = [
        ("no good name", Outcome::InvalidUser, ""),
        ("", Outcome::InvalidUser, ""),
        ("nobody", Outcome::InvalidUser, ""),
        ("HANS", Outcome::Self_, "Hans"),
        ("luke", Outcome::Blocked, "luke"),
        ("Leia", Outcome::Blocked, "leia"),
        ("chewie", Outcome::Offline, "chewie"),
        ("yoda", Outcome::Asked, "Yoda"),
    ];
    for (user, outcome, name) in cases {
        let invited = invite(&mut hans, user).await;
        assert_eq!((invited.outcome(), invited.user.as_str()), (outcome, name), "{user}");
        assert_eq!(invited.invite.is_empty(), outcome != Outcome::Asked, "{user}");
    }
    let Event::Asked(asked) = peer(&mut yoda).await else { panic!() };
    assert_eq!(asked.user, "Hans");
    assert_eq!(heard(&mut luke).await, []);
    for (user, may) in [("nobody", false), ("a b", false), ("luke", false), ("leia", false), ("CHEWIE", true)]
    {
        assert_eq!(may_see(&mut hans, user).await, may, "{user}");
    }
    assert!(may_see(&mut luke, "hans").await, "who blocks still sees");
}

#[tokio::test(start_paused = true)]
async fn a_block_counts_as_soon_as_it_is_accepted() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, opened) = server.login("yoda").await;
    // Both sent at once: the question waits for what was sent before it.
    hans.ask(submit(1, block("yoda"))).await;
    hans.ask(Body::MaySee(v1::MaySee { user: "yoda".into() })).await;
    assert!(matches!(hans.reply().await.1, reply::Body::Submitted(_)));
    assert!(matches!(hans.reply().await.1, reply::Body::Sight(_)));
    assert_eq!(invite(&mut yoda, "hans").await.outcome(), Outcome::Blocked);
    // The blocker can still ask, and is told that it blocks.
    let request = ask(&mut hans, "yoda", &mut yoda).await;
    assert_eq!(invite(&mut yoda, "hans").await.outcome(), Outcome::Blocked, "as ever");
    assert!(answer(&mut yoda, &request, true).await);
    assert!(introduced(&mut hans).await.you_block);
    assert!(!introduced(&mut yoda).await.you_block);
    // A request from before the block is not told again.
    hans.outcome(2, unblock("yoda")).await;
    log_out(&mut yoda).await;
    drop(opened);
    let (mut yoda, opened) = server.login("yoda").await;
    let request = ask(&mut hans, "yoda", &mut yoda).await;
    yoda.outcome(1, block("hans")).await;
    drop(yoda);
    let mut yoda = resume(&mut server, "yoda", &opened).await;
    assert_eq!(heard(&mut yoda).await, []);
    assert!(answer(&mut yoda, &request, false).await, "it stands all the same");
    assert_eq!(ended(&mut hans).await, ("yoda".into(), Reason::Declined));
}

#[tokio::test(start_paused = true)]
async fn consent_introduces_both_with_their_keys() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("Yoda").await;
    let request = ask(&mut hans, "yoda", &mut yoda).await;
    assert!(answer(&mut yoda, &request, true).await);
    let to_hans = introduced(&mut hans).await;
    let to_yoda = introduced(&mut yoda).await;
    assert_eq!(to_hans.key, yoda.device("Yoda").key);
    assert_eq!(to_yoda.key, hans.device("hans").key);
    assert_eq!((to_hans.user.as_str(), to_yoda.user.as_str()), ("Yoda", "hans"));
    assert_eq!((to_hans.dials, to_yoda.dials), (true, false));
    assert_eq!((to_hans.valid_ms, to_yoda.valid_ms), (30_000, 30_000));
    assert_eq!([to_hans.invite, to_yoda.invite], [request.clone(), request.clone()]);
    assert_eq!(to_hans.contact, Some(v1::Contact::default()), "there is none yet");
    assert!(answer(&mut yoda, &request, true).await, "the same again");
    assert!(!answer(&mut yoda, &request, false).await);
    assert_eq!(heard(&mut hans).await, []);
}

#[tokio::test(start_paused = true)]
async fn two_who_ask_each_other_have_consented() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    let request = ask(&mut hans, "yoda", &mut yoda).await;
    let again = invite(&mut hans, "YODA").await;
    assert_eq!((again.outcome(), &again.invite), (Outcome::Asked, &request), "the first one stands");
    let invited = invite(&mut yoda, "hans").await;
    assert_eq!((invited.outcome(), invited.user.as_str()), (Outcome::Consented, "hans"));
    assert_eq!(invited.invite, request);
    assert!(introduced(&mut hans).await.dials, "who asked first");
    assert!(!introduced(&mut yoda).await.dials);
    assert_eq!(heard(&mut yoda).await, [], "asked once only");
}

#[tokio::test(start_paused = true)]
async fn a_request_is_declined_withdrawn_or_expires() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    let request = ask(&mut hans, "yoda", &mut yoda).await;
    assert!(answer(&mut yoda, &request, false).await);
    assert_eq!(ended(&mut hans).await, ("yoda".into(), Reason::Declined));
    assert!(!answer(&mut yoda, &request, true).await);
    let request = ask(&mut hans, "yoda", &mut yoda).await;
    cancel(&mut hans, &request).await;
    assert_eq!(ended(&mut yoda).await, ("hans".into(), Reason::Withdrawn));
    assert!(!answer(&mut yoda, &request, true).await);
    let asked_at = Instant::now();
    let request = ask(&mut hans, "yoda", &mut yoda).await;
    // Both read, so that they answer pings.
    let (to_hans, to_yoda) = tokio::join!(ended(&mut hans), ended(&mut yoda));
    assert_eq!(asked_at.elapsed(), INVITE_LIFETIME);
    assert_eq!(to_hans, ("yoda".into(), Reason::Expired));
    assert_eq!(to_yoda, ("hans".into(), Reason::Expired));
    assert!(!answer(&mut yoda, &request, true).await);
    for who in [&mut hans, &mut yoda] {
        assert_eq!(heard(who).await, [], "each is told once");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_ends_the_request() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, opened) = server.login("yoda").await;
    ask(&mut hans, "yoda", &mut yoda).await;
    log_out(&mut yoda).await;
    assert_eq!(ended(&mut hans).await, ("yoda".into(), Reason::Expired));
    drop(opened);
    let (mut yoda, _) = server.login("yoda").await;
    ask(&mut hans, "yoda", &mut yoda).await;
    log_out(&mut hans).await;
    assert_eq!(ended(&mut yoda).await, ("hans".into(), Reason::Expired));
    // A connection that only broke is waited for.
    let (mut hans, opened) = server.login("hans").await;
    ask(&mut hans, "yoda", &mut yoda).await;
    let broken_at = Instant::now();
    drop(hans);
    assert_eq!(ended(&mut yoda).await, ("hans".into(), Reason::Expired));
    assert_eq!(broken_at.elapsed(), GRACE);
    let mut hans = resume(&mut server, "hans", &opened).await;
    assert_eq!(ended(&mut hans).await, ("yoda".into(), Reason::Expired), "it can know by now");
}

#[tokio::test(start_paused = true)]
async fn who_is_blocked_does_not_learn_who_leaves() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    let asked_at = Instant::now();
    ask(&mut hans, "yoda", &mut yoda).await;
    yoda.outcome(1, block("hans")).await;
    log_out(&mut yoda).await;
    assert_eq!(ended(&mut hans).await, ("yoda".into(), Reason::Expired));
    assert_eq!(asked_at.elapsed(), INVITE_LIFETIME, "as if nobody had answered");
    let (mut yoda, _) = server.login("yoda").await;
    ask(&mut yoda, "hans", &mut hans).await;
    log_out(&mut yoda).await;
    assert_eq!(ended(&mut hans).await, ("yoda".into(), Reason::Withdrawn), "as if it were taken back");
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_of_who_is_blocked() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    // A request that waits: its end is not heard of.
    let request = ask(&mut hans, "yoda", &mut yoda).await;
    yoda.outcome(1, block("hans")).await;
    cancel(&mut hans, &request).await;
    assert_eq!(heard(&mut yoda).await, []);
    // An introduction: where the other moves to is heard by the one who blocks, who still wants to reach it, and not by
    // the one who is blocked.
    let request = ask(&mut yoda, "hans", &mut hans).await;
    assert!(answer(&mut hans, &request, true).await);
    assert!(introduced(&mut yoda).await.you_block);
    introduced(&mut hans).await;
    is_at(&mut hans, &["203.0.113.1:1"]).await;
    is_at(&mut yoda, &["203.0.113.2:2"]).await;
    assert_eq!(heard(&mut hans).await, []);
    let came = heard(&mut yoda).await;
    let [Event::Contact(contact)] = came.as_slice() else { panic!("{came:?}") };
    assert_eq!(contact.contact.as_ref().unwrap().addresses, ["203.0.113.1:1"]);
    // Given up: the other need not wait.
    cancel(&mut hans, &request).await;
    assert_eq!(ended(&mut yoda).await, ("hans".to_owned(), Reason::Withdrawn));
}

#[tokio::test(start_paused = true)]
async fn what_stands_is_told_again_after_a_resume() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, opened) = server.login("hans").await;
    let (mut yoda, yodas) = server.login("yoda").await;
    let request = ask(&mut hans, "yoda", &mut yoda).await;
    // The one asked comes back and is asked again, behind what was stored meanwhile.
    drop(yoda);
    hans.outcome(1, message("yoda", "stored")).await;
    let mut yoda = resume(&mut server, "yoda", &yodas).await;
    assert_eq!(yoda.entry().await, "hans: stored");
    let Event::Asked(asked) = peer(&mut yoda).await else { panic!() };
    assert_eq!((asked.invite.clone(), asked.user.as_str()), (request.clone(), "hans"));
    // The asker is away while it is answered.
    drop(hans);
    assert!(answer(&mut yoda, &request, true).await);
    is_at(&mut yoda, &["192.0.2.7:40000"]).await;
    introduced(&mut yoda).await;
    assert_eq!(heard(&mut yoda).await, []);
    advance(Duration::from_secs(10)).await;
    let mut hans = resume(&mut server, "hans", &opened).await;
    let told = introduced(&mut hans).await;
    assert_eq!((told.invite, told.dials, told.valid_ms), (request, true, 20_000));
    assert_eq!(told.contact, Some(contact(&["192.0.2.7:40000"])));
    // And once more, since nobody knows what arrived.
    drop(hans);
    advance(Duration::from_secs(25)).await;
    let mut hans = resume(&mut server, "hans", &opened).await;
    assert_eq!(introduced(&mut hans).await.valid_ms, 0);
    is_at(&mut hans, &["192.0.2.8:40000"]).await;
    let Event::Contact(told) = peer(&mut yoda).await else { panic!() };
    assert_eq!(told.contact, Some(contact(&["192.0.2.8:40000"])), "contacts go on being passed on");
    drop(hans);
    advance(Duration::from_secs(25)).await;
    let mut hans = resume(&mut server, "hans", &opened).await;
    assert_eq!(heard(&mut hans).await, [], "it is over");
}

#[tokio::test(start_paused = true)]
async fn an_end_is_told_to_who_was_away() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, opened) = server.login("hans").await;
    let (mut yoda, yodas) = server.login("yoda").await;
    let request = ask(&mut hans, "yoda", &mut yoda).await;
    drop(hans);
    assert!(answer(&mut yoda, &request, false).await);
    let mut hans = resume(&mut server, "hans", &opened).await;
    assert_eq!(ended(&mut hans).await, ("yoda".into(), Reason::Declined));
    let request = ask(&mut hans, "yoda", &mut yoda).await;
    drop(yoda);
    cancel(&mut hans, &request).await;
    let mut yoda = resume(&mut server, "yoda", &yodas).await;
    assert_eq!(ended(&mut yoda).await, ("hans".into(), Reason::Withdrawn));
}

#[tokio::test(start_paused = true)]
async fn a_broken_session_counts_as_online() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (yoda, opened) = server.login("yoda").await;
    drop(yoda);
    let invited = invite(&mut hans, "yoda").await;
    assert_eq!(invited.outcome(), Outcome::Asked);
    let mut yoda = resume(&mut server, "yoda", &opened).await;
    let Event::Asked(asked) = peer(&mut yoda).await else { panic!() };
    assert_eq!(asked.invite, invited.invite);
    let broken_at = Instant::now();
    drop(yoda);
    assert_eq!(ended(&mut hans).await, ("yoda".into(), Reason::Expired));
    assert_eq!(broken_at.elapsed(), GRACE);
    assert_eq!(invite(&mut hans, "yoda").await.outcome(), Outcome::Offline);
}

#[tokio::test(start_paused = true)]
async fn one_session_answers_for_all() {
    let mut server = several(3);
    let (mut hans, _) = server.login("hans").await;
    let (mut one, _) = server.login("yoda").await;
    let (mut two, _) = server.login("yoda").await;
    let request = ask(&mut hans, "yoda", &mut one).await;
    assert!(matches!(peer(&mut two).await, Event::Asked(_)));
    // One that comes later is asked as well.
    let (mut three, _) = server.login("yoda").await;
    assert!(matches!(peer(&mut three).await, Event::Asked(_)));
    is_at(&mut one, &["192.0.2.1:1"]).await;
    is_at(&mut two, &["192.0.2.2:2"]).await;
    assert_eq!(heard(&mut one).await, []);
    log_out(&mut three).await;
    assert!(answer(&mut two, &request, true).await);
    assert_eq!(introduced(&mut hans).await.contact, Some(contact(&["192.0.2.2:2"])));
    introduced(&mut two).await;
    assert_eq!(ended(&mut one).await, ("hans".into(), Reason::Expired));
    assert!(!answer(&mut one, &request, true).await);
    is_at(&mut one, &["192.0.2.3:3"]).await;
    assert_eq!(heard(&mut one).await, []);
    assert_eq!(heard(&mut hans).await, [], "that session is not the one");
    // The asker's other session has nothing to do with it.
    let (mut other, _) = server.login("hans").await;
    cancel(&mut other, &request).await;
    is_at(&mut two, &["192.0.2.4:4"]).await;
    assert!(matches!(peer(&mut hans).await, Event::Contact(_)));
    assert_eq!(heard(&mut other).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_replaces_a_session_ends_what_that_asked() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    ask(&mut hans, "yoda", &mut yoda).await;
    let (mut luke, _) = server.login("luke").await;
    let request = ask(&mut luke, "hans", &mut hans).await;
    drop(hans);
    let (mut hans, _) = server.login("hans").await;
    assert_eq!(ended(&mut yoda).await, ("hans".into(), Reason::Expired));
    let Event::Asked(asked) = peer(&mut hans).await else { panic!() };
    assert_eq!(asked.invite, request, "what the user was asked stands");
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_contact_is_told_before_consent() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, opened) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    let (mut luke, _) = server.login("luke").await;
    let secrets = ["203.0.113.77:40077", "203.0.113.88:40088", "203.0.113.99:40099"];
    is_at(&mut hans, &secrets[..1]).await;
    let request = ask(&mut hans, "yoda", &mut yoda).await;
    is_at(&mut hans, &secrets[..2]).await;
    is_at(&mut yoda, &secrets[2..]).await;
    let mut told = heard(&mut yoda).await;
    // A resume, a withdrawal, a refusal, an end: all without consent.
    drop(hans);
    let mut hans = resume(&mut server, "hans", &opened).await;
    cancel(&mut hans, &request).await;
    told.push(peer(&mut yoda).await);
    let request = ask(&mut hans, "yoda", &mut yoda).await;
    assert!(answer(&mut yoda, &request, false).await);
    told.push(peer(&mut hans).await);
    ask(&mut hans, "yoda", &mut yoda).await;
    let (to_hans, to_yoda, _) =
        tokio::join!(peer(&mut hans), peer(&mut yoda), timeout(INVITE_LIFETIME, luke.event()));
    told.extend([to_hans, to_yoda]);
    for who in [&mut hans, &mut yoda, &mut luke] {
        told.extend(heard(who).await);
    }
    assert!(told.iter().all(|event| matches!(event, Event::Asked(_) | Event::Ended(_))), "{told:?}");
    assert_eq!(told.len(), 4);
    assert!(!format!("{told:?}").contains("203.0.113"));
    // Consent: to the two alone, and what changes later as well.
    let request = ask(&mut hans, "yoda", &mut yoda).await;
    assert!(answer(&mut yoda, &request, true).await);
    assert_eq!(introduced(&mut hans).await.contact, Some(contact(&secrets[2..])));
    assert_eq!(introduced(&mut yoda).await.contact, Some(contact(&secrets[..2])));
    is_at(&mut hans, &secrets[1..2]).await;
    let Event::Contact(told) = peer(&mut yoda).await else { panic!() };
    assert_eq!((told.invite, told.contact), (request, Some(contact(&secrets[1..2]))));
    assert_eq!(heard(&mut luke).await, []);
}

#[tokio::test(start_paused = true)]
async fn requests_are_bounded() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let mut others = Vec::new();
    for number in 0..=INVITES_IN_MAX {
        others.push(server.login(&format!("other{number}")).await.0);
    }
    for number in 0..INVITES_OUT_MAX {
        assert_eq!(invite(&mut hans, &format!("other{number}")).await.outcome(), Outcome::Asked);
    }
    let name = format!("other{INVITES_OUT_MAX}");
    let invited = invite(&mut hans, &name).await;
    assert_eq!((invited.outcome(), invited.user, invited.invite.len()), (Outcome::Busy, name, 0));
    let (mut yoda, _) = server.login("yoda").await;
    for (number, other) in others.iter_mut().enumerate() {
        let outcome = if number < INVITES_IN_MAX { Outcome::Asked } else { Outcome::Busy };
        assert_eq!(invite(other, "yoda").await.outcome(), outcome, "{number}");
    }
    assert_eq!(heard(&mut yoda).await.len(), INVITES_IN_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_background_session_has_no_private_talk() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, opened) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    let request = ask(&mut yoda, "hans", &mut hans).await;
    let mut script = server.connect();
    script.hello().await;
    let login = Body::Login(v1::Login {
        name: "hans".to_owned(),
        proof: Some(v1::login::Proof::Token(opened.token.clone())),
        background: true,
        device: Some(script.device("hans")),
        ..v1::Login::default()
    });
    script.opened(login).await;
    let requests = [
        invite_frame("yoda"),
        answer_frame(&request, true),
        Body::CancelInvite(v1::CancelInvite { invite: request.clone() }),
        Body::MaySee(v1::MaySee { user: "yoda".into() }),
    ];
    is_at(&mut script, &["192.0.2.66:66"]).await;
    for request in requests {
        let reply::Body::Refused(refused) = script.request(request).await else { panic!() };
        assert_eq!(refused.reason(), refused::Reason::Background);
    }
    assert!(answer(&mut hans, &request, true).await);
    assert_eq!(introduced(&mut yoda).await.contact, Some(v1::Contact::default()));
}

#[tokio::test(start_paused = true)]
async fn private_talk_is_activity_and_a_contact_is_not() {
    let idle_timeout = Some(Duration::from_secs(60));
    let mut server = TestServer::new(Policy { idle_timeout, ..Policy::default() });
    let (mut hans, _) = server.login("hans").await;
    for _ in 0..5 {
        advance(Duration::from_secs(40)).await;
        assert_eq!(invite(&mut hans, "nobody").await.outcome(), Outcome::InvalidUser);
    }
    // What a client does by itself is none.
    let start = Instant::now();
    for port in 1..6 {
        advance(Duration::from_secs(10)).await;
        is_at(&mut hans, &[&format!("192.0.2.1:{port}")]).await;
        assert!(!may_see(&mut hans, "nobody").await);
        cancel(&mut hans, &Bytes::from_static(&[7; 16])).await;
    }
    assert_eq!(hans.closed().await, Some(Close::Idle));
    assert_eq!(start.elapsed(), Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn before_the_login_nobody_is_asked() {
    let mut server = TestServer::new(Policy::default());
    let (mut yoda, _) = server.login("yoda").await;
    let mut stranger = server.connect();
    stranger.hello().await;
    is_at(&mut stranger, &["192.0.2.1:1"]).await;
    let reply::Body::Refused(refused) = stranger.request(invite_frame("yoda")).await else { panic!() };
    assert_eq!(refused.reason(), refused::Reason::NotLoggedIn);
    assert_eq!(heard(&mut yoda).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_hostile_client_gets_nowhere() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    let (mut thief, _) = server.login("thief").await;
    let request = ask(&mut hans, "yoda", &mut yoda).await;
    // Other people's requests, and names that nothing has.
    let zeros = Bytes::from(vec![0; 16]);
    let names = [request.clone(), Bytes::new(), zeros, Bytes::from(vec![0xff; 100_000]), request.slice(..15)];
    for name in &names {
        for accept in [true, false] {
            assert!(!answer(&mut thief, name, accept).await);
            assert!(!answer(&mut hans, name, accept).await, "the asker does not answer");
        }
        cancel(&mut thief, name).await;
        cancel(&mut yoda, name).await;
    }
    for user in ["\u{0}", "\u{202e}adoy", &"y".repeat(100_000), "yoda\n"] {
        assert_eq!(invite(&mut thief, user).await.outcome(), Outcome::InvalidUser);
        assert!(!may_see(&mut thief, user).await);
    }
    // A contact of everything that is too much or no address.
    let many: Vec<_> = (1..5000).map(|port| format!("192.0.2.1:{port}")).collect();
    let junk = ["", "\u{1b}[2J:1", "example.org:80", "192.0.2.1", "0.0.0.0:0", "[::]:9", "224.0.0.1:9"];
    let junk: Vec<_> = junk.iter().map(|one| (*one).to_owned()).chain(vec!["192.0.2.9:9".into()]).collect();
    for (addresses, expected) in [(many, CONTACT_ADDRESSES_MAX), (junk, 1), (vec!["x".repeat(100_000)], 0)] {
        yoda.send(0, Body::Contact(v1::Contact { addresses, relay: false, tcp: Vec::new() })).await;
        heard(&mut yoda).await;
        let request = invite(&mut thief, "yoda").await.invite;
        assert!(answer(&mut yoda, &request, true).await);
        let told = introduced(&mut thief).await.contact.unwrap();
        assert_eq!((told.addresses.len(), told.relay), (expected, false));
        cancel(&mut thief, &request).await;
        heard(&mut yoda).await;
    }
    // Nothing of that has touched the request.
    assert_eq!(heard(&mut hans).await, []);
    assert!(answer(&mut yoda, &request, false).await);
    assert_eq!(ended(&mut hans).await, ("yoda".into(), Reason::Declined));
    // A note with a number, or a request without: the connection ends.
    thief.send(1_000_000, Body::Contact(v1::Contact::default())).await;
    assert_eq!(thief.closed().await, Some(Close::BadFrame));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_requests_is_read_slowly() {
    let mut server = TestServer::new(Policy::default());
    let (mut thief, _) = server.login("thief").await;
    let (mut yoda, _) = server.login("yoda").await;
    let start = Instant::now();
    for _ in 0..200 {
        let request = ask(&mut thief, "yoda", &mut yoda).await;
        cancel(&mut thief, &request).await;
        assert_eq!(ended(&mut yoda).await, ("thief".into(), Reason::Withdrawn));
    }
    assert!(start.elapsed() > Duration::from_secs(10), "{:?}", start.elapsed());
}
