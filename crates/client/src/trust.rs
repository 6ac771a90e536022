//! Whom to believe to be the server: a certificate that the system's roots accept for the host, or the key that was
//! demanded, or that was there at first use.

use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::FlockOperation;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::{Address, file};

/// How a key's SHA-256 is shown: as ssh does it.
pub(crate) fn fingerprint(hash: &[u8; 32]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut shown = "SHA256:".to_owned();
    for group in hash.chunks(3) {
        let bits = group.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            shown.push(char::from(DIGITS[(bits >> (18 - 6 * place)) as usize & 63]));
        }
    }
    shown
}

/// The keys of known servers: `HOST:PORT SHA256:…`, a line each.
#[derive(Clone, Debug)]
pub(crate) struct KnownServers {
    pub(crate) path: PathBuf,
}

impl KnownServers {
    /// The fingerprint that is known of this server.
    pub(crate) fn find(&self, address: &Address) -> io::Result<Option<String>> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Ok(find(&text, address)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Notes the fingerprint at first contact. What is known then: another process may have been first.
    pub(crate) fn add(&self, address: &Address, fingerprint: &str) -> io::Result<String> {
        if let Some(folder) = self.path.parent() {
            file::make_folder(folder)?;
        }
        let mut file = file::options().create(true).truncate(false).open(&self.path)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        if let Some(known) = find(&text, address) {
            return Ok(known);
        }
        let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        file.seek(io::SeekFrom::End(0))?;
        file.write_all(format!("{gap}{address} {fingerprint}\n").as_bytes())?;
        file.sync_data()?;
        Ok(fingerprint.to_owned())
    }

    /// Forgets that this is the fingerprint of this server; everything else in the file stays as it is.
    pub(crate) fn remove(&self, address: &Address, fingerprint: &str) -> io::Result<()> {
        let mut file = file::options().open(&self.path)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let address = address.to_string();
        let is_meant = |line: &&str| line.split_whitespace().take(2).eq([address.as_str(), fingerprint]);
        let kept: String = text.split_inclusive('\n').filter(|line| !is_meant(line)).collect();
        file.seek(io::SeekFrom::Start(0))?;
        file.write_all(kept.as_bytes())?;
        file.set_len(kept.len() as u64)?;
        file.sync_data()
    }
}

fn find(text: &str, address: &Address) -> Option<String> {
    let address = address.to_string();
    let words = text.lines().map(str::split_whitespace);
    words
        .into_iter()
        .find_map(|mut words| (words.next()? == address).then(|| words.next().map(str::to_owned)).flatten())
}

/// Why a certificate was believed, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The system's roots accept it for the host.
    Roots,
    /// Its key is the one demanded or known.
    Pinned([u8; 32]),
    /// Nothing is known yet.
    First([u8; 32]),
    /// Its key is not the one demanded or known.
    Wrong([u8; 32]),
}

/// What is expected of the server's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Exactly this one, whatever the system's roots say.
    Demanded(String),
    /// This one, unless the system's roots accept another.
    Known(String),
    /// One that the system's roots accept.
    Roots,
    /// Nothing is known.
    Nothing,
}

/// Decides about one connection.
#[derive(Debug)]
pub(crate) struct Verifier {
    expected: Expected,
    provider: Arc<CryptoProvider>,
    verdict: Mutex<Option<Verdict>>,
}

impl Verifier {
    pub(crate) fn new(expected: Expected, provider: Arc<CryptoProvider>) -> Self {
        Self { expected, provider, verdict: Mutex::new(None) }
    }

    /// What was decided, if it came to that.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `by_roots` is asked only where it matters: reading the system's roots takes a while.
    fn decide(&self, key: [u8; 32], by_roots: impl FnOnce() -> bool) -> Verdict {
        let shown = fingerprint(&key);
        match &self.expected {
            Expected::Demanded(pin) | Expected::Known(pin) if *pin == shown => Verdict::Pinned(key),
            Expected::Demanded(_) => Verdict::Wrong(key),
            _ if by_roots() => Verdict::Roots,
            Expected::Known(_) | Expected::Roots => Verdict::Wrong(key),
            Expected::Nothing => Verdict::First(key),
        }
    }

    fn by_roots(&self) -> Option<Arc<WebPkiServerVerifier>> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider)).build().ok()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let key = file::sha256(&parsed.subject_public_key_info());
        let verdict = self.decide(key, || {
            self.by_roots().is_some_and(|roots| {
                roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now).is_ok()
            })
        });
        let wrong = matches!(verdict, Verdict::Wrong(_));
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
        if wrong {
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [0xfb; 32];

    #[test]
    fn fingerprints_are_base64_without_padding() {
        assert_eq!(fingerprint(&[0; 32]), format!("SHA256:{}", "A".repeat(43)));
        assert_eq!(fingerprint(&[0xff; 32]), format!("SHA256:{}8", "/".repeat(42)));
        let counting: [u8; 32] = std::array::from_fn(|at| at as u8);
        assert_eq!(fingerprint(&counting), "SHA256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
    }

    #[test]
    fn a_key_is_believed_by_what_is_known() {
        let shown = fingerprint(&KEY);
        let other = fingerprint(&[1; 32]);
        let table = [
            (Expected::Nothing, false, Verdict::First(KEY)),
            (Expected::Nothing, true, Verdict::Roots),
            (Expected::Known(shown.clone()), false, Verdict::Pinned(KEY)),
            (Expected::Known(other.clone()), false, Verdict::Wrong(KEY)),
            (Expected::Known(other.clone()), true, Verdict::Roots),
            (Expected::Roots, true, Verdict::Roots),
            (Expected::Roots, false, Verdict::Wrong(KEY)),
            (Expected::Demanded(shown), false, Verdict::Pinned(KEY)),
            (Expected::Demanded(other.clone()), false, Verdict::Wrong(KEY)),
            (Expected::Demanded(other), true, Verdict::Wrong(KEY)),
        ];
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        for (expected, by_roots, verdict) in table {
            let verifier = Verifier::new(expected.clone(), Arc::clone(&provider));
            assert_eq!(verifier.decide(KEY, || by_roots), verdict, "{expected:?}, roots: {by_roots}");
        }
    }

    #[test]
    fn known_servers_are_found_by_host_and_port_and_the_first_stays() {
        let folder = tempfile::tempdir().unwrap();
        let known = KnownServers { path: folder.path().join("deep/known_servers") };
        let address: Address = "host:4000".parse().unwrap();
        assert_eq!(known.find(&address).unwrap(), None);
        assert_eq!(known.add(&address, "SHA256:one").unwrap(), "SHA256:one");
        assert_eq!(known.add(&address, "SHA256:two").unwrap(), "SHA256:one");
        assert_eq!(known.add(&"host:4001".parse().unwrap(), "SHA256:two").unwrap(), "SHA256:two");
        assert_eq!(known.find(&address).unwrap().unwrap(), "SHA256:one");
        assert_eq!(known.find(&"[::1]:4000".parse().unwrap()).unwrap(), None);
        let text = std::fs::read_to_string(&known.path).unwrap();
        assert_eq!(text, "host:4000 SHA256:one\nhost:4001 SHA256:two\n");
    }

    #[test]
    fn a_key_is_forgotten_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let known = KnownServers { path: folder.path().join("known_servers") };
        let address: Address = "b:2".parse().unwrap();
        assert!(known.remove(&address, "SHA256:y").is_err(), "there is no file");
        std::fs::write(&known.path, "# mine\na:1 SHA256:y\nb:2 SHA256:y me\nb:2 SHA256:x").unwrap();
        known.remove(&address, "SHA256:y").unwrap();
        known.remove(&address, "SHA256:z").unwrap();
        let left = std::fs::read_to_string(&known.path).unwrap();
        assert_eq!(left, "# mine\na:1 SHA256:y\nb:2 SHA256:x");
    }

    #[test]
    fn a_file_edited_by_hand_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let known = KnownServers { path: folder.path().join("known_servers") };
        std::fs::write(&known.path, "# mine\n\n  a:1   SHA256:x  friend\nb:2").unwrap();
        assert_eq!(known.find(&"a:1".parse().unwrap()).unwrap().unwrap(), "SHA256:x");
        assert_eq!(known.find(&"b:2".parse().unwrap()).unwrap(), None);
        known.add(&"c:3".parse().unwrap(), "SHA256:y").unwrap();
        assert_eq!(known.find(&"c:3".parse().unwrap()).unwrap().unwrap(), "SHA256:y");
    }
}
