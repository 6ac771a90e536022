//! What is told of requests, and to whom.

use hobnob_protocol::v1::{self, invite_ended::Reason, peer_event::Event};

use super::{Party, book::Request};
use crate::store::{AccountId, SessionId};

/// Whom to tell. Who is not connected is passed over, and told when it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// One session.
    Session(AccountId, SessionId),
    /// Every connected session of the user.
    Account(AccountId),
    /// Every connected session of the user but this one.
    Others(AccountId, SessionId),
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Tell {
    /// Whom.
    pub to: To,
    /// The other user, whom it is about.
    pub about: AccountId,
    /// What. `you_block` of an introduction is for the caller to fill in.
    pub event: v1::PeerEvent,
}

pub(super) fn question(request: &Request) -> Tell {
    let event = v1::Asked { invite: request.invite.clone(), user: request.asker.name.to_string() };
    tell(To::Account(request.asked), request.asker.account, Event::Asked(event))
}

pub(super) fn ended_to_asker(request: &Request, reason: Reason) -> Tell {
    let to = To::Session(request.asker.account, request.asker.session);
    tell(to, request.asked, ended(request, &request.asked_name, reason))
}

pub(super) fn ended_to_asked(request: &Request, reason: Reason, to: To) -> Tell {
    tell(to, request.asker.account, ended(request, &request.asker.name, reason))
}

/// One of the two gives an introduction up: the other need not wait for a link that does not come.
pub(super) fn given_up(request: &Request, answerer: &Party, by: SessionId) -> Tell {
    let asker = &request.asker;
    let [me, other] = if asker.session == by { [asker, answerer] } else { [answerer, asker] };
    to_session(other, me, ended(request, &me.name, Reason::Withdrawn))
}

fn ended(request: &Request, user: &str, reason: Reason) -> Event {
    let invite = request.invite.clone();
    Event::Ended(v1::InviteEnded { invite, user: user.to_owned(), reason: reason as i32 })
}

pub(super) fn to_session(to: &Party, about: &Party, event: Event) -> Tell {
    tell(To::Session(to.account, to.session), about.account, event)
}

fn tell(to: To, about: AccountId, event: Event) -> Tell {
    Tell { to, about, event: v1::PeerEvent { event: Some(event) } }
}
