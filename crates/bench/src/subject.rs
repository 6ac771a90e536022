//! Whom a workload is run against.

use std::sync::Arc;

use clap::ValueEnum;

use crate::{account::Account, args::Common, server::Server};

/// A server to measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// hobnob
    #[default]
    Hobnob,
    /// The smallest router on tokio and rustls: keeps nothing, acknowledges nothing
    Router,
    /// ngIRCd, if it is installed: keeps nothing, acknowledges nothing
    Ngircd,
}

impl Subject {
    /// As tables show it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hobnob => "hobnob",
            Self::Router => "router",
            Self::Ngircd => "ngircd",
        }
    }

    /// How many accounts so many sessions need, where hobnob would make do with `users`: elsewhere a name is taken
    /// once it is used.
    pub(crate) fn users(self, users: usize, sessions: usize) -> usize {
        if self == Self::Hobnob { users } else { sessions }
    }

    /// Starts it with a folder of its own. Settings are hobnob's; the others need no accounts either.
    pub(crate) async fn start(
        self,
        common: &Common,
        accounts: &[Arc<Account>],
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Server> {
        match self {
            Self::Hobnob => Server::start(common, accounts, settings).await,
            Self::Router => Server::router(common).await,
            Self::Ngircd => Server::ngircd(common).await,
        }
    }
}
