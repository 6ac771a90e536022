//! Who may come in, and how many at once before they have shown who they are. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use iroh::endpoint::VarInt;

/// Code of a connection that is closed because its key or its talk is not expected.
pub(super) const REFUSED: VarInt = VarInt::from_u32(1);

/// Handshakes under way at once with whoever came in directly.
const DIRECT_MAX: usize = 32;
/// Of these, from one address.
const ADDRESS_MAX: usize = 8;
/// From so many on, an address must first prove that it is the caller's.
const BUSY: usize = 8;
/// Handshakes under way at once with one key over the relay, which has checked the key.
const RELAYED_MAX: usize = 2;

/// Where somebody comes from who has not shown a key yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Directly; `proven`: the address is not forged.
    Direct {
        /// From there.
        address: IpAddr,
        /// It has answered.
        proven: bool,
    },
    /// Over the relay, which names the key.
    Relayed([u8; 32]),
}

/// What to do with a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    /// Let the handshake begin; `Porch::left` follows at its end.
    Enter,
    /// Let the address prove itself first.
    Prove,
    /// Nothing is begun.
    Refuse,
}

/// Those whose handshake is under way.
#[derive(Debug, Default)]
pub(super) struct Porch {
    direct: BTreeMap<IpAddr, usize>,
    relayed: BTreeMap<[u8; 32], usize>,
}

impl Porch {
    /// Somebody comes; `expected`: over the relay the key is expected, directly any key is.
    pub(super) fn enter(&mut self, caller: Caller, expected: bool) -> Ruling {
        if !expected {
            return Ruling::Refuse;
        }
        match caller {
            Caller::Relayed(key) => count(&mut self.relayed, key, RELAYED_MAX),
            Caller::Direct { address, proven } => {
                let under_way: usize = self.direct.values().sum();
                if under_way >= DIRECT_MAX {
                    Ruling::Refuse
                } else if under_way >= BUSY && !proven {
                    Ruling::Prove
                } else {
                    count(&mut self.direct, address, ADDRESS_MAX)
                }
            }
        }
    }

    /// How many have entered and not left.
    pub(super) fn under_way(&self) -> usize {
        self.direct.values().chain(self.relayed.values()).sum()
    }

    /// The handshake of somebody who entered is over.
    pub(super) fn left(&mut self, caller: Caller) {
        match caller {
            Caller::Relayed(key) => discount(&mut self.relayed, key),
            Caller::Direct { address, .. } => discount(&mut self.direct, address),
        }
    }
}

fn count<K: Ord>(counts: &mut BTreeMap<K, usize>, of: K, max: usize) -> Ruling {
    let now = counts.get(&of).copied().unwrap_or(0);
    if now >= max {
        return Ruling::Refuse;
    }
    counts.insert(of, now + 1);
    Ruling::Enter
}

fn discount<K: Ord>(counts: &mut BTreeMap<K, usize>, of: K) {
    if let Some(now) = counts.get_mut(&of) {
        *now -= 1;
        if *now == 0 {
            counts.remove(&of);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct(last: u8, proven: bool) -> Caller {
        Caller::Direct { address: IpAddr::from([192, 0, 2, last]), proven }
    }

    #[test]
    fn where_nobody_is_expected_nothing_is_begun() {
        let mut porch = Porch::default();
        assert_eq!(porch.enter(direct(1, true), false), Ruling::Refuse);
        assert_eq!(porch.enter(Caller::Relayed([1; 32]), false), Ruling::Refuse);
    }

    #[test]
    fn handshakes_are_bounded_for_each_address_and_together() {
        let mut porch = Porch::default();
        for _ in 0..ADDRESS_MAX {
            assert_eq!(porch.enter(direct(1, true), true), Ruling::Enter);
        }
        assert_eq!(porch.enter(direct(1, true), true), Ruling::Refuse);
        assert_eq!(porch.enter(direct(2, false), true), Ruling::Prove);
        for last in 2..=4 {
            for _ in 0..ADDRESS_MAX {
                assert_eq!(porch.enter(direct(last, true), true), Ruling::Enter);
            }
        }
        assert_eq!(porch.enter(direct(5, true), true), Ruling::Refuse);
        assert_eq!(
            porch.enter(Caller::Relayed([1; 32]), true),
            Ruling::Enter,
            "others do not fill the relay's places"
        );
    }

    #[test]
    fn a_key_over_the_relay_has_two_handshakes() {
        let mut porch = Porch::default();
        for _ in 0..RELAYED_MAX {
            assert_eq!(porch.enter(Caller::Relayed([1; 32]), true), Ruling::Enter);
        }
        assert_eq!(porch.enter(Caller::Relayed([1; 32]), true), Ruling::Refuse);
        porch.left(Caller::Relayed([1; 32]));
        assert_eq!(porch.enter(Caller::Relayed([1; 32]), true), Ruling::Enter);
    }

    #[test]
    fn who_has_left_leaves_nothing() {
        let mut porch = Porch::default();
        porch.enter(direct(1, false), true);
        porch.enter(Caller::Relayed([1; 32]), true);
        porch.left(direct(1, true));
        porch.left(Caller::Relayed([1; 32]));
        assert!(porch.direct.is_empty() && porch.relayed.is_empty());
    }
}
