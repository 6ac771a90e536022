//! Something between the server and its store: sees, or changes, what goes through.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hobnob_server::store::{
    Account, AccountId, Entry, Failures, InvitationId, NewAccount, NewInvitation, NewName, NewSession,
    OutboxId, OutboxState, Outcome, Result, Secret, SessionId, SessionRow, Store, StreamId, Tx, Unread,
};

/// One change of a transaction, to be made again on another store.
pub(crate) type Replay = Box<dyn Fn(&mut dyn Tx) -> Result<()> + Send>;

/// What may be done to a transaction on its way. Whatever is not overridden passes.
pub(crate) trait Hooks: Send + 'static {
    /// A transaction begins.
    fn begin(&mut self) {}

    /// It is committed, or nothing of it has happened.
    fn end(&mut self, committed: bool) {
        let _ = committed;
    }

    /// Something is about to be changed.
    fn change(&mut self, replay: impl FnOnce() -> Replay) {
        let _ = replay;
    }

    fn append(
        &mut self,
        tx: &mut dyn Tx,
        stream: StreamId,
        sender: AccountId,
        at: i64,
        text: &Bytes,
    ) -> Result<u64> {
        tx.append(stream, sender, at, text)
    }

    fn outbox(&mut self, tx: &mut dyn Tx, account: AccountId, name: &[u8]) -> Result<OutboxId> {
        tx.outbox(account, name)
    }

    fn set_block(
        &mut self,
        tx: &mut dyn Tx,
        blocker: AccountId,
        blocked: AccountId,
        on: bool,
    ) -> Result<bool> {
        tx.set_block(blocker, blocked, on)
    }

    fn add_account(&mut self, tx: &mut dyn Tx, new: &NewAccount) -> Result<Option<AccountId>> {
        tx.add_account(new)
    }

    fn add_session(&mut self, tx: &mut dyn Tx, new: &NewSession) -> Result<SessionRow> {
        tx.add_session(new)
    }

    fn save_session(&mut self, tx: &mut dyn Tx, row: &SessionRow) -> Result<()> {
        tx.save_session(row)
    }
}

/// A store with hooks.
pub(crate) struct Hooked<H> {
    inner: Arc<dyn Store>,
    hooks: Arc<Mutex<H>>,
}

impl<H: Hooks> Hooked<H> {
    pub(crate) fn new(inner: Arc<dyn Store>, hooks: Arc<Mutex<H>>) -> Self {
        Self { inner, hooks }
    }
}

/// The reads of a store, passed on.
macro_rules! pass_reads {
    ($inner:ident: $($name:ident($($arg:ident: $of:ty),*) -> $value:ty;)*) => {
        $(fn $name(&self $(, $arg: $of)*) -> Result<$value> {
            self.$inner.$name($($arg),*)
        })*
    };
}

/// The reads of a store that no wrapper here changes.
macro_rules! pass_other_reads {
    ($inner:ident) => {
        pass_reads! { $inner:
            epoch() -> bytes::Bytes;
            account_by_key(key: &str) -> Option<hobnob_server::store::Account>;
            account(id: hobnob_server::store::AccountId) -> Option<hobnob_server::store::Account>;
            skeleton_exists(skeleton: &str) -> bool;
            blocks_of(account: hobnob_server::store::AccountId) -> Vec<hobnob_server::store::AccountId>;
            blockers_of(account: hobnob_server::store::AccountId) -> Vec<hobnob_server::store::AccountId>;
            seen_since(since_ms: i64) -> Vec<hobnob_server::store::AccountId>;
            names(accounts: &[hobnob_server::store::AccountId]) -> Vec<String>;
            online_sessions() -> Vec<hobnob_server::store::SessionRow>;
            accounts(after: &str, max: usize) -> Vec<hobnob_server::store::Listed>;
            sessions(after: hobnob_server::store::SessionId, max: usize) -> Vec<hobnob_server::store::SessionRow>;
            invitation(code_hash: &[u8; 32]) -> Option<hobnob_server::store::Invitation>;
            invitations(after: hobnob_server::store::InvitationId, max: usize) -> Vec<hobnob_server::store::Invitation>;
        }
    };
}
pub(crate) use {pass_other_reads, pass_reads};

impl<H: Hooks> Store for Hooked<H> {
    fn write(&self, work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>) -> Result<()> {
        let mut hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        hooks.begin();
        let result = self.inner.write(&mut |tx| work(&mut HookedTx { tx, hooks: &mut *hooks }));
        hooks.end(result.is_ok());
        result
    }

    pass_other_reads!(inner);
    pass_reads! { inner:
        entries(stream: StreamId, after: u64, entries_max: usize, bytes_max: usize) -> Vec<Entry>;
        heads(streams: &[StreamId]) -> Vec<u64>;
    }
}

struct HookedTx<'a, H> {
    tx: &'a mut dyn Tx,
    hooks: &'a mut H,
}

/// Methods of a transaction, passed on.
macro_rules! pass {
    ($($name:ident($($arg:ident: $of:ty),*) -> $value:ty;)*) => {
        $(fn $name(&mut self $(, $arg: $of)*) -> Result<$value> {
            self.tx.$name($($arg),*)
        })*
    };
}

/// The same for those that change something: the braces say what to keep of borrowed arguments for a replay, and
/// the last parentheses how the replay calls the method.
macro_rules! change {
    ($($name:ident($($arg:ident: $of:ty),*) -> $value:ty, { $($kept:ident = $keep:expr),* } ($($again:expr),*);)*) => {
        $(fn $name(&mut self $(, $arg: $of)*) -> Result<$value> {
            self.hooks.change(|| {
                $(let $kept = $keep;)*
                Box::new(move |tx| tx.$name($($again),*).map(drop))
            });
            self.tx.$name($($arg),*)
        })*
    };
}

/// The same for those that a hook may change on their way.
macro_rules! hooked {
    ($($name:ident($($arg:ident: $of:ty),*) -> $value:ty, { $($kept:ident = $keep:expr),* } ($($again:expr),*);)*) => {
        $(fn $name(&mut self $(, $arg: $of)*) -> Result<$value> {
            self.hooks.change(|| {
                $(let $kept = $keep;)*
                Box::new(move |tx| tx.$name($($again),*).map(drop))
            });
            self.hooks.$name(self.tx $(, $arg)*)
        })*
    };
}

impl<H: Hooks> Tx for HookedTx<'_, H> {
    pass! {
        account_by_key(key: &str) -> Option<Arc<Account>>;
        account(id: AccountId) -> Option<Arc<Account>>;
        earlier_head(epoch: &[u8], stream: StreamId) -> Option<u64>;
        head(stream: StreamId) -> u64;
        cursor(account: AccountId) -> u64;
        unread(inbox: AccountId) -> u64;
        unread_counted(inbox: AccountId, sender: AccountId) -> Unread;
        outbox_last(outbox: OutboxId) -> u64;
        outbox_state(outbox: OutboxId) -> OutboxState;
        blocks(blocker: AccountId, blocked: AccountId) -> bool;
        blocks_of(account: AccountId) -> Vec<AccountId>;
        is_blocked_by_any(blocked: AccountId) -> bool;
        session(id: SessionId) -> Option<SessionRow>;
        session_by_token(token_hash: &[u8; 32]) -> Option<SessionRow>;
        sessions_of(account: AccountId) -> Vec<SessionRow>;
        device_known(account: AccountId, key: &[u8]) -> bool;
        failures(name: &str, device: &[u8]) -> Failures;
    }
    change! {
        draw_back_times(past_ms: i64, blocked_until_ms: i64) -> usize, {} (past_ms, blocked_until_ms);
        set_epoch(epoch: &[u8]) -> (), { epoch = epoch.to_vec() } (&epoch);
        set_password(account: AccountId, password: &Secret) -> (), { password = password.clone() } (account, &password);
        set_last_seen(account: AccountId, ms: i64) -> (), {} (account, ms);
        set_disabled(account: AccountId, disabled: bool) -> (), {} (account, disabled);
        rename(account: AccountId, name: &NewName) -> bool, { name = name.clone() } (account, &name);
        delete_account(account: AccountId) -> (), {} (account);
        set_cursor(account: AccountId, seq: u64) -> (), {} (account, seq);
        hide(inbox: AccountId, sender: AccountId) -> (), {} (inbox, sender);
        trim_inboxes(before_ms: i64, max: usize) -> usize, {} (before_ms, max);
        trim_broadcast(before_ms: i64, max: usize) -> usize, {} (before_ms, max);
        add_outcome(outbox: OutboxId, outcome: Outcome) -> (), {} (outbox, outcome);
        trim_sessions(before_ms: i64, max: usize) -> usize, {} (before_ms, max);
        add_device(account: AccountId, key: &[u8], now_ms: i64) -> (), { key = key.to_vec() } (account, &key, now_ms);
        set_failures(name: &str, device: &[u8], failures: Failures, now_ms: i64) -> (),
            { name = name.to_owned(), device = device.to_vec() } (&name, &device, failures, now_ms);
        clear_failures(name: &str) -> usize, { name = name.to_owned() } (&name);
        count_failed_login(account: AccountId, device: &[u8]) -> (), { device = device.to_vec() } (account, &device);
        take_failed_logins(account: AccountId, device: &[u8]) -> u64, { device = device.to_vec() } (account, &device);
        add_invitation(new: &NewInvitation) -> InvitationId, { new = new.clone() } (&new);
        use_invitation(code_hash: &[u8; 32], now_ms: i64) -> Option<InvitationId>,
            { code_hash = *code_hash } (&code_hash, now_ms);
        remove_invitation(id: InvitationId) -> bool, {} (id);
        trim_invitations(now_ms: i64, max: usize) -> usize, {} (now_ms, max);
    }
    hooked! {
        append(stream: StreamId, sender: AccountId, at: i64, text: &Bytes) -> u64,
            { text = text.clone() } (stream, sender, at, &text);
        outbox(account: AccountId, name: &[u8]) -> OutboxId, { name = name.to_vec() } (account, &name);
        set_block(blocker: AccountId, blocked: AccountId, on: bool) -> bool, {} (blocker, blocked, on);
        add_account(new: &NewAccount) -> Option<AccountId>, { new = new.clone() } (&new);
        add_session(new: &NewSession) -> SessionRow, { new = new.clone() } (&new);
        save_session(row: &SessionRow) -> (), { row = row.clone() } (&row);
    }
}
