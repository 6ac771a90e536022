//! HTTP on the server's port: the WebSocket that clients talk over, and signs of health.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hobnob_protocol::{CONNECT_PATH, close::Close, limits};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming as RequestBody,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
    upgrade::{OnUpgrade, Parts},
};
use hyper_util::rt::TokioIo;
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
    session,
    throttle::Waiting,
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
            (&Method::GET, CONNECT_PATH) => self.connect(request),
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
        } else if matches!(wrote, Ok(Ok(()))) {
            text(StatusCode::OK, "ready\n")
        } else {
            text(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n")
        }
    }

    /// The WebSocket handshake (RFC 6455, section 4.2).
    fn connect(&self, mut request: Request<RequestBody>) -> Response<Full<Bytes>> {
        let says = |name, value: &str| {
            let header = request.headers().get(name).and_then(|header| header.to_str().ok());
            header.is_some_and(|header| header.split(',').any(|part| part.trim().eq_ignore_ascii_case(value)))
        };
        let upgrade = says(UPGRADE, "websocket") && says(CONNECTION, "upgrade");
        let key = request.headers().get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
        let (true, true, Some(accept)) = (upgrade, says(SEC_WEBSOCKET_VERSION, "13"), key) else {
            return text(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket\n");
        };
        let waiting = self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(waiting) = waiting else {
            return text(StatusCode::BAD_REQUEST, "one WebSocket a connection\n");
        };
        let (node, address) = (self.node.clone(), self.address);
        let upgraded = hyper::upgrade::on(&mut request);
        self.sessions.spawn(async move {
            // An upgrade that comes to nothing is a connection that is gone.
            let Some(socket) = web_socket(upgraded).await else { return };
            session::serve(node, WebSocketLink { socket }, address, waiting).await;
        });
        let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        let response = response.header(UPGRADE, "websocket").header(CONNECTION, "Upgrade");
        let response = response.header(SEC_WEBSOCKET_ACCEPT, accept).body(Full::default());
        response.unwrap_or_else(|_| text(StatusCode::BAD_REQUEST, "bad key\n"))
    }
}

/// The connection as a WebSocket. HTTP's buffers end here, so that no session holds them.
async fn web_socket(upgraded: OnUpgrade) -> Option<Box<WebSocketStream<Io>>> {
    let Parts { io, read_buf, .. } = upgraded.await.ok()?.downcast::<TokioIo<Io>>().ok()?;
    let socket = WebSocketStream::from_partially_read(
        io.into_inner(),
        read_buf.to_vec(),
        Role::Server,
        Some(config()),
    );
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
}

impl Link for WebSocketLink {
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
