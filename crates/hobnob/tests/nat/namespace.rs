//! Network namespaces of the kernel, as long as a test needs them.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Write,
    os::fd::AsFd,
    path::Path,
    process::{self, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Why there is none, for a person.
pub(crate) type Reason = String;

/// Where iproute2 keeps the names.
const NAMES: &str = "/run/netns";

/// A namespace with a loopback interface and nothing else; removed when dropped.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one. Its name is this process's own.
    pub(crate) fn new(role: &str) -> Result<Self, Reason> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hobnob-{}-{count}-{role}", process::id());
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        // Neighbour discovery would be traffic that nobody asked for.
        for which in ["all", "default"] {
            namespace.set(&format!("net/ipv6/conf/{which}/disable_ipv6"), "1")?;
        }
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Removes what processes left behind that were killed.
    pub(crate) fn tidy() {
        let names = fs::read_dir(NAMES).into_iter().flatten().flatten();
        for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
            let owner = name.strip_prefix("hobnob-").and_then(|rest| rest.split('-').next());
            let dead = owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists());
            if dead {
                let _ = run(Command::new("ip").args(["netns", "del", &name]));
            }
        }
    }

    /// Runs `ip` in it.
    pub(crate) fn ip(&self, arguments: &[&str]) -> Result<(), Reason> {
        run(Command::new("ip").args(["-n", &self.name]).args(arguments))
    }

    /// A program in it, to be started. It has the process id of what is started.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Puts these rules in place of all that are there.
    pub(crate) fn rules(&self, rules: &str) -> Result<(), Reason> {
        let mut command = self.command("nft");
        let mut child = command.args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.as_mut().map_err(|error| format!("nft: {error}"))?;
        let mut stdin = child.stdin.take().ok_or("nft has no input")?;
        stdin
            .write_all(format!("flush ruleset\n{rules}").as_bytes())
            .map_err(|error| format!("nft: {error}"))?;
        drop(stdin);
        let status = child.wait().map_err(|error| format!("nft: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("nft refuses: {}", told(child.stderr.take()))) }
    }

    /// Sets a parameter of the kernel in it.
    pub(crate) fn set(&self, parameter: &str, value: &str) -> Result<(), Reason> {
        let path = format!("/proc/sys/{parameter}");
        let set = move || fs::write(&path, value).map_err(|error| format!("{path}: {error}"));
        self.inside(set).and_then(|result| result)
    }

    /// Does something on a thread that lives in it.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Reason> {
        let namespace = File::open(Path::new(NAMES).join(&self.name)).map_err(|error| error.to_string())?;
        let enter = || move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network));
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                enter().map_err(|error| format!("setns: {error}"))?;
                Ok(work())
            });
            thread.join().map_err(|_| "a thread in a namespace panicked".to_owned())?
        })
    }

    /// Lays a wire from here to there; each end is a name and an address with its prefix.
    pub(crate) fn wire(
        &self,
        (name, address): (&str, &str),
        other: &Self,
        (far_name, far_address): (&str, &str),
    ) -> Result<(), Reason> {
        let ends = ["type", "veth", "peer", "name", far_name, "netns", &other.name];
        self.ip(&[&["link", "add", name], &ends[..]].concat())?;
        for (namespace, name, address) in [(self, name, address), (other, far_name, far_address)] {
            namespace.ip(&["addr", "add", address, "dev", name])?;
            namespace.ip(&["link", "set", name, "up"])?;
        }
        Ok(())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = run(Command::new("ip").args(["netns", "del", &self.name]));
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Result<(), Reason> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

fn told(from: Option<impl std::io::Read>) -> String {
    let mut text = String::new();
    if let Some(mut from) = from {
        // An explanation that cannot be read is none.
        let _ = from.read_to_string(&mut text);
    }
    text.trim().to_owned()
}
