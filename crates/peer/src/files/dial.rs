//! Reaches a source: over TCP where it can be reached directly, over QUIC otherwise, directly or over the relay.

use std::net::SocketAddr;
use std::sync::Arc;

use hobnob_protocol::v1;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Common;
use super::door::Conn;
use super::limits::{DIAL_MAX, TCP_ADDRESSES_MAX, TCP_ALONE, TCP_MAX};
use crate::network::FileStream;
use crate::transfer::tls;

/// Where a source is.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) key: [u8; 32],
    pub(super) tcp: Vec<SocketAddr>,
    pub(super) contact: v1::Contact,
}

impl Route {
    /// As the server tells it; `None`: it has no key.
    pub(super) fn of_source(source: &v1::Source) -> Option<Self> {
        let key = source.key.as_ref().try_into().ok()?;
        let tcp = source.tcp.iter().filter_map(|address| address.parse().ok());
        let tcp = tcp.filter(crate::network::is_somebodys).take(TCP_ADDRESSES_MAX).collect();
        let contact =
            v1::Contact { addresses: source.addresses.clone(), relay: source.relay, ..Default::default() };
        Some(Self { key, tcp, contact })
    }
}

/// A source that was reached.
pub(super) struct Reached {
    pub(super) conn: Conn,
    /// The connection, if it is one of QUIC: it may change between relayed and direct.
    pub(super) stream: Option<FileStream>,
}

/// Tries all ways, TCP first: it costs half of what QUIC costs. `None`: there is none.
pub(super) async fn dial(common: &Arc<Common>, route: &Route) -> Option<Reached> {
    let direct = async {
        let conn = timeout(TCP_MAX, over_tcp(common, route)).await.ok().flatten()?;
        Some(Reached { conn, stream: None })
    };
    let other = timeout(DIAL_MAX, over_quic(common, route));
    tokio::pin!(direct, other);
    tokio::select! {
        reached = &mut direct => return match reached {
            Some(reached) => Some(reached),
            None => other.await.ok().flatten(),
        },
        () = sleep(TCP_ALONE) => {}
    }
    tokio::select! {
        Some(reached) = &mut direct => Some(reached),
        // What is ready first waits for what is better.
        reached = &mut other => match direct.await {
            Some(direct) => Some(direct),
            None => reached.ok().flatten(),
        },
    }
}

/// The first of its addresses where somebody proves the key.
async fn over_tcp(common: &Arc<Common>, route: &Route) -> Option<Conn> {
    // Whoever shows no address cannot call directly.
    if common.relay_only {
        return None;
    }
    let config = Arc::new(common.tls.client(route.key).ok()?);
    let mut attempts = JoinSet::new();
    for address in route.tcp.clone() {
        let config = Arc::clone(&config);
        attempts.spawn(async move {
            let socket = TcpStream::connect(address).await.ok()?;
            socket.set_nodelay(true).ok()?;
            let stream = tls::connect(config, socket).await.ok()?;
            Some(Box::new(stream) as Conn)
        });
    }
    while let Some(attempt) = attempts.join_next().await {
        if let Ok(Some(conn)) = attempt {
            return Some(conn);
        }
    }
    None
}

async fn over_quic(common: &Common, route: &Route) -> Option<Reached> {
    let port = common.port()?;
    let mut stream = port.dial(route.key, &route.contact).await?;
    let conn = Box::new(stream.take_io()?);
    Some(Reached { conn, stream: Some(stream) })
}
