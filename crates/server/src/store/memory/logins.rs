//! Devices and failed logins, all of them bounded.

use super::super::{AccountId, DEVICES_MAX, Failures};
use super::FailuresRow;
use super::tx::MemoryTx;

impl MemoryTx<'_> {
    pub(super) fn note_device(&mut self, account: AccountId, key: &[u8], now_ms: i64) {
        self.put(|data| &mut data.devices, (account, key.to_vec()), Some(now_ms));
        let devices = self.data.devices.range((account, Vec::new())..);
        let mut others: Vec<(i64, Vec<u8>)> = devices
            .take_while(|((of, _), _)| *of == account)
            .filter(|((_, device), _)| device != key)
            .map(|((_, device), came_ms)| (*came_ms, device.clone()))
            .collect();
        if others.len() < DEVICES_MAX {
            return;
        }
        others.sort_unstable();
        let (_, oldest) = others.swap_remove(0);
        // What is known of the device's failures goes with it, or they would pile up.
        let name = self.data.accounts.get(&account).map(|row| row.key.clone()).unwrap_or_default();
        self.put(|data| &mut data.failures, (name, oldest.clone()), None);
        self.put(|data| &mut data.devices, (account, oldest), None);
    }

    pub(super) fn note_failures(&mut self, name: &str, device: &[u8], failures: Failures, now_ms: i64) {
        let key = (name.to_owned(), device.to_vec());
        if let Some(old) = self.data.failures.get(&key) {
            let old_place = (old.at_ms, key.0.clone(), key.1.clone());
            self.put(|data| &mut data.unknown, old_place, None);
        }
        if failures == Failures::default() {
            self.put(|data| &mut data.failures, key, None);
            return;
        }
        self.put(|data| &mut data.failures, key.clone(), Some(FailuresRow { failures, at_ms: now_ms }));
        if self.data.keys.contains_key(name) {
            return;
        }
        if self.data.unknown.len() >= self.data.unknown_names_max {
            self.forget_oldest_unknown();
        }
        self.put(|data| &mut data.unknown, (now_ms, key.0, key.1), Some(()));
    }

    fn forget_oldest_unknown(&mut self) {
        if let Some((place, ())) = self.data.unknown.first_key_value() {
            let place = place.clone();
            let class = (place.1.clone(), place.2.clone());
            self.put(|data| &mut data.unknown, place, None);
            self.put(|data| &mut data.failures, class, None);
        }
    }

    /// A name that was only tried so far is an account now.
    pub(super) fn name_became_known(&mut self, name: &str) {
        let classes = self.data.failures.range((name.to_owned(), Vec::new())..);
        let places: Vec<_> = classes
            .take_while(|((of, _), _)| of == name)
            .map(|((of, device), row)| (row.at_ms, of.clone(), device.clone()))
            .collect();
        for place in places {
            self.put(|data| &mut data.unknown, place, None);
        }
    }

    /// Forgets all classes of a name; returns how many there were.
    pub(super) fn forget_failures(&mut self, name: &str) -> usize {
        let classes = self.failures_by(name);
        for (device, row) in &classes {
            let place = (row.at_ms, name.to_owned(), device.clone());
            self.put(|data| &mut data.unknown, place, None);
            self.put(|data| &mut data.failures, (name.to_owned(), device.clone()), None);
        }
        classes.len()
    }

    /// The classes of a name.
    pub(super) fn failures_by(&self, name: &str) -> Vec<(Vec<u8>, FailuresRow)> {
        let classes = self.data.failures.range((name.to_owned(), Vec::new())..);
        let of_name = classes.take_while(|((of, _), _)| of == name);
        of_name.map(|((_, device), row)| (device.clone(), *row)).collect()
    }

    pub(super) fn count_failed(&mut self, account: AccountId, device: &[u8]) {
        let new = !self.data.failed_logins.contains_key(&(account, device.to_vec()));
        let told_apart = self.failed_of(account).iter().filter(|(device, _)| !device.is_empty()).count();
        let device = if new && told_apart >= DEVICES_MAX { Vec::new() } else { device.to_vec() };
        let key = (account, device);
        let count = self.data.failed_logins.get(&key).map_or(1, |count| count + 1);
        self.put(|data| &mut data.failed_logins, key, Some(count));
    }

    pub(super) fn take_failed(&mut self, account: AccountId, device: &[u8]) -> u64 {
        let failed = self.failed_of(account);
        let others = failed.iter().filter(|(by, _)| by != device).map(|(_, count)| count).sum();
        for (by, _) in failed {
            self.put(|data| &mut data.failed_logins, (account, by), None);
        }
        others
    }

    fn failed_of(&self, account: AccountId) -> Vec<(Vec<u8>, u64)> {
        let failed = self.data.failed_logins.range((account, Vec::new())..);
        let of_account = failed.take_while(|((of, _), _)| *of == account);
        of_account.map(|((_, device), count)| (device.clone(), *count)).collect()
    }
}
