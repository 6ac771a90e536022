//! A connection that speaks lines: those of IRC that chatting needs.

use anyhow::{Context, bail, ensure};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::link::{Io, Target};

/// Where everyone hears everyone.
const CHANNEL: &str = "#all";
/// No line is longer.
const LINE_BYTES_MAX: usize = 4096;

/// What a line means to who chats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A message to this user.
    Message,
    /// A message to all in the channel.
    Broadcast,
    /// Anything else.
    Other,
}

/// A user of a server that speaks lines.
pub(crate) struct Lines {
    io: Io,
    read: BytesMut,
    written: Vec<u8>,
}

impl Lines {
    /// Connects and takes a name.
    pub(crate) async fn open(target: &Target, name: &str) -> anyhow::Result<Self> {
        let io = target.connect().await?;
        let mut lines = Self { io, read: BytesMut::new(), written: Vec::new() };
        lines.written.extend_from_slice(format!("NICK {name}\r\nUSER {name} 0 * :bench\r\n").as_bytes());
        lines.flush().await?;
        lines.awaits("001").await?;
        Ok(lines)
    }

    /// Goes where broadcasts are heard.
    pub(crate) async fn join(&mut self) -> anyhow::Result<()> {
        self.written.extend_from_slice(format!("JOIN {CHANNEL}\r\n").as_bytes());
        self.flush().await?;
        self.awaits("366").await
    }

    /// Puts a message into the write buffer.
    pub(crate) fn send(&mut self, to: &str, text: &str) {
        for part in ["PRIVMSG ", to, " :", text, "\r\n"] {
            self.written.extend_from_slice(part.as_bytes());
        }
    }

    /// Puts a message to all into the write buffer.
    pub(crate) fn broadcast(&mut self, text: &str) {
        self.send(CHANNEL, text);
    }

    /// Writes what is in the write buffer.
    pub(crate) async fn flush(&mut self) -> anyhow::Result<()> {
        self.io.write_all(&self.written).await?;
        self.written.clear();
        Ok(self.io.flush().await?)
    }

    /// The next line that is a message. Cancel-safe.
    pub(crate) async fn recv(&mut self) -> anyhow::Result<Heard> {
        loop {
            match self.line()? {
                Some(Heard::Other) => {}
                Some(heard) => return Ok(heard),
                None => self.fill().await?,
            }
        }
    }

    /// Waits for a numeric reply; what else comes is dropped.
    async fn awaits(&mut self, numeric: &str) -> anyhow::Result<()> {
        loop {
            while let Some(end) = self.end()? {
                let line = self.read.split_to(end + 1);
                let line = std::str::from_utf8(&line).context("a line that is no text")?;
                if word(line, 1) == Some(numeric) {
                    return Ok(());
                }
                ensure!(!line.starts_with("ERROR"), "the server says {line:?}");
                // 433: the name is taken; 471 to 475: the channel is closed.
                ensure!(!matches!(word(line, 1), Some("432" | "433" | "471" | "473" | "475")), "{line:?}");
            }
            self.fill().await?;
        }
    }

    fn line(&mut self) -> anyhow::Result<Option<Heard>> {
        let Some(end) = self.end()? else { return Ok(None) };
        let heard = heard(&self.read[..end]);
        if heard.is_err() {
            bail!("the server says {:?}", String::from_utf8_lossy(&self.read[..end]));
        }
        self.read.advance(end + 1);
        if self.read.is_empty() {
            // What is idle holds no buffer.
            self.read = BytesMut::new();
        }
        heard.map(Some)
    }

    fn end(&self) -> anyhow::Result<Option<usize>> {
        let end = self.read.iter().position(|byte| *byte == b'\n');
        ensure!(end.is_some() || self.read.len() < LINE_BYTES_MAX, "a line without an end");
        Ok(end)
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        self.read.reserve(LINE_BYTES_MAX);
        ensure!(self.io.read_buf(&mut self.read).await? > 0, "the server closed the connection");
        Ok(())
    }
}

/// `:sender PRIVMSG to :text`. A ping is an error: the servers are told not to.
fn heard(line: &[u8]) -> anyhow::Result<Heard> {
    let mut words = line.split(|byte| *byte == b' ');
    let (sender, verb, to) = (words.next(), words.next(), words.next());
    match (sender, verb, to) {
        (_, Some(b"PRIVMSG"), Some([b'#', ..])) => Ok(Heard::Broadcast),
        (_, Some(b"PRIVMSG"), Some(_)) => Ok(Heard::Message),
        (Some(b"PING" | b"ERROR"), ..) => bail!("the server does not only carry messages"),
        (_, Some([b'4' | b'5', _, _]), _) => bail!("the server refuses something"),
        _ => Ok(Heard::Other),
    }
}

fn word(line: &str, index: usize) -> Option<&str> {
    line.split_whitespace().nth(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let check = |line: &str, expected| assert_eq!(heard(line.as_bytes()).ok(), expected, "{line}");
        check(":a!u@h PRIVMSG b :hello\r", Some(Heard::Message));
        check(":a!u@h PRIVMSG #all :PING\r", Some(Heard::Broadcast));
        check(":a!u@h JOIN :#all\r", Some(Heard::Other));
        check("PING :irc.test\r", None);
        check(":irc.test 401 a b :No such nick or channel name\r", None);
    }
}
