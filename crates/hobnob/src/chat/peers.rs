//! The network of peers, opened when it is first needed, and the file of their keys.

use std::{collections::VecDeque, sync::Arc};

use hobnob_client::{Client, storage::PeersFile};
use hobnob_peer::{
    keys::Keys,
    network::{FilesPort, Link, LinkEvent, Network, NetworkError, NetworkEvents, Path, Setup},
    talk::{Effect, Talks},
};

use super::text;
use crate::files;

/// What carries out the wishes of private talk.
pub(super) struct Peers {
    setup: Setup,
    network: Option<(Network, NetworkEvents)>,
    /// What follows from wishes while there is no network. Each follows from a wish of a talk, of which there are few.
    unheard: VecDeque<LinkEvent>,
    file: Option<Arc<dyn PeersFile>>,
}

impl Peers {
    /// For a session, with its private talks, and what a person has to be told.
    pub(super) fn new(client: &Client, relay_only: bool) -> (Self, Talks, String) {
        let peering = client.peering();
        let setup = files::network_setup(client, relay_only);
        let (file, text, words) = match peering.peers.clone().map(|file| (file.load(), file)) {
            None => (None, String::new(), String::new()),
            Some((Ok(text), file)) => (Some(file), text, String::new()),
            // It is not written either, so that nothing is lost that somebody may yet mend.
            Some((Err(error), _)) => {
                (None, String::new(), text::private::keys_unreadable(&error.to_string()))
            }
        };
        let talks = Talks::new(client.name(), peering.key, Keys::from_text(&text));
        let peers = Self { setup, network: None, unheard: VecDeque::new(), file };
        (peers, talks, words)
    }

    /// Carries out one wish; the result is what a person has to be told.
    pub(super) async fn carry_out(&mut self, effect: Effect) -> String {
        match (effect, &self.network) {
            (Effect::Prepare, None) => match self.open().await {
                Ok(()) => String::new(),
                Err(why) => text::private::no_network(&why),
            },
            (effect, Some((network, _))) => {
                network.carry_out(effect);
                String::new()
            }
            (Effect::Dial { invite, .. }, None) => {
                self.unheard.push_back(LinkEvent::Failed { invite });
                String::new()
            }
            (_, None) => String::new(),
        }
    }

    async fn open(&mut self) -> Result<(), String> {
        let opened = Network::open(self.setup.clone()).await;
        self.network = Some(opened.map_err(|NetworkError::Bind(why)| why)?);
        Ok(())
    }

    /// The port for files; the network is opened if it is not open.
    ///
    /// # Errors
    /// It cannot be, in words for a person.
    pub(super) async fn files(&mut self) -> Result<Option<FilesPort>, String> {
        if self.network.is_none() {
            self.open().await?;
        }
        Ok(self.network.as_ref().map(|(network, _)| network.files()))
    }

    /// What happens next. A future that is dropped has lost nothing.
    pub(super) async fn next(&mut self) -> LinkEvent {
        if let Some(event) = self.unheard.pop_front() {
            return event;
        }
        let event = match &mut self.network {
            Some((_, events)) => events.next().await,
            None => None,
        };
        match event {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// How a link runs.
    pub(super) fn path(&self, link: Link) -> Option<Path> {
        self.network.as_ref()?.0.path(link)
    }

    /// Keeps the keys of others; the result is what a person has to be told.
    pub(super) fn save(&self, keys: &str) -> String {
        match self.file.as_ref().map(|file| file.save(keys)) {
            Some(Err(error)) => text::private::keys_unsaved(&error.to_string()),
            Some(Ok(())) | None => String::new(),
        }
    }

    /// Closes the network: takes 2 s at most.
    pub(super) async fn close(&mut self) {
        if let Some((network, events)) = self.network.take() {
            // Nobody reads what happens now, and nothing may wait for that.
            drop(events);
            network.close().await;
        }
    }
}
