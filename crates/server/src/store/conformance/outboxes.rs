//! Outboxes and their outcomes.

use super::super::{OUTCOMES_KEPT, OutboxId, OutboxState, Outcome, Store};
use super::{fail, people, write};

fn outcome(number: u64) -> Outcome {
    let n = u8::try_from(number % 251).unwrap();
    Outcome { code: n % 16, hash: [n, 0, 255, n] }
}

fn add(store: &dyn Store, outbox: OutboxId, numbers: std::ops::RangeInclusive<u64>) {
    write(store, |tx| numbers.clone().try_for_each(|number| tx.add_outcome(outbox, outcome(number))));
}

pub(super) fn outcomes_are_remembered(store: &dyn Store) {
    let [ann] = people(store, ["ann"]);
    let outbox = write(store, |tx| tx.outbox(ann, b"box"));
    assert_eq!(write(store, |tx| tx.outbox_state(outbox)), OutboxState::default());
    add(store, outbox, 1..=1);
    add(store, outbox, 2..=3);
    let expected = OutboxState { last_number: 3, outcomes: (1..=3).map(outcome).collect() };
    assert_eq!(write(store, |tx| tx.outbox_state(outbox)), expected);
    write(store, |tx| {
        tx.add_outcome(outbox, outcome(4))?;
        assert_eq!(tx.outbox_state(outbox)?.last_number, 4);
        Ok(())
    });
    assert_eq!(write(store, |tx| tx.outbox(ann, b"box")), outbox);
}

pub(super) fn the_window_is_bounded(store: &dyn Store) {
    let [ann] = people(store, ["ann"]);
    let outbox = write(store, |tx| tx.outbox(ann, b"box"));
    let kept = OUTCOMES_KEPT as u64;
    add(store, outbox, 1..=kept);
    assert_eq!(write(store, |tx| tx.outbox_state(outbox)).outcomes[0], outcome(1));
    add(store, outbox, kept + 1..=kept + 1);
    assert_eq!(write(store, |tx| tx.outbox_state(outbox)).outcomes[0], outcome(2));
    add(store, outbox, kept + 2..=300);
    let expected = OutboxState { last_number: 300, outcomes: (301 - kept..=300).map(outcome).collect() };
    assert_eq!(write(store, |tx| tx.outbox_state(outbox)), expected);
}

pub(super) fn outboxes_belong_to_accounts(store: &dyn Store) {
    let [ann, bob] = people(store, ["ann", "bob"]);
    let all =
        write(store, |tx| Ok([tx.outbox(ann, b"box")?, tx.outbox(bob, b"box")?, tx.outbox(ann, b"other")?]));
    assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
    add(store, all[1], 1..=2);
    let last = |outbox| write(store, |tx| tx.outbox_state(outbox)).last_number;
    assert_eq!(all.map(last), [0, 2, 0]);
}

pub(super) fn a_failed_transaction_leaves_outcomes(store: &dyn Store) {
    let [ann] = people(store, ["ann"]);
    let outbox = write(store, |tx| tx.outbox(ann, b"box"));
    add(store, outbox, 1..=2);
    let before = write(store, |tx| tx.outbox_state(outbox));
    fail(store, |tx| tx.add_outcome(outbox, outcome(3)));
    assert_eq!(write(store, |tx| tx.outbox_state(outbox)), before);
    fail(store, |tx| tx.outbox(ann, b"other").map(|_| ()));
    add(store, outbox, 3..=3);
    assert_eq!(write(store, |tx| tx.outbox_state(outbox)).last_number, 3);
}

pub(super) fn unknown_outboxes_are_errors(store: &dyn Store) {
    assert!(store.write(&mut |tx| tx.outbox_state(OutboxId(99)).map(|_| ())).is_err());
    assert!(store.write(&mut |tx| tx.add_outcome(OutboxId(99), outcome(1))).is_err());
}
