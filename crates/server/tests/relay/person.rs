//! A server as `serve` starts it, and somebody who logs in to it over a WebSocket without TLS.

#![allow(unreachable_pub, reason = "shared with the tests alone")]

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hobnob_protocol::{
    CONNECT_PATH, VERSION, codec, device_challenge,
    limits::ANSWER_BYTES_MAX,
    v1::{self, ClientFrame, client_frame::Body, login::Proof, reply, server_frame},
};
use hobnob_server::{
    Config, Server, ServerError,
    config::{Policy, RelayPolicy, Tls},
};
use iroh_base::SecretKey;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};
use tokio_util::sync::CancellationToken;

use crate::world::in_time;

/// A server that runs.
pub struct Running {
    pub address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinSet<Result<(), ServerError>>,
    _folder: tempfile::TempDir,
}

impl Running {
    pub async fn start(relay: Option<RelayPolicy>, policy: Policy) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_owned();
        let proxies = Default::default();
        let config = Config { data, credentials: None, tls: Tls::Off, policy, relay, proxies };
        let server = tokio::task::spawn_blocking(|| Server::open(config, &|_, _| {})).await.unwrap().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
        let mut task = JoinSet::new();
        task.spawn(server.run(listener, shutdown.clone()));
        Self { address, shutdown, task, _folder: folder }
    }

    pub async fn stop(mut self) {
        self.shutdown.cancel();
        in_time(self.task.join_next()).await.unwrap().unwrap().unwrap();
    }
}

/// A connection to talk over.
pub struct Person {
    socket: WebSocketStream<TcpStream>,
    last_id: u64,
    /// How the server greeted.
    pub greeting: v1::Greeting,
}

impl Person {
    pub async fn greet(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (socket, _) = client_async(format!("ws://{address}{CONNECT_PATH}"), stream).await.unwrap();
        let mut person = Self { socket, last_id: 0, greeting: v1::Greeting::default() };
        let hello = v1::Hello { version: VERSION, ..v1::Hello::default() };
        match person.request(Body::Hello(hello)).await {
            reply::Body::Greeting(greeting) => person.greeting = greeting,
            other => panic!("{other:?}"),
        }
        person
    }

    /// Registers on the device with this key.
    pub async fn register(&mut self, name: &str, key: &SecretKey) {
        let challenge = device_challenge(&self.greeting.nonce, name, &self.greeting.server_key);
        let device = v1::Device {
            key: Bytes::copy_from_slice(key.public().as_bytes()),
            signature: Bytes::copy_from_slice(&key.sign(&challenge).to_bytes()),
            outbox: Bytes::from_static(&[1; 16]),
        };
        let login = v1::Login {
            name: name.to_owned(),
            proof: Some(Proof::Password("secret".to_owned())),
            register: true,
            device: Some(device),
            ..v1::Login::default()
        };
        let opened = self.request(Body::Login(login)).await;
        assert!(matches!(opened, reply::Body::Opened(_)), "{opened:?}");
    }

    pub async fn log_out(&mut self) {
        self.send(Body::Logout(v1::Logout {})).await;
    }

    async fn send(&mut self, body: Body) {
        self.last_id += 1;
        let frame = codec::encode(&ClientFrame { id: self.last_id, body: Some(body) });
        in_time(self.socket.send(Message::Binary(frame))).await.unwrap();
    }

    async fn request(&mut self, body: Body) -> reply::Body {
        self.send(body).await;
        loop {
            let Message::Binary(bytes) = in_time(self.socket.next()).await.unwrap().unwrap() else {
                continue;
            };
            let frame = codec::decode_server(bytes, ANSWER_BYTES_MAX).unwrap();
            if let Some(server_frame::Body::Reply(reply)) = frame.body {
                return reply.body.unwrap();
            }
        }
    }
}
