//! Carries out what the session's machine wants: one task with the connection, the outbox and the two channels to
//! the user. It decides nothing but when to try again.
//!
//! Full queues: when events are not read, neither connection nor commands are; the server then keeps what comes.

mod resume;
#[cfg(test)]
mod tests;
mod wire;
mod writer;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hobnob_protocol::backoff::Backoff;
use hobnob_protocol::codec;
use hobnob_protocol::limits::ANSWER_BYTES_MAX;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::resume::{Attempt, Attempted, attempt};
pub(crate) use self::resume::{Resume, position};
use self::wire::Wire;
use self::writer::Writer;
use crate::client::{Client, Ends, Events, Request};
use crate::cursor::Marks;
use crate::event::{Aside, End, Event};
use crate::link::{BoxLink, LinkError};
use crate::notes::{Note, Notes};
use crate::peering::Peering;
use crate::places::{PLACES, Places};
use crate::random::{self, Random};
use crate::state::{Begin, Effect, Input, Session};
use crate::storage::{Folder, TokenFile};

/// Events that wait for their reader.
const EVENTS_MAX: usize = 64;
/// Requests outside the order of commands that wait to be taken.
const ASIDES_MAX: usize = 64;
/// First wait before trying again, and longest.
const RETRY_BASE: Duration = Duration::from_millis(250);
const RETRY_CAP: Duration = Duration::from_secs(15);

/// What a session starts with.
pub(crate) struct Start {
    pub(crate) begin: Begin,
    pub(crate) link: BoxLink,
    pub(crate) folder: Folder,
    pub(crate) resume: Resume,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) peering: Peering,
}

/// Starts the task of a session.
pub(crate) fn start(start: Start) -> (Client, Events, usize) {
    let Start { begin, link, folder, resume, random, peering } = start;
    let (session, effects) = Session::new(begin);
    let left_over = session.submits_waiting();
    let (requests_tx, requests) = mpsc::channel(PLACES + 1);
    let (asides_tx, asides) = mpsc::channel(ASIDES_MAX);
    let (events, events_rx) = mpsc::channel(EVENTS_MAX);
    let places = Arc::new(Places::new(session.commands()));
    let marks = Arc::new(Marks::new(folder.cursor));
    let notes = Arc::new(Notes::default());
    let leave = CancellationToken::new();
    let ends = Ends {
        requests: requests_tx,
        asides: asides_tx,
        places: Arc::clone(&places),
        marks: Arc::clone(&marks),
        notes: Arc::clone(&notes),
        peering,
        leave: leave.clone(),
    };
    let name = resume.name.clone();
    let driver = Driver {
        session,
        epoch: Instant::now(),
        line: Line::Up(Wire::new(link)),
        up_since: Some(Instant::now()),
        backoff: Backoff::new(RETRY_BASE, RETRY_CAP),
        retries: 0,
        requests,
        asides,
        events,
        telling: VecDeque::new(),
        places,
        marks,
        notes,
        leave,
        writer: Writer::new(folder.outbox),
        token: folder.token,
        resume: Arc::new(resume),
        random,
        end: None,
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(driver.run(effects));
    (Client::new(name, ends, tasks), Events::new(events_rx), left_over)
}

/// The connection, or the attempt to get one.
enum Line {
    Up(Wire),
    Connecting(BoxFuture<'static, Attempted>),
    Down,
}

struct Driver {
    session: Session,
    /// When the session's time began.
    epoch: Instant,
    line: Line,
    /// Since when there is, or was until just now, a connection.
    up_since: Option<Instant>,
    backoff: Backoff,
    /// Attempts since a connection last held.
    retries: u32,
    requests: mpsc::Receiver<Request>,
    asides: mpsc::Receiver<(u64, Aside)>,
    events: mpsc::Sender<Event>,
    /// Events on their way to `events`; nothing more is taken in while there are any.
    telling: VecDeque<Event>,
    places: Arc<Places>,
    marks: Arc<Marks>,
    notes: Arc<Notes>,
    leave: CancellationToken,
    writer: Writer,
    token: Box<dyn TokenFile>,
    resume: Arc<Resume>,
    random: Arc<dyn Random>,
    end: Option<(End, bool)>,
}

/// What the driver woke up for.
enum Wake {
    Leave,
    Told,
    Shown,
    Note(Note),
    Written(io::Result<u64>),
    Due,
    Request(Option<Request>),
    Aside(u64, Aside),
    Frame(Result<Bytes, LinkError>),
    Attempt(Attempted),
}

impl Driver {
    async fn run(mut self, effects: Vec<Effect>) {
        self.carry_out(effects).await;
        while self.end.is_none() {
            let wake = self.wait().await;
            self.take(wake).await;
        }
        self.finish().await;
    }

    /// Waits for the next thing to do. The order: what stops, what makes room, what is cheap, and commands, which are
    /// bounded, before the connection, which is not.
    async fn wait(&mut self) -> Wake {
        let open = self.telling.is_empty();
        let due = self.session.deadline().map(|deadline| self.epoch + deadline);
        tokio::select! {
            biased;
            () = self.leave.cancelled() => Wake::Leave,
            room = self.events.reserve(), if !open => match (room, self.telling.pop_front()) {
                (Ok(room), Some(event)) => {
                    self.give_back(&event);
                    room.send(event);
                    Wake::Told
                }
                _ => Wake::Leave,
            },
            () = self.marks.changed() => Wake::Shown,
            note = self.notes.next() => Wake::Note(note),
            written = self.writer.written() => Wake::Written(written),
            () = sleep_until(due.unwrap_or(self.epoch)), if due.is_some() => Wake::Due,
            request = self.requests.recv(), if open => Wake::Request(request),
            Some((id, aside)) = self.asides.recv(), if open => Wake::Aside(id, aside),
            wake = self.line.next(open) => wake,
        }
    }

    async fn take(&mut self, wake: Wake) {
        let input = match wake {
            Wake::Told => return,
            Wake::Leave | Wake::Request(None) => return self.left(),
            Wake::Shown => {
                let cursor = self.marks.cursor();
                Input::Shown { inbox: cursor.inbox, broadcast: cursor.broadcast }
            }
            Wake::Note(Note::Contact(contact)) => Input::Contact(contact),
            Wake::Note(Note::Active) => Input::Active,
            Wake::Written(Ok(upto)) => Input::Written(upto),
            Wake::Written(Err(error)) => Input::Failed(format!("The outbox cannot be written: {error}")),
            Wake::Due => Input::Tick,
            Wake::Request(Some(Request::Command(ticket, command))) => Input::Command(ticket, command),
            Wake::Request(Some(Request::Logout)) => Input::Logout,
            Wake::Aside(id, aside) => Input::Aside(id, aside),
            Wake::Frame(frame) => self.frame(frame),
            Wake::Attempt(attempt) => self.attempted(attempt),
        };
        let effects = self.session.handle(input, self.epoch.elapsed());
        self.carry_out(effects).await;
    }

    fn frame(&mut self, frame: Result<Bytes, LinkError>) -> Input {
        let error = match frame.map(|bytes| codec::decode_server(bytes, ANSWER_BYTES_MAX)) {
            Ok(Ok(frame)) => return Input::Frame(frame),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the server sent nonsense");
                LinkError::default()
            }
            Err(error) => error,
        };
        self.line = Line::Down;
        Input::Lost(error.close)
    }

    fn attempted(&mut self, (attempt, first_contact): Attempted) -> Input {
        self.line = Line::Down;
        self.telling.extend(first_contact.map(Event::FirstContact));
        match attempt {
            Attempt::Resumed { link, opened, next_id } => {
                self.line = Line::Up(Wire::new(link));
                self.up_since = Some(Instant::now());
                Input::Resumed { opened: *opened, next_id }
            }
            Attempt::Refused { reason, text } => Input::ResumeRefused { reason, text },
            Attempt::Failed(text) => Input::Failed(text),
            Attempt::Unreachable => {
                self.connect(false);
                Input::Unreachable
            }
        }
    }

    async fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(frame) => self.line.push(codec::encode(&frame)),
                Effect::Record(record) => self.writer.push(record),
                Effect::Advance { inbox, broadcast } => self.marks.advance(inbox, broadcast),
                Effect::StartOver { cursor, untold } => self.marks.start_over(cursor, untold),
                Effect::Tell(event) => self.telling.push_back(event),
                Effect::Drop => self.line.close().await,
                Effect::Connect { at_once } => self.connect(at_once),
                Effect::End { end, forget } => self.end = Some((end, forget)),
            }
        }
    }

    /// Begins an attempt to connect. A connection that did not hold does not make the waits shorter.
    fn connect(&mut self, at_once: bool) {
        if self.up_since.take().is_some_and(|since| since.elapsed() >= RETRY_CAP) {
            self.backoff.reset();
            self.retries = 0;
        }
        let wait = self.backoff.next_delay(random::number(&*self.random));
        let after = if at_once && self.retries == 0 { Duration::ZERO } else { wait };
        self.retries += 1;
        let resume = Arc::clone(&self.resume);
        let attempt = attempt(resume, after, self.writer.name(), self.marks.cursor());
        self.line = Line::Connecting(Box::pin(attempt));
    }

    /// Makes place for other commands once one is answered.
    fn give_back(&self, event: &Event) {
        if let Event::Answer { command, .. } = event {
            self.places.give_back(command);
        }
    }

    /// The user leaves without a word.
    fn left(&mut self) {
        let waiting = self.session.messages_waiting();
        self.end = Some((End::LoggedOut { waiting }, false));
    }

    /// The last event comes when everything is in its place.
    async fn finish(mut self) {
        self.requests.close();
        self.asides.close();
        self.places.close();
        self.line.close().await;
        self.writer.finish().await;
        let Some((end, forget)) = self.end else { return };
        if forget {
            self.token.remove();
        }
        drop(self.token);
        self.telling.push_back(Event::Ended(end));
        for event in self.telling {
            let told = tokio::select! {
                biased;
                told = self.events.send(event.clone()) => told.is_ok(),
                () = self.leave.cancelled() => self.events.try_send(event).is_ok(),
            };
            if !told {
                return;
            }
        }
    }
}

impl Line {
    async fn next(&mut self, read: bool) -> Wake {
        match self {
            Self::Up(wire) => Wake::Frame(wire.next(read).await),
            Self::Connecting(attempt) if read => Wake::Attempt(attempt.await),
            Self::Connecting(_) | Self::Down => std::future::pending().await,
        }
    }

    /// A frame for a connection that is gone comes to nothing: the session learns of the loss next.
    fn push(&mut self, frame: Bytes) {
        if let Self::Up(wire) = self {
            wire.push(frame);
        }
    }

    async fn close(&mut self) {
        if let Self::Up(wire) = std::mem::replace(self, Self::Down) {
            wire.close().await;
        }
    }
}
