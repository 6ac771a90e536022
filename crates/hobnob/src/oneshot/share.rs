//! `hobnob share`: online, and offering what was named.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
};

use hobnob_client::{Answer, Command, End, Event, Slot};
use hobnob_peer::files::{Ended, Event as FilesEvent};
use serde_json::json;

use super::{
    Session, Stop,
    bar::Bar,
    come_online, json,
    peers::{self, Happened, Peers},
    say, stopped,
    tail::{self, tell},
};
use crate::{chat::text, config::OneShotSettings, files::Begin, progress, signals::Signals};

/// Shares until a signal or the end of the session; the result is the exit code.
///
/// # Errors
/// Signals cannot be caught.
pub(crate) async fn share(settings: OneShotSettings, paths: Vec<PathBuf>) -> anyhow::Result<u8> {
    let signals = Signals::listen()?;
    let (json, relay_only) = (settings.json, settings.relay_only);
    let begun = tokio::select! {
        biased;
        () = signals.first().cancelled() => return Ok(0),
        begun = begin(settings, relay_only, &signals) => begun,
    };
    let (mut peers, damaged) = match begun {
        Ok(begun) => begun,
        Err(stop) => return stopped(stop),
    };
    let mut offering = Offering { paths: paths.into(), named: 0, failed: 0, json, bar: Bar::new(json) };
    offering.named = offering.paths.len();
    let ended = match if damaged { tell(text::OUTBOX_DAMAGED, json) } else { Ok(()) } {
        Ok(()) => offering.go_on(&mut peers, &signals).await,
        Err(error) => Err(error),
    };
    peers.close().await;
    match ended {
        Ok(code) => Ok(code),
        // Nobody reads any more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        Err(error) => Err(error.into()),
    }
}

async fn begin(
    settings: OneShotSettings,
    relay_only: bool,
    signals: &Signals,
) -> Result<(Peers, bool), Stop> {
    let mut session = come_online(settings, Slot::Share, signals).await?;
    let damaged = session.welcome.damaged;
    let blocked = match peers::answer(&mut session, Command::Blocks).await? {
        Answer::Names(blocked) => blocked,
        Answer::Refused { text, .. } => return refuse(session, &text::error(&text)).await,
        _ => return refuse(session, &text::error(peers::LOST)).await,
    };
    let begin = Begin { downloads: PathBuf::from("."), relay_only, holds: true, comes_back: false, blocked };
    Ok((Peers::begin(session, begin).await?, damaged))
}

async fn refuse<T>(session: Session, words: &str) -> Result<T, Stop> {
    let said = say(words);
    session.close().await;
    said?;
    Err(Stop::Exit(1))
}

/// What is offered, or is to be.
struct Offering {
    /// Those whose turn has not come.
    paths: VecDeque<PathBuf>,
    named: usize,
    failed: usize,
    json: bool,
    bar: Bar,
}

impl Offering {
    async fn go_on(&mut self, peers: &mut Peers, signals: &Signals) -> io::Result<u8> {
        let mut leaving = false;
        let mut code = 0;
        loop {
            while let Some(path) = self.paths.front() {
                if peers.files.share(path).is_err() {
                    // When there is place again.
                    break;
                }
                self.paths.pop_front();
            }
            let happened = tokio::select! {
                biased;
                () = signals.first().cancelled(), if !leaving => {
                    leaving = true;
                    peers.client().logout().await;
                    continue;
                }
                happened = peers.next() => happened?,
            };
            match happened {
                Happened::Files(_) if leaving => {}
                Happened::Files(event) => {
                    self.files(event)?;
                    if self.failed == self.named {
                        (leaving, code) = (true, 1);
                        peers.client().logout().await;
                    }
                }
                Happened::Session(Event::Ended(End::LoggedOut { .. })) => return Ok(code),
                Happened::Session(Event::Ended(end)) => {
                    let (words, code) = text::end(&end);
                    self.bar.clear();
                    tell(&words, self.json)?;
                    return Ok(code);
                }
                // Who comes and goes is not what this is about; what is said to the user is, as nobody else shows it.
                Happened::Session(Event::Presence { .. }) => {}
                Happened::Session(event) => {
                    self.say(&if self.json { tail::json_line(&event) } else { tail::plain_line(&event) })?;
                    if let Event::Message(message) = event {
                        peers.client().shown(message.stream, message.seq);
                    }
                }
            }
        }
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        if line.is_empty() {
            return Ok(());
        }
        self.bar.clear();
        say(line)
    }

    fn files(&mut self, event: FilesEvent) -> io::Result<()> {
        if let FilesEvent::Reading { path, done, size } = &event {
            self.bar.draw(|columns| progress::reading(&name(path), *done, *size, columns));
            return Ok(());
        }
        self.failed += usize::from(matches!(event, FilesEvent::ShareFailed { .. }));
        self.say(&if self.json { json_line(&event) } else { text::files::event(&event) })
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn json_line(event: &FilesEvent) -> String {
    let object = match event {
        FilesEvent::Sharing { name, size, chunks, id, .. } => {
            json!({ "type": "sharing", "name": name, "size": size, "chunks": chunks, "id": format!("{id:#}") })
        }
        FilesEvent::ShareFailed { path, why } => {
            json!({ "type": "failed", "path": path.to_string_lossy(), "why": why })
        }
        FilesEvent::ShareEnded { name, id, why } => {
            let why = match why {
                Ended::Changed => "changed",
                Ended::Gone => "gone",
            };
            json!({ "type": "ended", "name": name, "id": format!("{id:#}"), "why": why })
        }
        _ => return String::new(),
    };
    json::line(&object)
}
