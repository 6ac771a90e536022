//! Whose key is whose: the device keys that were seen of each user, which of them were verified, and safety
//! numbers.

use std::collections::BTreeMap;
use std::fmt::Write;

use ring::digest::{SHA512, digest};

/// Keys that are remembered of one user; beyond, the one not verified that was not seen for the longest time
/// goes.
const KEYS_OF_A_USER_MAX: usize = 16;
/// Users whose keys are remembered; beyond, the one without a verified key that was not seen for the longest
/// time goes.
const USERS_MAX: usize = 10_000;
/// Keeps safety numbers apart from whatever else is ever hashed.
const SAFETY_DOMAIN: &[u8] = b"hobnob safety number v1\0";
/// Groups of five digits in a safety number.
const GROUPS: usize = 12;

/// The keys that were seen, as one small text file keeps them. Users are named by the form of their name by
/// which accounts are found, see [`Name::key`](hobnob_protocol::name::Name::key).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    users: BTreeMap<String, Seen>,
    /// Counts introductions: tells what is old.
    introductions: u64,
}

/// What was seen of one user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// The last introduction.
    last: u64,
    /// The one introduced last is at the end.
    keys: Vec<Known>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    key: [u8; 32],
    verified: bool,
}

/// What is to be thought of a key that was introduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The first of this user.
    First,
    /// Seen before, and nothing speaks against it.
    Known,
    /// Others were seen before, but none was verified.
    New,
    /// Another was verified and this one was not: whoever has it is not believed.
    Refused,
}

impl Keys {
    /// Reads what [`to_text`](Self::to_text) wrote; lines that make no sense are passed over.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let mut keys = Self::default();
        for (user, known) in text.lines().filter_map(read) {
            keys.note(user, known.key);
            if known.verified {
                keys.verify(user);
            }
        }
        keys
    }

    /// For the file: a line for each key, `<user> <hex> verified` or `<user> <hex> seen`, the oldest first.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut users: Vec<_> = self.users.iter().collect();
        users.sort_by_key(|(_, seen)| seen.last);
        let mut text = String::new();
        for (user, seen) in users {
            seen.keys.iter().for_each(|known| write_line(&mut text, user, known));
        }
        text
    }

    /// A key was introduced as this user's. It is remembered as the last one, also if it is refused.
    pub fn introduce(&mut self, user: &str, key: [u8; 32]) -> Trust {
        let known = self.users.get(user).map_or(&[][..], |seen| &seen.keys);
        let trust = match known.iter().find(|known| known.key == key) {
            Some(Known { verified: true, .. }) => Trust::Known,
            _ if known.iter().any(|known| known.verified) => Trust::Refused,
            Some(_) => Trust::Known,
            None if known.is_empty() => Trust::First,
            None => Trust::New,
        };
        self.note(user, key);
        trust
    }

    /// The key that was introduced last as this user's, and whether it was verified.
    #[must_use]
    pub fn last(&self, user: &str) -> Option<([u8; 32], bool)> {
        let known = self.users.get(user)?.keys.last()?;
        Some((known.key, known.verified))
    }

    /// The person has compared the safety number of the key introduced last. False if there is none.
    pub fn verify(&mut self, user: &str) -> bool {
        let last = self.users.get_mut(user).and_then(|seen| seen.keys.last_mut());
        let found = last.is_some();
        last.into_iter().for_each(|known| known.verified = true);
        found
    }

    /// Puts a key at the end of its user's.
    fn note(&mut self, user: &str, key: [u8; 32]) {
        if !self.users.contains_key(user) && !self.make_room() {
            return;
        }
        self.introductions += 1;
        let seen = self.users.entry(user.to_owned()).or_default();
        seen.last = self.introductions;
        seen.note(key);
    }

    /// Whether one more user can be remembered.
    fn make_room(&mut self) -> bool {
        if self.users.len() < USERS_MAX {
            return true;
        }
        let unverified = self.users.iter().filter(|(_, seen)| !seen.keys.iter().any(|known| known.verified));
        let oldest = unverified.min_by_key(|(_, seen)| seen.last).map(|(user, _)| user.clone());
        oldest.is_some_and(|user| self.users.remove(&user).is_some())
    }
}

impl Seen {
    fn note(&mut self, key: [u8; 32]) {
        let at = self.keys.iter().position(|known| known.key == key);
        let known = at.map_or(Known { key, verified: false }, |at| self.keys.remove(at));
        if self.keys.len() >= KEYS_OF_A_USER_MAX {
            // Who has verified as many by hand can lose the oldest: the others still tell a stranger's key.
            let unverified = self.keys.iter().position(|known| !known.verified);
            self.keys.remove(unverified.unwrap_or(0));
        }
        self.keys.push(known);
    }
}

fn write_line(text: &mut String, user: &str, known: &Known) {
    text.push_str(user);
    text.push(' ');
    for byte in known.key {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push_str(if known.verified { " verified\n" } else { " seen\n" });
}

fn read(line: &str) -> Option<(&str, Known)> {
    let mut words = line.split_ascii_whitespace();
    let (user, hex, state) = (words.next()?, words.next()?, words.next()?);
    let verified = match state {
        "verified" => true,
        "seen" => false,
        _ => return None,
    };
    let whole = words.next().is_none() && user.len() <= 4 * hobnob_protocol::limits::NAME_CHARS_MAX;
    let key = read_hex(hex).filter(|_| whole)?;
    Some((user, Known { key, verified }))
}

fn read_hex(hex: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u32>> = hex.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    Some(std::array::from_fn(|at| (digits[2 * at] << 4 | digits[2 * at + 1]) as u8))
}

/// What two people read to each other to learn whether each has the other's true key: 60 digits in twelve
/// groups of five. Both see the same.
///
/// A short number would not do. Whoever stands between the two (it takes the server) shows each a key of its
/// own, and may try as many pairs of keys as it likes for one whose two numbers are equal: of n digits that
/// takes about 10^(n/2) tries. With 60 digits these are 2^99, out of reach; with 20 it would be an afternoon.
#[must_use]
pub fn safety_number(one: &[u8; 32], other: &[u8; 32]) -> String {
    let (low, high) = if one <= other { (one, other) } else { (other, one) };
    let hash = digest(&SHA512, &[SAFETY_DOMAIN, low, high].concat());
    let group = |bytes: &[u8]| {
        let number = bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        format!("{:05}", number % 100_000)
    };
    let groups: Vec<_> = hash.as_ref().chunks_exact(5).take(GROUPS).map(group).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests;
