//! Devices, failures, failed logins.

use super::super::{AccountId, DEVICES_MAX, Failures, NewSession, Store};
use super::{UNKNOWN_NAMES_MAX, fail, new_account, people, write};

fn failures(count: u32) -> Failures {
    Failures { count, blocked_until_ms: i64::from(count) * 100 }
}

fn set(store: &dyn Store, name: &str, device: &[u8], count: u32, now_ms: i64) {
    write(store, |tx| tx.set_failures(name, device, failures(count), now_ms));
}

fn count(store: &dyn Store, name: &str, device: &[u8]) -> u32 {
    let found = write(store, |tx| tx.failures(name, device));
    assert_eq!(found, failures(found.count));
    found.count
}

fn device(n: usize) -> [u8; 2] {
    u16::try_from(n).unwrap().to_be_bytes()
}

fn known(store: &dyn Store, account: AccountId, key: &[u8]) -> bool {
    write(store, |tx| tx.device_known(account, key))
}

pub(super) fn devices_are_bounded(store: &dyn Store) {
    let [ann, bob] = people(store, ["ann", "bob"]);
    write(store, |tx| {
        tx.add_device(bob, &device(0), 1)?;
        (0..DEVICES_MAX).try_for_each(|n| tx.add_device(ann, &device(n), 100))
    });
    assert!(known(store, ann, &device(0)) && known(store, ann, &device(DEVICES_MAX - 1)));
    assert!(known(store, bob, &device(0)) && !known(store, bob, &device(1)));
    write(store, |tx| {
        tx.add_device(ann, &device(0), 200)?;
        // The clock was set back: it is the newest nevertheless.
        tx.add_device(ann, &device(1000), 50)
    });
    assert!(known(store, ann, &device(0)) && known(store, ann, &device(1000)));
    assert!(!known(store, ann, &device(1)) && known(store, ann, &device(2)));
    assert!(known(store, bob, &device(0)));
    write(store, |tx| tx.add_device(ann, &device(1001), 300));
    assert!(!known(store, ann, &device(1000)) && known(store, ann, &device(2)));
}

pub(super) fn failures_are_kept(store: &dyn Store) {
    people(store, ["ann"]);
    assert_eq!(write(store, |tx| tx.failures("ann", b"")), Failures::default());
    set(store, "ann", b"", 3, 1);
    set(store, "ann", b"key", 2, 2);
    set(store, "nobody", b"", 1, 3);
    let all = || [("ann", &b""[..]), ("ann", b"key"), ("nobody", b""), ("nobody", b"key")];
    assert_eq!(all().map(|(name, device)| count(store, name, device)), [3, 2, 1, 0]);
    set(store, "ann", b"", 4, 4);
    write(store, |tx| {
        tx.set_failures("ann", b"key", Failures::default(), 5)?;
        tx.set_failures("nobody", b"", Failures::default(), 5)?;
        tx.set_failures("nobody", b"key", Failures::default(), 5)
    });
    assert_eq!(all().map(|(name, device)| count(store, name, device)), [4, 0, 0, 0]);
}

pub(super) fn unknown_names_are_bounded(store: &dyn Store) {
    people(store, ["ann"]);
    set(store, "ann", b"", 1, 0);
    let names: Vec<String> = (0..UNKNOWN_NAMES_MAX + 2).map(|n| format!("n{n}")).collect();
    for (now_ms, name) in (10..).zip(&names[..UNKNOWN_NAMES_MAX]) {
        set(store, name, b"", 1, now_ms);
    }
    set(store, "n0", b"", 2, 100);
    assert_eq!(count(store, "n1", b""), 1, "noting again needs no room");
    set(store, &names[UNKNOWN_NAMES_MAX], b"", 1, 5);
    assert_eq!((count(store, "n0", b""), count(store, "n1", b""), count(store, "n2", b"")), (2, 0, 1));
    assert_eq!(count(store, &names[UNKNOWN_NAMES_MAX], b""), 1);
    write(store, |tx| tx.set_failures("n2", b"", Failures::default(), 101));
    set(store, &names[UNKNOWN_NAMES_MAX + 1], b"", 1, 102);
    assert_eq!(count(store, &names[UNKNOWN_NAMES_MAX], b""), 1, "forgetting made room");
    assert_eq!(count(store, "ann", b""), 1, "accounts are not counted");
}

pub(super) fn a_name_that_becomes_an_account_stays(store: &dyn Store) {
    set(store, "ann", b"", 1, 1);
    let old = write(store, |tx| tx.add_account(&new_account("ann")));
    assert!(old.is_some());
    for n in 0..2 * UNKNOWN_NAMES_MAX {
        set(store, &format!("n{n}"), b"", 1, 2);
    }
    assert_eq!(count(store, "ann", b""), 1);
    let left = (0..2 * UNKNOWN_NAMES_MAX).filter(|n| count(store, &format!("n{n}"), b"") > 0).count();
    assert_eq!(left, UNKNOWN_NAMES_MAX);
}

pub(super) fn failed_logins_are_taken_once(store: &dyn Store) {
    let [ann, bob] = people(store, ["ann", "bob"]);
    write(store, |tx| {
        [&b"a"[..], b"a", b"b", b""].into_iter().try_for_each(|device| tx.count_failed_login(ann, device))?;
        tx.count_failed_login(bob, b"a")
    });
    let take = |account, device: &[u8]| write(store, |tx| tx.take_failed_logins(account, device));
    assert_eq!(take(ann, b"a"), 2);
    assert_eq!(take(ann, b"c"), 0);
    assert_eq!(take(bob, b"c"), 1);
    assert_eq!(take(bob, b""), 0);
}

pub(super) fn failed_logins_are_bounded(store: &dyn Store) {
    let [ann] = people(store, ["ann"]);
    write(store, |tx| {
        (0..DEVICES_MAX).try_for_each(|n| tx.count_failed_login(ann, &device(n)))?;
        (0..10).try_for_each(|n| tx.count_failed_login(ann, &device(1000 + n)))?;
        tx.count_failed_login(ann, &device(0))?;
        tx.count_failed_login(ann, b"")
    });
    // Those that are not told apart count for everybody, even for themselves.
    fail(store, |tx| {
        assert_eq!(tx.take_failed_logins(ann, &device(0))?, DEVICES_MAX as u64 - 1 + 11);
        Ok(())
    });
    assert_eq!(write(store, |tx| tx.take_failed_logins(ann, &device(1000))), DEVICES_MAX as u64 + 1 + 11);
}

pub(super) fn a_device_that_goes_takes_its_failures(store: &dyn Store) {
    let [ann] = people(store, ["ann"]);
    write(store, |tx| {
        (0..DEVICES_MAX).try_for_each(|n| tx.add_device(ann, &device(n), n as i64))?;
        tx.set_failures("ann", &device(0), failures(1), 1)?;
        tx.set_failures("ann", &device(1), failures(1), 1)?;
        tx.set_failures("ann", b"", failures(1), 1)?;
        tx.add_device(ann, &device(1000), 1000)
    });
    let left = [&device(0)[..], &device(1), b""].map(|device| count(store, "ann", device));
    assert_eq!(left, [0, 1, 1]);
}

pub(super) fn a_failed_transaction_leaves_logins(store: &dyn Store) {
    let [ann] = people(store, ["ann"]);
    write(store, |tx| {
        tx.add_device(ann, b"a", 1)?;
        tx.count_failed_login(ann, b"a")?;
        tx.set_failures("x", b"", failures(1), 1)
    });
    fail(store, |tx| {
        (0..DEVICES_MAX).try_for_each(|n| tx.add_device(ann, &device(n), 100))?;
        (0..9).try_for_each(|n| tx.set_failures(&format!("n{n}"), b"", failures(1), 2))?;
        assert_eq!(tx.failures("x", b"")?.count, 0);
        tx.count_failed_login(ann, b"b")?;
        assert_eq!(tx.take_failed_logins(ann, b"")?, 2);
        Ok(())
    });
    assert!(known(store, ann, b"a") && !known(store, ann, &device(0)));
    assert_eq!((count(store, "x", b""), count(store, "n8", b"")), (1, 0));
    for n in 0..UNKNOWN_NAMES_MAX - 1 {
        set(store, &format!("n{n}"), b"", 1, 3);
    }
    assert_eq!(count(store, "x", b""), 1, "the count of unknown names is as before");
    assert_eq!(write(store, |tx| tx.take_failed_logins(ann, b"")), 1);
}

pub(super) fn times_of_the_future_are_drawn_back(store: &dyn Store) {
    let [ann, bob] = people(store, ["ann", "bob"]);
    let session = |account, token_hash, now_ms| NewSession { account, background: true, token_hash, now_ms };
    let until = |blocked_until_ms| Failures { count: 3, blocked_until_ms };
    write(store, |tx| {
        tx.set_last_seen(ann, 5_000)?;
        tx.set_last_seen(bob, 900)?;
        tx.add_session(&session(ann, [1; 32], 5_000))?;
        tx.add_session(&session(bob, [2; 32], 900))?;
        tx.add_device(ann, b"a", 5_000)?;
        tx.set_failures("ann", b"", until(5_060), 5_000)?;
        tx.set_failures("bob", b"", until(1_050), 990)?;
        tx.set_failures("nobody", b"", until(5_060), 5_000)
    });
    assert!(write(store, |tx| tx.draw_back_times(1_000, 1_060)) > 0);
    write(store, |tx| {
        let seen = [ann, bob].map(|id| tx.account(id).unwrap().unwrap().last_seen_ms);
        let used = [[1; 32], [2; 32]].map(|token| tx.session_by_token(&token).unwrap().unwrap().used_ms);
        assert_eq!((seen, used), ([1_000, 900], [1_000, 900]));
        let blocked = ["ann", "bob", "nobody"].map(|name| tx.failures(name, b"").unwrap().blocked_until_ms);
        assert_eq!(blocked, [1_060, 1_050, 1_060]);
        // From here on it goes by the right time again.
        tx.set_last_seen(ann, 1_001)
    });
    assert_eq!(store.seen_since(1_001).unwrap(), [ann]);
    assert_eq!(write(store, |tx| tx.draw_back_times(1_001, 1_061)), 0);
    // Each for itself.
    assert_eq!(write(store, |tx| tx.draw_back_times(i64::MAX, 1_055)), 2);
    assert_eq!(store.seen_since(1_001).unwrap(), [ann]);
}
