//! The lines of private talk.

use std::time::Duration;

use hobnob_peer::{
    network::Path,
    talk::{News, TalkError},
};

use super::{INVALID_USER, NOT_ASKED, error, one_line, paragraph};

/// What a person is told. Empty for [`News::Path`], which has to be looked up first; without a newline at its end it is
/// a question.
pub(crate) fn news(news: &News) -> String {
    match news {
        News::Started(user) => format!("Start private messaging with {}\n", one_line(user)),
        News::Question(user) => {
            format!("{} would like to private message, enter y or n: ", one_line(user))
        }
        News::Accepted(user) => format!("{} accepts private messaging\n", one_line(user)),
        News::Declined(user) => format!("{} declines private messaging\n", one_line(user)),
        News::NoAnswer(user) => format!("{} did not answer\n", one_line(user)),
        News::Expired(user) => format!("The request of {} has expired\n", one_line(user)),
        News::Message { user, text } => paragraph(&format!("{}(private): ", one_line(user)), text),
        News::Stopped(user) => format!("Stop private messaging with {}\n", one_line(user)),
        News::StoppedBy(user) => format!("{} stopped private messaging\n", one_line(user)),
        News::Ended { user, left } => ended(&one_line(user), *left),
        News::Interrupted(user) => {
            format!("Private messaging with {} is interrupted, trying again\n", one_line(user))
        }
        News::GoesOn(user) => format!("Private messaging with {} goes on\n", one_line(user)),
        News::Undelivered { user, discreet: false } => error(&format!("{user} is no longer online")),
        News::Undelivered { user, discreet: true } => error(&format!("Not delivered to {user}")),
        News::Path { .. } => String::new(),
        News::SafetyNumber { user, number, verified } => safety_number(&one_line(user), number, *verified),
        News::Verified(user) => format!("The key of {} is verified\n", one_line(user)),
        News::NewKey { user, refused } => new_key(&one_line(user), *refused),
        News::Error(error) => refused(error),
    }
}

fn ended(user: &str, left: bool) -> String {
    let why = if left { format!(": {user} logged out") } else { String::new() };
    format!("Private messaging with {user} ended{why}\n")
}

fn safety_number(user: &str, number: &str, verified: bool) -> String {
    let next = if verified {
        "It was verified before".to_owned()
    } else {
        format!("Compare it by voice. If {user} sees the same, enter: verify {user} ok")
    };
    format!("Safety number with {user}: {}\n  {next}\n", one_line(number))
}

/// Somebody may be posing as the user, so this must not be overlooked.
fn new_key(user: &str, refused: bool) -> String {
    let posing = format!("{user} uses another device, or somebody poses as {user}");
    if refused {
        format!(
            "WARNING. The key of {user} is not the one that you verified. Private messaging is refused\n  \
             {posing}\n  Compare the number of verify {user} by voice. If it is right, enter: verify {user} ok\n"
        )
    } else {
        format!(
            "WARNING. The key of {user} has changed\n  {posing}\n  \
             Compare the number of verify {user} by voice before you trust it\n"
        )
    }
}

fn refused(why: &TalkError) -> String {
    match why {
        TalkError::InvalidUser => INVALID_USER.to_owned(),
        TalkError::StartSelf => error("Cannot start private messaging with self"),
        TalkError::Blocked(user) => error(&format!("Cannot start private messaging. {user} has blocked you")),
        TalkError::Offline(user) => error(&format!("Cannot start private messaging. {user} is offline")),
        TalkError::Connected(user) => error(&format!("You have already connected with {user}")),
        TalkError::AlreadyAsked(user) => error(&format!("You have already asked {user}")),
        TalkError::TooMany => error("Too many requests for private messaging are waiting"),
        TalkError::NotAsked => NOT_ASKED.to_owned(),
        TalkError::NoConnection(user) => error(&format!("Could not connect to {user}")),
        TalkError::NotEnabled(user) => error(&format!("Private messaging to {user} not enabled")),
        TalkError::PrivateSelf => error("Cannot send private message to self"),
        TalkError::NoSession(user) => error(&format!("No private messaging session with {user}")),
        TalkError::NoRequest => error("No request to answer"),
        TalkError::NoKey(user) => error(&format!("No key of {user} is known yet")),
    }
}

/// The network cannot be opened.
pub(crate) fn no_network(why: &str) -> String {
    error(&format!("Private messaging is not possible here: {why}"))
}

/// The server's relay refuses, or cannot be reached.
pub(crate) fn no_relay(why: &str) -> String {
    error(&format!("Private messages may not get through: {why}"))
}

/// The file of keys cannot be read.
pub(crate) fn keys_unreadable(why: &str) -> String {
    error(&format!("The keys of others that are known here cannot be read, so none is recognized: {why}"))
}

/// The file of keys cannot be written.
pub(crate) fn keys_unsaved(why: &str) -> String {
    error(&format!("The keys of others cannot be kept: {why}"))
}

/// How a private talk runs; `None`: not at all, for now.
pub(crate) fn path(path: Option<&Path>) -> String {
    let Some(path) = path else { return "interrupted, trying again\n".to_owned() };
    let way = match (&path.direct, &path.relay) {
        (Some(address), _) => format!("direct {address}"),
        (None, Some(host)) => format!("relayed via {}", one_line(host)),
        (None, None) => "relayed".to_owned(),
    };
    let (sent, received) = path.bytes;
    let round_trip = milliseconds(path.round_trip);
    format!("{way}, {round_trip}, {} sent, {} received\n", size(sent), size(received))
}

/// As precise as it matters.
fn milliseconds(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms < 9.95 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Enough digits for what is shown of it.
    let mut shown = bytes as f64 / 1024.0;
    let mut unit = 0;
    while shown >= 1023.95 && unit + 1 < UNITS.len() {
        shown /= 1024.0;
        unit += 1;
    }
    format!("{shown:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests;
