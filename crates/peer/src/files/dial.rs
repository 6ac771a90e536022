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
    let other = async { timeout(DIAL_MAX, over_quic(common, route)).await.ok().flatten() };
    the_better(direct, other).await
}

/// What the better way brings, or else what the other does. The other is tried too when the better alone has taken
/// [`TCP_ALONE`]; when it is ready first, it still waits for the better.
async fn the_better<T>(
    better: impl Future<Output = Option<T>>,
    other: impl Future<Output = Option<T>>,
) -> Option<T> {
    tokio::pin!(better, other);
    let reached = tokio::select! {
        reached = &mut better => Some(reached),
        () = sleep(TCP_ALONE) => None,
    };
    let reached = match reached {
        Some(reached) => reached,
        None => tokio::select! {
            reached = &mut better => reached,
            reached = &mut other => return better.await.or(reached),
        },
    };
    match reached {
        Some(reached) => Some(reached),
        None => other.await,
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

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, Instant};

    use super::*;

    async fn after<T>(ms: u64, what: Option<T>) -> Option<T> {
        sleep(Duration::from_millis(ms)).await;
        what
    }

    #[tokio::test(start_paused = true)]
    async fn the_better_way_is_waited_for_and_the_other_is_taken_when_there_is_no_better() {
        for (better, other, expected, ms) in [
            ((10, Some('b')), (0, Some('o')), Some('b'), 10),
            ((700, Some('b')), (0, Some('o')), Some('b'), 700),
            ((700, Some('b')), (9000, Some('o')), Some('b'), 700),
            ((10, None), (500, Some('o')), Some('o'), 510),
            // Nobody answers at its address, and what comes over the relay takes its time.
            ((1500, None), (3000, Some('o')), Some('o'), 3200),
            ((1500, None), (100, Some('o')), Some('o'), 1500),
            ((1500, None), (3000, None), None, 3200),
            ((1500, None), (100, None), None, 1500),
        ] {
            let begun = Instant::now();
            let reached = the_better(after(better.0, better.1), after(other.0, other.1)).await;
            assert_eq!(reached, expected, "{better:?} {other:?}");
            assert_eq!(begun.elapsed().as_millis(), ms, "{better:?} {other:?}");
        }
    }
}
