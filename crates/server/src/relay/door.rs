//! A connection to the relay until it is known whose it is: the upgrade, the proof of the key, and whether the key is
//! admitted.

use std::{net::IpAddr, sync::Arc, time::Duration};

use hobnob_protocol::limits::HANDSHAKE_TIMEOUT;
use hyper::{
    HeaderMap,
    header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL},
    upgrade::OnUpgrade,
};
use iroh_relay::{
    http::{CLIENT_AUTH_HEADER, ProtocolVersion},
    protos::handshake,
    server::{Access, OnDisconnectGuard, client::Config, streams::RelayedStream},
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    admitted::Key,
    socket::{self, RelaySocket},
    user::User,
};
use crate::{throttle::Waiting, web};

/// How long a key that is not admitted waits for its answer. A refused client comes again at once and for ever, so
/// this slows it down; and one whose session is just being resumed need not come twice.
const REFUSAL_DELAY: Duration = Duration::from_secs(1);
/// Packets that wait for one connection to take them; more are dropped, as on any network.
const QUEUE_PACKETS: usize = 128;

/// A client that wants to use the relay, and what its request said.
pub(crate) struct Visitor {
    version: ProtocolVersion,
    /// Proof of the key over the TLS session; spares a round trip.
    proof: Option<HeaderValue>,
    address: IpAddr,
    waiting: Waiting,
}

/// The newest version of the relay's protocol that a request offers and this relay speaks.
pub(crate) fn version(headers: &HeaderMap) -> Option<ProtocolVersion> {
    let offered = headers.get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    offered.split(',').filter_map(|version| ProtocolVersion::match_from_str(version.trim())).max()
}

impl Visitor {
    /// Who comes with these headers, and counts as `waiting` until its key is proven.
    pub(crate) fn new(
        headers: &HeaderMap,
        version: ProtocolVersion,
        address: IpAddr,
        waiting: Waiting,
    ) -> Self {
        Self { version, proof: headers.get(CLIENT_AUTH_HEADER).cloned(), address, waiting }
    }
}

/// Receives a client: it is connected to the relay afterwards, or gone.
pub(super) async fn receive(
    shared: Arc<Shared>,
    upgraded: OnUpgrade,
    visitor: Visitor,
    stop: CancellationToken,
) {
    let Visitor { version, proof, address, waiting } = visitor;
    let enter = timeout(HANDSHAKE_TIMEOUT, enter(&shared, upgraded, proof, address));
    let entered = tokio::select! {
        biased;
        () = stop.cancelled() => return,
        () = waiting.evicted.cancelled() => return,
        entered = enter => entered,
    };
    if let Ok(Some(entered)) = entered {
        drop(waiting);
        register(&shared, entered, version);
    }
}

/// A client whose key is proven and admitted.
struct Entered {
    socket: RelaySocket,
    key: Key,
    guard: OnDisconnectGuard,
    user: Arc<User>,
}

async fn enter(
    shared: &Shared,
    upgraded: OnUpgrade,
    proof: Option<HeaderValue>,
    address: IpAddr,
) -> Option<Entered> {
    let socket = web::web_socket(upgraded, socket::config(), socket::adopt).await?;
    let mut socket = RelaySocket::new(socket);
    // How a handshake fails concerns its client.
    let proven = handshake::serverside(&mut socket, proof).await.ok()?;
    let client = proven.client_key;
    let key = *client.as_bytes();
    if shared.user(&key).is_none() {
        sleep(REFUSAL_DELAY).await;
    }
    let Some(user) = shared.user(&key) else {
        shared.refused(address, &client.fmt_short());
        let reason = Some("no session of this server has this key".to_owned());
        let _ = proven.authorize_if(Access::Deny { reason }, &mut socket).await;
        return None;
    };
    shared.learn_name(&user).await;
    proven.authorize_if(Access::Allow, &mut socket).await.ok()?;
    Some(Entered { socket, key, guard: OnDisconnectGuard::empty(client), user })
}

/// From here on the relay's own task serves the connection.
fn register(shared: &Shared, entered: Entered, version: ProtocolVersion) {
    let Entered { mut socket, key, guard, user } = entered;
    let (client, connection) = (guard.endpoint_id(), guard.connection_id());
    let oldest = user.open(key, connection);
    socket.meter(user, connection);
    let stream = RelayedStream::new(socket, shared.key_cache.clone());
    let mut config = Config::new(guard, stream, version);
    config.channel_capacity = QUEUE_PACKETS;
    shared.clients.register(config, shared.metrics.clone());
    if oldest.is_some() {
        shared.clients.disconnect(client, oldest);
    }
    // It may have been put out since it was asked for: whoever did that has looked for connections before or after
    // this one was registered.
    if shared.user(&key).is_none() {
        shared.clients.disconnect(client, Some(connection));
    }
}
