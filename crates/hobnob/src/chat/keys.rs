//! What a terminal sends, read as keys. Pure: bytes in, keys out, whatever way they are cut.

/// One key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Enter,
    Tab,
    Backspace,
    Delete,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Up,
    Down,
    /// Ctrl-D: the end of input on an empty line, otherwise like Delete.
    EndOfInput,
    /// Ctrl-K.
    CutToEnd,
    /// Ctrl-U.
    CutToStart,
    /// Ctrl-W.
    CutWord,
    /// Ctrl-L.
    Redraw,
}

/// Longest sequence that is looked at; a longer one is no key of any terminal.
const SEQUENCE_MAX: usize = 16;

/// Reads keys; keeps the beginning of one whose end has not come yet.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    begun: Vec<u8>,
}

impl Keys {
    /// The key that this byte completes.
    pub(crate) fn push(&mut self, byte: u8) -> Option<Key> {
        match self.begun.first() {
            Some(0x1b) => self.sequence(byte),
            Some(_) => self.character(byte),
            None => self.first(byte),
        }
    }

    fn first(&mut self, byte: u8) -> Option<Key> {
        match byte {
            b'\r' | b'\n' => Some(Key::Enter),
            b'\t' => Some(Key::Tab),
            0x08 | 0x7f => Some(Key::Backspace),
            0x01 => Some(Key::Home),
            0x02 => Some(Key::Left),
            0x04 => Some(Key::EndOfInput),
            0x05 => Some(Key::End),
            0x06 => Some(Key::Right),
            0x0b => Some(Key::CutToEnd),
            0x0c => Some(Key::Redraw),
            0x0e => Some(Key::Down),
            0x10 => Some(Key::Up),
            0x15 => Some(Key::CutToStart),
            0x17 => Some(Key::CutWord),
            0x20..=0x7e => Some(Key::Char(char::from(byte))),
            0x1b | 0xc2..=0xf4 => {
                self.begun.push(byte);
                None
            }
            0x80.. => Some(Key::Char(char::REPLACEMENT_CHARACTER)),
            _ => None,
        }
    }

    /// A byte after the first of a character in UTF-8.
    fn character(&mut self, byte: u8) -> Option<Key> {
        if !(0x80..0xc0).contains(&byte) {
            // Cut short: what was begun is broken, and this byte stands for itself.
            self.begun.clear();
            return self.first(byte).or(Some(Key::Char(char::REPLACEMENT_CHARACTER)));
        }
        self.begun.push(byte);
        match std::str::from_utf8(&self.begun) {
            Ok(text) => {
                let key = text.chars().next().filter(|c| !c.is_control()).map(Key::Char);
                self.begun.clear();
                key
            }
            Err(error) if error.error_len().is_none() => None,
            Err(_) => {
                self.begun.clear();
                Some(Key::Char(char::REPLACEMENT_CHARACTER))
            }
        }
    }

    /// A byte after an escape.
    fn sequence(&mut self, byte: u8) -> Option<Key> {
        self.begun.push(byte);
        let key = match &self.begun[1..] {
            [b'[' | b'O'] => return None,
            [b'O' | b'[', parameters @ .., end @ 0x40..=0x7e] => named(parameters, *end),
            [b'[', ..] if self.begun.len() < SEQUENCE_MAX && (0x20..0x40).contains(&byte) => return None,
            [b'b'] => Some(Key::WordLeft),
            [b'f'] => Some(Key::WordRight),
            [0x7f | 0x08] => Some(Key::CutWord),
            [0x1b] => {
                self.begun.truncate(1);
                return None;
            }
            _ => None,
        };
        self.begun.clear();
        key
    }
}

/// The key of `ESC [ parameters end`.
fn named(parameters: &[u8], end: u8) -> Option<Key> {
    let with_control = parameters.ends_with(b";5") || parameters.ends_with(b";3");
    Some(match (end, parameters) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) if with_control => Key::WordRight,
        (b'D', _) if with_control => Key::WordLeft,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', b"1" | b"7") => Key::Home,
        (b'F', _) | (b'~', b"4" | b"8") => Key::End,
        (b'~', b"3") => Key::Delete,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut keys = Keys::default();
        bytes.iter().filter_map(|byte| keys.push(*byte)).collect()
    }

    #[test]
    fn characters() {
        assert_eq!(keys("aé€😀".as_bytes()), ['a', 'é', '€', '😀'].map(Key::Char));
        assert_eq!(keys(b"\xff"), [Key::Char('\u{fffd}')]);
        assert_eq!(keys(b"\xe2\x82a"), [Key::Char('a')], "a cut character gives way to the next");
        assert_eq!(keys(b"\xc3\r"), [Key::Enter]);
        assert_eq!(keys(b"\xed\xa0\x80"), [Key::Char('\u{fffd}'); 2], "a surrogate is no character");
        assert_eq!(keys(b"\xc2\x9b"), [], "C1 controls are not typed");
    }

    #[test]
    fn controls_and_sequences() {
        let cases: &[(&[u8], Key)] = &[
            (b"\r", Key::Enter),
            (b"\n", Key::Enter),
            (b"\x7f", Key::Backspace),
            (b"\x04", Key::EndOfInput),
            (b"\x1b[A", Key::Up),
            (b"\x1bOB", Key::Down),
            (b"\x1b[C", Key::Right),
            (b"\x1b[1;5D", Key::WordLeft),
            (b"\x1bf", Key::WordRight),
            (b"\x1b[H", Key::Home),
            (b"\x1b[4~", Key::End),
            (b"\x1b[3~", Key::Delete),
            (b"\x1b\x1b[D", Key::Left),
        ];
        for (bytes, key) in cases {
            assert_eq!(keys(bytes), [*key], "{bytes:?}");
        }
    }

    #[test]
    fn unknown_sequences_vanish() {
        assert_eq!(keys(b"\x1b[200~x"), [Key::Char('x')]);
        assert_eq!(keys(b"\x1b[15;2;3;4R\x00\x03x"), [Key::Char('x')]);
        let endless = [b"\x1b[".as_slice(), &[b'1'; 100], b"x"].concat();
        assert!(keys(&endless).len() < 100, "an endless sequence is given up, and kept nowhere");
    }
}
