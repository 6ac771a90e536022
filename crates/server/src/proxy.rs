//! Proxies before the server: whose word is taken on where a connection comes from.
//!
//! A proxy adds to `X-Forwarded-For` the address from which it was asked. So the list is read from its end, and only as
//! far as those vouch for it who are trusted: what a client wrote there itself stands further to the front.

use std::{net::IpAddr, net::SocketAddr, str::FromStr};

use hyper::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The proxies that are trusted; by default none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Whether the connections of this address are those of others.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Where a request comes from: the last address of `X-Forwarded-For` that is no trusted proxy itself. What is no
    /// address ends the search, with the proxy that let it through.
    #[must_use]
    pub fn source(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let mut hops = lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
        let mut source = peer.to_canonical();
        while self.trusts(source)
            && let Some(hop) = hops.next().and_then(address)
        {
            source = hop;
        }
        source
    }
}

/// An address as proxies write it, some with a port.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let address = bare.parse().ok().or_else(|| hop.parse().ok().map(|hop: SocketAddr| hop.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

impl FromStr for Proxies {
    type Err = String;

    /// `127.0.0.1,::1,10.0.0.0/8`
    fn from_str(text: &str) -> Result<Self, String> {
        let network = |word: &str| {
            let word = word.trim();
            let single = word.parse().map(|address: IpAddr| IpNet::from(address.to_canonical()));
            single.or_else(|_| word.parse()).map_err(|_| {
                "is no list of addresses or networks, write 127.0.0.1,::1 or 10.0.0.0/8".to_owned()
            })
        };
        text.split(',').map(network).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(trusted: &str, peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        trusted.parse::<Proxies>().unwrap().source(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(source("127.0.0.1", "192.0.2.9", &["203.0.113.7"]), "192.0.2.9");
        assert_eq!(source("127.0.0.1", "127.0.0.1", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(source("127.0.0.1", "::ffff:127.0.0.1", &["203.0.113.7"]), "203.0.113.7");
        let nobody = Proxies::default();
        assert!(!nobody.trusts([127, 0, 0, 1].into()));
    }

    #[test]
    fn what_a_client_wrote_itself_is_not_believed() {
        let check = |lines: &[&str], expected: &str| {
            assert_eq!(source("127.0.0.1,10.0.0.0/8", "127.0.0.1", lines), expected, "{lines:?}");
        };
        check(&["6.6.6.6, 203.0.113.7"], "203.0.113.7");
        check(&["6.6.6.6", "203.0.113.7"], "203.0.113.7");
        check(&["6.6.6.6, 203.0.113.7, 10.1.2.3"], "203.0.113.7");
        check(&["6.6.6.6, 127.0.0.1, 203.0.113.7"], "203.0.113.7");
        // Nobody untrusted is named.
        check(&["10.1.2.3"], "10.1.2.3");
        check(&[], "127.0.0.1");
        // What is no address stands for whoever let it through.
        check(&["203.0.113.7, unknown"], "127.0.0.1");
        check(&["unknown, 10.1.2.3"], "10.1.2.3");
        check(&[""], "127.0.0.1");
        check(&["203.0.113.7,"], "127.0.0.1");
    }

    #[test]
    fn addresses_as_proxies_write_them() {
        for (line, expected) in [
            ("203.0.113.7:4711", "203.0.113.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            (" ::ffff:203.0.113.7 ", "203.0.113.7"),
        ] {
            assert_eq!(source("::1", "::1", &[line]), expected, "{line}");
        }
    }

    #[test]
    fn networks_as_they_are_typed() {
        for right in ["127.0.0.1", "127.0.0.1,::1", "10.0.0.0/8, 2001:db8::/32", "::ffff:10.0.0.1"] {
            assert!(right.parse::<Proxies>().is_ok(), "{right}");
        }
        for wrong in ["", ",", "localhost", "10.0.0.0/33", "127.0.0.1,", "10.0.0.1:80", "on"] {
            assert!(wrong.parse::<Proxies>().is_err(), "{wrong}");
        }
        let single: Proxies = "10.0.0.1".parse().unwrap();
        assert!(single.trusts([10, 0, 0, 1].into()) && !single.trusts([10, 0, 0, 2].into()));
    }
}
