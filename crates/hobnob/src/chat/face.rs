//! Where lines come from and go to: a terminal with an editor, or pipes.

use std::io::{self, Write};

use tokio::time::Instant;

use super::{pipe::Pipe, script::Script, terminal::Terminal, text::files::Row};
use crate::termios;

/// Something a person typed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// A line, without its end.
    Line(String),
    /// A line that is longer than any command.
    TooLong,
    /// Nothing more will come.
    End,
}

/// Reads lines and prints. An error means that nobody reads any more.
pub(crate) enum Face {
    /// A row that is redrawn below what is printed.
    Terminal(Box<Terminal>),
    /// One line after the other.
    Pipe(Pipe),
    /// Lines of a script.
    Script(Script),
}

impl Face {
    /// The one that suits standard input and output.
    ///
    /// # Errors
    /// The thread that reads cannot be started, or the terminal refuses.
    pub(crate) fn open() -> io::Result<Self> {
        let terminal = termios::is_terminal(io::stdin()) && termios::is_terminal(io::stdout());
        let capable = std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
        if terminal && capable {
            Terminal::open().map(|terminal| Self::Terminal(Box::new(terminal)))
        } else {
            Pipe::open().map(Self::Pipe)
        }
    }

    /// Asks a question, which stands until a line was read.
    pub(crate) fn ask(&mut self, prompt: &str, secret: bool) -> io::Result<()> {
        match self {
            Self::Terminal(terminal) => terminal.ask(prompt, secret),
            Self::Pipe(pipe) => pipe.ask(prompt, secret),
            Self::Script(script) => script.print(prompt),
        }
    }

    /// Asks for something that one command among others answers.
    pub(crate) fn question(&mut self, text: &str) -> io::Result<()> {
        match self {
            // The row below goes on being one for commands.
            Self::Terminal(terminal) => terminal.print(&format!("{text}\n")),
            Self::Pipe(pipe) => pipe.ask(text, false),
            Self::Script(script) => script.print(text),
        }
    }

    /// From now on commands are read.
    pub(crate) fn commands(&mut self) -> io::Result<()> {
        match self {
            Self::Terminal(terminal) => terminal.ask("> ", false),
            Self::Pipe(_) | Self::Script(_) => Ok(()),
        }
    }

    /// Nothing is asked any more.
    pub(crate) fn rest(&mut self) {
        if let Self::Terminal(terminal) = self {
            terminal.rest();
        }
    }

    /// Prints text that ends in a newline.
    pub(crate) fn print(&mut self, text: &str) -> io::Result<()> {
        match self {
            _ if text.is_empty() => Ok(()),
            Self::Terminal(terminal) => terminal.print(text),
            Self::Pipe(pipe) => pipe.print(text),
            Self::Script(script) => script.print(text),
        }
    }

    /// Prints text that ends in a newline to standard error.
    pub(crate) fn warn(&mut self, text: &str) -> io::Result<()> {
        match self {
            Self::Terminal(terminal) => terminal.warn(text),
            Self::Pipe(_) | Self::Script(_) => {
                // What nobody reads there is no reason to leave.
                let _ = io::stderr().write_all(text.as_bytes());
                Ok(())
            }
        }
    }

    /// Whether there is a row for progress.
    pub(crate) fn has_row(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    /// Shows this in that row; `None`: there is none for now.
    pub(crate) fn show(&mut self, row: Option<Row>) -> io::Result<()> {
        match self {
            Self::Terminal(terminal) => terminal.show(row),
            Self::Pipe(_) | Self::Script(_) => Ok(()),
        }
    }

    /// The next line. A future that is dropped has lost nothing. With `last`, nothing more is waited for: the end
    /// comes behind what was typed, though not before that time.
    pub(crate) async fn read(&mut self, last: Option<Instant>) -> io::Result<Input> {
        match self {
            Self::Terminal(terminal) => terminal.read(last).await,
            Self::Pipe(pipe) => Ok(pipe.read(last).await),
            Self::Script(script) => Ok(script.read(last).await),
        }
    }

    /// A name that can be completed from now on.
    pub(crate) fn know(&mut self, name: &str) {
        if let Self::Terminal(terminal) = self {
            terminal.know(name);
        }
    }
}
