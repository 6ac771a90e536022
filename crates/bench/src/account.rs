//! The users of a run. The generator itself writes them into the database (`database.rs`), with a token each: hashing
//! a password is slow on purpose, so only those log in by it whose login is what is measured.

use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path, sync::Arc};

use anyhow::Context;
use bytes::Bytes;
use ring::{
    rand::{SecureRandom, SystemRandom},
    signature::{Ed25519KeyPair, KeyPair},
};

/// The one password of all of them, so that it is hashed once.
const PASSWORD: &str = "password of everyone";

/// One user with one device key.
pub(crate) struct Account {
    /// As registered.
    pub(crate) name: String,
    pub(crate) password: String,
    /// Of a session in the background that the database is made with: good for any number of logins.
    pub(crate) token: Bytes,
    key: Ed25519KeyPair,
}

impl Account {
    /// A user with a key of its own.
    pub(crate) fn new(name: String) -> anyhow::Result<Self> {
        let unspecified = |_| anyhow::anyhow!("no key could be made");
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(unspecified)?;
        let key = Ed25519KeyPair::from_pkcs8(key.as_ref()).map_err(|_| anyhow::anyhow!("a key is no key"))?;
        Ok(Self { name, password: PASSWORD.to_owned(), token: random::<32>()?, key })
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

/// Writes a file that `serve --credentials` reads; its owner alone can.
pub(crate) fn write_credentials(path: &Path, account: &Account) -> anyhow::Result<()> {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.context("the credentials file")?;
    Ok(writeln!(file, "{} {}", account.name, account.password)?)
}

/// The name of an outbox.
pub(crate) fn outbox() -> anyhow::Result<Bytes> {
    random::<16>()
}

fn random<const N: usize>() -> anyhow::Result<Bytes> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| anyhow::anyhow!("no random numbers"))?;
    Ok(Bytes::copy_from_slice(&bytes))
}
