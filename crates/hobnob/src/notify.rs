//! What a service manager is told: ready, reloading, stopping, and that the server still works. The protocol is that of
//! `sd_notify(3)`: datagrams to a Unix socket that the environment names.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    sync::Arc,
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{MissedTickBehavior, interval};

/// A service manager, if there is one that wants to hear.
#[derive(Clone, Default)]
pub(crate) struct Manager {
    socket: Option<Arc<UnixDatagram>>,
    /// After how long a silence it takes the server for dead.
    watchdog: Option<Duration>,
}

impl Manager {
    /// The one that the environment names (`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`).
    pub(crate) fn of_this_process() -> Self {
        let variable = |name: &str| std::env::var_os(name);
        Self::read(variable, std::process::id())
    }

    fn read(variable: impl Fn(&str) -> Option<OsString>, pid: u32) -> Self {
        let Some(name) = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        let socket = connect(&name).inspect_err(|error| {
            tracing::warn!(%error, socket = %name.display(), "the service manager cannot be told anything");
        });
        let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
        let ours = variable("WATCHDOG_PID").is_none() || number("WATCHDOG_PID") == Some(pid.into());
        let watchdog = number("WATCHDOG_USEC").filter(|usec| ours && *usec > 0).map(Duration::from_micros);
        Self { socket: socket.ok().map(Arc::new), watchdog }
    }

    /// It serves, or serves on.
    pub(crate) fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={status}\n"));
    }

    /// It reads its settings again, and will be ready after that.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let usec = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={usec}\n"));
    }

    /// It stops.
    pub(crate) fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=stopping\n");
    }

    fn say(&self, message: &str) {
        // A manager that is gone, or does not listen, is no reason to stop.
        if let Some(socket) = &self.socket {
            let _ = socket.send(message.as_bytes());
        }
    }

    /// Says that the server works, twice in the time that the manager allows, each time after `pulse` has shown it.
    pub(crate) async fn watchdog<P: Future<Output = bool>>(&self, pulse: impl Fn() -> P) {
        let Some(allowed) = self.watchdog else { return std::future::pending().await };
        let mut times = interval(allowed / 2);
        times.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            times.tick().await;
            if pulse().await {
                self.say("WATCHDOG=1\n");
            }
        }
    }
}

/// A socket to a path, or to an abstract name, which begins with `@`.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests;
