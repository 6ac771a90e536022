//! Connections over the network: TCP, TLS unless the address says otherwise, WebSocket.

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Sink, Stream};
use hobnob_protocol::close::Close;
use hobnob_protocol::limits::{ANSWER_BYTES_MAX, FRAME_BYTES_MAX, HANDSHAKE_TIMEOUT};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use crate::link::{BoxLink, Connected, Connector, Link, LinkError};
use crate::trust::{Expected, KnownServers, Verdict, Verifier, fingerprint};
use crate::{Address, OpenError};

/// Read and write buffers: there is one connection, and frames are small.
const BUFFER_BYTES: usize = 8 * 1024;

/// Connects over the network to one server.
pub struct Network {
    address: Address,
    known: KnownServers,
    pin: Option<String>,
    /// Whether the key of a server met for the first time is noted.
    notes: bool,
}

/// How an attempt to speak TLS failed.
enum Failure {
    /// What came back was no TLS.
    NoTls,
    Other(OpenError),
}

impl Network {
    /// To this server, whose key is kept below `data`, or has to be `pin`.
    #[must_use]
    pub fn new(address: Address, data: &Path, pin: Option<String>) -> Self {
        Self { address, known: KnownServers { path: data.join("known_servers") }, pin, notes: true }
    }

    /// The same, but no key is noted.
    pub(crate) fn that_notes_nothing(self) -> Self {
        Self { notes: false, ..self }
    }

    async fn open(&self) -> Result<Connected, OpenError> {
        if self.address.plain {
            return match self.pin {
                Some(_) => Err(OpenError::NoKey(self.address.clone())),
                None => self.plain().await,
            };
        }
        let known = self.known.find(&self.address).map_err(OpenError::at(&self.known.path))?;
        let expected = match (&self.pin, known) {
            (Some(pin), _) => Expected::Demanded(pin.clone()),
            (None, Some(known)) => Expected::Known(known),
            (None, None) => Expected::Nothing,
        };
        match self.encrypted(&expected).await {
            Ok(connected) => Ok(connected),
            Err(Failure::NoTls) => match expected {
                Expected::Demanded(known) | Expected::Known(known) => {
                    Err(OpenError::Unencrypted { address: self.address.clone(), known })
                }
                Expected::Nothing if self.address.is_loopback() => self.plain().await,
                Expected::Nothing | Expected::Roots => Err(OpenError::Plain(self.address.clone())),
            },
            Err(Failure::Other(error)) => Err(error),
        }
    }

    async fn plain(&self) -> Result<Connected, OpenError> {
        let link = self.upgrade(self.dial().await?, "ws").await?;
        Ok(Connected { link, key: None, first_contact: None, tls: false })
    }

    async fn encrypted(&self, expected: &Expected) -> Result<Connected, Failure> {
        let tcp = self.dial().await.map_err(Failure::Other)?;
        let (stream, verdict) = self.handshake(tcp, expected).await?;
        let link = self.upgrade(stream, "wss").await.map_err(Failure::Other)?;
        let (key, first_contact) = match verdict {
            Verdict::Pinned(key) => (Some(key), None),
            Verdict::First(key) => (Some(key), Some(self.trust(key).map_err(Failure::Other)?)),
            Verdict::Roots | Verdict::Wrong(_) => (None, None),
        };
        Ok(Connected { link, key, first_contact, tls: true })
    }

    async fn dial(&self) -> Result<TcpStream, OpenError> {
        let connect = TcpStream::connect((self.address.host.as_str(), self.address.port));
        let no_server = || OpenError::NoServer(self.address.clone());
        let stream =
            timeout(HANDSHAKE_TIMEOUT, connect).await.map_err(|_| no_server())?.map_err(|_| no_server())?;
        stream.set_nodelay(true).map_err(|_| no_server())?;
        Ok(stream)
    }

    async fn handshake(
        &self,
        tcp: TcpStream,
        expected: &Expected,
    ) -> Result<(TlsStream<TcpStream>, Verdict), Failure> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Arc::new(Verifier::new(expected.clone(), Arc::clone(&provider)));
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring's provider has suites for the default versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as _)
            .with_no_client_auth();
        // A resumed handshake would not show the key again.
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(self.address.host.clone())
            .map_err(|_| Failure::Other(OpenError::NoServer(self.address.clone())))?;
        let handshake = TlsConnector::from(Arc::new(config)).connect(name, tcp);
        match timeout(HANDSHAKE_TIMEOUT, handshake).await {
            Err(_) => Err(Failure::Other(OpenError::NoServer(self.address.clone()))),
            Ok(Err(error)) => Err(self.failure(&error, expected, verifier.verdict())),
            Ok(Ok(stream)) => {
                let verdict = verifier.verdict().expect("a full handshake shows a certificate");
                Ok((stream, verdict))
            }
        }
    }

    /// Why a TLS handshake failed.
    fn failure(&self, error: &io::Error, expected: &Expected, verdict: Option<Verdict>) -> Failure {
        let address = self.address.clone();
        let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        Failure::Other(match (tls, verdict, expected) {
            (Some(rustls::Error::InvalidMessage(_)), _, _) => return Failure::NoTls,
            (_, Some(Verdict::Wrong(key)), Expected::Demanded(pin)) => {
                OpenError::PinMismatch { address, demanded: pin.clone(), shown: fingerprint(&key) }
            }
            (_, Some(Verdict::Wrong(key)), Expected::Known(known)) => {
                self.changed(known.clone(), fingerprint(&key))
            }
            (Some(error), _, _) => OpenError::Tls { address, reason: error.to_string() },
            (None, _, _) => OpenError::NoServer(address),
        })
    }

    fn changed(&self, known: String, shown: String) -> OpenError {
        let file = self.known.path.display().to_string();
        OpenError::KeyChanged { address: self.address.clone(), known, shown, file }
    }

    /// Notes the key of a server met for the first time.
    fn trust(&self, key: [u8; 32]) -> Result<String, OpenError> {
        let shown = fingerprint(&key);
        if !self.notes {
            return Ok(shown);
        }
        let known = self.known.add(&self.address, &shown).map_err(OpenError::at(&self.known.path))?;
        if known == shown { Ok(shown) } else { Err(self.changed(known, shown)) }
    }

    async fn upgrade<S>(&self, stream: S, scheme: &str) -> Result<BoxLink, OpenError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let url = format!("{scheme}://{}{}", self.address, hobnob_protocol::CONNECT_PATH);
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(BUFFER_BYTES)
            .max_write_buffer_size(BUFFER_BYTES + 4 * FRAME_BYTES_MAX)
            .max_message_size(Some(ANSWER_BYTES_MAX))
            .max_frame_size(Some(ANSWER_BYTES_MAX));
        let upgrade = tokio_tungstenite::client_async_with_config(url, stream, Some(config));
        match timeout(HANDSHAKE_TIMEOUT, upgrade).await {
            Ok(Ok((socket, _))) => Ok(Box::new(Socket(socket))),
            Ok(Err(WsError::Http(response))) if response.status() == 429 || response.status() == 503 => {
                Err(OpenError::Refused("too many connections from this address".to_owned()))
            }
            _ => Err(OpenError::NoServer(self.address.clone())),
        }
    }
}

impl Connector for Network {
    fn connect(&self) -> BoxFuture<'_, Result<Connected, OpenError>> {
        Box::pin(self.open())
    }

    fn forget(&self, key: &str) {
        if let Err(error) = self.known.remove(&self.address, key) {
            tracing::warn!(%error, "the key of the server could not be forgotten");
        }
    }

    fn verifier(&self, key: Option<[u8; 32]>) -> Option<Arc<dyn ServerCertVerifier>> {
        let expected = key.map_or(Expected::Roots, |key| Expected::Demanded(fingerprint(&key)));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Some(Arc::new(Verifier::new(expected, provider)))
    }
}

/// A WebSocket as a link.
struct Socket<S>(WebSocketStream<S>);

impl<S> Socket<S>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    fn socket(&mut self) -> Pin<&mut WebSocketStream<S>> {
        Pin::new(&mut self.0)
    }
}

fn lost(_: WsError) -> LinkError {
    LinkError::default()
}

impl<S> Link for Socket<S>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, LinkError>> {
        Poll::Ready(match ready!(self.socket().poll_next(cx)) {
            Some(Ok(Message::Binary(bytes))) => Ok(Some(bytes)),
            Some(Ok(Message::Close(frame))) => {
                let close = frame.and_then(|frame| Close::from_code(frame.code.into()));
                Err(LinkError { close })
            }
            Some(Ok(_)) => Ok(None),
            Some(Err(_)) | None => Err(LinkError::default()),
        })
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.socket().poll_ready(cx).map_err(lost)
    }

    fn feed(&mut self, frame: Bytes) -> Result<(), LinkError> {
        self.socket().start_send(Message::Binary(frame)).map_err(lost)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.socket().poll_flush(cx).map_err(lost)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.socket().poll_close(cx).map(drop)
    }
}
