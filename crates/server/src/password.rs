//! Argon2id on threads of its own: as many as there are cores, and with a lower priority than all others, so that a storm
//! of logins takes what messages leave.

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use tokio::sync::{Semaphore, oneshot};

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
        let params = Params::try_from(&parsed).ok().filter(affordable)?;
        let argon2 = Argon2::new(algorithm, version, params);
        Some((argon2, parsed.salt?, parsed.hash?))
    };
    let Some((argon2, salt, expected)) = expected() else { return false };
    // The comparison takes as long wherever they differ.
    output(&argon2, password, &salt) == Some(expected)
}

/// Whether a hash of these parameters may be computed: a row that is damaged could ask for all memory there is.
fn affordable(params: &Params) -> bool {
    params.m_cost() <= 4 * MEMORY_KIB && params.t_cost() <= 4 * PASSES && params.p_cost() <= 4 * LANES
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

/// Niceness of the threads, the highest: beside busy ones they get next to nothing, on an idle core all of it.
const NICENESS: i32 = 19;

type Work = Box<dyn FnOnce() + Send>;

/// The pool. Dropping it waits for what it is at.
pub struct Argon2Pool {
    turns: Arc<Semaphore>,
    /// Not longer than there are turns. `None`: the threads are to end.
    queue: Option<mpsc::SyncSender<Work>>,
    threads: Vec<JoinHandle<()>>,
    /// A hash of no account, so that an unknown name takes as long as a known one.
    decoy: Secret,
}

impl Argon2Pool {
    /// A pool for this machine.
    #[must_use]
    pub fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (queue, waiting) = mpsc::sync_channel(cores);
        let waiting = Arc::new(Mutex::new(waiting));
        let threads = (0..cores).map(|_| {
            let waiting = waiting.clone();
            let thread = thread::Builder::new().name("password".to_owned());
            thread.spawn(move || work_off(&waiting)).expect("a thread can be started")
        });
        Self {
            turns: Arc::new(Semaphore::new(cores)),
            queue: Some(queue),
            threads: threads.collect(),
            decoy: hash(""),
        }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let turn = self.turns.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (reply, answer) = oneshot::channel();
        let work = Box::new(move || {
            // Whoever asked may be gone; the turn lasts as long as the work.
            let _ = reply.send(work());
            drop(turn);
        });
        self.queue
            .as_ref()
            .and_then(|queue| queue.send(work).ok())
            .expect("the threads last as long as the pool");
        answer.await.expect("hashing does not panic")
    }
}

fn work_off(waiting: &Mutex<mpsc::Receiver<Work>>) {
    // On Linux this is the priority of the calling thread alone. Without it everything works, but not as smoothly.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "passwords are hashed at full priority");
    }
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(work) => work(),
            Err(mpsc::RecvError) => return,
        }
    }
}

impl Drop for Argon2Pool {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that hashed passwords panicked");
            }
        }
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

    #[tokio::test]
    async fn who_asks_and_goes_leaves_its_turn_to_others() {
        let pool = Argon2Pool::new();
        for _ in 0..3 * pool.threads.len() {
            let mut asked = pool.hash("a".to_owned());
            assert!(futures_util::poll!(&mut asked).is_pending());
        }
        assert!(pool.hash("b".to_owned()).await.0.starts_with("$argon2id$"));
    }

    #[tokio::test]
    async fn others_come_first() {
        let pool = Argon2Pool::new();
        let of_pool = pool.run(|| rustix::process::getpriority_process(None)).await;
        assert_eq!(of_pool.unwrap(), NICENESS);
        assert!(rustix::process::getpriority_process(None).unwrap() < NICENESS);
    }
}
