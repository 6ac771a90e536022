//! Registering by invitation: what it takes, what it costs, and what nobody learns without one.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use hobnob_protocol::{
    invitation::{Code, Invitation},
    v1::{self, client_frame::Body, found::Answer, login_refused::Reason, reply},
};
use hobnob_server::{
    admin::{
        Gone, Keeper, Replies,
        wire::{self, Command, Done, Made, Reply},
    },
    config::{Policy, Registration},
    control::Reloads,
};
use support::{Connection, TestServer};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// Tries that are worth nothing, of one source in ten minutes.
const FAILURES_MAX: usize = 100;

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
    keeper: Keeper,
}

impl World {
    fn new(registration: Registration) -> Self {
        let server = TestServer::new(Policy { registration, ..Policy::default() });
        let keeper = Keeper {
            node: server.node.clone(),
            data: PathBuf::from("/nowhere"),
            identity: None,
            reloads: Reloads::new().0,
            started: Instant::now(),
            connections: TaskTracker::new(),
        };
        Self { server, keeper }
    }

    async fn asks(&self, command: Command) -> Vec<Reply> {
        let mut lines = Lines(Vec::new());
        self.keeper.serve(0, command, &mut lines).await.unwrap();
        lines.0
    }

    async fn makes(&self, uses: u32, lifetime_s: Option<u64>) -> Made {
        let command = Command::Invite { uses, lifetime_s, note: "for 6b".to_owned() };
        match self.asks(command).await.remove(0) {
            Reply::Done(Done { invitation: Some(made), .. }) => *made,
            other => panic!("{other:?}"),
        }
    }

    async fn code(&self, uses: u32) -> Bytes {
        bytes(&self.makes(uses, None).await)
    }

    /// Uses left, by number.
    async fn listed(&self) -> Vec<(i64, u32)> {
        let mut rows = self.asks(Command::Invitations).await;
        assert_eq!(rows.pop(), Some(Reply::Done(Done::default())));
        let of_row = |row| match row {
            Reply::Invitation(wire::Invitation { id, uses_left, note, .. }) if note == "for 6b" => {
                (id, uses_left)
            }
            other => panic!("{other:?}"),
        };
        rows.into_iter().map(of_row).collect()
    }

    async fn connects(&mut self) -> Connection {
        let mut connection = self.server.connect();
        connection.hello().await;
        connection
    }

    /// On a connection of its own: there is a bound of frames before a login.
    async fn finds(&mut self, name: &str, code: &Bytes) -> Answer {
        let mut connection = self.connects().await;
        let lookup = v1::Lookup { name: name.to_owned(), invitation: code.clone() };
        match connection.request(Body::Lookup(lookup)).await {
            reply::Body::Found(found) => found.answer(),
            other => panic!("{other:?}"),
        }
    }

    async fn registers(&mut self, name: &str, password: &str, code: &Bytes) -> Result<v1::Opened, Reason> {
        let mut connection = self.connects().await;
        let frame = register(&connection, name, password, code);
        match connection.request(frame).await {
            reply::Body::Opened(opened) => Ok(opened),
            reply::Body::LoginRefused(refused) => Err(refused.reason()),
            other => panic!("{other:?}"),
        }
    }

    async fn refused(&mut self, name: &str, code: &Bytes) -> Reason {
        self.registers(name, "secret", code).await.unwrap_err()
    }
}

fn bytes(made: &Made) -> Bytes {
    Bytes::copy_from_slice(&made.code.0.parse::<Code>().unwrap().0)
}

fn register(connection: &Connection, name: &str, password: &str, code: &Bytes) -> Body {
    let Body::Login(login) = connection.login_frame(name, password, true) else { panic!() };
    Body::Login(v1::Login { invitation: code.clone(), ..login })
}

fn wrong() -> Bytes {
    Bytes::from_static(&[0xee; 16])
}

#[tokio::test(start_paused = true)]
async fn without_an_invitation_nobody_learns_which_names_exist() {
    let mut world = World::new(Registration::Invite);
    let code = world.code(1).await;
    world.registers("hans", "secret", &code).await.unwrap();
    for name in ["hans", "nobody", "no good name", "admin", " "] {
        assert_eq!(world.finds(name, &Bytes::new()).await, Answer::ByInvitation, "{name}");
        assert_eq!(world.finds(name, &wrong()).await, Answer::InvitationRefused, "{name}");
        assert_eq!(world.refused(name, &wrong()).await, Reason::NotInvited, "{name}");
    }
    // Without one it is a login, whatever a client of an earlier version asks for.
    for name in ["hans", "nobody"] {
        let mut connection = world.connects().await;
        for expected in [Reason::WrongPassword, Reason::WrongPassword, Reason::LockedNow, Reason::Locked] {
            let Body::Login(login) = connection.login_frame(name, "guess", true) else { panic!() };
            let device = Some(connection.fresh_device(name, 9));
            assert_eq!(
                connection.refused(Body::Login(v1::Login { device, ..login })).await,
                expected,
                "{name}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_invitation_makes_as_many_accounts_as_it_says() {
    let mut world = World::new(Registration::Invite);
    let made = world.makes(2, Some(3600)).await;
    assert_eq!((made.uses, made.registration.as_str()), (2, "invite"));
    let link: Invitation = made.link.0.parse().unwrap();
    // This server is without TLS.
    assert_eq!(link, Invitation { code: made.code.0.parse().unwrap(), key: None });
    let code = bytes(&made);
    assert_eq!(world.finds("hans", &code).await, Answer::New);
    assert_eq!(world.registers("hans", "secret", &code).await.unwrap().name, "hans");
    assert_eq!(world.listed().await, [(made.id, 1)]);
    // Who is invited may know which names are taken, and which are none.
    assert_eq!(world.finds("Hans", &code).await, Answer::Known);
    assert_eq!(world.finds("admin", &code).await, Answer::Refused);
    world.registers("yoda", "secret", &code).await.unwrap();
    assert!(world.listed().await.is_empty());
    assert_eq!(world.finds("luke", &code).await, Answer::InvitationRefused);
    assert_eq!(world.refused("luke", &code).await, Reason::NotInvited);
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_account_costs_no_use() {
    let mut world = World::new(Registration::Invite);
    let code = world.code(2).await;
    world.registers("hans", "secret", &code).await.unwrap();
    for (name, password, expected) in [
        ("HANS", "secret", Reason::NameTaken),
        ("admin", "secret", Reason::NameRefused),
        ("h\u{430}ns", "secret", Reason::NameRefused),
        ("no name", "secret", Reason::NameRefused),
        ("yoda", "", Reason::PasswordRefused),
        ("yoda", &"x".repeat(129), Reason::PasswordRefused),
    ] {
        assert_eq!(world.registers(name, password, &code).await.unwrap_err(), expected, "{name}");
    }
    assert_eq!(world.listed().await, [(1, 1)]);
    world.registers("yoda", "secret", &code).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_many_who_come_at_once_as_many_get_in_as_it_has_uses() {
    let mut world = World::new(Registration::Invite);
    let code = world.code(2).await;
    let mut connections = Vec::new();
    for _ in 0..6 {
        connections.push(world.connects().await);
    }
    // All are under way before the first is committed: nothing here waits for the server.
    for (number, connection) in connections.iter_mut().enumerate() {
        let frame = register(connection, &format!("user{number}"), "secret", &code);
        connection.ask(frame).await;
    }
    let mut opened = 0;
    for connection in &mut connections {
        match connection.reply().await.1 {
            reply::Body::Opened(_) => opened += 1,
            reply::Body::LoginRefused(refused) => assert_eq!(refused.reason(), Reason::NotInvited),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(opened, 2);
    assert!(world.listed().await.is_empty());
    assert_eq!(world.keeper.node.reader.run(|store| store.accounts("", 9)).await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_invitation_expires_and_can_be_taken_back() {
    let mut world = World::new(Registration::Invite);
    let (short, back) = (world.makes(5, Some(60)).await, world.makes(5, None).await);
    tokio::time::advance(Duration::from_millis(59_999)).await;
    assert_eq!(world.finds("hans", &bytes(&short)).await, Answer::New);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(world.refused("hans", &bytes(&short)).await, Reason::NotInvited);
    assert_eq!(world.listed().await, [(back.id, 5)]);
    // Upkeep removes its row.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let rows =
        world.keeper.node.reader.run(|store| store.invitations(hobnob_server::store::InvitationId(0), 9));
    assert_eq!(rows.await.unwrap().len(), 1);
    let uninvited = world.asks(Command::Uninvite { id: back.id }).await;
    assert_eq!(uninvited, [Reply::Done(Done { id: Some(back.id), ..Done::default() })]);
    assert_eq!(world.refused("hans", &bytes(&back)).await, Reason::NotInvited);
    match world.asks(Command::Uninvite { id: back.id }).await.remove(0) {
        Reply::Refused(refused) => assert_eq!(refused.reason, wire::Reason::NoSuchInvitation),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn who_guesses_codes_is_throttled_as_who_guesses_passwords() {
    let mut world = World::new(Registration::Invite);
    let code = world.code(9).await;
    for number in 0..FAILURES_MAX {
        let guess = Bytes::from(vec![number as u8; 16]);
        if number % 2 == 0 {
            assert_eq!(world.finds("hans", &guess).await, Answer::InvitationRefused);
        } else {
            assert_eq!(world.refused("hans", &guess).await, Reason::NotInvited);
        }
    }
    // Not even a good one is looked at now, and passwords count together with them.
    assert_eq!(world.finds("hans", &code).await, Answer::TryLater);
    assert_eq!(world.refused("hans", &code).await, Reason::Throttled);
    let mut connection = world.connects().await;
    let login = connection.login_frame("hans", "guess", false);
    assert_eq!(connection.refused(login).await, Reason::Throttled);
    assert_eq!(world.listed().await, [(1, 9)]);
    tokio::time::advance(Duration::from_secs(600)).await;
    world.registers("hans", "secret", &code).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_code_of_another_length_is_no_code() {
    let mut world = World::new(Registration::Invite);
    let code = world.code(1).await;
    for length in [1, 15, 17, 32, 10_000] {
        let mut other = code.to_vec();
        other.resize(length, 0);
        let other = Bytes::from(other);
        assert_eq!(world.finds("hans", &other).await, Answer::InvitationRefused, "{length}");
        assert_eq!(world.refused("hans", &other).await, Reason::NotInvited, "{length}");
    }
    assert_eq!(world.listed().await, [(1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_is_asked_for_an_invitation_none_is_used() {
    let mut open = World::new(Registration::Open);
    let made = open.makes(1, None).await;
    assert_eq!(made.registration, "open");
    for code in [bytes(&made), wrong()] {
        assert_eq!(open.finds("yoda", &code).await, Answer::New);
    }
    open.registers("hans", "secret", &bytes(&made)).await.unwrap();
    assert_eq!(open.listed().await, [(made.id, 1)]);
    let mut closed = World::new(Registration::Closed);
    let code = closed.code(1).await;
    assert_eq!(closed.finds("hans", &code).await, Answer::Known);
    assert_eq!(closed.refused("hans", &code).await, Reason::WrongPassword);
    assert_eq!(closed.listed().await, [(1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_invitation_is_not_made() {
    let world = World::new(Registration::Invite);
    let note = |note: &str| Command::Invite { uses: 1, lifetime_s: None, note: note.to_owned() };
    for (command, expected) in [
        (Command::Invite { uses: 0, lifetime_s: None, note: String::new() }, wire::Reason::BadRequest),
        (Command::Invite { uses: 1, lifetime_s: Some(0), note: String::new() }, wire::Reason::BadRequest),
        (note("\u{1b}[2J"), wire::Reason::TextRefused),
        (note(&"x".repeat(1025)), wire::Reason::TextRefused),
    ] {
        match world.asks(command).await.remove(0) {
            Reply::Refused(refused) => assert_eq!(refused.reason, expected),
            other => panic!("{other:?}"),
        }
    }
    let far = Command::Invite { uses: u32::MAX, lifetime_s: Some(u64::MAX), note: "for 6b".to_owned() };
    assert!(matches!(world.asks(far).await.remove(0), Reply::Done(_)));
    assert_eq!(world.listed().await, [(1, u32::MAX)]);
}
