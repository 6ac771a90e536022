//! A line on a terminal that is written again and again, on standard error.

use std::io::{self, Write};

use crate::termios;

/// The line; nothing where standard error is no terminal.
pub(super) struct Bar {
    terminal: bool,
    drawn: bool,
}

impl Bar {
    /// Nothing is drawn yet. With `quiet`, nothing ever is.
    pub(super) fn new(quiet: bool) -> Self {
        Self { terminal: !quiet && termios::is_terminal(io::stderr()), drawn: false }
    }

    /// Somebody sees it.
    pub(super) fn is_seen(&self) -> bool {
        self.terminal
    }

    /// Draws what `line` makes for so many columns.
    pub(super) fn draw(&mut self, line: impl FnOnce(usize) -> String) {
        if self.terminal {
            // In the last column some terminals go to the next line.
            let line = line(termios::columns_of(io::stderr()).saturating_sub(1));
            put(&format!("\r{line}\x1b[K"));
            self.drawn = true;
        }
    }

    /// Takes it away, so that something else can be printed.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            put("\r\x1b[K");
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}

fn put(text: &str) {
    // Where nobody sees it, nothing is lost.
    let _ = io::stderr().write_all(text.as_bytes());
}
