//! What a request still lacks: a password from the terminal or standard input, or a long text.

use std::{
    io::{self, Read},
    thread,
};

use hobnob_protocol::limits::TEXT_BYTES_MAX;
use hobnob_server::admin::wire::{Command, Password};
use tokio::sync::oneshot;

use super::{Wish, call::Failure, text};
use crate::{oneshot::password, termios};

/// The whole request.
pub(super) async fn complete(wish: Wish) -> Result<Command, Failure> {
    let Wish { mut command, ask, read_text } = wish;
    match &mut command {
        Command::Add { name, password } | Command::Reset { name, password } if ask => {
            let name = name.clone();
            *password = Some(Password(on_a_thread(move || obtain(&name)).await?));
        }
        Command::Announce { text } if read_text => *text = on_a_thread(read_all).await?,
        _ => {}
    }
    Ok(command)
}

/// Nobody can end a read from a terminal or a pipe, so nobody joins this thread; it ends with the process.
async fn on_a_thread(
    read: impl FnOnce() -> Result<String, Failure> + Send + 'static,
) -> Result<String, Failure> {
    let (sender, answer) = oneshot::channel();
    let reading = thread::Builder::new().name("password".to_owned()).spawn(move || {
        let _ = sender.send(read());
    });
    reading.map_err(Failure::Unread)?;
    answer.await.unwrap_or_else(|_| Err(Failure::Misuse(text::NO_PASSWORD.to_owned())))
}

/// Where standard input is a terminal the password is asked for, twice; otherwise it is the first line.
fn obtain(name: &str) -> Result<String, Failure> {
    let misuse = |error: io::Error| Failure::Misuse(error.to_string());
    if !termios::is_terminal(io::stdin()) {
        return password::first_line(io::stdin()).and_then(password::check).map_err(misuse);
    }
    let ask = |prompt: &str| {
        let typed = password::ask_terminal(prompt).map_err(misuse)?;
        typed.ok_or_else(|| Failure::Misuse(text::NO_PASSWORD.to_owned()))
    };
    let typed = ask(&text::password_of(name))?;
    let typed = password::check(typed.into_bytes()).map_err(misuse)?;
    if ask(text::REPEAT)? != typed {
        return Err(Failure::Misuse(text::PASSWORDS_DIFFER.to_owned()));
    }
    Ok(typed)
}

/// All of standard input, without the end of its last line. What is too long is refused by the server.
fn read_all() -> Result<String, Failure> {
    let misuse = |error: io::Error| Failure::Misuse(error.to_string());
    let mut bytes = Vec::new();
    io::stdin().take(TEXT_BYTES_MAX as u64 + 2).read_to_end(&mut bytes).map_err(misuse)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}
