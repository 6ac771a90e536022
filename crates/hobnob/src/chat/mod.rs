//! `hobnob chat`: a login, then a session.

mod ahead;
pub(crate) mod command;
mod driver;
mod editor;
mod exchange;
pub(crate) mod face;
mod files;
mod keys;
pub(crate) mod line;
pub(crate) mod login;
mod peers;
mod pipe;
mod private;
pub(crate) mod script;
mod terminal;
pub(crate) mod text;
mod typed;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Result;
use hobnob_client::{Client, Config, Door, Events, Login, OpenError, Proof, Slot, Welcome};

use self::{
    driver::Driver,
    exchange::Exchange,
    face::Face,
    login::{Account, Dialogue, Step},
    peers::Peers,
};
use crate::{config::ChatSettings, signals::Signals};

/// What the server's log shows of this program.
pub(crate) const AGENT: &str = concat!("hobnob/", env!("CARGO_PKG_VERSION"));

/// What a password may have in bytes to fit in a frame before login. The server says what it really may have.
const PASSWORD_BYTES_MAX: usize = 8 * 1024;

/// Runs it; the result is the exit code.
///
/// # Errors
/// The process cannot read or catch signals.
pub(crate) async fn run(settings: ChatSettings) -> Result<u8> {
    let signals = Signals::listen()?;
    Ok(converse(settings, &mut Face::open()?, &signals).await)
}

/// The same with this face; the result is the exit code.
pub(crate) async fn converse(settings: ChatSettings, face: &mut Face, signals: &Signals) -> u8 {
    let config = Config {
        address: settings.destination.address,
        data: settings.data,
        pin: settings.pin,
        agent: AGENT.to_owned(),
        slot: Slot::Chat,
    };
    let manner = Manner { downloads: settings.downloads, relay_only: settings.relay_only };
    match talk(config, settings.destination.user, manner, face, signals).await {
        Ok(code) => code,
        // Nobody reads what is printed any more: that is a way to leave, not an error.
        Err(Stop::Unread) => 0,
        Err(Stop::Open(error)) => {
            let _ = face.print(&text::error(&error.to_string()));
            1
        }
    }
}

/// Why a chat ended without a last word.
enum Stop {
    /// Printing failed.
    Unread,
    /// There is no server, or not the right one.
    Open(OpenError),
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Unread
    }
}

impl From<OpenError> for Stop {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

/// How a session deals with others.
struct Manner {
    downloads: PathBuf,
    relay_only: bool,
}

async fn talk(
    config: Config,
    user: Option<String>,
    manner: Manner,
    face: &mut Face,
    signals: &Signals,
) -> Result<u8, Stop> {
    let server = config.address.to_string();
    let mut door = tokio::select! {
        biased;
        () = signals.first().cancelled() => return Ok(0),
        door = Door::open(config) => door?,
    };
    if let Some(fingerprint) = door.first_contact() {
        let _ = io::stderr().write_all(text::first_contact(&server, fingerprint).as_bytes());
    }
    let (dialogue, step) = Dialogue::begin(user);
    match log_in(dialogue, step, &mut door, face, signals).await? {
        Entry::Exit(code) => Ok(code),
        Entry::In(client, events, welcome) => {
            // A session needs no door, and its connection should be the only one.
            drop(door);
            let mut greeting = text::welcome(&welcome.text, welcome.failed_logins);
            if welcome.damaged {
                greeting += text::OUTBOX_DAMAGED;
            }
            let Manner { downloads, relay_only } = manner;
            let (peers, talks, words) = Peers::new(&client, relay_only);
            let exchange = Exchange::new(&client, downloads, relay_only);
            greeting += &words;
            let ends = (client, events);
            Ok(Driver::new(face, ends, (peers, talks, exchange), server, signals).run(&greeting).await?)
        }
    }
}

/// What a login dialogue came to.
enum Entry {
    In(Client, Events, Welcome),
    Exit(u8),
}

async fn log_in(
    mut dialogue: Dialogue,
    mut step: Step,
    door: &mut Door,
    face: &mut Face,
    signals: &Signals,
) -> Result<Entry, Stop> {
    loop {
        let leaving = dialogue.give_up();
        let turn = turn(&mut dialogue, step, door, face);
        let (printed, next) = tokio::select! {
            biased;
            () = signals.first().cancelled() => return Ok(Entry::Exit(leaving)),
            turn = turn => match turn? {
                Turn::Next(printed, next) => (printed, next),
                Turn::Over(entry) => return Ok(entry),
            },
        };
        face.print(&printed)?;
        step = next;
    }
}

enum Turn {
    Next(String, Step),
    Over(Entry),
}

/// Carries out one step of the dialogue.
async fn turn(dialogue: &mut Dialogue, step: Step, door: &mut Door, face: &mut Face) -> Result<Turn, Stop> {
    let (printed, next) = match step {
        Step::Exit(code) => return Ok(Turn::Over(Entry::Exit(code))),
        Step::Ask { prompt, secret } => {
            face.ask(prompt, secret)?;
            dialogue.typed(face.read(None).await?)
        }
        Step::LookUp { name, invitation: None } => dialogue.found(&door.lookup(&name).await?),
        Step::LookUp { name, invitation: Some(invitation) } => {
            if let Some(key) = &invitation.key {
                door.demand(key)?;
            }
            dialogue.found(&door.lookup_invited(&name, &invitation.code).await?)
        }
        Step::LogIn { name, password, account } => {
            let login = match account {
                Account::Known => door.login(&name, Proof::Password(password), false).await?,
                Account::New => door.login(&name, Proof::Password(password), true).await?,
                Account::Invited(code) => door.login_invited(&name, password, &code).await?,
            };
            match login {
                Login::In { client, events, welcome } => {
                    return Ok(Turn::Over(Entry::In(client, events, welcome)));
                }
                Login::Refused { reason, text } => dialogue.refused(reason, &text),
            }
        }
    };
    Ok(Turn::Next(printed, next))
}
