use std::{
    sync::atomic::AtomicBool,
    task::{Context, Wake, Waker},
};

use bytes::Bytes;

use super::*;
use crate::{
    mailbox::{self, bounded},
    store::memory::MemoryStore,
};

type Outcomes = Arc<Mutex<Vec<(&'static str, Result<()>)>>>;

/// A request that fails at times.
struct Shaky {
    name: &'static str,
    adds_text: bool,
    /// What its first run says.
    first: Option<StoreError>,
    /// Done at each run.
    at_run: Box<dyn FnMut() + Send>,
    /// Who is told at the end.
    mailbox: Option<mailbox::Sender<()>>,
    outcomes: Outcomes,
}

impl Shaky {
    fn new(name: &'static str, first: Option<StoreError>, outcomes: &Outcomes) -> Self {
        let outcomes = outcomes.clone();
        Self { name, adds_text: false, first, at_run: Box::new(|| {}), mailbox: None, outcomes }
    }
}

impl Job for Shaky {
    fn run(&mut self, _: &mut dyn Tx) -> Result<()> {
        (self.at_run)();
        self.first.take().map_or(Ok(()), Err)
    }

    fn adds_text(&self) -> bool {
        self.adds_text
    }

    fn finish(self: Box<Self>, result: std::result::Result<(), &StoreError>, round: &mut Round) {
        if let Some(mailbox) = &self.mailbox {
            mailbox.send_in((), round).unwrap();
        }
        self.outcomes.lock().unwrap().push((self.name, result.map_err(Clone::clone)));
    }
}

fn commit(jobs: Vec<Shaky>) {
    let (_writer, queue) = queue();
    let mut batch = jobs.into_iter().map(|job| Box::new(job) as Box<dyn Job>).collect();
    queue.commit(&MemoryStore::new(Bytes::from_static(b"epoch")), &mut batch);
}

#[test]
fn what_is_left_when_messages_were_refused_is_tried() {
    let outcomes = Outcomes::default();
    let message = Shaky { adds_text: true, ..Shaky::new("message", Some(StoreError::Full), &outcomes) };
    commit(vec![message, Shaky::new("login", None, &outcomes)]);
    let outcomes = outcomes.lock().unwrap();
    assert!(matches!(outcomes[..], [("message", Err(StoreError::Full)), ("login", Ok(()))]), "{outcomes:?}");
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn who_asked_first_is_told_before_the_others_are_tried() {
    let (outcomes, woken) = (Outcomes::default(), Arc::<Woken>::default());
    let waker = Waker::from(woken.clone());
    let (sender, mut receiver) = bounded(1);
    assert!(receiver.poll_recv(&Context::from_waker(&waker)).is_pending());
    let broken = || Some(StoreError::Database("once".to_owned()));
    let first = Shaky { mailbox: Some(sender), ..Shaky::new("first", broken(), &outcomes) };
    // It is run for the first time when it is tried alone.
    let seen = woken.clone();
    let at_run = Box::new(move || assert!(seen.0.load(Ordering::Relaxed), "the first is not told yet"));
    let second = Shaky { at_run, ..Shaky::new("second", None, &outcomes) };
    commit(vec![first, second]);
    assert!(matches!(outcomes.lock().unwrap()[..], [("first", Ok(())), ("second", Ok(()))]));
}
