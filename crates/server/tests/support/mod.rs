//! A server without sockets: real sessions over links in memory, on a store in memory, with the clock paused.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::{net::IpAddr, sync::Arc, sync::atomic::AtomicI64, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use hobnob_protocol::{
    VERSION,
    close::Close,
    codec, device_challenge,
    limits::ANSWER_BYTES_MAX,
    v1::{self, ClientFrame, client_frame, login, reply, server_frame, submit::Op, submitted::Outcome},
};
use hobnob_server::{
    config::Policy,
    hub::Hub,
    link::{Gone, Incoming, Link},
    node::{Boxed, Epoch, Node, Passwords, World},
    reader::Reader,
    session,
    store::{Secret, memory::MemoryStore},
    ticket::TicketKey,
    upkeep, writer,
};
use ring::signature::{Ed25519KeyPair, KeyPair};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// What the server sent.
#[derive(Debug)]
pub enum Sent {
    Frame(Bytes),
    Ping,
    Close(Close),
}

struct MemoryLink {
    from: mpsc::Receiver<Incoming>,
    to: mpsc::Sender<Sent>,
    /// After so many frames each the connection takes none for so long.
    pauses: Option<(usize, Duration)>,
    fed: usize,
}

impl Link for MemoryLink {
    async fn recv(&mut self) -> Incoming {
        self.from.recv().await.unwrap_or(Incoming::Gone)
    }

    async fn feed(&mut self, frame: Bytes) -> Result<(), Gone> {
        self.fed += 1;
        if let Some((_, pause)) = self.pauses.filter(|(frames, _)| self.fed.is_multiple_of(*frames)) {
            tokio::time::sleep(pause).await;
        }
        self.to.send(Sent::Frame(frame)).await.map_err(|_| Gone)
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        self.to.send(Sent::Ping).await.map_err(|_| Gone)
    }

    async fn close(&mut self, close: Close) {
        let _ = self.to.send(Sent::Close(close)).await;
    }
}

pub struct PlainPasswords;

impl Passwords for PlainPasswords {
    fn hash(&self, password: String) -> Boxed<'_, Secret> {
        Box::pin(async { Secret(password) })
    }

    fn verify(&self, password: String, hash: Option<Secret>) -> Boxed<'_, bool> {
        Box::pin(async move { hash.is_some_and(|hash| hash.0 == password) })
    }
}

struct PausedWorld {
    start: tokio::time::Instant,
    drawn: AtomicI64,
    ahead_ms: Arc<AtomicI64>,
}

impl World for PausedWorld {
    fn now_ms(&self) -> i64 {
        let passed = i64::try_from(self.start.elapsed().as_millis()).unwrap();
        100 * 24 * 60 * 60 * 1000 + passed + self.ahead_ms.load(Ordering::Relaxed)
    }

    fn fill(&self, bytes: &mut [u8]) {
        let draw = self.drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        bytes.iter_mut().enumerate().for_each(|(place, byte)| *byte = draw[place % 8] ^ (place / 8) as u8);
    }
}

/// A server and everything it runs.
pub struct TestServer {
    pub node: Arc<Node>,
    /// By how much the server's time of day is ahead.
    pub ahead_ms: Arc<AtomicI64>,
    tasks: JoinSet<()>,
}

impl TestServer {
    pub fn new(policy: Policy) -> Self {
        Self::on(MemoryStore::new(Bytes::from_static(b"epoch")), policy)
    }

    pub fn on(store: MemoryStore, policy: Policy) -> Self {
        Self::with(store, policy, Arc::new(PlainPasswords))
    }

    /// A server whose passwords are checked by others.
    pub fn with(store: MemoryStore, policy: Policy, passwords: Arc<dyn Passwords>) -> Self {
        Self::paced(store, policy, passwords, tokio::task::yield_now)
    }

    /// A server whose writer commits only while it can have the key.
    pub fn gated(key: Arc<Mutex<()>>, policy: Policy) -> Self {
        let turn = move || {
            let key = key.clone();
            async move { drop(key.lock().await) }
        };
        Self::paced(MemoryStore::new(Bytes::from_static(b"epoch")), policy, Arc::new(PlainPasswords), turn)
    }

    /// A server whose writer awaits `pause` before each commit.
    fn paced<P: Future<Output = ()> + Send>(
        store: MemoryStore,
        policy: Policy,
        passwords: Arc<dyn Passwords>,
        pause: impl FnMut() -> P + Send + 'static,
    ) -> Self {
        let (writer, queue) = writer::queue();
        let mut tasks = JoinSet::new();
        let disk = store.clone();
        tasks.spawn(async move { queue.run_inline(&disk, pause).await });
        let hub = Arc::new(Hub::default());
        let ahead_ms = Arc::<AtomicI64>::default();
        let world = PausedWorld {
            start: tokio::time::Instant::now(),
            drawn: AtomicI64::new(0),
            ahead_ms: ahead_ms.clone(),
        };
        let node = Arc::new(Node {
            policy: policy.into(),
            server_key: Bytes::from_static(b"server key"),
            reader: Reader::inline(Arc::new(store)),
            writer,
            wake: hub.clone(),
            hub,
            passwords,
            throttle: Default::default(),
            gate: Default::default(),
            invites: Default::default(),
            shares: Default::default(),
            tickets: TicketKey::new(&[7; 32]),
            relay: None,
            security: Default::default(),
            epoch: Arc::new(Epoch::new(Bytes::from_static(b"epoch"))),
            world: Arc::new(world),
            shutdown: CancellationToken::new(),
        });
        tasks.spawn(upkeep::expire(node.clone()));
        tasks.spawn(upkeep::sweep(node.clone()));
        tasks.spawn(upkeep::trim(node.clone()));
        Self { node, ahead_ms, tasks }
    }

    /// A new connection on which nothing was said.
    pub fn connect(&mut self) -> Connection {
        self.connect_with_room(1024)
    }

    /// A connection whose client lets `frames` wait unread.
    pub fn connect_with_room(&mut self, frames: usize) -> Connection {
        self.connect_over(frames, None)
    }

    /// A slow connection: after so many frames each it takes none for so long.
    pub fn connect_slowly(&mut self, frames: usize, pause: Duration) -> Connection {
        self.connect_over(1024, Some((frames, pause)))
    }

    fn connect_over(&mut self, frames: usize, pauses: Option<(usize, Duration)>) -> Connection {
        let (to_server, from) = mpsc::channel(1024);
        let (to, from_server) = mpsc::channel(frames);
        let address: IpAddr = [127, 0, 0, 1].into();
        let waiting = self.node.throttle.wait(address.into());
        let link = MemoryLink { from, to, pauses, fed: 0 };
        self.tasks.spawn(session::serve(self.node.clone(), link, address, waiting));
        Connection { to_server, from_server, next_id: 1, nonce: Bytes::new(), events: Vec::new() }
    }

    /// A session with what a login gave.
    pub async fn login(&mut self, name: &str) -> (Connection, v1::Opened) {
        let mut connection = self.connect();
        connection.hello().await;
        let login = connection.login_frame(name, "secret", true);
        let opened = match connection.request(login).await {
            reply::Body::Opened(opened) => opened,
            reply::Body::LoginRefused(_) => {
                let login = connection.login_frame(name, "secret", false);
                connection.opened(login).await
            }
            other => panic!("{other:?}"),
        };
        (connection, opened)
    }
}

/// The client's end of a connection.
pub struct Connection {
    pub to_server: mpsc::Sender<Incoming>,
    pub from_server: mpsc::Receiver<Sent>,
    next_id: u64,
    nonce: Bytes,
    /// Frames that are no reply, in the order they came.
    pub events: Vec<server_frame::Body>,
}

impl Connection {
    pub async fn send_raw(&mut self, bytes: impl Into<Bytes>) {
        let _ = self.to_server.send(Incoming::Frame(bytes.into())).await;
    }

    pub async fn send(&mut self, id: u64, body: client_frame::Body) {
        self.send_raw(codec::encode(&ClientFrame { id, body: Some(body) })).await;
    }

    /// Sends a request without waiting for its reply.
    pub async fn ask(&mut self, body: client_frame::Body) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.send(id, body).await;
        id
    }

    /// The next thing from the server, pings answered.
    pub async fn next(&mut self) -> Result<server_frame::Body, Option<Close>> {
        loop {
            match self.from_server.recv().await {
                Some(Sent::Frame(bytes)) => {
                    return Ok(codec::decode_server(bytes, ANSWER_BYTES_MAX).unwrap().body.unwrap());
                }
                Some(Sent::Ping) => drop(self.to_server.send(Incoming::Alive).await),
                Some(Sent::Close(close)) => return Err(Some(close)),
                None => return Err(None),
            }
        }
    }

    /// The next reply; events before it are kept in `events`.
    pub async fn reply(&mut self) -> (u64, reply::Body) {
        loop {
            match self.next().await {
                Ok(server_frame::Body::Reply(reply)) => return (reply.id, reply.body.unwrap()),
                Ok(event) => self.events.push(event),
                Err(close) => panic!("closed: {close:?}"),
            }
        }
    }

    pub async fn request(&mut self, body: client_frame::Body) -> reply::Body {
        let id = self.ask(body).await;
        let (answered, reply) = self.reply().await;
        assert_eq!(answered, id);
        reply
    }

    /// The next event.
    pub async fn event(&mut self) -> server_frame::Body {
        if !self.events.is_empty() {
            return self.events.remove(0);
        }
        match self.next().await {
            Ok(server_frame::Body::Reply(reply)) => panic!("a reply: {reply:?}"),
            Ok(event) => event,
            Err(close) => panic!("closed: {close:?}"),
        }
    }

    /// Reads on until the connection is closed.
    pub async fn closed(&mut self) -> Option<Close> {
        loop {
            match self.next().await {
                Ok(server_frame::Body::Reply(_)) => {}
                Ok(event) => self.events.push(event),
                Err(close) => return close,
            }
        }
    }

    pub async fn hello(&mut self) {
        let hello = v1::Hello { version: VERSION, ..v1::Hello::default() };
        match self.request(client_frame::Body::Hello(hello)).await {
            reply::Body::Greeting(greeting) => self.nonce = greeting.nonce,
            other => panic!("{other:?}"),
        }
    }

    pub fn challenge(&self, name: &str) -> Vec<u8> {
        device_challenge(&self.nonce, name, b"server key")
    }

    pub fn device(&self, name: &str) -> v1::Device {
        let seed: [u8; 32] = std::array::from_fn(|place| name.as_bytes()[place % name.len()]);
        let key = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let challenge = self.challenge(name);
        v1::Device {
            key: Bytes::copy_from_slice(key.public_key().as_ref()),
            signature: Bytes::copy_from_slice(key.sign(&challenge).as_ref()),
            outbox: Bytes::copy_from_slice(&seed[..16]),
        }
    }

    /// A device that nobody has seen.
    pub fn fresh_device(&self, name: &str, seed: u8) -> v1::Device {
        let key = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        v1::Device {
            key: Bytes::copy_from_slice(key.public_key().as_ref()),
            signature: Bytes::copy_from_slice(key.sign(&self.challenge(name)).as_ref()),
            ..self.device(name)
        }
    }

    pub fn login_frame(&self, name: &str, password: &str, register: bool) -> client_frame::Body {
        client_frame::Body::Login(v1::Login {
            name: name.to_owned(),
            proof: Some(login::Proof::Password(password.to_owned())),
            register,
            background: false,
            device: Some(self.device(name)),
            position: None,
            ..v1::Login::default()
        })
    }

    pub fn resume_frame(&self, name: &str, opened: &v1::Opened) -> client_frame::Body {
        client_frame::Body::Resume(v1::Resume {
            name: name.to_owned(),
            token: opened.token.clone(),
            device: Some(self.device(name)),
            position: Some(v1::Position {
                epoch: opened.epoch.clone(),
                inbox: opened.inbox,
                broadcast: opened.broadcast,
            }),
        })
    }

    pub async fn opened(&mut self, login: client_frame::Body) -> v1::Opened {
        match self.request(login).await {
            reply::Body::Opened(opened) => opened,
            other => panic!("{other:?}"),
        }
    }

    pub async fn refused(&mut self, login: client_frame::Body) -> v1::login_refused::Reason {
        match self.request(login).await {
            reply::Body::LoginRefused(refused) => refused.reason(),
            other => panic!("{other:?}"),
        }
    }

    pub async fn submit(&mut self, number: u64, op: Op) -> v1::Submitted {
        match self.request(submit(number, op)).await {
            reply::Body::Submitted(submitted) => submitted,
            other => panic!("{other:?}"),
        }
    }

    pub async fn outcome(&mut self, number: u64, op: Op) -> Outcome {
        self.submit(number, op).await.outcome()
    }

    /// The next event, which is an entry: its text.
    pub async fn entry(&mut self) -> String {
        match self.event().await {
            server_frame::Body::Entry(entry) => format!("{}: {}", entry.sender, entry.text),
            other => panic!("{other:?}"),
        }
    }

    pub async fn names(&mut self, request: client_frame::Body) -> Vec<String> {
        match self.request(request).await {
            reply::Body::Names(names) => names.names,
            other => panic!("{other:?}"),
        }
    }
}

pub fn submit(number: u64, op: Op) -> client_frame::Body {
    client_frame::Body::Submit(v1::Submit { number, op: Some(op) })
}

pub fn message(to: &str, text: &str) -> Op {
    Op::Message(v1::DirectMessage { to: to.to_owned(), text: text.to_owned() })
}

pub fn broadcast(text: &str) -> Op {
    Op::Broadcast(v1::Broadcast { text: text.to_owned() })
}

pub fn block(user: &str) -> Op {
    Op::Block(v1::Block { user: user.to_owned() })
}

pub fn unblock(user: &str) -> Op {
    Op::Unblock(v1::Unblock { user: user.to_owned() })
}

pub fn presence(user: &str, online: bool) -> server_frame::Body {
    server_frame::Body::Presence(v1::Presence { user: user.to_owned(), online })
}
