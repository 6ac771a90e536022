//! What earlier processes left in other folders of the user, and no process has any more: whoever comes online
//! delivers it, each outbox on a connection of its own and under its own numbers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hobnob_protocol::v1::{self, client_frame, reply};
use tokio::time::{Instant, timeout_at};

use crate::driver::{self, Resume, Start};
use crate::event::{End, Event};
use crate::greet::{self, Device, Greeted};
use crate::state::Begin;
use crate::storage::{Folder, TokenFile};
use crate::{Config, Parts, Peering};

/// How long all of it may take; what is not answered then stays for the next time.
const TIME_MAX: Duration = Duration::from_secs(10);

/// For whom it is delivered.
pub(crate) struct Errand<'a> {
    pub(crate) config: &'a Config,
    pub(crate) parts: &'a Parts,
    /// The user as typed, by which the folders are found, and as first registered.
    pub(crate) user: &'a str,
    pub(crate) name: &'a str,
    /// Of the session that was just opened.
    pub(crate) token: Bytes,
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Delivered {
    /// The answers, in order, and first contacts.
    pub(crate) events: Vec<Event>,
    pub(crate) answers: usize,
    /// An outbox was damaged.
    pub(crate) damaged: bool,
}

impl Errand<'_> {
    /// One folder after the other. What cannot be done is left for the next time.
    pub(crate) async fn run(&self) -> Delivered {
        let deadline = Instant::now() + TIME_MAX;
        let mut delivered = Delivered::default();
        let mut number = 0;
        while Instant::now() < deadline
            && let Some((next, folder)) = self.parts.storage.left_behind(self.user, number)
        {
            number = next;
            delivered.damaged |= folder.outbox.damaged();
            if folder.waiting.submits.is_empty() {
                continue;
            }
            let mut first_contact = None;
            let start = timeout_at(deadline, self.log_in(folder, &mut first_contact)).await;
            delivered.events.extend(first_contact.map(Event::FirstContact));
            match start {
                Ok(Some(start)) => deliver(start, deadline, &mut delivered).await,
                _ => tracing::warn!(number, "what is left in a folder cannot be delivered now"),
            }
        }
        delivered
    }

    /// A background session of the folder's own device.
    async fn log_in(&self, mut folder: Folder, first_contact: &mut Option<String>) -> Option<Start> {
        let Config { address, agent, .. } = self.config;
        let device = Device::new(&folder.seed);
        let open = greet::open(&*self.parts.connector, address, agent, first_contact);
        let greeted = open.await.ok()?;
        let peering = Peering::new(&*self.parts.connector, address, &greeted, &folder, device.public());
        let Greeted { mut link, greeting, mut next_id, .. } = greeted;
        let body = client_frame::Body::Login(v1::Login {
            name: self.name.to_owned(),
            proof: Some(v1::login::Proof::Token(self.token.clone())),
            register: false,
            background: true,
            device: Some(device.prove(&greeting, self.name, folder.outbox.name())),
            // The streams are no concern of this session.
            position: None,
            invitation: Bytes::new(),
        });
        let opened = match greet::request(&mut link, &mut next_id, body).await.ok()? {
            reply::Body::Opened(opened) => opened,
            _ => return None,
        };
        let resume = Resume {
            connector: Arc::clone(&self.parts.connector),
            address: address.clone(),
            agent: agent.clone(),
            device,
            name: opened.name.clone(),
            token: opened.token.clone(),
        };
        let waiting = std::mem::take(&mut folder.waiting);
        folder.token = Box::new(Untouched(folder.token));
        let begin = Begin { background: true, waiting, cursor: folder.cursor.load(), opened, next_id };
        Some(Start { begin, link, folder, resume, random: Arc::clone(&self.parts.random), peering })
    }
}

/// Waits for the answers to all that is left over.
async fn deliver(start: Start, deadline: Instant, delivered: &mut Delivered) {
    let (client, mut events, _) = driver::start(start);
    client.logout().await;
    loop {
        match timeout_at(deadline, events.next()).await {
            Ok(Some(event)) => delivered.take(event),
            Ok(None) => return,
            Err(_) => break,
        }
    }
    client.leave();
    // Until the outbox is written and the folder free.
    while let Some(event) = events.next().await {
        delivered.take(event);
    }
}

impl Delivered {
    fn take(&mut self, event: Event) {
        match event {
            Event::Answer { .. } => {
                self.answers += 1;
                self.events.push(event);
            }
            Event::FirstContact(_) => self.events.push(event),
            Event::Ended(End::LoggedOut { waiting: 0 }) => {}
            Event::Ended(end) => tracing::warn!(?end, "not all that is left in a folder was delivered"),
            _ => {}
        }
    }
}

/// The folder's saved token is of another session, so it stays as it is; its lock is kept.
struct Untouched(#[expect(dead_code, reason = "holds the lock")] Box<dyn TokenFile>);

impl TokenFile for Untouched {
    fn save(&mut self, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn remove(&mut self) {}
}
