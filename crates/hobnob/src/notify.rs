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
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// A service manager, if there is one that wants to hear.
#[derive(Clone, Default)]
pub(crate) struct Manager {
    socket: Option<Arc<UnixDatagram>>,
    /// After how long a silence it takes the server for dead.
    watchdog: Option<Duration>,
    /// It was told that the server stops.
    stops: Arc<AtomicBool>,
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
        Self { socket: socket.ok().map(Arc::new), watchdog, stops: Arc::default() }
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

    /// It stops; said once.
    pub(crate) fn stopping(&self) {
        if !self.stops.swap(true, Ordering::Relaxed) {
            self.say("STOPPING=1\nSTATUS=stopping\n");
        }
    }

    fn say(&self, message: &str) {
        // A manager that is gone, or does not listen, is no reason to stop.
        if let Some(socket) = &self.socket {
            let _ = socket.send(message.as_bytes());
        }
    }

    /// After how long a silence it takes the server for dead; `None`: never.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.socket.is_some())
    }

    /// It works.
    pub(crate) fn alive(&self) {
        self.say("WATCHDOG=1\n");
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
mod tests {
    use std::{collections::HashMap, path::Path};

    use super::*;

    fn manager(variables: &[(&str, &str)]) -> Manager {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        Manager::read(|name| variables.get(name).map(OsString::from), 7)
    }

    fn heard(socket: &UnixDatagram) -> String {
        let mut message = [0; 1024];
        socket.set_nonblocking(true).expect("a socket");
        let length = socket.recv(&mut message).expect("a message that was sent before");
        String::from_utf8_lossy(&message[..length]).into_owned()
    }

    #[test]
    fn a_manager_hears_by_a_path_or_an_abstract_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).expect("a socket");
        let name = format!("hobnob-test-{}", folder.path().display());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let by_name = UnixDatagram::bind_addr(&address).expect("a socket");
        let path = path.to_str().expect("UTF-8");
        for (socket, name) in [(by_path, path), (by_name, &format!("@{name}"))] {
            let manager = manager(&[("NOTIFY_SOCKET", name)]);
            manager.ready("serving");
            assert_eq!(heard(&socket), "READY=1\nSTATUS=serving\n");
            manager.reloading();
            let reloading = heard(&socket);
            let usec = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("both");
            assert!(usec.trim_end().parse::<u64>().is_ok_and(|usec| usec > 0), "{reloading}");
            manager.stopping();
            assert!(heard(&socket).starts_with("STOPPING=1\n"));
            manager.alive();
            assert_eq!(heard(&socket), "WATCHDOG=1\n");
        }
    }

    #[test]
    fn without_a_manager_nothing_is_said() {
        assert!(!Path::new("/nowhere/notify").exists());
        for variables in [&[][..], &[("NOTIFY_SOCKET", "")], &[("NOTIFY_SOCKET", "/nowhere/notify")]] {
            let manager = manager(variables);
            manager.ready("serving");
            assert_eq!(manager.patience(), None);
        }
    }

    #[test]
    fn a_watchdog_of_another_process_is_not_fed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let _socket = UnixDatagram::bind(&path).expect("a socket");
        let socket = ("NOTIFY_SOCKET", path.to_str().expect("UTF-8"));
        let patience = |more: &[(&str, &str)]| manager(&[&[socket], more].concat()).patience();
        let usec = ("WATCHDOG_USEC", "30000000");
        assert_eq!(patience(&[usec]), Some(Duration::from_secs(30)));
        assert_eq!(patience(&[usec, ("WATCHDOG_PID", "7")]), Some(Duration::from_secs(30)));
        assert_eq!(patience(&[usec, ("WATCHDOG_PID", "8")]), None);
        assert_eq!(patience(&[("WATCHDOG_USEC", "0")]), None);
        assert_eq!(patience(&[("WATCHDOG_USEC", "soon")]), None);
    }
}
