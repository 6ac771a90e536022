//! Importing accounts from a file of `username password` lines.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use hobnob_protocol::name::Name;

use crate::{
    handler::login::check_new_password,
    password,
    store::{NewAccount, Result, SERVER_NAME, Store},
};

/// A line that is to become an account.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    name: Name,
    password: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credential({:?})", self.name.key())
    }
}

/// Reads the file's text: one space parts name and password; CRLF and a missing last newline are fine, empty
/// lines too; everything else in a password is itself.
///
/// # Errors
/// Every mistake, each with its line number.
pub fn parse(text: &str) -> std::result::Result<Vec<Credential>, Vec<String>> {
    let (mut credentials, mut mistakes) = (Vec::new(), Vec::new());
    let mut lines_by_key = HashMap::new();
    for (index, line) in text.trim_start_matches('\u{feff}').split('\n').enumerate() {
        let (number, line) = (index + 1, line.strip_suffix('\r').unwrap_or(line));
        if line.is_empty() {
            continue;
        }
        match parse_line(line) {
            Ok(credential) => match lines_by_key.insert(credential.name.key().to_owned(), number) {
                Some(first) => {
                    mistakes.push(format!("line {number}: the name stands in line {first} already"))
                }
                None => credentials.push(credential),
            },
            Err(mistake) => mistakes.push(format!("line {number}: {mistake}")),
        }
    }
    if mistakes.is_empty() { Ok(credentials) } else { Err(mistakes) }
}

fn parse_line(line: &str) -> std::result::Result<Credential, String> {
    let (name, password) = line.split_once(' ').ok_or("a name, one space and a password are expected")?;
    let name = Name::parse(name).map_err(|error| format!("the name cannot be used: {error}"))?;
    // Other reserved names may be imported. With this one somebody would look like who announces.
    if name.key() == SERVER_NAME {
        return Err(format!("the name cannot be used: {SERVER_NAME} is who speaks for the server itself"));
    }
    check_new_password(password)?;
    Ok(Credential { name, password: password.to_owned() })
}

/// Adds the accounts that do not exist yet, hashing on all cores; `progress` is told how many of how many are
/// done. Returns how many were added.
///
/// # Errors
/// Of the store.
pub fn import(
    store: &dyn Store,
    credentials: &[Credential],
    now_ms: i64,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<usize> {
    let mut new = Vec::new();
    for credential in credentials {
        if store.account_by_key(credential.name.key())?.is_none() {
            new.push(credential);
        }
    }
    let accounts = hash_all(&new, now_ms, progress);
    let mut added = 0;
    for some in accounts.chunks(500) {
        store.write(&mut |tx| {
            for account in some {
                added += usize::from(tx.add_account(account)?.is_some());
            }
            Ok(())
        })?;
    }
    Ok(added)
}

fn hash_all(new: &[&Credential], now_ms: i64, progress: &(dyn Fn(usize, usize) + Sync)) -> Vec<NewAccount> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = new.len().div_ceil(cores).max(1);
    let done = AtomicUsize::new(0);
    let hash = |credential: &&Credential| {
        let account = NewAccount {
            name: credential.name.display().to_owned(),
            key: credential.name.key().to_owned(),
            skeleton: credential.name.skeleton(),
            password: password::hash(&credential.password),
            created_ms: now_ms,
        };
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, new.len());
        account
    };
    std::thread::scope(|scope| {
        let shares: Vec<_> =
            new.chunks(share).map(|some| scope.spawn(|| some.iter().map(hash).collect::<Vec<_>>())).collect();
        shares.into_iter().flat_map(|share| share.join().expect("hashing does not panic")).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_as_they_are() {
        let parsed = parse("hans falcon*solo\r\nyoda \"wise\\# #\n\nluke a b").unwrap();
        let pairs: Vec<_> = parsed.iter().map(|one| (one.name.key(), one.password.as_str())).collect();
        assert_eq!(pairs, [("hans", "falcon*solo"), ("yoda", "\"wise\\# #"), ("luke", "a b")]);
    }

    #[test]
    fn nobody_is_imported_under_the_name_of_the_server_itself() {
        assert!(parse("admin x\nsystem x\nserver2 x").is_ok());
        for name in ["server", "SERVER", "Server", "\u{ff53}erver"] {
            let mistakes = parse(&format!("hans x\n{name} x")).unwrap_err();
            let expected = "line 2: the name cannot be used: server is who speaks for the server itself";
            assert_eq!(mistakes, [expected], "{name}");
        }
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let mistakes = parse("hans one\nnopassword\nHANS two\nbad@name x\nok yes\nempty \n").unwrap_err();
        let lines: Vec<_> = mistakes.iter().map(|mistake| mistake.split(':').next().unwrap()).collect();
        assert_eq!(lines, ["line 2", "line 3", "line 4", "line 6"], "{mistakes:?}");
    }
}
