//! Changing a password.

use std::net::IpAddr;

use bytes::Bytes;
use hobnob_protocol::{
    close::Close,
    v1::{ChangePassword, Done, refused::Reason, reply::Body},
};

use crate::{
    handler::{
        claim,
        login::check_new_password,
        presence::{detach, internal},
    },
    hub::Place,
    node::Node,
    rules::lockout,
    security,
    session::wire::refused,
    store::{Ended, Result, SessionId},
};

/// Changes the password of the user of this session and ends the user's other sessions.
pub(crate) async fn change(
    node: &Node,
    place: Place,
    from: Option<IpAddr>,
    device: Bytes,
    request: ChangePassword,
) -> Body {
    match try_change(node, place, from, device, request).await {
        Ok(body) => body,
        Err(error) => internal(&error),
    }
}

async fn try_change(
    node: &Node,
    place: Place,
    from: Option<IpAddr>,
    device: Bytes,
    request: ChangePassword,
) -> Result<Body> {
    if let Err(reason) = check_new_password(&request.new_password) {
        return Ok(refused(Reason::PasswordRefused, reason));
    }
    let id = place.account;
    let account = node.reader.run(move |store| store.account(id)).await?;
    let Some(account) = account else { return Ok(refused(Reason::Internal, "The account is gone")) };
    // Guesses at a terminal left alone count like those at the login: in the class of this device if it has
    // logged in with the password before, else among the strangers.
    let key_of_device = device.clone();
    let known = node.writer.run(move |tx| tx.device_known(id, &key_of_device)).await?;
    let device = if known { device } else { Bytes::new() };
    let key = hobnob_protocol::name::Name::parse(&account.name)
        .map_or_else(|_| account.name.clone(), |name| name.key().to_owned());
    let _turn = node.gate.enter(&key, &device).await;
    let (name, class, now) = (key.clone(), device.clone(), node.world.now_ms());
    let failures = node.writer.run(move |tx| tx.failures(&name, &class)).await?;
    if lockout::is_blocked(failures, now) {
        return Ok(refused(Reason::WrongPassword, "Too many wrong passwords. Please try again later"));
    }
    let verified = account.password.clone();
    if !node.passwords.verify(request.old_password, Some(account.password)).await {
        let block_duration = node.policy.get().block_duration;
        let block_ms = i64::try_from(block_duration.as_millis()).unwrap_or(i64::MAX);
        let failures = lockout::fail(failures, now, block_ms);
        security::password_not_changed(from, &account.name, failures.count);
        node.writer.run(move |tx| tx.set_failures(&key, &device, failures, now)).await?;
        return Ok(refused(Reason::WrongPassword, "Wrong password"));
    }
    let hash = node.passwords.hash(request.new_password).await;
    let others: Option<Vec<(SessionId, u64)>> = node
        .writer
        .run(move |tx| {
            // Looked at again, now that nothing can come between: a session that was ended meanwhile, with the password
            // that it knew, must not take the account back.
            let holds = tx.account(id)?.is_some_and(|account| account.password == verified);
            if !holds || tx.session(place.session)?.is_none_or(|row| row.ended.is_some()) {
                return Ok(None);
            }
            tx.set_password(id, &hash)?;
            tx.set_failures(&key, &device, Default::default(), now)?;
            let mut others = Vec::new();
            for row in tx.sessions_of(id)? {
                if row.id != place.session {
                    others.push((row.id, row.generation));
                    claim::end(tx, row, Ended::PasswordChanged)?;
                }
            }
            Ok(Some(others))
        })
        .await?;
    let Some(others) = others else { return Ok(refused(Reason::WrongPassword, "Wrong password")) };
    security::password_changed(from, &account.name, others.len());
    for (session, generation) in others {
        detach(node, Place { account: id, session, generation }, Close::PasswordChanged);
    }
    node.hub.end_visits(id, Some(place.session), Close::PasswordChanged);
    Ok(Body::Done(Done {}))
}
