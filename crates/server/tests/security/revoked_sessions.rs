//! What ends a session ends everything that hangs on it, at once: the connection, its token, a login that was half-way,
//! background sessions, what it offered and asked. What a keeper can do alone is in `tests/admin.rs`, the relay's side in
//! `tests/relay.rs`.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use hobnob_protocol::{
    close::Close,
    v1::{
        self, client_frame::Body, login::Proof, login_refused::Reason, peer_event, reply,
        server_frame::Body as Event,
    },
};
use hobnob_server::{
    admin::{
        Gone, Keeper, Replies,
        wire::{Command, Password, Reply},
    },
    config::Policy,
    control::Reloads,
    node::{Boxed, Passwords},
    store::{Secret, memory::MemoryStore},
};
use tokio::{
    sync::Barrier,
    time::{Duration, Instant, timeout},
};
use tokio_util::task::TaskTracker;

use crate::support::{Connection, PlainPasswords, TestServer};

struct Last(Option<Reply>);

impl Replies for Last {
    async fn reply(&mut self, reply: &Reply) -> Result<(), Gone> {
        self.0 = Some(reply.clone());
        Ok(())
    }
}

async fn keeper_does(server: &TestServer, command: Command) {
    let keeper = Arc::new(Keeper {
        node: server.node.clone(),
        data: PathBuf::from("/nowhere"),
        identity: None,
        reloads: Reloads::new().0,
        started: Instant::now(),
        connections: TaskTracker::new(),
    });
    let mut last = Last(None);
    keeper.serve(0, command, &mut last).await.unwrap();
    assert!(matches!(last.0, Some(Reply::Done(_))), "{:?}", last.0);
}

async fn greeted(server: &mut TestServer) -> Connection {
    let mut connection = server.connect();
    connection.hello().await;
    connection
}

fn by_token(connection: &Connection, name: &str, opened: &v1::Opened, background: bool) -> Body {
    Body::Login(v1::Login {
        name: name.to_owned(),
        proof: Some(Proof::Token(opened.token.clone())),
        background,
        device: Some(connection.device(name)),
        ..v1::Login::default()
    })
}

/// What a keeper may do to hans, what is then said to his connections, and to his token.
fn acts() -> [(Command, Close, Reason); 5] {
    let name = || "hans".to_owned();
    let password = Some(Password("another".to_owned()));
    [
        (Command::Kick { name: name() }, Close::Kicked, Reason::Kicked),
        (Command::Disable { name: name() }, Close::Kicked, Reason::Kicked),
        (Command::Reset { name: name(), password }, Close::PasswordChanged, Reason::PasswordChanged),
        // Under this name there is nobody any more.
        (Command::Rename { name: name(), to: "Leia".to_owned() }, Close::Kicked, Reason::UnknownToken),
        (Command::Delete { name: name() }, Close::Kicked, Reason::UnknownToken),
    ]
}

#[tokio::test(start_paused = true)]
async fn whatever_ends_an_account_s_sessions_ends_all_that_hangs_on_them() {
    for (act, close, reason) in acts() {
        let case = format!("{act:?}");
        let mut server = TestServer::new(Policy { sessions_per_user: 3, ..Policy::default() });
        let (mut yoda, _) = server.login("yoda").await;
        let (mut live, of_live) = server.login("hans").await;
        let (broken, of_broken) = server.login("hans").await;
        drop(broken);
        let mut script = greeted(&mut server).await;
        let login = by_token(&script, "hans", &of_live, true);
        let of_script = script.opened(login).await;
        offers_and_asks(&mut live).await;
        assert_eq!(files(&mut yoda).await, 1, "{case}");

        keeper_does(&server, act).await;

        assert_eq!(live.closed().await, Some(close), "{case}: a live connection");
        assert_eq!(script.closed().await, Some(close), "{case}: a background session");
        for (what, token) in [("live", &of_live), ("broken", &of_broken), ("background", &of_script)] {
            let mut thief = greeted(&mut server).await;
            let resume = thief.resume_frame("hans", token);
            assert_eq!(thief.refused(resume).await, reason, "{case}: resume of what was {what}");
            for background in [false, true] {
                let login = by_token(&thief, "hans", token, background);
                // Of a token that has ended so much is said to who has it, whatever name it goes with.
                let refused = thief.refused(login).await;
                assert!(
                    [reason, Reason::Kicked].contains(&refused),
                    "{case}: the token of what was {what}: {refused:?}"
                );
            }
        }
        assert_eq!(files(&mut yoda).await, 0, "{case}: what it offered");
        let ended = yoda.events.iter().any(|event| {
            let Event::Peer(peer) = event else { return false };
            matches!(&peer.event, Some(peer_event::Event::Ended(_)))
        });
        assert!(ended, "{case}: what it asked for: {:?}", yoda.events);
        assert!(yoda.names(Body::WhoElse(v1::WhoElse {})).await.is_empty(), "{case}: its presence");
    }
}

/// Offers a file, and asks yoda for private talk.
async fn offers_and_asks(who: &mut Connection) {
    let content = v1::Content { id: vec![1; 32].into(), size: 5 };
    let hold =
        v1::Hold { content: Some(content), name: "film".to_owned(), complete: true, ..v1::Hold::default() };
    assert!(matches!(who.request(Body::Hold(hold)).await, reply::Body::Done(_)));
    let invite = Body::Invite(v1::Invite { user: "yoda".to_owned() });
    assert!(matches!(who.request(invite).await, reply::Body::Invited(_)));
}

async fn files(of: &mut Connection) -> usize {
    match of.request(Body::ListFiles(v1::ListFiles::default())).await {
        reply::Body::Files(files) => files.files.len(),
        other => panic!("{other:?}"),
    }
}

/// Passwords that are checked when the test says so, from the first check of this one on.
struct Slow {
    password: &'static str,
    verify: Option<Arc<Barrier>>,
    hash: Option<Arc<Barrier>>,
}

impl Passwords for Slow {
    fn hash(&self, password: String) -> Boxed<'_, Secret> {
        Box::pin(async {
            if let Some(both) = self.hash.as_ref().filter(|_| password.starts_with("new")) {
                both.wait().await;
            }
            Secret(password)
        })
    }

    fn verify(&self, password: String, hash: Option<Secret>) -> Boxed<'_, bool> {
        Box::pin(async move {
            if let Some(both) = self.verify.as_ref().filter(|_| password == self.password) {
                both.wait().await;
                both.wait().await;
            }
            PlainPasswords.verify(password, hash).await
        })
    }
}

fn slow(slow: Slow) -> TestServer {
    let policy = Policy { sessions_per_user: 3, ..Policy::default() };
    TestServer::with(MemoryStore::new(Bytes::from_static(b"epoch")), policy, Arc::new(slow))
}

/// A password was right when the check began; when it ends, it opens only what it still may.
#[tokio::test(start_paused = true)]
async fn a_login_that_is_half_way_does_not_outlive_what_it_was_proven_by() {
    for (act, _, _) in acts() {
        let expected = match &act {
            Command::Disable { .. } => Some(Reason::Disabled),
            Command::Reset { .. } | Command::Delete { .. } => Some(Reason::WrongPassword),
            // The password still holds: it may open a session.
            _ => None,
        };
        let case = format!("{act:?}");
        let gate = Arc::new(Barrier::new(2));
        let mut server = slow(Slow { password: "old", verify: Some(gate.clone()), hash: None });
        let mut first = greeted(&mut server).await;
        let login = first.login_frame("hans", "old", true);
        first.opened(login).await;
        let mut half_way = greeted(&mut server).await;
        let login = half_way.login_frame("hans", "old", false);
        let id = half_way.ask(login).await;
        gate.wait().await;
        keeper_does(&server, act).await;
        gate.wait().await;
        let (answered, reply) = half_way.reply().await;
        assert_eq!(answered, id);
        match (reply, expected) {
            (reply::Body::LoginRefused(refused), Some(expected)) => {
                assert_eq!(refused.reason(), expected, "{case}");
            }
            (reply::Body::Opened(_), None) => {}
            (other, _) => panic!("{case}: {other:?}"),
        }
    }
}

/// Of two who change one password at the same moment, each on a device of its own, one does. The other's session is over
/// by then, and what it wanted is not done: else whoever sits at a session that was just ended could take the account.
#[tokio::test(start_paused = true)]
async fn a_session_that_a_new_password_has_ended_sets_no_other_password() {
    let both = Arc::new(Barrier::new(2));
    let mut server = slow(Slow { password: "", verify: None, hash: Some(both) });
    let mut owner = greeted(&mut server).await;
    let login = owner.login_frame("hans", "old", true);
    owner.opened(login).await;
    let mut thief = greeted(&mut server).await;
    let device = thief.fresh_device("hans", 9);
    let Body::Login(mut login) = thief.login_frame("hans", "old", false) else { panic!() };
    login.device = Some(device);
    thief.opened(Body::Login(login)).await;

    let change = |new: &str| {
        Body::ChangePassword(v1::ChangePassword {
            old_password: "old".to_owned(),
            new_password: new.to_owned(),
        })
    };
    owner.ask(change("new of the owner")).await;
    thief.ask(change("new of the thief")).await;
    let (of_owner, of_thief) = (told(&mut owner).await, told(&mut thief).await);
    // Whoever was first is told so, and goes on; the other is closed, whatever it was told before.
    let done = |told: &Told| matches!(told.answer, Some(reply::Body::Done(_)));
    let (first, second, holds) = match done(&of_owner) {
        true => (of_owner, of_thief, "new of the owner"),
        false => (of_thief, of_owner, "new of the thief"),
    };
    assert!(done(&first) && first.closed.is_none(), "{first:?}");
    assert!(!done(&second) && second.closed == Some(Close::PasswordChanged), "{second:?}");
    for password in ["old", "new of the owner", "new of the thief"] {
        let mut again = greeted(&mut server).await;
        let login = again.login_frame("hans", password, false);
        let opened = matches!(again.request(login).await, reply::Body::Opened(_));
        assert_eq!(opened, password == holds, "{password}");
    }
}

/// What somebody hears within a second.
#[derive(Debug)]
struct Told {
    answer: Option<reply::Body>,
    closed: Option<Close>,
}

async fn told(who: &mut Connection) -> Told {
    let mut told = Told { answer: None, closed: None };
    while let Ok(next) = timeout(Duration::from_secs(1), who.next()).await {
        match next {
            Ok(Event::Reply(reply)) => told.answer = reply.body,
            Ok(_) => {}
            Err(close) => {
                told.closed = close;
                break;
            }
        }
    }
    told
}
