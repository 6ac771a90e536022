//! A folder as a file: a line for each file in it, with its id, its size and its path, in the order of the paths. The id
//! of this text is the id of the folder.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::event::Content;
use super::limits::OFFERS_MAX;
use crate::file::name;
use crate::file::{ContentId, Shape};

/// The first line.
const HEADER: &str = "hobnob folder 1";

/// A file of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Below the folder, its parts separated by `/`.
    pub(super) path: String,
    pub(super) content: Content,
}

/// The text of a folder.
pub(super) fn write(files: &[Listed]) -> String {
    let mut text = format!("{HEADER}\n");
    for Listed { path, content } in files {
        let _ = writeln!(text, "{:#} {} {}", content.id, content.size, escaped(path));
    }
    text
}

/// Reads what [`write`] wrote, or somebody else did: the files, and harmless paths for them below a folder here.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<(PathBuf, Content)>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the folder's list is no text")?;
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return Err("this is no list of a folder".to_owned());
    }
    let mut files = Vec::new();
    for line in lines {
        if files.len() == OFFERS_MAX {
            return Err("the folder has too many files".to_owned());
        }
        files.push(read_line(line).ok_or("the folder's list is damaged")?);
    }
    let paths =
        name::paths(files.iter().map(|file| file.path.as_str())).map_err(|error| error.to_string())?;
    Ok(paths.into_iter().zip(files).map(|(path, file)| (path, file.content)).collect())
}

fn read_line(line: &str) -> Option<Listed> {
    let mut parts = line.splitn(3, ' ');
    let id: ContentId = parts.next()?.parse().ok()?;
    let size: u64 = parts.next()?.parse().ok()?;
    Shape::of(size).ok()?;
    Some(Listed { path: unescaped(parts.next()?)?, content: Content { id, size } })
}

/// No line ends but where a line shall end.
fn escaped(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '%' | '\0'..='\x1f' | '\x7f' => drop(write!(escaped, "%{:02x}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

fn unescaped(path: &str) -> Option<String> {
    let mut parts = path.split('%');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let byte = u8::from_str_radix(part.get(..2)?, 16).ok().filter(u8::is_ascii)?;
        plain.push(char::from(byte));
        plain.push_str(&part[2..]);
    }
    Some(plain)
}

/// By these files a folder is known in which hobnob keeps keys: a client's device, and a server.
const KEYS: [&str; 2] = ["device.key", "ticket-key"];

/// Hobnob keeps keys in this folder, which nobody wants to give away by sharing what is above it.
fn has_keys(folder: &Path) -> bool {
    KEYS.iter().any(|key| folder.join(key).is_file())
}

/// The same of this file or folder, or of one that it is in.
pub(super) fn is_among_keys(path: &Path) -> bool {
    path.ancestors().any(has_keys)
}

/// The regular files below a folder, with their paths as a listing has them, in order. Links are not followed, and what
/// is neither a file nor a folder is passed over, as are folders in which hobnob keeps keys. Blocks.
pub(super) fn walk(root: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    let mut found = Vec::new();
    let mut folders = vec![(String::new(), root.to_owned())];
    while let Some((below, folder)) = folders.pop() {
        let entries = folder.read_dir().map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries {
            let entry = entry.map_err(|error| format!("{}: {error}", folder.display()))?;
            let kind = entry.file_type().map_err(|error| format!("{}: {error}", folder.display()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            if kind.is_dir() {
                if !has_keys(&entry.path()) {
                    folders.push((path, entry.path()));
                }
            } else if kind.is_file() {
                found.push((path, entry.path()));
            }
            if found.len() + folders.len() > OFFERS_MAX {
                return Err(format!("there are more than {OFFERS_MAX} files in it"));
            }
        }
    }
    found.sort();
    name::paths(found.iter().map(|(path, _)| path.as_str())).map_err(|error| error.to_string())?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(path: &str) -> Listed {
        Listed { path: path.to_owned(), content: Content { id: ContentId::of(path.as_bytes()), size: 7 } }
    }

    fn paths(names: &[&str]) -> Result<Vec<PathBuf>, String> {
        let files: Vec<_> = names.iter().map(|name| listed(name)).collect();
        Ok(read(write(&files).as_bytes())?.into_iter().map(|(path, _)| path).collect())
    }

    #[test]
    fn a_folder_is_read_as_it_was_written() {
        let names = ["a", "b c/d%e", "b c/Ünï", "z/y/x.tar.gz"];
        assert_eq!(paths(&names).unwrap(), names.map(PathBuf::from));
        assert_eq!(paths(&["a\nb"]).unwrap(), [PathBuf::from("a^Jb")]);
        assert_eq!(paths(&[]).unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn keys_are_not_shared_with_what_is_around_them() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["client/host/hans/1/files", "server/backup", "other"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let keys = ["client/host/hans/1/device.key", "server/ticket-key"];
        let beside = ["client/host/hans/1/token", "client/host/hans/1/files/a", "server/backup/b"];
        for file in keys.iter().chain(&beside).chain(&["other/c", "d"]) {
            std::fs::write(root.path().join(file), file).unwrap();
        }
        let found: Vec<_> = walk(root.path()).unwrap().into_iter().map(|(path, _)| path).collect();
        assert_eq!(found, ["d", "other/c"]);
        for path in keys.iter().chain(&beside) {
            assert!(is_among_keys(&root.path().join(path)), "{path}");
        }
        assert!(is_among_keys(&root.path().join("server")));
        assert!(!is_among_keys(&root.path().join("other/c")) && !is_among_keys(root.path()));
    }

    #[test]
    fn no_path_leads_out_and_nonsense_is_refused() {
        for names in [["../a"], ["/etc/passwd"], ["a/../../b"], [""], ["a//b"]] {
            assert!(paths(&names).is_err(), "{names:?}");
        }
        assert_eq!(paths(&[".ssh/id"]).unwrap(), [PathBuf::from("_ssh/id")]);
        for bytes in [
            &b""[..],
            b"hobnob folder 2\n",
            b"\xff",
            b"hobnob folder 1\nx 1 a",
            b"hobnob folder 1\naf1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262 x a",
            b"hobnob folder 1\naf1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262 1",
            b"hobnob folder 1\naf1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262 1 %",
            b"hobnob folder 1\naf1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262 1 %ff",
            b"hobnob folder 1\naf1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262 1 %\xc3\xa9",
            b"hobnob folder 1\naf1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262 99999999999999999999 a",
        ] {
            assert!(read(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
        let many: String = (0..=OFFERS_MAX).map(|n| format!("{:#} 1 {n}\n", ContentId::of(b""))).collect();
        assert!(read(format!("{HEADER}\n{many}").as_bytes()).is_err());
    }
}
