//! Two honest people, whom nothing that others do may keep from talking.

use std::{net::SocketAddr, time::Duration};

use hobnob_protocol::v1::{Entry, server_frame::Body as Event, submitted::Outcome};
use tokio::time::Instant;

use crate::client::{Client, message};

/// How long they wait for each other at most, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// Two sessions.
pub(crate) struct Pair {
    hans: Client,
    yoda: Client,
    said: u64,
}

impl Pair {
    pub(crate) async fn open(server: SocketAddr) -> Self {
        let (hans, _) = Client::registered(server, "hans").await;
        let (yoda, _) = Client::registered(server, "yoda").await;
        Self { hans, yoda, said: 0 }
    }

    /// Each says something that the other gets, and soon.
    pub(crate) async fn talk(&mut self) {
        let start = Instant::now();
        self.said += 1;
        say(&mut self.hans, "hans", &mut self.yoda, "yoda", self.said).await;
        say(&mut self.yoda, "yoda", &mut self.hans, "hans", self.said).await;
        let took = start.elapsed();
        assert!(took < PATIENCE, "two messages took {took:?}");
    }
}

async fn say(from: &mut Client, sender: &str, to: &mut Client, name: &str, number: u64) {
    let text = format!("{sender} says {number}");
    let submitted = from.submit(number, message(name, &text)).await;
    assert_eq!(submitted.outcome(), Outcome::Accepted);
    assert_eq!(entry_from(to, sender).await.text, text);
}

/// The next entry of a sender; what others say is theirs.
async fn entry_from(client: &mut Client, sender: &str) -> Entry {
    loop {
        match client.event().await {
            Ok(Event::Entry(entry)) if entry.sender == sender => return entry,
            Ok(_) => {}
            Err(closed) => panic!("an honest session was closed: {closed:?}"),
        }
    }
}
