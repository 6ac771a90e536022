//! `hobnob send`: one message, and whether it was accepted.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    thread,
    time::Duration,
};

use hobnob_client::{Answer, Command, End, Event};
use hobnob_protocol::{
    limits::{NAME_CHARS_MAX, TEXT_BYTES_MAX},
    v1::submitted::Outcome,
};
use tokio::{sync::oneshot, time::Instant};

use super::{Caller, Session, Stop, met, say, stopped};
use crate::{
    MISUSE,
    chat::{line, text},
    config::OneShotSettings,
    signals::Signals,
    termios,
};

/// How long a lost connection is tried again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends; the result is the exit code: 0 if the message was accepted.
///
/// # Errors
/// Standard input cannot be read, or signals not be caught.
pub(crate) async fn send(
    settings: OneShotSettings,
    to: String,
    words: Option<OsString>,
) -> anyhow::Result<u8> {
    let signals = Signals::listen()?;
    match deliver(settings, to, words, &signals).await {
        Ok(code) => Ok(code),
        Err(stop) => stopped(stop, false),
    }
}

async fn deliver(
    settings: OneShotSettings,
    to: String,
    words: Option<OsString>,
    signals: &Signals,
) -> Result<u8, Stop> {
    let caller = Caller::new(settings)?;
    let message = message(words, signals).await?;
    if to.len() > NAME_CHARS_MAX * 16 {
        say(text::INVALID_USER)?;
        return Ok(1);
    }
    let session = tokio::select! {
        biased;
        () = signals.first().cancelled() => return Ok(1),
        session = caller.log_in_quietly(signals) => session?,
    };
    submit(session, Command::Message { to, text: message }, signals).await
}

/// The message: the argument, or all of standard input.
async fn message(words: Option<OsString>, signals: &Signals) -> Result<String, Stop> {
    let words = match words {
        Some(words) if words != "-" => words.to_string_lossy().into_owned(),
        None if termios::is_terminal(io::stdin()) => {
            return misuse("say what to send, or pipe it in");
        }
        _ => tokio::select! {
            biased;
            () = signals.first().cancelled() => return Err(Stop::Exit(1)),
            all = all_of_stdin() => all?,
        },
    };
    let words = words.replace("\r\n", "\n");
    // As a chat does it.
    let words = words.trim();
    if words.is_empty() {
        return misuse("the message is empty");
    }
    if let Err(error) = hobnob_protocol::text::check(words) {
        say(&text::error(&error.to_string()))?;
        return Err(Stop::Exit(1));
    }
    Ok(words.to_owned())
}

fn misuse(why: &str) -> Result<String, Stop> {
    let _ = writeln!(io::stderr(), "hobnob: {why}");
    Err(Stop::Exit(MISUSE))
}

async fn all_of_stdin() -> io::Result<String> {
    let (sender, all) = oneshot::channel();
    // Nobody can end a read from a pipe, so nobody joins this thread; it ends with the process.
    thread::Builder::new().name("input".to_owned()).spawn(move || {
        let mut bytes = Vec::new();
        // A little more than a message may have, to see that it is too long; line ends may take two bytes.
        let limit = 2 * TEXT_BYTES_MAX as u64 + 16;
        let read = io::stdin().lock().take(limit).read_to_end(&mut bytes);
        let _ = sender.send(read.map(|_| String::from_utf8_lossy(&bytes).into_owned()));
    })?;
    all.await.unwrap_or_else(|_| Err(io::ErrorKind::UnexpectedEof.into()))
}

/// Gives the command and waits for its answer, over lost connections too.
async fn submit(mut session: Session, command: Command, signals: &Signals) -> Result<u8, Stop> {
    // Of what an earlier process left and this one gives, how much the server has not judged.
    let mut waiting = session.welcome.left_over + 1;
    let mut deadline = None;
    if session.welcome.damaged {
        let _ = say(text::OUTBOX_DAMAGED);
    }
    // A new session has room for a command, so this does not wait. If it is over, an event says why.
    let _ = session.client.submit(command).await;
    loop {
        let patience = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            biased;
            event = session.events.next() => event,
            () = signals.first().cancelled() => return give_up(session, waiting),
            () = patience => return give_up(session, waiting),
        };
        match event {
            Some(Event::Answer { ticket: Some(_), command, answer }) => {
                let accepted = is_accepted(&answer);
                // Whether it was accepted counts, not whether somebody reads that.
                let _ = say(&line::judged(&command, &answer));
                session.close().await;
                return Ok(u8::from(!accepted));
            }
            Some(Event::Answer { ticket: None, command, answer }) => {
                waiting = waiting.saturating_sub(1);
                let _ = say(&line::judged(&command, &answer));
            }
            Some(Event::Disconnected) => deadline = Some(Instant::now() + PATIENCE),
            Some(Event::Reconnected) => deadline = None,
            Some(Event::Trouble(trouble)) => {
                say(text::trouble(trouble))?;
                if trouble.is_some() {
                    return give_up(session, waiting);
                }
            }
            Some(Event::FirstContact(fingerprint)) => met(&session.server, &fingerprint),
            Some(Event::Message(_) | Event::Presence { .. } | Event::Peer(_) | Event::Aside { .. }) => {}
            Some(Event::Ended(End::LoggedOut { .. })) | None => return give_up(session, waiting),
            Some(Event::Ended(end)) => {
                say(&text::end(&end).0)?;
                return Ok(1);
            }
        }
    }
}

fn is_accepted(answer: &Answer) -> bool {
    matches!(answer, Answer::Submitted { outcome: Outcome::Accepted | Outcome::AcceptedForSome, .. })
}

/// The message stays in the outbox and goes out with the next `send`.
fn give_up(session: Session, waiting: usize) -> Result<u8, Stop> {
    session.client.leave();
    say(&text::waiting(waiting))?;
    Ok(1)
}
