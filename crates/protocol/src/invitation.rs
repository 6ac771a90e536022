//! Invitations to register, as people pass them on: read aloud, typed, or pasted.
//!
//! A code is 128 random bits and a check number, in Crockford's base 32 (<https://www.crockford.com/base32.html>):
//! `7K3Q-X9M2-TA4V-8ZP0-C6HD-RW5N-S1B8`. Case, hyphens and blanks do not matter, `O` is 0, `I` and `L` are 1. Whoever
//! pastes has the whole: `hobnob-invite:CODE@SHA256:…`, which also says which key the server has.

use std::{fmt, str::FromStr};

/// Bytes of a code.
pub const CODE_BYTES: usize = 16;

/// What stands before an invitation that is passed on as a whole.
const PREFIX: &str = "hobnob-invite:";
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const DIGITS_COUNT: usize = 28;
const GROUP: usize = 4;
/// The check number is the remainder by the largest prime below 2¹²: one wrong digit changes it, and so do two
/// that have changed places, since neither a digit nor 31 times one is a multiple of it.
const CHECK_PRIME: u128 = 4093;
const CHECK_BITS: u32 = 12;
/// Base64 digits of a SHA-256.
const HASH_DIGITS: usize = 43;

/// The secret of an invitation. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(pub [u8; CODE_BYTES]);

/// What a newcomer was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The secret.
    pub code: Code,
    /// The fingerprint of the server it is for, `SHA256:…`, where it says that.
    pub key: Option<String>,
}

/// It is no invitation: something is missing, too much, or mistyped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no invitation")]
pub struct NoInvitation;

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = u128::from_be_bytes(self.0);
        let check = value % CHECK_PRIME;
        for place in 0..DIGITS_COUNT {
            if place > 0 && place % GROUP == 0 {
                f.write_str("-")?;
            }
            // 140 bits, five at a time: the check number is the lowest twelve, and 128 of the value above.
            let low = 5 * (DIGITS_COUNT - 1 - place) as u32;
            let bits = match low.checked_sub(CHECK_BITS) {
                Some(shift) => value >> shift,
                None => value << (CHECK_BITS - low) | check >> low,
            };
            write!(f, "{}", char::from(DIGITS[(bits & 31) as usize]))?;
        }
        Ok(())
    }
}

impl FromStr for Code {
    type Err = NoInvitation;

    fn from_str(typed: &str) -> Result<Self, NoInvitation> {
        let (mut value, mut check, mut count) = (0_u128, 0_u128, 0);
        for sign in typed.chars().filter(|sign| *sign != '-' && !sign.is_whitespace()) {
            let digit = digit(sign).ok_or(NoInvitation)?;
            if count == DIGITS_COUNT {
                return Err(NoInvitation);
            }
            // What moves out of the check number moves into the value.
            check = check << 5 | digit;
            value = value << 5 | check >> CHECK_BITS;
            check &= (1 << CHECK_BITS) - 1;
            count += 1;
        }
        if count < DIGITS_COUNT || check != value % CHECK_PRIME {
            return Err(NoInvitation);
        }
        Ok(Self(value.to_be_bytes()))
    }
}

fn digit(sign: char) -> Option<u128> {
    let sign = match sign.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        sign => sign,
    };
    DIGITS.iter().position(|digit| char::from(*digit) == sign).map(|place| place as u128)
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.code)?;
        self.key.as_ref().map_or(Ok(()), |key| write!(f, "@{key}"))
    }
}

impl FromStr for Invitation {
    type Err = NoInvitation;

    fn from_str(typed: &str) -> Result<Self, NoInvitation> {
        let typed = typed.trim();
        let rest = match typed.split_at_checked(PREFIX.len()) {
            Some((head, rest)) if head.eq_ignore_ascii_case(PREFIX) => rest,
            _ => typed,
        };
        let (code, key) = match rest.split_once('@') {
            Some((code, key)) if is_fingerprint(key) => (code, Some(key.to_owned())),
            Some(_) => return Err(NoInvitation),
            None => (rest, None),
        };
        Ok(Self { code: code.parse()?, key })
    }
}

/// Whether this is written as [`fingerprint`](crate::fingerprint) writes it.
fn is_fingerprint(text: &str) -> bool {
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let hash = text.strip_prefix("SHA256:");
    hash.is_some_and(|hash| hash.len() == HASH_DIGITS && hash.bytes().all(base64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> String {
        crate::fingerprint(&[7; 32])
    }

    #[test]
    fn codes_are_written_in_groups() {
        assert_eq!(Code([0; CODE_BYTES]).to_string(), "0000-0000-0000-0000-0000-0000-0000");
        // Worked out with another program: (2^128 - 1) * 4096 + (2^128 - 1) mod 4093.
        assert_eq!(Code([0xff; CODE_BYTES]).to_string(), "ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZX26");
        let counting = std::array::from_fn(|place| place as u8);
        assert_eq!(Code(counting).to_string(), "000G-40R4-0M30-E209-185G-R38E-1XHC");
    }

    #[test]
    fn codes_are_read_as_people_type_them() {
        let code = Code([0; CODE_BYTES]);
        for typed in [
            "0000000000000000000000000000",
            " oooo OOOO-0000 0000--0000-0000-0000\t",
            "0000-0000-0000-0000-0000-0000-0000",
        ] {
            assert!(typed.parse::<Code>() == Ok(code.clone()), "{typed}");
        }
        let one = Code(1_u128.to_be_bytes());
        for end in ["0401", "o4O1", "O4oL", "040i", "04-0 l"] {
            let typed = format!("{}{end}", "0".repeat(24));
            assert!(typed.parse::<Code>() == Ok(one.clone()), "{typed}");
        }
        for wrong in [
            "",
            "0",
            "0000-0000-0000-0000-0000-0000-000",
            "0000-0000-0000-0000-0000-0000-0000-0",
            "0000-0000-0000-0000-0000-0000-000U",
            "0000-0000-0000-0000-0000-0000-0001",
            "0000-0000-0000-0000-0000-0000-00\u{660}0",
            "0000/0000-0000-0000-0000-0000-0000",
        ] {
            assert_eq!(wrong.parse::<Code>(), Err(NoInvitation), "{wrong}");
        }
        assert_eq!("9".repeat(1_000_000).parse::<Code>(), Err(NoInvitation));
    }

    #[test]
    fn an_invitation_may_name_the_key_of_its_server() {
        let (code, key) = (Code([0xab; CODE_BYTES]), key());
        let whole = Invitation { code: code.clone(), key: Some(key.clone()) };
        assert_eq!(whole.to_string(), format!("hobnob-invite:{code}@{key}"));
        for typed in [format!(" {whole}\n"), format!("{code}@{key}"), format!("HOBNOB-INVITE:{code}@{key}")] {
            assert_eq!(typed.parse(), Ok(whole.clone()), "{typed}");
        }
        let bare = Invitation { code: code.clone(), key: None };
        assert_eq!(bare.to_string().parse(), Ok(bare.clone()));
        assert_eq!(code.to_string().parse(), Ok(bare));
        for wrong in [
            format!("{code}@"),
            format!("{code}@SHA256:x"),
            format!("{code}@{key}A"),
            format!("{code}@{}", key.to_lowercase()),
            format!("@{key}"),
            format!("{code}@{key}@{key}"),
            format!("hobnob-invite:hobnob-invite:{code}"),
        ] {
            assert_eq!(wrong.parse::<Invitation>(), Err(NoInvitation), "{wrong}");
        }
    }

    #[test]
    fn debug_shows_no_code() {
        let code = Code([0xab; CODE_BYTES]);
        let shown = format!("{:?}", Invitation { code: code.clone(), key: None });
        assert!(!shown.contains("171") && !shown.contains(&code.to_string()[..4]), "{shown}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes: [u8; CODE_BYTES]) {
            prop_assert!(Code(bytes).to_string().parse::<Code>() == Ok(Code(bytes)));
        }

        #[test]
        fn a_mistyped_digit_is_noticed(bytes: [u8; CODE_BYTES], place in 0..DIGITS_COUNT, by in 1..32_usize) {
            let mut signs: Vec<char> = Code(bytes).to_string().replace('-', "").chars().collect();
            let old = digit(signs[place]).unwrap() as usize;
            signs[place] = char::from(DIGITS[(old + by) % 32]);
            let typed: String = signs.iter().collect();
            prop_assert_eq!(typed.parse::<Code>(), Err(NoInvitation));
            let at = place.min(DIGITS_COUNT - 2);
            let mut signs: Vec<char> = Code(bytes).to_string().replace('-', "").chars().collect();
            signs.swap(at, at + 1);
            let typed: String = signs.iter().collect();
            prop_assert_eq!(typed.parse::<Code>().is_err(), signs[at] != signs[at + 1]);
        }

        #[test]
        fn nothing_typed_panics(typed in ".{0,80}") {
            let _ = typed.parse::<Invitation>();
        }
    }
}
