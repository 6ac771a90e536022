//! Where a server is.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// The port of an address that names none.
pub const DEFAULT_PORT: u16 = 4000;

/// A server's host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// Whether to connect without TLS.
    pub plain: bool,
}

/// Why something is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No host.
    #[error("the address names no host")]
    NoHost,
    /// Something else than a port after the colon.
    #[error("{0} is not a port")]
    Port(String),
    /// Characters that no host has, or a bracket too many.
    #[error("{0} is not a host")]
    Host(String),
}

impl Address {
    /// Whether it is this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback(),
            Err(_) => self.host == "localhost" || self.host.ends_with(".localhost"),
        }
    }

    /// `localhost` and so on, as a folder is named: one for each server.
    pub(crate) fn folder(&self) -> String {
        format!("{}_{}", crate::folder::escape(&self.host), self.port)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(typed: &str) -> Result<Self, AddressError> {
        let (plain, rest) = match (strip_scheme(typed, "ws://"), strip_scheme(typed, "wss://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => (false, typed),
        };
        let (host, port) = split(rest.strip_suffix('/').unwrap_or(rest))?;
        let port = match port {
            Some(port) => parse_port(port)?,
            None => DEFAULT_PORT,
        };
        Ok(Self { host: check_host(host)?, port, plain })
    }
}

fn strip_scheme<'a>(typed: &'a str, scheme: &str) -> Option<&'a str> {
    let (head, rest) = typed.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// Host and port of `host`, `host:port`, `[v6]`, `[v6]:port` and a bare `v6`.
fn split(text: &str) -> Result<(&str, Option<&str>), AddressError> {
    if let Some(inside) = text.strip_prefix('[') {
        let (host, rest) = inside.split_once(']').ok_or_else(|| AddressError::Host(text.to_owned()))?;
        if host.parse::<Ipv6Addr>().is_err() {
            return Err(AddressError::Host(text.to_owned()));
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(AddressError::Host(text.to_owned())),
        };
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text, None));
    }
    Ok(text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))))
}

fn parse_port(text: &str) -> Result<u16, AddressError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| digits && *port > 0);
    port.ok_or_else(|| AddressError::Port(text.to_owned()))
}

/// A name of letters, digits, `-`, `_` and dots, in lower case; or an IP address in its usual form.
fn check_host(host: &str) -> Result<String, AddressError> {
    if host.is_empty() {
        return Err(AddressError::NoHost);
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(ip.to_string());
    }
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if host.len() > 253 || !host.bytes().all(fine) || host.starts_with(['.', '-']) || host.contains("..") {
        return Err(AddressError::Host(host.to_owned()));
    }
    Ok(host.to_ascii_lowercase())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_type_them() {
        let table = [
            ("localhost", "localhost", 4000, false, "localhost:4000"),
            ("Chat.Example.org:443", "chat.example.org", 443, false, "chat.example.org:443"),
            ("127.0.0.1:1", "127.0.0.1", 1, false, "127.0.0.1:1"),
            ("[::1]:4001", "::1", 4001, false, "[::1]:4001"),
            ("[::1]", "::1", 4000, false, "[::1]:4000"),
            ("2001:DB8::1", "2001:db8::1", 4000, false, "[2001:db8::1]:4000"),
            ("ws://host:65535", "host", 65535, true, "host:65535"),
            ("WS://host/", "host", 4000, true, "host:4000"),
            ("wss://host:4001/", "host", 4001, false, "host:4001"),
        ];
        for (typed, host, port, plain, shown) in table {
            let address: Address = typed.parse().unwrap();
            assert_eq!((address.host.as_str(), address.port, address.plain), (host, port, plain), "{typed}");
            assert_eq!(address.to_string(), shown);
            assert_eq!(shown.parse::<Address>().unwrap(), Address { plain: false, ..address }, "round trip");
        }
    }

    #[test]
    fn what_is_no_address() {
        for typed in [
            "",
            ":4000",
            "host:",
            "host:0",
            "host:65536",
            "host:+1",
            "host:port",
            "[::1",
            "[::1]x",
            "[host]:1",
            "a b",
            "host/path",
            "user@host",
            "..",
            "a..b",
            "http://host",
            "-h",
            "[]:1",
            "ws://",
        ] {
            assert!(typed.parse::<Address>().is_err(), "{typed:?}");
        }
    }

    #[test]
    fn this_machine_is_known() {
        for (host, loopback) in [
            ("localhost", true),
            ("127.9.0.1", true),
            ("::1", true),
            ("10.0.0.1", false),
            ("localhost.org", false),
        ] {
            let address = Address { host: host.to_owned(), port: 1, plain: false };
            assert_eq!(address.is_loopback(), loopback, "{host}");
        }
    }
}
