//! What the keeper of a server does to whole accounts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::{AccountId, NewName, StreamId};
use super::Data;
use super::tx::MemoryTx;

impl MemoryTx<'_> {
    pub(super) fn change_name(&mut self, account: AccountId, name: &NewName) -> bool {
        let Some(mut row) = self.data.accounts.get(&account).cloned() else { return false };
        if self.data.keys.get(&name.key).is_some_and(|of| *of != account) {
            return false;
        }
        if row.key != name.key {
            // Whatever was tried under the new name so far concerned nobody.
            self.forget_failures(&name.key);
            for (device, failures) in self.failures_by(&row.key) {
                self.put(|data| &mut data.failures, (row.key.clone(), device.clone()), None);
                self.put(|data| &mut data.failures, (name.key.clone(), device), Some(failures));
            }
        }
        self.put(|data| &mut data.skeletons, (row.skeleton, account), None);
        self.put(|data| &mut data.keys, row.key, None);
        Arc::make_mut(&mut row.account).name.clone_from(&name.name);
        (row.key, row.skeleton) = (name.key.clone(), name.skeleton.clone());
        self.put(|data| &mut data.skeletons, (row.skeleton.clone(), account), Some(()));
        self.put(|data| &mut data.keys, row.key.clone(), Some(account));
        self.put(|data| &mut data.accounts, account, Some(row));
        true
    }

    pub(super) fn remove_account(&mut self, account: AccountId) {
        let Some(row) = self.data.accounts.get(&account).cloned() else { return };
        self.forget_failures(&row.key);
        self.put(|data| &mut data.former, account, Some(row.account.name.clone()));
        self.put(|data| &mut data.skeletons, (row.skeleton, account), None);
        self.put(|data| &mut data.keys, row.key, None);
        self.put(|data| &mut data.accounts, account, None);
        let inbox = StreamId::Inbox(account);
        self.put(|data| &mut data.tallies, inbox, None);
        self.remove_where(|data| &mut data.entries, |(stream, _), _| *stream == inbox);
        self.remove_where(|data| &mut data.unread_of, |(of, _), _| *of == account);
        let names = self.data.outbox_names.iter().filter(|((of, _), _)| *of == account);
        let outboxes: Vec<_> = names.map(|(_, id)| *id).collect();
        self.remove_where(|data| &mut data.outboxes, |id, _| outboxes.contains(id));
        self.remove_where(|data| &mut data.outbox_names, |(of, _), _| *of == account);
        let rows = self.data.sessions.values().filter(|row| row.account == account);
        let sessions: Vec<_> = rows.map(|row| row.id).collect();
        self.remove_where(|data| &mut data.tokens, |_, id| sessions.contains(id));
        self.remove_where(|data| &mut data.sessions, |_, row| row.account == account);
        self.remove_where(|data| &mut data.devices, |(of, _), _| *of == account);
        self.remove_where(|data| &mut data.failed_logins, |(of, _), _| *of == account);
        self.remove_where(|data| &mut data.blocks, |(one, other), ()| *one == account || *other == account);
        self.remove_where(|data| &mut data.blockers, |(one, other), ()| *one == account || *other == account);
    }

    fn remove_where<K: Ord + Clone + 'static, V: 'static>(
        &mut self,
        table: fn(&mut Data) -> &mut BTreeMap<K, V>,
        gone: impl Fn(&K, &V) -> bool,
    ) {
        let rows = table(self.data).iter().filter(|(key, row)| gone(key, row));
        let keys: Vec<K> = rows.map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.put(table, key, None);
        }
    }
}
