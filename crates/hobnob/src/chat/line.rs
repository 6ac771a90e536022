//! A session in line mode: what lines and events lead to. Pure; `driver.rs` carries out the effects. What belongs to
//! private talk is in `private.rs`, the end in `leaving.rs`.

mod leaving;

use std::{collections::VecDeque, time::Duration};

use hobnob_client::event::{Answer, Command, End, Event, Ticket};
use hobnob_peer::{
    files::{Request, RequestId},
    network::Link,
    talk::{self, Talks},
};
use hobnob_protocol::v1::{self, Stream, peer_event::Event::Asked};

use super::{
    command::{self, Typed, Wrong},
    face::Input,
    files::{Files, Place, Question as FilesQuestion, Wish},
    private::{Pending as Question, Private},
    text,
};
use crate::files::offered_name;
use leaving::Leaving;

/// Something to do, in order.
#[derive(Clone, PartialEq)]
pub(crate) enum Effect {
    /// Print lines; never empty.
    Print(String),
    /// Ask something that one command among others answers; without a newline.
    Question(String),
    /// Ask for a password.
    Ask(&'static str),
    /// Give a command to the client.
    Submit(Command),
    /// Note that the message printed before was shown.
    Shown(Stream, u64),
    /// Say that a server with this key was met for the first time.
    Contact(String),
    /// A name that can be completed.
    Know(String),
    /// Do this on the network of peers.
    Network(talk::Effect),
    /// Print how this link runs; `None`: it does not.
    Path(Option<Link>),
    /// The network says where peers can reach this client: for the server to know.
    Reachable(v1::Contact),
    /// Begin with files; these users are blocked.
    BeginFiles(Vec<String>),
    /// Do this with files.
    Files(Wish),
    /// Files are given on this TCP port: for the server to know.
    Listening(u16),
    /// Pass this on to the server.
    Pass(RequestId, Request),
    /// Show this in the row for progress; `None`: there is nothing to show.
    Row(Option<text::files::Row>),
    /// Tell the server that somebody sits here.
    Active,
    /// Keep the keys of others.
    SaveKeys(String),
    /// Read no more lines; `LogOut` follows when what was typed is judged.
    Wait,
    /// Read no more lines; log out as soon as peers have been told, see `Left`.
    LogOut,
    /// Everything is said to peers.
    Left,
    /// The session is over: end with this code.
    Exit(u8),
}

/// What is printed when a command's turn has come.
enum Pending {
    /// What the server's answer says.
    Judged,
    /// The same; until then this user, as typed, may be blocked.
    Block(String),
    /// This.
    Lines(String),
    /// Names, or that there are none.
    Names(String),
    /// Whether the password was changed.
    Passwd,
    /// Something of files.
    Files(FilesQuestion),
    /// Something of private talk, which takes the answer and prints what it likes.
    Private(Question),
}

/// Where `passwd` is.
#[derive(Default)]
enum Passwd {
    #[default]
    Idle,
    Old,
    New {
        old: String,
    },
    Repeat {
        old: String,
        new: String,
    },
}

/// A session, as far as its lines go. Each input comes with the time that has passed since it began.
pub(crate) struct Session {
    /// One for each command that was submitted and is not answered, in order, by the number of its ticket. The client
    /// bounds them, and what private talk asks is bounded there.
    pending: VecDeque<(u64, Pending)>,
    /// Commands submitted.
    submitted: u64,
    passwd: Passwd,
    leaving: Option<Leaving>,
    /// The server cannot store anything for now.
    stuck: bool,
    pub(super) private: Private,
    pub(super) files: Files,
}

impl Session {
    /// A session that has just begun.
    pub(crate) fn new(talks: Talks, place: Place) -> Self {
        let (private, files) = (Private::new(talks), Files::new(place));
        Self {
            pending: VecDeque::new(),
            submitted: 0,
            passwd: Passwd::Idle,
            leaving: None,
            stuck: false,
            private,
            files,
        }
    }

    /// A line was typed.
    pub(crate) fn typed(&mut self, input: Input, now: Duration) -> Vec<Effect> {
        let line = match input {
            Input::End => return self.log_out(now),
            Input::TooLong if matches!(self.passwd, Passwd::Idle) => {
                return self.local(text::LINE_TOO_LONG.to_owned(), false);
            }
            Input::TooLong => {
                self.passwd = Passwd::Idle;
                return self.local(text::PASSWORD_TOO_LONG.to_owned(), true);
            }
            Input::Line(line) => line,
        };
        match std::mem::take(&mut self.passwd) {
            Passwd::Idle => self.command(&line, now),
            Passwd::Old => self.ask(text::NEW_PASSWORD, Passwd::New { old: line }),
            Passwd::New { old } => self.ask(text::REPEAT_PASSWORD, Passwd::Repeat { old, new: line }),
            Passwd::Repeat { new, .. } if new != line => self.local(text::PASSWORDS_DIFFER.to_owned(), true),
            Passwd::Repeat { new, .. } if new.len() > super::PASSWORD_BYTES_MAX => {
                self.local(text::PASSWORD_TOO_LONG.to_owned(), true)
            }
            Passwd::Repeat { old, new } => self.submit(Command::ChangePassword { old, new }, Pending::Passwd),
        }
    }

    fn command(&mut self, line: &str, now: Duration) -> Vec<Effect> {
        let typed = match command::read(line) {
            None => return Vec::new(),
            Some(Err(wrong)) => return self.wrong(wrong),
            Some(Ok(typed)) => typed,
        };
        match typed {
            Typed::Message { to, text } => self.submit(Command::Message { to, text }, Pending::Judged),
            Typed::Broadcast { text } => self.submit(Command::Broadcast { text }, Pending::Judged),
            Typed::Block(user) => self.submit(Command::Block(user.clone()), Pending::Block(user)),
            Typed::Unblock(user) => self.submit(Command::Unblock(user), Pending::Judged),
            Typed::WhoElse => self.submit(Command::WhoElse, Pending::Names(text::NO_ONE_ELSE.to_owned())),
            Typed::WhoElseSince { seconds, typed } => {
                self.submit(Command::WhoElseSince(seconds), Pending::Names(text::no_one_since(&typed)))
            }
            Typed::Blocks => self.submit(Command::Blocks, Pending::Names(text::NO_BLOCKS.to_owned())),
            Typed::Passwd => self.ask(text::OLD_PASSWORD, Passwd::Old),
            Typed::Help(entry) => self.local(command::help_text(entry), true),
            Typed::Logout => self.log_out(now),
            Typed::StartPrivate(user) => self.talk(talk::Input::Start(user), now),
            Typed::Answer { user, accept } => self.talk(talk::Input::Answer { user, accept }, now),
            Typed::Private { to, text } => self.talk(talk::Input::Private { to, text }, now),
            Typed::StopPrivate(user) => self.talk(talk::Input::Stop(user), now),
            Typed::Verify { user, confirm } => self.talk(talk::Input::Verify { user, confirm }, now),
            Typed::Path(user) => self.talk(talk::Input::Path(user), now),
            Typed::Share(path) => self.share(&path),
            Typed::Unshare(meant) => self.want_typed(Wish::Unshare(offered_name(&meant))),
            Typed::Shares => self.want_typed(Wish::Shares),
            Typed::Cancel(meant) => self.want_typed(Wish::Cancel(offered_name(&meant))),
            Typed::Downloads => self.want_typed(Wish::Downloads),
            Typed::Download(meant) => {
                self.ask_of_files(Command::FindFile(offered_name(&meant)), FilesQuestion::Find(meant))
            }
            Typed::ListFiles(pattern) => self.ask_of_files(Command::ListFiles(pattern), FilesQuestion::List),
            Typed::SearchFile(name) => self.search(name, Vec::new()),
            Typed::SearchChunk { name, chunks } => self.search(name, chunks),
        }
    }

    /// Mistakes take their turn among the answers, too, as long as there are answers.
    fn wrong(&mut self, wrong: Wrong) -> Vec<Effect> {
        self.local(wrong.text(), false)
    }

    fn local(&mut self, lines: String, active: bool) -> Vec<Effect> {
        if self.is_held_up() {
            let active = active.then_some(Effect::Active);
            return active.into_iter().chain(print(lines)).collect();
        }
        self.submit(Command::Local { active }, Pending::Lines(lines))
    }

    /// What the server was asked may wait for hours, so what needs no server does not stand behind it.
    fn is_held_up(&self) -> bool {
        self.stuck || self.is_away()
    }

    /// What needs no server and has waited for its turn is printed now.
    fn lines_held_up(&mut self) -> Vec<Effect> {
        if !self.is_held_up() {
            return Vec::new();
        }
        let lines = self.pending.iter_mut().filter_map(|(_, pending)| match pending {
            Pending::Lines(lines) => Some(std::mem::take(lines)),
            _ => None,
        });
        lines.flat_map(print).collect()
    }

    fn submit(&mut self, command: Command, pending: Pending) -> Vec<Effect> {
        vec![self.push(command, pending)]
    }

    /// The client numbers its tickets from 1, and nothing else submits to it.
    fn push(&mut self, command: Command, pending: Pending) -> Effect {
        self.submitted += 1;
        self.pending.push_back((self.submitted, pending));
        Effect::Submit(command)
    }

    /// The same for private talk.
    pub(super) fn submit_asked(&mut self, command: Command, asked: Question) -> Effect {
        self.push(command, Pending::Private(asked))
    }

    fn search(&mut self, name: String, chunks: Vec<u32>) -> Vec<Effect> {
        let name = offered_name(&name);
        self.ask_of_files(Command::FindHolders { name, chunks }, FilesQuestion::Holders)
    }

    /// The same for files.
    pub(super) fn submit_question(&mut self, command: Command, question: FilesQuestion) -> Effect {
        self.push(command, Pending::Files(question))
    }

    /// What was asked about files and not answered.
    pub(super) fn questions(&mut self) -> impl Iterator<Item = &mut FilesQuestion> {
        self.pending.iter_mut().filter_map(|pending| match pending {
            (_, Pending::Files(question)) => Some(question),
            _ => None,
        })
    }

    /// What private talk has asked and was not answered, if it is still of interest.
    pub(super) fn asked(&mut self) -> impl Iterator<Item = &mut Question> {
        self.pending.iter_mut().filter_map(|pending| match pending {
            (_, Pending::Private(asked)) => Some(asked),
            _ => None,
        })
    }

    fn ask(&mut self, prompt: &'static str, next: Passwd) -> Vec<Effect> {
        self.passwd = next;
        vec![Effect::Ask(prompt)]
    }

    /// Something came from the client.
    pub(crate) fn event(&mut self, event: Event, now: Duration) -> Vec<Effect> {
        match event {
            Event::Answer { ticket: Some(ticket), command, answer } => {
                let mut effects = self.answer(ticket, &command, answer, now);
                effects.extend(self.go_if_settled(now));
                effects
            }
            // Left over by an earlier process.
            Event::Answer { ticket: None, command, answer } => self.judge(&command, &answer, now),
            Event::Aside { id, answer } => self.answer_to_request(RequestId(id), answer, now),
            Event::Message(message) => vec![
                Effect::Know(message.sender.clone()),
                Effect::Print(text::message(&message.sender, &message.text)),
                Effect::Shown(message.stream, message.seq),
            ],
            Event::Presence { user, online } => {
                let line = text::presence(&user, online);
                vec![Effect::Know(user), Effect::Print(line)]
            }
            // Nobody could answer any more.
            Event::Peer(v1::PeerEvent { event: Some(Asked(_)) }) if self.is_leaving() => Vec::new(),
            Event::Peer(event) => self.talk(talk::Input::Server(event), now),
            Event::Disconnected => self.server(false, text::DISCONNECTED, now),
            Event::Reconnected => self.server(true, text::RECONNECTED, now),
            Event::Trouble(trouble) => {
                self.stuck = trouble.is_some();
                let mut effects = print(text::trouble(trouble).to_owned());
                effects.extend(self.lines_held_up());
                effects.extend(self.wait_no_more(now));
                effects
            }
            Event::FirstContact(fingerprint) => vec![Effect::Contact(fingerprint)],
            Event::Ended(end) => self.ended(&end, now),
        }
    }

    /// The connection to the server is lost, or back.
    fn server(&mut self, up: bool, line: &str, now: Duration) -> Vec<Effect> {
        let mut effects = print(line.to_owned());
        effects.extend(self.server_is(up, now));
        effects.extend(self.server_of_files(up));
        effects.extend(self.lines_held_up());
        effects.extend(self.wait_no_more(now));
        effects
    }

    /// Who is logged out for doing nothing has left like anybody who logs out. Otherwise it is nobody's business why the
    /// talk ends: the user may go on elsewhere.
    fn ended(&mut self, end: &End, now: Duration) -> Vec<Effect> {
        let (lines, code) = text::end(end);
        let mut effects = print(lines);
        match end {
            End::TimedOut => effects.extend(self.part(now)),
            _ => effects.push(Effect::Left),
        }
        effects.push(Effect::Exit(code));
        effects
    }

    /// Answers come in order, but those of private talk come before what the server cannot take for now.
    fn answer(&mut self, ticket: Ticket, command: &Command, answer: Answer, now: Duration) -> Vec<Effect> {
        let place = self.pending.iter().position(|(number, _)| *number == ticket.0);
        let pending = place.and_then(|place| self.pending.remove(place)).map(|(_, pending)| pending);
        match (pending, answer) {
            (Some(Pending::Lines(lines)), _) => print(lines),
            (Some(Pending::Passwd), answer) => print(text::passwd(&answer)),
            (Some(Pending::Private(asked)), answer) => self.answer_to(asked, answer, now),
            (Some(Pending::Files(question)), answer) => self.answer_of_files(question, answer, now),
            (Some(Pending::Names(none)), Answer::Names(names)) => {
                let known = names.iter().cloned().map(Effect::Know);
                known.chain(print(text::names(&names, &none))).collect()
            }
            (_, answer) => self.judge(command, &answer, now),
        }
    }

    /// What the server said to a message, a broadcast, a block or its end.
    fn judge(&mut self, command: &Command, answer: &Answer, now: Duration) -> Vec<Effect> {
        let mut effects: Vec<_> = self.block_of_files(command, answer).into_iter().collect();
        effects.extend(print(judged(command, answer)));
        effects.extend(self.note_block(command, answer, now));
        effects
    }
}

pub(super) fn print(lines: String) -> Vec<Effect> {
    if lines.is_empty() { Vec::new() } else { vec![Effect::Print(lines)] }
}

/// What the server said to a command.
pub(crate) fn judged(command: &Command, answer: &Answer) -> String {
    match answer {
        Answer::Submitted { outcome, user } => text::outcome(command, *outcome, user),
        Answer::Refused { text, .. } => text::error(text),
        Answer::Names(_)
        | Answer::Done
        | Answer::Lost
        | Answer::Local
        | Answer::Files(_)
        | Answer::Sources(_)
        | Answer::Invited(_)
        | Answer::Sight(_) => String::new(),
    }
}

#[cfg(test)]
pub(super) mod tests;
