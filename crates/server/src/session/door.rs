//! A connection before its login: hello, lookups, tries. Everything here is small and bounded, since nobody knows
//! who is there.

use std::net::IpAddr;

use bytes::Bytes;
use hobnob_protocol::{
    VERSION,
    close::Close,
    limits::{LOGIN_FRAME_BYTES_MAX, LOGIN_FRAMES_MAX, LOGIN_TIMEOUT},
    v1::{
        Greeting, Hello, LoginRefused, Lookup, Relay, client_frame::Body as Request, refused::Reason,
        reply::Body as Reply,
    },
};
use tokio::time::{Instant, timeout_at};

use crate::{
    handler::{
        claim::{self, LoggedIn},
        login::{self, Answered, Greeted, Refusal},
    },
    hub::Handle,
    link::{Gone, Link},
    node::{Node, random},
    security,
    session::wire::{Input, Wire, refused},
    throttle::Waiting,
};

/// A session that is to go live, and the request that it answers.
pub(super) struct Entered {
    pub(super) logged_in: LoggedIn,
    /// The login's request id.
    pub(super) id: u64,
    /// The key of the device.
    pub(super) device: Bytes,
}

/// Why the connection ends here; `None`: it is gone already.
type Ended = Option<Close>;

/// What ends a wait for the client. A request that was taken is always carried through: a login that was
/// dropped half-way would leave a session that nobody is at.
struct Patience<'a> {
    node: &'a Node,
    waiting: &'a Waiting,
    deadline: Instant,
}

/// Talks until somebody is logged in.
pub(super) async fn enter<L: Link>(
    node: &Node,
    wire: &mut Wire<L>,
    address: IpAddr,
    waiting: &Waiting,
    handle: &Handle,
) -> Result<Entered, Ended> {
    let patience = Patience { node, waiting, deadline: Instant::now() + LOGIN_TIMEOUT };
    let (id, hello) = match next(wire, &patience).await? {
        (id, Some(Request::Hello(hello))) => (id, hello),
        _ => return Err(Some(Close::BadFrame)),
    };
    // The key may have been replaced since the node began.
    let server_key = wire.server_key().unwrap_or_else(|| node.server_key.clone());
    let greeted = Greeted { address, source: address.into(), nonce: random(&*node.world), server_key };
    reply(wire, id, greet(node, &greeted, &hello)?).await?;
    for _ in 1..LOGIN_FRAMES_MAX {
        let (id, request) = next(wire, &patience).await?;
        let body = match request {
            Some(Request::Lookup(lookup)) => look_up(node, &greeted, lookup).await,
            Some(Request::Login(login)) => {
                let device = login.device.as_ref().map_or_else(Bytes::new, |device| device.key.clone());
                match answer(login::login(node, &greeted, login, handle).await)? {
                    Ok(logged_in) => return Ok(Entered { logged_in, id, device }),
                    Err(refused) => refused,
                }
            }
            Some(Request::Resume(resume)) => {
                let device = resume.device.as_ref().map_or_else(Bytes::new, |device| device.key.clone());
                let name = resume.name.clone();
                let resumed = claim::resume(node, &greeted, resume, handle).await;
                match &resumed {
                    Ok(logged_in) => security::resumed(address, &logged_in.name),
                    Err(Refusal::Reply(why, _)) => node.security.resume_refused(address, &name, *why),
                    Err(Refusal::Internal) => {}
                }
                match answer(resumed)? {
                    Ok(logged_in) => return Ok(Entered { logged_in, id, device }),
                    Err(refused) => refused,
                }
            }
            // Notes have no reply.
            Some(Request::Received(_) | Request::Alive(_) | Request::Contact(_) | Request::HoldMore(_)) => {
                continue;
            }
            None => refused(Reason::UnknownRequest, "This server does not know the request"),
            Some(_) => refused(Reason::NotLoggedIn, "Log in first"),
        };
        reply(wire, id, body).await?;
    }
    Err(Some(Close::LoginTimeout))
}

fn greet(node: &Node, greeted: &Greeted, hello: &Hello) -> Result<Reply, Ended> {
    if hello.version != VERSION {
        return Err(Some(Close::UnsupportedVersion));
    }
    Ok(Reply::Greeting(Greeting {
        version: VERSION,
        features: Vec::new(),
        nonce: Bytes::copy_from_slice(&greeted.nonce),
        server_key: greeted.server_key.clone(),
        relay: node.relay.as_ref().map(|relay| Relay { discovery_port: relay.discovery_port().into() }),
    }))
}

async fn look_up(node: &Node, greeted: &Greeted, lookup: Lookup) -> Reply {
    match login::lookup(node, greeted, &lookup).await {
        Ok(found) => Reply::Found(found),
        Err(error) => crate::handler::presence::internal(&error),
    }
}

/// Tells refusals that are replies from failures of the server.
fn answer(result: Answered<LoggedIn>) -> Result<Result<LoggedIn, Reply>, Ended> {
    match result {
        Ok(logged_in) => Ok(Ok(logged_in)),
        Err(Refusal::Reply(reason, text)) => {
            Ok(Err(Reply::LoginRefused(LoginRefused { reason: reason as i32, text })))
        }
        Err(Refusal::Internal) => Err(Some(Close::Internal)),
    }
}

async fn next<L: Link>(wire: &mut Wire<L>, patience: &Patience<'_>) -> Result<(u64, Option<Request>), Ended> {
    loop {
        let input = tokio::select! {
            biased;
            () = patience.node.shutdown.cancelled() => return Err(Some(Close::GoingAway)),
            () = patience.waiting.evicted.cancelled() => return Err(Some(Close::TooMany)),
            input = timeout_at(patience.deadline, wire.recv(LOGIN_FRAME_BYTES_MAX)) => input,
        };
        match input.map_err(|_| Some(Close::LoginTimeout))? {
            Input::Frame(frame) => return Ok((frame.id, frame.body)),
            Input::Alive => {}
            Input::Bad(close) => return Err(Some(close)),
            Input::Gone => return Err(None),
        }
    }
}

async fn reply<L: Link>(wire: &mut Wire<L>, id: u64, body: Reply) -> Result<(), Ended> {
    let gone = |Gone| None;
    wire.reply(id, body).await.map_err(gone)?;
    wire.flush().await.map_err(gone)
}
