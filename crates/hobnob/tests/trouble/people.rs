//! People who send at full speed, by the client library.

use hobnob_client::{Answer, Client, Command, Config, Door, Event, Events, Login, Proof, Slot};
use hobnob_protocol::v1::{Trouble, submitted::Outcome};

use crate::support::World;

/// Somebody who is logged in.
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) events: Events,
}

/// What a person has been told of the server's disk, and how many commands were accepted.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) troubles: Vec<Option<Trouble>>,
    pub(crate) accepted: usize,
}

impl Person {
    /// Logs in, registering.
    pub(crate) async fn join(world: &World, name: &str) -> Self {
        Self::join_with(world, name, "secret").await
    }

    /// The same with a password.
    pub(crate) async fn join_with(world: &World, name: &str, password: &str) -> Self {
        let config = Config {
            address: world.address().parse().unwrap(),
            data: world.path(name),
            pin: None,
            agent: "trouble".to_owned(),
            slot: Slot::Chat,
        };
        let mut door = Door::open(config).await.unwrap();
        let proof = || Proof::Password(password.to_owned());
        let login = match door.login(name, proof(), true).await.unwrap() {
            Login::Refused { .. } => door.login(name, proof(), false).await.unwrap(),
            login => login,
        };
        match login {
            Login::In { client, events, .. } => Self { client, events },
            refused => panic!("{refused:?}"),
        }
    }

    /// Sends texts of many KiB, numbered, until the server's disk is full, and a few more.
    pub(crate) async fn sends_until_full(&mut self, to: &str, kib: usize) -> (usize, Told) {
        let (mut sent, mut told) = (0, Told::default());
        while told.troubles.is_empty() {
            let text = format!("{sent} {}", "x".repeat(kib << 10));
            let command = Command::Message { to: to.to_owned(), text };
            tokio::select! {
                biased;
                event = self.events.next() => told.note(event.expect("it goes on")),
                given = self.client.submit(command), if sent - told.accepted < 200 => {
                    given.unwrap();
                    sent += 1;
                }
            }
        }
        (sent, told)
    }

    /// Reads until that many are accepted.
    pub(crate) async fn until_accepted(&mut self, count: usize, told: &mut Told) {
        while told.accepted < count {
            told.note(self.events.next().await.expect("it goes on"));
        }
    }

    /// Reads until it is told of the server's disk.
    pub(crate) async fn until_told(&mut self, trouble: Option<Trouble>, told: &mut Told) {
        while told.troubles.last() != Some(&trouble) {
            told.note(self.events.next().await.expect("it goes on"));
        }
    }

    /// Reads messages until there are so many; each with its sender and number.
    pub(crate) async fn receives(&mut self, count: usize) -> Vec<(String, usize)> {
        let mut received = Vec::new();
        while received.len() < count {
            if let Event::Message(message) = self.events.next().await.expect("it goes on") {
                let number = message.text.split(' ').next().unwrap().parse().unwrap();
                self.client.shown(message.stream, message.seq);
                received.push((message.sender, number));
            }
        }
        received
    }

    pub(crate) async fn leaves(mut self) {
        self.client.logout().await;
        while self.events.next().await.is_some() {}
    }
}

impl Told {
    fn note(&mut self, event: Event) {
        match event {
            Event::Trouble(trouble) => self.troubles.push(trouble),
            Event::Answer { answer: Answer::Submitted { outcome: Outcome::Accepted, .. }, .. } => {
                self.accepted += 1;
            }
            Event::Answer { answer, .. } => panic!("{answer:?}"),
            Event::Ended(end) => panic!("{end:?}"),
            _ => {}
        }
    }
}
