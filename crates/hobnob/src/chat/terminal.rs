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
    text::files::Row,
    typed::{Typed, Watch, typed},
};
use crate::{
    output::write,
    termios::{self, Changed},
};

/// Chunks of bytes read ahead. When full, the terminal keeps the rest.
const CHUNKS: usize = 8;

/// A terminal whose last row is being edited; above it there may be one for progress.
pub(crate) struct Terminal {
    typed: mpsc::Receiver<Vec<u8>>,
    watch: Arc<Watch>,
    /// Bytes behind the end of the last line.
    ahead: VecDeque<u8>,
    keys: Keys,
    editor: Editor,
    /// Whether a prompt stands in the last row.
    asking: bool,
    progress: Option<Row>,
    /// Whether progress stands above the last row.
    above: bool,
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
        let (asking, progress, above) = (false, None, false);
        Ok(Self { typed: chunks, watch, ahead, keys, editor, asking, progress, above, _mode: mode })
    }

    pub(crate) fn ask(&mut self, prompt: &str, secret: bool) -> io::Result<()> {
        self.editor.ask(prompt, secret);
        self.asking = true;
        self.draw("")
    }

    pub(crate) fn print(&mut self, text: &str) -> io::Result<()> {
        self.draw(text)
    }

    /// Shows progress from now on, or no longer.
    pub(crate) fn show(&mut self, progress: Option<Row>) -> io::Result<()> {
        if self.progress == progress {
            return Ok(());
        }
        self.progress = progress;
        self.draw("")
    }

    /// Prints to standard error, which is the same terminal most of the time.
    pub(crate) fn warn(&mut self, text: &str) -> io::Result<()> {
        write(&self.clear())?;
        // What nobody reads there is no reason to leave.
        let _ = io::stderr().write_all(text.as_bytes());
        self.draw("")
    }

    /// Clears the rows.
    pub(crate) fn rest(&mut self) {
        // A terminal that is gone shows in the next thing printed.
        let _ = write(&self.clear());
        self.asking = false;
    }

    /// What clears the rows, and leaves the cursor where they began.
    fn clear(&mut self) -> String {
        match (self.asking, std::mem::take(&mut self.above)) {
            (false, _) => String::new(),
            (true, false) => "\r\x1b[K".to_owned(),
            (true, true) => "\r\x1b[A\x1b[J".to_owned(),
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
                // What is typed stays on the screen, progress goes on below it.
                write(&format!("{}{picture}", self.clear()))?;
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

    /// Prints, and draws the rows below it.
    fn draw(&mut self, before: &str) -> io::Result<()> {
        let cleared = self.clear();
        if !self.asking {
            return write(before);
        }
        let columns = termios::columns();
        // The last column stays free, so that the terminal never wraps.
        let progress = self.progress.as_ref().map(|row| row.text(columns.saturating_sub(1)));
        let progress = progress.filter(|text| !text.is_empty());
        self.above = progress.is_some();
        let above = progress.map_or_else(String::new, |text| text + "\n");
        write(&format!("{cleared}{before}{above}{}", self.editor.picture(columns)))
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
