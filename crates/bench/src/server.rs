//! The server under test: a child process with a folder of its own.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{
    account::{self, Account},
    args::Common,
    link::Target,
    process::{self, Memory},
    tls,
    town::{self, Town},
};

/// How long the start may take: importing accounts hashes their passwords.
const START_TIMEOUT: Duration = Duration::from_secs(300);
/// How long the server may take to stop by itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// A running server. Killed if it is dropped without [`Server::stop`].
pub(crate) struct Server {
    child: Child,
    pid: u32,
    folder: TempDir,
    /// Where it listens.
    pub(crate) target: Arc<Target>,
}

impl Server {
    /// Starts a server that knows these accounts, and waits until it listens.
    pub(crate) async fn start(
        common: &Common,
        accounts: &[Arc<Account>],
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let command = Command::new(program(common)?);
        let server = Self::start_by(command, "127.0.0.1:0", common, accounts, settings).await?;
        ensure!(server.target.address.ip().is_loopback(), "the server listens beyond loopback");
        Ok(server)
    }

    /// Starts one at the hub of a network of its own.
    pub(crate) async fn start_in_town(
        common: &Common,
        accounts: &[Arc<Account>],
        town: &Town,
        port: u16,
    ) -> anyhow::Result<Self> {
        let command = town.command(0, &program(common)?);
        let listen = format!("{}:{port}", town::address(0));
        Self::start_by(command, &listen, common, accounts, &[]).await
    }

    async fn start_by(
        mut command: Command,
        listen: &str,
        common: &Common,
        accounts: &[Arc<Account>],
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let folder = folder(common)?;
        let credentials = folder.path().join("credentials");
        account::write_credentials(&credentials, accounts)?;
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.arg("serve").args(["--listen", listen, "--send-rate", "off", "--log", "warn"]);
        command.arg("--data").arg(folder.path().join("data")).arg("--credentials").arg(&credentials);
        for (name, value) in settings {
            command.args([&format!("--{name}"), *value]);
        }
        if common.plain {
            command.args(["--tls", "off"]);
        }
        command.args(&common.server_arg).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(folder.path().join("log"))?);
        let mut child = command.spawn().context("the server cannot be started")?;
        let pid = child.id().context("the server is gone already")?;
        let address = match timeout(START_TIMEOUT, ready(&mut child)).await {
            Ok(Ok(address)) => address,
            Ok(Err(error)) => bail!("{error}; its log:\n{}", log(folder.path())),
            Err(_) => bail!("the server does not get ready; its log:\n{}", log(folder.path())),
        };
        eprintln!("  server {pid} on {address}");
        let tls = if common.plain { None } else { Some(tls::connector()?) };
        Ok(Self { child, pid, folder, target: Arc::new(Target { address, tls }) })
    }

    /// Its folder, gone with it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its memory now.
    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        process::memory(self.pid)
    }

    /// CPU time it has used.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        process::cpu(self.pid)
    }

    /// Asks it to stop, and waits until it has. What it warned of goes to stderr.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("a process has a number")?;
        kill_process(pid, Signal::TERM)?;
        let status = timeout(STOP_TIMEOUT, self.child.wait()).await.context("the server does not stop")??;
        let log = log(self.folder.path());
        if !log.is_empty() {
            eprintln!("the server's log:\n{log}");
        }
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

fn folder(common: &Common) -> anyhow::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("hobnob-bench-").disable_cleanup(common.keep);
    let folder = match &common.data_in {
        Some(parent) => builder.tempdir_in(parent)?,
        None => builder.tempdir()?,
    };
    if common.keep {
        eprintln!("  {} stays", folder.path().display());
    }
    Ok(folder)
}

/// The program named, or the one beside this.
pub(crate) fn program(common: &Common) -> anyhow::Result<PathBuf> {
    if let Some(path) = &common.server {
        return path.canonicalize().with_context(|| path.display().to_string());
    }
    let beside = std::env::current_exe()?.with_file_name("hobnob");
    ensure!(beside.exists(), "there is no {}: say --server", beside.display());
    Ok(beside)
}

/// Reads the line that says where it listens.
async fn ready(child: &mut Child) -> anyhow::Result<SocketAddr> {
    let stdout = child.stdout.take().context("its stdout is a pipe")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).await?;
    let rest = line.strip_prefix("hobnob is listening on ").context("the server did not start")?;
    let address = rest.split([',', '\n']).next().unwrap_or_default();
    let address: SocketAddr = address.parse().with_context(|| format!("no address: {address:?}"))?;
    Ok(address)
}

/// The last lines of the server's log.
fn log(folder: &Path) -> String {
    let text = fs::read(folder.join("log")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
