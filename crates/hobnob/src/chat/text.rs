//! Every line that a person sees in a chat, in one place. All end in a newline.

pub(crate) mod files;
pub(crate) mod private;

use std::borrow::Cow;

use hobnob_client::event::{Answer, Command, End};
use hobnob_protocol::{
    text::visible,
    v1::{Trouble, login_refused, submitted::Outcome},
};

pub(crate) const USERNAME: &str = "Username: ";
pub(crate) const PASSWORD: &str = "Password: ";
pub(crate) const NEW_USER: &str = "This is a new user. Enter a password: ";
pub(crate) const INVITATION: &str = "Invitation: ";
pub(crate) const OLD_PASSWORD: &str = "Old password: ";
pub(crate) const NEW_PASSWORD: &str = "New password: ";
pub(crate) const REPEAT_PASSWORD: &str = "Repeat the new password: ";

pub(crate) const WRONG_PASSWORD: &str = "Invalid Password. Please try again\n";
pub(crate) const LOCKED_NOW: &str =
    "Invalid Password. Your account has been blocked. Please try again later\n";
pub(crate) const LOCKED: &str =
    "Your account is blocked due to multiple login failures. Please try again later\n";
pub(crate) const IN_USE: &str = "This account is already in use. Please enter another username\n";

pub(crate) const BY_INVITATION: &str =
    "New users need an invitation here. If you have one, leave the password empty\n";
pub(crate) const NOT_INVITED: &str = "Error. This invitation is not valid\n";
pub(crate) const NAME_TAKEN: &str = "Error. This name is taken. Please enter another username\n";
/// After `Error. `, for a server that says only that it is so.
pub(crate) const TRY_LATER: &str = "Too many tries from your address. Please try again later";

pub(crate) const INVALID_COMMAND: &str = "Error. Invalid command\n";
pub(crate) const INVALID_USER: &str = "Error. Invalid user\n";
pub(crate) const LINE_TOO_LONG: &str = "Error. The message is too long, 64 KiB at most\n";
pub(crate) const PASSWORD_TOO_LONG: &str = "Error. A password has 128 characters at most\n";
pub(crate) const PASSWORDS_DIFFER: &str = "Error. The passwords differ\n";
pub(crate) const PASSWORD_CHANGED: &str = "Password changed\n";
pub(crate) const PASSWORD_UNKNOWN: &str =
    "Error. The connection was lost before the server answered. Log in again to see which password holds\n";

/// What an earlier process left is not all there.
pub(crate) const OUTBOX_DAMAGED: &str =
    "Error. The outbox was damaged, some messages may not have been sent\n";
/// The server is away, and the question makes no sense later.
pub(crate) const NOT_ASKED: &str = "Error. The server could not be asked. Please try again later\n";
/// The server cannot store anything, and then it can.
pub(crate) fn trouble(trouble: Option<Trouble>) -> &'static str {
    match trouble {
        Some(Trouble::DiskFull) => "The server's disk is full, your messages wait\n",
        Some(_) => "The server cannot write to its disk, your messages wait\n",
        None => "The server takes messages again\n",
    }
}

/// The client keeps a lot, but not everything.
pub(crate) const NOT_SENT: &str =
    "Error. Too much waits for the server already, what was typed last is not sent\n";

pub(crate) const NO_ONE_ELSE: &str = "No one else is online now.\n";
pub(crate) const NO_BLOCKS: &str = "You have blocked no one\n";
pub(crate) const DISCONNECTED: &str = "Lost the connection to the server, trying again\n";
pub(crate) const RECONNECTED: &str = "Connected again\n";
const BLOCKED: &str = "Your message could not be delivered as the recipient has blocked you\n";
const BLOCKED_BY_SOME: &str = "Your message could not be delivered to some recipients\n";
const GOODBYE: &str = "Goodbye.\n";
const TIMED_OUT: &str = "Timeout. You are logged out due to inactivity\n";
const REPLACED: &str = "You have logged in elsewhere\n";
const KICKED: &str = "Your session was ended by the server's keeper\n";
const DISABLED: &str = "This account is disabled. Please ask the server's keeper\n";
const EXPIRED: &str = "Error. Your session has ended, please log in again\n";

/// Text from others as one line.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    match visible(text) {
        seen if seen.contains('\n') => Cow::Owned(seen.replace('\n', "␊")),
        seen => seen,
    }
}

/// Text from others after `head`; its further lines are indented, so that none passes for a line of its own.
fn paragraph(head: &str, text: &str) -> String {
    let mut lines = text.split('\n');
    let mut shown = format!("{head}{}\n", visible(lines.next().unwrap_or_default()));
    for line in lines {
        shown.push_str("  ");
        shown.push_str(&visible(line));
        shown.push('\n');
    }
    shown
}

/// Any error, in words of the server or of this program.
pub(crate) fn error(text: &str) -> String {
    format!("Error. {}\n", one_line(text))
}

/// Known word, wrong arguments.
pub(crate) fn usage(usage: &str) -> String {
    format!("Error. Usage: {usage}\n")
}

/// What the server says after a login.
pub(crate) fn welcome(text: &str, failed_logins: u32) -> String {
    let mut shown = if text.is_empty() { String::new() } else { paragraph("", text) };
    if failed_logins > 0 {
        shown += &format!("{failed_logins} failed login attempts since your last login\n");
    }
    shown
}

/// A name that cannot be registered.
pub(crate) fn name_refused(reason: &str) -> String {
    format!("Error. This name cannot be used: {}\n", one_line(reason))
}

/// Why a login was refused. `text` is the server's word where its reasons vary.
pub(crate) fn login_refused(reason: login_refused::Reason, text: &str) -> String {
    use login_refused::Reason;
    match reason {
        Reason::WrongPassword => WRONG_PASSWORD.to_owned(),
        Reason::LockedNow => LOCKED_NOW.to_owned(),
        Reason::Locked => LOCKED.to_owned(),
        Reason::InUse => IN_USE.to_owned(),
        Reason::NameRefused => name_refused(text),
        Reason::NotInvited => NOT_INVITED.to_owned(),
        Reason::Replaced => REPLACED.to_owned(),
        Reason::TimedOut => TIMED_OUT.to_owned(),
        Reason::Kicked => KICKED.to_owned(),
        Reason::Disabled => DISABLED.to_owned(),
        _ if text.is_empty() => EXPIRED.to_owned(),
        _ => error(text),
    }
}

/// A message as it is shown.
pub(crate) fn message(sender: &str, text: &str) -> String {
    paragraph(&format!("{}: ", one_line(sender)), text)
}

/// To who tried a name in vain that may not be there yet.
pub(crate) fn invited_by_chat(server: &str) -> String {
    format!("If you are new, use your invitation with: hobnob chat {server}\n")
}

/// Someone came or went.
pub(crate) fn presence(user: &str, online: bool) -> String {
    format!("{} logged {}\n", one_line(user), if online { "in" } else { "out" })
}

/// The first meeting with a server, for stderr.
pub(crate) fn first_contact(server: &str, fingerprint: &str) -> String {
    format!("First contact with {server}, whose key is {fingerprint}. It is trusted from now on.\n")
}

/// What a message, a broadcast, a block or its end came to; empty where silence is the answer. `user` is as the
/// server writes the name.
pub(crate) fn outcome(command: &Command, outcome: Outcome, user: &str) -> String {
    let user = one_line(user);
    let verb = match command {
        Command::Block(_) => "block",
        Command::Unblock(_) => "unblock",
        _ => "message",
    };
    match (outcome, verb) {
        (Outcome::Accepted, "block") => format!("{user} is blocked\n"),
        (Outcome::Accepted, "unblock") => format!("{user} is unblocked\n"),
        (Outcome::Accepted, _) => String::new(),
        (Outcome::AcceptedForSome, _) => BLOCKED_BY_SOME.to_owned(),
        (Outcome::Blocked, _) => BLOCKED.to_owned(),
        (Outcome::InvalidUser, _) => INVALID_USER.to_owned(),
        (Outcome::Self_, verb) => format!("Error. Cannot {verb} self\n"),
        (Outcome::InboxFull, _) => format!("Error. {user}'s inbox is full\n"),
        (Outcome::TooLong, _) => LINE_TOO_LONG.to_owned(),
        (Outcome::ControlCharacters, _) => "Error. The message contains control characters\n".to_owned(),
        (Outcome::AlreadyBlocked, _) => format!("Error. You have already blocked {user}\n"),
        (Outcome::NotBlocked, _) => format!("Error. {user} was not blocked\n"),
        (Outcome::Unspecified | Outcome::Busy | Outcome::Stale | Outcome::Gap, _) => {
            "Error. The server gave an answer that this program does not know\n".to_owned()
        }
    }
}

/// Names, a line each, or `none`.
pub(crate) fn names(names: &[String], none: &str) -> String {
    if names.is_empty() {
        return none.to_owned();
    }
    names.iter().map(|name| format!("{}\n", one_line(name))).collect()
}

/// Nobody was there within the seconds, repeated as typed.
pub(crate) fn no_one_since(seconds: &str) -> String {
    format!("No one else is logged in since {seconds} seconds ago.\n")
}

/// The answer to `passwd`.
pub(crate) fn passwd(answer: &Answer) -> String {
    match answer {
        Answer::Done => PASSWORD_CHANGED.to_owned(),
        Answer::Refused { text, .. } => error(text),
        _ => PASSWORD_UNKNOWN.to_owned(),
    }
}

/// What could not be sent and goes out with the next login.
pub(crate) fn waiting(count: usize) -> String {
    format!("{count} messages wait for the server\n")
}

/// The last words of a session, and the exit code.
pub(crate) fn end(end: &End) -> (String, u8) {
    match end {
        End::LoggedOut { waiting: 0 } => (GOODBYE.to_owned(), 0),
        End::LoggedOut { waiting: count } => (waiting(*count) + GOODBYE, 0),
        End::TimedOut => (TIMED_OUT.to_owned(), 0),
        End::Replaced => (REPLACED.to_owned(), 1),
        End::Expired => (EXPIRED.to_owned(), 1),
        End::Kicked => (KICKED.to_owned(), 1),
        End::Failed(text) => (error(text), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(shown: impl AsRef<str>, expected: &str) {
        assert_eq!(shown.as_ref(), expected);
    }

    #[test]
    fn messages() {
        check(message("hans", "hi there"), "hans: hi there\n");
        check(message("hans", "one\ntwo\n\nbob: four"), "hans: one\n  two\n  \n  bob: four\n");
        check(message("hans", ""), "hans: \n");
        check(message("ha\nns", "x"), "ha␊ns: x\n");
        check(presence("hans", true), "hans logged in\n");
        check(presence("hans", false), "hans logged out\n");
        check(presence("hans logged in\nbob", false), "hans logged in␊bob logged out\n");
    }

    #[test]
    fn outcomes() {
        let message = Command::Message { to: "bob".into(), text: "hi".into() };
        let broadcast = Command::Broadcast { text: "hi".into() };
        let block = Command::Block("bob".into());
        let unblock = Command::Unblock("bob".into());
        let cases = [
            (&message, Outcome::Accepted, ""),
            (
                &message,
                Outcome::Blocked,
                "Your message could not be delivered as the recipient has blocked you\n",
            ),
            (&message, Outcome::InvalidUser, "Error. Invalid user\n"),
            (&message, Outcome::Self_, "Error. Cannot message self\n"),
            (&message, Outcome::InboxFull, "Error. Bob's inbox is full\n"),
            (&message, Outcome::TooLong, "Error. The message is too long, 64 KiB at most\n"),
            (&message, Outcome::ControlCharacters, "Error. The message contains control characters\n"),
            (&broadcast, Outcome::Accepted, ""),
            (
                &broadcast,
                Outcome::AcceptedForSome,
                "Your message could not be delivered to some recipients\n",
            ),
            (&block, Outcome::Accepted, "Bob is blocked\n"),
            (&block, Outcome::Self_, "Error. Cannot block self\n"),
            (&block, Outcome::InvalidUser, "Error. Invalid user\n"),
            (&block, Outcome::AlreadyBlocked, "Error. You have already blocked Bob\n"),
            (&unblock, Outcome::Accepted, "Bob is unblocked\n"),
            (&unblock, Outcome::Self_, "Error. Cannot unblock self\n"),
            (&unblock, Outcome::NotBlocked, "Error. Bob was not blocked\n"),
        ];
        for (command, given, expected) in cases {
            check(outcome(command, given, "Bob"), expected);
        }
    }

    #[test]
    fn logins() {
        use login_refused::Reason;
        let cases = [
            (Reason::WrongPassword, "Invalid Password. Please try again\n"),
            (Reason::LockedNow, "Invalid Password. Your account has been blocked. Please try again later\n"),
            (
                Reason::Locked,
                "Your account is blocked due to multiple login failures. Please try again later\n",
            ),
            (Reason::InUse, "This account is already in use. Please enter another username\n"),
            (Reason::NameRefused, "Error. This name cannot be used: why\n"),
            (Reason::Kicked, "Your session was ended by the server's keeper\n"),
            (Reason::Disabled, "This account is disabled. Please ask the server's keeper\n"),
            (Reason::Throttled, "Error. why\n"),
            (Reason::PasswordRefused, "Error. why\n"),
        ];
        for (reason, expected) in cases {
            check(login_refused(reason, "why"), expected);
        }
        check(welcome("Hi", 0), "Hi\n");
        check(welcome("Hi\nall", 3), "Hi\n  all\n3 failed login attempts since your last login\n");
        check(welcome("", 0), "");
    }

    #[test]
    fn lists() {
        let list = ["Hans".to_owned(), "bob".to_owned()];
        check(names(&list, NO_ONE_ELSE), "Hans\nbob\n");
        check(names(&[], NO_ONE_ELSE), "No one else is online now.\n");
        check(names(&[], NO_BLOCKS), "You have blocked no one\n");
        check(no_one_since("007"), "No one else is logged in since 007 seconds ago.\n");
    }

    #[test]
    fn ends() {
        let cases = [
            (End::LoggedOut { waiting: 0 }, "Goodbye.\n", 0),
            (End::LoggedOut { waiting: 2 }, "2 messages wait for the server\nGoodbye.\n", 0),
            (End::TimedOut, "Timeout. You are logged out due to inactivity\n", 0),
            (End::Replaced, "You have logged in elsewhere\n", 1),
            (End::Expired, "Error. Your session has ended, please log in again\n", 1),
            (End::Kicked, "Your session was ended by the server's keeper\n", 1),
            (End::Failed("it broke".into()), "Error. it broke\n", 1),
        ];
        for (given, expected, code) in cases {
            assert_eq!(end(&given), (expected.to_owned(), code));
        }
    }
}
