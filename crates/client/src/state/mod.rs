//! A session as a pure machine: what comes in changes the state and yields effects, which the driver carries out in
//! their order. No socket, no clock, no random source. Time is what has passed since the session began.
//!
//! Not here: how a connection is made and resumed (`greet`), when to try again (`driver`).

mod aside;
mod command;
mod exit;
mod pace;
mod queue;
mod stream;
#[cfg(test)]
mod tests;

use std::time::Duration;

use hobnob_protocol::close::Close;
use hobnob_protocol::limits::{CONTACT_ADDRESSES_MAX, RECEIVED_DELAY, RECEIVED_ENTRIES};
use hobnob_protocol::v1;
use v1::client_frame::Body;
use v1::login_refused::Reason;
use v1::{Stream, server_frame};

use self::aside::{Asides, Replied};
use self::exit::Exit;
use self::pace::Pace;
use self::queue::{After, Queue};
use self::stream::{Reader, Take};
use crate::event::{Aside, Command, End, Event, Message, Ticket};
use crate::storage::{Cursor, Record, Waiting};

pub(crate) use self::command::{clip_name, clip_password};

/// What happens to a session.
#[derive(Debug)]
pub(crate) enum Input {
    /// A command of the user.
    Command(Ticket, Command),
    /// A request outside the order of commands, and what to call it.
    Aside(u64, Aside),
    /// A frame of the server.
    Frame(v1::ServerFrame),
    /// The connection is gone.
    Lost(Option<Close>),
    /// A new connection was made and the session resumed on it; its next request has this id.
    Resumed { opened: v1::Opened, next_id: u64 },
    /// The server refused to resume the session.
    ResumeRefused { reason: Reason, text: String },
    /// The server could not be reached; the driver goes on trying.
    Unreachable,
    /// A connection can never be made again, in words for a person.
    Failed(String),
    /// Messages were shown up to these numbers.
    Shown { inbox: u64, broadcast: u64 },
    /// The outbox has written everything up to this record.
    Written(u64),
    /// Where this client can be reached by a peer; the newest counts, on every connection.
    Contact(v1::Contact),
    /// The person did something that needs no server.
    Active,
    /// Log out when all is answered.
    Logout,
    /// The deadline has passed.
    Tick,
}

/// What the driver has to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Send this on the connection.
    Send(v1::ClientFrame),
    /// Write this to the outbox, in this order.
    Record(Record),
    /// Note that the streams are here, never going back.
    Advance { inbox: u64, broadcast: u64 },
    /// Note a cursor of another epoch. The last messages of the old one that may yet be shown.
    StartOver { cursor: Cursor, untold: [Option<u64>; 2] },
    /// Tell this.
    Tell(Event),
    /// Drop the connection. No `Lost` follows.
    Drop,
    /// Make a connection and resume the session; `at_once`: nothing is wrong.
    Connect { at_once: bool },
    /// The session is over. `forget`: so is its token.
    End { end: End, forget: bool },
}

/// Whether there is a connection. Exactly one connection or attempt exists, but in `Renewing` and `Ended`.
#[derive(Debug)]
enum Phase {
    Online(Online),
    /// The driver is making a connection. `lost`: because the last one was; otherwise the server is taken to be there.
    Offline {
        lost: bool,
    },
    /// The outbox is being written anew; then a connection is made.
    Renewing,
    Ended,
}

/// What belongs to one connection.
#[derive(Debug)]
struct Online {
    next_id: u64,
    pace: Pace,
    /// Head of the inbox when it was opened: up to here are stored messages.
    inbox_head: u64,
}

/// A session after login.
pub(crate) struct Session {
    phase: Phase,
    background: bool,
    queue: Queue,
    /// What private talk asks while the order of commands stands still.
    beside: Queue,
    asides: Asides,
    inbox: Reader,
    broadcast: Reader,
    epoch: Vec<u8>,
    /// What the server was told of the streams.
    told: (u64, u64),
    /// When to tell it at the latest.
    tell_at: Option<Duration>,
    /// Where the client can be reached by a peer.
    contact: Option<v1::Contact>,
    /// The user was told that the connection is lost.
    mourned: bool,
    exit: Exit,
    effects: Vec<Effect>,
}

/// What a session begins with.
pub(crate) struct Begin {
    pub(crate) background: bool,
    pub(crate) waiting: Waiting,
    pub(crate) cursor: Cursor,
    pub(crate) opened: v1::Opened,
    pub(crate) next_id: u64,
}

impl Session {
    /// Begins with the login that the server has just granted.
    pub(crate) fn new(begin: Begin) -> (Self, Vec<Effect>) {
        let Begin { background, waiting, cursor, opened, next_id } = begin;
        let mut session = Self {
            phase: Phase::Offline { lost: false },
            background,
            queue: Queue::new(waiting),
            beside: Queue::new(Waiting::default()),
            asides: Asides::default(),
            inbox: Reader::new(cursor.inbox),
            broadcast: Reader::new(opened.broadcast),
            epoch: cursor.epoch,
            told: (opened.inbox, opened.broadcast),
            tell_at: None,
            contact: None,
            mourned: false,
            exit: Exit::No,
            effects: Vec::new(),
        };
        session.opened(opened, next_id, Duration::ZERO);
        session.go_on(Duration::ZERO);
        let effects = std::mem::take(&mut session.effects);
        (session, effects)
    }

    /// What happens, when, and what follows from it.
    pub(crate) fn handle(&mut self, input: Input, now: Duration) -> Vec<Effect> {
        if !matches!(self.phase, Phase::Ended) {
            self.take(input, now);
            self.go_on(now);
        }
        std::mem::take(&mut self.effects)
    }

    /// When to come back with a `Tick`, if nothing happens before.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let Phase::Online(_) = self.phase else { return None };
        let logout = match self.exit {
            Exit::Wanted { until } | Exit::Sent { until, .. } => Some(until),
            Exit::No => None,
        };
        [self.queue.deadline(), self.beside.deadline(), self.tell_at, logout].into_iter().flatten().min()
    }

    /// Commands in the outbox without an answer.
    pub(crate) fn submits_waiting(&self) -> usize {
        self.queue.submits_waiting()
    }

    /// Everything without an answer told.
    pub(crate) fn commands(&self) -> impl Iterator<Item = &Command> {
        self.queue.commands().chain(self.beside.commands())
    }

    /// Messages and broadcasts in the outbox without an answer.
    pub(crate) fn messages_waiting(&self) -> usize {
        self.queue.messages_waiting()
    }

    fn take(&mut self, input: Input, now: Duration) {
        match input {
            Input::Command(ticket, command) => self.command(ticket, command),
            Input::Aside(id, aside) => self.aside(id, aside),
            Input::Frame(frame) => self.frame(frame, now),
            Input::Lost(close) => self.lost(close),
            Input::Resumed { opened, next_id } => self.resumed(opened, next_id, now),
            Input::ResumeRefused { reason, text } => self.resume_refused(reason, text),
            Input::Unreachable => self.unreachable(),
            Input::Failed(text) => self.end(End::Failed(text)),
            Input::Shown { inbox, broadcast } => self.shown(inbox, broadcast),
            Input::Written(upto) => self.queue.written(upto),
            Input::Contact(contact) => self.contact(contact),
            Input::Active => self.note(Body::Alive(v1::Alive {})),
            Input::Logout => self.exit = Exit::wanted(now),
            Input::Tick => {}
        }
    }

    /// What the state as it is now calls for.
    fn go_on(&mut self, now: Duration) {
        if self.tell_answers() {
            self.exit.put_off(now);
        }
        self.reconnect_renewed();
        self.send_commands(now);
        self.tell_received(now);
        self.log_out(now);
    }

    fn command(&mut self, ticket: Ticket, command: Command) {
        if let Command::Local { active: true } = command {
            self.note(Body::Alive(v1::Alive {}));
        }
        let lost = matches!(self.phase, Phase::Offline { lost: true });
        let halted = lost || self.queue.is_in_trouble();
        let beside = halted && command::is_private(&command);
        let queue = if beside { &mut self.beside } else { &mut self.queue };
        if let Some(record) = queue.push(ticket, command) {
            self.effects.push(Effect::Record(record));
        }
        if lost {
            queue.away();
        }
    }

    fn aside(&mut self, id: u64, aside: Aside) {
        let answered = self.asides.push(id, aside);
        self.effects.extend(answered.map(Effect::Tell));
        if let Phase::Offline { lost: true } = self.phase {
            self.forget_asides();
        }
    }

    fn forget_asides(&mut self) {
        let lost = self.asides.away();
        self.effects.extend(lost.into_iter().map(Effect::Tell));
    }

    fn contact(&mut self, mut contact: v1::Contact) {
        contact.addresses.truncate(CONTACT_ADDRESSES_MAX);
        contact.tcp.truncate(CONTACT_ADDRESSES_MAX);
        self.note(Body::Contact(contact.clone()));
        self.contact = Some(contact);
    }

    fn frame(&mut self, frame: v1::ServerFrame, now: Duration) {
        if !matches!(self.phase, Phase::Online(_)) {
            return;
        }
        match frame.body {
            Some(server_frame::Body::Reply(reply)) => self.reply(reply, now),
            Some(server_frame::Body::Entry(entry)) => self.entry(entry),
            Some(server_frame::Body::Skip(skip)) => self.skip(skip.stream(), None, skip.upto),
            Some(server_frame::Body::Truncated(gone)) => self.skip(gone.stream(), Some(gone.from), gone.to),
            Some(server_frame::Body::Presence(presence)) => {
                self.tell(Event::Presence { user: presence.user, online: presence.online });
            }
            Some(server_frame::Body::Peer(event)) => self.tell(Event::Peer(event)),
            None => {}
        }
    }

    fn reply(&mut self, reply: v1::Reply, now: Duration) {
        if let Exit::Sent { id, .. } = self.exit
            && id == reply.id
        {
            return self.end(End::LoggedOut { waiting: 0 });
        }
        let Some(body) = reply.body else { return };
        let body = match self.asides.reply(reply.id, body) {
            Replied::Told(event) => return self.tell(event),
            Replied::Nonsense => return self.nonsense(),
            Replied::Other(body) => body,
        };
        for reader in [&mut self.inbox, &mut self.broadcast] {
            reader.answered(reply.id);
        }
        let queue = if self.beside.has_asked(reply.id) { &mut self.beside } else { &mut self.queue };
        let (after, record) = queue.reply(reply.id, body, now);
        self.effects.extend(record.map(Effect::Record));
        if let Some(trouble) = self.queue.news() {
            self.tell(Event::Trouble(trouble));
            if trouble.is_some() {
                self.queue.let_private_out(&mut self.beside, now);
            }
        }
        match after {
            After::Nothing => {}
            After::Renew => self.renew(),
            After::Nonsense => self.nonsense(),
        }
    }

    /// The server does not keep to the protocol.
    fn nonsense(&mut self) {
        self.effects.push(Effect::Drop);
        self.lost(None);
    }

    fn entry(&mut self, entry: v1::Entry) {
        let stream = entry.stream();
        let Some(reader) = self.reader(stream) else { return };
        match reader.entry(entry.seq) {
            Take::Ignore => {}
            Take::Fetch(after) => {
                let id = self.request(Body::Fetch(v1::Fetch { stream: stream.into(), after }));
                if let (Some(reader), Some(id)) = (self.reader(stream), id) {
                    reader.asked(id);
                }
            }
            Take::Show => {
                let v1::Entry { seq, sender, text, sent_ms, .. } = entry;
                self.tell(Event::Message(Message { stream, seq, sender, text, sent_ms }));
            }
        }
    }

    fn skip(&mut self, stream: Stream, from: Option<u64>, upto: u64) {
        if let Some(reader) = self.reader(stream) {
            reader.skip(from, upto);
            self.advance();
        }
    }

    fn reader(&mut self, stream: Stream) -> Option<&mut Reader> {
        match stream {
            Stream::Inbox => Some(&mut self.inbox),
            Stream::Broadcast => Some(&mut self.broadcast),
            Stream::Unspecified => None,
        }
    }

    fn shown(&mut self, inbox: u64, broadcast: u64) {
        self.inbox.show(inbox);
        self.broadcast.show(broadcast);
        self.advance();
    }

    fn advance(&mut self) {
        let (inbox, broadcast) = (self.inbox.shown(), self.broadcast.shown());
        self.effects.push(Effect::Advance { inbox, broadcast });
    }

    /// The server granted a login or a resume.
    fn opened(&mut self, opened: v1::Opened, next_id: u64, now: Duration) {
        let pace = Pace::new(opened.limits, now);
        let records = self.queue.forgotten(opened.outbox_last);
        self.effects.extend(records.into_iter().map(Effect::Record));
        let renew = self.queue.opened(opened.outbox_last);
        self.phase = Phase::Online(Online { next_id, pace, inbox_head: opened.inbox_head });
        if !self.background {
            self.position(&opened);
        }
        if let Some(contact) = self.contact.clone() {
            self.note(Body::Contact(contact));
        }
        if renew {
            self.renew();
        }
    }

    fn position(&mut self, opened: &v1::Opened) {
        self.told = (opened.inbox, opened.broadcast);
        if self.epoch == opened.epoch {
            self.inbox.reopen(opened.inbox);
            self.broadcast.reopen(opened.broadcast);
            return self.advance();
        }
        let untold = [self.inbox.unshown(), self.broadcast.unshown()];
        self.epoch = opened.epoch.to_vec();
        self.inbox = Reader::new(opened.inbox);
        self.broadcast = Reader::new(opened.broadcast);
        let (inbox, broadcast) = self.told;
        let cursor = Cursor { epoch: self.epoch.clone(), inbox, broadcast };
        self.effects.push(Effect::StartOver { cursor, untold });
    }

    fn resumed(&mut self, opened: v1::Opened, next_id: u64, now: Duration) {
        self.opened(opened, next_id, now);
        if std::mem::take(&mut self.mourned) {
            self.tell(Event::Reconnected);
        }
    }

    fn resume_refused(&mut self, reason: Reason, text: String) {
        match reason {
            Reason::Replaced => self.end(End::Replaced),
            Reason::TimedOut => self.end(End::TimedOut),
            Reason::Kicked => self.end(End::Kicked),
            Reason::LoggedOut | Reason::UnknownToken | Reason::PasswordChanged => self.end(End::Expired),
            Reason::Throttled => {
                self.unreachable();
                self.effects.push(Effect::Connect { at_once: false });
            }
            _ => self.end(End::Failed(refusal(reason, text))),
        }
    }

    fn lost(&mut self, close: Option<Close>) {
        if !matches!(self.phase, Phase::Online(_)) {
            return;
        }
        if let Exit::Sent { .. } = self.exit {
            return self.end(End::LoggedOut { waiting: 0 });
        }
        match close {
            Some(Close::Replaced) => self.end(End::Replaced),
            Some(Close::Idle) => self.end(End::TimedOut),
            Some(Close::Kicked) => self.end(End::Kicked),
            Some(Close::PasswordChanged | Close::LoggedOut) => self.end(End::Expired),
            Some(close) if !close.may_reconnect() => self.end(End::Failed(close.reason().to_owned())),
            _ => self.connect_again(),
        }
    }

    fn connect_again(&mut self) {
        self.tell_at = None;
        self.queue.disconnected();
        self.beside.disconnected();
        self.mourn();
        self.effects.push(Effect::Connect { at_once: false });
    }

    fn unreachable(&mut self) {
        if let Phase::Offline { lost: false } = self.phase {
            self.mourn();
        }
    }

    fn mourn(&mut self) {
        self.phase = Phase::Offline { lost: true };
        self.queue.let_private_out(&mut self.beside, Duration::ZERO);
        self.queue.away();
        self.beside.away();
        self.forget_asides();
        if self.exit == Exit::No && !self.mourned {
            self.mourned = true;
            self.tell(Event::Disconnected);
        }
    }

    /// The server's numbers of this outbox and ours do not fit: go on under a new name.
    fn renew(&mut self) {
        self.effects.push(Effect::Drop);
        self.phase = Phase::Renewing;
        self.tell_at = None;
        self.queue.disconnected();
        self.beside.disconnected();
        self.asides.disconnected();
        let record = self.queue.renew();
        self.effects.push(Effect::Record(record));
    }

    fn reconnect_renewed(&mut self) {
        if matches!(self.phase, Phase::Renewing) && self.queue.is_written() {
            self.phase = Phase::Offline { lost: false };
            self.effects.push(Effect::Connect { at_once: true });
        }
    }

    /// True: there were any.
    fn tell_answers(&mut self) -> bool {
        let mut answers = self.queue.answers();
        answers.extend(self.beside.answers());
        let any = !answers.is_empty();
        self.effects.extend(answers.into_iter().map(Effect::Tell));
        any
    }

    fn send_commands(&mut self, now: Duration) {
        if let Phase::Online(online) = &mut self.phase {
            let asides = self.asides.send(&mut online.next_id);
            let beside = self.beside.send(&mut online.next_id, &mut online.pace, now);
            let frames = self.queue.send(&mut online.next_id, &mut online.pace, now);
            self.effects.extend(asides.into_iter().chain(beside).chain(frames).map(Effect::Send));
        }
    }

    /// Tells the server what was shown: not for every message, but soon.
    fn tell_received(&mut self, now: Duration) {
        if !matches!(self.phase, Phase::Online(_)) || self.background {
            return;
        }
        let shown = (self.inbox.shown(), self.broadcast.shown());
        let news = shown.0.saturating_sub(self.told.0).saturating_add(shown.1.saturating_sub(self.told.1));
        if news == 0 {
            return;
        }
        let at = *self.tell_at.get_or_insert(now + RECEIVED_DELAY);
        if news >= RECEIVED_ENTRIES || now >= at {
            self.send_received();
        }
    }

    fn send_received(&mut self) {
        self.tell_at = None;
        self.told = (self.inbox.shown(), self.broadcast.shown());
        self.note(Body::Received(v1::Received { inbox: self.told.0, broadcast: self.told.1 }));
    }

    fn tell(&mut self, event: Event) {
        self.effects.push(Effect::Tell(event));
    }

    /// Sends a request, if there is a connection; its id.
    fn request(&mut self, body: Body) -> Option<u64> {
        let Phase::Online(online) = &mut self.phase else { return None };
        let id = online.next_id;
        online.next_id += 1;
        self.effects.push(Effect::Send(v1::ClientFrame { id, body: Some(body) }));
        Some(id)
    }

    /// Sends a note, if there is a connection.
    fn note(&mut self, body: Body) {
        if let Phase::Online(_) = self.phase {
            self.effects.push(Effect::Send(v1::ClientFrame { id: 0, body: Some(body) }));
        }
    }
}

/// A refusal in words.
fn refusal(reason: Reason, text: String) -> String {
    if text.is_empty() { format!("The server refused the session: {}", reason.as_str_name()) } else { text }
}
