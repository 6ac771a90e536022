//! Getting a lost connection back: wait, connect, say hello, resume the session.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hobnob_protocol::v1::{self, client_frame, login_refused, reply};
use tokio::time::sleep;

use crate::greet::{self, Device};
use crate::link::{BoxLink, Connector};
use crate::storage::Cursor;
use crate::{Address, OpenError};

/// What it takes to resume a session.
pub(crate) struct Resume {
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) address: Address,
    pub(crate) agent: String,
    pub(crate) device: Device,
    pub(crate) name: String,
    pub(crate) token: Bytes,
}

/// How an attempt went.
pub(super) enum Attempt {
    Resumed {
        link: BoxLink,
        opened: Box<v1::Opened>,
        next_id: u64,
    },
    Refused {
        reason: login_refused::Reason,
        text: String,
    },
    /// Not now.
    Unreachable,
    /// Never, in words for a person.
    Failed(String),
}

/// An attempt, with the server's fingerprint if it was pinned under way.
pub(super) type Attempted = (Attempt, Option<String>);

/// One attempt, after a while.
pub(super) async fn attempt(
    resume: Arc<Resume>,
    after: Duration,
    outbox: [u8; 16],
    cursor: Cursor,
) -> Attempted {
    if !after.is_zero() {
        sleep(after).await;
    }
    let mut first_contact = None;
    let attempt = attempt_now(&resume, outbox, cursor, &mut first_contact).await;
    (attempt, first_contact)
}

async fn attempt_now(
    resume: &Resume,
    outbox: [u8; 16],
    cursor: Cursor,
    first_contact: &mut Option<String>,
) -> Attempt {
    let greeted = greet::open(&*resume.connector, &resume.address, &resume.agent, first_contact);
    let mut greeted = match greeted.await {
        Ok(greeted) => greeted,
        Err(error) => return failed(&error),
    };
    let body = client_frame::Body::Resume(v1::Resume {
        name: resume.name.clone(),
        token: resume.token.clone(),
        device: Some(resume.device.prove(&greeted.greeting, &resume.name, outbox)),
        position: Some(position(cursor)),
    });
    match greet::request(&mut greeted.link, &mut greeted.next_id, body).await {
        Ok(reply::Body::Opened(opened)) => {
            Attempt::Resumed { link: greeted.link, opened: Box::new(opened), next_id: greeted.next_id }
        }
        Ok(reply::Body::LoginRefused(refused)) => {
            Attempt::Refused { reason: refused.reason(), text: refused.text }
        }
        _ => Attempt::Unreachable,
    }
}

fn failed(error: &OpenError) -> Attempt {
    if error.may_retry() { Attempt::Unreachable } else { Attempt::Failed(error.to_string()) }
}

/// Where the client stands, for the wire.
pub(crate) fn position(cursor: Cursor) -> v1::Position {
    v1::Position { epoch: cursor.epoch.into(), inbox: cursor.inbox, broadcast: cursor.broadcast }
}
