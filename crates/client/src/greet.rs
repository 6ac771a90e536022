//! The first words on a connection: hello, login, resume. One request at a time, each with a time limit.

use std::time::Duration;

use bytes::Bytes;
use hobnob_protocol::close::Close;
use hobnob_protocol::codec;
use hobnob_protocol::limits::{ANSWER_BYTES_MAX, HANDSHAKE_TIMEOUT, PROBE_TIMEOUT};
use hobnob_protocol::v1::{self, client_frame, reply, server_frame};
use ring::signature::{Ed25519KeyPair, KeyPair};
use tokio::time::timeout;

use crate::link::{self, BoxLink, Connected, Connector, LinkError};
use crate::{Address, OpenError};

/// Longest wait for a reply before login: hashing queues up when many log in, and a live session is probed.
const REPLY_TIMEOUT: Duration = PROBE_TIMEOUT.saturating_add(Duration::from_secs(30));

/// A connection that said hello.
pub(crate) struct Greeted {
    pub(crate) link: BoxLink,
    pub(crate) greeting: v1::Greeting,
    /// Whether the connection is encrypted.
    pub(crate) tls: bool,
    /// SHA-256 of the server's key, where that alone makes it the right one.
    pub(crate) key: Option<[u8; 32]>,
    /// The id of the next request.
    pub(crate) next_id: u64,
}

/// Connects and says hello. If the server's key is pinned on the way, `first_contact` has its fingerprint, however the
/// rest goes.
pub(crate) async fn open(
    connector: &dyn Connector,
    address: &Address,
    agent: &str,
    first_contact: &mut Option<String>,
) -> Result<Greeted, OpenError> {
    let gone = |_| OpenError::NoServer(address.clone());
    let connected = timeout(HANDSHAKE_TIMEOUT * 2, connector.connect()).await.map_err(gone)??;
    let Connected { mut link, key, first_contact: first, tls } = connected;
    if first.is_some() {
        *first_contact = first;
    }
    let hello =
        v1::Hello { version: hobnob_protocol::VERSION, features: Vec::new(), agent: agent.to_owned() };
    let mut next_id = 1;
    let reply = request(&mut link, &mut next_id, client_frame::Body::Hello(hello)).await;
    let greeting = match reply {
        Ok(reply::Body::Greeting(greeting)) => greeting,
        Ok(reply::Body::Refused(refused)) => return Err(OpenError::Refused(refused.text)),
        Ok(_) => return Err(OpenError::NoServer(address.clone())),
        Err(error) => return Err(lost(address, error)),
    };
    check(address, &greeting, key)?;
    Ok(Greeted { link, greeting, tls, key, next_id })
}

fn lost(address: &Address, error: LinkError) -> OpenError {
    match error.close {
        Some(Close::UnsupportedVersion) => OpenError::Unsupported {
            address: address.clone(),
            reason: Close::UnsupportedVersion.reason().to_owned(),
        },
        Some(close @ (Close::TooMany | Close::Internal)) => OpenError::Refused(close.reason().to_owned()),
        _ => OpenError::NoServer(address.clone()),
    }
}

/// Whether this is a server that the client can talk to, and the one that TLS has shown.
fn check(address: &Address, greeting: &v1::Greeting, key: Option<[u8; 32]>) -> Result<(), OpenError> {
    if greeting.version != hobnob_protocol::VERSION {
        let reason = format!("it speaks version {}", greeting.version);
        return Err(OpenError::Unsupported { address: address.clone(), reason });
    }
    if let Some(key) = key
        && greeting.server_key != key[..]
    {
        let reason = "the server greets with another key than that of its certificate".to_owned();
        return Err(OpenError::Tls { address: address.clone(), reason });
    }
    Ok(())
}

/// Asks and waits for the reply. Whatever else comes before login is ignored.
pub(crate) async fn request(
    link: &mut BoxLink,
    next_id: &mut u64,
    body: client_frame::Body,
) -> Result<reply::Body, LinkError> {
    let id = *next_id;
    *next_id += 1;
    let frame = codec::encode(&v1::ClientFrame { id, body: Some(body) });
    let talk = async {
        link::send(link, frame).await?;
        loop {
            if let Some(bytes) = link::recv(link).await?
                && let Some(body) = reply_to(id, bytes)?
            {
                return Ok(body);
            }
        }
    };
    timeout(REPLY_TIMEOUT, talk).await.unwrap_or(Err(LinkError::default()))
}

fn reply_to(id: u64, bytes: Bytes) -> Result<Option<reply::Body>, LinkError> {
    let frame = codec::decode_server(bytes, ANSWER_BYTES_MAX).map_err(|_| LinkError::default())?;
    match frame.body {
        Some(server_frame::Body::Reply(reply)) if reply.id == id => {
            reply.body.ok_or_else(LinkError::default).map(Some)
        }
        _ => Ok(None),
    }
}

/// A device's key.
pub(crate) struct Device(Ed25519KeyPair);

impl Device {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(seed).expect("a seed has 32 bytes"))
    }

    /// Its public key.
    pub(crate) fn public(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().expect("a public key has 32 bytes")
    }

    /// The proof that it is this device which logs in, on this connection, as `name`.
    pub(crate) fn prove(&self, greeting: &v1::Greeting, name: &str, outbox: [u8; 16]) -> v1::Device {
        let challenge = hobnob_protocol::device_challenge(&greeting.nonce, name, &greeting.server_key);
        v1::Device {
            key: Bytes::copy_from_slice(self.0.public_key().as_ref()),
            signature: Bytes::copy_from_slice(self.0.sign(&challenge).as_ref()),
            outbox: Bytes::copy_from_slice(&outbox),
        }
    }
}
