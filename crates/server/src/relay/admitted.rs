//! Whose key may use the relay: pure bookkeeping of keys, their sessions, and until when.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use tokio::time::Instant;

/// A device's key: Ed25519, as it is on the wire.
pub(super) type Key = [u8; 32];

/// Every key that is admitted, and for which user. There are at most as many as sessions whose grace is not over.
#[derive(Debug)]
pub(super) struct Admitted<U> {
    keys: HashMap<Key, Right<U>>,
    /// When the rights end that no session holds any more.
    ends: BTreeSet<(Instant, Key)>,
    /// How long a right outlives a session whose connection broke.
    grace: Duration,
}

/// What one key may. Either sessions hold it, or it ends at a time.
#[derive(Debug)]
struct Right<U> {
    user: U,
    sessions: usize,
    until: Option<Instant>,
}

impl<U: Clone> Admitted<U> {
    pub(super) fn new(grace: Duration) -> Self {
        Self { keys: HashMap::new(), ends: BTreeSet::new(), grace }
    }

    /// A session begins, or is back. A key that serves two users counts for the one who came first.
    pub(super) fn admit(&mut self, key: Key, user: U) {
        let right = self.keys.entry(key).or_insert(Right { user, sessions: 0, until: None });
        right.sessions += 1;
        if let Some(until) = right.until.take() {
            self.ends.remove(&(until, key));
        }
    }

    /// A session's connection broke. Returns whether the key's grace begins.
    pub(super) fn broke(&mut self, key: Key, now: Instant) -> bool {
        let Some(right) = self.keys.get_mut(&key).filter(|right| right.sessions > 0) else { return false };
        right.sessions -= 1;
        if right.sessions > 0 {
            return false;
        }
        let until = now + self.grace;
        right.until = Some(until);
        self.ends.insert((until, key));
        true
    }

    /// A session is over. Returns whether the key is put out.
    pub(super) fn over(&mut self, key: Key) -> bool {
        let Some(right) = self.keys.get_mut(&key).filter(|right| right.sessions > 0) else { return false };
        right.sessions -= 1;
        if right.sessions > 0 {
            return false;
        }
        self.keys.remove(&key);
        true
    }

    /// Ends the rights of users at once, whatever sessions hold them. Returns their keys.
    pub(super) fn shut_out(&mut self, is_meant: impl Fn(&U) -> bool) -> Vec<Key> {
        let meant = self.keys.iter().filter(|(_, right)| is_meant(&right.user));
        let ends: Vec<_> = meant.map(|(key, right)| (*key, right.until)).collect();
        for (key, until) in &ends {
            self.keys.remove(key);
            if let Some(until) = until {
                self.ends.remove(&(*until, *key));
            }
        }
        ends.into_iter().map(|(key, _)| key).collect()
    }

    /// The user for whom the key is admitted.
    pub(super) fn user(&self, key: &Key, now: Instant) -> Option<U> {
        let right = self.keys.get(key)?;
        right.until.is_none_or(|until| now < until).then(|| right.user.clone())
    }

    /// When the next right ends by itself.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// Puts out a key whose grace is over; `None`: there is none any more.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Key> {
        let end = *self.ends.first().filter(|(until, _)| *until <= now)?;
        self.ends.remove(&end);
        self.keys.remove(&end.1);
        Some(end.1)
    }

    /// How many keys are admitted.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GRACE: Duration = Duration::from_secs(30);
    const HANS: &str = "hans";
    const YODA: &str = "yoda";

    #[test]
    fn a_session_that_is_over_takes_its_key_along() {
        let (mut admitted, now) = (Admitted::new(GRACE), Instant::now());
        assert_eq!(admitted.user(&[1; 32], now), None);
        admitted.admit([1; 32], HANS);
        assert_eq!(admitted.user(&[1; 32], now), Some(HANS));
        assert!(admitted.over([1; 32]));
        assert_eq!(admitted.user(&[1; 32], now), None);
        assert!(!admitted.over([1; 32]));
    }

    #[test]
    fn a_broken_session_keeps_its_key_for_the_grace() {
        let (mut admitted, now) = (Admitted::new(GRACE), Instant::now());
        admitted.admit([1; 32], HANS);
        assert!(admitted.broke([1; 32], now));
        assert_eq!(admitted.next_end(), Some(now + GRACE));
        assert_eq!(admitted.user(&[1; 32], now + GRACE - Duration::from_millis(1)), Some(HANS));
        // Before anybody has tidied up, too.
        assert_eq!(admitted.user(&[1; 32], now + GRACE), None);
        assert_eq!(admitted.expire(now + GRACE - Duration::from_millis(1)), None);
        assert_eq!(admitted.expire(now + GRACE), Some([1; 32]));
        assert_eq!((admitted.expire(now + GRACE), admitted.len()), (None, 0));
    }

    #[test]
    fn a_session_that_is_back_ends_the_grace_and_its_end_is_the_end() {
        let (mut admitted, now) = (Admitted::new(GRACE), Instant::now());
        admitted.admit([1; 32], HANS);
        admitted.broke([1; 32], now);
        admitted.admit([1; 32], HANS);
        assert_eq!((admitted.next_end(), admitted.expire(now + 2 * GRACE)), (None, None));
        assert_eq!(admitted.user(&[1; 32], now + 2 * GRACE), Some(HANS));
        assert!(admitted.over([1; 32]));
        assert_eq!(admitted.len(), 0);
    }

    #[test]
    fn who_is_shut_out_has_no_rights_and_no_grace() {
        let (mut admitted, now) = (Admitted::new(GRACE), Instant::now());
        for (key, user) in [(1, HANS), (2, HANS), (3, YODA)] {
            admitted.admit([key; 32], user);
        }
        admitted.broke([2; 32], now);
        let mut out = admitted.shut_out(|user| *user == HANS);
        out.sort_unstable();
        assert_eq!(out, [[1; 32], [2; 32]]);
        assert_eq!((admitted.user(&[1; 32], now), admitted.user(&[3; 32], now)), (None, Some(YODA)));
        assert_eq!((admitted.next_end(), admitted.len()), (None, 1));
        // The sessions that held them go afterwards.
        assert!(!admitted.over([1; 32]) && !admitted.broke([1; 32], now));
    }

    #[test]
    fn of_two_sessions_with_one_key_the_last_counts() {
        let (mut admitted, now) = (Admitted::new(GRACE), Instant::now());
        admitted.admit([1; 32], HANS);
        // A resume overtakes the end of the connection that it replaces.
        admitted.admit([1; 32], YODA);
        assert!(!admitted.broke([1; 32], now));
        assert_eq!(admitted.user(&[1; 32], now + 2 * GRACE), Some(HANS));
        admitted.admit([1; 32], HANS);
        assert!(!admitted.over([1; 32]));
        assert!(admitted.over([1; 32]));
    }

    proptest! {
        /// Whatever happens: a key is held by sessions or ends at a time that is known, and nothing is left over.
        #[test]
        fn every_right_ends(steps in prop::collection::vec((0..4u8, 0..3u8), 0..200)) {
            let (mut admitted, mut now) = (Admitted::new(GRACE), Instant::now());
            let mut sessions = [0_usize; 3];
            for (step, key) in steps {
                let (key, held) = ([key; 32], &mut sessions[usize::from(key)]);
                match step {
                    0 => { admitted.admit(key, HANS); *held += 1; }
                    1 => { admitted.broke(key, now); *held = held.saturating_sub(1); }
                    2 => { prop_assert_eq!(admitted.over(key), *held == 1); *held = held.saturating_sub(1); }
                    _ => { now += GRACE / 3; while admitted.expire(now).is_some() {} }
                }
                for (key, right) in &admitted.keys {
                    prop_assert_eq!(right.sessions == 0, right.until.is_some());
                    prop_assert_eq!(right.sessions, sessions[usize::from(key[0])]);
                    prop_assert_eq!(right.until.is_some_and(|until| admitted.ends.contains(&(until, *key))), right.until.is_some());
                }
                let ending = admitted.keys.values().filter(|right| right.until.is_some()).count();
                prop_assert_eq!(admitted.ends.len(), ending);
            }
        }
    }
}
