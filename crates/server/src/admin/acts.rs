//! What changes something. Each act is one transaction, and is answered, logged and felt when that is durable.

use bytes::Bytes;
use hobnob_protocol::{name::Name, text};

use super::{
    Answer,
    wire::{Done, Password, Reason, Refused},
};
use crate::{
    handler::{
        claim,
        login::{check_new_password, find, new_account, registrable},
        message::entry_frame,
        presence,
    },
    hub::{Committed, Place},
    mailbox::Round,
    node::{Node, random},
    store::{self, Account, AccountId, Ended, NewName, SERVER, SERVER_NAME, Secret, StreamId, Tx},
};

/// An account and the form by which it is found.
pub(super) async fn account(node: &Node, typed: &str) -> Result<(Account, String), Refused> {
    let no_one = || Refused::new(Reason::NoSuchUser, "There is no such user");
    let key = Name::parse(typed).map_err(|_| no_one())?.key().to_owned();
    Ok((find(node, &key).await?.ok_or_else(no_one)?, key))
}

/// The account was deleted meanwhile.
fn gone() -> Refused {
    Refused::new(Reason::NoSuchUser, "There is no such user any more")
}

fn name_refused(why: impl std::fmt::Display) -> Refused {
    Refused::new(Reason::NameRefused, format!("This name cannot be used: {why}"))
}

fn name_taken() -> Refused {
    Refused::new(Reason::NameTaken, "There is a user of this name")
}

/// The password to set, hashed; and in the clear, if it was made here.
async fn hashed(node: &Node, given: Option<Password>) -> Result<(Secret, Option<Password>), Refused> {
    let made = given.is_none().then(|| make_password(node));
    let password = given.or_else(|| made.clone()).map_or_else(String::new, |password| password.0);
    check_new_password(&password).map_err(|why| Refused::new(Reason::PasswordRefused, why))?;
    Ok((node.passwords.hash(password).await, made))
}

/// 100 random bits as four groups of five signs, none of which is taken for another.
fn make_password(node: &Node) -> Password {
    const SIGNS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let signs: Vec<char> =
        random::<20>(&*node.world).iter().map(|byte| char::from(SIGNS[usize::from(byte % 32)])).collect();
    let groups: Vec<String> = signs.chunks(5).map(|group| group.iter().collect()).collect();
    Password(groups.join("-"))
}

/// Makes an account. What holds at registration holds here.
pub(super) async fn add(node: &Node, typed: &str, password: Option<Password>) -> Answer {
    let name = Name::parse(typed).map_err(name_refused)?;
    let (hash, made) = hashed(node, password).await?;
    // Of two names that look alike and come at once only one gets past the check.
    let _turn = node.gate.enter(&name.skeleton(), b"registration").await;
    if find(node, name.key()).await?.is_some() {
        return Err(name_taken());
    }
    registrable(node, &name).await?.map_err(name_refused)?;
    let new = new_account(node, &name, hash);
    if node.writer.run(move |tx| tx.add_account(&new)).await?.is_none() {
        return Err(name_taken());
    }
    Ok(Done { name: Some(name.display().to_owned()), password: made, ..Done::default() })
}

/// Sets another password: sessions end, with their tokens, and so does a lock-out.
pub(super) async fn reset(node: &Node, typed: &str, password: Option<Password>) -> Answer {
    let (account, key) = account(node, typed).await?;
    let (hash, made) = hashed(node, password).await?;
    let ended = end_sessions(node, account.id, Ended::PasswordChanged, move |tx, id| {
        tx.set_password(id, &hash)?;
        tx.clear_failures(&key)?;
        Ok(true)
    });
    let ended = ended.await?.ok_or_else(gone)?;
    Ok(Done { password: made, ..done(account.name, ended) })
}

/// Ends a lock-out. Limits by address stay: they are nobody's account.
pub(super) async fn unlock(node: &Node, typed: &str) -> Answer {
    let (account, key) = account(node, typed).await?;
    let classes = node.writer.run(move |tx| tx.clear_failures(&key)).await?;
    Ok(Done { name: Some(account.name), classes: Some(classes as u64), ..Done::default() })
}

/// Lets nobody log in, or its owner again.
pub(super) async fn set_disabled(node: &Node, typed: &str, disabled: bool) -> Answer {
    let (account, _) = account(node, typed).await?;
    if disabled {
        let ended = end_sessions(node, account.id, Ended::Kicked, |tx, id| {
            tx.set_disabled(id, true)?;
            Ok(true)
        });
        let ended = ended.await?.ok_or_else(gone)?;
        return Ok(done(account.name, ended));
    }
    let id = account.id;
    node.writer.run(move |tx| tx.set_disabled(id, false)).await?;
    Ok(Done { name: Some(account.name), ..Done::default() })
}

/// Ends all sessions with their tokens.
pub(super) async fn kick(node: &Node, typed: &str) -> Answer {
    let (account, _) = account(node, typed).await?;
    let ended = end_sessions(node, account.id, Ended::Kicked, |_, _| Ok(true)).await?.ok_or_else(gone)?;
    Ok(done(account.name, ended))
}

/// Gives an account another name. Its sessions end, since clients know themselves by it.
pub(super) async fn rename(node: &Node, typed: &str, to: &str) -> Answer {
    let (account, key) = account(node, typed).await?;
    let name = Name::parse(to).map_err(name_refused)?;
    if name.display() == account.name {
        return Ok(Done { formerly: Some(account.name.clone()), ..done(account.name, 0) });
    }
    let _turn = node.gate.enter(&name.skeleton(), b"registration").await;
    if name.key() != key && find(node, name.key()).await?.is_some() {
        return Err(name_taken());
    }
    // A name may look like the one it takes the place of.
    let alike = Name::parse(&account.name).is_ok_and(|old| old.skeleton() == name.skeleton());
    match alike {
        true => name.check_registrable().map_err(name_refused)?,
        false => registrable(node, &name).await?.map_err(name_refused)?,
    }
    let new =
        NewName { name: name.display().to_owned(), key: name.key().to_owned(), skeleton: name.skeleton() };
    let ended = end_sessions(node, account.id, Ended::Kicked, move |tx, id| tx.rename(id, &new));
    let ended = ended.await?.ok_or_else(name_taken)?;
    Ok(Done { formerly: Some(account.name), ..done(name.display().to_owned(), ended) })
}

/// Removes an account with all that is its own. What it has sent stays with those who have it.
pub(super) async fn delete(node: &Node, typed: &str) -> Answer {
    let (account, _) = account(node, typed).await?;
    let ended = end_sessions(node, account.id, Ended::Kicked, |tx, id| {
        tx.delete_account(id)?;
        Ok(true)
    });
    let ended = ended.await?.ok_or_else(gone)?;
    Ok(done(account.name, ended))
}

fn done(name: String, sessions_ended: usize) -> Done {
    Done { name: Some(name), sessions_ended: Some(sessions_ended as u64), ..Done::default() }
}

/// Ends all sessions of an account, with their tokens, and does `act` in the same transaction; then closes what is
/// connected and tells the others. `None`, and nothing is done: the account is gone, or `act` said `false`.
async fn end_sessions(
    node: &Node,
    id: AccountId,
    ended: Ended,
    mut act: impl FnMut(&mut dyn Tx, AccountId) -> store::Result<bool> + Send + 'static,
) -> store::Result<Option<usize>> {
    let now_ms = node.world.now_ms();
    let places = node.writer.run(move |tx| {
        if tx.account(id)?.is_none() {
            return Ok(None);
        }
        let rows = tx.sessions_of(id)?;
        if !act(tx, id)? {
            return Ok(None);
        }
        let places: Vec<Place> = rows.iter().map(claim::place).collect();
        if rows.iter().any(|row| row.online) {
            tx.set_last_seen(id, now_ms)?;
        }
        for row in rows {
            claim::end(tx, row, ended)?;
        }
        Ok(Some(places))
    });
    let Some(places) = places.await? else { return Ok(None) };
    let close = presence::close(ended);
    for place in &places {
        presence::detach(node, *place, close);
    }
    node.hub.end_visits(id, None, close);
    if let Some(relay) = &node.relay {
        relay.shut_out(id);
    }
    Ok(Some(places.len()))
}

/// Says something to everyone online, in the stream of broadcasts, under the server's own name.
pub(super) async fn announce(node: &Node, said: String) -> Answer {
    let refused = |why: &dyn std::fmt::Display| Refused::new(Reason::TextRefused, why.to_string());
    text::check(&said).map_err(|error| refused(&error))?;
    if said.trim().is_empty() {
        return Err(refused(&"There is nothing to say"));
    }
    let (bytes, now_ms) = (Bytes::copy_from_slice(said.as_bytes()), node.world.now_ms());
    let seq = node.writer.run(move |tx| tx.append(StreamId::Broadcast, SERVER, now_ms, &bytes)).await?;
    let frame = entry_frame(StreamId::Broadcast, seq, SERVER_NAME, &said, now_ms);
    let entry = Committed { stream: StreamId::Broadcast, seq, sender: SERVER, frame };
    node.wake.wake(&entry, &mut Round::default());
    let online = node.hub.online() as u64;
    Ok(Done { users_online: Some(online), ..Done::default() })
}
