//! A person at `hobnob chat`: a child process whose lines are typed and read through pipes.

use std::{path::Path, process::Stdio, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::{Instant, timeout},
};

use crate::{account::Account, link::Target};

/// How long anything may take to be shown.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a client may take to leave.
const LEAVING_MAX: Duration = Duration::from_secs(20);
/// Read at once.
const READ_BYTES: usize = 256 * 1024;

/// A client process. Killed if it is dropped without [`Person::leave`].
pub(crate) struct Person {
    pub(crate) name: String,
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    /// What was shown and not yet looked at.
    shown: Vec<u8>,
}

impl Person {
    /// Logs in.
    pub(crate) async fn log_in(
        program: &Path,
        folder: &Path,
        target: &Target,
        account: &Arc<Account>,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args(["chat", "--plain"]).args(arguments);
        Self::log_in_with(command, folder, target, account).await
    }

    /// The same by a command for `chat` that lacks only where to keep things, and where to go.
    pub(crate) async fn log_in_with(
        mut command: Command,
        folder: &Path,
        target: &Target,
        account: &Arc<Account>,
    ) -> anyhow::Result<Self> {
        let name = account.name.clone();
        command.arg("--data").arg(folder.join(&name));
        let scheme = if target.tls.is_some() { "" } else { "ws://" };
        command.arg(format!("{scheme}{name}@{}", target.address)).env_clear().kill_on_drop(true);
        // To find what runs it elsewhere.
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("the client cannot be started")?;
        let input = child.stdin.take().context("its stdin is a pipe")?;
        let output = child.stdout.take().context("its stdout is a pipe")?;
        let mut person = Self { name, child, input, output, shown: Vec::new() };
        person.sees("Password: ").await?;
        person.types(&account.password).await?;
        person.sees("Welcome").await?;
        person.sees("\n").await?;
        Ok(person)
    }

    /// Types a line.
    pub(crate) async fn types(&mut self, line: &str) -> anyhow::Result<()> {
        let line = format!("{line}\n");
        timeout(PATIENCE, self.input.write_all(line.as_bytes()))
            .await
            .context("nobody reads what is typed")??;
        Ok(())
    }

    /// Waits until this is shown, and says when it was.
    pub(crate) async fn sees(&mut self, text: &str) -> anyhow::Result<Instant> {
        let mut looked_at = 0;
        loop {
            let found = find(&self.shown[looked_at..], text.as_bytes());
            if let Some(at) = found {
                let now = Instant::now();
                self.shown.drain(..looked_at + at + text.len());
                return Ok(now);
            }
            looked_at = self.shown.len().saturating_sub(text.len());
            if !self.reads(text).await? {
                bail!("{} ended before it showed {text:?}", self.name);
            }
        }
    }

    /// Waits for a line that begins with one of these, and returns it.
    pub(crate) async fn sees_line(&mut self, beginnings: &[&str]) -> anyhow::Result<String> {
        loop {
            while let Some(end) = self.shown.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.shown.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                if beginnings.iter().any(|beginning| line.starts_with(beginning)) {
                    return Ok(line.into_owned());
                }
            }
            if !self.reads(beginnings[0]).await? {
                bail!("{} ended before it showed {beginnings:?}", self.name);
            }
        }
    }

    /// Reads on until so many bytes were shown from here on.
    pub(crate) async fn sees_bytes(&mut self, bytes: u64) -> anyhow::Result<()> {
        let mut left = bytes;
        loop {
            left = left.saturating_sub(self.shown.len() as u64);
            self.shown.clear();
            if left == 0 {
                return Ok(());
            }
            if !self.reads("more").await? {
                bail!("{} ended {left} bytes early", self.name);
            }
        }
    }

    /// Reads what is there; false: nothing follows.
    async fn reads(&mut self, waited_for: &str) -> anyhow::Result<bool> {
        let start = self.shown.len();
        self.shown.resize(start + READ_BYTES, 0);
        let read = timeout(PATIENCE, self.output.read(&mut self.shown[start..])).await;
        let count = match read {
            Ok(count) => count?,
            Err(_) => {
                self.shown.truncate(start);
                bail!(
                    "{} does not show {waited_for:?} but {:?}",
                    self.name,
                    String::from_utf8_lossy(&self.shown)
                );
            }
        };
        self.shown.truncate(start + count);
        Ok(count > 0)
    }

    /// Logs out.
    pub(crate) async fn leave(mut self) -> anyhow::Result<()> {
        self.types("logout").await?;
        self.sees("Goodbye.").await?;
        timeout(LEAVING_MAX, self.child.wait()).await.context("a client does not leave")??;
        Ok(())
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
