//! The driver of the editor on a terminal. One thread reads bytes; everything is drawn from here, so that what is
//! printed and the row below never meet.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    sync::Arc,
    thread,
};

use tokio::{sync::mpsc, time::Instant};

use super::{
    editor::{Done, Editor},
    face::Input,
    keys::Keys,
    typed::{Typed, Watch, typed},
};
use crate::{
    output::write,
    termios::{self, Changed},
};

/// Chunks of bytes read ahead. When full, the terminal keeps the rest.
const CHUNKS: usize = 8;

/// A terminal whose last row is being edited.
pub(crate) struct Terminal {
    typed: mpsc::Receiver<Vec<u8>>,
    watch: Arc<Watch>,
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
        let (sender, chunks) = mpsc::channel(CHUNKS);
        let (bytes, watch) = typed();
        // Nobody can end a read from a terminal, so nobody joins this thread; it ends with the process.
        thread::Builder::new().name("terminal".to_owned()).spawn(move || read_chunks(&sender, bytes))?;
        let (ahead, keys, editor) = (VecDeque::new(), Keys::default(), Editor::default());
        Ok(Self { typed: chunks, watch, ahead, keys, editor, asking: false, _mode: mode })
    }

    pub(crate) fn ask(&mut self, prompt: &str, secret: bool) -> io::Result<()> {
        self.editor.ask(prompt, secret);
        self.asking = true;
        self.draw("")
    }

    pub(crate) fn print(&mut self, text: &str) -> io::Result<()> {
        if self.asking { self.draw(&format!("\r\x1b[K{text}")) } else { write(text) }
    }

    /// Prints to standard error, which is the same terminal most of the time.
    pub(crate) fn warn(&mut self, text: &str) -> io::Result<()> {
        if self.asking {
            write("\r\x1b[K")?;
        }
        // What nobody reads there is no reason to leave.
        let _ = io::stderr().write_all(text.as_bytes());
        self.draw("")
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

    pub(crate) async fn read(&mut self, last: Option<Instant>) -> io::Result<Input> {
        loop {
            if let Some(input) = self.press_ahead()? {
                return Ok(input);
            }
            let bytes = tokio::select! {
                biased;
                bytes = self.typed.recv() => bytes,
                () = self.watch.dry(last) => self.typed.try_recv().ok(),
            };
            match bytes {
                Some(bytes) => self.ahead.extend(bytes),
                // A line half typed is not sent, and its row is cleared on the way out.
                None if last.is_some() => return Ok(Input::End),
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

fn read_chunks(sender: &mpsc::Sender<Vec<u8>>, mut typed: Typed) {
    let mut chunk = [0; 4096];
    loop {
        match typed.read(&mut chunk) {
            Ok(0) => return,
            Ok(length) if sender.blocking_send(chunk[..length].to_vec()).is_ok() => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => return,
        }
    }
}
