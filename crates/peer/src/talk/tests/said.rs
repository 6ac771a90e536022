//! News as a person reads it.

use super::super::{News, TalkError};

/// As a person reads it.
pub(super) fn said(news: &News) -> String {
    match news {
        News::Started(user) => format!("Start private messaging with {user}"),
        News::Question(user) => format!("{user} would like to private message, enter y or n: "),
        News::Accepted(user) => format!("{user} accepts private messaging"),
        News::Declined(user) => format!("{user} declines private messaging"),
        News::NoAnswer(user) => format!("{user} did not answer"),
        News::Expired(user) => format!("The request of {user} has expired"),
        News::Message { user, text } => format!("{user}(private): {text}"),
        News::Stopped(user) => format!("Stop private messaging with {user}"),
        News::StoppedBy(user) => format!("{user} stopped private messaging"),
        News::Ended { user, left: true } => format!("Private messaging with {user} ended: {user} logged out"),
        News::Ended { user, left: false } => format!("Private messaging with {user} ended"),
        News::Interrupted(user) => format!("Private messaging with {user} is interrupted, trying again"),
        News::GoesOn(user) => format!("{user} goes on"),
        News::Undelivered { user, discreet: false } => format!("Error. {user} is no longer online"),
        News::Undelivered { user, discreet: true } => format!("Error. Not delivered to {user}"),
        News::Path { user, link } => format!("path {user} {link:?}"),
        News::SafetyNumber { user, number, verified } => format!("{user} {number} {verified}"),
        News::Verified(user) => format!("{user} is verified"),
        News::NewKey { user, refused } => format!("{user} has a new key, refused: {refused}"),
        News::Error(error) => error_said(error),
    }
}

fn error_said(error: &TalkError) -> String {
    match error {
        TalkError::InvalidUser => "Error. Invalid user".to_owned(),
        TalkError::StartSelf => "Error. Cannot start private messaging with self".to_owned(),
        TalkError::Blocked(user) => format!("Error. Cannot start private messaging. {user} has blocked you"),
        TalkError::Offline(user) => format!("Error. Cannot start private messaging. {user} is offline"),
        TalkError::Connected(user) => format!("Error. You have already connected with {user}"),
        TalkError::NoConnection(user) => format!("Error. Could not connect to {user}"),
        TalkError::NotEnabled(user) => format!("Error. Private messaging to {user} not enabled"),
        TalkError::PrivateSelf => "Error. Cannot send private message to self".to_owned(),
        TalkError::NoSession(user) => format!("Error. No private messaging session with {user}"),
        TalkError::NoRequest => "Error. No request to answer".to_owned(),
        other => format!("{other:?}"),
    }
}
