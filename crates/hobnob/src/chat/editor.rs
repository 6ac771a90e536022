//! The line a person is typing on a terminal: keys in, finished lines and pictures of the row out. Pure.

use std::collections::{BTreeSet, VecDeque};

use unicode_width::UnicodeWidthChar;

use super::{command::TABLE, keys::Key};

/// Lines that Up brings back.
const HISTORY_MAX: usize = 500;
/// Names that Tab knows; there are always some more elsewhere.
const NAMES_MAX: usize = 10_000;
/// Characters in a line. More than any message has; a paste of a book stops here.
const LINE_MAX: usize = 80 * 1024;

/// What a key led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Nothing to tell; the row may look different.
    Nothing,
    /// Enter.
    Line(String),
    /// Enter, but too much was typed.
    TooLong,
    /// Ctrl-D on an empty line.
    End,
}

/// The row at the bottom.
#[derive(Debug, Default)]
pub(crate) struct Editor {
    prompt: String,
    hidden: bool,
    line: Vec<char>,
    /// Where the next character goes, from 0 to the length of the line.
    cursor: usize,
    too_long: bool,
    history: VecDeque<String>,
    /// Which line of the history is shown, and what was being typed before.
    browsing: Option<(usize, Vec<char>)>,
    names: BTreeSet<String>,
}

impl Editor {
    /// Asks for a line. What is `hidden` is neither shown nor kept. A line half typed stays, unless one of the two
    /// is hidden.
    pub(crate) fn ask(&mut self, prompt: &str, hidden: bool) {
        if self.hidden || hidden {
            self.clear();
        }
        prompt.clone_into(&mut self.prompt);
        self.hidden = hidden;
        self.browsing = None;
    }

    /// A name to complete.
    pub(crate) fn know(&mut self, name: &str) {
        if self.names.len() < NAMES_MAX && !self.names.contains(name) {
            self.names.insert(name.to_owned());
        }
    }

    /// Deals with one key.
    pub(crate) fn press(&mut self, key: Key) -> Done {
        match key {
            Key::Char(c) => self.insert(c),
            Key::Enter => return self.enter(),
            Key::EndOfInput if self.line.is_empty() => return Done::End,
            Key::EndOfInput | Key::Delete => self.remove(self.cursor..self.cursor + 1),
            Key::Backspace => self.remove(self.cursor.saturating_sub(1)..self.cursor),
            Key::CutToEnd => self.remove(self.cursor..self.line.len()),
            Key::CutToStart => self.remove(0..self.cursor),
            Key::CutWord => self.remove(self.word_left()..self.cursor),
            Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Right => self.cursor = self.line.len().min(self.cursor + 1),
            Key::WordLeft => self.cursor = self.word_left(),
            Key::WordRight => self.cursor = self.word_right(),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = self.line.len(),
            Key::Up => self.browse(true),
            Key::Down => self.browse(false),
            Key::Tab => self.complete(),
            Key::Redraw => {}
        }
        Done::Nothing
    }

    fn insert(&mut self, c: char) {
        if self.line.len() == LINE_MAX {
            self.too_long = true;
            return;
        }
        self.line.insert(self.cursor, c);
        self.cursor += 1;
    }

    fn enter(&mut self) -> Done {
        let line: String = self.line.iter().collect();
        if !self.hidden
            && !line.trim().is_empty()
            && self.history.back() != Some(&line)
            && !self.prompt_asks()
        {
            self.history.push_back(line.clone());
            if self.history.len() > HISTORY_MAX {
                self.history.pop_front();
            }
        }
        let too_long = self.too_long;
        self.clear();
        if too_long { Done::TooLong } else { Done::Line(line) }
    }

    /// Whether a question stands, whose answer is no command.
    fn prompt_asks(&self) -> bool {
        self.prompt.ends_with(": ")
    }

    fn clear(&mut self) {
        self.line.clear();
        self.cursor = 0;
        self.too_long = false;
        self.browsing = None;
    }

    fn remove(&mut self, range: std::ops::Range<usize>) {
        let end = range.end.min(self.line.len());
        if range.start < end {
            self.line.drain(range.start..end);
            self.cursor = range.start;
            self.too_long = false;
        }
    }

    fn word_left(&self) -> usize {
        let before = &self.line[..self.cursor];
        let end = before.iter().rposition(|c| !c.is_whitespace()).map_or(0, |at| at + 1);
        before[..end].iter().rposition(|c| c.is_whitespace()).map_or(0, |at| at + 1)
    }

    fn word_right(&self) -> usize {
        let after = &self.line[self.cursor..];
        let start = after.iter().position(|c| !c.is_whitespace()).unwrap_or(after.len());
        let length = after[start..].iter().position(|c| c.is_whitespace()).unwrap_or(after.len() - start);
        self.cursor + start + length
    }

    fn browse(&mut self, back: bool) {
        if self.hidden {
            return;
        }
        let at = self.browsing.as_ref().map_or(self.history.len(), |(at, _)| *at);
        let to = if back { at.checked_sub(1) } else { Some(at + 1) };
        let Some(to) = to.filter(|to| *to <= self.history.len()) else { return };
        let draft = match self.browsing.take() {
            Some((_, draft)) => draft,
            None => std::mem::take(&mut self.line),
        };
        match self.history.get(to) {
            Some(line) => {
                self.line = line.chars().collect();
                self.browsing = Some((to, draft));
            }
            None => self.line = draft,
        }
        self.cursor = self.line.len();
    }

    /// Completes the word before the cursor, as far as all candidates agree.
    fn complete(&mut self) {
        if self.hidden || self.prompt_asks() {
            return;
        }
        let start = self.line[..self.cursor].iter().rposition(|c| c.is_whitespace()).map_or(0, |at| at + 1);
        let word: String = self.line[start..self.cursor].iter().collect();
        let first = self.line[..start].iter().all(|c| c.is_whitespace());
        let candidates: Vec<&str> = if first {
            let bare = word.strip_prefix('/').unwrap_or(&word);
            let slash = &word[..word.len() - bare.len()];
            let all = TABLE.iter().map(|entry| entry.name).filter(|name| name.starts_with(bare)).collect();
            return self.finish_word(bare.to_owned(), slash.len() + start, all);
        } else {
            let from = self.names.range(word.clone()..);
            from.take_while(|name| name.starts_with(&word)).map(String::as_str).collect()
        };
        let candidates: Vec<String> = candidates.into_iter().map(str::to_owned).collect();
        self.finish_word(word, start, candidates.iter().map(String::as_str).collect());
    }

    fn finish_word(&mut self, word: String, start: usize, candidates: Vec<&str>) {
        let Some((first, others)) = candidates.split_first() else { return };
        let mut agreed = first.len();
        for other in others {
            let same =
                first.char_indices().zip(other.chars()).find(|((_, a), b)| a != b).map(|((at, _), _)| at);
            agreed = agreed.min(same.unwrap_or(other.len().min(first.len())));
        }
        let mut completed: Vec<char> = first[..agreed].chars().collect();
        if others.is_empty() {
            completed.push(' ');
        }
        if completed.len() > word.chars().count() {
            self.line.splice(start..self.cursor, completed.iter().copied());
            self.cursor = start + completed.len();
        }
    }

    /// Bytes that draw the row on a terminal `width` columns wide, from wherever in the row the cursor is. A line
    /// that is too long for the row is shown around the cursor.
    pub(crate) fn picture(&self, width: usize) -> String {
        let prompt_width: usize = self.prompt.chars().map(columns).sum();
        let mut shown = format!("\r\x1b[K{}", self.prompt);
        if self.hidden {
            return shown;
        }
        // The last column stays free, so that the terminal never wraps.
        let room = width.saturating_sub(prompt_width + 1).max(1);
        let mut start = self.cursor;
        let mut before = 0;
        while start > 0 && before + columns(self.line[start - 1]) <= room.saturating_sub(room / 4).max(1) {
            start -= 1;
            before += columns(self.line[start]);
        }
        let mut used = 0;
        for c in &self.line[start..] {
            used += columns(*c);
            if used > room {
                break;
            }
            shown.push(*c);
        }
        let column = prompt_width + before;
        shown.push('\r');
        if column > 0 {
            shown += &format!("\x1b[{column}C");
        }
        shown
    }
}

fn columns(c: char) -> usize {
    c.width().unwrap_or(0)
}

#[cfg(test)]
mod tests;
