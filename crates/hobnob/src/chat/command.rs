//! The commands a person types: one table, and how a line is read by it.

use hobnob_protocol::{limits::NAME_CHARS_MAX, text::TextError};

use super::text;

/// Something a person wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// `message <user> <message>`
    Message { to: String, text: String },
    /// `broadcast <message>`
    Broadcast { text: String },
    /// `whoelse`
    WhoElse,
    /// `whoelsesince <seconds>`; the digits as typed, which the answer repeats.
    WhoElseSince { seconds: u64, typed: String },
    /// `block <user>`
    Block(String),
    /// `unblock <user>`
    Unblock(String),
    /// `blocks`
    Blocks,
    /// `startprivate <user>`
    StartPrivate(String),
    /// `y`, `n`, `accept <user>`, `decline <user>`
    Answer { user: Option<String>, accept: bool },
    /// `private <user> <message>`
    Private { to: String, text: String },
    /// `stopprivate <user>`
    StopPrivate(String),
    /// `verify <user>`, `verify <user> ok`
    Verify { user: String, confirm: bool },
    /// `path <user>`
    Path(String),
    /// `share <path>`
    Share(String),
    /// `unshare <name or id>`
    Unshare(String),
    /// `shares`
    Shares,
    /// `files`, `files <pattern>`
    ListFiles(String),
    /// `searchFile <name>`
    SearchFile(String),
    /// `searchChunk <name> <chunk>…`
    SearchChunk { name: String, chunks: Vec<u32> },
    /// `download <name or id>`
    Download(String),
    /// `downloads`
    Downloads,
    /// `cancel <name>`
    Cancel(String),
    /// `passwd`
    Passwd,
    /// `help`, `help <command>`
    Help(Option<&'static Entry>),
    /// `logout`
    Logout,
}

/// Why a line is no command. None of these is activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// No such word.
    Unknown,
    /// The word, but not what follows it.
    Usage(&'static Entry),
    /// What nobody can be named, so that the server need not be asked.
    Name,
    /// A text that the server would refuse.
    Text(TextError),
}

/// One command.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The word it is known by.
    pub(crate) name: &'static str,
    /// Other words for it.
    pub(crate) aliases: &'static [&'static str],
    /// How it is typed.
    pub(crate) usage: &'static str,
    /// What it does, one line.
    pub(crate) help: &'static str,
    read: fn(&str) -> Result<Typed, Flaw>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Entry {}

/// What is wrong with the rest of a line; [`Wrong`] once it is known which command it was.
enum Flaw {
    Usage,
    Unknown,
    Name,
    Text(TextError),
}

/// All of them, in the order in which `help` lists them.
pub(crate) const TABLE: &[Entry] = &[
    entry(
        "message",
        "message <user> <message>",
        "send a message, now or at the next login of <user>",
        message,
    ),
    entry("broadcast", "broadcast <message>", "send a message to everyone who is online", broadcast),
    entry("whoelse", "whoelse", "list who else is online", |rest| nothing(rest, Typed::WhoElse)),
    entry(
        "whoelsesince",
        "whoelsesince <seconds>",
        "list who else was online within the last <seconds>",
        since,
    ),
    entry("block", "block <user>", "receive nothing from <user>, and be hidden from them", |rest| {
        name(rest).map(Typed::Block)
    }),
    entry("unblock", "unblock <user>", "end a block", |rest| name(rest).map(Typed::Unblock)),
    entry("blocks", "blocks", "list whom you block", |rest| nothing(rest, Typed::Blocks)),
    entry("startprivate", "startprivate <user>", "ask <user> for private messaging", |rest| {
        name(rest).map(Typed::StartPrivate)
    }),
    entry("y", "y", "agree to private messaging with who asks", |rest| answer(rest, true)),
    entry("n", "n", "decline it", |rest| answer(rest, false)),
    entry("accept", "accept <user>", "agree to private messaging with <user>, who has asked", |rest| {
        answer_to(rest, true)
    }),
    entry("decline", "decline <user>", "decline it", |rest| answer_to(rest, false)),
    entry(
        "private",
        "private <user> <message>",
        "send a message straight to the device of <user>, for nobody else to read",
        private,
    ),
    entry(
        "stopprivate",
        "stopprivate <user>",
        "end private messaging with <user>, or take back the request",
        |rest| name(rest).map(Typed::StopPrivate),
    ),
    entry(
        "verify",
        "verify <user> [ok]",
        "show the safety number of <user>, or remember that it is right",
        verify,
    ),
    entry("path", "path <user>", "show how private messaging with <user> is connected", |rest| {
        name(rest).map(Typed::Path)
    }),
    also(
        &["register"],
        entry("share", "share <path>", "offer a file or a folder to everyone who may see you", |rest| {
            all(rest).map(Typed::Share)
        }),
    ),
    entry("unshare", "unshare <name or id>", "offer it no more", |rest| all(rest).map(Typed::Unshare)),
    entry("shares", "shares", "list what you offer", |rest| nothing(rest, Typed::Shares)),
    entry("files", "files [<pattern>]", "list what others offer; * and ? stand for anything", |rest| {
        Ok(Typed::ListFiles(rest.to_owned()))
    }),
    entry("searchFile", "searchFile <name>", "list who has any of a file", |rest| {
        all(rest).map(Typed::SearchFile)
    }),
    entry(
        "searchChunk",
        "searchChunk <name> <chunk>…",
        "list who has one of these chunks of a file",
        search_chunk,
    ),
    also(
        &["p2pDownload", "get"],
        entry("download", "download <name or id>", "fetch a file or a folder from all who have it", |rest| {
            all(rest).map(Typed::Download)
        }),
    ),
    entry("downloads", "downloads", "list what is being downloaded", |rest| nothing(rest, Typed::Downloads)),
    entry("cancel", "cancel <name>", "stop a download and keep what came", |rest| {
        all(rest).map(Typed::Cancel)
    }),
    entry("passwd", "passwd", "change your password; your other sessions end", |rest| {
        nothing(rest, Typed::Passwd)
    }),
    entry("help", "help [<command>]", "list the commands, or explain one", help),
    entry("logout", "logout", "leave", |rest| nothing(rest, Typed::Logout)),
];

const fn entry(
    name: &'static str,
    usage: &'static str,
    help: &'static str,
    read: fn(&str) -> Result<Typed, Flaw>,
) -> Entry {
    Entry { name, aliases: &[], usage, help, read }
}

/// The same with other words for it.
const fn also(aliases: &'static [&'static str], entry: Entry) -> Entry {
    Entry { aliases, ..entry }
}

/// Reads a line; `None`: it is empty.
pub(crate) fn read(line: &str) -> Option<Result<Typed, Wrong>> {
    let (word, rest) = split_word(line);
    if word.is_empty() {
        return None;
    }
    let Some(entry) = find(word) else { return Some(Err(Wrong::Unknown)) };
    Some((entry.read)(rest).map_err(|flaw| match flaw {
        Flaw::Usage => Wrong::Usage(entry),
        Flaw::Unknown => Wrong::Unknown,
        Flaw::Name => Wrong::Name,
        Flaw::Text(error) => Wrong::Text(error),
    }))
}

/// The command of this word, which may have a slash before it.
fn find(word: &str) -> Option<&'static Entry> {
    let word = word.strip_prefix('/').unwrap_or(word);
    TABLE.iter().find(|entry| entry.name == word || entry.aliases.contains(&word))
}

/// The first word, and what follows it without white space at its ends.
fn split_word(line: &str) -> (&str, &str) {
    let line = line.trim();
    match line.find(char::is_whitespace) {
        Some(end) => (&line[..end], line[end..].trim_start()),
        None => (line, ""),
    }
}

fn message(rest: &str) -> Result<Typed, Flaw> {
    let (to, text) = split_word(rest);
    let text = worded(text)?;
    Ok(Typed::Message { to: name(to)?, text })
}

fn private(rest: &str) -> Result<Typed, Flaw> {
    let (to, text) = split_word(rest);
    let text = worded(text)?;
    Ok(Typed::Private { to: name(to)?, text })
}

fn answer(rest: &str, accept: bool) -> Result<Typed, Flaw> {
    nothing(rest, Typed::Answer { user: None, accept })
}

fn answer_to(rest: &str, accept: bool) -> Result<Typed, Flaw> {
    Ok(Typed::Answer { user: Some(name(rest)?), accept })
}

fn verify(rest: &str) -> Result<Typed, Flaw> {
    match split_word(rest) {
        (user, "") => Ok(Typed::Verify { user: name(user)?, confirm: false }),
        (user, "ok") => Ok(Typed::Verify { user: name(user)?, confirm: true }),
        _ => Err(Flaw::Usage),
    }
}

fn broadcast(rest: &str) -> Result<Typed, Flaw> {
    Ok(Typed::Broadcast { text: worded(rest)? })
}

fn since(rest: &str) -> Result<Typed, Flaw> {
    let typed = one_word(rest)?;
    if !typed.bytes().all(|byte| byte.is_ascii_digit()) || typed.len() > 100 {
        return Err(Flaw::Usage);
    }
    // More seconds than fit are as good as all there ever were.
    Ok(Typed::WhoElseSince { seconds: typed.parse().unwrap_or(u64::MAX), typed: typed.to_owned() })
}

fn help(rest: &str) -> Result<Typed, Flaw> {
    if rest.is_empty() {
        return Ok(Typed::Help(None));
    }
    find(one_word(rest)?).map(|entry| Typed::Help(Some(entry))).ok_or(Flaw::Unknown)
}

fn nothing(rest: &str, typed: Typed) -> Result<Typed, Flaw> {
    if rest.is_empty() { Ok(typed) } else { Err(Flaw::Usage) }
}

fn one_word(rest: &str) -> Result<&str, Flaw> {
    match split_word(rest) {
        (word, "") if !word.is_empty() => Ok(word),
        _ => Err(Flaw::Usage),
    }
}

/// A path or a file's name: all that follows.
fn all(rest: &str) -> Result<String, Flaw> {
    if rest.is_empty() { Err(Flaw::Usage) } else { Ok(rest.to_owned()) }
}

/// A file's name may have spaces in it, and end in numbers: it has at least the first word, and the chunks are all the
/// numbers at the end of the rest.
fn search_chunk(rest: &str) -> Result<Typed, Flaw> {
    let (mut name, mut chunks) = (rest, Vec::new());
    while let Some((before, last)) = name.rsplit_once(char::is_whitespace) {
        if last.is_empty() || !last.bytes().all(|byte| byte.is_ascii_digit()) {
            break;
        }
        // No file has so many chunks that the number does not fit.
        chunks.push(last.parse().unwrap_or(u32::MAX));
        name = before.trim_end();
    }
    if name.is_empty() || chunks.is_empty() {
        return Err(Flaw::Usage);
    }
    chunks.reverse();
    Ok(Typed::SearchChunk { name: name.to_owned(), chunks })
}

/// A name as typed. Whether it is anybody's is for the server to say; what cannot fit in a frame is not sent.
fn name(rest: &str) -> Result<String, Flaw> {
    let word = one_word(rest)?;
    if word.len() > NAME_CHARS_MAX * 16 { Err(Flaw::Name) } else { Ok(word.to_owned()) }
}

/// A text that the server takes.
fn worded(rest: &str) -> Result<String, Flaw> {
    if rest.is_empty() {
        return Err(Flaw::Usage);
    }
    hobnob_protocol::text::check(rest).map_err(Flaw::Text)?;
    Ok(rest.to_owned())
}

/// What `help` prints.
pub(crate) fn help_text(entry: Option<&Entry>) -> String {
    let Some(entry) = entry else {
        let width = TABLE.iter().map(|entry| entry.usage.chars().count()).max().unwrap_or(0);
        return TABLE.iter().map(|entry| format!("{:width$}  {}\n", entry.usage, entry.help)).collect();
    };
    let mut help = format!("{}: {}\n", entry.usage, entry.help);
    if !entry.aliases.is_empty() {
        help += &format!("The same: {}\n", entry.aliases.join(", "));
    }
    help
}

impl Wrong {
    /// What is printed.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Unknown => text::INVALID_COMMAND.to_owned(),
            Self::Usage(entry) => text::usage(entry.usage),
            Self::Name => text::INVALID_USER.to_owned(),
            Self::Text(error) => text::error(&error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
