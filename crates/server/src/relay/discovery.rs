//! QUIC address discovery: tells a client from which address its UDP comes, which is what others have to know to
//! reach it directly. Open to everyone, hence bounded; a connection carries nothing.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hobnob_protocol::limits::HANDSHAKE_TIMEOUT;
use iroh_relay::quic::{QUIC_ADDR_DISC_CLOSE_CODE, QUIC_ADDR_DISC_CLOSE_REASON};
use noq::{Endpoint, Incoming, ServerConfig, crypto::rustls::QuicServerConfig};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::throttle::{Throttle, Waiting};

/// Connections at once; above it nobody is let in.
const CONNECTIONS_MAX: usize = 8192;
/// Connections at once above which a client has to prove its address first, so that nobody fills the places in the
/// name of others.
const CONNECTIONS_UNPROVEN: usize = 256;
/// Handshakes that wait to be accepted.
const INCOMING_MAX: usize = 256;
/// Bytes that those may hold.
const INCOMING_BYTES_MAX: u64 = 1 << 20;

/// How long good-byes may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(250);

/// Binds the UDP port. Within a runtime, which watches it from then on.
pub(super) fn bind(tls: Arc<rustls::ServerConfig>, address: SocketAddr) -> io::Result<Endpoint> {
    Endpoint::server(config(tls)?, address)
}

/// What connections begin with.
pub(super) fn config(tls: Arc<rustls::ServerConfig>) -> io::Result<ServerConfig> {
    let tls = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
    let mut config = ServerConfig::with_crypto(Arc::new(tls));
    config.max_incoming(INCOMING_MAX);
    config.incoming_buffer_size(INCOMING_BYTES_MAX / INCOMING_MAX as u64);
    config.incoming_buffer_size_total(INCOMING_BYTES_MAX);
    let mut transport = noq::TransportConfig::default();
    transport.max_concurrent_uni_streams(0_u8.into()).max_concurrent_bidi_streams(0_u8.into());
    transport.datagram_receive_buffer_size(None).send_observed_address_reports(true);
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// Serves until `stop`, then closes what is open.
pub(super) async fn serve(endpoint: Endpoint, stop: CancellationToken) {
    let throttle = Throttle::default();
    let mut connections = JoinSet::new();
    loop {
        let incoming = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { break };
        if connections.len() >= CONNECTIONS_MAX {
            incoming.refuse();
        } else if connections.len() >= CONNECTIONS_UNPROVEN && !incoming.remote_address_validated() {
            // Who answers it comes back proven.
            let _ = incoming.retry();
        } else {
            // The source's oldest connection makes room where it has too many.
            let waiting = throttle.wait(incoming.remote_address().ip().into());
            connections.spawn(attend(incoming, waiting));
        }
    }
    endpoint.close(QUIC_ADDR_DISC_CLOSE_CODE, QUIC_ADDR_DISC_CLOSE_REASON);
    while connections.join_next().await.is_some() {}
    // The good-byes go out; who does not answer them is not waited for.
    let _ = timeout(GOODBYE_TIMEOUT, endpoint.wait_idle()).await;
}

/// Keeps a connection: the reports of its address go out by themselves, also when it changes.
async fn attend(incoming: Incoming, waiting: Waiting) {
    let Ok(Ok(connection)) = timeout(HANDSHAKE_TIMEOUT, incoming).await else { return };
    tokio::select! {
        _ = connection.closed() => {}
        () = waiting.evicted.cancelled() => {
            connection.close(QUIC_ADDR_DISC_CLOSE_CODE, QUIC_ADDR_DISC_CLOSE_REASON);
        }
    }
}
