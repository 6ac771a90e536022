//! A process that is one side of a file transfer: what the generator starts, reads and measures. What such a process
//! does is in [`inside`]; it is told and tells by lines, so that another program can take its place.
//!
//! ```text
//! give   prints  offers ID SIZE KEY ADDRESS,ADDRESS     once the file is hashed and others may call
//! take   reads   fetch ID SIZE KEY=ADDRESS,ADDRESS ...  the sources
//!        prints  done                                   once the file is whole, verified and has its name
//! both   leave when their input ends
//! ```

pub(crate) mod inside;

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, bail, ensure};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::{Instant, timeout},
};

use crate::{args::Over, process};

/// How long one step may take: hashing the file, fetching it.
const STEP_MAX: Duration = Duration::from_secs(300);
/// How long a side may take to leave.
const LEAVING_MAX: Duration = Duration::from_secs(20);

/// A side. Killed if it is dropped without [`Side::leave`].
pub(crate) struct Side {
    child: Child,
    pid: u32,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What a side has used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// User and system, of all threads.
    pub(crate) cpu: Duration,
    /// Most resident memory that it ever had, in KiB.
    pub(crate) peak_kib: u64,
}

/// A file that a side gives, and where: the words behind `offers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    id: String,
    size: String,
    key: String,
    addresses: String,
}

impl Side {
    /// Begins to give a file, and waits until it is offered. Every side has a number and a folder of its own.
    pub(crate) async fn give(
        over: Over,
        number: u8,
        folder: &Path,
        file: &Path,
    ) -> anyhow::Result<(Self, Offer)> {
        let mut side = Self::start(over, number, folder, Some(file))?;
        let offer = Offer::read(&side.line().await?).context("no offer")?;
        Ok((side, offer))
    }

    /// Begins a side that will fetch, and waits until it could.
    pub(crate) async fn take(over: Over, number: u8, folder: &Path) -> anyhow::Result<Self> {
        let mut side = Self::start(over, number, folder, None)?;
        let line = side.line().await?;
        ensure!(line == "ready", "a side begins with {line:?}");
        Ok(side)
    }

    fn start(over: Over, number: u8, folder: &Path, file: Option<&Path>) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("side").arg("--over").arg(over.word()).arg("--number").arg(number.to_string());
        command.arg("--folder").arg(folder);
        if let Some(file) = file {
            command.arg("--file").arg(file);
        }
        command.env_clear().kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("a side cannot be started")?;
        let pid = child.id().context("a side is gone already")?;
        let input = child.stdin.take().context("its stdin is a pipe")?;
        let output = child.stdout.take().context("its stdout is a pipe")?;
        Ok(Self { child, pid, input, lines: BufReader::new(output).lines() })
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let line = timeout(STEP_MAX, self.lines.next_line()).await.context("a side hangs")??;
        line.context("a side ended early")
    }

    /// Fetches what these offer, which is the same file. Says how long it took.
    pub(crate) async fn fetch(&mut self, offers: &[Offer]) -> anyhow::Result<Duration> {
        let Some(first) = offers.first() else { bail!("nobody offers anything") };
        let mut line = format!("fetch {} {}", first.id, first.size);
        for offer in offers {
            ensure!(offer.id == first.id, "they offer different files");
            line += &format!(" {}={}", offer.key, offer.addresses);
        }
        let begun = Instant::now();
        self.input.write_all(format!("{line}\n").as_bytes()).await?;
        let line = self.line().await?;
        ensure!(line == "done", "the transfer failed: {line}");
        Ok(begun.elapsed())
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Ok(Usage { cpu: process::cpu(self.pid)?, peak_kib: process::peak_kib(self.pid)? })
    }

    /// Ends it.
    pub(crate) async fn leave(mut self) -> anyhow::Result<()> {
        drop(self.input);
        let status = timeout(LEAVING_MAX, self.child.wait()).await.context("a side does not leave")??;
        ensure!(status.success(), "a side ended with {status}");
        Ok(())
    }
}

impl Offer {
    fn read(line: &str) -> Option<Self> {
        let words: Vec<_> = line.split(' ').collect();
        let ["offers", id, size, key, addresses] = words.as_slice() else { return None };
        let word = |word: &str| word.to_owned();
        Some(Self { id: word(id), size: word(size), key: word(key), addresses: word(addresses) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_read() {
        let offer = Offer::read("offers ab 7 cd 127.0.0.1:1,127.0.0.1:2").unwrap();
        assert_eq!((offer.id.as_str(), offer.size.as_str(), offer.key.as_str()), ("ab", "7", "cd"));
        assert_eq!(offer.addresses, "127.0.0.1:1,127.0.0.1:2");
        assert_eq!(Offer::read("offers ab 7"), None);
        assert_eq!(Offer::read("done"), None);
    }
}
