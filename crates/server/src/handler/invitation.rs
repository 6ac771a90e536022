//! Registering by invitation: who may, and what a wrong code costs.

use hobnob_protocol::{
    invitation::CODE_BYTES,
    v1::{Login, login_refused::Reason},
};

use crate::{
    config::Registration,
    handler::login::{Answered, Greeted, sha256, throttled},
    node::Node,
    security,
    store::{Result, Tx},
    throttle::Attempt,
};

/// In words for clients that do not know the reason.
pub(crate) const NOT_VALID: &str = "This invitation is not valid";

/// What an invitation is worth now.
pub(crate) enum Worth {
    /// None was shown.
    NotShown,
    /// Somebody may register with the code of this SHA-256, unless others are quicker.
    Good([u8; 32]),
    /// There is none with this code, or it is used up or has expired.
    Nothing,
    /// There were too many tries from this address, so it was not looked at.
    Throttled,
}

/// Looks at the code of an invitation. One that is worth nothing counts as a failed login of its source.
pub(crate) async fn judge(node: &Node, from: &Greeted, code: &[u8]) -> Result<Worth> {
    if code.is_empty() {
        return Ok(Worth::NotShown);
    }
    if !node.throttle.allows(from.source, Attempt::FailedLogin) {
        return Ok(Worth::Throttled);
    }
    let (hash, now_ms) = (sha256(code), node.world.now_ms());
    let found = match code.len() {
        CODE_BYTES => node.reader.run(move |store| store.invitation(&hash)).await?,
        _ => None,
    };
    if found.is_some_and(|found| found.is_good(now_ms)) {
        return Ok(Worth::Good(hash));
    }
    node.throttle.count(from.source, Attempt::FailedLogin);
    security::invitation_refused(from.address);
    Ok(Worth::Nothing)
}

/// By what right somebody registers.
#[derive(Clone, Copy)]
pub(crate) enum Entrance {
    /// Everybody may.
    Open,
    /// By an invitation, whose code has this SHA-256.
    Invited([u8; 32]),
}

/// By what right this login makes an account; `None`: it is to be a login only.
pub(crate) async fn entrance(node: &Node, from: &Greeted, login: &Login) -> Answered<Option<Entrance>> {
    if !login.register {
        return Ok(None);
    }
    match node.policy.get().registration {
        Registration::Open => Ok(Some(Entrance::Open)),
        Registration::Closed => Ok(None),
        Registration::Invite => match judge(node, from, &login.invitation).await? {
            Worth::NotShown => Ok(None),
            Worth::Good(hash) => Ok(Some(Entrance::Invited(hash))),
            Worth::Nothing => Err(Reason::NotInvited.into()),
            Worth::Throttled => Err(throttled()),
        },
    }
}

impl Entrance {
    /// Goes through, in the transaction that makes the account. Returns the number of the invitation that was used, if
    /// one was; `None`: others have used it up meanwhile, and nothing has changed.
    pub(crate) fn pass(self, tx: &mut dyn Tx, now_ms: i64) -> Result<Option<Option<i64>>> {
        match self {
            Self::Open => Ok(Some(None)),
            Self::Invited(hash) => Ok(tx.use_invitation(&hash, now_ms)?.map(|id| Some(id.0))),
        }
    }
}
