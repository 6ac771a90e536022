//! How wild a run is, drawn from its seed.

use std::time::Duration;

use crate::chance::Chance;

/// How often what goes wrong. Counts are per thousand where nothing else is said.
#[derive(Clone, Debug)]
pub(crate) struct Mood {
    pub(crate) people: usize,
    /// How long things go wrong.
    pub(crate) trouble: Duration,
    /// Milliseconds between two commands of one person, at most.
    pub(crate) typing_ms: u64,
    /// Commands of one person, at most.
    pub(crate) typed_max: u64,
    /// Messages at which a person looks away for up to a minute.
    pub(crate) distracted: u64,
    /// Milliseconds between two troubles of the big kind, at most.
    pub(crate) trouble_ms: u64,
    /// Connections that break at some frame.
    pub(crate) doomed: u64,
    /// Of those, the ones that break without a sign.
    pub(crate) silent: u64,
    /// Frames that take seconds.
    pub(crate) stalled: u64,
    /// Tries to connect that never end.
    pub(crate) hanging_connect: u64,
    pub(crate) lost_wake: u64,
    pub(crate) doubled_wake: u64,
    pub(crate) late_wake: u64,
    /// Transactions after which the server dies before anybody is told.
    pub(crate) crash_after_commit: u64,
    /// Wake-ups instead of which the server dies.
    pub(crate) crash_at_wake: u64,
    /// Transactions that fail.
    pub(crate) failed_write: u64,
    /// Reads of a stream that fail.
    pub(crate) failed_read: u64,
    /// Writes of the outbox in which the client dies.
    pub(crate) client_write_crash: u64,
    /// Entries that a connection loses on the way, as none does: the client has to see the gap.
    pub(crate) lost_entry: u64,
    /// Messages that one inbox holds unread.
    pub(crate) inbox_entries: u64,
    pub(crate) send_rate: Option<u32>,
}

impl Mood {
    pub(crate) fn new(seed: u64) -> Self {
        let chance = Chance::new(seed, "mood");
        // Each kind of trouble is there in some runs only, so that they do not drown each other.
        let some = |at_most: u64| if chance.per_mille(600) { chance.within(1..=at_most) } else { 0 };
        // In a long run people go offline and come back, more than once.
        let long = chance.per_mille(200);
        let trouble = if long { chance.ms(150_000..=400_000) } else { chance.ms(10_000..=40_000) };
        let typing_ms =
            *chance.pick(if long { &[4_000, 8_000, 15_000] } else { &[40, 200, 600, 2_000, 5_000] });
        Self {
            people: chance.within(2..=5) as usize,
            trouble,
            typing_ms,
            typed_max: *chance.pick(&[20, 60, 60, 200]),
            distracted: some(4),
            trouble_ms: *chance.pick(&[3_000, 8_000, 20_000]),
            doomed: some(700),
            silent: some(500),
            stalled: some(15),
            hanging_connect: some(60),
            lost_wake: 100,
            doubled_wake: some(100),
            late_wake: some(100),
            crash_after_commit: some(6),
            crash_at_wake: some(6),
            failed_write: some(20),
            failed_read: some(10),
            client_write_crash: some(10),
            lost_entry: some(40),
            inbox_entries: *chance.pick(&[10_000, 10_000, 10_000, 12]),
            send_rate: *chance.pick(&[Some(50), Some(50), None, Some(3)]),
        }
    }
}
