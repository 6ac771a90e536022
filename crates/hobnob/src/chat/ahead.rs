//! Lines read ahead of a command that waits for its place, to see among them that someone wants to leave.

use std::collections::VecDeque;

use super::{
    command::{self, Typed},
    face::Input,
};

/// Lines and bytes of them.
const LINES_MAX: usize = 1024;
const BYTES_MAX: usize = 1 << 20;

/// The lines.
#[derive(Default)]
pub(super) struct Ahead {
    lines: VecDeque<Input>,
    bytes: usize,
}

impl Ahead {
    pub(super) fn push(&mut self, input: Input) {
        self.bytes += bytes(&input);
        self.lines.push_back(input);
    }

    pub(super) fn pop(&mut self) -> Option<Input> {
        let input = self.lines.pop_front()?;
        self.bytes -= bytes(&input);
        Some(input)
    }

    /// Whether another line may be read ahead. Behind a `passwd` stand passwords, which are asked for first.
    pub(super) fn has_room(&self) -> bool {
        let last = self.last_command();
        self.lines.len() < LINES_MAX
            && self.bytes < BYTES_MAX
            && !self.leaves()
            && !matches!(last, Some(Typed::Passwd))
    }

    /// Whether someone wants to leave.
    pub(super) fn leaves(&self) -> bool {
        self.lines.back() == Some(&Input::End) || matches!(self.last_command(), Some(Typed::Logout))
    }

    fn last_command(&self) -> Option<Typed> {
        match self.lines.back() {
            Some(Input::Line(line)) => command::read(line)?.ok(),
            _ => None,
        }
    }
}

fn bytes(input: &Input) -> usize {
    match input {
        Input::Line(line) => line.len(),
        Input::TooLong | Input::End => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ahead(lines: &[&str]) -> Ahead {
        let mut ahead = Ahead::default();
        lines.iter().for_each(|line| ahead.push(Input::Line((*line).to_owned())));
        ahead
    }

    #[test]
    fn a_wish_to_leave_is_seen_and_nothing_read_behind_it() {
        for leave in [Input::End, Input::Line(" /logout ".to_owned())] {
            let mut ahead = ahead(&["message bob logout", ""]);
            assert!(ahead.has_room() && !ahead.leaves());
            ahead.push(leave.clone());
            assert!(!ahead.has_room() && ahead.leaves());
            assert!(ahead.pop() == Some(Input::Line("message bob logout".to_owned())));
            assert!(ahead.pop().is_some() && ahead.pop() == Some(leave) && ahead.pop().is_none());
            assert!(ahead.has_room() && !ahead.leaves());
        }
    }

    #[test]
    fn passwords_are_not_read_ahead() {
        assert!(!ahead(&["passwd"]).has_room() && !ahead(&["passwd"]).leaves());
    }

    #[test]
    fn it_is_bounded() {
        assert!(!ahead(&["x"; LINES_MAX]).has_room());
        assert!(!ahead(&[&"x".repeat(BYTES_MAX)]).has_room());
    }
}
