//! `rsync` over its daemon: the yardstick for files, neither encrypted nor verified. It has to be installed.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use crate::process;

/// How long the daemon may take until it greets.
const START_MAX: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(20);
/// How long a transfer may take.
const TRANSFER_MAX: Duration = Duration::from_secs(300);

/// A daemon. Killed if it is dropped without [`Rsync::stop`].
pub(crate) struct Rsync {
    child: Child,
    pid: u32,
    port: u16,
}

/// What a transfer took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    pub(crate) wall: Duration,
    /// Of both ends.
    pub(crate) cpu: Duration,
}

impl Rsync {
    /// Starts a daemon that gives what is in `folder`; its own files go to `place`. `None`: there is no rsync.
    pub(crate) async fn start(place: &Path, folder: &Path) -> anyhow::Result<Option<Self>> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let config = place.join("rsyncd.conf");
        fs::write(&config, configuration(place, folder))?;
        let mut command = Command::new("rsync");
        command.args(["--daemon", "--no-detach", "--address=127.0.0.1"]).arg(format!("--port={port}"));
        command.arg(format!("--config={}", config.display())).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            child => child.context("rsync cannot be started")?,
        };
        let pid = child.id().context("rsync is gone already")?;
        timeout(START_MAX, greeted(port)).await.context("rsync does not get ready")?;
        Ok(Some(Self { child, pid, port }))
    }

    /// Fetches a file to a folder.
    pub(crate) async fn fetch(&self, name: &str, to: &Path) -> anyhow::Result<Took> {
        let before = self.cpu()?;
        let begun = Instant::now();
        let mut command = Command::new("rsync");
        command
            .args(["--whole-file", "--inplace"])
            .arg(format!("rsync://127.0.0.1:{}/files/{name}", self.port));
        let mut child = command.arg(to).kill_on_drop(true).stdin(Stdio::null()).spawn()?;
        let status = timeout(TRANSFER_MAX, child.wait()).await.context("rsync hangs")??;
        let wall = begun.elapsed();
        ensure!(status.success(), "rsync ended with {status}");
        timeout(START_MAX, self.is_idle()).await.context("the daemon goes on")?;
        Ok(Took { wall, cpu: self.cpu()?.saturating_sub(before) })
    }

    /// Waits until the daemon's child has ended and was waited for: its CPU time counts only then.
    async fn is_idle(&self) {
        let children = format!("/proc/{0}/task/{0}/children", self.pid);
        // Where the kernel does not tell, the time may come to be counted with the next transfer.
        while fs::read_to_string(&children).is_ok_and(|children| !children.trim().is_empty()) {
            sleep(AGAIN).await;
        }
    }

    /// CPU time of transfers so far: of the daemon and its children, and of children of this process.
    fn cpu(&self) -> anyhow::Result<Duration> {
        let own = process::children_cpu(std::process::id())?;
        Ok(process::cpu(self.pid)? + process::children_cpu(self.pid)? + own)
    }

    /// Ends it.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("a process has a number")?;
        kill_process(pid, Signal::TERM)?;
        timeout(START_MAX, self.child.wait()).await.context("rsync does not stop")??;
        Ok(())
    }
}

fn configuration(place: &Path, folder: &Path) -> String {
    let file = |name: &str| -> PathBuf { place.join(name) };
    let (pid, lock, log) = (file("rsyncd.pid"), file("rsyncd.lock"), file("rsyncd.log"));
    let mut text = format!(
        "pid file = {}\nlock file = {}\nlog file = {}\nuse chroot = no\n",
        pid.display(),
        lock.display(),
        log.display()
    );
    if geteuid().is_root() {
        text += "uid = 0\ngid = 0\n";
    }
    text + &format!("[files]\npath = {}\nread only = yes\n", folder.display())
}

/// Waits until somebody greets there; rsync says in no other way that it is ready.
async fn greeted(port: u16) {
    let mut greeting = [0; 8];
    loop {
        if let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await
            && stream.read_exact(&mut greeting).await.is_ok()
            && greeting == *b"@RSYNCD:"
        {
            return;
        }
        sleep(AGAIN).await;
    }
}
