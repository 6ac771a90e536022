//! Downloads under way: what is said of them, and when one is given up.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    time::Duration,
};

use hobnob_peer::{
    file::ContentId,
    files::{Entry, Event, Progress},
};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{INTERRUPTED, failed_line};
use crate::{
    chat::text,
    oneshot::{
        bar::Bar,
        json,
        peers::{Happened, Peers},
        say,
    },
    progress,
    signals::Signals,
};

/// How often it is looked how far everything is.
const LOOK: Duration = Duration::from_millis(500);
/// How often that is said where there is no terminal.
const SAY: Duration = Duration::from_secs(5);
/// For how long nobody may have what is missing.
const PATIENCE: Duration = Duration::from_secs(60);
const GIVEN_UP: &str = "nobody has what is missing";
const INTERRUPTED_WORD: &str = "it was interrupted";

/// All downloads.
pub(super) struct Fetching {
    json: bool,
    bar: Bar,
    failed: bool,
    /// Of which nothing final is known.
    left: BTreeSet<ContentId>,
    stalls: Stalls,
    last: Vec<Progress>,
    said: Instant,
}

impl Fetching {
    /// With `failed`, something has failed already.
    pub(super) fn new(json: bool, failed: bool) -> Self {
        let (bar, said) = (Bar::new(json), Instant::now());
        Self { json, bar, failed, left: BTreeSet::new(), stalls: Stalls::default(), last: Vec::new(), said }
    }

    /// Downloads until everything is complete or has failed, or a signal comes; the result is the exit code.
    pub(super) async fn run(
        &mut self,
        peers: &mut Peers,
        wanted: Vec<Entry>,
        signals: &Signals,
    ) -> io::Result<u8> {
        let mut wanted = wanted.into_iter().peekable();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while self.left.len() < TOGETHER
                && let Some(entry) = wanted.next()
            {
                self.left.insert(entry.content.id);
                // There is place for as many.
                let _ = peers.files.download(entry);
            }
            if self.left.is_empty() {
                return Ok(u8::from(self.failed));
            }
            tokio::select! {
                biased;
                () = signals.first().cancelled() => return self.interrupted(wanted),
                // When it has no place, the next look has.
                _ = looks.tick() => drop(peers.files.downloads()),
                happened = peers.next() => match happened? {
                    // Downloads that have begun do not need the server.
                    Happened::Session(_) => {}
                    Happened::Files(Event::Downloads(all)) => self.looked(all, peers)?,
                    Happened::Files(event) => self.happened(event)?,
                },
            }
        }
    }

    fn happened(&mut self, event: Event) -> io::Result<()> {
        let event = match event {
            // Nobody but the clock here cancels.
            Event::Cancelled { name, id } => {
                Event::DownloadFailed { name, id, why: GIVEN_UP.to_owned(), resumable: true }
            }
            event => event,
        };
        let (Event::Downloaded { id, .. }
        | Event::AlreadyThere { id, .. }
        | Event::DownloadFailed { id, .. }) = &event
        else {
            return Ok(());
        };
        self.left.remove(id);
        self.failed |= matches!(event, Event::DownloadFailed { .. });
        self.bar.clear();
        say(&if self.json { ended_line(&event) } else { text::files::event(&event) })
    }

    /// So far it is.
    fn looked(&mut self, all: Vec<Progress>, peers: &Peers) -> io::Result<()> {
        for id in self.stalls.look(&all, Instant::now()) {
            // When it has no place, the next look has.
            let _ = peers.files.cancel(format!("{id:#}"));
        }
        let news = all != self.last;
        self.last = all;
        if self.json && news {
            return self.last.iter().try_for_each(|one| say(&progress_line(one)));
        }
        if let Some(sum) = sum(&self.last) {
            self.bar.draw(|columns| progress::bar(&sum, columns));
        }
        if !self.json && !self.bar.is_seen() && self.said.elapsed() >= SAY {
            self.said = Instant::now();
            for one in &self.last {
                // The files count, not whether anybody reads this.
                let _ = writeln!(io::stderr(), "{}", progress::plain(one));
            }
        }
        Ok(())
    }

    fn interrupted(&mut self, waiting: impl Iterator<Item = Entry>) -> io::Result<u8> {
        self.bar.clear();
        let going = self.last.iter().map(|one| (one.name.clone(), one.id));
        for (name, id) in going.chain(waiting.map(|entry| (entry.name, entry.content.id))) {
            let event = Event::DownloadFailed { name, id, why: INTERRUPTED_WORD.to_owned(), resumable: true };
            say(&if self.json { ended_line(&event) } else { text::files::event(&event) })?;
        }
        Ok(INTERRUPTED)
    }
}

/// Downloads that are under way at once: fewer than there may be.
const TOGETHER: usize = 64;

/// Since when nobody has what is missing. Pure.
#[derive(Default)]
struct Stalls(BTreeMap<ContentId, Instant>);

impl Stalls {
    /// Those that are to be given up.
    fn look(&mut self, all: &[Progress], now: Instant) -> Vec<ContentId> {
        self.0.retain(|id, _| all.iter().any(|one| one.id == *id && one.stalled));
        let stalled = all.iter().filter(|one| one.stalled).map(|one| one.id);
        stalled.filter(|id| now.duration_since(*self.0.entry(*id).or_insert(now)) >= PATIENCE).collect()
    }
}

/// One for all of them; `None`: there is none.
fn sum(all: &[Progress]) -> Option<Progress> {
    let mut sum = all.first()?.clone();
    for one in &all[1..] {
        sum.done = sum.done.saturating_add(one.done);
        sum.size = sum.size.saturating_add(one.size);
        sum.rate = sum.rate.saturating_add(one.rate);
        sum.direct += one.direct;
        sum.relayed += one.relayed;
        sum.stalled &= one.stalled;
    }
    if all.len() > 1 {
        sum.name = format!("{} downloads", all.len());
        let rest = sum.size.saturating_sub(sum.done);
        sum.left = (sum.rate > 0).then(|| Duration::from_secs(rest.div_ceil(sum.rate.max(1))));
    }
    Some(sum)
}

fn progress_line(progress: &Progress) -> String {
    let Progress { name, id, done, size, rate, direct, relayed, left, stalled } = progress;
    let left_s = left.map(|left| left.as_secs());
    json::line(&json!({
        "type": "progress", "name": name, "id": format!("{id:#}"), "done": done, "size": size, "rate": rate,
        "direct": direct, "relayed": relayed, "left_s": left_s, "stalled": stalled
    }))
}

fn ended_line(event: &Event) -> String {
    match event {
        Event::Downloaded { name, id, path, size, peers, time } => json::line(&json!({
            "type": "downloaded", "name": name, "id": format!("{id:#}"), "path": path.to_string_lossy(), "size": size, "peers": peers,
            "time_ms": u64::try_from(time.as_millis()).unwrap_or(u64::MAX), "already_there": false
        })),
        Event::AlreadyThere { name, id, path } => json::line(&json!({
            "type": "downloaded", "name": name, "id": format!("{id:#}"), "path": path.to_string_lossy(), "already_there": true
        })),
        Event::DownloadFailed { name, why, resumable, .. } => failed_line(name, why, *resumable),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(name: &str, stalled: bool) -> Progress {
        let id = ContentId::of(name.as_bytes());
        let (done, size, rate, left) = (10, 30, 5, Some(Duration::from_secs(4)));
        Progress { name: name.to_owned(), id, done, size, rate, direct: 1, relayed: 2, left, stalled }
    }

    #[test]
    fn only_what_has_stalled_all_the_time_is_given_up() {
        let (mut stalls, start) = (Stalls::default(), Instant::now());
        let (a, b) = (progress("a", true), progress("b", true));
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(stalls.look(&[a.clone(), b.clone()], at(0)).is_empty());
        assert!(stalls.look(&[a.clone(), progress("b", false)], at(30)).is_empty());
        assert!(stalls.look(&[a.clone(), b.clone()], at(59)).is_empty());
        assert_eq!(stalls.look(&[a.clone(), b.clone()], at(60)), [a.id]);
        assert!(stalls.look(std::slice::from_ref(&b), at(118)).is_empty());
        assert_eq!(stalls.look(std::slice::from_ref(&b), at(119)), [b.id]);
    }

    #[test]
    fn several_have_one_bar() {
        assert_eq!(sum(&[]), None);
        assert_eq!(sum(&[progress("a", true)]), Some(progress("a", true)));
        let both = sum(&[progress("a", true), progress("b", false)]).expect("one");
        assert_eq!((both.name.as_str(), both.done, both.size, both.rate), ("2 downloads", 20, 60, 10));
        assert_eq!((both.direct, both.relayed, both.stalled), (2, 4, false));
        assert_eq!(both.left, Some(Duration::from_secs(4)));
    }

    #[test]
    fn lines_for_programs_are_safe_for_terminals() {
        let line = progress_line(&progress("a\u{9b}2J\u{202e}\"\n", false));
        assert!(line.ends_with("}\n") && !line.trim_end().contains(['\u{9b}', '\u{202e}', '\n']), "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(read["name"], "a\u{9b}2J\u{202e}\"\n");
        assert_eq!((&read["done"], &read["left_s"]), (&json!(10), &json!(4)));
    }
}
