//! Where a password comes from when nobody talks: a file, the environment, the terminal. Never the command line.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
    thread,
};

use tokio::sync::oneshot;

use super::Stop;
use crate::{signals::Signals, termios};

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
        return match first_line(path) {
            Ok(text) => Ok(Password { text, asked: false }),
            Err(error) => {
                let _ = writeln!(io::stderr(), "hobnob: {}: {error}", path.display());
                Err(Stop::Exit(crate::MISUSE))
            }
        };
    }
    if let Some(text) = std::env::var("HOBNOB_PASSWORD").ok().filter(|text| !text.is_empty()) {
        return Ok(Password { text, asked: false });
    }
    tokio::select! {
        biased;
        () = signals.first().cancelled() => Err(Stop::Exit(1)),
        text = ask(format!("Password of {name}: ")) => match text {
            Some(text) => Ok(Password { text, asked: true }),
            None => {
                let hint = "no password: set HOBNOB_PASSWORD, use --password-file, or run this on a terminal";
                let _ = writeln!(io::stderr(), "hobnob: {hint}");
                Err(Stop::Exit(1))
            }
        },
    }
}

fn first_line(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
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

fn ask_terminal(prompt: &str) -> io::Result<Option<String>> {
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
