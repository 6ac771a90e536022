//! Somebody who guesses passwords.

use hobnob_protocol::v1::login_refused::Reason;

use crate::{
    client::Client,
    net::{self, ELSEWHERE},
    pair::Pair,
    server::Server,
};

/// Wrong passwords of one source in ten minutes.
const FAILURES_MAX: usize = 100;
/// What one hash of a password takes, and a little.
const HASH_KIB: u64 = 20 * 1024;
/// Logins on one connection, of its 32 frames.
const TRIES: usize = 30;

#[tokio::test]
async fn guesses_are_counted_locked_and_throttled_and_others_talk_on() {
    let server = Server::start(&[]);
    let mut pair = Pair::open(server.address).await;
    let (luke, session) = Client::registered(server.address, "luke").await;
    let mut guesser = Guesser { server: &server, client: Client::greeted(server.address).await, tries: 0 };
    let before = server.rss_kib();
    // A name that exists is no different from those that do not.
    let mut failures = 0;
    for name in std::iter::once("luke".to_owned()).chain((1..).map(|number| format!("name{number}"))) {
        if failures + 3 > FAILURES_MAX {
            break;
        }
        for expected in [Reason::WrongPassword, Reason::WrongPassword, Reason::LockedNow, Reason::Locked] {
            assert_eq!(guesser.guess(&name).await, expected, "{name}");
        }
        failures += 3;
        pair.talk().await;
    }
    for _ in failures..FAILURES_MAX {
        assert_eq!(guesser.guess("last").await, Reason::WrongPassword);
    }
    for name in ["last", "another", "name1"] {
        assert_eq!(guesser.guess(name).await, Reason::Throttled, "{name}");
    }
    let grown = server.rss_kib().saturating_sub(before);
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    assert!(grown < (cores + 1) * HASH_KIB, "{grown} KiB more after {FAILURES_MAX} hashes one by one");
    pair.talk().await;
    // At the same address a session goes on, a new name can be made; elsewhere nothing has happened.
    drop(luke);
    let luke = Client::resumed(server.address, &session, 0).await;
    let (ben, _) = Client::registered(server.address, "ben").await;
    drop(ben);
    let stream = net::tls_over(net::tcp_from(server.address, ELSEWHERE, None).await).await;
    let mut elsewhere = Client::over(stream).await;
    elsewhere.hello().await;
    assert_eq!(elsewhere.log_in("yoda", "guess", false).await.err(), Some(Reason::WrongPassword));
    pair.talk().await;
    drop((pair, luke, elsewhere, guesser));
    server.stop();
}

struct Guesser<'a> {
    server: &'a Server,
    client: Client,
    tries: usize,
}

impl Guesser<'_> {
    /// One try, on a new connection where the old one has had enough.
    async fn guess(&mut self, name: &str) -> Reason {
        if self.tries == TRIES {
            (self.client, self.tries) = (Client::greeted(self.server.address).await, 0);
        }
        self.tries += 1;
        self.client.log_in(name, "guess", false).await.expect_err("nobody has this password")
    }
}
