//! Where others call over TCP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;

/// Listens on a free port of this address, or of all, IPv6 as well where there is any.
pub(super) async fn bind(address: Option<IpAddr>) -> io::Result<(TcpListener, u16)> {
    let listener = match address {
        Some(address) => TcpListener::bind(SocketAddr::new(address, 0)).await?,
        None => match TcpListener::bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0)).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0)).await?,
        },
    };
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

/// The TCP addresses that go with the UDP addresses of a contact: the same machine, this port.
#[must_use]
pub fn addresses(contact: &[String], port: u16) -> Vec<String> {
    let mut addresses: Vec<_> = contact
        .iter()
        .filter_map(|address| address.parse::<SocketAddr>().ok())
        .map(|address| SocketAddr::new(address.ip(), port).to_string())
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}
