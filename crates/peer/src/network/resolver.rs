//! Host names are looked up as the system does it. Nobody else is asked: iroh's own resolver would turn to public
//! servers where the system's do not answer.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::Pin;

use iroh::dns::{BoxIter, DnsError, DnsResolver, Resolver, TxtRecordData};
use n0_error::{AnyError, e};

use super::stand_in;

/// As iroh wants it.
pub(super) fn resolver() -> DnsResolver {
    DnsResolver::custom(SystemResolver)
}

#[derive(Debug)]
struct SystemResolver;

type Lookup<T> = Pin<Box<dyn Future<Output = Result<BoxIter<T>, DnsError>> + Send>>;

impl Resolver for SystemResolver {
    fn lookup_ipv4(&self, host: String) -> Lookup<Ipv4Addr> {
        Box::pin(lookup(host, |address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }))
    }

    fn lookup_ipv6(&self, host: String) -> Lookup<Ipv6Addr> {
        Box::pin(lookup(host, |address| match address {
            IpAddr::V6(address) => Some(address),
            IpAddr::V4(_) => None,
        }))
    }

    fn lookup_txt(&self, _host: String) -> Lookup<TxtRecordData> {
        Box::pin(async { Err(e!(DnsError::NoResponse)) })
    }

    fn clear_cache(&self) {}

    fn reset(&self) -> Box<dyn Resolver> {
        Box::new(Self)
    }
}

async fn lookup<T: Send + 'static>(
    host: String,
    of_kind: fn(IpAddr) -> Option<T>,
) -> Result<BoxIter<T>, DnsError> {
    let found: Vec<T> = match stand_in::address(&host) {
        Some(address) => of_kind(address.into()).into_iter().collect(),
        None => {
            let found = tokio::net::lookup_host((host, 0)).await.map_err(AnyError::from_std)?;
            found.filter_map(|address| of_kind(address.ip())).collect()
        }
    };
    if found.is_empty() { Err(e!(DnsError::NoResponse)) } else { Ok(Box::new(found.into_iter())) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn localhost_is_found_and_text_is_not() {
        let resolver = resolver();
        let found: Vec<_> =
            resolver.lookup_ipv4("localhost", Duration::from_secs(5)).await.unwrap().collect();
        assert!(found.iter().all(|address| address.is_loopback()) && !found.is_empty(), "{found:?}");
        let address = std::net::Ipv6Addr::LOCALHOST;
        let name = stand_in::name(address);
        let found: Vec<_> = resolver.lookup_ipv6(&name, Duration::from_secs(5)).await.unwrap().collect();
        assert_eq!(found, [address]);
        assert!(resolver.lookup_ipv4(&name, Duration::from_secs(5)).await.is_err());
        assert!(resolver.lookup_txt("localhost", Duration::from_secs(5)).await.is_err());
    }
}
