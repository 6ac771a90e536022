//! `hobnob serve`: from checked settings to a server that runs until a signal.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context, Result};
use hobnob_server::{
    Server, ServerError,
    config::{Config, InboxLimits, Policy, RelayPolicy, Tls},
};
use tokio::net::TcpListener;

use crate::{
    MISUSE, THREADS_END,
    config::{ServeSettings, TlsSource},
    log,
    signals::Signals,
};

/// Runs it; the result is the exit code.
///
/// # Errors
/// The server cannot start, or has failed.
pub(crate) fn run(settings: ServeSettings) -> Result<u8> {
    log::to_stderr(&settings.log);
    hobnob_server::raise_open_files_limit();
    let listen = settings.listen.clone();
    let own_certificate = matches!(settings.tls, TlsSource::Files { .. });
    let last = AtomicUsize::new(0);
    let server = match Server::open(server_config(settings), &|done, all| progress(&last, done, all)) {
        Ok(server) => server,
        // What is in files that the settings name is a setting, too.
        Err(error @ (ServerError::Credentials(_) | ServerError::Identity(_)))
            if own_certificate || matches!(error, ServerError::Credentials(_)) =>
        {
            let _ = writeln!(io::stderr(), "hobnob: {error}");
            return Ok(MISUSE);
        }
        Err(error) => return Err(error.into()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(listen_and_run(server, &listen));
    runtime.shutdown_timeout(THREADS_END);
    result.map(|()| 0)
}

async fn listen_and_run(server: Server, listen: &str) -> Result<()> {
    let signals = Signals::listen()?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    // A service whose output nobody reads serves all the same.
    let ready = format!("hobnob is listening on {address}, key {}\n", server.fingerprint());
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(ready.as_bytes()).and_then(|()| stdout.flush());
    drop(stdout);
    server.run(listener, signals.first().clone()).await?;
    Ok(())
}

/// The server's own configuration.
fn server_config(settings: ServeSettings) -> Config {
    let tls = match settings.tls {
        TlsSource::SelfSigned => Tls::SelfSigned,
        TlsSource::Off => Tls::Off,
        TlsSource::Files { certificate, key } => Tls::Files { certificate, key },
    };
    let inbox = InboxLimits {
        entries: settings.inbox_messages.into(),
        bytes: settings.inbox_bytes,
        entries_per_sender: settings.inbox_per_sender.into(),
    };
    let policy = Policy {
        block_duration: settings.block_duration,
        idle_timeout: settings.idle_timeout,
        registration: settings.registration,
        welcome: settings.welcome,
        history: settings.history,
        sessions_per_user: settings.sessions_per_user,
        send_rate: settings.send_rate,
        inbox,
        ..Policy::default()
    };
    let relay = settings.relay.then_some(RelayPolicy { rate: settings.relay_rate });
    Config { data: settings.data, credentials: settings.credentials, tls, policy, relay }
}

/// Says how far an import is, each time another twentieth is done.
fn progress(last: &AtomicUsize, done: usize, all: usize) {
    let part = (done * 20).checked_div(all).unwrap_or(20);
    if last.fetch_max(part, Ordering::Relaxed) < part {
        let _ = writeln!(io::stderr(), "importing accounts: {done} of {all}");
    }
}
