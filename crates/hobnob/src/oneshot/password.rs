//! Where a password comes from when nobody talks: a file, the environment, the terminal. Never the command line.

use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
    thread,
};

use hobnob_protocol::limits::PASSWORD_CHARS_MAX;
use tokio::sync::oneshot;

use super::Stop;
use crate::{signals::Signals, termios};

/// The variable of the environment. An empty one is not set.
const VARIABLE: &str = "HOBNOB_PASSWORD";

/// Bytes of a file that are looked at.
const FILE_BYTES_MAX: u64 = 8 * 1024;

/// A password; not for printing.
pub(super) struct Password {
    pub(super) text: String,
    /// Whether it was typed, so that another one can be.
    pub(super) asked: bool,
}

/// Gets it: the named file is meant more than the environment, and that more than asking.
pub(super) async fn obtain(file: Option<&Path>, name: &str, signals: &Signals) -> Result<Password, Stop> {
    if let Some(path) = file {
        return given(File::open(path).and_then(first_line).and_then(check))
            .map_err(|error| misuse(&path.display(), &error));
    }
    if let Some(text) = std::env::var_os(VARIABLE).filter(|text| !text.is_empty()) {
        return given(check(text.into_encoded_bytes())).map_err(|error| misuse(&VARIABLE, &error));
    }
    tokio::select! {
        biased;
        () = signals.first().cancelled() => Err(Stop::Exit(1)),
        text = ask(format!("Password of {name}: ")) => match text {
            Some(text) => Ok(Password { text, asked: true }),
            None => {
                let hint = format!("set {VARIABLE}, use --password-file, or run this on a terminal");
                let _ = writeln!(io::stderr(), "hobnob: no password: {hint}");
                Err(Stop::Exit(1))
            }
        },
    }
}

fn given(password: io::Result<String>) -> io::Result<Password> {
    password.map(|text| Password { text, asked: false })
}

fn misuse(source: &dyn fmt::Display, error: &io::Error) -> Stop {
    let _ = writeln!(io::stderr(), "hobnob: {source}: {error}");
    Stop::Exit(crate::MISUSE)
}

/// The first line without its end.
pub(crate) fn first_line(from: impl Read) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(from.take(FILE_BYTES_MAX)).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
        line.pop_if(|byte| *byte == b'\r');
    }
    Ok(line)
}

/// What cannot be anybody's password would only count as a failed login.
pub(crate) fn check(bytes: Vec<u8>) -> io::Result<String> {
    let Ok(text) = String::from_utf8(bytes) else { return Err(io::Error::other("is not UTF-8")) };
    match text.chars().count() {
        0 => Err(io::Error::other("there is no password on the first line")),
        1..=PASSWORD_CHARS_MAX => Ok(text),
        _ => Err(io::Error::other("a password has 128 characters at most")),
    }
}

/// Asks on the terminal, wherever standard input comes from.
async fn ask(prompt: String) -> Option<String> {
    let (sender, answer) = oneshot::channel();
    // Nobody can end a read from a terminal, so nobody joins this thread; it ends with the process.
    let asking = thread::Builder::new().name("password".to_owned()).spawn(move || {
        let _ = sender.send(ask_terminal(&prompt));
    });
    asking.ok()?;
    answer.await.ok()?.ok().flatten()
}

/// Asks on the terminal, and waits. `None`: there is no more.
pub(crate) fn ask_terminal(prompt: &str) -> io::Result<Option<String>> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let silent = termios::silent(&terminal)?;
    terminal.write_all(prompt.as_bytes())?;
    let mut line = Vec::new();
    BufReader::new(&terminal).take(FILE_BYTES_MAX).read_until(b'\n', &mut line)?;
    drop(silent);
    terminal.write_all(b"\n")?;
    if line.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&line);
    Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_file_is_the_password() {
        let read = |content: &[u8]| {
            let file = tempfile::NamedTempFile::new().expect("a file");
            std::fs::write(file.path(), content).expect("written");
            File::open(file.path()).and_then(first_line).and_then(check).map_err(|error| error.to_string())
        };
        let right: [(&[u8], &str); 5] = [
            (b"x", "x"),
            (b" x \n", " x "),
            (b"x\r\ny", "x"),
            ("\u{e4}\n".as_bytes(), "\u{e4}"),
            (b"x\n\xff", "x"),
        ];
        for (content, password) in right {
            assert_eq!(read(content).as_deref(), Ok(password));
        }
        let longest = "\u{e4}".repeat(PASSWORD_CHARS_MAX);
        assert_eq!(read(longest.as_bytes()), Ok(longest.clone()));
        for wrong in [&b""[..], b"\nx", b"\r\n", b"\xff", format!("{longest}x").as_bytes(), &[b'x'; 10_000]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
