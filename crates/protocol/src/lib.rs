//! What goes over the wire between hobnob's programs, and what bounds it. No runtime, no socket, no clock.

pub mod backoff;
pub mod close;
pub mod codec;
pub mod invitation;
pub mod limits;
pub mod name;
mod redact;
pub mod text;

/// The wire schema, version 1, compiled from `proto/hobnob/v1`.
#[allow(missing_docs, reason = "generated; the schema documents its fields")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/hobnob.v1.rs"));
}

/// The protocol version that this crate speaks.
pub const VERSION: u32 = 1;

/// The path of the WebSocket.
pub const CONNECT_PATH: &str = "/v1/connect";

/// A key's hash as people compare it: `SHA256:` and base64 without padding, as `ssh` prints it.
#[must_use]
pub fn fingerprint(sha256: &[u8; 32]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = "SHA256:".to_owned();
    for bytes in sha256.chunks(3) {
        let number =
            bytes.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - bytes.len()));
        for place in 0..=bytes.len() {
            text.push(char::from(ALPHABET[(number >> (18 - 6 * place)) as usize & 63]));
        }
    }
    text
}

/// What a device signs at login: proof that it holds its key, bound to this connection (`nonce`), this user
/// (`name`, byte for byte as in the login) and this server (`server_key`), so that it is worth nothing anywhere else.
#[must_use]
pub fn device_challenge(nonce: &[u8], name: &str, server_key: &[u8]) -> Vec<u8> {
    let mut challenge = b"hobnob device login v1\0".to_vec();
    for part in [nonce, name.as_bytes(), server_key] {
        challenge.extend_from_slice(&(part.len() as u32).to_be_bytes());
        challenge.extend_from_slice(part);
    }
    challenge
}

/// What stands before a ticket where it is signed, so that the signature is worth nothing for anything else.
pub const TICKET_DOMAIN: &[u8] = b"hobnob file ticket v1\0";

#[cfg(test)]
mod tests {
    #[test]
    fn a_fingerprint_is_written_as_by_ssh() {
        let hash: Vec<u8> = (0..32).map(|byte| byte * 7).collect();
        let text = super::fingerprint(&hash.try_into().unwrap());
        assert_eq!(text, "SHA256:AAcOFRwjKjE4P0ZNVFtiaXB3foWMk5qhqK+2vcTL0tk");
    }
}
