//! A server that is reached by its IPv6 address, over TLS. iroh-relay (1.4.1, `client/tls.rs`) takes whom a certificate must
//! be for from the URL as it is written, in brackets, which is neither a name nor an address, and does not connect. So
//! the URL holds a name that stands for the address: it is looked up as that, and whoever judges a certificate is told
//! the address again.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

/// Nobody has a name that ends so (RFC 6761, section 6.4).
const SUFFIX: &str = ".ipv6.invalid";
/// Hexadecimal digits of an address.
const DIGITS: usize = 32;

/// The name that stands for an address.
pub(super) fn name(address: Ipv6Addr) -> String {
    format!("{:0DIGITS$x}{SUFFIX}", address.to_bits())
}

/// The address that a name stands for, if it is one of ours.
pub(super) fn address(name: &str) -> Option<Ipv6Addr> {
    let digits = name.strip_suffix(SUFFIX).filter(|digits| digits.len() == DIGITS)?;
    u128::from_str_radix(digits, 16).ok().map(Ipv6Addr::from_bits)
}

/// The host of a relay's URL as a person knows it.
pub(super) fn shown(host: &str) -> String {
    address(host).map_or_else(|| host.to_owned(), |address| format!("[{address}]"))
}

/// Asks another about certificates, and about an address where the name stands for one.
#[derive(Debug)]
pub(super) struct ByAddress(pub(super) Arc<dyn ServerCertVerifier>);

impl ServerCertVerifier for ByAddress {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let address = match server_name {
            ServerName::DnsName(name) => address(name.as_ref()),
            _ => None,
        };
        let meant = address.map(|address| ServerName::from(IpAddr::V6(address)));
        let meant = meant.as_ref().unwrap_or(server_name);
        self.0.verify_server_cert(end_entity, intermediates, meant, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.0.requires_raw_public_keys()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.0.root_hint_subjects()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_name_stands_for_one_address() {
        let written = "2001:db8::7".parse().unwrap();
        assert_eq!(name(written), "20010db8000000000000000000000007.ipv6.invalid");
        for text in ["::", "::1", "2001:db8::7", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
            let written: Ipv6Addr = text.parse().unwrap();
            assert_eq!(address(&name(written)), Some(written));
            assert_eq!(shown(&name(written)), format!("[{text}]"));
            assert!(ServerName::try_from(name(written)).is_ok());
        }
        for other in ["example.org", "ipv6.invalid", "1.ipv6.invalid", "[::1]", "192.0.2.7"] {
            assert_eq!((address(other), shown(other)), (None, other.to_owned()));
        }
    }

    /// Says by its error what it was asked about.
    #[derive(Debug)]
    struct Asked;

    impl ServerCertVerifier for Asked {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            name: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Err(Error::General(name.to_str().into_owned()))
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::DecryptError)
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::DecryptError)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }
    }

    #[test]
    fn a_certificate_is_judged_for_the_address() {
        let verifier = ByAddress(Arc::new(Asked));
        let asked = |name: &str| {
            let name = ServerName::try_from(name.to_owned()).unwrap();
            let now = UnixTime::since_unix_epoch(Duration::ZERO);
            verifier.verify_server_cert(&CertificateDer::from(vec![0]), &[], &name, &[], now).unwrap_err()
        };
        let about = |name: &str| Error::General(name.to_owned());
        assert_eq!(asked("20010db8000000000000000000000007.ipv6.invalid"), about("2001:db8::7"));
        assert_eq!(asked("chat.example.org"), about("chat.example.org"));
        assert_eq!(asked("192.0.2.7"), about("192.0.2.7"));
        assert_eq!(verifier.supported_verify_schemes(), [SignatureScheme::ED25519]);
    }
}
