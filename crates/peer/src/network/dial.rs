//! Makes a link: one attempt, bounded in time.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hobnob_protocol::limits::CONTACT_ADDRESSES_MAX;
use hobnob_protocol::v1::{self, talk_frame::Body};
use iroh::endpoint::ConnectOptions;
use iroh::{EndpointAddr, PublicKey, TransportAddr};
use tokio::time::timeout;

use super::accept::say_hello;
use super::admission::REFUSED;
use super::board::{Attempt, Origin};
use super::frame::{self, HELLO_BYTES_MAX};
use super::link::Channel;
use super::{Shared, endpoint};

/// Longest exchange of greetings on a connection that is there.
const GREETING_MAX: Duration = Duration::from_secs(3);

/// Tries, and tells how it went, as long as the attempt is wanted. Greetings of one talk are exchanged one after the
/// other, and each to its end: once the other is greeted it may have a link, and would take its end for that of the talk.
pub(super) async fn run(shared: Arc<Shared>, attempt: Attempt, contact: v1::Contact) {
    let reach = async {
        let reached = timeout(shared.tuning.dial, reach(&shared, &attempt, &contact)).await.ok().flatten()?;
        let turn = Arc::clone(&attempt.turn).acquire_owned().await.ok()?;
        Some((reached, turn))
    };
    let Some(reached) = attempt.cut.run_until_cancelled(reach).await else { return };
    if attempt.cut.is_cancelled() {
        return;
    }
    if let Some((channel, _turn)) = reached
        && let Ok(Some(channel)) = timeout(GREETING_MAX, greet(channel, &attempt)).await
        && channel.raise(&shared, &Origin::Dialled(&attempt)).await
    {
        return;
    }
    if let Some(permit) = shared.permit().await {
        shared.board.lock().failed(&attempt, permit);
    }
}

async fn reach(shared: &Shared, attempt: &Attempt, contact: &v1::Contact) -> Option<Channel> {
    let to = whereabouts(shared, &attempt.key, contact)?;
    let options = ConnectOptions::new().with_transport_config(endpoint::transport(&shared.tuning, 0));
    let connecting = shared.endpoint.connect_with_opts(to, endpoint::ALPN, options).await;
    let connecting =
        connecting.inspect_err(|error| tracing::debug!(%error, "a dial came to nothing")).ok()?;
    let connection = connecting.await.inspect_err(|error| tracing::debug!(%error, "a dial failed")).ok()?;
    let (send, recv) = connection.open_bi().await.ok()?;
    Some(Channel { connection, send, recv })
}

async fn greet(mut channel: Channel, attempt: &Attempt) -> Option<Channel> {
    say_hello(&mut channel.send, &attempt.invite).await?;
    match frame::read(&mut channel.recv, HELLO_BYTES_MAX).await {
        Ok(Body::Hello(hello)) if hello.invite == attempt.invite => Some(channel),
        _ => {
            channel.connection.close(REFUSED, b"");
            None
        }
    }
}

/// Where to look for the other; `None`: nowhere yet.
pub(super) fn whereabouts(shared: &Shared, key: &[u8; 32], contact: &v1::Contact) -> Option<EndpointAddr> {
    let key = PublicKey::from_bytes(key).ok()?;
    let relay = shared.relay.clone().filter(|_| contact.relay).map(TransportAddr::Relay);
    let direct = addresses(contact).filter(|_| !shared.relay_only).map(TransportAddr::Ip);
    let to = EndpointAddr::from_parts(key, relay.into_iter().chain(direct));
    (!to.is_empty()).then_some(to)
}

/// The addresses of a contact to which something can be sent, 16 at most.
fn addresses(contact: &v1::Contact) -> impl Iterator<Item = SocketAddr> {
    contact
        .addresses
        .iter()
        .take(CONTACT_ADDRESSES_MAX)
        .filter_map(|address| address.parse().ok())
        .filter(is_somebodys)
}

/// Whether something can be sent there.
#[must_use]
pub fn is_somebodys(address: &SocketAddr) -> bool {
    let nobodys = match address.ip().to_canonical() {
        IpAddr::V4(ip) => ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_multicast(),
    };
    !nobodys && address.port() != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_somebodys_address_is_dialled() {
        let told = [
            "192.0.2.7:4000",
            "[2001:db8::7]:1",
            "0.0.0.0:1",
            "255.255.255.255:1",
            "224.0.0.1:1",
            "[ff02::1]:1",
            "192.0.2.7:0",
            "192.0.2.7",
            "example.org:1",
            "",
        ];
        let contact =
            v1::Contact { addresses: told.map(str::to_owned).to_vec(), relay: false, tcp: Vec::new() };
        let expected: Vec<SocketAddr> = told[..2].iter().map(|address| address.parse().unwrap()).collect();
        assert_eq!(addresses(&contact).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn no_more_than_sixteen_are_dialled() {
        let addresses_told = (1..100).map(|port| format!("192.0.2.7:{port}")).collect();
        let contact = v1::Contact { addresses: addresses_told, relay: false, tcp: Vec::new() };
        assert_eq!(addresses(&contact).count(), CONTACT_ADDRESSES_MAX);
    }
}
