//! Files of a session, begun when they are first needed, and the way to them over the network of peers.

use std::{collections::VecDeque, path::PathBuf};

use hobnob_client::Client;
use hobnob_peer::files::{Event, Files, FilesEvents, kept_any};
use hobnob_protocol::v1;

use super::{
    files::{Place, Wish},
    peers::Peers,
    text,
};
use crate::files::{self, Begin, Reach};

/// What carries out wishes about files.
pub(super) struct Exchange {
    client: Client,
    downloads: PathBuf,
    relay_only: bool,
    reach: Reach,
    state: State,
    /// They know the network.
    joined: bool,
    /// There is none, as a person was told.
    alone: bool,
    /// What follows from wishes that cannot be carried out. Each follows from something typed, and is taken before more is.
    unheard: VecDeque<Event>,
}

enum State {
    /// Nobody has needed files.
    Idle,
    Begun(Files, FilesEvents),
    /// They cannot begin, for this reason.
    Impossible(String),
}

impl Exchange {
    /// For a session, whose downloads go to this folder.
    pub(super) fn new(client: &Client, downloads: PathBuf, relay_only: bool) -> Self {
        Self {
            client: client.clone(),
            // What is kept of them has to make sense wherever the next session begins.
            downloads: std::path::absolute(&downloads).unwrap_or(downloads),
            relay_only,
            reach: Reach::default(),
            state: State::Idle,
            joined: false,
            alone: false,
            unheard: VecDeque::new(),
        }
    }

    /// What the session has to know of files when it begins.
    pub(super) fn place(&self, row: bool) -> Place {
        let peering = self.client.peering();
        let offers = peering.ticket_key.is_some() && peering.files.as_deref().is_some_and(kept_any);
        Place { home: std::env::home_dir().filter(|home| home.is_absolute()), offers, row }
    }

    /// Begins, with these users blocked. Where that is not possible, the next wish says so.
    pub(super) fn begin(&mut self, blocked: Vec<String>) {
        let (downloads, relay_only) = (self.downloads.clone(), self.relay_only);
        let begin = Begin { downloads, relay_only, holds: true, comes_back: true, blocked };
        let begun = files::start(&self.client, begin);
        self.state = match begun {
            Ok(Some((files, events))) => State::Begun(files, events),
            Ok(None) => State::Impossible(text::files::NOT_HERE.to_owned()),
            Err(error) => State::Impossible(error.to_string()),
        };
    }

    /// Sees that there is a network; the result is what a person has to be told, once for each wish that needs it.
    pub(super) async fn join(&mut self, peers: &mut Peers) -> String {
        let State::Begun(files, _) = &self.state else { return String::new() };
        if self.joined {
            return String::new();
        }
        match peers.files().await {
            Ok(Some(port)) => {
                self.joined = files.use_network(port).is_ok();
                String::new()
            }
            Ok(None) => String::new(),
            Err(_) if std::mem::replace(&mut self.alone, true) => String::new(),
            Err(why) => text::files::no_network(&why),
        }
    }

    /// Carries out one wish; the result is what a person has to be told.
    pub(super) async fn carry_out(&mut self, wish: Wish, peers: &mut Peers) -> String {
        let words = match wish {
            Wish::Download(_) | Wish::Share(_) => {
                self.alone = false;
                self.join(peers).await
            }
            _ => String::new(),
        };
        let State::Begun(files, _) = &self.state else {
            let why = if let State::Impossible(why) = &self.state { why.clone() } else { String::new() };
            return self.refuse(wish, &why);
        };
        let done = match wish.clone() {
            Wish::Share(path) => files.share(path),
            Wish::Unshare(meant) => files.unshare(meant),
            Wish::Shares => files.shares(),
            Wish::Download(entry) => files.download(entry),
            Wish::Cancel(meant) => files.cancel(meant),
            Wish::Downloads => files.downloads(),
            Wish::Block(user) => files.block(user),
            Wish::Unblock(user) => files.unblock(user),
            Wish::Answered(id, reply) => files.answered(id, reply),
            Wish::Announce => files.announce(),
        };
        match done {
            Ok(()) => words,
            Err(busy) => words + &self.refuse(wish, &busy.to_string()),
        }
    }

    /// Nothing comes of a wish.
    fn refuse(&mut self, wish: Wish, why: &str) -> String {
        let why = why.to_owned();
        match wish {
            Wish::Share(path) => self.unheard.push_back(Event::ShareFailed { path, why }),
            Wish::Download(entry) => {
                let (name, id) = (entry.name, entry.content.id);
                self.unheard.push_back(Event::DownloadFailed { name, id, why, resumable: false });
            }
            Wish::Unshare(_) | Wish::Shares | Wish::Cancel(_) | Wish::Downloads => {
                return text::files::impossible(&why);
            }
            Wish::Block(_) | Wish::Unblock(_) | Wish::Answered(..) | Wish::Announce => {}
        }
        String::new()
    }

    /// What happens next. A future that is dropped has lost nothing.
    pub(super) async fn next(&mut self) -> Event {
        if let Some(event) = self.unheard.pop_front() {
            return event;
        }
        let event = match &mut self.state {
            State::Begun(_, events) => events.next().await,
            State::Idle | State::Impossible(_) => None,
        };
        match event {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// The network has said where this device is.
    pub(super) fn reachable(&mut self, contact: v1::Contact) {
        let known = self.reach.network(contact);
        self.tell(known);
    }

    /// Files are given on this TCP port.
    pub(super) fn listening(&mut self, port: u16) {
        let known = self.reach.listening(port);
        self.tell(known);
    }

    fn tell(&self, contact: Option<v1::Contact>) {
        if let Some(contact) = contact {
            self.client.contact(contact);
        }
    }

    /// Ends everything, so that what came is kept: takes 10 s at most.
    pub(super) async fn leave(&mut self) {
        if let State::Begun(files, events) = std::mem::replace(&mut self.state, State::Idle) {
            // Nobody is told of what happens now, and nothing may wait for that.
            drop(events);
            files.leave().await;
        }
    }
}
