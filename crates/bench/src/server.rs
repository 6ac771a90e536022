//! The server under test: a child process with a folder of its own. It is hobnob, or one that it is measured beside.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
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
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::{
    account::{self, Account},
    args::Common,
    database::{self, Ballast},
    link::{Speaks, Target},
    process::{self, Memory},
    tls,
    town::{self, Town},
};

/// How long the start may take: with a large database something is read first.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long the server may take to stop by itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Any port that nobody has.
const LOOPBACK: &str = "127.0.0.1:0";
/// Between two looks at whether a server listens that does not say so.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A folder that a server of hobnob can be started on, more than once. Gone with the last that holds it.
pub(crate) struct Data {
    folder: TempDir,
}

impl Data {
    /// Makes a database that knows these accounts, and holds that much else.
    pub(crate) async fn make(
        common: &Common,
        accounts: &[Arc<Account>],
        ballast: Ballast,
    ) -> anyhow::Result<Arc<Self>> {
        let data = Arc::new(Self { folder: folder(common)? });
        let first = Account::new("first".to_owned())?;
        let credentials = data.folder.path().join("credentials");
        account::write_credentials(&credentials, &first)?;
        let arguments = ["--credentials".to_owned(), credentials.display().to_string()];
        let command = Command::new(program(common)?);
        Server::hobnob(command, LOOPBACK, common, data.clone(), &arguments).await?.stop().await?;
        let (database, accounts) = (data.folder.path().join("data/hobnob.db"), accounts.to_vec());
        tokio::task::spawn_blocking(move || database::fill(&database, &accounts, &ballast)).await??;
        Ok(data)
    }
}

/// A running server. Killed if it is dropped without [`Server::stop`].
pub(crate) struct Server {
    child: Child,
    pid: u32,
    data: Arc<Data>,
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
        let data = Data::make(common, accounts, Ballast::default()).await?;
        Self::on(common, data, settings, None).await
    }

    /// Starts a server on a folder that is there, and waits until it listens: where one listened before, or anywhere.
    pub(crate) async fn on(
        common: &Common,
        data: Arc<Data>,
        settings: &[(&str, &str)],
        address: Option<SocketAddr>,
    ) -> anyhow::Result<Self> {
        let program = program(common)?;
        let command = match common.fsync_delay {
            Some(delay_ms) => slowed(delay_ms, &program),
            None => Command::new(&program),
        };
        let settings = settings.iter().flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()]);
        let arguments: Vec<_> = settings.chain(common.server_arg.iter().cloned()).collect();
        let listen = address.map_or(LOOPBACK.to_owned(), |address| address.to_string());
        let server = Self::hobnob(command, &listen, common, data, &arguments).await?;
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
        let data = Data::make(common, accounts, Ballast::default()).await?;
        let command = town.command(0, &program(common)?);
        let listen = format!("{}:{port}", town::address(0));
        Self::hobnob(command, &listen, common, data, &common.server_arg).await
    }

    async fn hobnob(
        mut command: Command,
        listen: &str,
        common: &Common,
        data: Arc<Data>,
        arguments: &[String],
    ) -> anyhow::Result<Self> {
        // The path finds what runs it elsewhere, or slows it.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.args(["serve", "--listen", listen, "--send-rate", "off", "--log", "warn"]);
        command.arg("--data").arg(data.folder.path().join("data"));
        if common.plain {
            command.args(["--tls", "off"]);
        }
        command.args(arguments);
        let (child, line) = Self::spawn(command, &data).await?;
        let rest = line.strip_prefix("hobnob is listening on ");
        let address = rest.and_then(|rest| rest.split([',', '\n']).next()).unwrap_or_default();
        let address = address.parse().with_context(|| not_started(&data, &line))?;
        Self::ready(common, child, data, address, Speaks::Hobnob, None)
    }

    /// Starts the smallest router.
    pub(crate) async fn router(common: &Common) -> anyhow::Result<Self> {
        let data = Arc::new(Data { folder: folder(common)? });
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("router").args(common.plain.then_some("--plain")).env_clear();
        let (child, line) = Self::spawn(command, &data).await?;
        let address = line.trim().parse().with_context(|| not_started(&data, &line))?;
        Self::ready(common, child, data, address, Speaks::Lines, None)
    }

    /// Starts ngIRCd without its limits.
    pub(crate) async fn ngircd(common: &Common) -> anyhow::Result<Self> {
        let data = Arc::new(Data { folder: folder(common)? });
        // Free a moment ago; ngIRCd cannot choose for itself.
        let address = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?.local_addr()?;
        let config = ngircd_config(common, data.folder.path(), address.port())?;
        let mut command = Command::new(NGIRCD);
        command.arg("--nodaemon").arg("--config").arg(config);
        let log = File::create(data.folder.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().context("ngircd cannot be started")?;
        let listens = async {
            while TcpStream::connect(address).await.is_err() {
                ensure!(child.try_wait()?.is_none(), not_started(&data, ""));
                sleep(LOOK_AGAIN).await;
            }
            Ok(())
        };
        timeout(START_TIMEOUT, listens).await.context("ngircd does not get ready")??;
        Self::ready(common, child, data, address, Speaks::Lines, Some(NGIRCD_RECORD_BYTES))
    }

    /// Starts a process and reads its first line.
    async fn spawn(mut command: Command, data: &Data) -> anyhow::Result<(Child, String)> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        command.stderr(File::create(data.folder.path().join("log"))?);
        let mut child = command.spawn().with_context(|| format!("{command:?} cannot be started"))?;
        let stdout = child.stdout.take().context("its stdout is a pipe")?;
        let mut line = String::new();
        let read = timeout(START_TIMEOUT, BufReader::new(stdout).read_line(&mut line)).await;
        read.with_context(|| not_started(data, "in time"))??;
        Ok((child, line))
    }

    fn ready(
        common: &Common,
        child: Child,
        data: Arc<Data>,
        address: SocketAddr,
        speaks: Speaks,
        record_bytes_max: Option<usize>,
    ) -> anyhow::Result<Self> {
        let pid = child.id().context("the server is gone already")?;
        let tls = if common.plain { None } else { Some(tls::connector(record_bytes_max)?) };
        Ok(Self { child, pid, data, target: Arc::new(Target { address, tls, speaks }) })
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.data.folder.path()
    }

    /// The same, to start another on it after this one.
    pub(crate) fn data(&self) -> Arc<Data> {
        self.data.clone()
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
        kill_process(self.process()?, Signal::TERM)?;
        let status = timeout(STOP_TIMEOUT, self.child.wait()).await.context("the server does not stop")??;
        let log = log(self.folder());
        if !log.is_empty() && self.target.speaks == Speaks::Hobnob {
            eprintln!("the server's log:\n{log}");
        }
        ensure!(status.success(), "the server ended with {status}; its log:\n{log}");
        Ok(())
    }

    /// Ends it without a word, as `kill -9` does, and gives back its folder.
    pub(crate) async fn kill(mut self) -> anyhow::Result<Arc<Data>> {
        kill_process(self.process()?, Signal::KILL)?;
        self.child.wait().await?;
        Ok(self.data.clone())
    }

    fn process(&self) -> anyhow::Result<Pid> {
        i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("a process has a number")
    }
}

/// ngIRCd reads 2,048 bytes at once; what is left of a TLS record then waits until more comes, which may be never.
const NGIRCD_RECORD_BYTES: usize = 1_400;

/// Debian's name, which other systems have, too.
const NGIRCD: &str = "ngircd";

/// Whether ngIRCd is installed. Debian keeps it where only root looks.
pub(crate) fn has_ngircd() -> bool {
    let status = std::process::Command::new(NGIRCD).arg("--version").stdout(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn ngircd_config(common: &Common, folder: &Path, port: u16) -> anyhow::Result<PathBuf> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    fs::write(&cert, made.cert.pem())?;
    fs::write(&key, made.signing_key.serialize_pem())?;
    // Started by root it becomes nobody, who has to read this; the key is good for nothing else.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    let listen = match common.plain {
        true => format!("Ports = {port}\n"),
        false => format!(
            "Ports = 0\n[SSL]\nPorts = {port}\nCertFile = {}\nKeyFile = {}\n",
            cert.display(),
            key.display()
        ),
    };
    let config = format!(
        "[Limits]\nMaxConnections = 0\nMaxConnectionsIP = 0\nMaxNickLength = 20\nMaxPenaltyTime = 0\n\
         PingTimeout = 3600\nPongTimeout = 3600\n[Options]\nDNS = no\nIdent = no\nPAM = no\nSyslogFacility = local1\n\
         [Global]\nName = irc.test\nInfo = measured\nMotdPhrase = hello\nListen = 127.0.0.1\n{listen}"
    );
    let path = folder.join("ngircd.conf");
    fs::write(&path, config)?;
    Ok(path)
}

/// The program under strace, which holds up every fsync. It becomes the child of its own child, so the process
/// numbers and the CPU time are the server's.
fn slowed(delay_ms: f64, program: &Path) -> Command {
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "--seccomp-bpf", "-qqq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"]);
    command.arg("-e").arg(format!("inject=fdatasync,fsync:delay_exit={:.0}", delay_ms * 1e3)).arg(program);
    command
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
    if !beside.exists() {
        bail!("there is no {}: say --server", beside.display());
    }
    Ok(beside)
}

fn not_started(data: &Data, what: &str) -> String {
    format!("the server did not start {what:?}; its log:\n{}", log(data.folder.path()))
}

/// The last lines of the server's log.
fn log(folder: &Path) -> String {
    let text = fs::read(folder.join("log")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
