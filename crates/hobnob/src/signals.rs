//! SIGINT and SIGTERM: the first asks to finish, the second ends the process at once. So does the first, a little
//! later, where nothing can be finished because nobody reads what is printed.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{output, termios};

/// The exit code of a process that did not finish what it was told to.
const AT_ONCE: i32 = 130;

/// Listens for signals as long as it lives.
pub(crate) struct Signals {
    first: CancellationToken,
    _task: JoinSet<()>,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub(crate) fn listen() -> io::Result<Self> {
        let first = CancellationToken::new();
        let signals = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut task = JoinSet::new();
        task.spawn(watch(signals, first.clone()));
        Ok(Self { first, _task: task })
    }

    /// Is cancelled by the first signal.
    pub(crate) fn first(&self) -> &CancellationToken {
        &self.first
    }
}

async fn watch((mut interrupt, mut terminate): (Signal, Signal), first: CancellationToken) {
    let mut next = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    next().await;
    first.cancel();
    tokio::select! {
        () = next() => {}
        () = output::stuck() => {}
    }
    termios::restore();
    std::process::exit(AT_ONCE);
}
