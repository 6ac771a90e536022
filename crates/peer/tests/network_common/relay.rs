//! A relay for tests, with its own certificate and its own list of whom it admits.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hobnob_peer::network::Relay;
use iroh_relay::server::{
    Access, AccessControl, CertConfig, ClientRequest, QuicConfig, RelayConfig, Server, ServerConfig,
    TlsConfig,
};
use rustls::DigitallySignedStruct;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use tokio::time::timeout;

use super::SOON;

pub(crate) struct TestRelay {
    server: Server,
    tls: Arc<rustls::ServerConfig>,
    pin: Arc<Pin>,
    https: SocketAddr,
    http: SocketAddr,
    discovery: SocketAddr,
    denied: Arc<Mutex<BTreeSet<[u8; 32]>>>,
}

impl TestRelay {
    pub(crate) async fn start() -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into()).await
    }

    pub(crate) async fn start_at(address: IpAddr) -> Self {
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("valid");
        let certificate = certified.cert.der().clone();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
        let provider = Arc::new(ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("the key is the certificate's");
        let pin = Arc::new(Pin { certificate, provider });
        let any = SocketAddr::from((address, 0));
        let (tls, denied) = (Arc::new(tls), Arc::default());
        let server = serve(&tls, &denied, [any; 2], Some(any)).await;
        let https = server.https_addr().expect("it has one");
        let http = server.http_addr().expect("it has one");
        let discovery = server.quic_addr().expect("it has one");
        Self { server, tls, pin, https, http, discovery, denied }
    }

    /// The same relay, as if its process had been started again; its address discovery is gone.
    pub(crate) async fn restart(self) -> Self {
        let Self { server, tls, pin, https, http, discovery, denied } = self;
        server.shutdown().await.expect("it stops");
        let server = serve(&tls, &denied, [https, http], None).await;
        Self { server, tls, pin, https, http, discovery, denied }
    }

    pub(crate) async fn stop(self) {
        self.server.shutdown().await.expect("it stops");
    }

    pub(crate) fn deny(&self, key: [u8; 32]) {
        self.denied.lock().expect("nobody panics").insert(key);
    }

    /// How a client reaches it, with address discovery.
    pub(crate) fn reach(&self) -> Relay {
        Relay { discovery_port: self.discovery.port(), ..self.without_discovery() }
    }

    pub(crate) fn without_discovery(&self) -> Relay {
        let verifier = Arc::clone(&self.pin) as Arc<dyn ServerCertVerifier>;
        Relay {
            host: self.https.ip().to_string(),
            port: self.https.port(),
            tls: true,
            discovery_port: 0,
            verifier,
        }
    }
}

/// Waits until the ports are free: the connections of one that was stopped hold them a little longer.
async fn serve(
    tls: &Arc<rustls::ServerConfig>,
    denied: &Arc<Mutex<BTreeSet<[u8; 32]>>>,
    [https, http]: [SocketAddr; 2],
    discovery: Option<SocketAddr>,
) -> Server {
    let serve = async {
        let mut attempts = tokio::time::interval(Duration::from_millis(20));
        loop {
            attempts.tick().await;
            let mut relay = RelayConfig::new(http);
            relay.tls = Some(TlsConfig::new(https, CertConfig::Manual { server_config: (**tls).clone() }));
            relay.access = Arc::new(AllBut(Arc::clone(denied)));
            let mut config = ServerConfig::default();
            config.relay = Some(relay);
            config.quic = discovery.map(QuicConfig::new);
            if let Ok(server) = Server::spawn(config).await {
                return server;
            }
        }
    };
    timeout(SOON, serve).await.expect("it starts")
}

#[derive(Debug)]
struct AllBut(Arc<Mutex<BTreeSet<[u8; 32]>>>);

impl AccessControl for AllBut {
    async fn on_connect(&self, request: &ClientRequest) -> Access {
        let denied = self.0.lock().expect("nobody panics").contains(request.endpoint_id().as_bytes());
        if denied { Access::Deny { reason: None } } else { Access::Allow }
    }
}

/// Believes this certificate and no other.
#[derive(Debug)]
struct Pin {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General("another certificate".to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
