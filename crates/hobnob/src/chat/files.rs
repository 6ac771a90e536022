//! Files in line mode: what goes between the session and [`hobnob_peer::files`]. Pure. Files are begun when somebody
//! first needs them, or at the login when there is something to offer; before that, the server is asked who is
//! blocked, so that nothing is ever given to them.

mod progress;

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use hobnob_client::event::{Answer, Command};
use hobnob_peer::files::{Content, Entry, Event, Reply, Request, RequestId};
use hobnob_protocol::v1::{self, submitted::Outcome};

use super::{
    line::{Effect, Session, print},
    text,
};
use crate::files::reply;
use progress::Board;

/// Wishes that wait for the beginning. More are not typed in the time that an answer takes.
const WAITING_MAX: usize = 256;

/// Something to do with files.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wish {
    /// Offer what is at this path.
    Share(PathBuf),
    /// Offer it no more.
    Unshare(String),
    /// Say what is offered.
    Shares,
    /// Fetch it.
    Download(Entry),
    /// Stop fetching it.
    Cancel(String),
    /// Say what is being fetched.
    Downloads,
    /// Give this user nothing.
    Block(String),
    /// This one again.
    Unblock(String),
    /// The server's answer.
    Answered(RequestId, Reply),
    /// The server is to be told of everything again.
    Announce,
}

/// What an answer of the server is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Who is blocked: with that, files begin.
    Blocked,
    /// What others offer.
    List,
    /// Who has a file.
    Holders,
    /// What is to be downloaded, as it was typed.
    Find(String),
    /// It was answered without the server, or is not wanted any more.
    Nothing,
}

/// What is known of files when a session begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// What `~` stands for in a path.
    pub(crate) home: Option<PathBuf>,
    /// Something is to be offered from the beginning.
    pub(crate) offers: bool,
    /// Progress has a row of its own on the screen.
    pub(crate) row: bool,
}

/// How far the beginning is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nobody has needed files.
    Idle,
    /// The server was asked who is blocked.
    Asking,
    /// They have begun.
    Begun,
}

/// The files of a session.
pub(super) struct Files {
    place: Place,
    phase: Phase,
    waiting: Vec<Wish>,
    /// What the server was told to forget and has not said that it did. Bounded by what the client takes.
    releases: BTreeSet<RequestId>,
    /// What to say when it has.
    released: String,
    board: Board,
}

impl Files {
    pub(super) fn new(place: Place) -> Self {
        let board = Board::new(place.row);
        let (waiting, releases, released) = (Vec::new(), BTreeSet::new(), String::new());
        Self { place, phase: Phase::Idle, waiting, releases, released, board }
    }
}

impl Session {
    /// The session has begun.
    pub(crate) fn begin(&mut self) -> Vec<Effect> {
        if self.files.place.offers { self.begin_files() } else { Vec::new() }
    }

    fn begin_files(&mut self) -> Vec<Effect> {
        if self.files.phase != Phase::Idle {
            return Vec::new();
        }
        self.files.phase = Phase::Asking;
        vec![self.submit_question(Command::Blocks, Question::Blocked)]
    }

    /// Does it, or notes it for when files have begun.
    fn want(&mut self, wish: Wish) -> Vec<Effect> {
        if self.files.phase == Phase::Begun {
            return vec![Effect::Files(wish)];
        }
        if self.files.waiting.len() >= WAITING_MAX {
            return print(text::files::BUSY.to_owned());
        }
        self.files.waiting.push(wish);
        self.begin_files()
    }

    /// `share`
    pub(super) fn share(&mut self, path: &str) -> Vec<Effect> {
        let path = match (&self.files.place.home, path) {
            (Some(home), "~") => home.clone(),
            (Some(home), path) => path.strip_prefix("~/").map_or_else(|| path.into(), |rest| home.join(rest)),
            (None, path) => path.into(),
        };
        self.want_typed(Wish::Share(path))
    }

    /// What is typed is a sign of life. Private talk and what is here of files stand outside the order of commands.
    pub(super) fn want_typed(&mut self, wish: Wish) -> Vec<Effect> {
        let mut effects = vec![Effect::Active];
        effects.extend(match wish {
            Wish::Cancel(meant) if self.forget_question(&meant) => print(text::files::cancelled(&meant)),
            // As long as nothing has begun there is nothing.
            Wish::Shares if self.files.phase == Phase::Idle => print(text::files::shares(&[])),
            Wish::Downloads if self.files.phase == Phase::Idle => print(text::files::downloads(&[])),
            Wish::Cancel(meant) | Wish::Unshare(meant) if self.files.phase == Phase::Idle => {
                print(text::files::unknown(&meant))
            }
            wish => self.want(wish),
        });
        effects
    }

    /// A question whose answer makes sense only now.
    pub(super) fn ask_of_files(&mut self, command: Command, question: Question) -> Vec<Effect> {
        if self.is_away() {
            return print(text::NOT_ASKED.to_owned());
        }
        vec![self.submit_question(command, question)]
    }

    /// What was to be downloaded under this name and is still being looked for is not wanted any more.
    fn forget_question(&mut self, meant: &str) -> bool {
        let wanted = self.questions().find(|question| matches!(question, Question::Find(it) if it == meant));
        wanted.map(|question| *question = Question::Nothing).is_some()
    }

    /// The server has answered.
    pub(super) fn answer_of_files(
        &mut self,
        question: Question,
        answer: Answer,
        now: Duration,
    ) -> Vec<Effect> {
        match (question, answer) {
            (Question::Nothing, _) => Vec::new(),
            (Question::Blocked, Answer::Names(blocked)) => self.have_begun(blocked),
            (Question::Blocked, answer) => {
                // Rather nothing than something to somebody who is blocked.
                self.files.phase = Phase::Idle;
                let none = std::mem::take(&mut self.files.waiting).is_empty();
                if none { Vec::new() } else { print(refused(&answer)) }
            }
            (Question::List, Answer::Files(files)) => print(text::files::list(&files.files, files.more)),
            (Question::Holders, Answer::Names(names)) => {
                let known = names.iter().cloned().map(Effect::Know);
                known.chain(print(text::files::holders(&names))).collect()
            }
            (Question::Find(meant), Answer::Files(found)) => self.found(&meant, found.files, now),
            (_, answer) => print(refused(&answer)),
        }
    }

    fn have_begun(&mut self, blocked: Vec<String>) -> Vec<Effect> {
        self.files.phase = Phase::Begun;
        let wishes = std::mem::take(&mut self.files.waiting);
        [Effect::BeginFiles(blocked)].into_iter().chain(wishes.into_iter().map(Effect::Files)).collect()
    }

    /// What may be meant by the name of a download.
    fn found(&mut self, meant: &str, files: Vec<v1::FileEntry>, now: Duration) -> Vec<Effect> {
        match files.as_slice() {
            [] => print(text::files::no_one_shares(meant)),
            [file] => match entry(file) {
                Some(entry) => {
                    self.files.board.begin(&entry, now);
                    self.want(Wish::Download(entry))
                }
                None => print(text::files::no_one_shares(meant)),
            },
            several => print(text::files::ambiguous(meant, several)),
        }
    }

    /// The connection to the server is lost, or back.
    pub(super) fn server_of_files(&mut self, up: bool) -> Vec<Effect> {
        if up {
            let begun = self.files.phase == Phase::Begun;
            return begun.then_some(Effect::Files(Wish::Announce)).into_iter().collect();
        }
        let mut effects = Vec::new();
        for question in self.questions() {
            if !matches!(question, Question::Blocked | Question::Nothing) {
                *question = Question::Nothing;
                effects.extend(print(text::NOT_ASKED.to_owned()));
            }
        }
        effects
    }

    /// Who is blocked gets nothing from now on. Before the beginning, the list of who is blocked tells.
    pub(super) fn block_of_files(&self, command: &Command, answer: &Answer) -> Option<Effect> {
        let Answer::Submitted { outcome, user } = answer else { return None };
        let wish = match (command, outcome) {
            (Command::Block(_), Outcome::Accepted | Outcome::AlreadyBlocked) => Wish::Block(user.clone()),
            (Command::Unblock(_), Outcome::Accepted | Outcome::NotBlocked) => Wish::Unblock(user.clone()),
            _ => return None,
        };
        (self.files.phase == Phase::Begun).then_some(Effect::Files(wish))
    }

    /// Something happened to files.
    pub(crate) fn files(&mut self, event: Event, now: Duration) -> Vec<Effect> {
        let mut effects = self.files.board.note(&event, now);
        effects.extend(match event {
            Event::Server { id, request } => {
                if matches!(request, Request::Release(_)) {
                    self.files.releases.insert(id);
                }
                vec![Effect::Pass(id, request)]
            }
            // Once it is said, nobody finds it any more.
            Event::Unshared { .. } if !self.files.releases.is_empty() => {
                self.files.released += &text::files::event(&event);
                Vec::new()
            }
            Event::Listening { port } => vec![Effect::Listening(port)],
            event => print(text::files::event(&event)),
        });
        effects
    }

    /// The server has answered what files had to say to it.
    pub(super) fn answer_to_request(&mut self, id: RequestId, answer: Answer) -> Vec<Effect> {
        let mut effects = vec![Effect::Files(Wish::Answered(id, reply(answer)))];
        if self.files.releases.remove(&id) && self.files.releases.is_empty() {
            effects.extend(print(std::mem::take(&mut self.files.released)));
        }
        effects
    }

    /// What is to be said of downloads when the user leaves.
    pub(super) fn unfinished(&mut self) -> Vec<Effect> {
        let count = self.files.board.end();
        if count == 0 { Vec::new() } else { print(text::files::unfinished(count)) }
    }
}

/// What the server offers, to be downloaded; `None`: it makes no sense.
fn entry(file: &v1::FileEntry) -> Option<Entry> {
    let content = Content::of_wire(file.content.as_ref()?)?;
    Some(Entry { content, name: file.name.clone(), folder: file.folder, sources: None })
}

/// The server did not answer what it was asked.
fn refused(answer: &Answer) -> String {
    match answer {
        Answer::Refused { text, .. } => text::error(text),
        _ => text::NOT_ASKED.to_owned(),
    }
}

#[cfg(test)]
mod tests;
