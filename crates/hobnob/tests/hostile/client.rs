//! A client that speaks the protocol as far as it is told to, and below it whatever it is told to.

use std::{collections::VecDeque, io, net::SocketAddr};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hobnob_protocol::{
    CONNECT_PATH, VERSION,
    close::Close,
    codec, device_challenge,
    limits::FRAME_BYTES_MAX,
    v1::{
        ClientFrame, Device, DirectMessage, Hello, Login, Opened, Position, Resume, Submit, Submitted,
        client_frame::Body as Request, login::Proof, login_refused::Reason, reply::Body as Reply,
        server_frame::Body as Event, submit::Op,
    },
};
use ring::signature::{Ed25519KeyPair, KeyPair};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use crate::net::{self, Tls, within};

/// Why a connection is over: the code of the close frame, if there was one.
pub(crate) type Closed = Option<u16>;

/// One connection, up to the WebSocket at least.
pub(crate) struct Client {
    socket: WebSocketStream<Tls>,
    last_id: u64,
    nonce: Bytes,
    server_key: Bytes,
    /// What came while a reply was awaited.
    events: VecDeque<Event>,
}

impl Client {
    pub(crate) async fn connect(server: SocketAddr) -> Self {
        Self::over(net::tls(server).await).await
    }

    pub(crate) async fn over(stream: Tls) -> Self {
        let url = format!("wss://127.0.0.1{CONNECT_PATH}");
        let upgrade = within("WebSocket handshake", client_async(url, stream)).await;
        let (socket, _) = upgrade.expect("a WebSocket handshake");
        let (nonce, server_key) = (Bytes::new(), Bytes::new());
        Self { socket, last_id: 0, nonce, server_key, events: VecDeque::new() }
    }

    /// A connection that has said hello.
    pub(crate) async fn greeted(server: SocketAddr) -> Self {
        let mut client = Self::connect(server).await;
        client.hello().await;
        client
    }

    /// A connection with a session of a new user.
    pub(crate) async fn registered(server: SocketAddr, name: &str) -> (Self, Opened) {
        let mut client = Self::greeted(server).await;
        let opened = client.log_in(name, "secret", true).await.expect("the name is new");
        (client, opened)
    }

    /// A connection that goes on with a session.
    pub(crate) async fn resumed(server: SocketAddr, session: &Opened, inbox: u64) -> Self {
        let mut client = Self::greeted(server).await;
        let resume = Resume {
            name: session.name.clone(),
            token: session.token.clone(),
            device: Some(client.device(&session.name)),
            position: Some(Position { epoch: session.epoch.clone(), inbox, broadcast: session.broadcast }),
        };
        match client.request(Request::Resume(resume)).await {
            Ok(Reply::Opened(_)) => client,
            other => panic!("an unexpected answer to resume: {other:?}"),
        }
    }

    pub(crate) async fn hello(&mut self) {
        let hello = Hello { version: VERSION, ..Hello::default() };
        match self.request(Request::Hello(hello)).await {
            Ok(Reply::Greeting(greeting)) => {
                (self.nonce, self.server_key) = (greeting.nonce, greeting.server_key);
            }
            other => panic!("an unexpected answer to hello: {other:?}"),
        }
    }

    pub(crate) async fn log_in(
        &mut self,
        name: &str,
        password: &str,
        register: bool,
    ) -> Result<Opened, Reason> {
        let login = Login {
            name: name.to_owned(),
            proof: Some(Proof::Password(password.to_owned())),
            register,
            device: Some(self.device(name)),
            ..Login::default()
        };
        match self.request(Request::Login(login)).await {
            Ok(Reply::Opened(opened)) => Ok(opened),
            Ok(Reply::LoginRefused(refused)) => Err(refused.reason()),
            other => panic!("an unexpected answer to a login: {other:?}"),
        }
    }

    /// Everybody has a device that the name stands for.
    pub(crate) fn device(&self, name: &str) -> Device {
        let seed: [u8; 32] = std::array::from_fn(|place| name.as_bytes()[place % name.len()]);
        let key = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a key");
        let signature = key.sign(&device_challenge(&self.nonce, name, &self.server_key));
        Device {
            key: Bytes::copy_from_slice(key.public_key().as_ref()),
            signature: Bytes::copy_from_slice(signature.as_ref()),
            outbox: Bytes::copy_from_slice(&seed[..16]),
        }
    }

    /// Writes bytes below the WebSocket. Where the server has closed already, what it said is still to be read.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        let _ = self.try_raw(bytes).await;
    }

    /// The same, and whether all could be written.
    pub(crate) async fn try_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.socket.get_mut();
        let write = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        within("room for what is written", write).await
    }

    /// Sends a frame under an id of its own.
    pub(crate) async fn send(&mut self, id: u64, body: Request) {
        let bytes = codec::encode(&ClientFrame { id, body: Some(body) });
        let _ = within("room for a frame", self.socket.send(Message::Binary(bytes))).await;
    }

    /// Sends a request; returns its id.
    pub(crate) async fn ask(&mut self, body: Request) -> u64 {
        self.last_id += 1;
        self.send(self.last_id, body).await;
        self.last_id
    }

    pub(crate) async fn request(&mut self, body: Request) -> Result<Reply, Closed> {
        let id = self.ask(body).await;
        self.reply(id).await
    }

    /// The reply to a request.
    pub(crate) async fn reply(&mut self, id: u64) -> Result<Reply, Closed> {
        loop {
            match self.read().await? {
                Event::Reply(reply) => {
                    assert_eq!(reply.id, id, "{reply:?}");
                    return Ok(reply.body.expect("a reply has a body"));
                }
                event => self.events.push_back(event),
            }
        }
    }

    pub(crate) async fn submit(&mut self, number: u64, op: Op) -> Submitted {
        match self.request(submit(number, op)).await {
            Ok(Reply::Submitted(submitted)) => submitted,
            other => panic!("an unexpected answer to submit: {other:?}"),
        }
    }

    /// The next thing that is no reply.
    pub(crate) async fn event(&mut self) -> Result<Event, Closed> {
        match self.events.pop_front() {
            Some(event) => Ok(event),
            None => self.read().await,
        }
    }

    /// The next frame.
    pub(crate) async fn read(&mut self) -> Result<Event, Closed> {
        loop {
            match within("frame", self.socket.next()).await {
                Some(Ok(Message::Binary(bytes))) => {
                    let frame =
                        codec::decode_server(bytes, FRAME_BYTES_MAX).expect("the server's frames are right");
                    return Ok(frame.body.expect("a frame has a body"));
                }
                Some(Ok(Message::Close(close))) => return Err(close.map(|close| close.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// Reads on until the connection is closed.
    pub(crate) async fn closed(&mut self) -> Closed {
        loop {
            if let Err(closed) = self.read().await {
                return closed;
            }
        }
    }

    /// Fails unless the server closes the connection for this reason, in its own words.
    pub(crate) async fn expect_close(&mut self, expected: Close, case: &str) {
        let closed = self.closed().await;
        assert_eq!(closed.and_then(Close::from_code), Some(expected), "{case}: {closed:?}");
    }
}

pub(crate) fn submit(number: u64, op: Op) -> Request {
    Request::Submit(Submit { number, op: Some(op) })
}

pub(crate) fn message(to: &str, text: &str) -> Op {
    Op::Message(DirectMessage { to: to.to_owned(), text: text.to_owned() })
}
