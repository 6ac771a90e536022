//! Lookup, login and registration: who it is. `claim.rs` opens the session.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use hobnob_protocol::{
    device_challenge,
    limits::PASSWORD_CHARS_MAX,
    name::Name,
    v1::{Device, Found, Login, Lookup, found::Answer, login::Proof, login_refused::Reason},
};

use crate::{
    config::Registration,
    handler::{
        claim::{self, LoggedIn},
        invitation::{self, Entrance, Worth},
    },
    hub::Handle,
    node::Node,
    rules::lockout,
    security::{self, By, Seen},
    store::{Account, AccountId, Ended, NewAccount, Result, Secret, SessionRow},
    throttle::{Attempt, Source},
    trouble::Trouble,
};

/// Why nobody was logged in.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A reply; the connection may try again.
    Reply(Reason, String),
    /// The store failed; its error is in the log.
    Internal,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        // In words for clients that do not know the reason yet.
        let text = match reason {
            Reason::Kicked => "Your session was ended by the server's keeper",
            Reason::Disabled => "This account is disabled. Please ask the server's keeper",
            Reason::NotInvited => invitation::NOT_VALID,
            _ => "",
        };
        Self::Reply(reason, text.to_owned())
    }
}

impl From<crate::store::StoreError> for Refusal {
    fn from(error: crate::store::StoreError) -> Self {
        // What keeps the store from being written is said once, by the writer.
        if let Some(trouble) = Trouble::of(&error) {
            return Self::Reply(Reason::Throttled, trouble.for_clients().to_owned());
        }
        tracing::error!(%error, "a login failed in the store");
        Self::Internal
    }
}

pub(crate) type Answered<T> = std::result::Result<T, Refusal>;

/// What the connection has agreed on before a login.
pub(crate) struct Greeted {
    pub(crate) address: IpAddr,
    /// By which limits count.
    pub(crate) source: Source,
    /// The hash of the key that the client was shown on this connection.
    pub(crate) server_key: Bytes,
    pub(crate) nonce: [u8; 32],
}

/// Whether a name is new; silent about that where registration is closed, and to who shows no invitation where it
/// takes one.
pub(crate) async fn lookup(node: &Node, greeted: &Greeted, lookup: &Lookup) -> Result<Found> {
    let answer = |answer: Answer, reason: String| Found { answer: answer as i32, reason };
    let silent = match node.policy.get().registration {
        Registration::Open => None,
        Registration::Closed => Some(Answer::Known),
        Registration::Invite => match invitation::judge(node, greeted, &lookup.invitation).await? {
            Worth::Good(_) => None,
            Worth::NotShown => Some(Answer::ByInvitation),
            Worth::Nothing => Some(Answer::InvitationRefused),
            Worth::Throttled => Some(Answer::TryLater),
        },
    };
    if let Some(silent) = silent {
        return Ok(answer(silent, String::new()));
    }
    let name = match Name::parse(&lookup.name) {
        Ok(name) => name,
        Err(error) => return Ok(answer(Answer::Refused, error.to_string())),
    };
    let key = name.key().to_owned();
    if node.reader.run(move |store| store.account_by_key(&key)).await?.is_some() {
        return Ok(answer(Answer::Known, String::new()));
    }
    Ok(match registrable(node, &name).await? {
        Ok(()) => answer(Answer::New, String::new()),
        Err(reason) => answer(Answer::Refused, reason),
    })
}

/// Whether a name may be taken, as far as others like it go.
pub(crate) async fn registrable(node: &Node, name: &Name) -> Result<std::result::Result<(), String>> {
    if let Err(error) = name.check_registrable() {
        return Ok(Err(error.to_string()));
    }
    let skeleton = name.skeleton();
    let taken = node.reader.run(move |store| store.skeleton_exists(&skeleton)).await?;
    Ok(if taken { Err("it looks like an existing one".to_owned()) } else { Ok(()) })
}

/// Logs in with a password or a token, registering the name where that is asked.
pub(crate) async fn login(
    node: &Node,
    greeted: &Greeted,
    login: Login,
    handle: &Handle,
) -> Answered<LoggedIn> {
    let name = login.name.clone();
    let mut seen = Seen::default();
    let answered = try_login(node, greeted, login, &mut seen, handle).await;
    if let Err(Refusal::Reply(reason, text)) = &answered {
        let reason = security::reason(*reason, text);
        node.security.login_refused(greeted.address, &name, &seen, &reason);
    }
    answered
}

async fn try_login(
    node: &Node,
    greeted: &Greeted,
    login: Login,
    seen: &mut Seen,
    handle: &Handle,
) -> Answered<LoggedIn> {
    let device = login.device.clone().unwrap_or_default();
    check_device(greeted, &login.name, &device)?;
    let (account, failed_logins) = match &login.proof {
        Some(Proof::Password(password)) => {
            by_password(node, greeted, &login, &device, password, seen).await?
        }
        Some(Proof::Token(token)) => (by_token(node, &login.name, token, device.key.clone()).await?, 0),
        None => return Err(Reason::WrongPassword.into()),
    };
    seen.account = Some(account.name.to_string());
    let mut logged_in = claim::open(node, &account, &login, &device, handle).await?;
    logged_in.opened.failed_logins = failed_logins;
    let by = if matches!(login.proof, Some(Proof::Password(_))) { By::Password } else { By::Token };
    let replaced = logged_in.replaced.len();
    security::logged_in(greeted.address, &logged_in.name, by, seen, login.background, replaced);
    Ok(logged_in)
}

pub(crate) fn check_device(greeted: &Greeted, name: &str, device: &Device) -> Answered<()> {
    let challenge = device_challenge(&greeted.nonce, name, &greeted.server_key);
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, &device.key);
    let genuine = device.key.len() == 32 && device.outbox.len() == 16;
    if genuine && key.verify(&challenge, &device.signature).is_ok() {
        return Ok(());
    }
    Err(Reason::BadDevice.into())
}

/// The account, and how many others failed since its last login.
async fn by_password(
    node: &Node,
    greeted: &Greeted,
    login: &Login,
    device: &Device,
    password: &str,
    seen: &mut Seen,
) -> Answered<(Account, u32)> {
    // A name that cannot be one is counted under what was typed, like any that nobody has.
    let name = Name::parse(&login.name);
    let key = name.as_ref().map_or(login.name.clone(), |name| name.key().to_owned());
    // Who is not invited learns nothing of the name.
    let entrance = invitation::entrance(node, greeted, login).await?;
    let found = find(node, &key).await?;
    seen.account = found.as_ref().map(|account| account.name.to_string());
    if let Some(entrance) = entrance {
        if found.is_some() {
            return Err(Reason::NameTaken.into());
        }
        let name = name.map_err(|error| Refusal::Reply(Reason::NameRefused, error.to_string()))?;
        return Ok((register(node, greeted, name, password, device.key.clone(), entrance).await?, 0));
    }
    // Asked for every name, so that the time does not tell which exist.
    let id = found.as_ref().map_or(AccountId(0), |account| account.id);
    let known = device_known(node, id, device.key.clone()).await?;
    seen.known = Some(known);
    if !known && !node.throttle.allows(greeted.source, Attempt::FailedLogin) {
        return Err(throttled());
    }
    let class = if known { device.key.clone() } else { Bytes::new() };
    let _turn = node.gate.enter(&key, &class).await;
    check_not_locked(node, &key, &class).await?;
    // Read again: while this attempt waited for its turn the password may have been changed.
    let found = find(node, &key).await?;
    let hash = found.as_ref().map(|account| account.password.clone());
    if !node.passwords.verify(password.to_owned(), hash).await {
        node.throttle.count(greeted.source, Attempt::FailedLogin);
        return Err(fail(node, greeted.address, key, class, found, device.key.clone()).await?);
    }
    let account = found.ok_or(Reason::WrongPassword)?;
    // Told to who knows the password only, and then nothing else has happened.
    if account.disabled {
        return Err(Reason::Disabled.into());
    }
    let (id, device_key, now) = (account.id, device.key.clone(), node.world.now_ms());
    let failed = node.writer.run(move |tx| {
        tx.set_failures(&key, &class, Default::default(), now)?;
        tx.add_device(id, &device_key, now)?;
        tx.take_failed_logins(id, &device_key)
    });
    Ok((account, u32::try_from(failed.await?).unwrap_or(u32::MAX)))
}

pub(crate) fn throttled() -> Refusal {
    Refusal::Reply(Reason::Throttled, "Too many tries from your address. Please try again later".to_owned())
}

pub(crate) async fn find(node: &Node, key: &str) -> Result<Option<Account>> {
    let key = key.to_owned();
    node.reader.run(move |store| store.account_by_key(&key)).await
}

async fn device_known(node: &Node, account: AccountId, device: Bytes) -> Result<bool> {
    node.writer.run(move |tx| tx.device_known(account, &device)).await
}

/// While a class is blocked nothing is hashed.
async fn check_not_locked(node: &Node, key: &str, class: &Bytes) -> Answered<()> {
    let (key, class, now) = (key.to_owned(), class.clone(), node.world.now_ms());
    let failures = node.writer.run(move |tx| tx.failures(&key, &class)).await?;
    if lockout::is_blocked(failures, now) {
        return Err(Reason::Locked.into());
    }
    Ok(())
}

/// Counts a failure and says which answer it gets.
async fn fail(
    node: &Node,
    from: IpAddr,
    key: String,
    class: Bytes,
    account: Option<Account>,
    device: Bytes,
) -> Result<Refusal> {
    let now = node.world.now_ms();
    let block_duration = node.policy.get().block_duration;
    let block_ms = i64::try_from(block_duration.as_millis()).unwrap_or(i64::MAX);
    let id = account.as_ref().map(|account| account.id);
    let (name, known) = (key.clone(), !class.is_empty());
    let counted = node.writer.run(move |tx| {
        let failures = lockout::fail(tx.failures(&key, &class)?, now, block_ms);
        tx.set_failures(&key, &class, failures, now)?;
        if let Some(id) = id {
            tx.count_failed_login(id, &device)?;
        }
        Ok(failures)
    });
    let failures = counted.await?;
    if failures.count >= lockout::FAILURES_MAX {
        let account = account.as_ref().map(|account| &*account.name);
        node.security.locked_out(from, &name, account, known, block_duration);
        return Ok(Reason::LockedNow.into());
    }
    Ok(Reason::WrongPassword.into())
}

async fn register(
    node: &Node,
    greeted: &Greeted,
    name: Name,
    password: &str,
    device: Bytes,
    entrance: Entrance,
) -> Answered<Account> {
    // Of two names that look alike and come at once only one gets past the check.
    let _turn = node.gate.enter(&name.skeleton(), b"registration").await;
    // Whoever had the turn before may have registered this very name.
    if find(node, name.key()).await?.is_some() {
        return Err(Reason::NameTaken.into());
    }
    if let Err(reason) = registrable(node, &name).await? {
        return Err(Refusal::Reply(Reason::NameRefused, reason));
    }
    if let Err(reason) = check_new_password(password) {
        return Err(Refusal::Reply(Reason::PasswordRefused, reason.to_owned()));
    }
    if !node.throttle.allows(greeted.source, Attempt::NewAccount) {
        return Err(throttled());
    }
    let hash = node.passwords.hash(password.to_owned()).await;
    let new = new_account(node, &name, hash);
    let key = new.key.clone();
    let added = node.writer.run(move |tx| {
        // A name that is gone meanwhile costs no invitation.
        if tx.account_by_key(&new.key)?.is_some() {
            return Ok(Err(Reason::NameTaken));
        }
        let Some(invitation) = entrance.pass(tx, new.created_ms)? else { return Ok(Err(Reason::NotInvited)) };
        let Some(id) = tx.add_account(&new)? else { return Ok(Err(Reason::NameTaken)) };
        tx.add_device(id, &device, new.created_ms)?;
        Ok(Ok(invitation))
    });
    let invitation = added.await??;
    node.throttle.count(greeted.source, Attempt::NewAccount);
    security::registered(greeted.address, name.display(), invitation);
    find(node, &key).await?.ok_or(Refusal::Internal)
}

/// What an account begins with.
pub(crate) fn new_account(node: &Node, name: &Name, password: Secret) -> NewAccount {
    NewAccount {
        name: name.display().to_owned(),
        key: name.key().to_owned(),
        skeleton: name.skeleton(),
        password,
        created_ms: node.world.now_ms(),
    }
}

/// Whether something can be a password.
pub(crate) fn check_new_password(password: &str) -> std::result::Result<(), &'static str> {
    match password.chars().count() {
        1..=PASSWORD_CHARS_MAX => Ok(()),
        _ => Err("A password has 1 to 128 characters"),
    }
}

async fn by_token(node: &Node, name: &str, token: &Bytes, device: Bytes) -> Answered<Account> {
    let key = Name::parse(name).map_err(|_| Reason::UnknownToken)?.key().to_owned();
    let (hash, now) = (sha256(token), node.world.now_ms());
    let row = node.writer.run(move |tx| {
        let Some(mut row) = tx.session_by_token(&hash)? else { return Ok(Err(Reason::UnknownToken)) };
        if let Err(reason) = usable(&row) {
            return Ok(Err(reason));
        }
        let account = tx.account_by_key(&key)?.filter(|account| account.id == row.account);
        let Some(account) = account else { return Ok(Err(Reason::UnknownToken)) };
        row.used_ms = row.used_ms.max(now);
        tx.save_session(&row)?;
        tx.add_device(account.id, &device, now)?;
        Ok(Ok(account))
    });
    Ok(Arc::unwrap_or_clone(row.await??))
}

/// Whether a token still proves anything. One that is too old is not there any more: upkeep removes it, and does not
/// believe a clock that has just jumped ahead.
pub(crate) fn usable(row: &SessionRow) -> std::result::Result<(), Reason> {
    match row.ended {
        Some(Ended::LoggedOut) => Err(Reason::LoggedOut),
        Some(Ended::TimedOut) => Err(Reason::TimedOut),
        Some(Ended::Replaced) => Err(Reason::Replaced),
        Some(Ended::PasswordChanged) => Err(Reason::PasswordChanged),
        Some(Ended::Kicked) => Err(Reason::Kicked),
        None => Ok(()),
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}
