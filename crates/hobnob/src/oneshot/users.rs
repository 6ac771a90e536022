//! Whose folders there are for a server, so that who has only one need not name it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hobnob_client::Address;

/// The only user with a saved session here; without any session, the only user with a folder.
pub(super) fn only_one(data: &Path, address: &Address) -> Option<String> {
    // The client library names the folder so: a colon occurs in IPv6 addresses only.
    let server = data.join(format!("{}_{}", address.host.replace(':', "%3A"), address.port));
    let folders: Vec<_> =
        fs::read_dir(server).ok()?.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    let has_session =
        |path: &&PathBuf| ["1", "2", "3", "4"].iter().any(|slot| path.join(slot).join("token").exists());
    let with_session: Vec<_> = folders.iter().filter(|path| has_session(path)).collect();
    match (with_session.as_slice(), folders.as_slice()) {
        ([only], _) => name(only),
        ([], [only]) => name(only),
        _ => None,
    }
}

/// The name of the user whose folder this is.
fn name(folder: &Path) -> Option<String> {
    let escaped = folder.file_name()?.to_str()?;
    // A name too long for a folder is cut and has its hash behind a tilde; it cannot be told from that.
    if escaped.contains('~') {
        return None;
    }
    let mut bytes = Vec::new();
    let mut rest = escaped.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let (high, low) = (rest.next()?, rest.next()?);
            let digit = |byte| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            bytes.push(digit(high)? << 4 | digit(low)?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_session_counts_then_the_only_folder() {
        let data = tempfile::tempdir().expect("a folder");
        let address: Address = "localhost".parse().expect("an address");
        let user = |name: &str| data.path().join("localhost_4000").join(name);
        assert_eq!(only_one(data.path(), &address), None);
        fs::create_dir_all(user("hans/1")).expect("made");
        assert_eq!(only_one(data.path(), &address).as_deref(), Some("hans"));
        fs::create_dir_all(user("j%C3%BCrgen/2")).expect("made");
        assert_eq!(only_one(data.path(), &address), None);
        fs::write(user("j%C3%BCrgen/2/token"), "x").expect("written");
        assert_eq!(only_one(data.path(), &address).as_deref(), Some("jürgen"));
        fs::write(user("hans/1/token"), "x").expect("written");
        assert_eq!(only_one(data.path(), &address), None);
    }
}
