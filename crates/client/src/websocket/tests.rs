//! Real sockets on loopback: what is trusted, what is refused, and how a connection ends.

use futures_util::{SinkExt, StreamExt};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::*;
use crate::{file, link};

/// A certificate and a key, which need not belong to each other.
#[derive(Debug)]
struct Identity(Arc<CertifiedKey>);

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn certificate() -> (CertificateDer<'static>, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    (made.cert.der().clone(), made.signing_key.serialize_der())
}

fn fingerprint_of(certificate: &CertificateDer<'_>) -> String {
    let parsed = ParsedCertificate::try_from(certificate).unwrap();
    fingerprint(&file::sha256(&parsed.subject_public_key_info()))
}

fn acceptor(certificate: &CertificateDer<'static>, key: &[u8]) -> TlsAcceptor {
    let provider = rustls::crypto::ring::default_provider();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_vec()));
    let key = provider.key_provider.load_private_key(key).unwrap();
    let identity = Identity(Arc::new(CertifiedKey::new(vec![certificate.clone()], key)));
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(identity));
    TlsAcceptor::from(Arc::new(config))
}

/// Serves one kind of connection until the test is over; the address.
async fn serve(tasks: &mut JoinSet<()>, tls: Option<TlsAcceptor>) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string().parse().unwrap();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            match &tls {
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        echo(stream).await;
                    }
                }
                None => plain(stream).await,
            }
        }
    });
    address
}

/// As an HTTP server does: whoever speaks TLS to it is told so in plain text.
async fn plain(mut stream: TcpStream) {
    let mut first = [0];
    stream.peek(&mut first).await.unwrap();
    if first == *b"G" {
        return echo(stream).await;
    }
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
}

/// Sends back what comes and closes with a reason after the word "bye".
async fn echo<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        if message == Message::Binary("bye".into()) {
            let reason = CloseFrame { code: Close::Replaced.code().into(), reason: "".into() };
            let _ = socket.close(Some(reason)).await;
        } else if message.is_binary() {
            socket.send(Message::Ping(Bytes::new())).await.unwrap();
            socket.send(message).await.unwrap();
        }
    }
}

fn network(address: &Address, data: &Path, pin: Option<&str>) -> Network {
    Network::new(address.clone(), data, pin.map(str::to_owned))
}

async fn talk(connected: Connected) {
    let mut link = connected.link;
    link::send(&mut link, "hello".into()).await.unwrap();
    assert_eq!(link::recv(&mut link).await, Ok(None), "a ping is a sign of life");
    assert_eq!(link::recv(&mut link).await, Ok(Some("hello".into())));
    link::send(&mut link, "bye".into()).await.unwrap();
    assert_eq!(link::recv(&mut link).await, Err(LinkError { close: Some(Close::Replaced) }));
}

#[tokio::test]
async fn a_key_is_pinned_at_first_use_and_demanded_from_then_on() {
    let (mut tasks, data) = (JoinSet::new(), tempfile::tempdir().unwrap());
    let (certificate, key) = certificate();
    let shown = fingerprint_of(&certificate);
    let address = serve(&mut tasks, Some(acceptor(&certificate, &key))).await;
    for first_contact in [Some(shown.clone()), None] {
        let connected = network(&address, data.path(), None).connect().await.unwrap();
        assert_eq!(connected.first_contact, first_contact);
        assert_eq!(connected.key.map(|key| fingerprint(&key)), Some(shown.clone()));
        talk(connected).await;
    }
    let known = std::fs::read_to_string(data.path().join("known_servers")).unwrap();
    assert_eq!(known, format!("{address} {shown}\n"));
    std::fs::write(data.path().join("known_servers"), format!("{address} SHA256:other\n")).unwrap();
    let changed = network(&address, data.path(), None).connect().await.unwrap_err();
    let OpenError::KeyChanged { known, shown: now, .. } = &changed else { panic!("{changed:?}") };
    assert_eq!((known.as_str(), now), ("SHA256:other", &shown));
    assert!(!changed.may_retry());
}

#[tokio::test]
async fn a_demanded_pin_is_the_only_one_that_counts() {
    let (mut tasks, data) = (JoinSet::new(), tempfile::tempdir().unwrap());
    let (certificate, key) = certificate();
    let address = serve(&mut tasks, Some(acceptor(&certificate, &key))).await;
    let right = fingerprint_of(&certificate);
    let wrong = network(&address, data.path(), Some("SHA256:other")).connect().await;
    assert!(matches!(wrong, Err(OpenError::PinMismatch { shown, .. }) if shown == right));
    talk(network(&address, data.path(), Some(&right)).connect().await.unwrap()).await;
    assert!(!data.path().join("known_servers").exists());
}

#[tokio::test]
async fn a_certificate_without_its_key_is_refused() {
    let (mut tasks, data) = (JoinSet::new(), tempfile::tempdir().unwrap());
    let (certificate, _) = certificate();
    let (_, other_key) = self::certificate();
    let address = serve(&mut tasks, Some(acceptor(&certificate, &other_key))).await;
    let pin = fingerprint_of(&certificate);
    for pin in [None, Some(pin.as_str())] {
        let forged = network(&address, data.path(), pin).connect().await;
        assert!(matches!(forged, Err(OpenError::Tls { .. })), "{forged:?}");
    }
    assert!(!data.path().join("known_servers").exists());
}

#[tokio::test]
async fn plain_text_only_where_nobody_can_listen_and_nothing_is_pinned() {
    let (mut tasks, data) = (JoinSet::new(), tempfile::tempdir().unwrap());
    let address = serve(&mut tasks, None).await;
    let connected = network(&address, data.path(), None).connect().await.unwrap();
    assert_eq!((connected.key, &connected.first_contact), (None, &None));
    talk(connected).await;
    let pinned = network(&address, data.path(), Some("SHA256:any")).connect().await;
    assert!(matches!(pinned, Err(OpenError::Unencrypted { .. })), "{pinned:?}");
    std::fs::write(data.path().join("known_servers"), format!("{address} SHA256:known\n")).unwrap();
    let known = network(&address, data.path(), None).connect().await.unwrap_err();
    assert!(!known.may_retry());
    let text = format!(
        "{address} was known with key SHA256:known, and now answers without encryption. \
         Somebody may be posing as it."
    );
    assert_eq!(known.to_string(), text, "no hint at how to do without");
    let plain = Address { plain: true, ..address };
    talk(network(&plain, data.path(), None).connect().await.unwrap()).await;
    let pinned = network(&plain, data.path(), Some("SHA256:any")).connect().await;
    assert!(matches!(pinned, Err(OpenError::NoKey(_))));
}

#[tokio::test]
async fn where_nobody_listens_there_is_no_server() {
    let data = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Address = listener.local_addr().unwrap().to_string().parse().unwrap();
    drop(listener);
    let error = network(&address, data.path(), None).connect().await.unwrap_err();
    assert_eq!(error.to_string(), format!("No server at {address}"));
    assert!(error.may_retry());
}

/// A TLS handshake with whoever listens there, by a verifier of the relay.
async fn handshake_by(
    address: &Address,
    config: &Arc<ClientConfig>,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    let tcp = TcpStream::connect((address.host.as_str(), address.port)).await.unwrap();
    TlsConnector::from(Arc::clone(config)).connect(name, tcp).await
}

#[tokio::test]
async fn the_relay_must_show_the_key_that_the_connection_did() {
    let (mut tasks, data) = (JoinSet::new(), tempfile::tempdir().unwrap());
    let (certificate, key) = certificate();
    let address = serve(&mut tasks, Some(acceptor(&certificate, &key))).await;
    let (other_certificate, other_key) = self::certificate();
    let other = serve(&mut tasks, Some(acceptor(&other_certificate, &other_key))).await;
    let network = network(&address, data.path(), None);
    let connected = network.connect().await.unwrap();
    assert!(connected.tls && connected.key.is_some());
    let shown = connected.key;
    // One connection after the other is served here.
    drop(connected);
    let config = |key| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap().dangerous();
        let verifier = network.verifier(key).unwrap();
        Arc::new(builder.with_custom_certificate_verifier(verifier).with_no_client_auth())
    };
    let pinned = config(shown);
    for _ in 0..3 {
        handshake_by(&address, &pinned).await.expect("the same key");
        // Tickets of the right server open nothing at another.
        assert!(handshake_by(&other, &pinned).await.is_err(), "another key");
    }
    assert!(handshake_by(&address, &config(Some([0; 32]))).await.is_err());
    assert!(handshake_by(&address, &config(None)).await.is_err(), "no root knows it");
}
