//! What the keeper of a server does, against real sessions on a store in memory.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{path::PathBuf, sync::Arc, time::Duration};

use hobnob_protocol::{
    close::Close,
    v1::{self, client_frame, login_refused::Reason as LoginReason, reply, server_frame, submitted::Outcome},
};
use hobnob_server::{
    admin::{
        Gone, Keeper, Replies,
        wire::{Command, Done, Password, Reason, Refused, Reply, Session, SessionState, Status, User},
    },
    config::Policy,
    control::Reloads,
};
use support::{Connection, TestServer, message};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

struct Lines(Vec<Reply>);

impl Replies for Lines {
    async fn reply(&mut self, reply: &Reply) -> Result<(), Gone> {
        self.0.push(reply.clone());
        Ok(())
    }
}

/// A server with its keeper.
struct World {
    server: TestServer,
    keeper: Arc<Keeper>,
}

impl World {
    fn new(policy: Policy) -> Self {
        let server = TestServer::new(policy);
        let keeper = Arc::new(Keeper {
            node: server.node.clone(),
            data: PathBuf::from("/nowhere"),
            identity: None,
            reloads: Reloads::new().0,
            started: Instant::now(),
            connections: TaskTracker::new(),
        });
        Self { server, keeper }
    }

    async fn rows(&self, command: Command) -> Vec<Reply> {
        let mut lines = Lines(Vec::new());
        self.keeper.serve(1000, command, &mut lines).await.unwrap();
        assert_eq!(lines.0.pop(), Some(Reply::Done(Done::default())));
        lines.0
    }

    async fn answer(&self, command: Command) -> Result<Done, Refused> {
        let mut lines = Lines(Vec::new());
        self.keeper.serve(1000, command, &mut lines).await.unwrap();
        match <[Reply; 1]>::try_from(lines.0).unwrap() {
            [Reply::Done(done)] => Ok(done),
            [Reply::Refused(refused)] => Err(refused),
            other => panic!("{other:?}"),
        }
    }

    async fn done(&self, command: Command) -> Done {
        self.answer(command).await.unwrap()
    }

    async fn refusal(&self, command: Command) -> Reason {
        self.answer(command).await.unwrap_err().reason
    }

    async fn user(&self, name: &str) -> User {
        let rows = self.rows(Command::Users).await.into_iter();
        let users = rows.map(|row| match row {
            Reply::User(user) => user,
            other => panic!("{other:?}"),
        });
        users.into_iter().find(|user| user.name == name).unwrap()
    }

    async fn sessions(&self, all: bool) -> Vec<Session> {
        let rows = self.rows(Command::Sessions { all }).await.into_iter();
        rows.map(|row| match row {
            Reply::Session(session) => session,
            other => panic!("{other:?}"),
        })
        .collect()
    }

    async fn status(&self) -> Box<Status> {
        match self.rows(Command::Status).await.remove(0) {
            Reply::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    /// Tries to log in by a device that is known.
    async fn tries(&mut self, name: &str, password: &str) -> Result<v1::Opened, LoginReason> {
        let mut connection = self.server.connect();
        connection.hello().await;
        let login = connection.login_frame(name, password, false);
        match connection.request(login).await {
            reply::Body::Opened(opened) => Ok(opened),
            reply::Body::LoginRefused(refused) => Err(refused.reason()),
            other => panic!("{other:?}"),
        }
    }

    async fn resumes(&mut self, name: &str, opened: &v1::Opened) -> LoginReason {
        let mut connection = self.server.connect();
        connection.hello().await;
        let resume = connection.resume_frame(name, opened);
        connection.refused(resume).await
    }

    /// A background session by password.
    async fn background(&mut self, name: &str) -> (Connection, v1::Opened) {
        let mut connection = self.server.connect();
        connection.hello().await;
        let client_frame::Body::Login(login) = connection.login_frame(name, "secret", false) else {
            panic!()
        };
        let login = client_frame::Body::Login(v1::Login { background: true, ..login });
        let opened = connection.opened(login).await;
        (connection, opened)
    }
}

fn named(make: impl Fn(String) -> Command, name: &str) -> Command {
    make(name.to_owned())
}

fn kick(name: &str) -> Command {
    named(|name| Command::Kick { name }, name)
}

fn disable(name: &str) -> Command {
    named(|name| Command::Disable { name }, name)
}

fn reset(name: &str, password: Option<&str>) -> Command {
    Command::Reset { name: name.to_owned(), password: password.map(|text| Password(text.to_owned())) }
}

fn add(name: &str, password: Option<&str>) -> Command {
    Command::Add { name: name.to_owned(), password: password.map(|text| Password(text.to_owned())) }
}

fn rename(name: &str, to: &str) -> Command {
    Command::Rename { name: name.to_owned(), to: to.to_owned() }
}

fn delete(name: &str) -> Command {
    named(|name| Command::Delete { name }, name)
}

/// Events but presence.
trait Said {
    /// The next entry.
    fn said(&mut self) -> impl Future<Output = String>;
}

impl Said for Connection {
    async fn said(&mut self) -> String {
        loop {
            match self.event().await {
                server_frame::Body::Entry(entry) => return format!("{}: {}", entry.sender, entry.text),
                server_frame::Body::Presence(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

async fn sees_leave(connection: &mut Connection, name: &str) {
    loop {
        match connection.event().await {
            server_frame::Body::Presence(presence) if !presence.online => {
                assert_eq!(presence.user, name);
                return;
            }
            server_frame::Body::Presence(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn users_are_listed_with_state_and_last_seen() {
    let mut world = World::new(Policy::default());
    let (_hans, _) = world.server.login("hans").await;
    world.done(add("Yoda", Some("secret"))).await;
    let now = world.server.node.world.now_ms();
    let hans = world.user("hans").await;
    assert!(hans.online && !hans.disabled && hans.locked_until_ms.is_none());
    assert!(hans.last_seen_ms.is_some_and(|seen| seen >= now));
    let yoda = world.user("Yoda").await;
    assert_eq!((yoda.online, yoda.last_seen_ms), (false, None));
    world.done(disable("hans")).await;
    let hans = world.user("hans").await;
    assert!(!hans.online && hans.disabled && hans.last_seen_ms.is_some());
}

#[tokio::test(start_paused = true)]
async fn accounts_are_added_as_at_a_registration() {
    let mut world = World::new(Policy { registration_open: false, ..Policy::default() });
    assert_eq!(world.done(add("Hans", Some("pass word"))).await.name.as_deref(), Some("Hans"));
    assert!(world.tries("hans", "pass word").await.is_ok());
    for (name, reason) in [
        ("HANS", Reason::NameTaken),
        ("admin", Reason::NameRefused),
        ("server", Reason::NameRefused),
        ("a b", Reason::NameRefused),
        ("H\u{430}ns", Reason::NameRefused),
    ] {
        assert_eq!(world.refusal(add(name, Some("x"))).await, reason, "{name}");
    }
    for password in ["", &"x".repeat(129)] {
        assert_eq!(world.refusal(add("yoda", Some(password))).await, Reason::PasswordRefused);
    }
    let made = world.done(add("yoda", None)).await.password.unwrap().0;
    assert_eq!((made.len(), made.split('-').count()), (23, 4));
    assert!(world.tries("yoda", &made).await.is_ok());
    assert_ne!(world.done(add("luke", None)).await.password.unwrap().0, made);
}

#[tokio::test(start_paused = true)]
async fn no_such_user_is_told_for_every_act() {
    let world = World::new(Policy::default());
    for name in ["hans", "not a name", ""] {
        for command in [
            reset(name, None),
            kick(name),
            disable(name),
            delete(name),
            rename(name, "yoda"),
            named(|name| Command::Enable { name }, name),
            named(|name| Command::Unlock { name }, name),
        ] {
            assert_eq!(world.refusal(command).await, Reason::NoSuchUser);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_kicked_session_ends_at_once_and_its_token_too() {
    let mut world = World::new(Policy::default());
    let (mut hans, opened) = world.server.login("hans").await;
    let (mut visit, visited) = world.background("hans").await;
    let (mut bob, _) = world.server.login("bob").await;
    let before = Instant::now();
    assert_eq!(world.done(kick("HANS")).await.sessions_ended, Some(2));
    assert_eq!(hans.closed().await, Some(Close::Kicked));
    assert_eq!(visit.closed().await, Some(Close::Kicked));
    sees_leave(&mut bob, "hans").await;
    assert_eq!(before.elapsed(), Duration::ZERO, "nothing of it waits");
    assert_eq!(world.resumes("hans", &opened).await, LoginReason::Kicked);
    assert_eq!(world.resumes("hans", &visited).await, LoginReason::Kicked);
    assert!(world.tries("hans", "secret").await.is_ok(), "the password holds");
    assert_eq!(world.done(kick("hans")).await.sessions_ended, Some(1));
    assert_eq!(world.done(kick("hans")).await.sessions_ended, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_broken_session_does_not_come_back_after_a_kick() {
    let mut world = World::new(Policy::default());
    let (hans, opened) = world.server.login("hans").await;
    let (mut bob, _) = world.server.login("bob").await;
    drop(hans);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.sessions(false).await[0].state, SessionState::Broken);
    assert_eq!(world.done(kick("hans")).await.sessions_ended, Some(1));
    sees_leave(&mut bob, "hans").await;
    assert_eq!(world.resumes("hans", &opened).await, LoginReason::Kicked);
}

#[tokio::test(start_paused = true)]
async fn a_disabled_account_tells_so_only_to_who_knows_the_password() {
    let mut world = World::new(Policy::default());
    let (mut hans, opened) = world.server.login("hans").await;
    world.done(disable("hans")).await;
    assert_eq!(hans.closed().await, Some(Close::Kicked));
    assert_eq!(world.tries("hans", "secret").await, Err(LoginReason::Disabled));
    assert_eq!(world.resumes("hans", &opened).await, LoginReason::Kicked);
    // Guesses are answered as ever, and counted.
    assert_eq!(world.tries("hans", "x").await, Err(LoginReason::WrongPassword));
    assert_eq!(world.tries("hans", "secret").await, Err(LoginReason::Disabled), "is no success, either");
    assert_eq!(world.tries("hans", "x").await, Err(LoginReason::WrongPassword));
    assert_eq!(world.tries("hans", "x").await, Err(LoginReason::LockedNow));
    assert_eq!(world.tries("hans", "secret").await, Err(LoginReason::Locked));
    world.done(disable("hans")).await;
    world.done(Command::Enable { name: "hans".to_owned() }).await;
    world.done(Command::Unlock { name: "hans".to_owned() }).await;
    assert!(world.tries("hans", "secret").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_message_to_a_disabled_account_waits_for_it() {
    let mut world = World::new(Policy::default());
    world.done(add("hans", Some("secret"))).await;
    world.done(disable("hans")).await;
    let (mut bob, _) = world.server.login("bob").await;
    assert_eq!(bob.outcome(1, message("hans", "hi")).await, Outcome::Accepted);
    world.done(Command::Enable { name: "hans".to_owned() }).await;
    let (mut hans, _) = world.server.login("hans").await;
    assert_eq!(hans.said().await, "bob: hi");
}

#[tokio::test(start_paused = true)]
async fn a_reset_ends_sessions_and_the_lock_out() {
    let mut world = World::new(Policy::default());
    let (mut hans, opened) = world.server.login("hans").await;
    for _ in 0..3 {
        let _ = world.tries("hans", "x").await;
    }
    assert_eq!(world.tries("hans", "secret").await, Err(LoginReason::Locked));
    assert!(world.user("hans").await.locked_until_ms.is_some());
    assert_eq!(world.done(reset("hans", Some("new"))).await.sessions_ended, Some(1));
    assert_eq!(hans.closed().await, Some(Close::PasswordChanged));
    assert_eq!(world.resumes("hans", &opened).await, LoginReason::PasswordChanged);
    assert!(world.user("hans").await.locked_until_ms.is_none());
    assert_eq!(world.tries("hans", "secret").await, Err(LoginReason::WrongPassword));
    assert!(world.tries("hans", "new").await.is_ok());
    let made = world.done(reset("hans", None)).await.password.unwrap().0;
    assert!(world.tries("hans", &made).await.is_ok());
    assert_eq!(world.refusal(reset("hans", Some(""))).await, Reason::PasswordRefused);
}

#[tokio::test(start_paused = true)]
async fn unlock_forgets_failures_of_all_devices() {
    let mut world = World::new(Policy::default());
    drop(world.server.login("hans").await);
    for seed in [None, Some(9)] {
        for _ in 0..3 {
            let mut connection = world.server.connect();
            connection.hello().await;
            let client_frame::Body::Login(mut login) = connection.login_frame("hans", "x", false) else {
                panic!()
            };
            if let Some(seed) = seed {
                login.device = Some(connection.fresh_device("hans", seed));
            }
            connection.refused(client_frame::Body::Login(login)).await;
        }
    }
    let unlock = || Command::Unlock { name: "hans".to_owned() };
    assert_eq!(world.done(unlock()).await.classes, Some(2));
    assert_eq!(world.done(unlock()).await.classes, Some(0));
    assert!(world.user("hans").await.locked_until_ms.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_renamed_user_keeps_everything_but_the_name() {
    let mut world = World::new(Policy::default());
    let (mut hans, opened) = world.server.login("hans").await;
    let (mut bob, _) = world.server.login("bob").await;
    assert_eq!(hans.outcome(1, message("bob", "before")).await, Outcome::Accepted);
    let done = world.done(rename("hans", "Luke")).await;
    assert_eq!((done.name.as_deref(), done.formerly.as_deref()), (Some("Luke"), Some("hans")));
    assert_eq!(hans.closed().await, Some(Close::Kicked));
    assert_eq!(bob.said().await, "hans: before");
    sees_leave(&mut bob, "hans").await;
    assert_eq!(bob.outcome(1, message("luke", "waits")).await, Outcome::Accepted);
    assert_eq!(bob.outcome(2, message("hans", "nobody")).await, Outcome::InvalidUser);
    assert_eq!(world.resumes("hans", &opened).await, LoginReason::UnknownToken);
    assert_eq!(world.tries("hans", "secret").await, Err(LoginReason::WrongPassword));
    let (mut luke, opened) = world.server.login("luke").await;
    assert_eq!((opened.name.as_str(), luke.said().await.as_str()), ("Luke", "bob: waits"));
    // The old name is free, and no way leads from it.
    let (mut other, _) = world.server.login("hans").await;
    assert_eq!(other.outcome(1, message("bob", "I am new")).await, Outcome::Accepted);
    for (to, reason) in [
        ("bob", Reason::NameTaken),
        ("b0b", Reason::NameRefused),
        ("system", Reason::NameRefused),
        ("", Reason::NameRefused),
    ] {
        assert_eq!(world.refusal(rename("luke", to)).await, reason, "{to}");
    }
    assert_eq!(world.done(rename("luke", "LUKE")).await.name.as_deref(), Some("LUKE"));
    assert_eq!(luke.closed().await, Some(Close::Kicked));
    assert_eq!(world.user("LUKE").await.name, "LUKE");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_account_leaves_nothing_to_who_takes_its_name() {
    let mut world = World::new(Policy::default());
    let (mut hans, opened) = world.server.login("hans").await;
    let (mut bob, _) = world.server.login("bob").await;
    let block = v1::submit::Op::Block(v1::Block { user: "hans".to_owned() });
    assert_eq!(bob.outcome(1, message("hans", "read me")).await, Outcome::Accepted);
    assert_eq!(hans.outcome(1, message("bob", "to keep")).await, Outcome::Accepted);
    assert_eq!(bob.said().await, "hans: to keep");
    assert_eq!(bob.outcome(2, block).await, Outcome::Accepted);
    world.done(delete("hans")).await;
    assert_eq!(hans.closed().await, Some(Close::Kicked));
    sees_leave(&mut bob, "hans").await;
    assert_eq!(bob.outcome(3, message("hans", "gone")).await, Outcome::InvalidUser);
    assert_eq!(world.resumes("hans", &opened).await, LoginReason::UnknownToken);
    assert_eq!(world.tries("hans", "secret").await, Err(LoginReason::WrongPassword));
    let (mut new, opened) = world.server.login("hans").await;
    assert_eq!((opened.inbox, opened.inbox_head, opened.outbox_last, opened.failed_logins), (0, 0, 0, 0));
    assert_eq!(new.outcome(1, message("bob", "I am new")).await, Outcome::Accepted, "no block is inherited");
    assert_eq!(bob.said().await, "hans: I am new");
    assert!(new.events.iter().all(|event| !matches!(event, server_frame::Body::Entry(_))));
}

#[tokio::test(start_paused = true)]
async fn a_client_of_the_deleted_starts_over_and_nobody_else_does() {
    let mut world = World::new(Policy::default());
    let (_hans, old) = world.server.login("hans").await;
    let (mut bob, opened_by_bob) = world.server.login("bob").await;
    for number in 1..=3 {
        assert_eq!(bob.outcome(number, message("hans", "old")).await, Outcome::Accepted);
    }
    world.done(delete("hans")).await;
    let mut new = world.server.connect();
    new.hello().await;
    let client_frame::Body::Login(mut login) = new.login_frame("hans", "secret", true) else { panic!() };
    login.position = Some(v1::Position { epoch: old.epoch.clone(), inbox: 3, broadcast: 0 });
    let opened = new.opened(client_frame::Body::Login(login)).await;
    assert_ne!(opened.epoch, old.epoch, "its numbers mean nothing any more");
    assert_eq!(opened.inbox, 0);
    assert_eq!(bob.outcome(4, message("hans", "first")).await, Outcome::Accepted);
    assert_eq!(new.said().await, "bob: first");
    drop(bob);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (_bob, again) = world.server.login("bob").await;
    assert_eq!(again.epoch, opened_by_bob.epoch, "it was not taken for an older copy of the database");
}

#[tokio::test(start_paused = true)]
async fn what_a_deleted_user_sent_is_still_delivered() {
    let mut world = World::new(Policy::default());
    world.done(add("bob", Some("secret"))).await;
    let (mut hans, _) = world.server.login("hans").await;
    assert_eq!(hans.outcome(1, message("bob", "to keep")).await, Outcome::Accepted);
    world.done(delete("hans")).await;
    let (mut bob, _) = world.server.login("bob").await;
    assert_eq!(bob.said().await, "hans: to keep");
}

#[tokio::test(start_paused = true)]
async fn a_submit_that_the_deletion_overtakes_does_no_harm() {
    let mut world = World::new(Policy::default());
    let (mut hans, _) = world.server.login("hans").await;
    let (mut bob, _) = world.server.login("bob").await;
    let (mut yoda, _) = world.server.login("yoda").await;
    for number in 1..=20 {
        hans.ask(support::submit(number, message("bob", "late"))).await;
        yoda.ask(support::submit(number, message("bob", "fine"))).await;
    }
    world.done(delete("hans")).await;
    for number in 1..=20 {
        let reply::Body::Submitted(submitted) = yoda.reply().await.1 else { panic!() };
        assert_eq!(submitted.outcome(), Outcome::Accepted, "{number}");
    }
    let mut fine = 0;
    while fine < 20 {
        fine += usize::from(bob.said().await == "yoda: fine");
    }
}

#[tokio::test(start_paused = true)]
async fn an_announcement_reaches_who_is_online_and_only_them() {
    let mut world = World::new(Policy::default());
    world.done(add("luke", Some("secret"))).await;
    let (mut hans, _) = world.server.login("hans").await;
    let (mut bob, _) = world.server.login("bob").await;
    let announce = |text: &str| Command::Announce { text: text.to_owned() };
    assert_eq!(world.done(announce("back at noon")).await.users_online, Some(2));
    let broadcast = v1::submit::Op::Broadcast(v1::Broadcast { text: "fine".to_owned() });
    assert_eq!(bob.outcome(1, broadcast).await, Outcome::Accepted);
    for connection in [&mut hans, &mut bob] {
        assert_eq!(connection.said().await, "server: back at noon");
    }
    assert_eq!(hans.said().await, "bob: fine");
    let (mut luke, _) = world.server.login("luke").await;
    assert_eq!(world.done(announce("again")).await.users_online, Some(3));
    assert_eq!(luke.said().await, "server: again", "what was said before is not for who was offline");
    for text in ["", " \n", "\u{1b}[2J", &"x".repeat(65_537)] {
        assert_eq!(world.refusal(announce(text)).await, Reason::TextRefused);
    }
}

#[tokio::test(start_paused = true)]
async fn an_announcement_is_not_lost_with_its_wake_up_or_connection() {
    let mut world = World::new(Policy::default());
    let (hans, opened) = world.server.login("hans").await;
    drop(hans);
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.done(Command::Announce { text: "back at noon".to_owned() }).await;
    let mut again = world.server.connect();
    again.hello().await;
    let resume = again.resume_frame("hans", &opened);
    again.opened(resume).await;
    assert_eq!(again.said().await, "server: back at noon");
}

#[tokio::test(start_paused = true)]
async fn sessions_and_status_tell_what_there_is() {
    let mut world = World::new(Policy::default());
    let (_hans, _) = world.server.login("hans").await;
    let (bob, _) = world.server.login("bob").await;
    let (_visit, _) = world.background("hans").await;
    let states = |sessions: Vec<Session>| -> Vec<_> {
        sessions.into_iter().map(|one| (one.user, one.state)).collect()
    };
    let (hans, name) = ("hans".to_owned(), "bob".to_owned());
    let both = vec![
        (hans.clone(), SessionState::Connected),
        (name.clone(), SessionState::Connected),
        (hans, SessionState::Background),
    ];
    let sessions = world.sessions(false).await;
    assert_eq!(sessions[0].from.as_deref(), Some("127.0.0.1"));
    assert!(sessions[0].since_ms.is_some());
    assert_eq!(states(sessions), both);
    drop(bob);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let live = states(world.sessions(false).await);
    assert!(!live.iter().any(|(user, _)| *user == name), "{live:?}");
    assert!(states(world.sessions(true).await).contains(&(name, SessionState::Offline)));
    let status = world.status().await;
    assert_eq!((status.version.as_str(), status.fingerprint.as_str()), (env!("CARGO_PKG_VERSION"), ""));
    assert_eq!((status.queue_requests, status.queue_bytes, status.relay.is_none()), (0, 0, true));
    assert!(status.commits > 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_sessions_so_that_they_come_back() {
    let mut world = World::new(Policy::default());
    let (mut hans, _) = world.server.login("hans").await;
    let mut lines = Lines(Vec::new());
    world.keeper.serve(1000, Command::Drain, &mut lines).await.unwrap();
    assert_eq!(lines.0, []);
    assert_eq!(hans.closed().await, Some(Close::GoingAway), "it may resume");
}
