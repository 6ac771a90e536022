//! An outbox as the writer remembers it.

use std::collections::VecDeque;

use super::super::{OUTCOMES_KEPT, OutboxState, Outcome};

/// Bytes of an outcome where it is stored.
const OUTCOME_BYTES: usize = 5;

/// The highest number that was judged, and the last outcomes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outbox {
    pub(super) last_number: u64,
    outcomes: VecDeque<Outcome>,
    /// Numbers that this transaction has added.
    added: u64,
    /// The row is of an earlier state.
    pub(super) behind: bool,
}

impl Outbox {
    /// Of a row that is damaged the number is kept, and no outcome: what comes again is stale then, and it goes on.
    pub(super) fn from_row(last_number: u64, outcomes: &[u8]) -> Self {
        let outcomes =
            decode(outcomes).map(Iterator::collect).filter(|all: &VecDeque<_>| all.len() <= OUTCOMES_KEPT);
        let outcomes = outcomes.unwrap_or_else(|| {
            tracing::error!(last_number, "the outcomes of an outbox are damaged and forgotten");
            VecDeque::new()
        });
        Self { last_number, outcomes, added: 0, behind: false }
    }

    pub(super) fn state(&self) -> OutboxState {
        OutboxState { last_number: self.last_number, outcomes: self.outcomes.iter().copied().collect() }
    }

    /// Notes the outcome of the next number; `true` if it is the first of this transaction.
    pub(super) fn add(&mut self, outcome: Outcome) -> bool {
        self.push(outcome);
        self.added += 1;
        self.added == 1
    }

    fn push(&mut self, outcome: Outcome) {
        if self.outcomes.len() >= OUTCOMES_KEPT {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back(outcome);
        self.last_number += 1;
    }

    /// The outcomes that this transaction has added, as far as they are kept. After this it has added none.
    pub(super) fn take_added(&mut self) -> Vec<u8> {
        let added = usize::try_from(std::mem::take(&mut self.added)).unwrap_or(usize::MAX);
        let first = self.outcomes.len().saturating_sub(added);
        encode(self.outcomes.range(first..))
    }

    /// All outcomes, for the row.
    pub(super) fn encoded(&self) -> Vec<u8> {
        encode(self.outcomes.iter())
    }

    /// Takes over what a transaction had added, up to `last_number`; what is here already stays.
    /// What are no outcomes are none.
    pub(super) fn catch_up(&mut self, last_number: u64, added: &[u8]) {
        let added: Vec<Outcome> = decode(added).map(Iterator::collect).unwrap_or_default();
        let Some(missing) = last_number.checked_sub(self.last_number).filter(|missing| *missing > 0) else {
            return;
        };
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        if missing > added.len() {
            // The transaction added more than are kept.
            self.outcomes.clear();
        }
        added.iter().skip(added.len().saturating_sub(missing)).for_each(|outcome| self.push(*outcome));
        self.last_number = last_number;
    }
}

fn encode<'a>(outcomes: impl ExactSizeIterator<Item = &'a Outcome>) -> Vec<u8> {
    let mut blob = Vec::with_capacity(outcomes.len() * OUTCOME_BYTES);
    for outcome in outcomes {
        blob.push(outcome.code);
        blob.extend_from_slice(&outcome.hash);
    }
    blob
}

/// `None`: these are no outcomes.
fn decode(blob: &[u8]) -> Option<impl Iterator<Item = Outcome>> {
    let (outcomes, rest) = blob.as_chunks::<OUTCOME_BYTES>();
    let outcome = |&[code, a, b, c, d]: &[u8; OUTCOME_BYTES]| Outcome { code, hash: [a, b, c, d] };
    rest.is_empty().then(|| outcomes.iter().map(outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(n: u8) -> Outcome {
        Outcome { code: n % 16, hash: [n; 4] }
    }

    #[test]
    fn catching_up_gives_the_same_state_from_wherever_it_begins() {
        for steps in [[1, 2, 3], [64, 1, 70], [200, 0, 5], [3, 100, 64]] {
            let mut states = vec![Outbox::default()];
            let (mut outbox, mut journal, mut n) = (Outbox::default(), Vec::new(), 0_u8);
            for count in steps {
                for _ in 0..count {
                    n = n.wrapping_add(1);
                    outbox.add(outcome(n));
                }
                let added = outbox.take_added();
                journal.push((outbox.last_number, added));
                states.push(Outbox::from_row(outbox.last_number, &outbox.encoded()));
            }
            for mut state in states {
                for (last_number, added) in &journal {
                    state.catch_up(*last_number, added);
                }
                assert_eq!(state, outbox, "{steps:?}");
            }
        }
    }

    #[test]
    fn what_is_no_outbox_has_a_number_and_no_outcomes() {
        let none = |last_number| Outbox { last_number, ..Outbox::default() };
        assert_eq!(Outbox::from_row(3, &[0; 7]), none(3));
        assert_eq!(Outbox::from_row(70, &[0; 65 * OUTCOME_BYTES]), none(70));
        let mut outbox = Outbox::default();
        outbox.catch_up(1, &[0; 4]);
        assert_eq!(outbox, none(1));
    }
}
