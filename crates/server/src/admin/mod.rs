//! What the person who keeps the server may do, over a socket in the data folder that only the server's own user and
//! root can use.
//!
//! [`wire`] says what is said there, `socket` carries it, and [`Keeper`] does it: `acts` change something (each in one
//! transaction of the writer, answered when it is durable), `lists` only look, `invitations` does both. Every act is a line
//! in the log; passwords, codes and texts are not.

mod acts;
mod invitations;
mod lists;
mod socket;
pub mod wire;

use std::{path::PathBuf, sync::Arc};

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

pub use self::socket::Address;
pub(crate) use self::socket::{Door, answer_drained};
use self::wire::{Command, Done, Reason, Refused, Reply};
use crate::{
    control::Reloads, current::Current, identity::Identity, node::Node, security, store::StoreError,
};

/// The other end is gone.
#[derive(Debug)]
pub struct Gone;

/// Where the lines of an answer go.
pub trait Replies: Send {
    /// Sends one.
    fn reply(&mut self, reply: &Reply) -> impl Future<Output = Result<(), Gone>> + Send;
}

/// What an act comes to.
type Answer = Result<Done, Refused>;

/// Does what the keeper of a server asks for.
pub struct Keeper {
    /// The server.
    pub node: Arc<Node>,
    /// The folder of its database.
    pub data: PathBuf,
    /// By which clients know it, if they do.
    pub identity: Option<Current<Identity>>,
    /// Where requests to reload go.
    pub reloads: Reloads,
    /// When it began.
    pub started: Instant,
    /// Its connections.
    pub connections: TaskTracker,
}

impl Keeper {
    /// Carries out a command of a user of the system, and answers it. `Drain` only begins here, and is not answered.
    ///
    /// # Errors
    /// Nobody takes the answer any more. What was asked for has happened all the same.
    pub async fn serve(&self, uid: u32, command: Command, replies: &mut impl Replies) -> Result<(), Gone> {
        let (node, act) = (&*self.node, command.act());
        let (typed, invitation) = (command.name().map(str::to_owned), command.invitation());
        let answer = match command {
            Command::Users => lists::users(node, replies).await?,
            Command::Sessions { all } => lists::sessions(node, all, replies).await?,
            Command::Status => {
                replies.reply(&Reply::Status(Box::new(lists::status(self)))).await?;
                Ok(Done::default())
            }
            Command::Add { name, password } => acts::add(node, &name, password).await,
            Command::Reset { name, password } => acts::reset(node, &name, password).await,
            Command::Unlock { name } => acts::unlock(node, &name).await,
            Command::Disable { name } => acts::set_disabled(node, &name, true).await,
            Command::Enable { name } => acts::set_disabled(node, &name, false).await,
            Command::Kick { name } => acts::kick(node, &name).await,
            Command::Rename { name, to } => acts::rename(node, &name, &to).await,
            Command::Delete { name } => acts::delete(node, &name).await,
            Command::Announce { text } => acts::announce(node, text).await,
            Command::Reload => self.reloads.ask().await,
            Command::Invite { uses, lifetime_s, note } => {
                let wish = invitations::Wish { uses, lifetime_s, note };
                invitations::invite(node, &lists::fingerprint(self), wish).await
            }
            Command::Invitations => invitations::list(node, replies).await?,
            Command::Uninvite { id } => invitations::uninvite(node, id).await,
            Command::Drain => {
                tracing::info!("told to drain");
                if let Some(act) = act {
                    security::kept(uid, act, &Done::default());
                }
                node.shutdown.cancel();
                return Ok(());
            }
        };
        match (act, &answer) {
            (Some(act), Ok(done)) => security::kept(uid, act, done),
            (Some(act), Err(refused)) => {
                // A name that no account has stays out of the log.
                let user = match typed {
                    Some(typed) => acts::account(node, &typed).await.ok().map(|(account, _)| account.name),
                    None => None,
                };
                security::not_kept(uid, act, refused, user.as_deref(), invitation);
            }
            (None, _) => {}
        }
        replies.reply(&answer.map_or_else(Reply::Refused, Reply::Done)).await
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a request of the keeper failed in the store");
        Self::new(Reason::Internal, format!("The store failed: {error}"))
    }
}
