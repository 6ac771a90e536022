//! Names of users: PRECIS UsernameCaseMapped (RFC 8265), and what makes two of them look alike (UTS 39).
//!
//! A name has three forms. The *display* form is what others see: width-mapped and NFC, case as registered. The
//! *key* is the case-mapped form by which accounts are found, so `Hans` and `HANS` are one account. The
//! *skeleton* is equal for names that a reader could take for each other; it is for comparing only.

use precis_profiles::precis_core::profile::PrecisFastInvocation;
use precis_profiles::{UsernameCaseMapped, UsernameCasePreserved};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::{RestrictionLevel, RestrictionLevelDetection};

use crate::limits::NAME_CHARS_MAX;
use crate::text;

/// These belong to the server, which may want to speak under them one day.
const RESERVED: [&str; 3] = ["admin", "server", "system"];

/// They separate a name from what stands around it: in commands, in what is shown, in paths.
const SEPARATORS: [char; 6] = [':', '(', ')', '@', '/', '\\'];

/// What is longer is not looked at: 32 characters of four bytes, each with three bytes of marks yet to be composed.
const TYPED_BYTES_MAX: usize = NAME_CHARS_MAX * 7;

/// A well-formed name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    display: String,
    key: String,
}

/// Why something cannot be a name; for a person, after "This name cannot be used: ".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// Too many characters.
    #[error("it is longer than {NAME_CHARS_MAX} characters")]
    TooLong,
    /// A space, tab, line end or their like.
    #[error("it contains white space")]
    WhiteSpace,
    /// One of the separators.
    #[error("it contains {0}")]
    Separator(char),
    /// A character that RFC 8265 keeps out of names, or that UTS 39 advises against.
    #[error("it contains a character that names cannot have")]
    Character,
    /// Left-to-right and right-to-left in one name, in an order that cannot be read (RFC 5893).
    #[error("it mixes writing directions")]
    Direction,
    /// Marks with nothing to stand on, or too many in a row.
    #[error("it is malformed")]
    Malformed,
    /// One of the names that nobody may have, or one that looks like it.
    #[error("it is reserved")]
    Reserved,
    /// Scripts that are not written together, so that one letter may pose as another.
    #[error("it mixes scripts")]
    MixedScripts,
}

impl Name {
    /// Reads a name as typed.
    ///
    /// # Errors
    /// Why it cannot be one.
    pub fn parse(typed: &str) -> Result<Self, NameError> {
        if is_plain(typed) {
            return Ok(Self { display: typed.to_owned(), key: typed.to_ascii_lowercase() });
        }
        let display = prepare(typed)?;
        let key = case_map(&display)?;
        Ok(Self { display, key })
    }

    /// As typed, normalised (NFC): what others see.
    #[must_use]
    pub fn display(&self) -> &str {
        &self.display
    }

    /// The form by which accounts are found.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Names that look alike have one skeleton (UTS 39, section 4).
    ///
    /// It is taken of the display form, because that is what a reader sees, and then without regard to case, because
    /// a reader knows that case does not count: `user1` and `userl`, `Ian` and `lan`, `max` and `rnax`, `b0b` and
    /// `bOb` (which is `bob`) look alike; `user1` and `user2`, `ian` and `lan` do not. The tables change with each
    /// version of Unicode, so a stored skeleton is good for the version that made it ([`SKELETON_VERSION`]).
    #[must_use]
    pub fn skeleton(&self) -> String {
        let alike: String = unicode_security::skeleton(&self.display).flat_map(char::to_lowercase).collect();
        unicode_security::skeleton(&alike).collect()
    }

    /// Whether it may be registered by a person: not reserved, not a mixture of scripts made to deceive.
    ///
    /// # Errors
    /// Why not.
    pub fn check_registrable(&self) -> Result<(), NameError> {
        if self.is_reserved() {
            return Err(NameError::Reserved);
        }
        if self.display.is_ascii() {
            return Ok(());
        }
        // ASCII signs belong to every script, and RFC 8265 allows them; the detector knows only some of them.
        let letters: String =
            self.display.chars().filter(|c| !c.is_ascii() || c.is_ascii_alphanumeric()).collect();
        match letters.detect_restriction_level() {
            RestrictionLevel::ASCIIOnly
            | RestrictionLevel::SingleScript
            | RestrictionLevel::HighlyRestrictive => Ok(()),
            RestrictionLevel::ModeratelyRestrictive | RestrictionLevel::MinimallyRestrictive => {
                Err(NameError::MixedScripts)
            }
            RestrictionLevel::Unrestricted => Err(NameError::Character),
        }
    }

    /// In capitals the look-alikes are others (`ADM1N`), so both cases of the reserved names count.
    fn is_reserved(&self) -> bool {
        let skeleton = self.skeleton();
        RESERVED.into_iter().any(|reserved| {
            let small = Self { display: reserved.to_owned(), key: reserved.to_owned() };
            let capital = Self { display: reserved.to_ascii_uppercase(), key: reserved.to_owned() };
            self.key == reserved || skeleton == small.skeleton() || skeleton == capital.skeleton()
        })
    }
}

/// The version of Unicode whose tables make the skeletons.
pub const SKELETON_VERSION: (u64, u64, u64) = unicode_security::UNICODE_VERSION;

/// Most names are plain, and this runs for every message: their forms need no tables.
fn is_plain(typed: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&typed.len())
        && typed.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// The display form.
fn prepare(typed: &str) -> Result<String, NameError> {
    if typed.is_empty() {
        return Err(NameError::Empty);
    }
    if typed.len() > TYPED_BYTES_MAX {
        return Err(NameError::TooLong);
    }
    // RFC 8265 composes last; composing here as well lets in what some systems type decomposed, such as Hangul.
    let composed: String = typed.nfc().collect();
    check_signs(&composed)?;
    let display =
        UsernameCasePreserved::enforce(composed.as_str()).map_err(|_| why_not(&composed))?.into_owned();
    // Width mapping may have made them of their wide forms.
    check_signs(&display)?;
    check_size(&display)?;
    Ok(display)
}

/// The key of a display form. RFC 8264, section 7 asks for repeating the rules until nothing changes, so that the
/// key of a key is itself.
fn case_map(display: &str) -> Result<String, NameError> {
    let mut key = display.to_owned();
    for _ in 0..3 {
        let mapped = UsernameCaseMapped::enforce(key.as_str()).map_err(|_| why_not(&key))?;
        if mapped == key {
            check_size(&key)?;
            return Ok(key);
        }
        key = mapped.into_owned();
    }
    Err(NameError::Character)
}

fn check_signs(name: &str) -> Result<(), NameError> {
    for c in name.chars() {
        if c.is_whitespace() {
            return Err(NameError::WhiteSpace);
        }
        if SEPARATORS.contains(&c) {
            return Err(NameError::Separator(c));
        }
        // RFC 8265 allows joiners in some places; they are invisible, so names go without.
        if c.is_control() || text::is_joiner(c) || text::is_hidden(c) {
            return Err(NameError::Character);
        }
    }
    Ok(())
}

fn check_size(name: &str) -> Result<(), NameError> {
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(NameError::TooLong);
    }
    if name.starts_with(is_combining_mark) || longest_run_of_marks(name) > text::MARKS_MAX {
        return Err(NameError::Malformed);
    }
    Ok(())
}

fn longest_run_of_marks(name: &str) -> usize {
    name.split(|c| !is_combining_mark(c)).map(|marks| marks.chars().count()).max().unwrap_or(0)
}

/// PRECIS says only that something is wrong: what each character alone passes, only the order can spoil.
fn why_not(name: &str) -> NameError {
    let mut buffer = [0; 4];
    let alone = |c: char| UsernameCasePreserved::prepare(&*c.encode_utf8(&mut buffer)).is_ok();
    if name.chars().all(alone) { NameError::Direction } else { NameError::Character }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(typed: &str) -> Name {
        Name::parse(typed).unwrap_or_else(|error| panic!("{typed:?}: {error}"))
    }

    #[test]
    fn case_and_width_do_not_count() {
        for (typed, display, key) in [
            ("hans", "hans", "hans"),
            ("HANS", "HANS", "hans"),
            ("Hans.v-1_2", "Hans.v-1_2", "hans.v-1_2"),
            ("A+b!", "A+b!", "a+b!"),
            ("Jürgen", "Jürgen", "jürgen"),
            ("Ju\u{308}RGEN", "JüRGEN", "jürgen"),
            ("STRAẞE", "STRAẞE", "straße"),
            ("Ｈａｎｓ", "Hans", "hans"),
            ("ｶﾞﾝ", "ガン", "ガン"),
            ("ИВАН", "ИВАН", "иван"),
            ("田中さん", "田中さん", "田中さん"),
            ("\u{1112}\u{1161}\u{11ab}", "한", "한"),
            ("عمر", "عمر", "عمر"),
            ("İ", "İ", "i\u{307}"),
        ] {
            let name = name(typed);
            assert_eq!((name.display(), name.key()), (display, key), "{typed:?}");
        }
    }

    #[test]
    fn what_is_no_name_says_why() {
        for (typed, why) in [
            ("", NameError::Empty),
            ("a b", NameError::WhiteSpace),
            (" hans", NameError::WhiteSpace),
            ("hans\u{a0}", NameError::WhiteSpace),
            ("a\u{3000}b", NameError::WhiteSpace),
            ("a\nb", NameError::WhiteSpace),
            ("a:b", NameError::Separator(':')),
            ("a：b", NameError::Separator(':')),
            ("(a)", NameError::Separator('(')),
            ("a)", NameError::Separator(')')),
            ("a@b", NameError::Separator('@')),
            ("/a", NameError::Separator('/')),
            ("a\\b", NameError::Separator('\\')),
            ("a\0b", NameError::Character),
            ("a\u{1b}b", NameError::Character),
            ("a\u{9b}", NameError::Character),
            ("ha\u{200d}ns", NameError::Character),
            ("\u{915}\u{94d}\u{200d}\u{937}", NameError::Character),
            ("ha\u{ad}ns", NameError::Character),
            ("ha\u{202e}ns", NameError::Character),
            ("ha\u{e0041}ns", NameError::Character),
            ("\u{3164}", NameError::Character),
            ("\u{2800}", NameError::Character),
            ("\u{ffff}", NameError::Character),
            ("henry\u{2163}", NameError::Character),
            ("\u{265a}", NameError::Character),
            ("\u{1f600}", NameError::Character),
            ("abc\u{5d0}", NameError::Direction),
            ("\u{301}a", NameError::Malformed),
        ] {
            assert_eq!(Name::parse(typed), Err(why), "{typed:?}");
        }
    }

    #[test]
    fn length_is_counted_in_characters() {
        for letter in ["a", "+", "ü", "u\u{308}", "田", "\u{20000}"] {
            assert!(Name::parse(&letter.repeat(32)).is_ok(), "{letter}");
            assert_eq!(Name::parse(&letter.repeat(33)), Err(NameError::TooLong), "{letter}");
        }
        assert_eq!(Name::parse(&"a".repeat(1 << 20)), Err(NameError::TooLong));
        // Its case-mapped form is twice as long.
        assert_eq!(Name::parse(&"İ".repeat(32)), Err(NameError::TooLong));
        assert!(Name::parse(&format!("x{}", "\u{323}".repeat(8))).is_ok());
        assert_eq!(Name::parse(&format!("x{}", "\u{323}".repeat(10))), Err(NameError::Malformed));
    }

    #[test]
    fn names_that_look_alike_have_one_skeleton() {
        for (one, other, alike) in [
            ("user1", "user2", false),
            ("user1", "userl", true),
            ("user1", "userI", true),
            ("u10", "ulO", true),
            ("bob", "b0b", true),
            ("BOB", "b0b", true),
            ("modern", "modem", true),
            ("max", "rnax", true),
            ("Ian", "lan", true),
            ("ian", "lan", false),
            ("alice", "alicia", false),
            ("alice", "bob", false),
            ("hans", "hаns", true),
            ("Pay", "рау", true),
            ("scope", "ѕсоре", true),
            ("ali", "all", false),
            ("müller", "muller", false),
            ("a.b", "a-b", false),
            ("a_b", "a-b", false),
        ] {
            assert_eq!(name(one).skeleton() == name(other).skeleton(), alike, "{one} {other}");
        }
    }

    #[test]
    fn what_may_be_registered() {
        for (typed, result) in [
            ("hans", Ok(())),
            ("a+b!", Ok(())),
            ("Jürgen", Ok(())),
            ("jürgen+müller", Ok(())),
            ("иван", Ok(())),
            ("田中さん", Ok(())),
            ("タナカtanaka", Ok(())),
            ("김철수kim", Ok(())),
            ("admins", Ok(())),
            ("Admin", Err(NameError::Reserved)),
            ("SERVER", Err(NameError::Reserved)),
            ("systern", Err(NameError::Reserved)),
            ("adm1n", Err(NameError::Reserved)),
            ("ADMlN", Err(NameError::Reserved)),
            ("sуstem", Err(NameError::Reserved)),
            ("hаns", Err(NameError::MixedScripts)),
            ("αlpha", Err(NameError::MixedScripts)),
            ("タナカиван", Err(NameError::MixedScripts)),
            ("\u{16a0}\u{16a1}", Err(NameError::Character)),
        ] {
            assert_eq!(name(typed).check_registrable(), result, "{typed:?}");
        }
    }

    #[test]
    fn reasons_are_for_a_person() {
        for (error, text) in [
            (NameError::Reserved, "it is reserved"),
            (NameError::Separator(':'), "it contains :"),
            (NameError::TooLong, "it is longer than 32 characters"),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn plain_names_follow_the_rules_too(typed in "[a-zA-Z0-9._-]{1,32}") {
            let name = name(&typed);
            prop_assert_eq!(name.display(), prepare(&typed).unwrap());
            prop_assert_eq!(name.key(), case_map(&typed).unwrap());
        }

        #[test]
        fn every_form_is_stable(typed in "\\PC{1,8}|[\\p{L}\\p{M}\\p{N}]{1,12}") {
            if let Ok(name) = Name::parse(&typed) {
                prop_assert_eq!(Name::parse(name.display()), Ok(name.clone()));
                let of_key = Name::parse(name.key()).unwrap();
                prop_assert_eq!(of_key.key(), name.key());
                prop_assert_eq!(of_key.display(), name.key());
                prop_assert_eq!(text::visible_line(name.display()), name.display());
                let _ = (name.skeleton(), name.check_registrable());
            }
        }
    }
}
