//! What is said on the admin socket: one JSON object a line, requests one way, replies the other.
//!
//! A request is answered by any number of rows ([`Reply::User`] and its like) and then one [`Reply::Done`] or
//! [`Reply::Refused`]; several requests may follow each other. What is not known is ignored, so a newer side may say
//! more within one version.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The version of this conversation.
pub const VERSION: u32 = 1;
/// The socket's name in the data folder.
pub const SOCKET_NAME: &str = "admin.sock";
/// Most bytes of a request: the longest message, with each of its bytes escaped, and a little.
pub const REQUEST_BYTES_MAX: usize = 6 * hobnob_protocol::limits::TEXT_BYTES_MAX + 4096;
/// Most bytes of a reply.
pub const REPLY_BYTES_MAX: usize = 64 * 1024;

/// A password, or the code of an invitation, that `Debug` does not show.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// [`VERSION`].
    pub version: u32,
    /// What is wanted.
    #[serde(flatten)]
    pub command: Command,
}

/// What is wanted. Names are as typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// Every account.
    Users,
    /// A new account.
    Add {
        /// Its name.
        name: String,
        /// `None`: the server makes one and tells it.
        #[serde(default)]
        password: Option<Password>,
    },
    /// Another password; ends all sessions, and the lock-out.
    Reset {
        /// Whose.
        name: String,
        /// `None`: the server makes one and tells it.
        #[serde(default)]
        password: Option<Password>,
    },
    /// Ends the lock-out, of all devices and of strangers.
    Unlock {
        /// Whose.
        name: String,
    },
    /// Ends all sessions, and lets nobody log in.
    Disable {
        /// To whose account.
        name: String,
    },
    /// Lets its owner log in again.
    Enable {
        /// To whose account.
        name: String,
    },
    /// Ends all sessions; a new one needs the password.
    Kick {
        /// Whose.
        name: String,
    },
    /// Gives an account another name; ends all sessions.
    Rename {
        /// Whose.
        name: String,
        /// The new one.
        to: String,
    },
    /// Removes an account with all that is its own.
    Delete {
        /// Whose.
        name: String,
    },
    /// Every session.
    Sessions {
        /// Also those that are offline and can be resumed.
        #[serde(default)]
        all: bool,
    },
    /// How the server is.
    Status,
    /// Says something to everyone online.
    Announce {
        /// What.
        text: String,
    },
    /// Reads the settings, the certificate and the names of log files again.
    Reload,
    /// A new invitation to register.
    Invite {
        /// How many accounts may be made with it.
        uses: u32,
        /// How long it is good, in seconds; `None`: for ever.
        #[serde(default)]
        lifetime_s: Option<u64>,
        /// What is noted of it.
        #[serde(default)]
        note: String,
    },
    /// Every invitation that is good.
    Invitations,
    /// Takes an invitation back.
    Uninvite {
        /// Its number.
        id: i64,
    },
    /// Stops the server; answered when all is on disk.
    Drain,
}

/// A command that changes something, in words for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act {
    /// The command.
    pub word: &'static str,
    /// What has been done then.
    pub did: &'static str,
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// A row of `users`.
    User(User),
    /// A row of `sessions`.
    Session(Session),
    /// A row of `invitations`.
    Invitation(Invitation),
    /// The row of `status`.
    Status(Box<Status>),
    /// The end: it is done, and what was changed is on disk.
    Done(Done),
    /// The end: nothing was changed.
    Refused(Refused),
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// As first registered.
    pub name: String,
    /// Whether it counts as online.
    pub online: bool,
    /// Whether nobody may log in to it.
    pub disabled: bool,
    /// Until when some devices or strangers are locked out, in ms since 1970; `None`: nobody is.
    pub locked_until_ms: Option<i64>,
    /// When it was last online, in ms since 1970: now, if it is. `None`: never.
    pub last_seen_ms: Option<i64>,
    /// When it was made, in ms since 1970.
    pub created_ms: i64,
}

/// How a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionState {
    /// There is a connection.
    Connected,
    /// The connection is lost; it counts as online for a while.
    Broken,
    /// A connection that is not online, such as that of `send`.
    Background,
    /// It can be resumed.
    Offline,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Whose.
    pub user: String,
    /// Its number.
    pub session: i64,
    /// How it is.
    pub state: SessionState,
    /// The address it is connected from.
    pub from: Option<String>,
    /// Since when it is connected, in ms since 1970.
    pub since_ms: Option<i64>,
    /// When it was last opened, resumed or went offline, in ms since 1970.
    pub used_ms: i64,
}

/// An invitation to register. Nobody can tell its code any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Its number.
    pub id: i64,
    /// How many accounts may still be made with it.
    pub uses_left: u32,
    /// From when on it is worth nothing, in ms since 1970; `None`: never.
    pub expires_ms: Option<i64>,
    /// When it was made, in ms since 1970.
    pub made_ms: i64,
    /// What its maker has noted of it.
    pub note: String,
}

/// An invitation that was made just now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Its number.
    pub id: i64,
    /// Its code, to be read aloud. It is kept nowhere.
    pub code: Password,
    /// The code and the key of the server, to be pasted.
    pub link: Password,
    /// How many accounts may be made with it.
    pub uses: u32,
    /// From when on it is worth nothing, in ms since 1970; `None`: never.
    pub expires_ms: Option<i64>,
    /// Who may register here now: `open`, `closed` or `invite`. Only with the last one does anybody ask for it.
    pub registration: String,
}

/// How the server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// By which clients know the server.
    pub fingerprint: String,
    /// The process.
    pub pid: u32,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// TCP connections, with those that have not logged in.
    pub connections: u64,
    /// Users who count as online.
    pub users_online: u64,
    /// Sessions that are connected.
    pub sessions: u64,
    /// What keeps the store from being written: `disk-full` or `not-writable`; messages wait at their senders
    /// meanwhile. `None`: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Requests that wait for the store.
    pub queue_requests: u64,
    /// Bytes of text that they hold.
    pub queue_bytes: u64,
    /// Transactions since the start.
    pub commits: u64,
    /// Median of the last transactions, in µs until they were durable.
    pub commit_median_us: u64,
    /// The longest of the last transactions, in µs.
    pub commit_longest_us: u64,
    /// Bytes of the database.
    pub store_bytes: u64,
    /// Bytes of its write-ahead log.
    pub store_log_bytes: u64,
    /// `None`: there is no relay.
    pub relay: Option<Relay>,
}

/// What the relay has done since the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// Devices that may use it now.
    pub devices: u64,
    /// Connections so far.
    pub connections: u64,
    /// Connections of devices that may not.
    pub refused: u64,
    /// Bytes from clients.
    pub received_bytes: u64,
    /// Bytes to clients.
    pub sent_bytes: u64,
    /// Packets that found nobody.
    pub dropped: u64,
}

/// What was done. Which fields there are depends on the command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The account, as it is (or was) called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `rename`: what it was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formerly: Option<String>,
    /// `add`, `reset`: the password that the server has made. It is kept nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// How many sessions were ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions_ended: Option<u64>,
    /// `unlock`: how many classes (strangers, single devices) had failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<u64>,
    /// `announce`: users who are online.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users_online: Option<u64>,
    /// `reload`: settings that are others now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Vec<String>>,
    /// `reload`: settings that are others, and count only after a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_restart: Option<Vec<String>>,
    /// `reload`: the file that was read again; if there is none, the server was started without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// `invite`: what was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<Box<Made>>,
    /// `uninvite`: the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// For a program.
    pub reason: Reason,
    /// For a person.
    pub text: String,
    /// `reload`: all that is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<String>,
}

/// Why nothing was done, for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// No account has this name.
    NoSuchUser,
    /// An account has this name already.
    NameTaken,
    /// It cannot be a name.
    NameRefused,
    /// It cannot be a password.
    PasswordRefused,
    /// It cannot be said.
    TextRefused,
    /// No invitation has this number.
    NoSuchInvitation,
    /// The caller is neither the server's own user nor root.
    NotAllowed,
    /// Settings are wrong.
    SettingsRefused,
    /// This server cannot do it.
    NotPossible,
    /// The request is not understood.
    BadRequest,
    /// The request is of another version.
    UnsupportedVersion,
    /// The store failed; the server's log says why.
    Internal,
}

impl Refused {
    /// A refusal.
    #[must_use]
    pub fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into(), mistakes: Vec::new() }
    }
}

impl Command {
    /// The request that asks for it, as one line.
    ///
    /// # Panics
    /// Never: strings and numbers can be written as JSON.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        line(&Request { version: VERSION, command: self })
    }

    /// What it does; `None`: it only looks, or says itself what it does.
    #[must_use]
    pub fn act(&self) -> Option<Act> {
        let (word, did) = match self {
            Self::Add { .. } => ("add", "added"),
            Self::Reset { .. } => ("reset", "password reset"),
            Self::Unlock { .. } => ("unlock", "unlocked"),
            Self::Disable { .. } => ("disable", "disabled"),
            Self::Enable { .. } => ("enable", "enabled"),
            Self::Kick { .. } => ("kick", "kicked"),
            Self::Rename { .. } => ("rename", "renamed"),
            Self::Delete { .. } => ("delete", "deleted"),
            Self::Announce { .. } => ("announce", "announced"),
            Self::Reload => ("reload", "settings read again"),
            Self::Invite { .. } => ("invite", "invitation made"),
            Self::Uninvite { .. } => ("uninvite", "invitation taken back"),
            Self::Drain => ("drain", "stopped"),
            Self::Users | Self::Sessions { .. } | Self::Status | Self::Invitations => return None,
        };
        Some(Act { word, did })
    }

    /// The account it is about, as typed.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Add { name, .. }
            | Self::Reset { name, .. }
            | Self::Unlock { name }
            | Self::Disable { name }
            | Self::Enable { name }
            | Self::Kick { name }
            | Self::Rename { name, .. }
            | Self::Delete { name } => Some(name),
            _ => None,
        }
    }

    /// The invitation it is about.
    pub(super) fn invitation(&self) -> Option<i64> {
        match self {
            Self::Uninvite { id } => Some(*id),
            _ => None,
        }
    }

    /// Reads a request.
    ///
    /// # Errors
    /// What to answer instead.
    pub fn decode(line: &[u8]) -> Result<Self, Refused> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        // An error of the parser would show what was sent, which may be a password.
        let bad = |_| Refused::new(Reason::BadRequest, "The request is not understood");
        let Versioned { version } = serde_json::from_slice(line).map_err(bad)?;
        if version != VERSION {
            let text = format!("The request is of version {version}, this server knows version {VERSION}");
            return Err(Refused::new(Reason::UnsupportedVersion, text));
        }
        serde_json::from_slice::<Request>(line).map(|request| request.command).map_err(bad)
    }
}

impl Reply {
    /// As one line.
    ///
    /// # Panics
    /// Never: strings and numbers can be written as JSON.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        line(self)
    }
}

fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("strings and numbers can be written as JSON");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: Command, expected: &str) {
        let line = command.clone().encode();
        assert_eq!(String::from_utf8(line.clone()).unwrap(), format!("{expected}\n"));
        assert_eq!(Command::decode(&line), Ok(command));
    }

    #[test]
    fn requests() {
        check(Command::Users, r#"{"version":1,"command":"users"}"#);
        check(Command::Sessions { all: true }, r#"{"version":1,"command":"sessions","all":true}"#);
        let (name, to) = ("hans".to_owned(), "yoda".to_owned());
        check(
            Command::Add { name: name.clone(), password: Some(Password("x\n\"".to_owned())) },
            r#"{"version":1,"command":"add","name":"hans","password":"x\n\""}"#,
        );
        check(Command::Uninvite { id: 7 }, r#"{"version":1,"command":"uninvite","id":7}"#);
        check(
            Command::Invite { uses: 30, lifetime_s: Some(60), note: "6b".to_owned() },
            r#"{"version":1,"command":"invite","uses":30,"lifetime_s":60,"note":"6b"}"#,
        );
        check(Command::Rename { name, to }, r#"{"version":1,"command":"rename","name":"hans","to":"yoda"}"#);
    }

    #[test]
    fn what_is_not_understood_is_refused_without_repeating_it() {
        let reason = |line: &str| Command::decode(line.as_bytes()).map_err(|refused| refused.reason);
        for bad in ["", "{}", "null", "[1]", r#"{"version":1}"#, r#"{"version":1,"command":"secret"}"#] {
            assert_eq!(reason(bad), Err(Reason::BadRequest), "{bad}");
        }
        assert_eq!(reason(r#"{"version":2,"command":"dance"}"#), Err(Reason::UnsupportedVersion));
        let newer = r#"{"version":1,"command":"reset","name":"hans","polite":true}"#;
        assert_eq!(reason(newer), Ok(Command::Reset { name: "hans".to_owned(), password: None }));
        let bad = Command::decode(br#"{"version":1,"command":"add","name":"a","password":["secret"]}"#);
        assert!(!bad.unwrap_err().text.contains("secret"));
    }

    #[test]
    fn the_longest_announcement_fits() {
        let text = "\u{7f}\t".repeat(hobnob_protocol::limits::TEXT_BYTES_MAX / 2);
        assert!(Command::Announce { text }.encode().len() <= REQUEST_BYTES_MAX);
    }

    #[test]
    fn passwords_are_not_shown() {
        let password = Some(Password("secret".to_owned()));
        let command = Command::Add { name: "hans".to_owned(), password: password.clone() };
        let secret = || Password("secret".to_owned());
        let (code, link, registration) = (secret(), secret(), "invite".to_owned());
        let invitation = Some(Box::new(Made { id: 1, code, link, uses: 1, expires_ms: None, registration }));
        let done = Reply::Done(Done { password, invitation, ..Done::default() });
        assert!(!format!("{command:?} {done:?}").contains("secret"));
    }
}
