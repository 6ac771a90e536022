//! The mode of the terminal: changed for passwords and for editing, and put back on every way out.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Mutex, PoisonError},
};

use rustix::termios::{
    self, InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// The terminal whose mode is changed, and the mode to put back.
static BEFORE: Mutex<Option<(OwnedFd, Termios)>> = Mutex::new(None);

/// A changed mode of a terminal, one at a time; dropping it puts the old one back.
#[derive(Debug)]
#[must_use = "dropping it puts the old mode back"]
pub(crate) struct Changed(());

impl Drop for Changed {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the mode of the terminal back, if it was changed. For ways out that drop nothing.
pub(crate) fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((terminal, mode)) = before {
        // Nothing can be done for a terminal that is gone.
        let _ = tcsetattr(terminal, OptionalActions::Now, &mode);
    }
}

/// Keys of standard input come one by one and are not echoed. Ctrl-C still makes a signal; what else would stop the process with the
/// terminal in this mode is switched off.
pub(crate) fn keys() -> io::Result<Changed> {
    change(io::stdin(), |mode| {
        mode.local_modes &= !(LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN);
        mode.input_modes &= !(InputModes::IXON | InputModes::ISTRIP | InputModes::INLCR | InputModes::IGNCR);
        for code in [SpecialCodeIndex::VQUIT, SpecialCodeIndex::VSUSP] {
            mode.special_codes[code] = 0;
        }
        mode.special_codes[SpecialCodeIndex::VMIN] = 1;
        mode.special_codes[SpecialCodeIndex::VTIME] = 0;
    })
}

/// Lines come as ever, but are not echoed.
pub(crate) fn silent(terminal: impl AsFd) -> io::Result<Changed> {
    change(terminal, |mode| mode.local_modes &= !LocalModes::ECHO)
}

fn change(terminal: impl AsFd, edit: impl FnOnce(&mut Termios)) -> io::Result<Changed> {
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut mode = tcgetattr(&terminal)?;
    if before.is_none() {
        *before = Some((terminal.as_fd().try_clone_to_owned()?, mode.clone()));
    }
    edit(&mut mode);
    // Not with a flush: what was typed ahead is kept.
    tcsetattr(&terminal, OptionalActions::Drain, &mode)?;
    Ok(Changed(()))
}

/// Columns of the terminal behind standard output.
pub(crate) fn columns() -> usize {
    columns_of(io::stdout())
}

/// Columns of this terminal.
pub(crate) fn columns_of(terminal: impl AsFd) -> usize {
    match termios::tcgetwinsize(terminal) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => 80,
    }
}

/// Whether this is a terminal.
pub(crate) fn is_terminal(file: impl AsFd) -> bool {
    termios::isatty(file)
}
