//! The server's key: the TLS certificate, and the fingerprint by which clients know it.

use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path, sync::Arc};

use bytes::Bytes;
use iroh_relay::quic::ALPN_QUIC_ADDR_DISC;
use rustls::{
    CipherSuite, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::ParsedCertificate,
};

use crate::config::Tls;

/// Why there is no certificate to show.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file could not be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: String,
        /// Why.
        error: String,
    },
    /// The certificate and its key are no use.
    #[error("the TLS certificate cannot be used: {0}")]
    Certificate(String),
}

/// Who the server is.
pub struct Identity {
    /// SHA-256 of the public key (SubjectPublicKeyInfo, DER), by which clients know the server.
    pub key_hash: [u8; 32],
    /// The same for every connection to share.
    pub server_key: Bytes,
    /// SHA-256 of the chain, to tell it from another.
    pub chain_hash: [u8; 32],
    /// For the listener; `None`: plain text.
    pub tls: Option<Arc<ServerConfig>>,
    /// For address discovery over QUIC, which knows no plain text.
    pub quic: Arc<ServerConfig>,
}

impl Identity {
    /// `SHA256:` and the hash in base64 without padding, as `ssh` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hobnob_protocol::fingerprint(&self.key_hash)
    }

    /// Reads the certificate, or makes one in `folder` at first start. A server without TLS has its own key all
    /// the same: devices sign it at login.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn load(tls: &Tls, folder: &Path) -> Result<Self, IdentityError> {
        let (certificate, key) = match tls {
            Tls::Files { certificate, key } => (certificate.clone(), key.clone()),
            Tls::SelfSigned | Tls::Off => {
                let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
                if !key.exists() || !certificate.exists() {
                    make(&certificate, &key)?;
                }
                (certificate, key)
            }
        };
        let chain: Vec<_> = CertificateDer::pem_file_iter(&certificate)
            .and_then(Iterator::collect)
            .map_err(|error| file(&certificate, error))?;
        let leaf = chain.first().ok_or_else(|| file(&certificate, "no certificate in it"))?;
        let key_hash = public_key_hash(leaf)?;
        let server_key = Bytes::copy_from_slice(&key_hash);
        let chain_hash = hash_of(&chain);
        let key = PrivateKeyDer::from_pem_file(&key).map_err(|error| file(&key, error))?;
        let unfit = |error: rustls::Error| IdentityError::Certificate(error.to_string());
        let quic = quic_config(chain.clone(), key.clone_key()).map_err(unfit)?;
        let config = server_config(chain, key).map_err(unfit)?;
        let tls = (*tls != Tls::Off).then(|| Arc::new(config));
        Ok(Self { key_hash, server_key, chain_hash, tls, quic: Arc::new(quic) })
    }
}

/// `SHA256:…` of the first certificate in a PEM file; none if there is none.
pub(crate) fn fingerprint_of(pem: &[u8]) -> Option<String> {
    let leaf = CertificateDer::from_pem_slice(pem).ok()?;
    public_key_hash(&leaf).ok().map(|hash| hobnob_protocol::fingerprint(&hash))
}

pub(crate) fn file(path: &Path, error: impl ToString) -> IdentityError {
    IdentityError::File { path: path.display().to_string(), error: error.to_string() }
}

fn hash_of(chain: &[CertificateDer<'_>]) -> [u8; 32] {
    let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
    chain.iter().for_each(|certificate| digest.update(certificate));
    digest.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn public_key_hash(certificate: &CertificateDer<'_>) -> Result<[u8; 32], IdentityError> {
    let parsed = ParsedCertificate::try_from(certificate);
    let parsed = parsed.map_err(|error| IdentityError::Certificate(error.to_string()))?;
    let digest = ring::digest::digest(&ring::digest::SHA256, &parsed.subject_public_key_info());
    Ok(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let mut provider = rustls::crypto::ring::default_provider();
    // AES-128 goes with SHA-256, which processors do themselves: a handshake, and with it a reconnection, costs less.
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    let builder =
        ServerConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.ignore_client_order = true;
    // One ticket is enough for a client with one connection.
    config.send_tls13_tickets = 1;
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn quic_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    // A client asks once and stays connected.
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![ALPN_QUIC_ADDR_DISC.to_vec()];
    Ok(config)
}

/// A key that clients pin, so names and dates in its certificate say nothing.
fn make(certificate: &Path, key: &Path) -> Result<(), IdentityError> {
    let made = rcgen::generate_simple_self_signed(vec!["hobnob".to_owned(), "localhost".to_owned()]);
    let made = made.map_err(|error| IdentityError::Certificate(error.to_string()))?;
    write_private(certificate, made.cert.pem().as_bytes())?;
    write_private(key, made.signing_key.serialize_pem().as_bytes())
}

/// Written beside and renamed, so that no crash leaves half a key.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), IdentityError> {
    let beside = path.with_extension("new");
    let write = || {
        let mut options = fs::OpenOptions::new();
        let mut out = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        out.write_all(bytes)?;
        out.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|error| file(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_first_start_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let first = Identity::load(&Tls::SelfSigned, folder.path()).unwrap();
        let second = Identity::load(&Tls::Off, folder.path()).unwrap();
        assert_eq!(first.server_key, second.server_key);
        assert!(first.tls.is_some() && second.tls.is_none());
        assert!(first.fingerprint().starts_with("SHA256:") && first.fingerprint().len() == 7 + 43);
        let mode =
            std::os::unix::fs::MetadataExt::mode(&fs::metadata(folder.path().join("key.pem")).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_is_missing_or_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.pem");
        let tls = Tls::Files { certificate: path.clone(), key: path.clone() };
        assert!(Identity::load(&tls, folder.path()).err().unwrap().to_string().contains("own.pem"));
        fs::write(&path, "nothing").unwrap();
        assert!(Identity::load(&tls, folder.path()).err().unwrap().to_string().contains("own.pem"));
    }
}
