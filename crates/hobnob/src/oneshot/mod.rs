//! Commands without a conversation: `send`, `tail`, `share`, `files` and `get`. They log in by a saved session where
//! there is one.

mod bar;
mod files;
mod get;
pub(crate) mod json;
pub(crate) mod password;
mod peers;
mod send;
mod share;
mod tail;
mod users;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use hobnob_client::{Client, Config, Door, Event, Events, Login, OpenError, Proof, Slot, Welcome};
use hobnob_protocol::v1::{found::Answer, login_refused::Reason};

pub(crate) use self::{files::files, get::get, send::send, share::share, tail::tail};
use crate::{
    MISUSE,
    chat::{AGENT, text},
    config::{Destination, OneShotSettings},
    output,
    signals::Signals,
};

/// Why a command ends early.
enum Stop {
    /// It is said already.
    Exit(u8),
    /// The server does not let this user in, in words for a person.
    Refused(String),
    /// There is no server, or not the right one.
    Open(OpenError),
    /// Nobody reads what is printed, or a password cannot be read.
    Io(io::Error),
}

impl From<OpenError> for Stop {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Somebody at a server.
struct Caller {
    destination: Destination,
    name: String,
    password_file: Option<PathBuf>,
    data: PathBuf,
    pin: Option<String>,
}

/// A session that is open.
struct Session {
    client: Client,
    events: Events,
    welcome: Welcome,
    /// What the server is called.
    server: String,
}

impl Caller {
    /// Who it is, if that can be told.
    fn new(settings: OneShotSettings) -> Result<Self, Stop> {
        let OneShotSettings { destination, password_file, data, pin, .. } = settings;
        let saved = || users::only_one(&data, &destination.address);
        let Some(name) = destination.user.clone().or_else(saved) else {
            let _ = writeln!(io::stderr(), "hobnob: as whom? Say --user NAME or --server NAME@HOST");
            return Err(Stop::Exit(MISUSE));
        };
        Ok(Self { destination, name, password_file, data, pin })
    }

    fn server(&self) -> String {
        self.destination.address.to_string()
    }

    fn session(&self, client: Client, events: Events, welcome: Welcome) -> Session {
        Session { client, events, welcome, server: self.server() }
    }

    async fn open(&self, slot: Slot) -> Result<Door, Stop> {
        let config = Config {
            address: self.destination.address.clone(),
            data: self.data.clone(),
            pin: self.pin.clone(),
            agent: AGENT.to_owned(),
            slot,
        };
        let door = Door::open(config).await?;
        if let Some(fingerprint) = door.first_contact() {
            met(&self.server(), fingerprint);
        }
        Ok(door)
    }

    /// A session that nobody is told of: by a saved one's token, otherwise by the password.
    async fn log_in_quietly(&self, signals: &Signals) -> Result<Session, Stop> {
        let mut door = self.open(Slot::OneShot).await?;
        let mut tokens = Tokens::default();
        while let Some(token) = tokens.next(&door, &self.name) {
            match door.login_background(&self.name, token, false).await? {
                Login::In { client, events, welcome } => return Ok(self.session(client, events, welcome)),
                Login::Refused { reason, .. } if is_over(reason) => {}
                Login::Refused { reason, text } => return Err(refused(reason, &text)),
            }
        }
        loop {
            let password = password::obtain(self.password_file.as_deref(), &self.name, signals).await?;
            let asked = password.asked;
            match door.login_background(&self.name, Proof::Password(password.text), false).await? {
                Login::In { client, events, welcome } => return Ok(self.session(client, events, welcome)),
                Login::Refused {
                    reason: reason @ (Reason::WrongPassword | Reason::PasswordRefused),
                    text,
                } if asked => {
                    say(&text::login_refused(reason, &text))?;
                }
                Login::Refused { reason, text } => {
                    let hint = self.hint(&mut door, reason).await;
                    return Err(Stop::Refused(text::login_refused(reason, &text) + &hint));
                }
            }
        }
    }

    /// What else to say of a login that was refused. A one-shot makes no account, and where new users are invited it
    /// is not told whether there is one.
    async fn hint(&self, door: &mut Door, reason: Reason) -> String {
        if reason != Reason::WrongPassword && reason != Reason::LockedNow {
            return String::new();
        }
        match door.lookup(&self.name).await {
            Ok(found) if found.answer() == Answer::ByInvitation => text::invited_by_chat(&self.server()),
            _ => String::new(),
        }
    }
}

/// An online session of its own. It is opened by the token of a background session, which outlives it, so that the
/// next call needs no password either.
async fn come_online(settings: OneShotSettings, slot: Slot, signals: &Signals) -> Result<Session, Stop> {
    let caller = Caller::new(settings)?;
    let background = caller.log_in_quietly(signals).await?;
    let damaged = background.welcome.damaged;
    background.close().await;
    let mut door = caller.open(slot).await?;
    let mut tokens = Tokens::default();
    // One that was killed may have left a token that is no longer good; it comes before the one just saved.
    while let Some(token) = tokens.next(&door, &caller.name) {
        match door.login(&caller.name, token, false).await? {
            Login::In { client, events, mut welcome } => {
                welcome.damaged |= damaged;
                return Ok(caller.session(client, events, welcome));
            }
            Login::Refused { reason, .. } if is_over(reason) => {}
            Login::Refused { reason, text } => return Err(refused(reason, &text)),
        }
    }
    Err(Stop::Io(io::Error::other("the session was not saved")))
}

impl Session {
    /// Ends what is left of it; what is noted on disk is noted.
    async fn close(mut self) {
        self.client.logout().await;
        let rest = async {
            while let Some(event) = self.events.next().await {
                if let Event::FirstContact(fingerprint) = event {
                    met(&self.server, &fingerprint);
                }
            }
        };
        if tokio::time::timeout(CLOSING_MAX, rest).await.is_err() {
            self.client.leave();
        }
    }
}

/// How long a session may take to close when its command is done.
const CLOSING_MAX: std::time::Duration = std::time::Duration::from_secs(2);

/// The tokens of saved sessions, one after the other: the door forgets one that is refused.
#[derive(Default)]
struct Tokens(Option<Proof>);

impl Tokens {
    /// Another one. One that comes again could not be forgotten, and would be refused again.
    fn next(&mut self, door: &Door, name: &str) -> Option<Proof> {
        let token = door.saved_token(name).filter(|token| self.0.as_ref() != Some(token))?;
        self.0 = Some(token.clone());
        Some(token)
    }
}

/// Whether a saved session has ended, so that only the password helps.
fn is_over(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::UnknownToken
            | Reason::Replaced
            | Reason::TimedOut
            | Reason::LoggedOut
            | Reason::PasswordChanged
            | Reason::Kicked
    )
}

fn refused(reason: Reason, words: &str) -> Stop {
    Stop::Refused(text::login_refused(reason, words))
}

/// Says on standard error that a server was met for the first time.
fn met(server: &str, fingerprint: &str) {
    let _ = io::stderr().write_all(text::first_contact(server, fingerprint).as_bytes());
}

/// Says something to whoever reads standard output.
fn say(text: &str) -> io::Result<()> {
    output::write(text)
}

/// Words for a person, which JSON has no place for.
fn tell(words: &str, json: bool) -> io::Result<()> {
    if json { io::stderr().write_all(words.as_bytes()) } else { say(words) }
}

/// The exit code of a command that stopped.
fn stopped(stop: Stop, json: bool) -> anyhow::Result<u8> {
    match stop {
        Stop::Exit(code) => Ok(code),
        Stop::Refused(words) => {
            let _ = tell(&words, json);
            Ok(1)
        }
        Stop::Open(error) => {
            let _ = tell(&text::error(&error.to_string()), json);
            Ok(1)
        }
        Stop::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(1),
        Stop::Io(error) => Err(error.into()),
    }
}
