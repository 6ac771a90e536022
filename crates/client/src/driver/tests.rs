//! The driver over links in memory, with the clock paused.

mod errand;
mod private;

use std::path::Path;
use std::sync::Mutex;
use std::task::{Context, Poll};

use hobnob_protocol::close::Close;
use hobnob_protocol::limits::{SILENCE_MAX, TEXT_BYTES_MAX};
use hobnob_protocol::v1::{self, client_frame, reply, server_frame};
use tokio::time::{sleep, timeout};

use super::*;
use crate::event::{Answer, Command, Message, Ticket};
use crate::link::{Connected, Connector, Link};
use crate::storage::Storage;
use crate::{Address, Config, Disk, Door, Login, OpenError, Parts, Proof, Slot};

/// The server's end of a link.
struct Peer {
    to_client: Option<mpsc::Sender<Option<Bytes>>>,
    from_client: mpsc::Receiver<Bytes>,
    close: Arc<Mutex<Option<Close>>>,
}

/// The client's end.
struct Near {
    from_server: mpsc::Receiver<Option<Bytes>>,
    to_server: mpsc::Sender<Bytes>,
    close: Arc<Mutex<Option<Close>>>,
}

fn pair() -> (Near, Peer) {
    let (to_client, from_server) = mpsc::channel(8);
    let (to_server, from_client) = mpsc::channel(512);
    let close = Arc::new(Mutex::new(None));
    let peer = Peer { to_client: Some(to_client), from_client, close: Arc::clone(&close) };
    (Near { from_server, to_server, close }, peer)
}

impl Link for Near {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, LinkError>> {
        let close = *self.close.lock().unwrap();
        self.from_server.poll_recv(cx).map(|frame| frame.ok_or(LinkError { close }))
    }

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        Poll::Ready(Ok(()))
    }

    fn feed(&mut self, frame: Bytes) -> Result<(), LinkError> {
        self.to_server.try_send(frame).map_err(|_| LinkError::default())
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Peer {
    /// The next request or note; none: the client is gone.
    async fn next(&mut self) -> Option<v1::ClientFrame> {
        let bytes = self.from_client.recv().await?;
        Some(codec::decode_client(bytes, hobnob_protocol::limits::FRAME_BYTES_MAX).unwrap())
    }

    async fn body(&mut self) -> client_frame::Body {
        self.next().await.expect("a frame").body.unwrap()
    }

    async fn send(&self, body: server_frame::Body) {
        let frame = codec::encode(&v1::ServerFrame { body: Some(body) });
        self.to_client.as_ref().unwrap().send(Some(frame)).await.unwrap();
    }

    async fn reply(&self, id: u64, body: reply::Body) {
        self.send(server_frame::Body::Reply(v1::Reply { id, body: Some(body) })).await;
    }

    async fn entry(&self, seq: u64) {
        let stream = v1::Stream::Inbox.into();
        self.send(server_frame::Body::Entry(v1::Entry { stream, seq, ..v1::Entry::default() })).await;
    }

    /// Greets, and grants what is asked first; what that was.
    async fn welcome(&mut self, opened: v1::Opened) -> client_frame::Body {
        let hello = self.next().await.unwrap();
        assert!(matches!(hello.body, Some(client_frame::Body::Hello(_))));
        let greeting = v1::Greeting { version: 1, nonce: vec![7; 32].into(), ..v1::Greeting::default() };
        self.reply(hello.id, reply::Body::Greeting(greeting)).await;
        let asked = self.next().await.unwrap();
        self.reply(asked.id, reply::Body::Opened(opened)).await;
        asked.body.unwrap()
    }

    async fn accept_submit(&mut self) -> v1::Submit {
        let frame = self.next().await.unwrap();
        let Some(client_frame::Body::Submit(submit)) = frame.body else { panic!("{frame:?}") };
        let outcome = v1::submitted::Outcome::Accepted.into();
        self.reply(frame.id, reply::Body::Submitted(v1::Submitted { outcome, ..Default::default() })).await;
        submit
    }

    fn close(mut self, close: Option<Close>) {
        *self.close.lock().unwrap() = close;
        self.to_client = None;
    }
}

/// Hands the server's ends to the test. Second: nobody answers there. Third: the next connection is a first contact.
struct Net(mpsc::Sender<Peer>, Mutex<bool>, Mutex<Option<String>>);

impl Connector for Net {
    fn connect(&self) -> BoxFuture<'_, Result<Connected, OpenError>> {
        Box::pin(async {
            if *self.1.lock().unwrap() {
                return Err(OpenError::NoServer("localhost".parse().unwrap()));
            }
            let (end, peer) = pair();
            self.0.send(peer).await.map_err(|_| OpenError::NoServer("localhost".parse().unwrap()))?;
            Ok(Connected {
                link: Box::new(end),
                key: None,
                first_contact: self.2.lock().unwrap().take(),
                tls: true,
            })
        })
    }
}

/// Always the same numbers.
struct Dice;

impl Random for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0x42);
    }
}

/// A net and a disk.
struct Stage {
    net: Arc<Net>,
    peers: mpsc::Receiver<Peer>,
    parts: Parts,
    folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let (peers_tx, peers) = mpsc::channel(4);
        let net = Arc::new(Net(peers_tx, Mutex::new(false), Mutex::new(None)));
        let folder = tempfile::tempdir().unwrap();
        let parts = Parts {
            connector: Arc::clone(&net) as _,
            storage: Arc::new(disk(folder.path())),
            random: Arc::new(Dice),
        };
        Self { net, peers, parts, folder }
    }

    fn config(&self) -> Config {
        Config {
            address: address(),
            data: self.folder.path().to_owned(),
            pin: None,
            agent: "test".into(),
            slot: Slot::Chat,
        }
    }

    async fn peer(&mut self) -> Peer {
        self.peers.recv().await.unwrap()
    }

    /// Logs in; the session and the server's end.
    async fn log_in(&mut self, background: bool) -> (Client, Events, Peer) {
        let (config, parts) = (self.config(), self.parts.clone());
        let client = async {
            let mut door = Door::with_parts(config, parts).await.unwrap();
            let proof = Proof::Password("secret".into());
            let login = if background {
                door.login_background("Yoda", proof, false).await
            } else {
                door.login("Yoda", proof, false).await
            };
            match login.unwrap() {
                Login::In { client, events, .. } => (client, events),
                refused => panic!("{refused:?}"),
            }
        };
        let server = async {
            let mut peer = self.peers.recv().await.unwrap();
            let asked = peer.welcome(opened()).await;
            assert!(matches!(asked, client_frame::Body::Login(_)));
            peer
        };
        let ((client, events), peer) = tokio::join!(client, server);
        (client, events, peer)
    }

    fn saved_token(&self) -> Option<Bytes> {
        self.parts.storage.saved_token("Yoda", Slot::Chat)
    }
}

fn address() -> Address {
    "localhost".parse().unwrap()
}

fn disk(path: &Path) -> Disk {
    Disk::new(path, &address(), Arc::new(Dice)).inline()
}

fn opened() -> v1::Opened {
    v1::Opened {
        name: "Yoda".into(),
        token: vec![9; 32].into(),
        epoch: vec![1; 16].into(),
        ..v1::Opened::default()
    }
}

fn message(text: &str) -> Command {
    Command::Message { to: "luke".into(), text: text.into() }
}

fn is_accepted(event: Option<Event>, ticket: Ticket) {
    let Some(Event::Answer { ticket: Some(answered), answer: Answer::Submitted { outcome, .. }, .. }) = event
    else {
        panic!("{event:?}")
    };
    assert_eq!((answered, outcome), (ticket, v1::submitted::Outcome::Accepted));
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_comes_back_and_nothing_is_lost() {
    let mut stage = Stage::new();
    let (client, mut events, mut peer) = stage.log_in(false).await;
    let first = client.submit(message("one")).await.unwrap();
    peer.accept_submit().await;
    is_accepted(events.next().await, first);
    let second = client.submit(message("two")).await.unwrap();
    assert!(matches!(peer.body().await, client_frame::Body::Submit(_)));
    peer.close(None);
    assert_eq!(events.next().await, Some(Event::Disconnected));
    let third = client.submit(message("three")).await.unwrap();
    let mut peer = stage.peer().await;
    let asked = peer.welcome(v1::Opened { outbox_last: 1, ..opened() }).await;
    let client_frame::Body::Resume(resume) = asked else { panic!("{asked:?}") };
    assert_eq!((resume.name.as_str(), &resume.token[..]), ("Yoda", &[9; 32][..]));
    assert_eq!(events.next().await, Some(Event::Reconnected));
    assert_eq!([peer.accept_submit().await.number, peer.accept_submit().await.number], [2, 3]);
    is_accepted(events.next().await, second);
    is_accepted(events.next().await, third);
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_given_up_and_pings_keep_it() {
    let mut stage = Stage::new();
    let (_client, mut events, peer) = stage.log_in(false).await;
    for _ in 0..5 {
        sleep(SILENCE_MAX - Duration::from_secs(1)).await;
        peer.to_client.as_ref().unwrap().send(None).await.unwrap();
    }
    let before = Instant::now();
    assert_eq!(events.next().await, Some(Event::Disconnected));
    let took = before.elapsed();
    assert!(took >= SILENCE_MAX && took < SILENCE_MAX + Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn tries_for_ever_but_not_too_often() {
    let mut stage = Stage::new();
    let (_client, mut events, peer) = stage.log_in(false).await;
    *stage.net.1.lock().unwrap() = true;
    peer.close(Some(Close::GoingAway));
    assert_eq!(events.next().await, Some(Event::Disconnected));
    assert!(timeout(Duration::from_secs(3600), events.next()).await.is_err());
    *stage.net.1.lock().unwrap() = false;
    let before = Instant::now();
    let mut peer = stage.peer().await;
    assert!(before.elapsed() <= RETRY_CAP);
    peer.welcome(opened()).await;
    assert_eq!(events.next().await, Some(Event::Reconnected));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_hold_is_not_made_in_a_hurry() {
    let mut stage = Stage::new();
    let (_client, mut events, mut peer) = stage.log_in(false).await;
    let before = Instant::now();
    for _ in 0..20 {
        peer.close(Some(Close::Internal));
        assert_eq!(events.next().await, Some(Event::Disconnected));
        peer = stage.peer().await;
        peer.welcome(opened()).await;
        assert_eq!(events.next().await, Some(Event::Reconnected));
    }
    assert!(before.elapsed() > Duration::from_secs(60), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn logout_answers_everything_and_forgets_the_token() {
    let mut stage = Stage::new();
    let (client, mut events, mut peer) = stage.log_in(false).await;
    assert_eq!(stage.saved_token().unwrap(), vec![9; 32]);
    let ticket = client.submit(message("one")).await.unwrap();
    client.logout().await;
    assert!(client.submit(message("late")).await.is_err());
    peer.accept_submit().await;
    let logout = peer.next().await.unwrap();
    assert!(matches!(logout.body, Some(client_frame::Body::Logout(_))));
    peer.reply(logout.id, reply::Body::Done(v1::Done {})).await;
    is_accepted(events.next().await, ticket);
    assert_eq!(events.next().await, Some(Event::Ended(End::LoggedOut { waiting: 0 })));
    assert_eq!(stage.saved_token(), None);
    assert_eq!(events.next().await, None);
    assert!(peer.next().await.is_none(), "the connection is closed");
}

#[tokio::test(start_paused = true)]
async fn what_waits_goes_out_with_the_next_login() {
    let mut stage = Stage::new();
    let (client, mut events, peer) = stage.log_in(false).await;
    *stage.net.1.lock().unwrap() = true;
    peer.close(None);
    assert_eq!(events.next().await, Some(Event::Disconnected));
    client.submit(message("one")).await.unwrap();
    client.submit(Command::Block("darth".into())).await.unwrap();
    client.logout().await;
    assert_eq!(events.next().await, Some(Event::Ended(End::LoggedOut { waiting: 1 })));
    assert_eq!(events.next().await, None);
    *stage.net.1.lock().unwrap() = false;
    let (_client, mut events, mut peer) = stage.log_in(false).await;
    assert_eq!([peer.accept_submit().await.number, peer.accept_submit().await.number], [1, 2]);
    for expected in [message("one"), Command::Block("darth".into())] {
        let event = events.next().await;
        assert!(matches!(event, Some(Event::Answer { ticket: None, command, .. }) if command == expected));
    }
}

#[tokio::test(start_paused = true)]
async fn the_outbox_may_be_written_on_a_thread() {
    let mut stage = Stage::new();
    stage.parts.storage = Arc::new(Disk::new(stage.folder.path(), &address(), Arc::new(Dice)));
    let (client, mut events, mut peer) = stage.log_in(false).await;
    let mut tickets = Vec::new();
    for _ in 0..100 {
        tickets.push(client.submit(message("x")).await.unwrap());
    }
    for (number, ticket) in (1..).zip(tickets) {
        assert_eq!(peer.accept_submit().await.number, number);
        is_accepted(events.next().await, ticket);
    }
    *stage.net.1.lock().unwrap() = true;
    peer.close(None);
    client.submit(message("kept")).await.unwrap();
    client.logout().await;
    while events.next().await.is_some() {}
    let folder = disk(stage.folder.path()).open("Yoda", Slot::Chat).ok().unwrap();
    assert_eq!((folder.waiting.submits.len(), folder.waiting.next), (1, 102));
}

#[tokio::test(start_paused = true)]
async fn a_background_session_is_left_with_its_token() {
    let mut stage = Stage::new();
    let (client, mut events, mut peer) = stage.log_in(true).await;
    let ticket = client.submit(message("one")).await.unwrap();
    client.logout().await;
    peer.accept_submit().await;
    is_accepted(events.next().await, ticket);
    assert_eq!(events.next().await, Some(Event::Ended(End::LoggedOut { waiting: 0 })));
    assert!(peer.next().await.is_none(), "no logout is sent");
    assert_eq!(stage.saved_token().unwrap(), vec![9; 32]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_slows_the_server_and_loses_nothing() {
    let mut stage = Stage::new();
    let (client, mut events, peer) = stage.log_in(false).await;
    let flood = async {
        for seq in 1..=1000 {
            peer.entry(seq).await;
        }
        peer
    };
    tokio::pin!(flood);
    assert!(timeout(SILENCE_MAX * 10, &mut flood).await.is_err(), "the server is held up");
    let read = async {
        for seq in 1..=1000 {
            let event = events.next().await;
            assert!(
                matches!(&event, Some(Event::Message(Message { seq: told, .. })) if *told == seq),
                "{event:?}"
            );
            client.shown(v1::Stream::Inbox, seq);
        }
    };
    let (mut peer, ()) = tokio::join!(flood, read);
    let mut received = 0;
    while received < 1000 {
        let client_frame::Body::Received(note) = peer.body().await else { panic!() };
        assert!(note.inbox > received);
        received = note.inbox;
    }
    drop((client, events));
    while peer.next().await.is_some() {}
    let folder = disk(stage.folder.path()).open("Yoda", Slot::Chat).ok().unwrap();
    assert_eq!(folder.cursor.load().inbox, 1000);
}

#[tokio::test(start_paused = true)]
async fn commands_wait_while_too_many_are_unanswered() {
    let mut stage = Stage::new();
    let (client, mut events, mut peer) = stage.log_in(false).await;
    let given = fill(&client).await;
    let long = message(&"y".repeat(TEXT_BYTES_MAX));
    let next = client.submit(long);
    tokio::pin!(next);
    assert!(timeout(Duration::from_secs(10), &mut next).await.is_err());
    peer.accept_submit().await;
    assert!(events.next().await.is_some());
    assert_eq!(next.await, Ok(Ticket(given + 1)));
}

/// Gives the longest messages until there is no place for another.
async fn fill(client: &Client) -> u64 {
    let long = message(&"x".repeat(TEXT_BYTES_MAX));
    let given = (PLACES / (1 + TEXT_BYTES_MAX / 1024)) as u64;
    for _ in 0..given {
        client.submit(long.clone()).await.unwrap();
    }
    given
}

#[tokio::test(start_paused = true)]
async fn logout_never_waits_for_a_place() {
    let mut stage = Stage::new();
    let (client, mut events, peer) = stage.log_in(false).await;
    *stage.net.1.lock().unwrap() = true;
    peer.close(None);
    assert_eq!(events.next().await, Some(Event::Disconnected));
    let given = fill(&client).await;
    let next = client.submit(message(&"y".repeat(TEXT_BYTES_MAX)));
    tokio::pin!(next);
    assert!(timeout(Duration::from_secs(60), &mut next).await.is_err());
    let before = Instant::now();
    client.logout().await;
    assert!(next.await.is_err());
    assert_eq!(events.next().await, Some(Event::Ended(End::LoggedOut { waiting: given as usize })));
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(events.next().await, None);
    let folder = disk(stage.folder.path()).open("Yoda", Slot::Chat).ok().unwrap();
    assert_eq!(folder.waiting.submits.len() as u64, given);
}

#[tokio::test(start_paused = true)]
async fn leaving_is_at_once_and_keeps_the_token() {
    let mut stage = Stage::new();
    let (client, mut events, mut peer) = stage.log_in(false).await;
    client.submit(message("one")).await.unwrap();
    client.leave();
    let end = events.next().await;
    assert!(matches!(end, Some(Event::Ended(End::LoggedOut { .. }))));
    assert_eq!(events.next().await, None);
    assert!(client.submit(message("two")).await.is_err());
    assert!(stage.saved_token().is_some());
    while peer.next().await.is_some() {}
}

#[tokio::test(start_paused = true)]
async fn without_its_client_the_task_is_gone() {
    let mut stage = Stage::new();
    let (client, mut events, mut peer) = stage.log_in(false).await;
    drop(client);
    assert_eq!(events.next().await, None);
    assert!(peer.next().await.is_none());
    assert!(disk(stage.folder.path()).open("Yoda", Slot::Chat).is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_reaches_its_user() {
    let table = [
        (Close::Replaced, End::Replaced),
        (Close::Idle, End::TimedOut),
        (Close::PasswordChanged, End::Expired),
    ];
    for (close, end) in table {
        let mut stage = Stage::new();
        let (_client, mut events, peer) = stage.log_in(false).await;
        peer.close(Some(close));
        assert_eq!(events.next().await, Some(Event::Ended(end)));
        assert_eq!(events.next().await, None);
        assert_eq!(stage.saved_token(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_door_opens_itself_anew() {
    let mut stage = Stage::new();
    let (config, parts) = (stage.config(), stage.parts.clone());
    let client = async {
        let mut door = Door::with_parts(config, parts).await.unwrap();
        let found = door.lookup("luke").await.unwrap();
        let again = door.lookup("leia").await.unwrap();
        (found.reason, again.reason)
    };
    let server = async {
        let mut peer = stage.peer().await;
        assert!(matches!(peer.body().await, client_frame::Body::Hello(_)));
        let greeting = v1::Greeting { version: 1, ..v1::Greeting::default() };
        peer.reply(1, reply::Body::Greeting(greeting.clone())).await;
        peer.next().await.unwrap();
        peer.close(Some(Close::LoginTimeout));
        let mut peer = stage.peer().await;
        let hello = peer.next().await.unwrap();
        peer.reply(hello.id, reply::Body::Greeting(greeting)).await;
        for _ in 0..2 {
            let frame = peer.next().await.unwrap();
            let Some(client_frame::Body::Lookup(lookup)) = frame.body else { panic!() };
            let found = v1::Found { reason: lookup.name, ..v1::Found::default() };
            peer.reply(frame.id, reply::Body::Found(found)).await;
        }
    };
    let (found, ()) = tokio::join!(client, server);
    assert_eq!(found, ("luke".to_owned(), "leia".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_forgotten() {
    let mut stage = Stage::new();
    let (client, mut events, _peer) = stage.log_in(true).await;
    client.leave();
    while events.next().await.is_some() {}
    let config = stage.config();
    let door = Door::with_parts(config, stage.parts.clone());
    let server = async {
        let mut peer = stage.peers.recv().await.unwrap();
        let hello = peer.next().await.unwrap();
        let greeting = v1::Greeting { version: 1, ..v1::Greeting::default() };
        peer.reply(hello.id, reply::Body::Greeting(greeting)).await;
        peer
    };
    let (door, mut peer) = tokio::join!(door, server);
    let mut door = door.unwrap();
    let proof = door.saved_token("yoda").unwrap();
    assert_eq!(proof, Proof::Token(vec![9; 32].into()));
    let server = async {
        let frame = peer.next().await.unwrap();
        let reason = v1::login_refused::Reason::UnknownToken.into();
        let refused = v1::LoginRefused { reason, ..v1::LoginRefused::default() };
        peer.reply(frame.id, reply::Body::LoginRefused(refused)).await;
    };
    let (login, ()) = tokio::join!(door.login_background("yoda", proof, false), server);
    assert!(matches!(login, Ok(Login::Refused { .. })));
    assert_eq!(door.saved_token("yoda"), None);
}
