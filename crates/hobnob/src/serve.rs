//! `hobnob serve`: from checked settings to a server that runs until a signal.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context, Result, anyhow};
use hobnob_server::{
    Server, ServerError,
    config::{Config, InboxLimits, Policy, RelayPolicy, Tls},
    control::{Asked, Control, Reloads},
    store::StoreError,
};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use crate::{
    MISUSE, THREADS_END,
    args::Again,
    config::{ServeSettings, TlsSource},
    log::{self, Logs},
    notify::Manager,
    reload::Reloader,
    signals::Signals,
    termios,
};

/// What SQLite says of a file that is not as it has left it.
const DAMAGED: [&str; 2] = ["malformed", "not a database"];

/// Runs it; the result is the exit code.
///
/// # Errors
/// The server cannot start, or has failed.
pub(crate) fn run(settings: ServeSettings, again: Again) -> Result<u8> {
    let security_log = match settings.security_log.as_deref().map(|path| (path, log::security::open(path))) {
        Some((path, Err(error))) => {
            let _ = writeln!(io::stderr(), "hobnob: security-log: {}: {error}", path.display());
            return Ok(MISUSE);
        }
        Some((_, Ok(file))) => Some(file),
        None => None,
    };
    let logs = Logs::begin(&settings.log, settings.log_format, security_log);
    hobnob_server::raise_open_files_limit();
    let own_certificate = matches!(settings.tls, TlsSource::Files { .. });
    let last = AtomicUsize::new(0);
    let opened = Server::open(server_config(&settings), &|done, all| progress(&last, done, all));
    let server = match opened {
        Ok(server) => server,
        // What is in files that the settings name is a setting, too.
        Err(error @ (ServerError::Credentials(_) | ServerError::Identity(_)))
            if own_certificate || matches!(error, ServerError::Credentials(_)) =>
        {
            let _ = writeln!(io::stderr(), "hobnob: {error}");
            return Ok(MISUSE);
        }
        Err(error) => return Err(explained(error, &settings.data)),
    };
    let data = settings.data.clone();
    let listen = settings.listen.clone();
    let reloader = Reloader::new(again, settings, server.control(), logs);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(listen_and_run(server, &listen, &data, reloader));
    runtime.shutdown_timeout(THREADS_END);
    result.map(|()| 0)
}

async fn listen_and_run(mut server: Server, listen: &str, data: &Path, reloader: Reloader) -> Result<()> {
    let signals = Signals::listen()?;
    let hangups = signal(SignalKind::hangup())?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    let (control, manager) = (server.control(), Manager::of_this_process());
    let shutdown = signals.first().clone();
    let wishes = Wishes {
        fingerprint: server.fingerprint(),
        hangups,
        asked: server.take_reloads(),
        shutdown: shutdown.clone(),
    };
    let attend = attend(address, &control, &manager, wishes, reloader);
    let result = tokio::select! {
        biased;
        // First, so that the manager hears of the end before it has come.
        () = async { tokio::join!(attend, watch(&control, &manager)); } => Ok(()),
        result = server.run(listener, shutdown) => result,
    };
    // Where nothing was to be drained, or the server has ended by itself.
    manager.stopping();
    result.map_err(|error| explained(error, data))
}

/// What a running server may be told.
struct Wishes {
    /// By which clients know it, as it begins.
    fingerprint: String,
    hangups: Signal,
    /// Requests of `hobnob admin reload`.
    asked: Option<mpsc::Receiver<Asked>>,
    shutdown: CancellationToken,
}

/// Reads settings again when that is asked for, and tells the service manager how the server is. A server that stops
/// is told nothing any more.
async fn attend(
    address: SocketAddr,
    control: &Control,
    manager: &Manager,
    wishes: Wishes,
    mut reloader: Reloader,
) {
    let Wishes { fingerprint, mut hangups, asked, shutdown } = wishes;
    let on_a_terminal = termios::is_terminal(io::stderr());
    let serving = format!("serving on {address}");
    tokio::select! {
        biased;
        () = control.serving() => {
            tell_ready(address, &fingerprint);
            manager.ready(&serving);
        }
        () = shutdown.cancelled() => {}
    }
    let mut asked = asked.unwrap_or_else(|| Reloads::new().1);
    loop {
        let asked = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            _ = hangups.recv() => None,
            Some(asked) = asked.recv() => Some(asked),
        };
        if asked.is_none() && on_a_terminal && !termios::is_terminal(io::stderr()) {
            // The terminal is gone that it ran on, and with it whoever would stop it.
            tracing::info!("the terminal is gone");
            shutdown.cancel();
            break;
        }
        manager.reloading();
        let reloaded = reloader.reload().await;
        manager.ready(&match &reloaded {
            Ok(_) => serving.clone(),
            Err(_) => format!("{serving}; a reload failed, see the log"),
        });
        if let Some(asked) = asked {
            asked.answer(reloaded);
        }
    }
    manager.stopping();
    std::future::pending().await
}

/// Says, once what it begins with is read, that clients may come. A service whose output nobody reads serves all the same.
fn tell_ready(address: SocketAddr, fingerprint: &str) {
    let ready = format!("hobnob is listening on {address}, key {fingerprint}\n");
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(ready.as_bytes()).and_then(|()| stdout.flush());
}

/// What is said of a store that SQLite finds damaged; anything else is said as it is.
fn explained(error: ServerError, data: &Path) -> anyhow::Error {
    match &error {
        ServerError::Store(StoreError::Unusable(why)) if DAMAGED.iter().any(|words| why.contains(words)) => {
            let (file, data) = (data.join("hobnob.db"), data.display());
            anyhow!(
                "{} is damaged ({why}): `hobnob verify --data {data}` tells what is wrong with it, \
                 `hobnob restore` makes a folder from a backup",
                file.display()
            )
        }
        _ => error.into(),
    }
}

/// Tells a service manager that asks for it that the server works.
async fn watch(control: &Control, manager: &Manager) {
    if let Some(patience) = manager.patience() {
        control.watch(patience, || manager.alive()).await;
    }
}

/// The server's own configuration.
fn server_config(settings: &ServeSettings) -> Config {
    Config {
        data: settings.data.clone(),
        credentials: settings.credentials.clone(),
        tls: settings.tls.clone().into(),
        policy: policy(settings),
        relay: settings.relay.then(|| relay_policy(settings)),
        proxies: settings.proxies.clone(),
    }
}

impl From<TlsSource> for Tls {
    fn from(tls: TlsSource) -> Self {
        match tls {
            TlsSource::SelfSigned => Self::SelfSigned,
            TlsSource::Off => Self::Off,
            TlsSource::Files { certificate, key } => Self::Files { certificate, key },
        }
    }
}

/// The rules of sessions.
pub(crate) fn policy(settings: &ServeSettings) -> Policy {
    let inbox = InboxLimits {
        entries: settings.inbox_messages.into(),
        bytes: settings.inbox_bytes,
        entries_per_sender: settings.inbox_per_sender.into(),
    };
    Policy {
        block_duration: settings.block_duration,
        idle_timeout: settings.idle_timeout,
        registration: settings.registration,
        welcome: settings.welcome.clone(),
        history: settings.history,
        sessions_per_user: settings.sessions_per_user,
        send_rate: settings.send_rate,
        inbox,
        ..Policy::default()
    }
}

/// The rules of the relay, if there is one.
pub(crate) fn relay_policy(settings: &ServeSettings) -> RelayPolicy {
    RelayPolicy { rate: settings.relay_rate }
}

/// Says how far an import is, each time another twentieth is done.
fn progress(last: &AtomicUsize, done: usize, all: usize) {
    let part = (done * 20).checked_div(all).unwrap_or(20);
    if last.fetch_max(part, Ordering::Relaxed) < part {
        let _ = writeln!(io::stderr(), "importing accounts: {done} of {all}");
    }
}
