//! Where everything that must survive is kept: accounts, streams, sessions, blocks, failed logins.
//!
//! [`Store`] is the seam between the server and its database. Reads go beside the writer and see what is
//! committed; every change happens in a transaction handed out by [`Store::write`], through [`Tx`]. All
//! transactions are run by the one writer (see `writer.rs`), which puts many requests into one of them.
//!
//! Calls block. They are made from the writer's thread and from the reader's blocking pool only.

#[cfg(test)]
mod conformance;
pub mod memory;
pub mod sqlite;

use std::sync::Arc;

use bytes::Bytes;

/// Row number of an account; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub i64);

/// Row number of a session; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub i64);

/// Row number of an outbox; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutboxId(pub i64);

/// Row number of an invitation; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InvitationId(pub i64);

/// Who has sent what the server itself says, in broadcast only. No account has this number.
pub const SERVER: AccountId = AccountId(-1);
/// The name of that sender; nobody can register it.
pub const SERVER_NAME: &str = "server";

/// A stream: a dense log numbered from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StreamId {
    /// The one that everybody online receives.
    Broadcast,
    /// What is sent to this account.
    Inbox(AccountId),
}

/// Why the store could not do its work. Nothing of the transaction has happened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// Nothing can be written for now: the file system is read-only, or its disk fails.
    #[error("the data folder cannot be written: {0}")]
    Unwritable(String),
    /// The folder belongs to another process.
    #[error("{0} is used by another hobnob server")]
    Held(String),
    /// The data was written by something this version does not know, or is damaged.
    #[error("{0}")]
    Unusable(String),
    /// The database said no.
    #[error("database: {0}")]
    Database(String),
}

/// What store calls return.
pub type Result<T> = std::result::Result<T, StoreError>;

/// An account as it stands in its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its row.
    pub id: AccountId,
    /// As first registered, for display.
    pub name: String,
    /// Argon2id hash in PHC form.
    pub password: Secret,
    /// When it was last online, in ms since 1970; 0: never. Meaningless while it is online.
    pub last_seen_ms: i64,
    /// Nobody may log in to it.
    pub disabled: bool,
}

/// An account as a list of all shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its row.
    pub account: Account,
    /// The form by which it is found.
    pub key: String,
    /// When it was made, in ms since 1970.
    pub created_ms: i64,
    /// The latest end of a block by failed logins of any class, in ms since 1970; 0: there was none.
    pub blocked_until_ms: i64,
}

/// A string that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a new account starts with.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// For display.
    pub name: String,
    /// The form by which it is found (case folded); unique.
    pub key: String,
    /// UTS 39 skeleton of the name, by which look-alikes are found; not unique (imports are exempt).
    pub skeleton: String,
    /// Argon2id hash in PHC form.
    pub password: Secret,
    /// Now, in ms since 1970.
    pub created_ms: i64,
}

/// What an account is to be called.
#[derive(Clone, Debug)]
pub struct NewName {
    /// For display.
    pub name: String,
    /// The form by which it is found (case folded); unique.
    pub key: String,
    /// UTS 39 skeleton of the name.
    pub skeleton: String,
}

/// One entry of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place, from 1.
    pub seq: u64,
    /// Who sent it. `None`: hidden by a block that came after it; it has no text then.
    pub sender: Option<AccountId>,
    /// When it was accepted, in ms since 1970.
    pub sent_ms: i64,
    /// The text, UTF-8.
    pub text: Bytes,
}

/// What an inbox holds that its owner has not noted yet, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// The texts together, in bytes.
    pub bytes: u64,
    /// How many of the entries one certain sender holds.
    pub of_sender: u64,
}

/// What the server remembers of an outbox: enough to answer a repeat as the first time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxState {
    /// The highest number that was judged.
    pub last_number: u64,
    /// Outcomes of the numbers `last_number - outcomes.len() + 1 ..= last_number`, oldest first.
    pub outcomes: Vec<Outcome>,
}

/// The kept outcome of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// A `Submitted.Outcome` of the wire, below 16.
    pub code: u8,
    /// First bytes of a hash over kind, target and text of what was submitted.
    pub hash: [u8; 4],
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ended {
    /// The user logged out.
    LoggedOut = 1,
    /// Nothing was done for too long.
    TimedOut = 2,
    /// A later login took its place.
    Replaced = 3,
    /// The password was changed.
    PasswordChanged = 4,
    /// The server's keeper ended it.
    Kicked = 5,
}

/// A session's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Its row.
    pub id: SessionId,
    /// Whose it is.
    pub account: AccountId,
    /// Not a presence: only proves who it is.
    pub background: bool,
    /// Counts its connections: 1 at login, one more at each resume.
    pub generation: u64,
    /// Counts as online (connected, or broken within its grace).
    pub online: bool,
    /// `Some`: over, and why; the row is kept so that a returning client can be told.
    pub ended: Option<Ended>,
    /// When its token was last used, in ms since 1970.
    pub used_ms: i64,
    /// Broadcast entries up to here are noted by the client, or were before the login.
    pub broadcast_floor: u64,
    /// Entries `from+1..=to` of broadcast were sent while the session was offline and are not for it.
    /// `to = None`: it is offline now, the hole is still open.
    pub broadcast_hole: Option<(u64, Option<u64>)>,
}

/// What a new session starts with. Its row gets generation 1, `used_ms = now`, and if it is not a background
/// session `online`; `broadcast_floor` is the head of broadcast in this transaction.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Whose.
    pub account: AccountId,
    /// Not a presence.
    pub background: bool,
    /// SHA-256 of the resume token; unique.
    pub token_hash: [u8; 32],
    /// Now, in ms since 1970.
    pub now_ms: i64,
}

/// An invitation to register, without its code. With its last use its row is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Its row.
    pub id: InvitationId,
    /// How many accounts may still be made with it.
    pub uses_left: u32,
    /// From when on it is worth nothing, in ms since 1970; `None`: never.
    pub expires_ms: Option<i64>,
    /// When it was made, in ms since 1970.
    pub made_ms: i64,
    /// What its maker has noted of it.
    pub note: String,
}

impl Invitation {
    /// Whether an account can be made with it.
    #[must_use]
    pub fn is_good(&self, now_ms: i64) -> bool {
        self.uses_left > 0 && self.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
    }
}

/// What a new invitation starts with.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    /// SHA-256 of its code, which is kept nowhere; unique.
    pub code_hash: [u8; 32],
    /// How many accounts may be made with it, at least one.
    pub uses: u32,
    /// From when on it is worth nothing, in ms since 1970; `None`: never.
    pub expires_ms: Option<i64>,
    /// Now, in ms since 1970.
    pub made_ms: i64,
    /// What its maker notes of it.
    pub note: String,
}

/// Failures of one class of login attempts: one name from strangers, or from one known device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// In a row.
    pub count: u32,
    /// When the block ends, in ms since 1970; 0: there is none.
    pub blocked_until_ms: i64,
}

/// Reads beside the writer, and the way to write.
pub trait Store: Send + Sync + 'static {
    /// Runs `work` in one transaction and makes it durable: when this returns `Ok`, what was written survives a
    /// power cut. If `work` or the commit fails, nothing has happened. Called by one thread at a time.
    ///
    /// # Errors
    /// What `work` returned, or why the commit failed.
    fn write(&self, work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>) -> Result<()>;

    /// Bytes of room for new rows. If that is less than `wanted`, first makes what room it can. Called by the thread
    /// that writes.
    fn room(&self, _wanted: u64) -> u64 {
        u64::MAX
    }

    /// Writes something that changes nothing, to see whether that is possible. Called by the thread that writes.
    ///
    /// # Errors
    /// Why it is not.
    fn probe(&self) -> Result<()> {
        Ok(())
    }

    /// Random name of this database's history; replaced by a restore.
    fn epoch(&self) -> Result<Bytes>;

    /// The account with this key.
    fn account_by_key(&self, key: &str) -> Result<Option<Account>>;

    /// The account with this row.
    fn account(&self, id: AccountId) -> Result<Option<Account>>;

    /// Whether an account's name has this skeleton.
    fn skeleton_exists(&self, skeleton: &str) -> Result<bool>;

    /// Entries of `stream` above `after`, oldest first, at most `entries_max` of them and no more than have
    /// `bytes_max` bytes of text together (but at least one if there is any).
    fn entries(
        &self,
        stream: StreamId,
        after: u64,
        entries_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Entry>>;

    /// The head of each stream, in the order asked; 0 for an empty one.
    fn heads(&self, streams: &[StreamId]) -> Result<Vec<u64>>;

    /// Whom `account` blocks, in the order of their keys.
    fn blocks_of(&self, account: AccountId) -> Result<Vec<AccountId>>;

    /// Who blocks `account`.
    fn blockers_of(&self, account: AccountId) -> Result<Vec<AccountId>>;

    /// Accounts whose `last_seen_ms` is `since_ms` or later.
    fn seen_since(&self, since_ms: i64) -> Result<Vec<AccountId>>;

    /// Display names, in the order asked. [`SERVER`] has one, and so has an account that was deleted: the one it
    /// had. What never was an account gives an empty one.
    fn names(&self, accounts: &[AccountId]) -> Result<Vec<String>>;

    /// Every session that counts as online.
    fn online_sessions(&self) -> Result<Vec<SessionRow>>;

    /// Accounts whose key is above `after`, in the order of keys, at most `max`.
    fn accounts(&self, after: &str, max: usize) -> Result<Vec<Listed>>;

    /// Sessions above `after` that have not ended, in the order of rows, at most `max`.
    fn sessions(&self, after: SessionId, max: usize) -> Result<Vec<SessionRow>>;

    /// The invitation whose code has this SHA-256, expired or not.
    fn invitation(&self, code_hash: &[u8; 32]) -> Result<Option<Invitation>>;

    /// Invitations above `after`, expired or not, in the order of rows, at most `max`.
    fn invitations(&self, after: InvitationId, max: usize) -> Result<Vec<Invitation>>;
}

/// One transaction. Sees its own writes.
pub trait Tx {
    /// Gives the database's history a new name: it was found to be older than what clients have.
    fn set_epoch(&mut self, epoch: &[u8]) -> Result<()>;

    /// Draws back what a clock that was ahead has noted: no time of the past lies after `past_ms`, and no block of a
    /// class ends after `blocked_until_ms`. Returns how many rows that concerned.
    fn draw_back_times(&mut self, past_ms: i64, blocked_until_ms: i64) -> Result<usize>;

    /// The head that a stream had when the history with this name became this one: a backup of it was restored. Up to
    /// there the numbers of both mean the same. `None`: there was no such history.
    fn earlier_head(&mut self, epoch: &[u8], stream: StreamId) -> Result<Option<u64>>;

    // ------------------------------------------------------------ accounts

    /// The account with this key. On the path of every message.
    fn account_by_key(&mut self, key: &str) -> Result<Option<Arc<Account>>>;

    /// The account with this row.
    fn account(&mut self, id: AccountId) -> Result<Option<Arc<Account>>>;

    /// Makes an account; `None` if the key is taken.
    fn add_account(&mut self, new: &NewAccount) -> Result<Option<AccountId>>;

    /// Replaces the password's hash.
    fn set_password(&mut self, account: AccountId, password: &Secret) -> Result<()>;

    /// Notes when an account was last online; an earlier time than the noted one changes nothing.
    fn set_last_seen(&mut self, account: AccountId, ms: i64) -> Result<()>;

    /// Notes whether nobody may log in to it.
    fn set_disabled(&mut self, account: AccountId, disabled: bool) -> Result<()>;

    /// Gives an account another name; its failures ([`Tx::failures`]) go with it. `false`, and nothing has changed, if
    /// the key is another's, or there is no such account.
    fn rename(&mut self, account: AccountId, name: &NewName) -> Result<bool>;

    /// Removes an account and all that is its own: inbox, outboxes, sessions, devices, failures, blocks both ways. What
    /// it sent stays in the inboxes of others and in broadcast, under the name it had.
    fn delete_account(&mut self, account: AccountId) -> Result<()>;

    // ------------------------------------------------------------ streams

    /// Appends to a stream and returns the entry's number. On the path of every message.
    fn append(&mut self, stream: StreamId, sender: AccountId, sent_ms: i64, text: &Bytes) -> Result<u64>;

    /// The number of the last entry of a stream; 0 for an empty one.
    fn head(&mut self, stream: StreamId) -> Result<u64>;

    /// The last inbox entry that a device of the account has noted; never goes back. 0 if there is no such account.
    fn cursor(&mut self, account: AccountId) -> Result<u64>;

    /// How many entries the owner of this inbox has not noted, hidden ones included. On the path of every direct
    /// message: it costs the same however many there are.
    fn unread(&mut self, inbox: AccountId) -> Result<u64>;

    /// What these entries hold, and how many of them are from `sender`. May count them all the first time, so it is
    /// for an inbox that is filling up.
    fn unread_counted(&mut self, inbox: AccountId, sender: AccountId) -> Result<Unread>;

    /// Moves an account's cursor up to `seq`, at most to the head, never back.
    fn set_cursor(&mut self, account: AccountId, seq: u64) -> Result<()>;

    /// Hides the entries of `sender` in this inbox above the cursor: `sender = None`, no text.
    fn hide(&mut self, inbox: AccountId, sender: AccountId) -> Result<()>;

    /// Removes up to `max` inbox entries that are at or below their owner's cursor and were accepted before
    /// `before_ms`; returns how many there were. Each inbox from its beginning; an entry behind a younger one
    /// (the clock was set back) waits for it.
    fn trim_inboxes(&mut self, before_ms: i64, max: usize) -> Result<usize>;

    /// Removes up to `max` broadcast entries that no session that has not ended can still need (see
    /// [`SessionRow`]) and that were accepted before `before_ms`; returns how many there were. The head stays.
    /// Goes by number; an entry behind a younger one that may go, too, waits for it.
    fn trim_broadcast(&mut self, before_ms: i64, max: usize) -> Result<usize>;

    // ------------------------------------------------------------ outboxes

    /// The outbox of this account with this name, made if there is none. The same name under another account
    /// is another outbox.
    fn outbox(&mut self, account: AccountId, name: &[u8]) -> Result<OutboxId>;

    /// The highest number of it that was judged. On the path of every message.
    fn outbox_last(&mut self, outbox: OutboxId) -> Result<u64>;

    /// All that is remembered of it.
    fn outbox_state(&mut self, outbox: OutboxId) -> Result<OutboxState>;

    /// Notes the outcome of number `last_number + 1`, keeping the last [`OUTCOMES_KEPT`]. On the path of every
    /// message.
    fn add_outcome(&mut self, outbox: OutboxId, outcome: Outcome) -> Result<()>;

    // ------------------------------------------------------------ blocks

    /// Whether `blocker` blocks `blocked`. On the path of every message.
    fn blocks(&mut self, blocker: AccountId, blocked: AccountId) -> Result<bool>;

    /// Whom `account` blocks, in any order.
    fn blocks_of(&mut self, account: AccountId) -> Result<Vec<AccountId>>;

    /// Whether anyone blocks `blocked`. On the path of every broadcast.
    fn is_blocked_by_any(&mut self, blocked: AccountId) -> Result<bool>;

    /// Adds or removes a block; `false` if it was so already.
    fn set_block(&mut self, blocker: AccountId, blocked: AccountId, on: bool) -> Result<bool>;

    // ------------------------------------------------------------ sessions

    /// Makes a session.
    fn add_session(&mut self, new: &NewSession) -> Result<SessionRow>;

    /// A session by its row.
    fn session(&mut self, id: SessionId) -> Result<Option<SessionRow>>;

    /// A session by the SHA-256 of its token, ended or not.
    fn session_by_token(&mut self, token_hash: &[u8; 32]) -> Result<Option<SessionRow>>;

    /// Sessions of an account that have not ended.
    fn sessions_of(&mut self, account: AccountId) -> Result<Vec<SessionRow>>;

    /// Writes a session's row back (all but `id` and `account`).
    fn save_session(&mut self, row: &SessionRow) -> Result<()>;

    /// Forgets sessions whose token was last used before `before_ms` and that are not online.
    fn trim_sessions(&mut self, before_ms: i64, max: usize) -> Result<usize>;

    // ------------------------------------------------------------ logins

    /// Whether a device with this key has logged in to the account before.
    fn device_known(&mut self, account: AccountId, key: &[u8]) -> Result<bool>;

    /// Notes that it has; at most [`DEVICES_MAX`] are kept an account, the one that came last longest ago goes,
    /// and what [`Tx::failures`] knows of it.
    fn add_device(&mut self, account: AccountId, key: &[u8], now_ms: i64) -> Result<()>;

    /// Failures of a class: `device` is empty for strangers. `name` need not be an account.
    fn failures(&mut self, name: &str, device: &[u8]) -> Result<Failures>;

    /// Notes them; a default value forgets the class. Of names that are not accounts at most
    /// [`UNKNOWN_NAMES_MAX`] are kept, the oldest goes.
    fn set_failures(&mut self, name: &str, device: &[u8], failures: Failures, now_ms: i64) -> Result<()>;

    /// Forgets the failures of all classes of a name; returns how many classes there were.
    fn clear_failures(&mut self, name: &str) -> Result<usize>;

    /// Counts a failed login to an account by the device with this key, for [`Tx::take_failed_logins`]. At most
    /// [`DEVICES_MAX`] keys are told apart an account; what more there are count together under the empty key.
    fn count_failed_login(&mut self, account: AccountId, device: &[u8]) -> Result<()>;

    /// How many failed logins by devices other than this one were counted since the last call; forgets all of
    /// the account's.
    fn take_failed_logins(&mut self, account: AccountId, device: &[u8]) -> Result<u64>;

    // ------------------------------------------------------------ invitations

    /// Makes an invitation.
    fn add_invitation(&mut self, new: &NewInvitation) -> Result<InvitationId>;

    /// Takes one use of the invitation whose code has this SHA-256; its row goes with the last. `None`, and nothing has
    /// changed: there is none, or it has expired.
    fn use_invitation(&mut self, code_hash: &[u8; 32], now_ms: i64) -> Result<Option<InvitationId>>;

    /// Takes an invitation back; `false`: there is none.
    fn remove_invitation(&mut self, id: InvitationId) -> Result<bool>;

    /// Removes up to `max` invitations that have expired, the oldest first; returns how many there were.
    fn trim_invitations(&mut self, now_ms: i64, max: usize) -> Result<usize>;
}

pub use hobnob_protocol::limits::OUTCOMES_KEPT;

/// Devices kept an account.
pub const DEVICES_MAX: usize = 64;
/// Names without an account whose failures are kept.
pub const UNKNOWN_NAMES_MAX: usize = 100_000;
