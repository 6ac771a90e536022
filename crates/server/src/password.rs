//! Argon2id in a bounded pool: as many at a time as there are cores, so that a storm of logins leaves room for
//! messages.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
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

/// Hashes a password on the calling thread; takes some ten milliseconds.
#[must_use]
pub fn hash(password: &str) -> Secret {
    let salt: [u8; 16] = random(&RealWorld::default());
    let hash = argon2().hash_password_with_salt(password.as_bytes(), &salt);
    let hash = hash.expect("a bounded password can be hashed");
    Secret(hash.to_string())
}

fn verify(password: &str, hash: &Secret) -> bool {
    let parsed = PasswordHash::new(&hash.0);
    parsed.is_ok_and(|parsed| argon2().verify_password(password.as_bytes(), &parsed).is_ok())
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
