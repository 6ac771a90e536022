//! `hobnob get`: downloads, without coming online.

mod fetching;

use std::{collections::BTreeSet, io};

use hobnob_client::{Answer, Command};
use hobnob_peer::files::{Content, Entry};
use hobnob_protocol::v1;
use serde_json::json;

use self::fetching::Fetching;
use super::{
    Caller, Session, Stop, json,
    peers::{self, Peers},
    say, stopped,
};
use crate::{chat::text, config::OneShotSettings, files::Begin, signals::Signals};

/// The exit code after a signal, as a shell has it after Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Downloads; the result is the exit code: 0 if everything is complete.
///
/// # Errors
/// Signals cannot be caught, or the folders not be used.
pub(crate) async fn get(settings: OneShotSettings, names: Vec<String>) -> anyhow::Result<u8> {
    let signals = Signals::listen()?;
    let json = settings.json;
    let begun = tokio::select! {
        biased;
        () = signals.first().cancelled() => return Ok(INTERRUPTED),
        begun = begin(settings, names, &signals) => begun,
    };
    let (mut peers, wanted, failed) = match begun {
        Ok(begun) => begun,
        Err(stop) => return stopped(stop),
    };
    let mut fetching = Fetching::new(json, failed);
    let fetched = fetching.run(&mut peers, wanted, &signals).await;
    peers.close().await;
    match fetched {
        Ok(code) => Ok(code),
        // What came is kept.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(1),
        Err(error) => Err(error.into()),
    }
}

/// What is to be downloaded, and whether something cannot be.
async fn begin(
    settings: OneShotSettings,
    names: Vec<String>,
    signals: &Signals,
) -> Result<(Peers, Vec<Entry>, bool), Stop> {
    let OneShotSettings { json, relay_only, ref downloads, .. } = settings;
    // What is kept of them has to make sense wherever the next command begins.
    let downloads = std::path::absolute(downloads).unwrap_or_else(|_| downloads.clone());
    let mut session = Caller::new(settings)?.log_in_quietly(signals).await?;
    let (wanted, failed) = find(&mut session, names, json).await?;
    if wanted.is_empty() {
        session.close().await;
        return Err(Stop::Exit(1));
    }
    let begin = Begin { downloads, relay_only, holds: false, comes_back: false, blocked: Vec::new() };
    Ok((Peers::begin(session, begin).await?, wanted, failed))
}

/// Asks the server for each name; what is meant, each once, and whether some name means nothing.
async fn find(session: &mut Session, names: Vec<String>, json: bool) -> Result<(Vec<Entry>, bool), Stop> {
    let (mut wanted, mut contents, mut failed) = (Vec::new(), BTreeSet::new(), false);
    for name in names {
        let answer = peers::answer(session, Command::FindFile(name.clone())).await?;
        match meant(&name, answer) {
            Ok(entry) => {
                if contents.insert(entry.content) {
                    wanted.push(entry);
                }
            }
            Err(words) => {
                failed = true;
                say(&if json { failed_line(&name, &words, false) } else { words })?;
            }
        }
    }
    Ok((wanted, failed))
}

/// Which file is meant; otherwise, what a person is told.
fn meant(name: &str, answer: Answer) -> Result<Entry, String> {
    let files = match answer {
        Answer::Files(v1::Files { files, .. }) => files,
        Answer::Refused { text, .. } => return Err(text::error(&text)),
        _ => return Err(text::error(peers::LOST)),
    };
    let content = |entry: &v1::FileEntry| entry.content.as_ref().and_then(Content::of_wire);
    let contents: BTreeSet<_> = files.iter().filter_map(content).collect();
    if contents.len() > 1 {
        return Err(text::files::ambiguous(name, &files));
    }
    let entry = files.into_iter().find_map(|entry| Some((content(&entry)?, entry)));
    let (content, entry) = entry.ok_or_else(|| text::files::no_one_shares(name))?;
    Ok(Entry { content, name: entry.name, folder: entry.folder, sources: None })
}

/// Words for a person in an object.
fn failed_line(name: &str, words: &str, resumable: bool) -> String {
    let why = words.trim_end().trim_start_matches("Error. ");
    json::line(&json!({ "type": "failed", "name": name, "why": why, "resumable": resumable }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, id: u8, folder: Option<v1::Folder>) -> v1::FileEntry {
        let content = v1::Content { id: vec![id; 32].into(), size: 5 };
        v1::FileEntry { content: Some(content), name: name.to_owned(), sources: 1, folder }
    }

    fn meant_of(files: Vec<v1::FileEntry>) -> Result<String, String> {
        meant("x", Answer::Files(v1::Files { files, more: false })).map(|entry| entry.name)
    }

    #[test]
    fn one_content_is_meant_whatever_it_is_called() {
        assert_eq!(meant_of(Vec::new()), Err("Error. No one shares x\n".to_owned()));
        assert_eq!(meant_of(vec![entry("a", 1, None), entry("b", 1, None)]), Ok("a".to_owned()));
        assert_eq!(
            meant_of(vec![entry("x", 1, None), entry("x", 2, Some(v1::Folder { bytes: 2048, files: 3 }))]),
            Err("Error. x is ambiguous:\n\
                 \x20 010101010101  5 bytes  x\n\
                 \x20 020202020202  2.0 KiB  x\n"
                .to_owned())
        );
        let damaged = v1::FileEntry { content: None, ..entry("x", 1, None) };
        assert!(meant_of(vec![damaged]).is_err());
        assert_eq!(meant("x", Answer::Lost).map(|_| ()), Err(text::error(peers::LOST)));
    }
}
