//! Text from others: what may be sent, and how it is shown.
//!
//! The server refuses control characters, but a client trusts nobody, so whatever came from elsewhere goes through
//! [`visible`] or [`visible_line`] before it reaches a terminal or a log.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_normalization::char::is_combining_mark;

/// Most marks, joiners and variation selectors in a row; Vietnamese needs two, Tibetan about five.
pub const MARKS_MAX: usize = 8;

/// Why a text cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// More than 64 KiB.
    #[error("The message is too long, 64 KiB at most")]
    TooLong,
    /// C0 but newline and tab, DEL, C1.
    #[error("The message contains control characters")]
    ControlCharacters,
}

/// Whether a text may be sent.
///
/// # Errors
/// Why not.
pub fn check(text: &str) -> Result<(), TextError> {
    if text.len() > crate::limits::TEXT_BYTES_MAX {
        return Err(TextError::TooLong);
    }
    if has_ascii_control(text.as_bytes(), b"\n\t") || has_c1(text.as_bytes()) {
        return Err(TextError::ControlCharacters);
    }
    Ok(())
}

/// A text with everything made visible that could do something to a terminal or deceive its reader. Newline and tab
/// stay: the caller splits the lines.
///
/// `ESC` becomes `^[`, other characters `<U+202E>`; of more than [`MARKS_MAX`] marks in a row the rest becomes one
/// U+FFFD. The result is at most four times as long, and showing it again changes nothing.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    rewrite(text, b"\n\t")
}

/// As [`visible`], but newline and tab are made visible too: for what has to stay on one line, such as names and
/// entries of a log.
#[must_use]
pub fn visible_line(text: &str) -> Cow<'_, str> {
    rewrite(text, b"")
}

/// Whether there is a C0 control other than those, or DEL. No early exit within a block, so that it is vectorised.
fn has_ascii_control(bytes: &[u8], allowed: &[u8]) -> bool {
    let is_control = |byte: u8| (byte < 0x20 || byte == 0x7f) && !allowed.contains(&byte);
    bytes.chunks(256).any(|block| block.iter().fold(false, |found, &byte| found | is_control(byte)))
}

/// C1 is U+0080 to U+009F: in UTF-8 a C2, which is never anything but a first byte, and then 80 to 9F.
fn has_c1(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair[0] == 0xc2 && pair[1] <= 0x9f)
}

fn rewrite<'a>(text: &'a str, allowed: &'static [u8]) -> Cow<'a, str> {
    if text.is_ascii() && !has_ascii_control(text.as_bytes(), allowed) {
        return Cow::Borrowed(text);
    }
    let mut reader = Reader { allowed, before: None, run: 0 };
    let mut chars = text.char_indices();
    let Some((clean, first)) =
        chars.by_ref().map(|(at, c)| (at, reader.judge(c))).find(|(_, v)| *v != Verdict::Keep)
    else {
        return Cow::Borrowed(text);
    };
    let mut shown = String::with_capacity(text.len() + 32);
    shown.push_str(&text[..clean]);
    let offender =
        text[clean..].chars().next().expect("an index of char_indices is where a character begins");
    first.write(offender, &mut shown);
    for (_, c) in chars {
        reader.judge(c).write(c, &mut shown);
    }
    Cow::Owned(shown)
}

/// What becomes of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It stays as it is.
    Keep,
    /// It is made visible.
    Show,
    /// It is the first of too many marks.
    Cut,
    /// It is one of the further ones.
    Drop,
}

impl Verdict {
    fn write(self, c: char, shown: &mut String) {
        match self {
            Self::Keep => shown.push(c),
            Self::Show if c.is_ascii() => shown.extend(['^', char::from(c as u8 ^ 0x40)]),
            Self::Show => write!(shown, "<U+{:04X}>", u32::from(c)).expect("writing to a string cannot fail"),
            Self::Cut => shown.push(char::REPLACEMENT_CHARACTER),
            Self::Drop => {}
        }
    }
}

/// Reads a text character by character.
struct Reader {
    allowed: &'static [u8],
    /// The last character as it is shown, if it can carry a mark.
    before: Option<char>,
    /// Marks and joiners since the last character that has a place of its own.
    run: usize,
}

impl Reader {
    fn judge(&mut self, c: char) -> Verdict {
        if c.is_ascii() {
            return self.judge_ascii(c as u8);
        }
        if is_joiner(c) || is_combining_mark(c) {
            return self.judge_mark(c);
        }
        if is_hidden(c) { self.show() } else { self.keep(c) }
    }

    fn judge_ascii(&mut self, byte: u8) -> Verdict {
        if self.allowed.contains(&byte) {
            self.before = None;
            self.run = 0;
            Verdict::Keep
        } else if byte.is_ascii_control() {
            self.show()
        } else {
            self.keep(char::from(byte))
        }
    }

    /// A mark needs something to stand on, or it would be drawn over what the client itself writes before the text.
    /// A joiner needs something that can be joined: emoji and many scripts use it, ASCII never does.
    fn judge_mark(&mut self, c: char) -> Verdict {
        self.run += 1;
        match self.run.cmp(&(MARKS_MAX + 1)) {
            std::cmp::Ordering::Greater => return Verdict::Drop,
            std::cmp::Ordering::Equal => return Verdict::Cut,
            std::cmp::Ordering::Less => {}
        }
        match self.before {
            Some(before) if is_joiner(c) && (before.is_ascii() || is_joiner(before)) => self.show(),
            None => self.show(),
            Some(_) => {
                self.before = Some(c);
                Verdict::Keep
            }
        }
    }

    fn keep(&mut self, c: char) -> Verdict {
        self.before = Some(c);
        self.run = 0;
        Verdict::Keep
    }

    /// What is shown in its place ends in an ASCII character.
    fn show(&mut self) -> Verdict {
        self.before = Some('>');
        self.run = 0;
        Verdict::Show
    }
}

/// Zero-width joiner and non-joiner.
pub(crate) fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Characters that steer, or hide, and that nobody needs for writing. Joiners and marks are judged by where they stand.
pub(crate) fn is_hidden(c: char) -> bool {
    matches!(c,
        // C1.
        '\u{80}'..='\u{9f}'
        // They turn the direction of what follows.
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        // Line and paragraph separator.
        | '\u{2028}' | '\u{2029}'
        // Spaces, hyphens and operators without width, and format controls.
        | '\u{ad}' | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        // Fillers of Hangul: letters without ink.
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}'
        // Tags, and what is set aside around the variation selectors.
        | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}'
        // Not characters.
        | '\u{fdd0}'..='\u{fdef}')
        || u32::from(c) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_may_be_sent() {
        let long = "ü".repeat(crate::limits::TEXT_BYTES_MAX / 2);
        for (text, result) in [
            ("", Ok(())),
            ("two\nlines\tand a tab", Ok(())),
            ("\u{a0}ü田\u{1f600}\u{202e}", Ok(())),
            (&long, Ok(())),
            (&format!("{long}x"), Err(TextError::TooLong)),
            ("\u{1b}[2J", Err(TextError::ControlCharacters)),
            ("a\r\n", Err(TextError::ControlCharacters)),
            ("\0", Err(TextError::ControlCharacters)),
            ("\u{7f}", Err(TextError::ControlCharacters)),
            ("\u{80}", Err(TextError::ControlCharacters)),
            ("x\u{9b}31m", Err(TextError::ControlCharacters)),
            ("x\u{9f}", Err(TextError::ControlCharacters)),
        ] {
            assert_eq!(check(text), result, "{text:.20?}");
        }
    }

    #[test]
    fn clean_text_is_untouched() {
        for text in [
            "",
            "hello",
            "two\nlines\tand a tab",
            "Jürgen e\u{301} ệ",
            "田中さん 한국어 עברית العربية",
            "می\u{200c}خواهم",
            "ന\u{d4d}\u{200d} র\u{200d}\u{9cd}য",
            "👨\u{200d}👩\u{200d}👧 ❤\u{fe0f}\u{200d}🔥 1\u{fe0f}\u{20e3} 👍🏽 🇩🇪",
            "葛\u{e0100}城",
            "<U+202E> ^[",
        ] {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text), "{text:?}");
        }
    }

    #[test]
    fn what_steers_or_hides_is_shown() {
        for (text, shown) in [
            ("\u{1b}[2J", "^[[2J"),
            ("a\r\n\tb\0\u{7f}", "a^M\n\tb^@^?"),
            ("\u{9b}31m\u{85}", "<U+009B>31m<U+0085>"),
            ("\u{202e}cod.exe", "<U+202E>cod.exe"),
            ("a\u{200e}\u{200f}\u{61c}\u{2066}\u{2069}", "a<U+200E><U+200F><U+061C><U+2066><U+2069>"),
            ("a\u{2028}b\u{2029}", "a<U+2028>b<U+2029>"),
            ("ad\u{200d}min ad\u{200b}min \u{feff}", "ad<U+200D>min ad<U+200B>min <U+FEFF>"),
            ("я\u{200d}\u{200d}", "я\u{200d}<U+200D>"),
            ("\u{200d}я", "<U+200D>я"),
            ("🏴\u{e0067}\u{e007f}", "🏴<U+E0067><U+E007F>"),
            ("\u{fdd0}\u{fffe}\u{10ffff}", "<U+FDD0><U+FFFE><U+10FFFF>"),
            ("\u{301}a\n\u{301}", "<U+0301>a\n<U+0301>"),
            ("\u{3164}x", "<U+3164>x"),
        ] {
            assert_eq!(visible(text), shown, "{text:?}");
        }
        assert_eq!(visible_line("a\nb\tc\u{1b}"), "a^Jb^Ic^[");
        assert_eq!(visible_line("ü\nb\tc\u{1b}"), "ü^Jb^Ic^[");
        assert!(matches!(visible_line("hello Jürgen"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_tower_of_marks_is_cut() {
        let tower = |marks| format!("z{}go", "\u{336}".repeat(marks));
        assert_eq!(visible(&tower(8)), tower(8));
        assert_eq!(visible(&tower(9)), format!("z{}\u{fffd}go", "\u{336}".repeat(8)));
        assert_eq!(visible(&tower(20_000)), visible(&tower(9)));
        let joined = format!("я{}", "\u{336}\u{200d}".repeat(100));
        assert_eq!(visible(&joined), format!("я{}\u{fffd}", "\u{336}\u{200d}".repeat(4)));
    }

    /// Text of characters that matter here, beside any others.
    fn nasty() -> impl Strategy<Value = String> {
        let interesting = prop_oneof![
            any::<char>(),
            "[ -~]".prop_map(|s| s.chars().next().unwrap()),
            proptest::char::range('\0', '\u{20}'),
            proptest::char::range('\u{7e}', '\u{ae}'),
            proptest::char::range('\u{2008}', '\u{2070}'),
            proptest::char::range('\u{300}', '\u{305}'),
            proptest::char::range('\u{e0000}', '\u{e1000}'),
            proptest::sample::select(vec![
                '\u{200d}',
                '\u{200c}',
                '\u{fe0f}',
                '\u{1f468}',
                '\u{fdd0}',
                '\u{ffff}'
            ]),
        ];
        proptest::collection::vec(interesting, 0..60).prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        #[test]
        fn nothing_gets_through(text in nasty()) {
            for (shown, allowed) in [(visible(&text), "\n\t"), (visible_line(&text), "")] {
                prop_assert!(!shown.chars().any(|c| is_hidden(c) || (c.is_control() && !allowed.contains(c))));
                prop_assert!(shown.len() <= text.len() * 4);
                let again = rewrite(&shown, if allowed.is_empty() { b"" } else { b"\n\t" });
                prop_assert!(matches!(again, Cow::Borrowed(_)), "{shown:?} {again:?}");
            }
        }

        #[test]
        fn a_check_finds_every_control(text in nasty()) {
            let found = text.chars().any(|c| c.is_control() && c != '\n' && c != '\t');
            prop_assert_eq!(check(&text).is_err(), found);
        }
    }
}
