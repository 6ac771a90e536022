//! WebSocket frames by hand, also such as no library would write, and random numbers from a seed.

/// A final frame's first byte, by what it carries.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
/// Takes the mark of the final frame away.
pub(crate) const MORE: u8 = 0x7f;

const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked frame.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, MASKED, payload.len() as u64);
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A frame as only a server may send it.
pub(crate) fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, 0, payload.len() as u64);
    bytes.extend_from_slice(payload);
    bytes
}

/// The beginning of a masked frame that says it is `len` bytes long.
pub(crate) fn promise(first: u8, len: u64) -> Vec<u8> {
    let mut bytes = header(first, MASKED, len);
    bytes.extend_from_slice(&MASK);
    bytes
}

/// A binary message in frames of `size` bytes.
pub(crate) fn fragments(payload: &[u8], size: usize) -> Vec<u8> {
    let count = payload.chunks(size).count();
    let fragment = |(place, part)| {
        let opcode = if place == 0 { BINARY } else { 0x80 };
        frame(if place + 1 == count { opcode } else { opcode & MORE }, part)
    };
    payload.chunks(size).enumerate().flat_map(fragment).collect()
}

fn header(first: u8, masked: u8, len: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match len {
        0..126 => bytes.push(masked | len as u8),
        126..65_536 => {
            bytes.push(masked | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            bytes.push(masked | 127);
            bytes.extend_from_slice(&len.to_be_bytes());
        }
    }
    bytes
}

/// Random numbers that are the same in every run (SplitMix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.draw() % bound as u64) as usize
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.draw() as u8).collect()
    }
}
