//! The real server's sessions, writer and store on one thread: connections are queues, the clock stands still, chance
//! is a counter.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use hobnob_protocol::{
    VERSION,
    close::Close,
    codec, device_challenge,
    limits::ANSWER_BYTES_MAX,
    v1::{self, ClientFrame, client_frame, login::Proof, reply, server_frame},
};
use hobnob_server::{
    config::{InboxLimits, Policy},
    hub::Hub,
    link::{Gone, Incoming, Link},
    node::{Boxed, Epoch, Node, Passwords, World},
    reader::Reader,
    session,
    store::{Secret, Store},
    ticket::TicketKey,
    writer,
};
use ring::signature::{Ed25519KeyPair, KeyPair};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

const SERVER_KEY: &[u8] = b"server key";
const PASSWORD: &str = "password";
/// Frames that wait in a connection, on either way.
const ROOM: usize = 2_048;
/// Turns that the other tasks get before a commit, so that what is sent together is committed together.
const TURNS: usize = 8;
/// Turns after which nothing is left to do.
const SETTLING_TURNS: usize = 64;

/// A server's end of a connection.
struct Queues {
    from: mpsc::Receiver<Incoming>,
    to: mpsc::Sender<Bytes>,
}

impl Link for Queues {
    async fn recv(&mut self) -> Incoming {
        self.from.recv().await.unwrap_or(Incoming::Gone)
    }

    async fn feed(&mut self, frame: Bytes) -> Result<(), Gone> {
        self.to.send(frame).await.map_err(|_| Gone)
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        Ok(())
    }

    async fn close(&mut self, _: Close) {}
}

struct PlainPasswords;

impl Passwords for PlainPasswords {
    fn hash(&self, password: String) -> Boxed<'_, Secret> {
        Box::pin(async { Secret(password) })
    }

    fn verify(&self, password: String, hash: Option<Secret>) -> Boxed<'_, bool> {
        Box::pin(async move { hash.is_some_and(|hash| hash.0 == password) })
    }
}

#[derive(Default)]
struct StillWorld {
    drawn: AtomicU64,
}

impl World for StillWorld {
    fn now_ms(&self) -> i64 {
        1_000_000_000
    }

    fn fill(&self, bytes: &mut [u8]) {
        let draw = self.drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        bytes.iter_mut().enumerate().for_each(|(place, byte)| *byte = draw[place % 8] ^ (place / 8) as u8);
    }
}

/// A server and everything it runs.
pub(crate) struct Server {
    node: Arc<Node>,
    tasks: JoinSet<()>,
    commits: Arc<AtomicU64>,
}

impl Server {
    /// Starts on a store.
    pub(crate) fn new(store: Arc<dyn Store>) -> anyhow::Result<Self> {
        let (writer, queue) = writer::queue();
        let (mut tasks, commits) = (JoinSet::new(), Arc::<AtomicU64>::default());
        let (disk, count) = (store.clone(), commits.clone());
        tasks.spawn(async move {
            let pause = || {
                count.fetch_add(1, Ordering::Relaxed);
                async {
                    for _ in 0..TURNS {
                        tokio::task::yield_now().await;
                    }
                }
            };
            queue.run_inline(&*disk, pause).await;
        });
        let hub = Arc::new(Hub::default());
        let unlimited = InboxLimits { entries: u64::MAX, bytes: u64::MAX, entries_per_sender: u64::MAX };
        let policy =
            Policy { sessions_per_user: 1_000, send_rate: None, inbox: unlimited, ..Policy::default() };
        let node = Arc::new(Node {
            policy: policy.into(),
            server_key: Bytes::from_static(SERVER_KEY),
            epoch: Arc::new(Epoch::new(store.epoch()?)),
            reader: Reader::inline(store),
            writer,
            wake: hub.clone(),
            hub,
            passwords: Arc::new(PlainPasswords),
            throttle: Default::default(),
            gate: Default::default(),
            invites: Default::default(),
            shares: Default::default(),
            tickets: TicketKey::new(&[7; 32]),
            relay: None,
            security: Default::default(),
            world: Arc::<StillWorld>::default(),
            shutdown: CancellationToken::new(),
        });
        Ok(Self { node, tasks, commits })
    }

    /// How many transactions there were.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    async fn connect(&mut self) -> anyhow::Result<(Client, Bytes)> {
        let ((to, from_client), (to_client, from)) = (mpsc::channel(ROOM), mpsc::channel(ROOM));
        let address: IpAddr = [127, 0, 0, 1].into();
        let waiting = self.node.throttle.wait(address.into());
        let link = Queues { from: from_client, to: to_client };
        self.tasks.spawn(session::serve(self.node.clone(), link, address, waiting));
        let mut client = Client { to, from, last_id: 0, sent: 0 };
        let hello = v1::Hello { version: VERSION, ..v1::Hello::default() };
        match client.request(client_frame::Body::Hello(hello)).await? {
            reply::Body::Greeting(greeting) => Ok((client, greeting.nonce)),
            other => bail!("{other:?}"),
        }
    }

    /// Opens a session; the first of a name registers it.
    pub(crate) async fn log_in(
        &mut self,
        name: &str,
        register: bool,
    ) -> anyhow::Result<(Client, v1::Opened)> {
        let (mut client, nonce) = self.connect().await?;
        let login = v1::Login {
            name: name.to_owned(),
            proof: Some(Proof::Password(PASSWORD.to_owned())),
            register,
            background: false,
            device: Some(device(name, &nonce)?),
            position: Some(v1::Position::default()),
        };
        let opened = client.request(client_frame::Body::Login(login)).await?;
        Ok((client, open(opened)?))
    }

    /// Takes up a session.
    pub(crate) async fn resume(&mut self, name: &str, token: &Bytes) -> anyhow::Result<(Client, v1::Opened)> {
        let (mut client, nonce) = self.connect().await?;
        let resume = v1::Resume {
            name: name.to_owned(),
            token: token.clone(),
            device: Some(device(name, &nonce)?),
            position: Some(v1::Position::default()),
        };
        let opened = client.request(client_frame::Body::Resume(resume)).await?;
        Ok((client, open(opened)?))
    }
}

fn device(name: &str, nonce: &[u8]) -> anyhow::Result<v1::Device> {
    let seed: [u8; 32] = std::array::from_fn(|place| name.as_bytes()[place % name.len()]);
    let key = Ed25519KeyPair::from_seed_unchecked(&seed).ok().context("a seed is a key")?;
    let signature = key.sign(&device_challenge(nonce, name, SERVER_KEY));
    Ok(v1::Device {
        key: Bytes::copy_from_slice(key.public_key().as_ref()),
        signature: Bytes::copy_from_slice(signature.as_ref()),
        outbox: Bytes::copy_from_slice(&seed[..16]),
    })
}

fn open(reply: reply::Body) -> anyhow::Result<v1::Opened> {
    match reply {
        reply::Body::Opened(opened) => Ok(opened),
        other => bail!("{other:?}"),
    }
}

/// A client's end of a connection.
pub(crate) struct Client {
    to: mpsc::Sender<Incoming>,
    from: mpsc::Receiver<Bytes>,
    last_id: u64,
    sent: u64,
}

impl Client {
    /// Sends a request without waiting for its reply.
    async fn ask(&mut self, body: client_frame::Body) -> anyhow::Result<()> {
        self.last_id += 1;
        let frame = codec::encode(&ClientFrame { id: self.last_id, body: Some(body) });
        self.to.send(Incoming::Frame(frame)).await.ok().context("the session is gone")
    }

    /// The next frame, not decoded: what the client does with it is not counted.
    pub(crate) async fn frame(&mut self) -> anyhow::Result<Bytes> {
        self.from.recv().await.context("the session is gone")
    }

    /// Lets the server finish what it does, and drops what it said: who came, for example.
    pub(crate) async fn settle(&mut self) {
        for _ in 0..SETTLING_TURNS {
            tokio::task::yield_now().await;
        }
        while self.from.try_recv().is_ok() {}
    }

    async fn request(&mut self, body: client_frame::Body) -> anyhow::Result<reply::Body> {
        self.ask(body).await?;
        loop {
            let frame = codec::decode_server(self.frame().await?, ANSWER_BYTES_MAX)?;
            if let Some(server_frame::Body::Reply(reply)) = frame.body {
                ensure!(reply.id == self.last_id, "a reply to something else");
                return reply.body.context("an unknown reply");
            }
        }
    }

    /// Sends the next submit.
    pub(crate) async fn submit(&mut self, op: v1::submit::Op) -> anyhow::Result<()> {
        self.sent += 1;
        self.ask(client_frame::Body::Submit(v1::Submit { number: self.sent, op: Some(op) })).await
    }
}

/// Whether a frame is the answer to a submit, which must be that it was accepted; others are events.
pub(crate) fn is_accepted(frame: Bytes) -> anyhow::Result<bool> {
    let Some(server_frame::Body::Reply(reply)) = codec::decode_server(frame, ANSWER_BYTES_MAX)?.body else {
        return Ok(false);
    };
    match reply.body {
        Some(reply::Body::Submitted(submitted))
            if submitted.outcome == v1::submitted::Outcome::Accepted as i32 =>
        {
            Ok(true)
        }
        other => bail!("a submit was answered {other:?}"),
    }
}
