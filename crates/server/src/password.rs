//! Argon2id in a bounded pool: as many at a time as there are cores, so that a storm of logins leaves room for
//! messages.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use tokio::sync::Semaphore;

use crate::{
    node::{Boxed, Passwords, RealWorld, random},
    store::Secret,
};

/// OWASP's first recommendation for Argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are valid");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Room for so many blocks of a KiB is asked for: more than glibc ever keeps (32 MiB), so that what a hash was made in
/// goes back to the system at once, instead of staying with each thread that ever hashed. Only what is used of it
/// is real memory.
const BLOCKS_RESERVED: usize = 33 * 1024;

/// Hashes a password on the calling thread; takes some ten milliseconds.
#[must_use]
pub fn hash(password: &str) -> Secret {
    let (argon2, salt) = (argon2(), random::<16>(&RealWorld::default()));
    let output = output(&argon2, password, &salt).expect("a bounded password can be hashed");
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params()).expect("the parameters are valid"),
        salt: Some(Salt::new(&salt).expect("16 bytes make a salt")),
        hash: Some(output),
    };
    Secret(hash.to_string())
}

fn verify(password: &str, hash: &Secret) -> bool {
    let expected = || {
        let parsed = PasswordHash::new(&hash.0).ok()?;
        let version = parsed.version.map_or(Ok(Version::V0x13), Version::try_from).ok()?;
        let algorithm = Algorithm::try_from(parsed.algorithm.as_str()).ok()?;
        let argon2 = Argon2::new(algorithm, version, Params::try_from(&parsed).ok()?);
        Some((argon2, parsed.salt?, parsed.hash?))
    };
    let Some((argon2, salt, expected)) = expected() else { return false };
    // The comparison takes as long wherever they differ.
    output(&argon2, password, &salt) == Some(expected)
}

fn output(argon2: &Argon2<'_>, password: &str, salt: &[u8]) -> Option<Output> {
    let params = argon2.params();
    let mut memory = Vec::with_capacity(BLOCKS_RESERVED);
    memory.resize(params.block_count(), Block::default());
    let mut bytes = [0; Output::MAX_LENGTH];
    let out = bytes.get_mut(..params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN))?;
    argon2.hash_password_into_with_memory(password.as_bytes(), salt, out, &mut memory).ok()?;
    Output::new(out).ok()
}

/// The pool.
pub struct Argon2Pool {
    turns: Arc<Semaphore>,
    /// A hash of no account, so that an unknown name takes as long as a known one.
    decoy: Secret,
}

impl Argon2Pool {
    /// A pool for this machine.
    #[must_use]
    pub fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { turns: Arc::new(Semaphore::new(cores)), decoy: hash("") }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let turn = self.turns.clone().acquire_owned().await.expect("the semaphore is never closed");
        let task = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        task.await.expect("hashing does not panic")
    }
}

impl Default for Argon2Pool {
    fn default() -> Self {
        Self::new()
    }
}

impl Passwords for Argon2Pool {
    fn hash(&self, password: String) -> Boxed<'_, Secret> {
        Box::pin(self.run(move || hash(&password)))
    }

    fn verify(&self, password: String, hash: Option<Secret>) -> Boxed<'_, bool> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.clone());
        Box::pin(self.run(move || verify(&password, &hash) && known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_of_the_hash_is_right() {
        let pool = Argon2Pool::new();
        let stored = pool.hash("geheim \"#\\ 密".to_owned()).await;
        assert!(stored.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(pool.verify("geheim \"#\\ 密".to_owned(), Some(stored.clone())).await);
        assert!(!pool.verify("geheim".to_owned(), Some(stored)).await);
        assert!(!pool.verify(String::new(), None).await, "the decoy's password opens nothing");
    }
}
