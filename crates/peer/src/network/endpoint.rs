//! The QUIC endpoint: bound to the device's key, and to nobody's services but the server's own relay.

use std::net::IpAddr;
use std::sync::Arc;

use iroh::endpoint::{
    AfterHandshakeOutcome, Connection, EndpointHooks, PortmapperConfig, QuicTransportConfig,
    QuicTransportConfigBuilder, Side, VarInt, presets,
};
use iroh::tls::CaTlsConfig;
use iroh::{Endpoint, NetReportConfig, RelayConfig, RelayMap, RelayMode, RelayUrl, SecretKey};

use super::admission::REFUSED;
use super::board::SharedBoard;
use super::files::{self, Callers};
use super::resolver::resolver;
use super::stand_in::{self, ByAddress};
use super::{NetworkError, Relay, Setup, Tuning};

/// What a private talk is called in the handshake.
pub(super) const ALPN: &[u8] = b"hobnob/private/1";

/// Bytes of a stream, and of a connection, that may wait to be read; the other is held back then.
const STREAM_WINDOW: u32 = 512 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of a connection that may be on their way.
const SEND_WINDOW: u64 = 4 * 1024 * 1024;
/// Bytes of a file that may wait to be read. noq keeps each frame of a stream by itself until it is read, merges none
/// that is nearly a packet long, and ends the connection ("too many gaps in stream buffer") when one comes while it
/// keeps [`FRAMES_MAX`], gaps or not (quinn issue 2809). So a reader that is late for a moment must not have room for
/// more, however small the packets of the path are.
const BULK_WINDOW: u32 = 2 * 1024 * 1024;
/// As in noq's `assembler.rs`.
const FRAMES_MAX: u32 = 2 * 1024;
/// Bytes of a stream in a packet of the least size that every path carries, 1,200: less its header and tag, and the
/// header of the frame.
const FRAME_BYTES_MIN: u32 = 1_200 - 80;

const _: () = assert!(BULK_WINDOW < FRAMES_MAX * FRAME_BYTES_MIN);

/// Binds the endpoint that takes the keys that the board expects.
pub(super) async fn bind(
    setup: &Setup,
    tuning: &Tuning,
    board: SharedBoard,
    files: Arc<Callers>,
) -> Result<Endpoint, NetworkError> {
    if setup.relay_only && setup.relay.is_none() {
        return Err(NetworkError::Bind("the server has no relay, and no address may be shown".to_owned()));
    }
    let mut builder = Endpoint::builder(presets::Minimal)
        .secret_key(SecretKey::from_bytes(&setup.seed))
        .alpns(vec![ALPN.to_vec(), files::ALPN.to_vec()])
        .transport_config(transport(tuning, 0))
        .hooks(Gate(board, files));
    if setup.relay_only {
        builder = builder.clear_ip_transports();
    }
    builder = with_relay(builder, setup.relay.as_ref())?;
    builder.bind().await.map_err(|error| NetworkError::Bind(error.to_string()))
}

/// What every endpoint has: the server's relay or none, the server's certificate believed as the chat does, names looked
/// up as the system does, and no other service.
pub(super) fn with_relay(
    builder: iroh::endpoint::Builder,
    relay: Option<&Relay>,
) -> Result<iroh::endpoint::Builder, NetworkError> {
    let mut reports = NetReportConfig::minimal();
    reports.https_probes = true;
    let builder = builder
        .clear_address_lookup()
        .portmapper_config(PortmapperConfig::Disabled)
        .net_report_config(reports)
        .dns_resolver(resolver());
    let Some(relay) = relay else { return Ok(builder.relay_mode(RelayMode::Disabled)) };
    let verifier = Arc::new(ByAddress(Arc::clone(&relay.verifier)));
    let trust = CaTlsConfig::custom_server_cert_verifier(Arc::new(move |_| Ok(Arc::clone(&verifier) as _)));
    let mut config = RelayConfig::from(url(relay)?);
    config.quic = config.quic.filter(|_| relay.discovery_port != 0);
    if let Some(discovery) = &mut config.quic {
        discovery.port = relay.discovery_port;
    }
    Ok(builder.ca_tls_config(trust).relay_mode(RelayMode::Custom(RelayMap::from(config))))
}

/// Where the relay is. An IPv6 address under TLS has a name instead, that stands for it.
pub(super) fn url(relay: &Relay) -> Result<RelayUrl, NetworkError> {
    let scheme = if relay.tls { "https" } else { "http" };
    let bare = relay.host.trim_start_matches('[').trim_end_matches(']');
    let host = match bare.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) if relay.tls => stand_in::name(address),
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => bare.to_owned(),
    };
    let url = format!("{scheme}://{host}:{}", relay.port);
    url.parse().map_err(|_| NetworkError::Bind(format!("{} is no address of a relay", relay.host)))
}

/// Whether the relay, and so the server, is on this machine.
pub(super) fn is_here(relay: &Relay) -> bool {
    let bare = relay.host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// How a connection runs on which the other may open so many streams in both directions. Any other kind of stream and
/// datagrams are not taken.
pub(super) fn transport(tuning: &Tuning, streams: u32) -> QuicTransportConfig {
    configure(tuning, streams).build()
}

fn configure(tuning: &Tuning, streams: u32) -> QuicTransportConfigBuilder {
    let silence = tuning.silence.try_into().expect("seconds fit in a QUIC number");
    QuicTransportConfig::builder()
        .max_idle_timeout(Some(silence))
        .keep_alive_interval(tuning.keep_alive)
        .default_path_keep_alive_interval(tuning.keep_alive)
        .default_path_max_idle_timeout(tuning.silence)
        .max_concurrent_bidi_streams(VarInt::from_u32(streams))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(SEND_WINDOW)
}

/// The same where large files are carried: more may wait to be read.
pub(super) fn bulk_transport(tuning: &Tuning) -> QuicTransportConfig {
    let window = VarInt::from_u32(BULK_WINDOW);
    configure(tuning, 0).stream_receive_window(window).receive_window(window).build()
}

/// For private talk, lets nobody through whose key is not expected, whoever called; for files, anybody while something
/// is offered, and whom this client calls.
#[derive(Debug)]
struct Gate(SharedBoard, Arc<Callers>);

impl EndpointHooks for Gate {
    async fn after_handshake<'a>(&'a self, connection: &'a Connection) -> AfterHandshakeOutcome {
        let is_fit = if connection.alpn() == files::ALPN {
            connection.side() == Side::Client || self.1.is_open()
        } else {
            self.0.lock().expects(connection.remote_id().as_bytes())
        };
        if is_fit {
            AfterHandshakeOutcome::Accept
        } else {
            AfterHandshakeOutcome::Reject { error_code: REFUSED, reason: Vec::new() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Nobody;

    impl rustls::client::danger::ServerCertVerifier for Nobody {
        fn verify_server_cert(
            &self,
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &[rustls::pki_types::CertificateDer<'_>],
            _: &rustls::pki_types::ServerName<'_>,
            _: &[u8],
            _: rustls::pki_types::UnixTime,
        ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
            Err(rustls::Error::General(String::new()))
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            Err(rustls::Error::General(String::new()))
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            Err(rustls::Error::General(String::new()))
        }

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            Vec::new()
        }
    }

    fn relay(host: &str, tls: bool) -> Relay {
        Relay { host: host.to_owned(), port: 4000, tls, discovery_port: 0, verifier: Arc::new(Nobody) }
    }

    #[test]
    fn the_relay_is_where_the_server_is() {
        let check = |host: &str, tls: bool, expected: &str| {
            assert_eq!(url(&relay(host, tls)).unwrap().to_string(), expected, "{host}");
        };
        check("chat.example.org", true, "https://chat.example.org:4000/");
        check("192.0.2.7", false, "http://192.0.2.7:4000/");
        check("2001:db8::7", false, "http://[2001:db8::7]:4000/");
        check("[2001:db8::7]", false, "http://[2001:db8::7]:4000/");
        for host in ["2001:db8::7", "[2001:db8::7]"] {
            check(host, true, "https://20010db8000000000000000000000007.ipv6.invalid:4000/");
        }
        assert!(url(&relay("a b", true)).is_err());
    }

    #[test]
    fn a_server_on_this_machine_is_known_by_its_address() {
        for (host, here) in [
            ("localhost", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("[::1]", true),
            ("example.org", false),
            ("192.0.2.7", false),
        ] {
            assert_eq!(is_here(&relay(host, true)), here, "{host}");
        }
    }
}
