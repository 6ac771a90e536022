//! Before login.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hobnob_protocol::backoff::Backoff;
use hobnob_protocol::invitation::Code;
use hobnob_protocol::v1;
use tokio::time::sleep;
use v1::client_frame::Body;
use v1::login_refused::Reason;
use v1::reply;

use crate::driver::{self, Resume, Start, position};
use crate::errand::Errand;
use crate::greet::{self, Device, Greeted};
use crate::link::LinkError;
use crate::state::{Begin, clip_name, clip_password};
use crate::storage::{Cursor, Folder};
use crate::{Client, Config, Disk, Events, Network, OpenError, Parts, Peering, Slot, SystemRandom, random};

/// How often a request is made anew because the connection was lost, or the server busy, under it.
const TRIES: u32 = 5;
/// First and longest wait between them.
const RETRY_BASE: Duration = Duration::from_millis(250);
const RETRY_CAP: Duration = Duration::from_secs(4);

/// A connection that nobody has logged in on. Opens itself anew, silently, if the server drops it before that.
pub struct Door {
    config: Config,
    parts: Parts,
    greeted: Option<Greeted>,
    first_contact: Option<String>,
    /// The key that the server has to show beside what is known of it.
    demanded: Option<String>,
    /// The folder of the last login that was tried, for the next try.
    folder: Option<(String, Slot, Folder)>,
}

/// What proves who somebody is.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// A password.
    Password(String),
    /// The token of another session of the same user.
    Token(Bytes),
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(..)",
            Self::Token(_) => "Token(..)",
        })
    }
}

/// What a login is to be.
struct Entry {
    register: bool,
    background: bool,
    /// The code of an invitation, or nothing.
    invitation: Bytes,
}

/// How a login went.
#[derive(Debug)]
pub enum Login {
    /// A session.
    In {
        /// To give commands to.
        client: Client,
        /// To read from.
        events: Events,
        /// What to greet the user with.
        welcome: Welcome,
    },
    /// None.
    Refused {
        /// Why.
        reason: v1::login_refused::Reason,
        /// The same for a person, where the reason needs words.
        text: String,
    },
}

/// What a user is greeted with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The user's name as first registered.
    pub name: String,
    /// The server's text.
    pub text: String,
    /// Failed logins by others since the last login.
    pub failed_logins: u32,
    /// Commands that earlier processes left in the outbox, which are sent now, and in those of other devices, which
    /// were sent just now. Each has an answer without a ticket among the events, if there is a connection.
    pub left_over: usize,
    /// An outbox was damaged and is kept as `outbox.damaged`: some of what was in it may not have been sent.
    pub damaged: bool,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("address", &self.config.address).finish_non_exhaustive()
    }
}

impl Door {
    /// Connects over the network, with files below `config.data`.
    ///
    /// # Errors
    /// There is no such server, or it is not the one that is known.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let random = Arc::new(SystemRandom::new());
        let Config { address, data, pin, .. } = &config;
        let parts = Parts {
            connector: Arc::new(Network::new(address.clone(), data, pin.clone())),
            storage: Arc::new(Disk::new(data, address, Arc::clone(&random) as _)),
            random,
        };
        Self::with_parts(config, parts).await
    }

    /// The same with everything from outside.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn with_parts(config: Config, parts: Parts) -> Result<Self, OpenError> {
        let mut door =
            Self { config, parts, greeted: None, first_contact: None, demanded: None, folder: None };
        let greeted = door.greet().await?;
        door.greeted = Some(greeted);
        Ok(door)
    }

    /// The server's fingerprint, if this was the first contact and it was pinned just now.
    #[must_use]
    pub fn first_contact(&self) -> Option<&str> {
        self.first_contact.as_deref()
    }

    /// Demands that the server has this key (`SHA256:…`), now and on every connection that this door makes. If it has
    /// not, nothing more is said to it, and if it was pinned by this door at first contact, that is undone.
    ///
    /// # Errors
    /// [`OpenError::NotInvitedHere`]: it has another one.
    pub fn demand(&mut self, key: &str) -> Result<(), OpenError> {
        self.demanded = Some(key.to_owned());
        let Some(greeted) = &self.greeted else { return Ok(()) };
        let checked = self.check_demanded(&greeted.greeting);
        if checked.is_err() {
            self.greeted = None;
            if let Some(first) = self.first_contact.take() {
                self.parts.connector.forget(&first);
            }
        }
        checked
    }

    fn check_demanded(&self, greeting: &v1::Greeting) -> Result<(), OpenError> {
        let Some(demanded) = &self.demanded else { return Ok(()) };
        // Where a key is pinned, the greeting's is that of the certificate; where not, the system's roots vouch for it.
        let shown = greeting.server_key.as_ref().try_into().map(hobnob_protocol::fingerprint);
        let shown = shown.unwrap_or_else(|_| "none".to_owned());
        if shown == *demanded {
            return Ok(());
        }
        let (address, demanded) = (self.config.address.clone(), demanded.clone());
        Err(OpenError::NotInvitedHere { address, demanded, shown })
    }

    /// Asks whether a name is new.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn lookup(&mut self, name: &str) -> Result<v1::Found, OpenError> {
        self.look_up(name, Bytes::new()).await
    }

    /// The same where registration is by invitation, with the code of one.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn lookup_invited(&mut self, name: &str, code: &Code) -> Result<v1::Found, OpenError> {
        self.look_up(name, Bytes::copy_from_slice(&code.0)).await
    }

    async fn look_up(&mut self, name: &str, invitation: Bytes) -> Result<v1::Found, OpenError> {
        let lookup = v1::Lookup { name: clip_name(name), invitation };
        let reply = self.ask(|_| Body::Lookup(lookup.clone())).await?;
        match reply {
            reply::Body::Found(found) => Ok(found),
            _ => Err(self.no_server()),
        }
    }

    /// Opens a session that others see online; with `register` also the account, if the name is new.
    ///
    /// What other devices of this user here left in their outboxes, and no process has any more, is delivered first.
    /// That takes 10 s at most; what is not answered then waits for the next login.
    ///
    /// # Errors
    /// The server is gone, or the folder cannot be used.
    pub async fn login(&mut self, name: &str, proof: Proof, register: bool) -> Result<Login, OpenError> {
        let entry = Entry { register, background: false, invitation: Bytes::new() };
        self.log_in(name, proof, entry, self.config.slot).await
    }

    /// The same with a new account, made with the code of an invitation. That is used up only if the account is made.
    ///
    /// # Errors
    /// As [`login`](Self::login).
    pub async fn login_invited(
        &mut self,
        name: &str,
        password: String,
        code: &Code,
    ) -> Result<Login, OpenError> {
        let entry = Entry { register: true, background: false, invitation: Bytes::copy_from_slice(&code.0) };
        self.log_in(name, Proof::Password(password), entry, self.config.slot).await
    }

    /// Opens a session that nobody is told of, and saves its token for the next call. It has the one-shot's device.
    ///
    /// # Errors
    /// As [`login`](Self::login).
    pub async fn login_background(
        &mut self,
        name: &str,
        proof: Proof,
        register: bool,
    ) -> Result<Login, OpenError> {
        let entry = Entry { register, background: true, invitation: Bytes::new() };
        self.log_in(name, proof, entry, Slot::OneShot).await
    }

    /// The token of a saved session of this user here, if there is one. If the server refuses it, it is forgotten.
    #[must_use]
    pub fn saved_token(&self, name: &str) -> Option<Proof> {
        self.parts.storage.saved_token(name, self.config.slot).map(Proof::Token)
    }

    async fn log_in(
        &mut self,
        name: &str,
        proof: Proof,
        entry: Entry,
        slot: Slot,
    ) -> Result<Login, OpenError> {
        let Entry { register, background, invitation } = entry;
        let folder = self.folder(name, slot)?;
        let device = Device::new(&folder.seed);
        let outbox = folder.outbox.name();
        let cursor = folder.cursor.load();
        let login = v1::Login {
            name: clip_name(name),
            proof: Some(proof.for_wire()),
            register,
            background,
            device: None,
            position: Some(position(cursor.clone())),
            invitation,
        };
        let reply = self.ask(|greeting| {
            let device = Some(device.prove(greeting, &login.name, outbox));
            Body::Login(v1::Login { device, ..login.clone() })
        });
        match reply.await? {
            reply::Body::Opened(opened) => {
                let token = opened.token.clone();
                let mut login = self.enter(opened, device, cursor, background)?;
                if !background {
                    self.deliver(name, token, &mut login).await;
                }
                Ok(login)
            }
            reply::Body::LoginRefused(refused) => Ok(self.refused(name, &proof, refused)),
            _ => Err(self.no_server()),
        }
    }

    /// The folder of a user; kept from one try to the next.
    fn folder(&mut self, name: &str, slot: Slot) -> Result<&Folder, OpenError> {
        if !self.folder.as_ref().is_some_and(|(of, kind, _)| of == name && *kind == slot) {
            // First let go of the old one: it may be the same under another spelling.
            self.folder = None;
            let folder = self.parts.storage.open(name, slot)?;
            self.folder = Some((name.to_owned(), slot, folder));
        }
        Ok(&self.folder.as_ref().expect("it was just put there").2)
    }

    fn refused(&self, name: &str, proof: &Proof, refused: v1::LoginRefused) -> Login {
        let reason = refused.reason();
        let ended = matches!(
            reason,
            Reason::UnknownToken
                | Reason::Replaced
                | Reason::TimedOut
                | Reason::LoggedOut
                | Reason::PasswordChanged
                | Reason::Kicked
        );
        if let Proof::Token(token) = proof
            && ended
        {
            self.parts.storage.forget_token(name, token);
        }
        Login::Refused { reason, text: refused.text }
    }

    /// The server opened a session: hands the connection to its driver.
    fn enter(
        &mut self,
        opened: v1::Opened,
        device: Device,
        cursor: Cursor,
        background: bool,
    ) -> Result<Login, OpenError> {
        let (Some(greeted), Some((_, _, mut folder))) = (self.greeted.take(), self.folder.take()) else {
            return Err(self.no_server());
        };
        if let Err(error) = folder.token.save(&opened.token) {
            tracing::warn!(%error, "the session is not saved");
        }
        let (name, text, failed_logins) = (opened.name.clone(), opened.welcome.clone(), opened.failed_logins);
        let Config { address, agent, .. } = &self.config;
        let connector = &self.parts.connector;
        let ticket_key = opened.ticket_key.as_ref().try_into().ok();
        let peering = Peering::new(&**connector, address, &greeted, &folder, device.public());
        let peering = Peering { ticket_key, ..peering };
        let resume = Resume {
            connector: Arc::clone(connector),
            address: address.clone(),
            agent: agent.clone(),
            device,
            name: name.clone(),
            token: opened.token.clone(),
        };
        let damaged = folder.outbox.damaged();
        let waiting = std::mem::take(&mut folder.waiting);
        let begin = Begin { background, waiting, cursor, opened, next_id: greeted.next_id };
        let random = Arc::clone(&self.parts.random);
        let (client, events, left_over) =
            driver::start(Start { begin, link: greeted.link, folder, resume, random, peering });
        let welcome = Welcome { name, text, failed_logins, left_over, damaged };
        Ok(Login::In { client, events, welcome })
    }

    /// Delivers what other devices left behind.
    async fn deliver(&self, user: &str, token: Bytes, login: &mut Login) {
        let Login::In { events, welcome, .. } = login else { return };
        let errand = Errand { config: &self.config, parts: &self.parts, user, name: &welcome.name, token };
        let delivered = errand.run().await;
        events.put_in_front(delivered.events);
        welcome.left_over += delivered.answers;
        welcome.damaged |= delivered.damaged;
    }

    /// Asks on the connection that is there, or on a new one if it is gone meanwhile.
    async fn ask(&mut self, body: impl Fn(&v1::Greeting) -> Body) -> Result<reply::Body, OpenError> {
        let mut backoff = Backoff::new(RETRY_BASE, RETRY_CAP);
        for tried in 0..TRIES {
            if tried > 1 {
                sleep(backoff.next_delay(random::number(&*self.parts.random))).await;
            }
            let mut greeted = match self.greeted.take() {
                Some(greeted) => greeted,
                None => self.greet().await?,
            };
            let request = body(&greeted.greeting);
            match greet::request(&mut greeted.link, &mut greeted.next_id, request).await {
                Ok(reply::Body::Refused(refused)) => {
                    self.greeted = Some(greeted);
                    if refused.reason() != v1::refused::Reason::Busy {
                        return Err(OpenError::Refused(refused.text));
                    }
                }
                Ok(reply) => {
                    self.greeted = Some(greeted);
                    return Ok(reply);
                }
                Err(LinkError { close: Some(close) }) if !close.may_reconnect() => {
                    return Err(OpenError::Refused(close.reason().to_owned()));
                }
                Err(_) => {}
            }
        }
        Err(self.no_server())
    }

    async fn greet(&mut self) -> Result<Greeted, OpenError> {
        let Config { address, agent, .. } = &self.config;
        let greeted = greet::open(&*self.parts.connector, address, agent, &mut self.first_contact).await?;
        self.check_demanded(&greeted.greeting)?;
        Ok(greeted)
    }

    fn no_server(&self) -> OpenError {
        OpenError::NoServer(self.config.address.clone())
    }
}

impl Proof {
    fn for_wire(&self) -> v1::login::Proof {
        match self {
            Self::Password(password) => v1::login::Proof::Password(clip_password(password)),
            Self::Token(token) => v1::login::Proof::Token(token.clone()),
        }
    }
}
