//! What the store has really committed, in the order of the commits.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use hobnob_server::store::{AccountId, NewAccount, NewSession, Result, SessionId, SessionRow, StreamId, Tx};

use crate::hooks::Hooks;

/// Something that was committed.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    Account { id: AccountId, name: String },
    Entry { stream: StreamId, seq: u64, sender: AccountId, text: String },
    Block { blocker: AccountId, blocked: AccountId, on: bool },
    Session { id: SessionId, account: AccountId, online: bool },
}

/// What happened, in order.
#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    pub(crate) facts: Vec<Fact>,
    open: Vec<Fact>,
    online: BTreeMap<SessionId, bool>,
    heads: BTreeMap<StreamId, u64>,
    /// Entries whose number is not the next.
    pub(crate) holes: Vec<String>,
}

impl Chronicle {
    pub(crate) fn names(&self) -> BTreeMap<AccountId, String> {
        let accounts = self.facts.iter().filter_map(|fact| match fact {
            Fact::Account { id, name } => Some((*id, name.clone())),
            _ => None,
        });
        accounts.collect()
    }

    /// The last number of a person's inbox, or of broadcast.
    pub(crate) fn head(&self, inbox_of: Option<&str>) -> u64 {
        let stream = match inbox_of {
            None => StreamId::Broadcast,
            Some(name) => {
                let found = self.names().into_iter().find(|(_, of)| of == name);
                StreamId::Inbox(found.map_or(AccountId(0), |(id, _)| id))
            }
        };
        self.heads.get(&stream).copied().unwrap_or(0)
    }

    /// Whether one person has ever blocked another.
    pub(crate) fn ever_blocked(&self, by: &str, of: &str) -> bool {
        let names = self.names();
        self.facts.iter().any(|fact| match fact {
            Fact::Block { blocker, blocked, .. } => {
                names.get(blocker).is_some_and(|name| name == by)
                    && names.get(blocked).is_some_and(|name| name == of)
            }
            _ => false,
        })
    }

    /// Sessions that count as online, with their accounts, in the end.
    pub(crate) fn online(&self) -> BTreeSet<(SessionId, AccountId)> {
        let mut online = BTreeSet::new();
        for fact in &self.facts {
            apply(&mut online, fact);
        }
        online
    }

    fn note_session(&mut self, row: &SessionRow) {
        let online = row.online && row.ended.is_none() && !row.background;
        if self.online.insert(row.id, online) != Some(online) {
            self.open.push(Fact::Session { id: row.id, account: row.account, online });
        }
    }
}

/// Keeps track of who is online.
pub(crate) fn apply(online: &mut BTreeSet<(SessionId, AccountId)>, fact: &Fact) {
    if let Fact::Session { id, account, online: on } = fact {
        if *on {
            online.insert((*id, *account));
        } else {
            online.remove(&(*id, *account));
        }
    }
}

impl Hooks for Chronicle {
    fn begin(&mut self) {
        self.open.clear();
    }

    fn end(&mut self, committed: bool) {
        let open = std::mem::take(&mut self.open);
        for fact in open {
            match (&fact, committed) {
                // Its state before is not known here: the next save tells it anew.
                (Fact::Session { id, .. }, false) => drop(self.online.remove(id)),
                (_, false) => {}
                (Fact::Entry { stream, seq, text, .. }, true) => {
                    let head = self.heads.entry(*stream).or_default();
                    if *seq != *head + 1 {
                        self.holes.push(format!("{text} is {seq} of {stream:?} after {head}"));
                    }
                    *head = *seq;
                    self.facts.push(fact);
                }
                (_, true) => self.facts.push(fact),
            }
        }
    }

    fn append(
        &mut self,
        tx: &mut dyn Tx,
        stream: StreamId,
        sender: AccountId,
        at: i64,
        text: &Bytes,
    ) -> Result<u64> {
        let seq = tx.append(stream, sender, at, text)?;
        let text = String::from_utf8_lossy(text).into_owned();
        self.open.push(Fact::Entry { stream, seq, sender, text });
        Ok(seq)
    }

    fn set_block(
        &mut self,
        tx: &mut dyn Tx,
        blocker: AccountId,
        blocked: AccountId,
        on: bool,
    ) -> Result<bool> {
        let changed = tx.set_block(blocker, blocked, on)?;
        if changed {
            self.open.push(Fact::Block { blocker, blocked, on });
        }
        Ok(changed)
    }

    fn add_account(&mut self, tx: &mut dyn Tx, new: &NewAccount) -> Result<Option<AccountId>> {
        let added = tx.add_account(new)?;
        if let Some(id) = added {
            self.open.push(Fact::Account { id, name: new.name.clone() });
        }
        Ok(added)
    }

    fn add_session(&mut self, tx: &mut dyn Tx, new: &NewSession) -> Result<SessionRow> {
        let row = tx.add_session(new)?;
        self.note_session(&row);
        Ok(row)
    }

    fn save_session(&mut self, tx: &mut dyn Tx, row: &SessionRow) -> Result<()> {
        self.note_session(row);
        tx.save_session(row)
    }
}
