//! The security log: who came and who was refused, from where and why, and what the server's keeper did.
//!
//! Each event is a line of the log with `event=` and fields whose names stay; whoever sets up the log may lead them to
//! a place of their own by this module's name ([`TARGET`]). Never in it: passwords, tokens, texts, and names that no
//! account has, since people type passwords where a name is asked for. Such a name is told by a tag, a keyed hash that
//! is the same for the same name until the server stops.

use std::{
    fmt,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hobnob_protocol::{close::Close, v1::login_refused};
use ring::{hmac, rand::SystemRandom};
use tokio::time::Instant;

use crate::{
    admin::wire::{Act, Done, Refused},
    refusals::Refusals,
    store::Ended,
    trouble::Trouble,
};

/// The target of all events here.
pub const TARGET: &str = module_path!();

/// What the events of one server have in common.
pub struct Security {
    /// For the tags of names.
    key: hmac::Key,
    /// Connections that were refused or broke the protocol, so that nobody fills the log with them.
    refusals: Mutex<Refusals>,
}

impl Default for Security {
    fn default() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Self { key: key.expect("the operating system has random numbers"), refusals: Mutex::default() }
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Security(..)")
    }
}

/// What a login has come across by the time it is answered.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The account's name; `None`: there is no such account, or nobody has looked yet.
    pub(crate) account: Option<String>,
    /// Whether the device had logged in to it before; `None`: nobody has looked.
    pub(crate) known: Option<bool>,
}

impl Seen {
    fn device(&self) -> &'static str {
        match self.known {
            Some(true) => "known",
            Some(false) => "new",
            None => "unchecked",
        }
    }
}

impl Security {
    /// An account's name, or the tag of what was typed.
    fn user(&self, account: Option<&str>, typed: &str) -> String {
        match account {
            Some(name) => name.to_owned(),
            None => {
                let tag = hmac::sign(&self.key, typed.as_bytes());
                let digits: String = tag.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
                format!("unknown#{digits}")
            }
        }
    }

    pub(crate) fn login_refused(&self, from: IpAddr, typed: &str, seen: &Seen, reason: &str) {
        let (from, user) = (from.to_canonical(), self.user(seen.account.as_deref(), typed));
        let device = seen.device();
        tracing::warn!(event = "login-refused", %from, user, reason, device, "a login was refused");
    }

    /// `known`: it is one device that is locked out, not all strangers.
    pub(crate) fn locked_out(
        &self,
        from: IpAddr,
        typed: &str,
        account: Option<&str>,
        known: bool,
        time: Duration,
    ) {
        let (from, user) = (from.to_canonical(), self.user(account, typed));
        let (of, seconds) = (if known { "device" } else { "strangers" }, time.as_secs());
        tracing::warn!(event = "locked-out", %from, user, of, seconds, "locked out after wrong passwords");
    }

    /// A token was shown that is worth nothing. Where it is not even known, the name need not be one either.
    pub(crate) fn resume_refused(&self, from: IpAddr, typed: &str, why: login_refused::Reason) {
        use login_refused::Reason::{BadDevice, UnknownToken};
        let account = (!matches!(why, UnknownToken | BadDevice)).then_some(typed);
        let (from, user, reason) = (from.to_canonical(), self.user(account, typed), word(why));
        tracing::warn!(event = "resume-refused", %from, user, reason, "a session was not resumed");
    }

    /// A connection was closed because of a limit by address. Told once a minute for a source.
    pub(crate) fn connection_refused(&self, from: IpAddr, reason: &'static str) {
        if let Some(others) = self.tell(from) {
            let from = from.to_canonical();
            tracing::warn!(event = "connection-refused", %from, reason, others, "a connection was refused");
        }
    }

    /// A client broke the protocol, if that is why its connection ends. Told once a minute for a source.
    pub(crate) fn closed(&self, from: IpAddr, user: Option<&str>, close: Close) {
        let reason = match close {
            Close::BadFrame => "bad-frame",
            Close::TooLarge => "too-large",
            Close::UnsupportedVersion => "unsupported-version",
            Close::TooMany => return self.connection_refused(from, "too-many"),
            _ => return,
        };
        if let Some(others) = self.tell(from) {
            let (from, user) = (from.to_canonical(), user.unwrap_or("-"));
            tracing::warn!(event = "protocol-violation", %from, user, reason, others, "a client broke the protocol");
        }
    }

    fn tell(&self, from: IpAddr) -> Option<u64> {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.tell(from.into(), Instant::now())
    }
}

/// What a login proved who it is with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Password,
    Token,
}

/// `replaced`: sessions that it took the place of, whose tokens are worth nothing now.
pub(crate) fn logged_in(from: IpAddr, user: &str, by: By, seen: &Seen, background: bool, replaced: usize) {
    let (from, device) = (from.to_canonical(), seen.device());
    let by = if by == By::Password { "password" } else { "token" };
    tracing::info!(event = "login", %from, user, by, device, background, replaced, "logged in");
}

pub(crate) fn resumed(from: IpAddr, user: &str) {
    let from = from.to_canonical();
    tracing::info!(event = "resume", %from, user, "resumed");
}

/// `invitation`: the number of the one that was used.
pub(crate) fn registered(from: IpAddr, user: &str, invitation: Option<i64>) {
    let from = from.to_canonical();
    tracing::info!(event = "registered", %from, user, invitation, "registered");
}

/// A code was shown that is worth nothing.
pub(crate) fn invitation_refused(from: IpAddr) {
    let from = from.to_canonical();
    tracing::warn!(event = "invitation-refused", %from, "an invitation was refused");
}

/// A session is over, and its token is worth nothing.
pub(crate) fn ended(from: Option<IpAddr>, user: &str, ended: Ended) {
    let (from, reason) = (shown(from), word(ended));
    tracing::info!(event = "session-ended", %from, user, reason, "a session is over");
}

/// `revoked`: sessions that have ended with it, and their tokens.
pub(crate) fn password_changed(from: Option<IpAddr>, user: &str, revoked: usize) {
    let from = shown(from);
    tracing::info!(event = "password-changed", %from, user, revoked, "a password was changed");
}

/// `failures`: wrong passwords in a row.
pub(crate) fn password_not_changed(from: Option<IpAddr>, user: &str, failures: u32) {
    let from = shown(from);
    tracing::warn!(event = "password-change-refused", %from, user, failures, "wrong password at a password change");
}

/// A device proved a key at the relay that has no session. `others`: how often since the last that was told.
pub(crate) fn refused_at_relay(from: IpAddr, key: &dyn fmt::Display, others: u64) {
    let from = from.to_canonical();
    tracing::info!(event = "relay-refused", %from, %key, others, "refused at the relay");
}

/// Somebody else than the server's own user came to the admin socket.
pub(crate) fn refused_at_socket(uid: u32, pid: Option<i32>) {
    tracing::warn!(event = "admin-refused", uid, pid, "another user was refused at the admin socket");
}

/// What the keeper has done, as which user of the system.
pub(crate) fn kept(uid: u32, act: Act, done: &Done) {
    let (act, did) = (act.word, act.did);
    let (user, formerly) = (done.name.as_deref(), done.formerly.as_deref());
    let invitation = done.id.or(done.invitation.as_ref().map(|made| made.id));
    let (sessions, generated) = (done.sessions_ended, done.password.is_some().then_some(true));
    tracing::info!(
        event = "admin",
        uid,
        act,
        user,
        formerly,
        invitation,
        sessions,
        generated,
        "{did} by the keeper"
    );
}

/// What the keeper was not able to do, with the account or invitation that it was about.
pub(crate) fn not_kept(uid: u32, act: Act, why: &Refused, user: Option<&str>, invitation: Option<i64>) {
    let (act, reason) = (act.word, word(why.reason));
    tracing::info!(event = "admin", uid, act, user, invitation, reason, "refused to the keeper");
}

fn shown(from: Option<IpAddr>) -> String {
    from.map_or_else(|| "-".to_owned(), |from| from.to_canonical().to_string())
}

/// Why a login was refused. The wire has one reason for who tries too often and for a server that cannot write to its
/// disk; whoever reads the log to shut people out has to tell them apart.
pub(crate) fn reason(why: login_refused::Reason, text: &str) -> String {
    if Trouble::is_told_by(text) { "unavailable".to_owned() } else { word(why) }
}

/// A variant's name as words are written in the log: `WrongPassword` is `wrong-password`.
fn word(variant: impl fmt::Debug) -> String {
    let mut word = String::new();
    for c in format!("{variant:?}").chars() {
        if c.is_ascii_uppercase() && !word.is_empty() {
            word.push('-');
        }
        word.push(c.to_ascii_lowercase());
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_account_has_is_not_told() {
        let security = Security::default();
        let tag = security.user(None, "my secret passphrase");
        assert!(tag.starts_with("unknown#") && tag.len() == 16 && !tag.contains("secret"), "{tag}");
        assert_eq!(security.user(None, "my secret passphrase"), tag);
        assert_ne!(security.user(None, "another"), tag);
        assert_ne!(Security::default().user(None, "my secret passphrase"), tag, "each start has its own");
        assert_eq!(security.user(Some("Hans"), "hans"), "Hans");
    }

    #[test]
    fn a_disk_that_cannot_be_written_is_nobodys_guess() {
        use crate::{handler::login::Refusal, store::StoreError};
        for error in [StoreError::Full, StoreError::Unwritable(String::new())] {
            let Refusal::Reply(why, text) = Refusal::from(error) else { panic!("no reply") };
            assert_eq!((word(why), reason(why, &text)), ("throttled".to_owned(), "unavailable".to_owned()));
        }
        assert_eq!(reason(login_refused::Reason::Throttled, "Too many tries"), "throttled");
    }

    #[test]
    fn words() {
        assert_eq!(word(login_refused::Reason::WrongPassword), "wrong-password");
        assert_eq!(word(Ended::LoggedOut), "logged-out");
        assert_eq!(word(login_refused::Reason::Throttled), "throttled");
    }
}
