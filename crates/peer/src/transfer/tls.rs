//! TLS 1.3 over TCP with the devices' own keys as raw public keys (RFC 7250): no certificate, no name, no date. Each
//! side learns the other's key from the handshake, and one of them demands a certain one.

use std::io;
use std::sync::Arc;

use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls::{
    CertificateError, CipherSuite, ClientConfig, DigitallySignedStruct, DistinguishedName, Error,
    ServerConfig, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::{
        AlwaysResolvesServerRawPublicKeys,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
    version::TLS13,
};
use tokio::io::BufReader;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::{BLOCK_BYTES, FRAME_ROOM, Stream};

/// What stands before the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410).
const PUBLIC_KEY_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// The same before the seed in PKCS #8.
const PRIVATE_KEY_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A device's key, for both roles.
#[derive(Clone, Debug)]
pub struct TlsKey {
    provider: Arc<CryptoProvider>,
    certified: Arc<CertifiedKey>,
}

impl TlsKey {
    /// From the seed of the device's key.
    ///
    /// # Errors
    /// Never for a seed of 32 bytes, as far as is known.
    pub fn new(seed: &[u8; 32]) -> Result<Self, Error> {
        let public = Ed25519KeyPair::from_seed_unchecked(seed)
            .map_err(|_| Error::General("the seed is no key".to_owned()))?;
        let private = PrivatePkcs8KeyDer::from([&PRIVATE_KEY_PREFIX[..], seed].concat());
        let signer = rustls::crypto::ring::sign::any_eddsa_type(&private)?;
        let public = [&PUBLIC_KEY_PREFIX[..], public.public_key().as_ref()].concat();
        let certified = CertifiedKey::new(vec![CertificateDer::from(public)], signer);
        let mut provider = rustls::crypto::ring::default_provider();
        // The quickest first where processors have AES.
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        let provider = Arc::new(provider);
        Ok(Self { provider, certified: Arc::new(certified) })
    }

    /// For a connection to whoever holds `key`.
    ///
    /// # Errors
    /// The provider does not know TLS 1.3.
    pub fn client(&self, key: [u8; 32]) -> Result<ClientConfig, Error> {
        let verifier = Arc::new(Verifier::new(&self.provider, Some(key)));
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(
                &self.certified,
            ))));
        // A resumed handshake would not prove the key again.
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        Ok(config)
    }

    /// For connections of anybody with an Ed25519 key; [`peer_key`] says which.
    ///
    /// # Errors
    /// The provider does not know TLS 1.3.
    pub fn server(&self) -> Result<ServerConfig, Error> {
        let verifier = Arc::new(Verifier::new(&self.provider, None));
        let resolver = AlwaysResolvesServerRawPublicKeys::new(Arc::clone(&self.certified));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(resolver));
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(config)
    }
}

/// The key that the other side has proven.
#[must_use]
pub fn peer_key(certificates: Option<&[CertificateDer<'_>]>) -> Option<[u8; 32]> {
    match certificates {
        Some([only]) => ed25519(only),
        _ => None,
    }
}

/// The name in a handshake that has none.
#[must_use]
pub fn server_name() -> ServerName<'static> {
    ServerName::try_from("hobnob").expect("a word is a name")
}

/// Calls whoever holds the key of the configuration. For the side that takes: the stream is read in large blocks.
///
/// # Errors
/// The handshake failed.
pub async fn connect<S: Stream>(
    config: Arc<ClientConfig>,
    socket: S,
) -> io::Result<client::TlsStream<BufReader<S>>> {
    // rustls reads 4 KiB at a time, however much there is.
    let socket = BufReader::with_capacity(BLOCK_BYTES, socket);
    TlsConnector::from(config).connect(server_name(), socket).await
}

/// Answers a call; [`peer_key`] says whose it was. For the side that gives: the stream is written in large blocks.
///
/// # Errors
/// The handshake failed.
pub async fn accept<S: Stream>(config: Arc<ServerConfig>, socket: S) -> io::Result<server::TlsStream<S>> {
    let mut stream = TlsAcceptor::from(config).accept(socket).await?;
    // A block is encrypted at once, and handed to the system at once.
    stream.get_mut().1.set_buffer_limit(Some(FRAME_ROOM + BLOCK_BYTES));
    Ok(stream)
}

fn ed25519(public_key: &[u8]) -> Option<[u8; 32]> {
    public_key.strip_prefix(&PUBLIC_KEY_PREFIX)?.try_into().ok()
}

/// Accepts one key, or every Ed25519 key.
#[derive(Debug)]
struct Verifier {
    expected: Option<[u8; 32]>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn new(provider: &CryptoProvider, expected: Option<[u8; 32]>) -> Self {
        Self { expected, algorithms: provider.signature_verification_algorithms }
    }

    fn check(&self, public_key: &[u8]) -> Result<(), Error> {
        match ed25519(public_key) {
            Some(key) if self.expected.is_none_or(|expected| expected == key) => Ok(()),
            _ => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn signed(
        &self,
        message: &[u8],
        public_key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(public_key.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }
}

/// There is no TLS 1.2 here, and it has no raw public keys.
fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::PeerIncompatible(rustls::PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        public_key: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(public_key).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _public_key: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        public_key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(message, public_key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        public_key: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(public_key).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _public_key: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        public_key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(message, public_key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn public(seed: &[u8; 32]) -> [u8; 32] {
        Ed25519KeyPair::from_seed_unchecked(seed).unwrap().public_key().as_ref().try_into().unwrap()
    }

    /// A client that demands `demanded` of a server with seed 2: the key the server saw, if it worked.
    async fn handshake(demanded: [u8; 32]) -> Option<[u8; 32]> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let client = TlsKey::new(&[1; 32]).unwrap().client(demanded).unwrap();
        let server = TlsKey::new(&[2; 32]).unwrap().server().unwrap();
        let dial = async {
            let mut stream = connect(Arc::new(client), near).await.ok()?;
            stream.write_all(b"hello").await.ok()?;
            stream.shutdown().await.ok()
        };
        let accept = async {
            let mut stream = accept(Arc::new(server), far).await.ok()?;
            let mut said = String::new();
            stream.read_to_string(&mut said).await.ok()?;
            assert_eq!(said, "hello");
            peer_key(stream.get_ref().1.peer_certificates())
        };
        let (dialled, seen) = tokio::join!(dial, accept);
        dialled.and(seen)
    }

    #[tokio::test]
    async fn each_side_proves_its_key() {
        assert_eq!(handshake(public(&[2; 32])).await, Some(public(&[1; 32])));
    }

    #[tokio::test]
    async fn another_key_than_the_one_demanded_is_refused() {
        assert_eq!(handshake(public(&[3; 32])).await, None);
    }

    #[test]
    fn only_ed25519_keys_are_keys() {
        assert_eq!(peer_key(None), None);
        assert_eq!(peer_key(Some(&[CertificateDer::from(vec![0x30; 44])])), None);
        let key = CertificateDer::from([&PUBLIC_KEY_PREFIX[..], &[7; 32]].concat());
        assert_eq!(peer_key(Some(std::slice::from_ref(&key))), Some([7; 32]));
        assert_eq!(peer_key(Some(&[key.clone(), key])), None);
    }
}
