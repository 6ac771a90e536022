//! Where the scene is played: a session for everybody on it, with a script for a face.

use std::{fmt, fs, path::PathBuf, rc::Rc, time::Duration};

use hobnob_peer::file::ContentId;
use tokio::{sync::oneshot, task::JoinSet, time::timeout};

use super::{
    columns::Cell,
    scene::{Act, CAST, FILM, Step},
};
use crate::{
    chat::{
        self,
        face::Face,
        script::{Printed, Prompter, script},
    },
    config::ChatSettings,
    signals::Signals,
};

/// What has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the passwords look like.
const HIDDEN: &str = "********";

/// Everybody who plays.
pub(super) struct Stage {
    players: Vec<Player>,
    signals: Rc<Signals>,
    /// The sessions, on the thread of the stage; they end with it.
    tasks: JoinSet<()>,
}

/// Somebody who plays.
struct Player {
    settings: ChatSettings,
    /// What is typed and printed, and the exit code in the end.
    session: Option<(Prompter, oneshot::Receiver<u8>)>,
    /// A question that the player's own doing led to: the answer goes behind it.
    question: Option<String>,
}

/// What came out otherwise than written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Differs {
    pub(super) who: &'static str,
    pub(super) expected: String,
    pub(super) came: String,
}

impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was to see {}, and there came {}", self.who, self.expected, self.came)
    }
}

impl Stage {
    /// With the settings of each player's chat, in the order of the cast.
    pub(super) fn new(settings: Vec<ChatSettings>, signals: Rc<Signals>) -> Self {
        let players = settings.into_iter().map(|settings| Player { settings, session: None, question: None });
        Self { players: players.collect(), signals, tasks: JoinSet::new() }
    }

    /// Plays a step; what is to be shown of it in each column.
    ///
    /// # Errors
    /// Something came out otherwise.
    pub(super) async fn play(&mut self, step: &Step) -> Result<Vec<Vec<Cell>>, Differs> {
        self.nothing_is_left()?;
        if step.act == Act::Compares {
            return self.compare();
        }
        let mut columns = vec![vec![Cell::Blank]; self.players.len()];
        columns[step.who] = self.act(step.who, step.act).await.into_iter().collect();
        for &(who, line) in step.sees {
            let Printed { line, prompt } = self.sees(who, line).await?;
            if prompt && who == step.who {
                self.players[who].question = Some(line);
            } else {
                columns[who].push(Cell::Shown(line));
            }
        }
        if step.act == Act::Leaves {
            self.has_left(step.who).await?;
        }
        Ok(columns)
    }

    /// Whether nothing was shown that nobody expected.
    ///
    /// # Errors
    /// Something was.
    pub(super) fn nothing_is_left(&mut self) -> Result<(), Differs> {
        for (who, player) in self.players.iter_mut().enumerate() {
            let rest = player.session.as_mut().and_then(|(prompter, _)| rest(prompter));
            if let Some(came) = rest {
                return Err(differs(who, "nothing".to_owned(), Some(came)));
            }
        }
        Ok(())
    }

    /// Does it; what is to be shown of it.
    async fn act(&mut self, who: usize, act: Act) -> Option<Cell> {
        let player = &mut self.players[who];
        let (line, shown) = match act {
            Act::Enters => {
                let (face, prompter) = script();
                let (settings, signals) = (player.settings.clone(), Rc::clone(&self.signals));
                let (ended, code) = oneshot::channel();
                self.tasks.spawn_local(async move {
                    // Where nobody waits for it any more, the scene is over.
                    let _ = ended.send(chat::converse(settings, &mut Face::Script(face), &signals).await);
                });
                player.session = Some((prompter, code));
                return Some(Cell::Typed("$ hobnob chat".to_owned()));
            }
            Act::Types(line) => (line.to_owned(), line.to_owned()),
            Act::TypesSecretly(line) => (line.to_owned(), HIDDEN.to_owned()),
            Act::TypesPath(command) => {
                (format!("{command}{}", player.film().display()), format!("{command}{FILM}"))
            }
            Act::Leaves => ("logout".to_owned(), "logout".to_owned()),
            Act::Compares => return None,
        };
        if let Some((prompter, _)) = &player.session {
            prompter.types(&line).await;
        }
        let question = player.question.take();
        Some(Cell::Typed(format!("{}{shown}", question.as_deref().unwrap_or("> "))))
    }

    /// The film as each has it.
    fn compare(&self) -> Result<Vec<Vec<Cell>>, Differs> {
        let mut columns = Vec::new();
        let mut first = None;
        for (who, player) in self.players.iter().enumerate() {
            let sum = fs::read(player.film()).map(|film| ContentId::of(&film).to_string());
            let came = sum.unwrap_or_else(|error| error.to_string());
            let expected = first.get_or_insert_with(|| came.clone()).clone();
            if came != expected {
                return Err(Differs { who: CAST[who], expected: quoted(&expected), came: quoted(&came) });
            }
            let typed = Cell::Typed(format!("$ b3sum -l 6 {FILM}"));
            columns.push(vec![typed, Cell::Shown(format!("{came}  {FILM}"))]);
        }
        Ok(columns)
    }

    /// Waits for the next line.
    async fn sees(&mut self, who: usize, expected: &str) -> Result<Printed, Differs> {
        let came = match &mut self.players[who].session {
            Some((prompter, _)) => timeout(PATIENCE, next(prompter)).await.unwrap_or(None),
            None => None,
        };
        match came {
            Some(printed) if is_like(&printed.line, expected) => Ok(printed),
            came => Err(differs(who, quoted(expected), came)),
        }
    }

    /// Waits for the end of the player's program.
    async fn has_left(&mut self, who: usize) -> Result<(), Differs> {
        let Some((mut prompter, code)) = self.players[who].session.take() else { return Ok(()) };
        let code = timeout(PATIENCE, code).await.ok().and_then(Result::ok);
        if let Some(came) = rest(&mut prompter) {
            return Err(differs(who, "nothing".to_owned(), Some(came)));
        }
        match code {
            Some(0) => Ok(()),
            code => {
                let came = code.map_or("none".to_owned(), |code| format!("the exit code {code}"));
                Err(Differs { who: CAST[who], expected: "the exit code 0".to_owned(), came })
            }
        }
    }
}

impl Player {
    /// Where this one's film is.
    fn film(&self) -> PathBuf {
        self.settings.downloads.join(FILM)
    }
}

/// The next line. How far a download is, which is told where it takes long, is no part of the scene.
async fn next(prompter: &mut Prompter) -> Option<Printed> {
    loop {
        let printed = prompter.next().await?;
        if !is_progress(&printed) {
            return Some(printed);
        }
    }
}

/// What was printed and not looked at.
fn rest(prompter: &mut Prompter) -> Option<Printed> {
    std::iter::from_fn(|| prompter.rest()).find(|printed| !is_progress(printed))
}

fn is_progress(printed: &Printed) -> bool {
    printed.line.strip_prefix(FILM).is_some_and(|rest| rest.starts_with(": "))
}

/// Whether a line is as written, where `…` stands for anything.
pub(super) fn is_like(line: &str, written: &str) -> bool {
    match written.split_once('…') {
        None => line == written,
        Some((begin, end)) => {
            line.len() >= begin.len() + end.len() && line.starts_with(begin) && line.ends_with(end)
        }
    }
}

fn differs(who: usize, expected: String, came: Option<Printed>) -> Differs {
    let came = came.map_or_else(|| "nothing".to_owned(), |came| quoted(&came.line));
    Differs { who: CAST[who], expected, came }
}

fn quoted(line: &str) -> String {
    format!("“{line}”")
}
