//! What may be pushed on a connection: entry n+1 of a stream only after n.

/// What to do with an entry that was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It is the next: push it.
    Push,
    /// The connection has it.
    Old,
    /// Something before it is missing: read the stream from the store.
    Missing,
}

/// How far one stream is pushed on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent(pub u64);

impl Sent {
    /// Judges an entry by its number.
    #[must_use]
    pub fn offer(self, seq: u64) -> Offer {
        match seq {
            seq if seq <= self.0 => Offer::Old,
            seq if seq == self.0 + 1 => Offer::Push,
            _ => Offer::Missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_is_pushed() {
        for (seq, expected) in [(1, Offer::Old), (4, Offer::Old), (5, Offer::Push), (6, Offer::Missing)] {
            assert_eq!(Sent(4).offer(seq), expected, "{seq}");
        }
    }
}
