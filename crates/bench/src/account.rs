//! The users of a run. Hashing a password is slow on purpose, so each logs in once with it, and then with the token
//! of that first session.

use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path, sync::Arc};

use anyhow::Context;
use bytes::Bytes;
use ring::{
    rand::{SecureRandom, SystemRandom},
    signature::{Ed25519KeyPair, KeyPair},
};
use tokio::sync::OnceCell;

/// One user with one device key.
pub(crate) struct Account {
    /// As registered.
    pub(crate) name: String,
    pub(crate) password: String,
    /// The token of the first session, once there is one.
    pub(crate) token: OnceCell<Bytes>,
    key: Ed25519KeyPair,
}

impl Account {
    fn new(name: String) -> anyhow::Result<Self> {
        let unspecified = |_| anyhow::anyhow!("no key could be made");
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(unspecified)?;
        let key = Ed25519KeyPair::from_pkcs8(key.as_ref()).map_err(|_| anyhow::anyhow!("a key is no key"))?;
        Ok(Self { password: format!("password of {name}"), name, token: OnceCell::new(), key })
    }

    /// The device's public key, and its signature.
    pub(crate) fn sign(&self, challenge: &[u8]) -> (Bytes, Bytes) {
        let key = Bytes::copy_from_slice(self.key.public_key().as_ref());
        (key, Bytes::copy_from_slice(self.key.sign(challenge).as_ref()))
    }
}

/// Makes users: the prefix and a number each.
pub(crate) fn make(prefix: &str, count: usize) -> anyhow::Result<Vec<Arc<Account>>> {
    (0..count).map(|number| Account::new(format!("{prefix}{number:05}")).map(Arc::new)).collect()
}

/// Writes the file that `serve --credentials` reads; its owner alone can.
pub(crate) fn write_credentials(path: &Path, accounts: &[Arc<Account>]) -> anyhow::Result<()> {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = std::io::BufWriter::new(file.context("the credentials file")?);
    for account in accounts {
        writeln!(file, "{} {}", account.name, account.password)?;
    }
    Ok(file.flush()?)
}

/// 16 random bytes: the name of an outbox.
pub(crate) fn outbox() -> anyhow::Result<Bytes> {
    let mut name = [0; 16];
    SystemRandom::new().fill(&mut name).map_err(|_| anyhow::anyhow!("no random numbers"))?;
    Ok(Bytes::copy_from_slice(&name))
}
