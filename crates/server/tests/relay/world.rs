//! A server's sockets and relay on loopback, without accounts: whose key is admitted, the tests say.

#![allow(unreachable_pub, reason = "shared with the tests alone")]

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hobnob_server::{
    config::{Policy, RelayPolicy, Tls},
    hub::Hub,
    identity::Identity,
    listen::listen,
    node::{Epoch, Node, RealWorld},
    password::Argon2Pool,
    reader::Reader,
    relay::Relay,
    store::memory::MemoryStore,
    ticket::TicketKey,
    writer,
};
use iroh_base::{RelayUrl, SecretKey};
use iroh_relay::{
    client::{Client, ClientBuilder, ConnectError},
    protos::relay::{ClientToRelayMsg, RelayToClientMsg},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Nothing here takes this long, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the server is to be.
pub struct Setup {
    pub tls: bool,
    pub rate: Option<u32>,
    pub grace: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Self { tls: true, rate: None, grace: Duration::from_secs(3600) }
    }
}

pub struct World {
    pub relay: Arc<Relay>,
    pub address: SocketAddr,
    pub client_tls: rustls::ClientConfig,
    url: RelayUrl,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
    _folder: tempfile::TempDir,
}

impl World {
    pub async fn start(setup: Setup) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), setup)
    }

    pub fn on(listener: TcpListener, setup: Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = make_certificate(&folder);
        let tls = Tls::Files { certificate: certificate.clone(), key };
        let identity = Identity::load(&tls, folder.path()).unwrap();
        let address = listener.local_addr().unwrap();
        let store = MemoryStore::new(Bytes::from_static(b"epoch"));
        let reader = Reader::inline(Arc::new(store.clone()));
        let policy = RelayPolicy { rate: setup.rate };
        let quic = identity.quic.clone();
        let relay = Relay::start(&policy, setup.grace, quic, address, reader.clone()).unwrap();
        let (writer, queue) = writer::queue();
        let (hub, shutdown) = (Arc::new(Hub::default()), CancellationToken::new());
        let node = Arc::new(Node {
            policy: Policy::default().into(),
            server_key: Bytes::from_static(b"server key"),
            reader,
            writer,
            wake: hub.clone(),
            hub,
            passwords: Arc::new(Argon2Pool::new()),
            throttle: Default::default(),
            gate: Default::default(),
            invites: Default::default(),
            shares: Default::default(),
            tickets: TicketKey::new(&[7; 32]),
            relay: Some(relay.clone()),
            security: Default::default(),
            epoch: Arc::new(Epoch::new(Bytes::from_static(b"epoch"))),
            world: Arc::new(RealWorld::default()),
            shutdown: shutdown.clone(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { queue.run_inline(&store, tokio::task::yield_now).await });
        let shown = Identity { tls: identity.tls.filter(|_| setup.tls), ..identity };
        tasks.spawn(listen(node, listener, shown.into(), TaskTracker::new()));
        let scheme = if setup.tls { "https" } else { "http" };
        Self {
            relay,
            address,
            client_tls: trusting(Some(&certificate)),
            url: format!("{scheme}://{address}").parse().unwrap(),
            shutdown,
            tasks,
            _folder: folder,
        }
    }

    /// Connects to the relay with this key.
    pub async fn try_connect(&self, key: &SecretKey) -> Result<Client, ConnectError> {
        in_time(connect(self.url.clone(), key.clone(), self.client_tls.clone())).await
    }

    pub async fn connect(&self, key: &SecretKey) -> Client {
        self.try_connect(key).await.unwrap()
    }

    /// What an HTTP request without TLS is answered with, up to `until` and whatever came along with it.
    pub async fn ask(&self, request: &str, until: &str) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !String::from_utf8_lossy(&answer).contains(until) {
            let mut part = [0; 1024];
            let count = in_time(stream.read(&mut part)).await.unwrap();
            assert!(count > 0, "ended: {}", String::from_utf8_lossy(&answer));
            answer.extend(&part[..count]);
        }
        (stream, String::from_utf8_lossy(&answer).into_owned())
    }

    pub async fn stop(mut self) {
        self.shutdown.cancel();
        self.relay.stop().await;
        self.tasks.shutdown().await;
    }
}

async fn connect(url: RelayUrl, key: SecretKey, tls: rustls::ClientConfig) -> Result<Client, ConnectError> {
    ClientBuilder::new(url, key, Default::default()).tls_client_config(tls).connect().await
}

/// Connects to the relay of a server without TLS.
pub async fn connect_plain(address: SocketAddr, key: SecretKey) -> Result<Client, ConnectError> {
    connect(format!("http://{address}").parse().unwrap(), key, trusting(None)).await
}

/// A certificate that is trusted for the address, not pinned: what it takes to be trusted is not the matter here.
fn make_certificate(folder: &tempfile::TempDir) -> (PathBuf, PathBuf) {
    let (certificate, key) = (folder.path().join("own.pem"), folder.path().join("own-key.pem"));
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (certificate, key)
}

fn trusting(certificate: Option<&PathBuf>) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    if let Some(certificate) = certificate {
        roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth()
}

pub fn key(seed: u8) -> SecretKey {
    SecretKey::from_bytes(&[seed; 32])
}

/// What has to come to an end.
pub async fn in_time<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("this takes too long")
}

/// Waits until something holds.
pub async fn until(mut holds: impl FnMut() -> bool) {
    in_time(async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Sends a packet of that many bytes.
pub async fn send(client: &mut Client, to: &SecretKey, bytes: usize) {
    let datagrams = vec![7_u8; bytes].into();
    let message = ClientToRelayMsg::Datagrams { dst_endpoint_id: to.public(), datagrams };
    in_time(client.send(message)).await.unwrap();
}

/// Receives a packet: who sent it, and how many bytes.
pub async fn receive(client: &mut Client) -> (SecretKey, usize) {
    loop {
        match in_time(client.next()).await.expect("connected").unwrap() {
            RelayToClientMsg::Datagrams { remote_endpoint_id, datagrams } => {
                let sender = (0..=u8::MAX).map(key).find(|key| key.public() == remote_endpoint_id);
                return (sender.unwrap(), datagrams.contents.len());
            }
            RelayToClientMsg::Ping(ping) => client.send(ClientToRelayMsg::Pong(ping)).await.unwrap(),
            _ => {}
        }
    }
}

/// Waits until the connection is gone.
pub async fn gone(client: &mut Client) {
    in_time(async { while let Some(Ok(_)) = client.next().await {} }).await;
}
