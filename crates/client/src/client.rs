//! The two ends of a session that its user holds.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hobnob_protocol::v1;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cursor::Marks;
use crate::event::{Aside, Command, Event, Ticket};
use crate::notes::Notes;
use crate::peering::Peering;
use crate::places::Places;

/// The session is over, or is being logged out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session is over")]
pub struct Closed;

/// What a [`Client`] tells its driver.
#[derive(Debug)]
pub(crate) enum Request {
    /// A command.
    Command(Ticket, Command),
    /// No more commands: log out when all is answered.
    Logout,
}

/// A session. Clones are the same session; when the last one is gone, so is the connection, without a logout.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

/// What is common to the clones of a [`Client`] and its driver.
pub(crate) struct Shared {
    name: String,
    /// Taken to give a ticket and queue its command in one step.
    queue: Mutex<Queue>,
    /// Requests outside the order of commands.
    asides: mpsc::Sender<(u64, Aside)>,
    /// For the commands without an answer. The driver gives them back.
    places: Arc<Places>,
    marks: Arc<Marks>,
    notes: Arc<Notes>,
    peering: Peering,
    leave: CancellationToken,
    closing: AtomicBool,
    tickets: AtomicU64,
    /// Owns the driver: dropping it ends the task.
    _driver: Mutex<JoinSet<()>>,
}

/// Bounded by the places: a command has one before it is queued, and there is one logout.
struct Queue(mpsc::Sender<Request>);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a driver and its [`Client`] share.
pub(crate) struct Ends {
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) asides: mpsc::Sender<(u64, Aside)>,
    pub(crate) places: Arc<Places>,
    pub(crate) marks: Arc<Marks>,
    pub(crate) notes: Arc<Notes>,
    pub(crate) peering: Peering,
    pub(crate) leave: CancellationToken,
}

impl Client {
    pub(crate) fn new(name: String, ends: Ends, driver: JoinSet<()>) -> Self {
        let shared = Shared {
            name,
            queue: Mutex::new(Queue(ends.requests)),
            asides: ends.asides,
            places: ends.places,
            marks: ends.marks,
            notes: ends.notes,
            peering: ends.peering,
            leave: ends.leave,
            closing: AtomicBool::new(false),
            tickets: AtomicU64::new(1),
            _driver: Mutex::new(driver),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The user's name as first registered.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What private talk needs of this session.
    #[must_use]
    pub fn peering(&self) -> &Peering {
        &self.shared.peering
    }

    /// Notes where a peer can reach this client: the server is told now and after every reconnection. The newest
    /// counts, of which 16 addresses are told. Does not wait.
    pub fn contact(&self, contact: v1::Contact) {
        self.shared.notes.contact(contact);
    }

    /// Tells the server, if it is there, that the person did something which it could not see. Does not wait; several
    /// at once may be told as one.
    pub fn active(&self) {
        self.shared.notes.active();
    }

    /// Gives a command. Waits while some 16,000 or 16 MiB of them are unanswered; a future dropped while it waits has given nothing, so it can
    /// stand in a `select!` beside [`Events::next`], and must, where one task does both: unread events keep answers
    /// from coming.
    ///
    /// # Errors
    /// The session is over, or being logged out: the command is not given.
    pub async fn submit(&self, command: Command) -> Result<Ticket, Closed> {
        let place = self.shared.places.take(&command).await?;
        let queue = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: what is queued behind a logout would get no answer.
        if self.shared.closing.load(Ordering::Acquire) {
            return Err(Closed);
        }
        let ticket = Ticket(self.shared.tickets.fetch_add(1, Ordering::Relaxed));
        queue.0.try_send(Request::Command(ticket, command)).map_err(|_| Closed)?;
        place.forget();
        Ok(ticket)
    }

    /// Asks or tells the server something beside the commands; the answer, [`Event::Aside`], carries this id. Waits
    /// while many wait to be taken; a future dropped while it waits has asked nothing, so it can stand in a `select!`
    /// beside [`Events::next`], and must, where one task does both.
    ///
    /// # Errors
    /// The session is over.
    pub async fn aside(&self, id: u64, aside: Aside) -> Result<(), Closed> {
        let place = self.shared.asides.reserve().await.map_err(|_| Closed)?;
        place.send((id, aside));
        Ok(())
    }

    /// Notes that a message was shown: it will not come again, and the server is told. Does not wait; a process that
    /// dies afterwards has it noted.
    pub fn shown(&self, stream: v1::Stream, seq: u64) {
        self.shared.marks.shown(stream, seq);
    }

    /// No more commands. When everything before is answered and every stored message is shown, or at once if the
    /// server is away, [`Event::Ended`] comes. A [`submit`](Self::submit) that still waits gives nothing. A background session is left, not ended: its token stays good.
    pub async fn logout(&self) {
        let queue = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.shared.closing.swap(true, Ordering::AcqRel) {
            // Fails only if the session is over, and then there is nothing to end.
            let _ = queue.0.try_send(Request::Logout);
            self.shared.places.close();
        }
    }

    /// Ends the connection at once. The session's saved token stays good. Read [`Events`] to their end before
    /// dropping the last clone, so that the outbox is written.
    pub fn leave(&self) {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.leave.cancel();
    }
}

/// What a session tells, in order. Not reading it stops the session from reading its connection.
#[derive(Debug)]
pub struct Events {
    /// Comes before everything else.
    front: VecDeque<Event>,
    events: mpsc::Receiver<Event>,
}

impl Events {
    pub(crate) fn new(events: mpsc::Receiver<Event>) -> Self {
        Self { front: VecDeque::new(), events }
    }

    /// Puts these before everything else.
    pub(crate) fn put_in_front(&mut self, events: Vec<Event>) {
        self.front = events.into();
    }

    /// The next event; `None` when nothing follows any more and the folder is free again.
    pub async fn next(&mut self) -> Option<Event> {
        match self.front.pop_front() {
            Some(event) => Some(event),
            None => self.events.recv().await,
        }
    }
}
