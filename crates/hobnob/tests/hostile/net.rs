//! What is below the protocol: TCP, TLS that accepts any certificate, HTTP as bytes.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, LazyLock},
    time::Duration,
};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// What takes longer has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) type Tls = TlsStream<TcpStream>;

/// The address that attacks come from, and another one.
pub(crate) const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
pub(crate) const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Waits, but not for ever.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("no {what} within {DEADLINE:?}"))
}

pub(crate) async fn tcp(server: SocketAddr) -> TcpStream {
    tcp_from(server, HERE, None).await
}

/// Connects from an address, with a receive buffer of so many bytes where it matters.
pub(crate) async fn tcp_from(server: SocketAddr, source: Ipv4Addr, buffer_bytes: Option<u32>) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    if source != HERE {
        socket.bind((source, 0).into()).expect("loopback has more than one address");
    }
    if let Some(bytes) = buffer_bytes {
        socket.set_recv_buffer_size(bytes).expect("a buffer");
    }
    let stream = within("connection", socket.connect(server)).await.expect("the server listens");
    stream.set_nodelay(true).expect("a socket");
    stream
}

pub(crate) async fn tls(server: SocketAddr) -> Tls {
    tls_over(tcp(server).await).await
}

pub(crate) async fn tls_over(stream: TcpStream) -> Tls {
    let name = ServerName::IpAddress(HERE.into());
    within("TLS handshake", CONNECTOR.connect(name, stream)).await.expect("a TLS handshake")
}

/// Everything until the other side ends it, however it does.
pub(crate) async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = async {
        // An end without a good-bye is an end.
        while stream.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {}
    };
    within("end of the connection", read).await;
    bytes
}

static CONNECTOR: LazyLock<TlsConnector> = LazyLock::new(|| {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).expect("it has TLS 1.3");
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAll));
    let mut config = builder.with_no_client_auth();
    config.resumption = Resumption::disabled();
    TlsConnector::from(Arc::new(config))
});

#[derive(Debug)]
struct AcceptAll;

impl ServerCertVerifier for AcceptAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
