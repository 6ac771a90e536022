//! Nobody speaks under another's name: whoever a connection has proven to be is who it is, and names that look the same
//! are one account or none.

use hobnob_protocol::v1::{
    self, client_frame::Body, login::Proof, login_refused::Reason, refused, reply,
    server_frame::Body as Event, submitted::Outcome,
};
use hobnob_server::config::Policy;

use crate::support::{Connection, TestServer, broadcast, message, presence};

/// A login by the token of somebody's session.
fn by_token(connection: &Connection, name: &str, token: &[u8], background: bool) -> Body {
    Body::Login(v1::Login {
        name: name.to_owned(),
        proof: Some(Proof::Token(token.to_vec().into())),
        background,
        device: Some(connection.device(name)),
        ..v1::Login::default()
    })
}

async fn greeted(server: &mut TestServer) -> Connection {
    let mut connection = server.connect();
    connection.hello().await;
    connection
}

/// Two logins sent at once: the first counts, whoever the second is, and what follows is said by the first.
#[tokio::test(start_paused = true)]
async fn of_two_logins_in_flight_the_first_counts_and_the_second_does_nothing() {
    let mut server = TestServer::new(Policy::default());
    let (mut yoda, _) = server.login("yoda").await;
    let (luke, _) = server.login("luke").await;
    drop(luke);
    let mut two = greeted(&mut server).await;
    let logins = [two.login_frame("hans", "secret", true), two.login_frame("luke", "secret", false)];
    let mut ids = Vec::new();
    for login in logins {
        ids.push(two.ask(login).await);
    }
    ids.push(two.ask(crate::support::submit(1, message("yoda", "Who am I?"))).await);
    let (first, opened) = two.reply().await;
    assert!(matches!(opened, reply::Body::Opened(opened) if opened.name == "hans"));
    let (second, refused) = two.reply().await;
    let reply::Body::Refused(refused) = refused else { panic!("{refused:?}") };
    assert_eq!(refused.reason(), refused::Reason::AlreadyLoggedIn);
    let (third, submitted) = two.reply().await;
    assert!(matches!(submitted, reply::Body::Submitted(s) if s.outcome() == Outcome::Accepted));
    assert_eq!(vec![first, second, third], ids);
    while yoda.events.last().is_none_or(|event| !matches!(event, Event::Entry(_))) {
        let event = yoda.next().await.unwrap();
        yoda.events.push(event);
    }
    let Some(Event::Entry(entry)) = yoda.events.pop() else { panic!() };
    assert_eq!((&*entry.sender, &*entry.text), ("hans", "Who am I?"));
}

/// A login that fails leaves nothing of its name behind on the connection.
#[tokio::test(start_paused = true)]
async fn a_failed_login_leaves_no_name_on_the_connection() {
    let mut server = TestServer::new(Policy::default());
    let (mut yoda, _) = server.login("yoda").await;
    let mut hans = greeted(&mut server).await;
    for (name, password) in [("yoda", "guess"), ("nobody", "guess")] {
        let login = hans.login_frame(name, password, false);
        assert_eq!(hans.refused(login).await, Reason::WrongPassword);
    }
    let login = hans.login_frame("hans", "secret", true);
    assert_eq!(hans.opened(login).await.name, "hans");
    assert_eq!(yoda.event().await, presence("hans", true));
    assert_eq!(hans.outcome(1, broadcast("hello")).await, Outcome::Accepted);
    assert_eq!(yoda.entry().await, "hans: hello");
}

#[tokio::test(start_paused = true)]
async fn a_token_opens_nobody_else_s_session() {
    let mut server = TestServer::new(Policy::default());
    let (hans, of_hans) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    drop(hans);
    for name in ["yoda", "YODA", "nobody", "ha\u{301}ns", "no name"] {
        let mut thief = greeted(&mut server).await;
        let resume = thief.resume_frame(name, &of_hans);
        assert_eq!(thief.refused(resume).await, Reason::UnknownToken, "{name}");
        for background in [false, true] {
            let login = by_token(&thief, name, &of_hans.token, background);
            assert_eq!(thief.refused(login).await, Reason::UnknownToken, "{name}");
        }
    }
    // Yoda's session goes on, and was not touched.
    assert!(yoda.names(Body::WhoElse(v1::WhoElse {})).await.contains(&"hans".to_owned()));
}

/// The proof of a device is for one name on one connection.
#[tokio::test(start_paused = true)]
async fn a_proof_is_worth_nothing_for_another_name_or_on_another_connection() {
    let mut server = TestServer::new(Policy::default());
    let (hans, of_hans) = server.login("hans").await;
    drop(hans);
    let mut one = greeted(&mut server).await;
    let heard_by_others = [one.login_frame("hans", "secret", false), one.resume_frame("hans", &of_hans)];
    for frame in heard_by_others {
        let mut other = greeted(&mut server).await;
        assert_eq!(other.refused(frame).await, Reason::BadDevice, "said again elsewhere");
    }
    // In another spelling it is another name to the signature, though the same account.
    let Body::Login(mut login) = one.login_frame("hans", "secret", false) else { panic!() };
    login.name = "Hans".to_owned();
    assert_eq!(one.refused(Body::Login(login)).await, Reason::BadDevice);
    let login = one.login_frame("hans", "secret", false);
    assert_eq!(one.opened(login).await.name, "hans");
}

#[tokio::test(start_paused = true)]
async fn names_that_differ_in_case_width_or_looks_are_one_account_or_none() {
    let mut server = TestServer::new(Policy::default());
    let (mut yoda, _) = server.login("yoda").await;
    let mut hans = greeted(&mut server).await;
    let login = hans.login_frame("Jürgen", "secret", true);
    assert_eq!(hans.opened(login).await.name, "Jürgen");
    for same in ["jürgen", "JÜRGEN", "Ju\u{308}rgen", "Ｊürgen"] {
        let mut thief = greeted(&mut server).await;
        let login = thief.login_frame(same, "guess", true);
        assert_eq!(thief.refused(login).await, Reason::NameTaken, "{same}");
    }
    // Cyrillic letters, a digit for a letter, letters that cannot be seen, and names that are kept.
    for alike in
        ["уoda", "y0da", "yod\u{430}", "yo\u{200b}da", "yoda\u{200d}", "server", "admin", "\u{ff53}erver"]
    {
        let mut thief = greeted(&mut server).await;
        let login = thief.login_frame(alike, "guess", true);
        let refused = thief.refused(login).await;
        assert_eq!(refused, Reason::NameRefused, "{alike}");
    }
    // Whoever logs in under another spelling is shown as registered.
    drop(hans);
    let mut hans = greeted(&mut server).await;
    let Body::Login(login) = hans.login_frame("JÜRGEN", "secret", false) else { panic!() };
    assert_eq!(hans.opened(Body::Login(login)).await.name, "Jürgen");
    assert_eq!(hans.outcome(1, message("YODA", "it is me")).await, Outcome::Accepted);
    let entry = loop {
        match yoda.event().await {
            Event::Entry(entry) => break entry,
            Event::Presence(told) => assert_eq!(told.user, "Jürgen"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((&*entry.sender, &*entry.text), ("Jürgen", "it is me"));
}
