//! Lines over pipes, or on a terminal that can do no more.

use std::{
    io::{self, BufRead, BufReader, Write},
    sync::Arc,
    thread,
};

use tokio::{sync::mpsc, time::Instant};

use super::{
    face::Input,
    typed::{Watch, typed},
};
use crate::{
    output::Output,
    termios::{self, Changed},
};

/// Lines read ahead. When full, the pipe keeps the rest.
const LINES: usize = 16;
/// Bytes of a line. Longer ones are dropped and reported; no command is half as long.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Standard input and output, line by line.
pub(crate) struct Pipe {
    lines: mpsc::Receiver<Input>,
    watch: Arc<Watch>,
    printer: Printer<Output>,
    /// Set while a password is typed at a terminal.
    silent: Option<Changed>,
    /// Whether standard input is a terminal, which echoes.
    typed_at: bool,
    /// Whether that echo shows up where this prints.
    echoed: bool,
}

impl Pipe {
    pub(crate) fn open() -> io::Result<Self> {
        let (sender, lines) = mpsc::channel(LINES);
        let (typed, watch) = typed();
        // Nobody can end a read from a pipe, so nobody joins this thread; it ends with the process.
        thread::Builder::new().name("input".to_owned()).spawn(move || {
            read_lines(&sender, &mut BufReader::new(typed));
        })?;
        let typed_at = termios::is_terminal(io::stdin());
        let echoed = typed_at && termios::is_terminal(io::stdout());
        Ok(Self { lines, watch, printer: Printer::new(Output), silent: None, typed_at, echoed })
    }

    pub(crate) fn ask(&mut self, prompt: &str, secret: bool) -> io::Result<()> {
        if secret && self.typed_at {
            self.silent = termios::silent(io::stdin()).ok();
        }
        self.printer.prompt(prompt)
    }

    pub(crate) fn print(&mut self, text: &str) -> io::Result<()> {
        self.printer.print(text)
    }

    pub(crate) async fn read(&mut self, last: Option<Instant>) -> Input {
        let input = tokio::select! {
            biased;
            input = self.lines.recv() => input,
            () = self.watch.dry(last) => self.lines.try_recv().ok(),
        };
        let input = input.unwrap_or(Input::End);
        if self.silent.take().is_none() && self.echoed && input != Input::End {
            self.printer.at_start = true;
        }
        input
    }
}

/// Prints, and knows whether the cursor stands at the start of a line.
struct Printer<W> {
    out: W,
    at_start: bool,
}

impl<W: Write> Printer<W> {
    fn new(out: W) -> Self {
        Self { out, at_start: true }
    }

    fn prompt(&mut self, prompt: &str) -> io::Result<()> {
        self.put(prompt)
    }

    fn print(&mut self, text: &str) -> io::Result<()> {
        self.put(text)
    }

    fn put(&mut self, text: &str) -> io::Result<()> {
        if !self.at_start {
            self.out.write_all(b"\n")?;
        }
        self.out.write_all(text.as_bytes())?;
        self.at_start = text.ends_with('\n');
        self.out.flush()
    }
}

fn read_lines(sender: &mpsc::Sender<Input>, from: &mut impl BufRead) {
    loop {
        let input = read_line(from, LINE_BYTES_MAX).unwrap_or(Input::End);
        let end = input == Input::End;
        if sender.blocking_send(input).is_err() || end {
            return;
        }
    }
}

/// One line without its end. Broken UTF-8 is replaced; a last line needs no end.
fn read_line(from: &mut impl BufRead, max: usize) -> io::Result<Input> {
    let mut line = Vec::new();
    let mut length = 0;
    loop {
        let available = match from.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() && length == 0 {
            return Ok(Input::End);
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let part = &available[..end.unwrap_or(available.len())];
        length += part.len();
        if length <= max {
            line.extend_from_slice(part);
        } else {
            line = Vec::new();
        }
        let last = end.is_some() || available.is_empty();
        let used = part.len() + usize::from(end.is_some());
        from.consume(used);
        if last {
            break;
        }
    }
    if length > max {
        return Ok(Input::TooLong);
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Input::Line(String::from_utf8_lossy(&line).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8], max: usize) -> Vec<Result<String, &'static str>> {
        // A tiny buffer cuts lines everywhere.
        let mut from = io::BufReader::with_capacity(3, bytes);
        let mut lines = Vec::new();
        loop {
            match read_line(&mut from, max).expect("slices do not fail") {
                Input::Line(line) => lines.push(Ok(line)),
                Input::TooLong => lines.push(Err("too long")),
                Input::End => return lines,
            }
        }
    }

    fn ok(line: &str) -> Result<String, &'static str> {
        Ok(line.to_owned())
    }

    #[test]
    fn lines_are_cut() {
        assert_eq!(lines(b"one\ntwo\r\n\nthree", 99), [ok("one"), ok("two"), ok(""), ok("three")]);
        assert_eq!(lines(b"", 99), []);
        assert_eq!(lines(b"\r\n a\rb \n", 99), [ok(""), ok(" a\rb ")]);
        assert_eq!(lines(b"a\xffb\n", 99), [ok("a\u{fffd}b")]);
        assert_eq!(lines("äöü\n".as_bytes(), 99), [ok("äöü")]);
    }

    #[test]
    fn a_line_without_bounds_is_dropped_and_the_next_is_read() {
        assert_eq!(
            lines(b"12345\n123456\n1\n1234567", 5),
            [ok("12345"), Err("too long"), ok("1"), Err("too long")]
        );
    }

    #[test]
    fn what_is_printed_below_a_prompt_begins_a_line() {
        let mut printer = Printer::new(Vec::new());
        printer.prompt("Username: ").expect("a vector");
        printer.prompt("Password: ").expect("a vector");
        printer.print("Welcome\n").expect("a vector");
        printer.print("hans: hi\n").expect("a vector");
        assert_eq!(String::from_utf8_lossy(&printer.out), "Username: \nPassword: \nWelcome\nhans: hi\n");
    }
}
