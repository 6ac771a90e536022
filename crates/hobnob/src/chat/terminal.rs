//! The driver of the editor on a terminal. One thread reads bytes; everything is drawn from here, so that what is
//! printed and the row below never meet.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    thread,
};

use tokio::sync::mpsc;

use super::{
    editor::{Done, Editor},
    face::Input,
    keys::Keys,
};
use crate::termios::{self, Changed};

/// Chunks of bytes read ahead. When full, the terminal keeps the rest.
const CHUNKS: usize = 8;

/// A terminal whose last row is being edited.
pub(crate) struct Terminal {
    typed: mpsc::Receiver<Vec<u8>>,
    /// Bytes behind the end of the last line.
    ahead: VecDeque<u8>,
    keys: Keys,
    editor: Editor,
    /// Whether a prompt stands in the last row.
    asking: bool,
    _mode: Changed,
}

impl Terminal {
    /// Takes over the terminal.
    pub(crate) fn open() -> io::Result<Self> {
        let mode = termios::keys()?;
        let (sender, typed) = mpsc::channel(CHUNKS);
        // Nobody can end a read from a terminal, so nobody joins this thread; it ends with the process.
        thread::Builder::new().name("terminal".to_owned()).spawn(move || read_chunks(&sender))?;
        let (keys, editor) = (Keys::default(), Editor::default());
        Ok(Self { typed, ahead: VecDeque::new(), keys, editor, asking: false, _mode: mode })
    }

    pub(crate) fn ask(&mut self, prompt: &str, secret: bool) -> io::Result<()> {
        self.editor.ask(prompt, secret);
        self.asking = true;
        self.draw("")
    }

    pub(crate) fn print(&mut self, text: &str) -> io::Result<()> {
        if self.asking { self.draw(&format!("\r\x1b[K{text}")) } else { write(text) }
    }

    /// Clears the row.
    pub(crate) fn rest(&mut self) {
        if std::mem::take(&mut self.asking) {
            // A terminal that is gone shows in the next thing printed.
            let _ = write("\r\x1b[K");
        }
    }

    pub(crate) fn know(&mut self, name: &str) {
        self.editor.know(name);
    }

    pub(crate) async fn read(&mut self) -> io::Result<Input> {
        loop {
            if let Some(input) = self.press_ahead()? {
                return Ok(input);
            }
            match self.typed.recv().await {
                Some(bytes) => self.ahead.extend(bytes),
                None => return self.finish(Input::End),
            }
        }
    }

    /// Presses the keys that have come, up to the end of a line.
    fn press_ahead(&mut self) -> io::Result<Option<Input>> {
        if self.ahead.is_empty() {
            return Ok(None);
        }
        while let Some(byte) = self.ahead.pop_front() {
            let Some(key) = self.keys.push(byte) else { continue };
            let before = (key == super::keys::Key::Enter).then(|| self.editor.picture(termios::columns()));
            let input = match self.editor.press(key) {
                Done::Nothing => continue,
                Done::Line(line) => Input::Line(line),
                Done::TooLong => Input::TooLong,
                Done::End => Input::End,
            };
            if let Some(picture) = before {
                write(&picture)?;
            }
            return self.finish(input).map(Some);
        }
        self.draw("")?;
        Ok(None)
    }

    /// Leaves the row as it is and goes below it.
    fn finish(&mut self, input: Input) -> io::Result<Input> {
        if std::mem::take(&mut self.asking) {
            write("\n")?;
        }
        Ok(input)
    }

    fn draw(&self, before: &str) -> io::Result<()> {
        if !self.asking {
            return write(before);
        }
        write(&format!("{before}{}", self.editor.picture(termios::columns())))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.rest();
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

fn read_chunks(sender: &mpsc::Sender<Vec<u8>>) {
    let mut stdin = io::stdin().lock();
    let mut chunk = [0; 4096];
    loop {
        match stdin.read(&mut chunk) {
            Ok(0) => return,
            Ok(length) if sender.blocking_send(chunk[..length].to_vec()).is_ok() => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => return,
        }
    }
}
