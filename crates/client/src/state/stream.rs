//! One stream as its reader sees it: which entry comes next, and how far the entries were shown.

/// What to do with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// It is the next one: show it.
    Show,
    /// It is there already, or comes again.
    Ignore,
    /// One before it is missing: ask for what follows this number.
    Fetch(u64),
}

/// Where a stream stands.
///
/// Invariant: `shown <= received`, and `last_entry <= received`.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    /// Everything up to here was told to the user or holds nothing for them.
    received: u64,
    /// The last entry that was told; what follows it up to `received` holds nothing.
    last_entry: u64,
    /// Everything up to here was shown and noted.
    shown: u64,
    hole: Hole,
}

/// What is being done about a missing entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hole {
    None,
    /// It is asked for, by this request once it is sent. Until the reply, skips come from beyond the hole and mean
    /// nothing.
    Asked(Option<u64>),
}

impl Reader {
    pub(crate) fn new(at: u64) -> Self {
        Self { received: at, last_entry: at, shown: at, hole: Hole::None }
    }

    pub(crate) fn entry(&mut self, seq: u64) -> Take {
        if seq <= self.received {
            return Take::Ignore;
        }
        if seq - 1 == self.received {
            self.received = seq;
            self.last_entry = seq;
            return Take::Show;
        }
        if self.hole != Hole::None {
            return Take::Ignore;
        }
        self.hole = Hole::Asked(None);
        Take::Fetch(self.received)
    }

    /// Entries up to `upto` hold nothing. `from`: where that begins, if it is said.
    pub(crate) fn skip(&mut self, from: Option<u64>, upto: u64) {
        let joins = match from {
            Some(from) => from <= self.received.saturating_add(1),
            None => self.hole == Hole::None,
        };
        if joins && upto > self.received {
            self.received = upto;
            self.catch_up();
        }
    }

    /// The request by which the last hole is asked for.
    pub(crate) fn asked(&mut self, id: u64) {
        self.hole = Hole::Asked(Some(id));
    }

    /// A request was answered; if it was that one, the missing entries follow.
    pub(crate) fn answered(&mut self, id: u64) {
        if self.hole == Hole::Asked(Some(id)) {
            self.hole = Hole::None;
        }
    }

    /// An entry was shown.
    pub(crate) fn show(&mut self, seq: u64) {
        self.shown = self.shown.max(seq.min(self.received));
        self.catch_up();
    }

    /// The server goes on behind `at`: another device had what is before it, or it was told already.
    pub(crate) fn reopen(&mut self, at: u64) {
        self.hole = Hole::None;
        self.received = self.received.max(at);
        self.show(at);
    }

    pub(crate) fn shown(&self) -> u64 {
        self.shown
    }

    /// The last entry that was told and not yet shown.
    pub(crate) fn unshown(&self) -> Option<u64> {
        (self.last_entry > self.shown).then_some(self.last_entry)
    }

    fn catch_up(&mut self) {
        if self.shown >= self.last_entry {
            self.shown = self.received;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_in_order_once_each() {
        let mut reader = Reader::new(4);
        let table = [
            (4, Take::Ignore),
            (5, Take::Show),
            (5, Take::Ignore),
            (8, Take::Fetch(5)),
            (9, Take::Ignore),
            (6, Take::Show),
            (8, Take::Ignore),
            (7, Take::Show),
            (8, Take::Show),
        ];
        for (seq, expected) in table {
            assert_eq!(reader.entry(seq), expected, "{seq}");
        }
    }

    #[test]
    fn a_second_hole_is_asked_for_as_well() {
        let mut reader = Reader::new(0);
        assert_eq!(reader.entry(2), Take::Fetch(0));
        reader.asked(7);
        reader.answered(6);
        assert_eq!(reader.entry(2), Take::Ignore);
        reader.answered(7);
        assert_eq!(reader.entry(1), Take::Show);
        assert_eq!(reader.entry(3), Take::Fetch(1));
        reader.reopen(1);
        assert_eq!(reader.entry(3), Take::Fetch(1), "asked anew on a new connection");
    }

    #[test]
    fn a_skip_counts_as_shown_once_what_is_before_it_is() {
        let mut reader = Reader::new(0);
        reader.skip(None, 2);
        assert_eq!(reader.shown(), 2);
        reader.entry(3);
        reader.skip(None, 5);
        assert_eq!(reader.shown(), 2);
        reader.show(3);
        assert_eq!(reader.shown(), 5);
        reader.skip(None, 4);
        assert_eq!((reader.shown(), reader.entry(6)), (5, Take::Show));
    }

    #[test]
    fn a_skip_does_not_jump_over_a_hole() {
        let mut reader = Reader::new(0);
        assert_eq!(reader.entry(3), Take::Fetch(0));
        reader.skip(None, 9);
        reader.skip(Some(4), 9);
        assert_eq!(reader.entry(1), Take::Show);
        reader.skip(Some(2), 4);
        assert_eq!(reader.entry(5), Take::Show);
    }

    #[test]
    fn nothing_is_shown_that_never_came() {
        let mut reader = Reader::new(0);
        reader.entry(1);
        assert_eq!(reader.unshown(), Some(1));
        reader.show(100);
        assert_eq!((reader.shown(), reader.unshown()), (1, None));
    }
}
