//! Takes in who is expected. A stranger costs little, and is told nothing: until a key is known to be expected, iroh is
//! not told of the connection, so that it does not offer this client's addresses on it. QUIC's own traversal may still
//! answer a caller who offers addresses first, with one of this client's, until the caller is turned away.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use bytes::Bytes;
use hobnob_protocol::v1::{self, talk_frame::Body};
use iroh::endpoint::{Incoming, IncomingAddr, SendStream, ServerConfig};
use tokio::time::timeout;

use super::admission::{Caller, REFUSED, Ruling};
use super::board::Origin;
use super::frame::{self, HELLO_BYTES_MAX};
use super::link::Channel;
use super::{Shared, endpoint, files};

/// Takes in, until the endpoint is closed.
pub(super) async fn run(shared: Arc<Shared>) {
    let names = vec![endpoint::ALPN.to_vec(), files::ALPN.to_vec()];
    let config = shared.endpoint.create_server_config_builder(names);
    let config = Arc::new(config.set_transport_config(endpoint::transport(&shared.tuning, 1)).build());
    while let Some(incoming) = shared.endpoint.accept().await {
        let Some(caller) = caller(&incoming) else {
            incoming.ignore();
            continue;
        };
        let ruling = shared.porch().enter(caller, is_awaited(&shared, caller));
        match ruling {
            Ruling::Enter => {
                let place = Place { shared: Arc::clone(&shared), caller };
                shared.spawn(&shared.closing, welcome(place, incoming, Arc::clone(&config)));
            }
            Ruling::Prove => {
                let _ = incoming.retry();
            }
            // An answer would say that this user is there, to whoever has once learned the key or the address.
            Ruling::Refuse => incoming.ignore(),
        }
    }
}

/// The first frame of either side.
pub(super) async fn say_hello(send: &mut SendStream, invite: &Bytes) -> Option<()> {
    let hello = frame::encode(Body::Hello(v1::TalkHello { invite: invite.clone() }))?;
    send.write_all(&hello).await.ok()
}

fn is_awaited(shared: &Shared, caller: Caller) -> bool {
    let board = shared.board.lock();
    match caller {
        Caller::Relayed(key) => shared.files.is_open_to(&key) || board.expects(&key),
        Caller::Direct { .. } => shared.files.is_open() || board.expects_any(),
    }
}

fn caller(incoming: &Incoming) -> Option<Caller> {
    match incoming.remote_addr() {
        IncomingAddr::Ip(address) => {
            Some(Caller::Direct { address: source(address.ip()), proven: incoming.remote_addr_validated() })
        }
        IncomingAddr::Relay { endpoint_id, .. } => Some(Caller::Relayed(*endpoint_id.as_bytes())),
        _ => None,
    }
}

/// What counts as one address: somebody with IPv6 has 2⁶⁴ of them.
pub(crate) fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// A place on the porch, given back when the handshake is over, however it ends.
struct Place {
    shared: Arc<Shared>,
    caller: Caller,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.porch().left(self.caller);
    }
}

async fn welcome(place: Place, incoming: Incoming, config: Arc<ServerConfig>) {
    let shared = &place.shared;
    let Ok(Some((key, invite, channel))) =
        timeout(shared.tuning.handshake, shake_hands(shared, incoming, config)).await
    else {
        tracing::debug!(caller = ?place.caller, "a handshake came to nothing");
        return;
    };
    let _ = channel.raise(shared, &Origin::Accepted { invite: &invite, key: &key }).await;
}

async fn shake_hands(
    shared: &Shared,
    incoming: Incoming,
    config: Arc<ServerConfig>,
) -> Option<([u8; 32], Bytes, Channel)> {
    let early = incoming.accept_with(config).ok()?.into_0rtt();
    // The key is proven when the caller's stream is here: nobody who is expected sends before that.
    let (mut send, mut recv) = early.accept_bi().await.ok()?;
    let proven = early.remote_id().ok().map(|id| *id.as_bytes());
    if early.alpn().is_some_and(|alpn| alpn == files::ALPN) {
        // By what right it calls is in what it says: until that is known, iroh hears of it no more than of a stranger.
        shared.files.called(proven?, early, send, recv);
        return None;
    }
    let Some(key) = proven.filter(|key| shared.board.lock().expects(key)) else {
        early.close(REFUSED, b"");
        return None;
    };
    let connection = early.handshake_completed().await.ok()?;
    let named = match frame::read(&mut recv, HELLO_BYTES_MAX).await {
        Ok(Body::Hello(hello)) => Some(hello.invite),
        _ => None,
    };
    let Some(invite) = named.filter(|invite| shared.board.lock().admits(&key, invite)) else {
        connection.close(REFUSED, b"");
        return None;
    };
    say_hello(&mut send, &invite).await?;
    Some((key, invite, Channel { connection, send, recv }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let check = |address: &str, expected: &str| {
            assert_eq!(source(address.parse().unwrap()), expected.parse::<IpAddr>().unwrap(), "{address}");
        };
        check("192.0.2.7", "192.0.2.7");
        check("::ffff:192.0.2.7", "192.0.2.7");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
    }
}
