//! The file of the security log: appended to, opened again when it was moved away, and never in the way of the server.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tracing_subscriber::fmt::MakeWriter;

use super::line::{self, Format};

/// Opens such a file to append to it; one that is made is its owner's alone.
///
/// # Errors
/// It cannot be written.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Where security events go, if they do not go with the rest of the log.
#[derive(Clone)]
pub(super) struct SecurityLog(Arc<Shared>);

struct Shared {
    format: Format,
    /// Whether there is a file; says so without the lock.
    apart: AtomicBool,
    state: Mutex<State>,
}

struct State {
    file: Option<File>,
    /// The last line could not be written, which was said.
    failed: bool,
}

impl SecurityLog {
    pub(super) fn new(format: Format, file: Option<File>) -> Self {
        let apart = AtomicBool::new(file.is_some());
        Self(Arc::new(Shared { format, apart, state: Mutex::new(State { file, failed: false }) }))
    }

    pub(super) fn is_apart(&self) -> bool {
        self.0.apart.load(Ordering::Relaxed)
    }

    /// Goes on in another file, or with the rest of the log.
    pub(super) fn set(&self, file: Option<File>) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.apart.store(file.is_some(), Ordering::Relaxed);
        *state = State { file, failed: false };
    }
}

impl<'a> MakeWriter<'a> for SecurityLog {
    type Writer = Lines<'a>;

    fn make_writer(&'a self) -> Lines<'a> {
        Lines { log: self, complain: io::stderr }
    }
}

/// Takes one line with each write.
pub(super) struct Lines<'a, W = fn() -> io::Stderr> {
    log: &'a SecurityLog,
    /// Where it is said that the file cannot be written.
    complain: W,
}

impl<W: FnMut() -> O, O: Write> Write for Lines<'_, W> {
    /// Never fails: what cannot be written is lost, and that is said once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.log.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let written = state.file.as_mut().map_or(Ok(()), |file| file.write_all(line));
        let failed = written.is_err();
        if let Err(error) = written
            && !state.failed
        {
            let line = line::of_the_log(self.log.0.format, "the security log cannot be written", &error);
            // Nothing can be said where nobody listens.
            let _ = (self.complain)().write_all(line.as_bytes());
        }
        state.failed = failed;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    /// Collects what is said.
    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<u8>>>);

    impl Write for Said {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_is_spoken_of_once() {
        let full = OpenOptions::new().append(true).open("/dev/full").expect("a device");
        let log = SecurityLog::new(Format::Text, Some(full));
        let said = Said::default();
        let told = said.clone();
        let mut lines = Lines { log: &log, complain: || told.clone() };
        for _ in 0..3 {
            assert_eq!(lines.write(b"one\n").expect("it never fails"), 4);
        }
        let count = || {
            let said = said.0.lock().expect("no panic");
            String::from_utf8_lossy(&said).matches("the security log cannot be written").count()
        };
        assert_eq!(count(), 1);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("security.log");
        log.set(Some(open(&path).expect("a file")));
        lines.write_all(b"two\n").expect("it never fails");
        assert_eq!((fs::read_to_string(&path).expect("a file"), count()), ("two\n".to_owned(), 1));
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    }
}
