//! What `share` and `get` stand on: a session, its files, and the network of peers.

use std::{
    collections::VecDeque,
    io::{self, Write},
    time::Duration,
};

use hobnob_client::{Answer, Client, End, Event};
use hobnob_peer::{
    files::{self as peer_files, Files, FilesEvents, Reply, Request, RequestId},
    network::{LinkEvent, Network, NetworkEvents},
};
use tokio::time::{Instant, sleep_until};

use super::{Session, Stop, met, say};
use crate::{
    chat::text,
    files::{self, Begin, Reach},
};

/// How long what is offered waits until the server can be told where it is to be found.
const CONTACT_MAX: Duration = Duration::from_secs(3);
/// Requests to the server that wait to be passed on; then files wait.
const PENDING_MAX: usize = 64;

/// All of it.
pub(super) struct Peers {
    session: Session,
    /// The session is over.
    over: bool,
    pub(super) files: Files,
    events: FilesEvents,
    network: Option<(Network, NetworkEvents)>,
    reach: Reach,
    pending: VecDeque<(RequestId, Request)>,
    /// Nothing is passed on before.
    contact_by: Option<Instant>,
}

/// What has happened.
pub(super) enum Happened {
    /// In the session, but what is dealt with here.
    Session(Event),
    /// To files, but what is dealt with here.
    Files(peer_files::Event),
}

impl Peers {
    /// Opens the network, and begins.
    pub(super) async fn begin(session: Session, begin: Begin) -> Result<Self, Stop> {
        let (holds, relay_only) = (begin.holds, begin.relay_only);
        let started = files::start(&session.client, begin).map_err(io::Error::other);
        let Some((files, events)) = started? else {
            say(&text::files::impossible(text::files::NOT_HERE))?;
            session.close().await;
            return Err(Stop::Exit(1));
        };
        let network = match Network::open(files::network_setup(&session.client, relay_only)).await {
            Ok((network, events)) => {
                // A queue that was just made has place.
                let _ = files.use_network(network.files());
                Some((network, events))
            }
            Err(error) => {
                // There is TCP still.
                say(&text::files::no_network(&error.to_string()))?;
                None
            }
        };
        let contact_by = (holds && network.is_some()).then(|| Instant::now() + CONTACT_MAX);
        let (reach, pending) = (Reach::default(), VecDeque::new());
        Ok(Self { session, over: false, files, events, network, reach, pending, contact_by })
    }

    /// The session.
    pub(super) fn client(&self) -> &Client {
        &self.session.client
    }

    /// What happens next. A future that is dropped has lost nothing.
    pub(super) async fn next(&mut self) -> io::Result<Happened> {
        loop {
            let asked = self.pending.front().filter(|_| self.contact_by.is_none()).cloned();
            let client = self.session.client.clone();
            let ask = async {
                match asked {
                    Some((id, request)) => client.aside(id.0, files::aside(request)).await,
                    None => std::future::pending().await,
                }
            };
            let linked = async {
                match &mut self.network {
                    Some((_, events)) => events.next().await,
                    None => std::future::pending().await,
                }
            };
            let contact_by = self.contact_by;
            tokio::select! {
                biased;
                event = self.session.events.next(), if !self.over => {
                    if let Some(happened) = self.heard(event) {
                        return Ok(happened);
                    }
                }
                event = linked => self.linked(event),
                asked = ask => {
                    let id = self.pending.pop_front();
                    if let (Some((id, _)), Err(_)) = (id, asked) {
                        self.answered(id, Reply::Away);
                    }
                }
                () = sleep_until(contact_by.unwrap_or_else(Instant::now)), if contact_by.is_some() => {
                    self.contact_by = None;
                }
                event = self.events.next(), if self.pending.len() < PENDING_MAX => match event {
                    Some(peer_files::Event::Server { id, request }) => self.pending.push_back((id, request)),
                    Some(peer_files::Event::Listening { port }) => {
                        let contact = self.reach.listening(port);
                        self.found_at(contact);
                    }
                    Some(event) => return Ok(Happened::Files(event)),
                    None => return Err(io::Error::other("files came to an end")),
                },
            }
        }
    }

    fn heard(&mut self, event: Option<Event>) -> Option<Happened> {
        match event {
            Some(Event::Aside { id, answer }) => self.answered(RequestId(id), files::reply(answer)),
            Some(Event::FirstContact(fingerprint)) => met(&self.session.server, &fingerprint),
            Some(Event::Reconnected) => {
                // Where it has no place, so much is under way that it is told by itself.
                let _ = self.files.announce();
                return Some(Happened::Session(Event::Reconnected));
            }
            Some(Event::Ended(end)) => {
                self.over = true;
                return Some(Happened::Session(Event::Ended(end)));
            }
            Some(event) => return Some(Happened::Session(event)),
            None => {
                self.over = true;
                return Some(Happened::Session(Event::Ended(End::LoggedOut { waiting: 0 })));
            }
        }
        None
    }

    fn linked(&mut self, event: Option<LinkEvent>) {
        match event {
            Some(LinkEvent::Contact(contact)) => {
                let contact = self.reach.network(contact);
                self.found_at(contact);
            }
            Some(LinkEvent::NoRelay(why)) => warn(&why),
            Some(_) => {}
            None => self.network = None,
        }
    }

    fn found_at(&mut self, contact: Option<hobnob_protocol::v1::Contact>) {
        if let Some(contact) = contact {
            self.session.client.contact(contact);
            self.contact_by = None;
        }
    }

    fn answered(&self, id: RequestId, reply: Reply) {
        if self.files.answered(id, reply).is_err() {
            tracing::warn!("too much is under way: an answer of the server is lost");
        }
    }

    /// Ends all of it, in order.
    pub(super) async fn close(self) {
        let Self { session, files, events, network, over, .. } = self;
        // Nobody reads what happens now, and nothing may wait for that.
        drop(events);
        let session = async {
            if !over {
                session.close().await;
            }
        };
        tokio::join!(session, files.leave());
        if let Some((network, events)) = network {
            drop(events);
            network.close().await;
        }
    }
}

/// Says something that is not the answer.
fn warn(why: &str) {
    let _ = writeln!(io::stderr(), "hobnob: {}", text::one_line(why));
}

/// What is said where the server was gone before it answered.
pub(super) const LOST: &str = "the connection was lost before the server answered";

/// The answer to one command, at the beginning of a session.
pub(super) async fn answer(session: &mut Session, command: hobnob_client::Command) -> Result<Answer, Stop> {
    // A new session has room for a command, so this does not wait. If it is over, an event says why.
    let _ = session.client.submit(command).await;
    loop {
        match session.events.next().await {
            Some(Event::Answer { ticket: Some(_), answer, .. }) => return Ok(answer),
            Some(Event::FirstContact(fingerprint)) => met(&session.server, &fingerprint),
            Some(Event::Ended(end)) => {
                let (words, code) = text::end(&end);
                say(&words)?;
                return Err(Stop::Exit(code.max(1)));
            }
            Some(_) => {}
            None => return Err(Stop::Exit(1)),
        }
    }
}
