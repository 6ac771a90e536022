//! HTTP on the server's port: the WebSocket that clients talk over, the way to the relay, and signs of health.

mod socket;

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use hobnob_protocol::{CONNECT_PATH, limits};
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
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};
use tokio_util::{either::Either, task::TaskTracker};

use self::socket::WebSocketLink;
use crate::{
    node::Node,
    proxy::Proxies,
    relay::{self, Visitor},
    session,
    throttle::Waiting,
    trouble::Trouble,
};

/// A connection's bytes, with TLS or without.
pub(crate) type Io = Either<TlsStream<TcpStream>, TcpStream>;

/// One HTTP connection.
pub(crate) struct Web {
    pub(crate) node: Arc<Node>,
    pub(crate) sessions: TaskTracker,
    /// Who made the connection.
    pub(crate) peer: IpAddr,
    /// Whom it counts for: who made it, until a request says for whom that was.
    pub(crate) source: Arc<Mutex<IpAddr>>,
    /// Who may have made it for somebody else.
    pub(crate) proxies: Arc<Proxies>,
    /// SHA-256 of the public key that was shown on it.
    pub(crate) server_key: Bytes,
    /// Taken by the session, if there comes to be one.
    pub(crate) waiting: Mutex<Option<Waiting>>,
}

impl Web {
    /// Answers one request.
    pub(crate) async fn serve(
        &self,
        request: Request<RequestBody>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let source = self.source(request.headers());
        Ok(match (request.method(), request.uri().path()) {
            (&Method::GET, CONNECT_PATH) => self.connect(request, source).unwrap_or_else(|refused| *refused),
            (&Method::GET, RELAY_PATH) if self.node.relay.is_some() => {
                self.relay(request, source).unwrap_or_else(|refused| *refused)
            }
            // Clients measure how far the relay is.
            (&Method::GET, RELAY_PROBE_PATH) if self.node.relay.is_some() => text(StatusCode::OK, ""),
            (&Method::GET, "/healthz") => text(StatusCode::OK, "alive\n"),
            (&Method::GET, "/readyz") => self.ready().await,
            (&Method::GET, "/") => text(StatusCode::OK, "hobnob: join with `hobnob chat`\n"),
            _ => text(StatusCode::NOT_FOUND, "not found\n"),
        })
    }

    /// Where a request comes from. One that a proxy has passed on counts there from now on.
    fn source(&self, headers: &HeaderMap) -> IpAddr {
        if !self.proxies.trusts(self.peer) {
            return self.peer;
        }
        let source = self.proxies.source(self.peer, headers);
        if let Some(waiting) = &mut *self.waiting() {
            waiting.place(source.into());
            *self.source.lock().unwrap_or_else(PoisonError::into_inner) = source;
        }
        source
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
    fn connect(&self, mut request: Request<RequestBody>, address: IpAddr) -> Answer {
        let accept = accept_key(request.headers())?;
        let waiting = self.take_waiting()?;
        let (node, server_key) = (self.node.clone(), self.server_key.clone());
        let upgraded = hyper::upgrade::on(&mut request);
        self.sessions.spawn(async move {
            // An upgrade that comes to nothing is a connection that is gone. Boxed: what it takes is of no use afterwards.
            let Some(link) = Box::pin(link(upgraded, server_key)).await else { return };
            session::serve(node, link, address, waiting).await;
        });
        switch(&accept, None)
    }

    /// A client that wants to reach others over the relay.
    fn relay(&self, mut request: Request<RequestBody>, address: IpAddr) -> Answer {
        let accept = accept_key(request.headers())?;
        let Some(relay) = &self.node.relay else { return Err(refuse(StatusCode::NOT_FOUND, "not found\n")) };
        let Some(version) = relay::version(request.headers()) else {
            return Err(refuse(StatusCode::BAD_REQUEST, "unknown version of the relay's protocol\n"));
        };
        let waiting = self.take_waiting()?;
        let visitor = Visitor::new(request.headers(), version, address, waiting);
        relay.receive(hyper::upgrade::on(&mut request), visitor);
        switch(&accept, Some(version.to_header_value()))
    }

    /// The connection's place among those without a login, which goes with the WebSocket.
    fn take_waiting(&self) -> Result<Waiting, Box<Response<Full<Bytes>>>> {
        self.waiting().take().ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "one WebSocket a connection\n"))
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
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

/// The connection without HTTP, whose buffers end here, so that no session holds them; and what was read of it already.
async fn bare(upgraded: OnUpgrade) -> Option<(Io, Bytes)> {
    let Parts { io, read_buf, .. } = upgraded.await.ok()?.downcast::<TokioIo<Io>>().ok()?;
    Some((io.into_inner(), read_buf))
}

/// The connection as the link of a session.
async fn link(upgraded: OnUpgrade, server_key: Bytes) -> Option<WebSocketLink> {
    let (io, read) = bare(upgraded).await?;
    Some(WebSocketLink::new(io, &read, server_key))
}

/// The connection as a WebSocket, after `prepare`.
pub(crate) async fn web_socket(
    upgraded: OnUpgrade,
    config: WebSocketConfig,
    prepare: impl FnOnce(&mut Io),
) -> Option<Box<WebSocketStream<Io>>> {
    let (mut io, read) = bare(upgraded).await?;
    prepare(&mut io);
    let socket = WebSocketStream::from_partially_read(io, read.to_vec(), Role::Server, Some(config));
    Some(Box::new(socket.await))
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    response
}
