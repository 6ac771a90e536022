//! One connection that speaks the protocol, up to an open session.

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use hobnob_protocol::{
    CONNECT_PATH, VERSION,
    codec::{decode_server, encode},
    device_challenge,
    limits::FRAME_BYTES_MAX,
    v1::{
        ClientFrame, Device, Greeting, Hello, Login, Opened, Position, Resume, ServerFrame, client_frame,
        login, login_refused::Reason, reply, server_frame,
    },
};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, Message, protocol::WebSocketConfig},
};
use tokio_util::either::Either;

use crate::account::{self, Account};

/// The bytes of a connection.
pub(crate) type Io = Either<TlsStream<TcpStream>, TcpStream>;

/// Where the server listens, and how to talk to it.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// `None`: in plain text.
    pub(crate) tls: Option<TlsConnector>,
    pub(crate) speaks: Speaks,
}

/// What a server understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// hobnob's protocol.
    Hobnob,
    /// The lines of IRC, or the few of them that the smallest router knows.
    Lines,
}

impl Target {
    /// Connects, up to TLS.
    pub(crate) async fn connect(&self) -> anyhow::Result<Io> {
        let stream = TcpStream::connect(self.address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Either::Right(stream)) };
        let name = ServerName::IpAddress(self.address.ip().into());
        Ok(Either::Left(tls.connect(name, stream).await.context("the TLS handshake")?))
    }
}

/// A connection.
pub(crate) struct Link {
    socket: WebSocketStream<Io>,
    last_id: u64,
}

impl Link {
    /// Connects, up to the WebSocket.
    pub(crate) async fn connect(target: &Target) -> anyhow::Result<Self> {
        let io = target.connect().await?;
        let scheme = if target.tls.is_some() { "wss" } else { "ws" };
        let url = format!("{scheme}://{}{CONNECT_PATH}", target.address);
        let config = WebSocketConfig::default().read_buffer_size(8 * 1024).write_buffer_size(16 * 1024);
        let (socket, _) =
            client_async_with_config(url, io, Some(config)).await.context("the WebSocket handshake")?;
        Ok(Self { socket, last_id: 0 })
    }

    /// The id of the last request.
    pub(crate) fn last_id(&self) -> u64 {
        self.last_id
    }

    /// Puts a request into the write buffer; returns its id.
    pub(crate) async fn request(&mut self, body: client_frame::Body) -> anyhow::Result<u64> {
        self.last_id += 1;
        self.feed(self.last_id, body).await?;
        Ok(self.last_id)
    }

    /// Writes a note at once.
    pub(crate) async fn note(&mut self, body: client_frame::Body) -> anyhow::Result<()> {
        self.feed(0, body).await?;
        self.flush().await
    }

    async fn feed(&mut self, id: u64, body: client_frame::Body) -> anyhow::Result<()> {
        let frame = encode(&ClientFrame { id, body: Some(body) });
        Ok(self.socket.feed(Message::Binary(frame)).await?)
    }

    /// Writes what is in the write buffer.
    pub(crate) async fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.socket.flush().await?)
    }

    /// The next frame. Cancel-safe. A closed connection is an error.
    pub(crate) async fn recv(&mut self) -> anyhow::Result<server_frame::Body> {
        loop {
            let message = self.socket.next().await;
            if let Some(body) = body(message)? {
                return Ok(body);
            }
        }
    }

    /// The next frame, if it is here already.
    pub(crate) fn try_recv(&mut self) -> anyhow::Result<Option<server_frame::Body>> {
        self.recv().now_or_never().transpose()
    }

    /// Waits for the reply to the only request under way; whatever else comes is dropped.
    async fn reply(&mut self, id: u64) -> anyhow::Result<reply::Body> {
        self.flush().await?;
        loop {
            if let server_frame::Body::Reply(reply) = self.recv().await? {
                ensure!(reply.id == id, "a reply to {} where one to {id} is due", reply.id);
                return reply.body.context("an unknown reply");
            }
        }
    }

    /// Says hello.
    pub(crate) async fn greet(&mut self) -> anyhow::Result<Greeting> {
        let agent = concat!("hobnob-bench/", env!("CARGO_PKG_VERSION")).to_owned();
        let hello = Hello { version: VERSION, features: Vec::new(), agent };
        let id = self.request(client_frame::Body::Hello(hello)).await?;
        match self.reply(id).await? {
            reply::Body::Greeting(greeting) => Ok(greeting),
            other => bail!("an unexpected answer to hello: {other:?}"),
        }
    }

    /// Opens a session.
    pub(crate) async fn log_in(
        &mut self,
        greeting: &Greeting,
        account: &Account,
        proof: login::Proof,
        background: bool,
    ) -> anyhow::Result<Opened> {
        let login = Login {
            name: account.name.clone(),
            proof: Some(proof),
            register: false,
            background,
            device: Some(device(greeting, account, account::outbox()?)),
            position: Some(Position::default()),
            ..Login::default()
        };
        let id = self.request(client_frame::Body::Login(login)).await?;
        self.opened(id, account).await
    }

    /// Takes up a session whose connection is gone.
    pub(crate) async fn resume(
        &mut self,
        greeting: &Greeting,
        account: &Account,
        left: &Left,
    ) -> anyhow::Result<Opened> {
        let resume = Resume {
            name: account.name.clone(),
            token: left.token.clone(),
            device: Some(device(greeting, account, left.outbox.clone())),
            position: Some(left.position.clone()),
        };
        let id = self.request(client_frame::Body::Resume(resume)).await?;
        self.opened(id, account).await
    }

    async fn opened(&mut self, id: u64, account: &Account) -> anyhow::Result<Opened> {
        match self.reply(id).await? {
            reply::Body::Opened(opened) => Ok(opened),
            reply::Body::LoginRefused(refused) => {
                let reason = Reason::try_from(refused.reason).unwrap_or_default();
                bail!("{} was refused: {reason:?} {}", account.name, refused.text)
            }
            other => bail!("an unexpected answer to a login: {other:?}"),
        }
    }
}

fn device(greeting: &Greeting, account: &Account, outbox: Bytes) -> Device {
    let challenge = device_challenge(&greeting.nonce, &account.name, &greeting.server_key);
    let (key, signature) = account.sign(&challenge);
    Device { key, signature, outbox }
}

/// What a client still knows of a session whose connection is gone.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    token: Bytes,
    outbox: Bytes,
    position: Position,
}

impl Left {
    /// Of a session that was just opened and in which nothing was sent: its outbox is a new one.
    pub(crate) fn of(opened: &Opened) -> anyhow::Result<Self> {
        let position =
            Position { epoch: opened.epoch.clone(), inbox: opened.inbox, broadcast: opened.broadcast };
        Ok(Self { token: opened.token.clone(), outbox: account::outbox()?, position })
    }
}

/// What a message of the WebSocket holds; pings are answered below.
fn body(message: Option<Result<Message, tungstenite::Error>>) -> anyhow::Result<Option<server_frame::Body>> {
    match message.context("the server closed the connection")?? {
        Message::Binary(bytes) => Ok(decode(bytes)?.body),
        Message::Close(Some(close)) => bail!("the server closed with {} {}", close.code, close.reason),
        Message::Close(None) => bail!("the server closed the connection"),
        _ => Ok(None),
    }
}

fn decode(bytes: Bytes) -> anyhow::Result<ServerFrame> {
    Ok(decode_server(bytes, FRAME_BYTES_MAX)?)
}

/// A session.
pub(crate) struct Session {
    pub(crate) link: Link,
    pub(crate) opened: Opened,
}

/// Opens a session of a user, by the token that the database was made with.
pub(crate) async fn open(target: &Target, account: &Account, background: bool) -> anyhow::Result<Session> {
    log_in(target, account, login::Proof::Token(account.token.clone()), background).await
}

/// Opens a session of a user by password.
pub(crate) async fn open_by_password(target: &Target, account: &Account) -> anyhow::Result<Session> {
    log_in(target, account, login::Proof::Password(account.password.clone()), false).await
}

/// Takes up a session on a new connection.
pub(crate) async fn resume(target: &Target, account: &Account, left: &Left) -> anyhow::Result<Session> {
    let mut link = Link::connect(target).await?;
    let greeting = link.greet().await?;
    let opened = link.resume(&greeting, account, left).await?;
    Ok(Session { link, opened })
}

async fn log_in(
    target: &Target,
    account: &Account,
    proof: login::Proof,
    background: bool,
) -> anyhow::Result<Session> {
    let mut link = Link::connect(target).await?;
    let greeting = link.greet().await?;
    let opened = link.log_in(&greeting, account, proof, background).await?;
    Ok(Session { link, opened })
}
