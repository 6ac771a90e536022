//! Folders on disk: `DIR/known_servers`, and `DIR/HOST_PORT/USER/N/{device.key,outbox,cursor,token,peers,lock,files/}` for
//! each device. All is readable by the owner alone, and one process at a time has a device.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use hobnob_protocol::name::Name;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::cursor::Slots;
use crate::file;
use crate::outbox::Journal;
use crate::random::{self, Random};
use crate::storage::{Folder, PeersFile, Storage, TokenFile};
use crate::{Address, OpenError, Slot};

/// Devices of one user in one place.
const DEVICES_MAX: u32 = 64;
/// The first number that no kind of client begins with.
const FIRST_SPARE: u32 = 5;
/// Longest name of a folder, in bytes.
const FOLDER_NAME_BYTES_MAX: usize = 120;

/// Keeps everything in files.
pub struct Disk {
    data: PathBuf,
    server: PathBuf,
    random: Arc<dyn Random>,
    blocks: bool,
}

impl Disk {
    /// Below `data`, in the folder of this server.
    #[must_use]
    pub fn new(data: &Path, address: &Address, random: Arc<dyn Random>) -> Self {
        Self { data: data.to_owned(), server: data.join(address.folder()), random, blocks: true }
    }

    /// The same, but files are written by the session's own task: for simulations, where threads would make the
    /// order of things a matter of chance.
    #[must_use]
    pub fn inline(self) -> Self {
        Self { blocks: false, ..self }
    }

    fn user(&self, user: &str) -> PathBuf {
        self.server.join(folder_name(user))
    }

    /// A folder, if something is left in its outbox and no process has it.
    fn open_left_behind(&self, path: &Path) -> io::Result<Option<Folder>> {
        if !path.join("outbox").exists() {
            return Ok(None);
        }
        let Some(lock) = lock(path)? else { return Ok(None) };
        let folder = self.open_device(path, lock)?;
        let left = !folder.waiting.submits.is_empty() || folder.outbox.damaged();
        Ok(left.then_some(folder))
    }

    fn open_device(&self, path: &Path, lock: File) -> io::Result<Folder> {
        let seed = load_seed(&path.join("device.key"), &*self.random)?;
        let (outbox, waiting) = Journal::open(&path.join("outbox"), Arc::clone(&self.random), self.blocks)?;
        let cursor = Slots::open(&path.join("cursor"))?;
        let token = Token { path: path.join("token"), _lock: lock };
        Ok(Folder {
            seed,
            outbox: Box::new(outbox),
            waiting,
            cursor: Box::new(cursor),
            token: Box::new(token),
            peers: Some(Arc::new(Peers(path.join("peers")))),
            files: Some(path.join("files")),
        })
    }
}

impl Storage for Disk {
    fn open(&self, user: &str, slot: Slot) -> Result<Folder, OpenError> {
        let of_user = self.user(user);
        file::make_folder(&self.data).map_err(OpenError::at(&self.data))?;
        for path in [&self.server, &of_user] {
            file::make_private_folder(path).map_err(OpenError::at(path))?;
        }
        for number in std::iter::once(slot.number()).chain(FIRST_SPARE..DEVICES_MAX) {
            let path = of_user.join(number.to_string());
            if let Some(lock) = lock(&path).map_err(OpenError::at(&path))? {
                return self.open_device(&path, lock).map_err(OpenError::at(&path));
            }
        }
        Err(OpenError::at(&of_user)(io::Error::other("too many processes use this folder")))
    }

    fn left_behind(&self, user: &str, after: u32) -> Option<(u32, Folder)> {
        let of_user = self.user(user);
        (after.saturating_add(1)..DEVICES_MAX).find_map(|number| {
            let path = of_user.join(number.to_string());
            match self.open_left_behind(&path) {
                Ok(folder) => Some((number, folder?)),
                Err(error) => {
                    tracing::warn!(%error, number, "a folder with an outbox cannot be opened");
                    None
                }
            }
        })
    }

    fn saved_token(&self, user: &str, slot: Slot) -> Option<Bytes> {
        let of_user = self.user(user);
        let numbers = [slot, Slot::OneShot, Slot::Chat].map(Slot::number);
        numbers.into_iter().find_map(|number| read_token(&of_user.join(number.to_string())))
    }

    fn forget_token(&self, user: &str, token: &[u8]) {
        let of_user = self.user(user);
        for slot in [Slot::Chat, Slot::OneShot, Slot::Tail, Slot::Share] {
            let path = of_user.join(slot.number().to_string());
            if read_token(&path).is_some_and(|saved| saved == token) {
                remove(&path.join("token"));
            }
        }
    }
}

/// The lock of a folder, made if need be; none if another process has it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    file::make_private_folder(path)?;
    let lock = file::options().create(true).truncate(false).open(path.join("lock"))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(lock)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The device's seed; made at first use, and anew if the file is not one.
fn load_seed(path: &Path, random: &dyn Random) -> io::Result<[u8; 32]> {
    match std::fs::read(path) {
        Ok(content) => {
            if let Ok(seed) = content.try_into() {
                return Ok(seed);
            }
            tracing::warn!("the device's key is damaged; the device gets a new one");
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let seed = random::bytes(random);
    file::replace(path, &seed)?;
    Ok(seed)
}

/// A token as hexadecimal digits in a file.
struct Token {
    path: PathBuf,
    _lock: File,
}

impl TokenFile for Token {
    fn save(&mut self, token: &[u8]) -> io::Result<()> {
        file::replace(&self.path, format!("{}\n", file::hex(token)).as_bytes()).map(drop)
    }

    fn remove(&mut self) {
        remove(&self.path);
    }
}

/// A text in a file.
struct Peers(PathBuf);

impl PeersFile for Peers {
    fn load(&self) -> io::Result<String> {
        match std::fs::read(&self.0) {
            Ok(content) => Ok(String::from_utf8_lossy(&content).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error),
        }
    }

    fn save(&self, text: &str) -> io::Result<()> {
        file::replace(&self.0, text.as_bytes()).map(drop)
    }
}

fn read_token(device: &Path) -> Option<Bytes> {
    let text = std::fs::read_to_string(device.join("token")).ok()?;
    let text = text.trim();
    if text.is_empty() || text.len() > 1024 || !text.is_ascii() {
        return None;
    }
    text.as_bytes()
        .chunks(2)
        .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())
        .collect()
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "a saved token cannot be removed");
    }
}

/// The folder of a user: one for all spellings of a name.
fn folder_name(user: &str) -> String {
    let key = Name::parse(user).map_or_else(|_| user.to_owned(), |name| name.key().to_owned());
    let escaped = escape(&key);
    if escaped.len() <= FOLDER_NAME_BYTES_MAX {
        return escaped;
    }
    let hash = file::hex(&file::sha256(key.as_bytes())[..16]);
    format!("{}~{hash}", &escaped[..FOLDER_NAME_BYTES_MAX - 33])
}

/// Percent-encodes what is not a letter, a digit, `.`, `_` or `-`, and names that mean another folder.
pub(crate) fn escape(text: &str) -> String {
    if text.is_empty() {
        return "%".to_owned();
    }
    let dots = matches!(text, "." | "..");
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"_-".contains(&byte) || byte == b'.' && !dots {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::SystemRandom;

    fn disk(data: &Path) -> Disk {
        Disk::new(data, &"localhost".parse().unwrap(), Arc::new(SystemRandom::new()))
    }

    #[test]
    fn folders_are_named_safely() {
        let table = [
            ("yoda", "yoda"),
            ("a.b-c_1", "a.b-c_1"),
            (".", "%2E"),
            ("..", "%2E%2E"),
            ("a/b", "a%2Fb"),
            ("", "%"),
        ];
        for (name, folder) in table {
            assert_eq!(escape(name), folder);
        }
        assert_eq!(folder_name("Hans"), folder_name("hans"));
        let long = folder_name(&"/".repeat(200));
        assert!(long.len() <= FOLDER_NAME_BYTES_MAX && long != folder_name(&"/".repeat(201)));
    }

    #[test]
    fn a_device_keeps_its_key_and_only_one_has_it() {
        let data = tempfile::tempdir().unwrap();
        let disk = disk(data.path());
        let first = disk.open("yoda", Slot::Chat).ok().unwrap();
        let second = disk.open("Yoda", Slot::Chat).ok().unwrap();
        let other = disk.open("yoda", Slot::OneShot).ok().unwrap();
        assert!(first.seed != second.seed && first.seed != other.seed);
        let of_user = data.path().join("localhost_4000/yoda");
        for number in ["1", "2", "5"] {
            assert!(of_user.join(number).join("device.key").exists(), "{number}");
        }
        let seed = first.seed;
        drop(first);
        assert_eq!(disk.open("yoda", Slot::Chat).ok().unwrap().seed, seed);
    }

    #[test]
    fn nobody_else_may_read_any_of_it() {
        let data = tempfile::tempdir().unwrap();
        let root = data.path().join("new");
        let mut folder = disk(&root).open("yoda", Slot::Chat).ok().unwrap();
        folder.token.save(b"secret").unwrap();
        folder.peers.unwrap().save("whose key is whose").unwrap();
        let mut todo = vec![root];
        let mut files = 0;
        while let Some(path) = todo.pop() {
            let folder = path.is_dir();
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, if folder { 0o700 } else { 0o600 }, "{}", path.display());
            files += u32::from(!folder);
            if folder {
                todo.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
        assert_eq!(files, 6);
    }

    #[test]
    fn tokens_are_found_and_forgotten() {
        let data = tempfile::tempdir().unwrap();
        let disk = disk(data.path());
        assert_eq!(disk.saved_token("yoda", Slot::OneShot), None);
        let mut chat = disk.open("yoda", Slot::Chat).ok().unwrap();
        let mut one_shot = disk.open("yoda", Slot::OneShot).ok().unwrap();
        chat.token.save(b"chat").unwrap();
        assert_eq!(disk.saved_token("yoda", Slot::OneShot).unwrap(), "chat");
        one_shot.token.save(b"shot").unwrap();
        assert_eq!(disk.saved_token("yoda", Slot::Tail).unwrap(), "shot");
        disk.forget_token("yoda", b"shot");
        assert_eq!(disk.saved_token("yoda", Slot::Tail).unwrap(), "chat");
        chat.token.remove();
        assert_eq!(disk.saved_token("yoda", Slot::OneShot), None);
    }

    #[test]
    fn what_is_known_of_peers_is_kept_with_the_device() {
        let data = tempfile::tempdir().unwrap();
        let disk = disk(data.path());
        let peers = |slot| disk.open("yoda", slot).ok().unwrap().peers.unwrap();
        assert_eq!(peers(Slot::Chat).load().unwrap(), "");
        for text in ["luke 1\nleia 2\n", "luke 3\n", ""] {
            peers(Slot::Chat).save(text).unwrap();
            assert_eq!(peers(Slot::Chat).load().unwrap(), text);
        }
        peers(Slot::Chat).save("luke 1\n").unwrap();
        assert_eq!(peers(Slot::OneShot).load().unwrap(), "", "each device knows its own");
        let file = data.path().join("localhost_4000/yoda/1/peers");
        std::fs::write(&file, b"luke \xff\n").unwrap();
        assert_eq!(peers(Slot::Chat).load().unwrap(), "luke \u{fffd}\n");
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert!(peers(Slot::Chat).load().is_err() && peers(Slot::Chat).save("x").is_err());
    }

    #[test]
    fn a_damaged_key_or_token_is_no_obstacle() {
        let data = tempfile::tempdir().unwrap();
        let device = data.path().join("localhost_4000/yoda/1");
        drop(disk(data.path()).open("yoda", Slot::Chat).ok().unwrap());
        std::fs::write(device.join("device.key"), b"short").unwrap();
        for token in [&b""[..], b"xyz", b"\xff\xfe", b"+f"] {
            std::fs::write(device.join("token"), token).unwrap();
            assert!(disk(data.path()).saved_token("yoda", Slot::Chat).is_none_or(|token| token.len() == 1));
        }
        assert!(disk(data.path()).open("yoda", Slot::Chat).is_ok());
    }
}
