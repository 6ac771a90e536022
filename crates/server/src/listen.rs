//! Accepting connections: TCP, TLS, HTTP.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use hobnob_protocol::limits::HANDSHAKE_TIMEOUT;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{either::Either, task::TaskTracker};

use crate::{
    current::Current,
    identity::Identity,
    node::Node,
    proxy::Proxies,
    throttle::Waiting,
    web::{Io, Web},
};

/// How long accepting pauses when the process is out of files or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Accepts until the node shuts down. Every connection is a task of `connections`, every session too.
pub async fn listen(
    node: Arc<Node>,
    listener: TcpListener,
    identity: Current<Identity>,
    proxies: Arc<Proxies>,
    connections: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = node.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                // Counted here, in the order they came, so that the oldest is the one that goes; whose a connection
                // of a proxy is, only its request says, which has to come soon.
                let mut waiting = node.throttle.arrive();
                if !proxies.trusts(address.ip()) {
                    waiting.place(address.ip().into());
                }
                // The certificate may be replaced; this connection keeps what it began with.
                let (tls, server_key) = {
                    let identity = identity.get();
                    (identity.tls.clone().map(TlsAcceptor::from), identity.server_key.clone())
                };
                let (node, proxies) = (node.clone(), proxies.clone());
                let connection = Connection { node, tls, server_key, proxies, address, waiting };
                connections.spawn(connection.serve(stream, connections.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                pause(&node, &error).await;
            }
        }
    }
}

/// A peer that is gone already is no reason to wait; a lack of files or memory is.
async fn pause(node: &Node, error: &io::Error) {
    let peer = matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset);
    if !peer {
        tokio::select! {
            () = node.shutdown.cancelled() => {}
            () = sleep(ACCEPT_PAUSE) => {}
        }
    }
}

struct Connection {
    node: Arc<Node>,
    tls: Option<TlsAcceptor>,
    /// SHA-256 of the public key that is shown on it.
    server_key: Bytes,
    proxies: Arc<Proxies>,
    address: SocketAddr,
    waiting: Waiting,
}

impl Connection {
    /// Serves a connection until it is upgraded to a session, or gone.
    async fn serve(self, stream: TcpStream, sessions: TaskTracker) {
        let Self { node, tls, server_key, proxies, address, waiting } = self;
        let (evicted, shutdown, logged) = (waiting.evicted.clone(), node.shutdown.clone(), node.clone());
        let source = Arc::new(Mutex::new(address.ip()));
        let counted = source.clone();
        // A connection that cannot send small frames at once is slower, not wrong.
        let _ = stream.set_nodelay(true);
        let serve = async {
            let Ok(Some(io)) = timeout(HANDSHAKE_TIMEOUT, handshake(tls, stream)).await else { return };
            let waiting = Mutex::new(Some(waiting));
            let web = Web { node, sessions, peer: address.ip(), source, proxies, server_key, waiting };
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HANDSHAKE_TIMEOUT).max_buf_size(16 * 1024);
            http.pipeline_flush(false).keep_alive(true);
            let serve = http.serve_connection(TokioIo::new(io), service_fn(|request| web.serve(request)));
            // How an HTTP connection ends concerns its client.
            let _ = serve.with_upgrades().await;
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = evicted.cancelled() => {
                let source = *counted.lock().unwrap_or_else(PoisonError::into_inner);
                logged.security.connection_refused(source, "too-many");
            }
            () = serve => {}
        }
    }
}

async fn handshake(tls: Option<TlsAcceptor>, stream: TcpStream) -> Option<Io> {
    match tls {
        None => Some(Either::Right(stream)),
        Some(tls) => tls.accept(stream).await.ok().map(Either::Left),
    }
}

/// Lets the process hold as many connections as the system allows it.
pub fn raise_open_files_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum {
        // Staying at the lower limit only means fewer connections.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}
