//! Lines of a script instead of a person's, for the demo.

use std::io;

use tokio::{sync::mpsc, time::Instant};

use super::face::Input;

/// Lines that wait to be read, and printed ones that wait to be looked at. Whoever writes the script looks at what is
/// printed before going on, so neither fills up.
const LINES: usize = 256;

/// The end that a session has.
pub(crate) struct Script {
    typed: mpsc::Receiver<Input>,
    printed: mpsc::Sender<Printed>,
}

/// The other end.
pub(crate) struct Prompter {
    typed: mpsc::Sender<Input>,
    printed: mpsc::Receiver<Printed>,
}

/// Something that stands on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Printed {
    /// A line, without its end.
    pub(crate) line: String,
    /// It has no end: what is typed goes behind it.
    pub(crate) prompt: bool,
}

/// Both ends.
pub(crate) fn script() -> (Script, Prompter) {
    let (typed, lines) = mpsc::channel(LINES);
    let (printed, seen) = mpsc::channel(LINES);
    (Script { typed: lines, printed }, Prompter { typed, printed: seen })
}

impl Script {
    /// Prints lines; a last one without an end is a prompt.
    pub(super) fn print(&self, text: &str) -> io::Result<()> {
        text.split_inclusive('\n').try_for_each(|line| {
            let bare = line.strip_suffix('\n');
            let printed = Printed { line: bare.unwrap_or(line).to_owned(), prompt: bare.is_none() };
            self.printed.try_send(printed).map_err(|_| io::ErrorKind::BrokenPipe.into())
        })
    }

    pub(super) async fn read(&mut self, last: Option<Instant>) -> Input {
        let input = match last {
            None => self.typed.recv().await,
            Some(_) => self.typed.try_recv().ok(),
        };
        input.unwrap_or(Input::End)
    }
}

impl Prompter {
    /// Types a line. A session that is over does not mind.
    pub(crate) async fn types(&self, line: &str) {
        let _ = self.typed.send(Input::Line(line.to_owned())).await;
    }

    /// The next line printed; `None`: there will be none.
    pub(crate) async fn next(&mut self) -> Option<Printed> {
        self.printed.recv().await
    }

    /// What was printed and not looked at.
    pub(crate) fn rest(&mut self) -> Option<Printed> {
        self.printed.try_recv().ok()
    }
}
