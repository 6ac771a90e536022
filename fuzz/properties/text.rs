//! What must hold for any text from others. Fuzzed here; replayed over the corpus in `crates/protocol/tests`.

use std::borrow::Cow;

use hobnob_protocol::name::Name;
use hobnob_protocol::text::{check, visible, visible_line};

/// Asserts it.
pub(crate) fn holds(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let controls = text.chars().any(|c| c.is_control() && c != '\n' && c != '\t');
    assert_eq!(check(&text).is_ok(), !controls && text.len() <= 64 * 1024);

    shown(&text, visible, "\n\t");
    shown(&text, visible_line, "");
    if let Ok(name) = Name::parse(&text) {
        named(&text, &name);
    }
    for word in text.split_whitespace() {
        if let Ok(name) = Name::parse(word) {
            named(word, &name);
        }
    }
}

fn shown(text: &str, show: fn(&str) -> Cow<'_, str>, allowed: &str) {
    let shown = show(text);
    assert!(shown.len() <= text.len() * 4);
    assert!(!shown.chars().any(|c| (c.is_control() && !allowed.contains(c)) || steers(c)), "{shown:?}");
    assert!(matches!(show(&shown), Cow::Borrowed(_)), "{shown:?}");
}

fn steers(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{e0000}'..='\u{e007f}' | '\u{fdd0}'..='\u{fdef}')
        || u32::from(c) & 0xfffe == 0xfffe
}

fn named(typed: &str, name: &Name) {
    for form in [name.display(), name.key()] {
        assert!((1..=32).contains(&form.chars().count()), "{typed:?} {form:?}");
        assert!(!form.contains([':', '(', ')', '@', '/', '\\']), "{typed:?} {form:?}");
        assert!(!form.contains(char::is_whitespace), "{typed:?} {form:?}");
        assert_eq!(visible_line(form), form, "{typed:?}");
        let again = Name::parse(form).unwrap_or_else(|error| panic!("{typed:?} {form:?}: {error}"));
        assert_eq!(again.display(), form, "{typed:?}");
        assert_eq!(again.key(), name.key(), "{typed:?}");
    }
    let _ = (name.skeleton(), name.check_registrable());
}
