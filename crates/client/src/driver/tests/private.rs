//! What private talk needs of a session.

use rustls::client::danger::ServerCertVerifier;

use super::*;

fn contact(port: u16) -> v1::Contact {
    v1::Contact { addresses: vec![format!("127.0.0.1:{port}")], relay: false, tcp: Vec::new() }
}

#[tokio::test(start_paused = true)]
async fn where_the_client_is_and_that_it_is_used_is_told_and_told_again() {
    let mut stage = Stage::new();
    let (client, mut events, mut peer) = stage.log_in(false).await;
    client.contact(contact(1));
    assert_eq!(peer.body().await, client_frame::Body::Contact(contact(1)));
    client.active();
    assert_eq!(peer.body().await, client_frame::Body::Alive(v1::Alive {}));
    client.contact(contact(2));
    client.contact(contact(3));
    for _ in 0..1000 {
        client.active();
    }
    assert_eq!(peer.body().await, client_frame::Body::Contact(contact(3)), "the newest wins");
    assert_eq!(peer.body().await, client_frame::Body::Alive(v1::Alive {}), "as one");
    peer.close(None);
    assert_eq!(events.next().await, Some(Event::Disconnected));
    let mut peer = stage.peer().await;
    peer.welcome(opened()).await;
    assert_eq!(events.next().await, Some(Event::Reconnected));
    assert_eq!(peer.body().await, client_frame::Body::Contact(contact(3)));
    client.submit(Command::WhoElse).await.unwrap();
    assert_eq!(peer.body().await, client_frame::Body::WhoElse(v1::WhoElse {}), "and nothing more");
}

#[tokio::test(start_paused = true)]
async fn a_request_is_answered_and_so_is_one_that_cannot_be_made() {
    let mut stage = Stage::new();
    let (client, mut events, mut peer) = stage.log_in(false).await;
    client.submit(Command::Invite("luke".into())).await.unwrap();
    let frame = peer.next().await.unwrap();
    let invited = v1::Invited { outcome: v1::invited::Outcome::Asked.into(), ..v1::Invited::default() };
    peer.reply(frame.id, reply::Body::Invited(invited.clone())).await;
    let Some(Event::Answer { answer, .. }) = events.next().await else { panic!("an answer") };
    assert_eq!(answer, Answer::Invited(invited));
    let event = v1::PeerEvent { event: Some(v1::peer_event::Event::Asked(v1::Asked::default())) };
    peer.send(server_frame::Body::Peer(event.clone())).await;
    assert_eq!(events.next().await, Some(Event::Peer(event)));
    *stage.net.1.lock().unwrap() = true;
    peer.close(None);
    assert_eq!(events.next().await, Some(Event::Disconnected));
    client.submit(Command::Invite("luke".into())).await.unwrap();
    let answered = timeout(Duration::from_secs(1), events.next()).await.expect("at once");
    assert!(matches!(answered, Some(Event::Answer { answer: Answer::Lost, .. })), "{answered:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_says_who_it_is_to_peers_and_keeps_what_it_learns_of_them() {
    let mut stage = Stage::new();
    let (client, _events, _peer) = stage.log_in(false).await;
    let peering = client.peering();
    assert_eq!(peering.seed, [0x42; 32]);
    assert_eq!(peering.key, crate::greet::Device::new(&peering.seed).public());
    assert_eq!((peering.address.clone(), peering.relay), (address(), None));
    assert!(!format!("{peering:?} {client:?}").contains("66, 66"), "the seed stays out of logs");
    let peers = peering.peers.clone().unwrap();
    peers.save("luke").unwrap();
    assert_eq!(client.peering().peers.as_ref().unwrap().load().unwrap(), "luke");
}

/// What a login tells of the relay, where the server greets so and the connection was so.
async fn relay_of(greeting: v1::Greeting, tls: bool, key: Option<[u8; 32]>) -> crate::Peering {
    let (near, mut server) = pair();
    let connect = Mutex::new(Some(Connected { link: Box::new(near), key, first_contact: None, tls }));
    let folder = tempfile::tempdir().unwrap();
    let storage = Arc::new(disk(folder.path()));
    let parts = Parts { connector: Arc::new(Single(connect)), storage, random: Arc::new(Dice) };
    let config = Stage::new().config();
    let client = async {
        let mut door = Door::with_parts(config, parts).await.unwrap();
        match door.login("Yoda", Proof::Password("secret".into()), false).await.unwrap() {
            Login::In { client, .. } => client.peering().clone(),
            refused => panic!("{refused:?}"),
        }
    };
    let served = async {
        let hello = server.next().await.unwrap();
        server.reply(hello.id, reply::Body::Greeting(greeting)).await;
        let login = server.next().await.unwrap();
        server.reply(login.id, reply::Body::Opened(opened())).await;
    };
    tokio::join!(client, served).0
}

/// One connection, and verifiers that tell what they were made with.
struct Single(Mutex<Option<Connected>>);

impl Connector for Single {
    fn connect(&self) -> BoxFuture<'_, Result<Connected, OpenError>> {
        let connected = self.0.lock().unwrap().take();
        Box::pin(async { connected.ok_or_else(|| OpenError::NoServer(address())) })
    }

    fn verifier(&self, key: Option<[u8; 32]>) -> Option<Arc<dyn ServerCertVerifier>> {
        let network = crate::Network::new(address(), Path::new("nowhere"), None);
        let _ = network.verifier(key)?;
        Some(Arc::new(Asked(key)))
    }
}

#[derive(Debug)]
struct Asked(#[expect(dead_code, reason = "shown by Debug")] Option<[u8; 32]>);

impl ServerCertVerifier for Asked {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Err(rustls::Error::General("never asked here".into()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("never asked here".into()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("never asked here".into()))
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        Vec::new()
    }
}

#[tokio::test(start_paused = true)]
async fn the_relay_is_believed_as_the_connection_was() {
    let relay = v1::Relay { discovery_port: 4000 };
    let greeting = |key: &[u8]| v1::Greeting {
        version: 1,
        relay: Some(relay),
        server_key: Bytes::copy_from_slice(key),
        ..v1::Greeting::default()
    };
    let table = [
        // Pinned, by the system's roots, and without TLS the key that it greets with, if that is one.
        (greeting(&[7; 32]), true, Some([7; 32]), Some(Some([7; 32]))),
        (greeting(&[7; 32]), true, None, Some(None)),
        (greeting(&[7; 32]), false, None, Some(Some([7; 32]))),
        (greeting(&[7; 31]), false, None, None),
    ];
    for (greeting, tls, key, expected) in table {
        let peering = relay_of(greeting, tls, key).await;
        assert_eq!((peering.relay, peering.address.plain), (Some(relay), !tls));
        let shown = peering.verifier.map(|verifier| format!("{verifier:?}"));
        assert_eq!(shown, expected.map(|key| format!("{:?}", Asked(key))));
    }
}
