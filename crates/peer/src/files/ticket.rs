//! The server's word that somebody may fetch a file: a `Ticket`, and the server's signature (Ed25519) of
//! [`TICKET_DOMAIN`] and its bytes.

use std::time::{SystemTime, UNIX_EPOCH};

use hobnob_protocol::{TICKET_DOMAIN, v1};
use prost::Message;
use ring::signature::{ED25519, UnparsedPublicKey};

use super::event::Content;

/// Longest ticket, in bytes.
const TICKET_BYTES_MAX: usize = 1024;

/// Why a ticket opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Worthless {
    /// Not the server's signature.
    #[error("not signed by the server")]
    Forged,
    /// Nonsense that the server has signed.
    #[error("no ticket")]
    Nonsense,
    /// It was given to another device.
    #[error("somebody else's ticket")]
    Others,
    /// It is for another file.
    #[error("a ticket for another file")]
    OtherFile,
    /// Its time is over.
    #[error("an old ticket")]
    Expired,
}

/// What a good ticket says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Right {
    /// What may be fetched.
    pub(super) content: Content,
    /// By whom.
    pub(super) user: String,
    /// Until then, in ms since 1970.
    pub(super) expires_ms: i64,
}

/// What the ticket says, for who has proven `key`, if it is good for what is to be opened at this time, in ms since
/// 1970.
pub(super) fn check(
    open: &v1::FileOpen,
    server: &[u8; 32],
    key: &[u8; 32],
    now_ms: i64,
) -> Result<Right, Worthless> {
    if open.ticket.len() > TICKET_BYTES_MAX {
        return Err(Worthless::Nonsense);
    }
    UnparsedPublicKey::new(&ED25519, server)
        .verify(&[TICKET_DOMAIN, &open.ticket].concat(), &open.signature)
        .map_err(|_| Worthless::Forged)?;
    let ticket = v1::Ticket::decode(open.ticket.as_ref()).map_err(|_| Worthless::Nonsense)?;
    if ticket.key.as_ref() != key {
        return Err(Worthless::Others);
    }
    if ticket.id != open.id || ticket.size != open.size {
        return Err(Worthless::OtherFile);
    }
    if ticket.expires_ms <= now_ms {
        return Err(Worthless::Expired);
    }
    let content = v1::Content { id: open.id.clone(), size: open.size };
    let content = Content::of_wire(&content).ok_or(Worthless::Nonsense)?;
    Ok(Right { content, user: ticket.user, expires_ms: ticket.expires_ms })
}

/// Now, in ms since 1970.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair};

    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn open(change: impl FnOnce(&mut v1::Ticket), seed: u8) -> v1::FileOpen {
        let id = vec![1; 32];
        let mut ticket = v1::Ticket {
            key: KEY.to_vec().into(),
            user: "yoda".to_owned(),
            id: id.clone().into(),
            size: 5,
            expires_ms: 1000,
        };
        change(&mut ticket);
        let ticket = ticket.encode_to_vec();
        let signed = [TICKET_DOMAIN, &ticket].concat();
        let signature = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap().sign(&signed);
        v1::FileOpen {
            id: id.into(),
            size: 5,
            ticket: ticket.into(),
            signature: signature.as_ref().to_vec().into(),
        }
    }

    fn checked(open: &v1::FileOpen, now_ms: i64) -> Result<String, Worthless> {
        let server = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let server = server.public_key().as_ref().try_into().unwrap();
        check(open, &server, &KEY, now_ms).map(|right| right.user)
    }

    #[test]
    fn only_what_the_server_has_signed_for_this_key_and_file_is_good_and_for_its_time() {
        assert_eq!(checked(&open(|_| {}, 1), 999), Ok("yoda".to_owned()));
        assert_eq!(checked(&open(|_| {}, 1), 1000), Err(Worthless::Expired));
        assert_eq!(checked(&open(|_| {}, 2), 0), Err(Worthless::Forged));
        assert_eq!(checked(&open(|ticket| ticket.key = vec![8; 32].into(), 1), 0), Err(Worthless::Others));
        assert_eq!(checked(&open(|ticket| ticket.size = 6, 1), 0), Err(Worthless::OtherFile));
        assert_eq!(checked(&open(|ticket| ticket.id = vec![2; 32].into(), 1), 0), Err(Worthless::OtherFile));
        let mut long = open(|ticket| ticket.user = "x".repeat(2000), 1);
        assert_eq!(checked(&long, 0), Err(Worthless::Nonsense));
        long.ticket = vec![0xff; 10].into();
        assert_eq!(checked(&long, 0), Err(Worthless::Forged));
    }
}
