//! A session in line mode: what lines and events lead to. Pure; the driver in `mod.rs` carries out the effects.

use std::collections::VecDeque;

use hobnob_client::event::{Answer, Command, Event};
use hobnob_protocol::v1::Stream;

use super::{
    command::{self, Typed, Wrong},
    face::Input,
    text,
};

/// Something to do, in order.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Print lines; never empty.
    Print(String),
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
    /// Read no more lines; log out.
    LogOut,
    /// The session is over: end with this code.
    Exit(u8),
}

/// What is printed when a command's turn has come.
enum Pending {
    /// What the server's answer says.
    Judged,
    /// This.
    Lines(String),
    /// Names, or that there are none.
    Names(String),
    /// Whether the password was changed.
    Passwd,
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

/// A session, as far as its lines go.
#[derive(Default)]
pub(crate) struct Session {
    /// One for each command that was submitted and is not answered, in order. The client bounds them.
    pending: VecDeque<Pending>,
    passwd: Passwd,
}

impl Session {
    /// A line was typed. Submits at most one command.
    pub(crate) fn typed(&mut self, input: Input) -> Vec<Effect> {
        let line = match input {
            Input::End => return vec![Effect::LogOut],
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
            Passwd::Idle => self.command(&line),
            Passwd::Old => self.ask(text::NEW_PASSWORD, Passwd::New { old: line }),
            Passwd::New { old } => self.ask(text::REPEAT_PASSWORD, Passwd::Repeat { old, new: line }),
            Passwd::Repeat { new, .. } if new != line => self.local(text::PASSWORDS_DIFFER.to_owned(), true),
            Passwd::Repeat { new, .. } if new.len() > super::PASSWORD_BYTES_MAX => {
                self.local(text::PASSWORD_TOO_LONG.to_owned(), true)
            }
            Passwd::Repeat { old, new } => self.submit(Command::ChangePassword { old, new }, Pending::Passwd),
        }
    }

    fn command(&mut self, line: &str) -> Vec<Effect> {
        let typed = match command::read(line) {
            None => return Vec::new(),
            Some(Err(wrong)) => return self.wrong(wrong),
            Some(Ok(typed)) => typed,
        };
        match typed {
            Typed::Message { to, text } => self.submit(Command::Message { to, text }, Pending::Judged),
            Typed::Broadcast { text } => self.submit(Command::Broadcast { text }, Pending::Judged),
            Typed::Block(user) => self.submit(Command::Block(user), Pending::Judged),
            Typed::Unblock(user) => self.submit(Command::Unblock(user), Pending::Judged),
            Typed::WhoElse => self.submit(Command::WhoElse, Pending::Names(text::NO_ONE_ELSE.to_owned())),
            Typed::WhoElseSince { seconds, typed } => {
                self.submit(Command::WhoElseSince(seconds), Pending::Names(text::no_one_since(&typed)))
            }
            Typed::Blocks => self.submit(Command::Blocks, Pending::Names(text::NO_BLOCKS.to_owned())),
            Typed::Passwd => self.ask(text::OLD_PASSWORD, Passwd::Old),
            Typed::Help(entry) => self.local(command::help_text(entry), true),
            Typed::Logout => vec![Effect::LogOut],
        }
    }

    /// Mistakes take their turn among the answers, too.
    fn wrong(&mut self, wrong: Wrong) -> Vec<Effect> {
        self.local(wrong.text(), false)
    }

    fn local(&mut self, lines: String, active: bool) -> Vec<Effect> {
        self.submit(Command::Local { active }, Pending::Lines(lines))
    }

    fn submit(&mut self, command: Command, pending: Pending) -> Vec<Effect> {
        self.pending.push_back(pending);
        vec![Effect::Submit(command)]
    }

    fn ask(&mut self, prompt: &'static str, next: Passwd) -> Vec<Effect> {
        self.passwd = next;
        vec![Effect::Ask(prompt)]
    }

    /// Something came from the client.
    pub(crate) fn event(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Answer { ticket: Some(_), command, answer } => self.answer(&command, &answer),
            // Left over by an earlier process.
            Event::Answer { ticket: None, command, answer } => print(judged(&command, &answer)),
            Event::Message(message) => vec![
                Effect::Know(message.sender.clone()),
                Effect::Print(text::message(&message.sender, &message.text)),
                Effect::Shown(message.stream, message.seq),
            ],
            Event::Presence { user, online } => {
                let line = text::presence(&user, online);
                vec![Effect::Know(user), Effect::Print(line)]
            }
            Event::Peer(_) => Vec::new(),
            Event::Disconnected => print(text::DISCONNECTED.to_owned()),
            Event::Reconnected => print(text::RECONNECTED.to_owned()),
            Event::FirstContact(fingerprint) => vec![Effect::Contact(fingerprint)],
            Event::Ended(end) => {
                let (lines, code) = text::end(&end);
                vec![Effect::Print(lines), Effect::Exit(code)]
            }
        }
    }

    fn answer(&mut self, command: &Command, answer: &Answer) -> Vec<Effect> {
        match (self.pending.pop_front(), answer) {
            (Some(Pending::Lines(lines)), _) => print(lines),
            (Some(Pending::Passwd), answer) => print(text::passwd(answer)),
            (Some(Pending::Names(none)), Answer::Names(names)) => {
                let known = names.iter().cloned().map(Effect::Know);
                known.chain(print(text::names(names, &none))).collect()
            }
            (_, answer) => print(judged(command, answer)),
        }
    }
}

fn print(lines: String) -> Vec<Effect> {
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
        | Answer::Invited(_)
        | Answer::Sight(_) => String::new(),
    }
}

#[cfg(test)]
mod tests;
