//! `hobnob files`: what others offer.

use hobnob_client::{Answer, Command};
use hobnob_peer::files::Content;
use hobnob_protocol::v1;
use serde_json::json;

use super::{Caller, Stop, json, peers, say, stopped};
use crate::{chat::text, config::OneShotSettings, signals::Signals};

/// Lists; the result is the exit code.
///
/// # Errors
/// Signals cannot be caught.
pub(crate) async fn files(settings: OneShotSettings, pattern: String) -> anyhow::Result<u8> {
    let signals = Signals::listen()?;
    let listed = tokio::select! {
        biased;
        () = signals.first().cancelled() => Ok(1),
        listed = list(settings, pattern, &signals) => listed,
    };
    listed.or_else(stopped)
}

async fn list(settings: OneShotSettings, pattern: String, signals: &Signals) -> Result<u8, Stop> {
    let json = settings.json;
    let mut session = Caller::new(settings)?.log_in_quietly(signals).await?;
    let answer = peers::answer(&mut session, Command::ListFiles(pattern)).await?;
    let (shown, code) = match &answer {
        Answer::Files(files) if json => (files.files.iter().map(json_line).collect(), 0),
        Answer::Files(files) => (text::files::list(&files.files, files.more), 0),
        Answer::Refused { text, .. } => (text::error(text), 1),
        _ => (text::error(peers::LOST), 1),
    };
    let said = say(&shown);
    session.close().await;
    said?;
    Ok(code)
}

fn json_line(entry: &v1::FileEntry) -> String {
    let content = entry.content.as_ref().and_then(Content::of_wire);
    let id = content.map(|content| format!("{:#}", content.id));
    let bytes = entry.folder.map_or(content.map_or(0, |content| content.size), |folder| folder.bytes);
    let files = entry.folder.map(|folder| folder.files);
    let (name, sources) = (&entry.name, entry.sources);
    json::line(&json!({
        "type": "file", "id": id, "name": name, "size": bytes, "sources": sources, "files": files
    }))
}
