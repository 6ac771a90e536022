//! Private talk: who is asked, who is introduced to whom, and where they are. The rest is between the two.
//!
//! Whatever is done to the requests is done while nobody may come or go, and is told before anything else is
//! done to them: so nobody is asked by or introduced to a session that is gone, and what sessions are told is
//! in order.

use std::sync::PoisonError;

use bytes::Bytes;
use hobnob_protocol::{
    codec,
    name::Name,
    v1::{
        AnswerInvite, Contact, Done, Invited, PeerEvent, ServerFrame, Sight, invited::Outcome,
        peer_event::Event, reply::Body, server_frame,
    },
};
use tokio::time::{Instant, sleep_until};

use crate::{
    handler::presence::internal,
    hub::{Place, Present},
    node::{Node, random},
    rules::invite::{Asking, Invites, Party, SHORTEST, Tell, To},
    store::{Account, AccountId, Result, Store},
};

/// Does something to the requests, and tells what it comes to.
fn change<R>(node: &Node, present: &Present<'_>, act: impl FnOnce(&mut Invites) -> (R, Vec<Tell>)) -> R {
    // Nothing under the lock can leave its data half changed.
    let mut invites = node.invites.lock().unwrap_or_else(PoisonError::into_inner);
    let (result, tells) = act(&mut invites);
    for tell in tells {
        let to = tell.to;
        match (encoded(present, tell), to) {
            (None, _) => {}
            (Some(frame), To::Session(account, session)) => {
                present.send_private(account, |one| one == session, &frame)
            }
            (Some(frame), To::Account(account)) => present.send_private(account, |_| true, &frame),
            (Some(frame), To::Others(account, session)) => {
                present.send_private(account, |one| one != session, &frame)
            }
        }
    }
    result
}

/// The frame that says it; `None`: it is not to be heard, because one of the two blocks the other.
fn encoded(present: &Present<'_>, tell: Tell) -> Option<Bytes> {
    let (To::Session(to, _) | To::Account(to) | To::Others(to, _)) = tell.to;
    let blocks = present.blocks(to, tell.about);
    let event = match tell.event.event? {
        Event::Asked(_) if blocks => return None,
        // To the one who was asked.
        Event::Ended(_) if blocks && !matches!(tell.to, To::Session(..)) => return None,
        // Who blocks the other may still want to reach it, and has its consent.
        Event::Contact(_) if present.blocks(tell.about, to) => return None,
        Event::Introduced(mut introduced) => {
            introduced.you_block = blocks;
            Event::Introduced(introduced)
        }
        event => event,
    };
    let body = server_frame::Body::Peer(PeerEvent { event: Some(event) });
    Some(codec::encode(&ServerFrame { body: Some(body) }))
}

fn invited(outcome: Outcome, user: &str, invite: Bytes) -> Body {
    Body::Invited(Invited { outcome: outcome as i32, user: user.to_owned(), invite })
}

/// A user by the name that somebody typed, and whether the user blocks `caller`.
fn find(store: &dyn Store, caller: AccountId, typed: &str) -> Result<Option<(Account, bool)>> {
    let Ok(name) = Name::parse(typed) else { return Ok(None) };
    let Some(account) = store.account_by_key(name.key())? else { return Ok(None) };
    let blocks = store.blockers_of(caller)?.contains(&account.id);
    Ok(Some((account, blocks)))
}

/// Asks a user. The order of the checks is the one of the interface: no answer betrays a blocker's presence.
pub(crate) async fn invite(node: &Node, asker: &Party, place: Place, typed: &str) -> Body {
    let (caller, typed) = (asker.account, typed.to_owned());
    let (account, blocks) = match node.reader.run(move |store| find(store, caller, &typed)).await {
        Ok(Some(found)) => found,
        Ok(None) => return invited(Outcome::InvalidUser, "", Bytes::new()),
        Err(error) => return internal(&error),
    };
    let answer = |outcome, invite| invited(outcome, &account.name, invite);
    if account.id == caller {
        return answer(Outcome::Self_, Bytes::new());
    }
    let name = Bytes::copy_from_slice(&random::<16>(&*node.world));
    let present = node.hub.present();
    // The second look finds what was committed since the first.
    if blocks || present.blocks(account.id, caller) {
        return answer(Outcome::Blocked, Bytes::new());
    }
    if !present.is_online(account.id) || !present.has(place) {
        return answer(Outcome::Offline, Bytes::new());
    }
    change(node, &present, |invites| {
        match invites.ask(asker.clone(), account.id, &account.name, name, Instant::now()) {
            Asking::Asked(invite, tells) => (answer(Outcome::Asked, invite), tells),
            Asking::Consented(invite, tells) => (answer(Outcome::Consented, invite), tells),
            Asking::Full => (answer(Outcome::Busy, Bytes::new()), Vec::new()),
        }
    })
}

/// Answers a request.
pub(crate) fn answer(node: &Node, by: &Party, place: Place, answer: &AnswerInvite) -> Body {
    let gone = || invited(Outcome::Gone, "", Bytes::new());
    let present = node.hub.present();
    if !present.has(place) {
        return gone();
    }
    change(node, &present, |invites| {
        match invites.answer(by, &answer.invite, answer.accept, Instant::now()) {
            Some(tells) => (Body::Done(Done {}), tells),
            None => (gone(), Vec::new()),
        }
    })
}

/// Takes a request back, or gives up an introduction.
pub(crate) fn cancel(node: &Node, place: Place, invite: &[u8]) -> Body {
    let present = node.hub.present();
    change(node, &present, |invites| ((), invites.cancel(place.session, invite, Instant::now())));
    Body::Done(Done {})
}

/// Notes where a session is.
pub(crate) fn contact(node: &Node, place: Place, contact: &Contact) {
    let present = node.hub.present();
    // One that is gone has no place for it any more.
    if present.has(place) {
        change(node, &present, |invites| ((), invites.contact(place.session, contact, Instant::now())));
    }
}

/// Whether `caller` may see that a user comes and goes.
pub(crate) async fn may_see(node: &Node, caller: AccountId, typed: String) -> Body {
    match node.reader.run(move |store| find(store, caller, &typed)).await {
        Ok(found) => Body::Sight(Sight { may: found.is_some_and(|(_, blocks)| !blocks) }),
        Err(error) => internal(&error),
    }
}

/// A session is connected: the frames that tell it what stands. What happens from now on goes to its mailbox.
pub(crate) fn arrived(node: &Node, place: Place) -> Vec<Bytes> {
    let present = node.hub.present();
    if !present.hears_private(place) {
        return Vec::new();
    }
    let resumed = place.generation > 1;
    let invites = node.invites.lock().unwrap_or_else(PoisonError::into_inner);
    let tells = invites.arrived(place.account, place.session, resumed, Instant::now());
    tells.into_iter().filter_map(|tell| encoded(&present, tell)).collect()
}

/// A session is over or offline; `last`: so is its user.
pub(crate) fn left(node: &Node, present: &Present<'_>, place: Place, last: bool) {
    let hidden_from = |user| present.blocks(place.account, user);
    change(node, present, |invites| {
        ((), invites.left(place.account, place.session, last, hidden_from, Instant::now()))
    });
}

/// Sees to requests whose time is up, for ever.
pub(crate) async fn expire(node: &Node) {
    loop {
        let now = Instant::now();
        let next = {
            let present = node.hub.present();
            change(node, &present, |invites| {
                let tells = invites.expire(now);
                (invites.deadline(), tells)
            })
        };
        // What is added from here on is not due before the shortest time has passed.
        let latest = now + SHORTEST;
        sleep_until(next.map_or(latest, |next| next.min(latest))).await;
    }
}
