//! What shares and downloads need of a session: its folder and key, a network, and the server's ear. Both the line
//! client and the one-shots stand on it.

use std::path::PathBuf;

use hobnob_client::{Answer, Aside, Client};
use hobnob_peer::{
    file::ContentId,
    files::{Content, Files, FilesError, FilesEvents, Reply, Request, Setup, tcp_addresses},
    network::{self, Relay},
};
use hobnob_protocol::v1::{self, refused::Reason};

/// How a session's files are begun.
pub(crate) struct Begin {
    /// Where downloads go.
    pub(crate) downloads: PathBuf,
    /// Never show an address to others.
    pub(crate) relay_only: bool,
    /// What is here is offered to others: the session is online.
    pub(crate) holds: bool,
    /// What was shared before is shared again, and what is shared now will be. Otherwise the session offers only what
    /// it is told to.
    pub(crate) comes_back: bool,
    /// Whom the user blocks.
    pub(crate) blocked: Vec<String>,
}

/// Begins with the files of a session; `None`: it has no place on disk for them, or a server that knows none.
///
/// # Errors
/// The folder cannot be used.
pub(crate) fn start(client: &Client, begin: Begin) -> Result<Option<(Files, FilesEvents)>, FilesError> {
    let peering = client.peering();
    let (Some(data), Some(ticket_key)) = (peering.files.clone(), peering.ticket_key) else { return Ok(None) };
    let Begin { downloads, relay_only, holds, comes_back, blocked } = begin;
    let seed = peering.seed;
    Files::start(Setup {
        seed,
        ticket_key,
        data,
        downloads,
        relay_only,
        holds,
        comes_back,
        listen: None,
        blocked,
    })
    .map(Some)
}

/// What the network of peers of a session is opened with.
pub(crate) fn network_setup(client: &Client, relay_only: bool) -> network::Setup {
    let peering = client.peering();
    let relay = peering.relay.zip(peering.verifier.clone()).map(|(relay, verifier)| Relay {
        host: peering.address.host.clone(),
        port: peering.address.port,
        tls: !peering.address.plain,
        // What is no port is none.
        discovery_port: u16::try_from(relay.discovery_port).unwrap_or(0),
        verifier,
    });
    network::Setup { seed: peering.seed, relay, relay_only }
}

/// A file's name as its owner has it, as it is offered to others. What is none is not changed by that: an id, a pattern.
pub(crate) fn offered_name(typed: &str) -> String {
    hobnob_peer::file::name::safe(typed)
}

/// Whether this may be what somebody means by a name or an id: a whole id means its content and nothing else.
pub(crate) fn may_be_meant(meant: &str, file: &v1::FileEntry) -> bool {
    let id = file.content.as_ref().and_then(Content::of_wire).map(|content| content.id);
    meant.len() != 64 || meant.parse::<ContentId>().map_or(true, |wanted| id == Some(wanted))
}

/// What is to be asked of the server, as its client asks it.
pub(crate) fn aside(request: Request) -> Aside {
    match request {
        Request::Hold(hold) => Aside::Hold(hold),
        Request::HoldMore(more) => Aside::HoldMore(more),
        Request::Release(release) => Aside::Release(release),
        Request::FindSources(find) => Aside::FindSources(find),
    }
}

/// What the server has answered.
pub(crate) fn reply(answer: Answer) -> Reply {
    match answer {
        Answer::Done => Reply::Done,
        Answer::Sources(sources) => Reply::Sources(sources),
        Answer::Refused { reason, text } => {
            let is_final = matches!(reason, Reason::BadRequest | Reason::TooMany);
            Reply::Refused { why: text, is_final }
        }
        _ => Reply::Away,
    }
}

/// Where others reach this device, as the network of peers and the TCP listener of files have said.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    contact: Option<v1::Contact>,
    tcp: Option<u16>,
}

impl Reach {
    /// The network has said where it is; the result is for the server to know.
    pub(crate) fn network(&mut self, contact: v1::Contact) -> Option<v1::Contact> {
        self.contact = Some(contact);
        self.told()
    }

    /// Files listen on this TCP port; the result is for the server to know.
    pub(crate) fn listening(&mut self, port: u16) -> Option<v1::Contact> {
        self.tcp = Some(port);
        self.told()
    }

    fn told(&self) -> Option<v1::Contact> {
        let contact = self.contact.clone()?;
        let tcp = self.tcp.map(|port| tcp_addresses(&contact.addresses, port)).unwrap_or_default();
        Some(v1::Contact { tcp, ..contact })
    }
}
