//! What a content is called: the plain BLAKE3 of it, which `b3sum` prints too.

use std::fmt;
use std::str::FromStr;

/// Digits that a person is shown of an id.
pub const SHORT_DIGITS: usize = 12;

/// The BLAKE3 hash of a file's content. It is shown by its first 12 digits; the alternate form `{:#}` shows all 64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId([u8; 32]);

/// A text that is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a file: 64 hexadecimal digits are needed")]
pub struct NotAnId;

impl ContentId {
    /// The id with these bytes, as they come over the wire.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The id of a content that is at hand as a whole.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(*blake3::hash(content).as_bytes())
    }

    /// For the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether the id begins with these hexadecimal digits, of either case. No digits fit no id, and neither does
    /// anything else that is not made of digits.
    #[must_use]
    pub fn begins_with(&self, digits: &str) -> bool {
        let all = format!("{self:#}");
        !digits.is_empty() && all.get(..digits.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(digits))
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if f.alternate() { self.0.len() } else { SHORT_DIGITS / 2 };
        self.0[..shown].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentId({self})")
    }
}

impl FromStr for ContentId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let digits = text.as_bytes();
        let digit = |at: usize| char::from(digits[at]).to_digit(16).ok_or(NotAnId);
        if digits.len() != 64 {
            return Err(NotAnId);
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = (digit(2 * at)? << 4 | digit(2 * at + 1)?) as u8;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `b3sum` prints of an empty file.
    const NOTHING: &str = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

    #[test]
    fn it_is_shown_short_and_whole() {
        let id = ContentId::of(b"");
        assert_eq!(id.to_string(), "af1349b9f5f9");
        assert_eq!(format!("{id:#}"), NOTHING);
        assert_eq!(format!("{id:?}"), "ContentId(af1349b9f5f9)");
        assert_eq!(NOTHING.parse(), Ok(id));
        assert_eq!(NOTHING.to_uppercase().parse(), Ok(id));
        assert_eq!(ContentId::from_bytes(*id.as_bytes()), id);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let long = format!("{NOTHING}0");
        let odd = NOTHING.replacen('a', "g", 1);
        let wide = format!("{}é", &NOTHING[..62]);
        for text in ["", "af1349b9f5f9", &NOTHING[1..], &long, &odd, &wide] {
            assert_eq!(text.parse::<ContentId>(), Err(NotAnId), "{text:?}");
        }
    }

    #[test]
    fn a_person_types_its_first_digits() {
        let id = ContentId::of(b"");
        for (digits, fits) in [
            ("a", true),
            ("af1349b9f5f9", true),
            ("AF13", true),
            (NOTHING, true),
            ("", false),
            ("b", false),
            ("af1349b9f5fa", false),
            ("é", false),
            ("af134é", false),
            (&format!("{NOTHING}0"), false),
        ] {
            assert_eq!(id.begins_with(digits), fits, "{digits:?}");
        }
    }
}
