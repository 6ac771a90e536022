//! HTTP on the server's port: the WebSocket that clients talk over, the way to the relay, and signs of health.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hobnob_protocol::{CONNECT_PATH, close::Close, limits};
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming as RequestBody,
    header::{
        CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
        SEC_WEBSOCKET_VERSION, UPGRADE,
    },
    upgrade::{OnUpgrade, Parts},
};
use hyper_util::rt::TokioIo;
use iroh_relay::http::{RELAY_PATH, RELAY_PROBE_PATH};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        error::CapacityError,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};
use tokio_util::{either::Either, task::TaskTracker};

use crate::{
    link::{Gone, Incoming, Link},
    node::Node,
    relay::{self, Visitor},
    session,
    throttle::Waiting,
    trouble::Trouble,
};

/// A connection's bytes, with TLS or without.
pub(crate) type Io = Either<TlsStream<TcpStream>, TcpStream>;

/// Read and write buffer of a connection: most of what an idle one costs.
const READ_BUFFER_BYTES: usize = 1024;
const WRITE_BUFFER_BYTES: usize = 4096;

/// One HTTP connection.
pub(crate) struct Web {
    pub(crate) node: Arc<Node>,
    pub(crate) sessions: TaskTracker,
    pub(crate) address: IpAddr,
    /// SHA-256 of the public key that was shown on it.
    pub(crate) server_key: Bytes,
    /// Taken by the session, if there comes to be one.
    pub(crate) waiting: std::sync::Mutex<Option<Waiting>>,
}

impl Web {
    /// Answers one request.
    pub(crate) async fn serve(
        &self,
        request: Request<RequestBody>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        Ok(match (request.method(), request.uri().path()) {
            (&Method::GET, CONNECT_PATH) => self.connect(request).unwrap_or_else(|refused| *refused),
            (&Method::GET, RELAY_PATH) if self.node.relay.is_some() => {
                self.relay(request).unwrap_or_else(|refused| *refused)
            }
            // Clients measure how far the relay is.
            (&Method::GET, RELAY_PROBE_PATH) if self.node.relay.is_some() => text(StatusCode::OK, ""),
            (&Method::GET, "/healthz") => text(StatusCode::OK, "alive\n"),
            (&Method::GET, "/readyz") => self.ready().await,
            (&Method::GET, "/") => text(StatusCode::OK, "hobnob: join with `hobnob chat`\n"),
            _ => text(StatusCode::NOT_FOUND, "not found\n"),
        })
    }

    /// Ready: not stopping, and the store writes.
    async fn ready(&self) -> Response<Full<Bytes>> {
        let write = self.node.writer.run(|_| Ok(()));
        let wrote = tokio::time::timeout(limits::PROBE_TIMEOUT, write).await;
        if self.node.shutdown.is_cancelled() {
            text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
        } else if let Some(trouble) = self.node.writer.trouble() {
            text(
                StatusCode::SERVICE_UNAVAILABLE,
                match trouble {
                    Trouble::DiskFull => "the disk is full\n",
                    Trouble::NotWritable => "the data folder cannot be written\n",
                },
            )
        } else if matches!(wrote, Ok(Ok(()))) {
            text(StatusCode::OK, "ready\n")
        } else {
            text(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n")
        }
    }

    /// A client that wants to talk.
    fn connect(&self, mut request: Request<RequestBody>) -> Answer {
        let accept = accept_key(request.headers())?;
        let waiting = self.take_waiting()?;
        let (node, address, server_key) = (self.node.clone(), self.address, self.server_key.clone());
        let upgraded = hyper::upgrade::on(&mut request);
        self.sessions.spawn(async move {
            // An upgrade that comes to nothing is a connection that is gone.
            let Some(socket) = web_socket(upgraded, config(), |_| {}).await else { return };
            session::serve(node, WebSocketLink { socket, server_key }, address, waiting).await;
        });
        switch(&accept, None)
    }

    /// A client that wants to reach others over the relay.
    fn relay(&self, mut request: Request<RequestBody>) -> Answer {
        let accept = accept_key(request.headers())?;
        let Some(relay) = &self.node.relay else { return Err(refuse(StatusCode::NOT_FOUND, "not found\n")) };
        let Some(version) = relay::version(request.headers()) else {
            return Err(refuse(StatusCode::BAD_REQUEST, "unknown version of the relay's protocol\n"));
        };
        let waiting = self.take_waiting()?;
        let visitor = Visitor::new(request.headers(), version, self.address, waiting);
        relay.receive(hyper::upgrade::on(&mut request), visitor);
        switch(&accept, Some(version.to_header_value()))
    }

    /// The connection's place among those without a login, which goes with the WebSocket.
    fn take_waiting(&self) -> Result<Waiting, Box<Response<Full<Bytes>>>> {
        let waiting = self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        waiting.ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "one WebSocket a connection\n"))
    }
}

/// What a request for a WebSocket is answered with.
type Answer = Result<Response<Full<Bytes>>, Box<Response<Full<Bytes>>>>;

/// Checks a WebSocket handshake (RFC 6455, section 4.2); the key proves to the client that it was one.
fn accept_key(headers: &HeaderMap) -> Result<String, Box<Response<Full<Bytes>>>> {
    let says = |name, value: &str| {
        let header = headers.get(name).and_then(|header| header.to_str().ok());
        header.is_some_and(|header| header.split(',').any(|part| part.trim().eq_ignore_ascii_case(value)))
    };
    let upgrade = says(UPGRADE, "websocket") && says(CONNECTION, "upgrade");
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|_| upgrade && says(SEC_WEBSOCKET_VERSION, "13"));
    key.map(|key| derive_accept_key(key.as_bytes()))
        .ok_or_else(|| refuse(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket\n"))
}

/// Agrees to a WebSocket, and to one of the protocols that were offered, if any was.
fn switch(accept: &str, protocol: Option<HeaderValue>) -> Answer {
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol {
        response = response.header(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response.body(Full::default()).map_err(|_| refuse(StatusCode::BAD_REQUEST, "bad key\n"))
}

fn refuse(status: StatusCode, body: &'static str) -> Box<Response<Full<Bytes>>> {
    Box::new(text(status, body))
}

/// The connection as a WebSocket, after `prepare`. HTTP's buffers end here, so that no session holds them.
pub(crate) async fn web_socket(
    upgraded: OnUpgrade,
    config: WebSocketConfig,
    prepare: impl FnOnce(&mut Io),
) -> Option<Box<WebSocketStream<Io>>> {
    let Parts { io, read_buf, .. } = upgraded.await.ok()?.downcast::<TokioIo<Io>>().ok()?;
    let mut io = io.into_inner();
    prepare(&mut io);
    let socket = WebSocketStream::from_partially_read(io, read_buf.to_vec(), Role::Server, Some(config));
    Some(Box::new(socket.await))
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    response
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(limits::OUT_BYTES_MAX + limits::ANSWER_BYTES_MAX)
        .max_message_size(Some(limits::FRAME_BYTES_MAX))
        .max_frame_size(Some(limits::FRAME_BYTES_MAX))
}

struct WebSocketLink {
    socket: Box<WebSocketStream<Io>>,
    server_key: Bytes,
}

impl Link for WebSocketLink {
    fn server_key(&self) -> Option<Bytes> {
        Some(self.server_key.clone())
    }

    async fn recv(&mut self) -> Incoming {
        match self.socket.next().await {
            Some(Ok(Message::Binary(bytes))) => Incoming::Frame(bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Incoming::Alive,
            Some(Ok(Message::Text(_) | Message::Frame(_)) | Err(Error::Protocol(_) | Error::Utf8(_))) => {
                Incoming::Bad(Close::BadFrame)
            }
            Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
                Incoming::Bad(Close::TooLarge)
            }
            Some(Ok(Message::Close(_))) => {
                // Reading has made the answer; what is lost of it if this is cancelled, the next read writes.
                let _ = self.socket.flush().await;
                Incoming::Gone
            }
            Some(Err(_)) | None => Incoming::Gone,
        }
    }

    async fn feed(&mut self, frame: Bytes) -> Result<(), Gone> {
        self.socket.feed(Message::Binary(frame)).await.map_err(|_| Gone)
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        self.socket.flush().await.map_err(|_| Gone)
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        self.socket.send(Message::Ping(Bytes::new())).await.map_err(|_| Gone)
    }

    async fn close(&mut self, close: Close) {
        let frame = CloseFrame { code: close.code().into(), reason: close.reason().into() };
        if (*self.socket).close(Some(frame)).await.is_err() {
            return;
        }
        // The close is complete when the client has answered it; the caller limits the time.
        while let Some(Ok(_)) = self.socket.next().await {}
        // What it had sent before is read off: with bytes unread the system would reset the connection, and the
        // client might lose the reason.
        let io = (*self.socket).get_mut();
        let _ = io.shutdown().await;
        let mut waste = [0; 1024];
        while io.read(&mut waste).await.is_ok_and(|count| count > 0) {}
    }
}
