//! `hobnob admin`: what the person who keeps a server does, over the socket in the server's folder.

mod arguments;
mod call;
mod password;
pub(crate) mod text;

use std::io::{self, Write};

use hobnob_server::admin::wire::{Command, Reply};

pub(crate) use self::arguments::{Wish, command};
use self::call::{Call, Failure};
use crate::{MISUSE, config::AdminSettings, output, signals::Signals};

/// It is done.
const DONE: u8 = 0;
/// It was refused: there is no such user, or the caller is not allowed to.
const REFUSED: u8 = 1;
/// There is no server that could do it.
const NO_SERVER: u8 = 3;

/// Carries it out; the result is the exit code.
///
/// # Errors
/// Signals cannot be caught, or what is to be printed cannot be.
pub(crate) async fn run(settings: AdminSettings, wish: Wish) -> anyhow::Result<u8> {
    let signals = Signals::listen()?;
    let finished = tokio::select! {
        biased;
        () = signals.first().cancelled() => return Ok(REFUSED),
        finished = carry_out(&settings, wish) => finished,
    };
    let failure = match finished {
        Ok(code) => return Ok(code),
        Err(failure) => failure,
    };
    let code = match failure {
        Failure::Unread(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(REFUSED),
        Failure::Unread(error) => return Err(error.into()),
        Failure::Misuse(_) => MISUSE,
        Failure::NotAllowed => REFUSED,
        Failure::NoServer | Failure::Lost => NO_SERVER,
    };
    // Nothing can be said where nobody listens.
    let _ = tell_refusal(settings.json, failure.word(), &text::failure(&failure, &settings.data), &[]);
    Ok(code)
}

async fn carry_out(settings: &AdminSettings, wish: Wish) -> Result<u8, Failure> {
    let json = settings.json;
    let mut call = Call::connect(&settings.data).await?;
    let command = if wish.reads() {
        // Nobody should type a password for a server that is not there, or refuses; and none waits for somebody who types.
        call.ask(Command::Status).await?;
        if let Reply::Refused(refused) = call.reply().await? {
            tell_refusal(json, text::word(refused.reason), &refused.text, &refused.mistakes)?;
            return Ok(REFUSED);
        }
        drop(call);
        let command = password::complete(wish).await?;
        call = Call::connect(&settings.data).await?;
        command
    } else {
        wish.command
    };
    call.ask(command.clone()).await?;
    if !json {
        print(text::heading(&command))?;
    }
    loop {
        match call.reply().await? {
            Reply::Done(_) if is_list(&command) => return Ok(DONE),
            Reply::Done(done) => {
                print(&if json { text::json(&done) } else { text::done(&command, &done) })?;
                return Ok(DONE);
            }
            Reply::Refused(refused) => {
                tell_refusal(json, text::word(refused.reason), &refused.text, &refused.mistakes)?;
                return Ok(REFUSED);
            }
            Reply::User(user) => print(&if json { text::json(&user) } else { text::user(&user) })?,
            Reply::Session(one) => print(&if json { text::json(&one) } else { text::session(&one) })?,
            Reply::Invitation(one) => print(&if json { text::json(&one) } else { text::invitation(&one) })?,
            Reply::Status(status) => print(&if json { text::json(&status) } else { text::status(&status) })?,
        }
    }
}

/// Whether its rows are the answer.
fn is_list(command: &Command) -> bool {
    matches!(command, Command::Users | Command::Sessions { .. } | Command::Invitations | Command::Status)
}

fn print(text: &str) -> Result<(), Failure> {
    output::write(text).map_err(Failure::Unread)
}

/// Says why it is not done: in words to whoever sits there, or where a program reads on.
fn tell_refusal(json: bool, word: &str, why: &str, mistakes: &[String]) -> Result<(), Failure> {
    if json {
        return print(&text::refusal(word, why, mistakes));
    }
    io::stderr().write_all(text::refused(why, mistakes).as_bytes()).map_err(Failure::Unread)
}
