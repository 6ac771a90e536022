//! The dialogue before a session: what is asked, and what becomes of the answers. Pure.

use hobnob_protocol::v1::{Found, found, login_refused::Reason};

use super::{PASSWORD_BYTES_MAX, face::Input, text};

/// What a name may have in bytes to fit in a frame before login. The server says what it really may have.
const NAME_BYTES_MAX: usize = 1024;

/// What to do next.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Print this prompt, and read a line for [`Dialogue::typed`].
    Ask { prompt: &'static str, secret: bool },
    /// Look the name up for [`Dialogue::found`].
    LookUp(String),
    /// Log in; what comes of it other than a session is for [`Dialogue::refused`].
    LogIn { name: String, password: String, register: bool },
    /// End the process with this code.
    Exit(u8),
}

/// Where the dialogue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Name,
    Password,
}

/// The dialogue.
#[derive(Debug)]
pub(crate) struct Dialogue {
    place: Place,
    name: String,
    /// Whether the name is to be registered.
    new: bool,
    /// Whether anything was refused; then giving up is a failure.
    refused: bool,
}

impl Dialogue {
    /// Begins it, with the name if it is known.
    pub(crate) fn begin(user: Option<String>) -> (Self, Step) {
        let mut dialogue = Self { place: Place::Name, name: String::new(), new: false, refused: false };
        let step = match user {
            Some(user) => dialogue.look_up(user),
            None => dialogue.ask_name(),
        };
        (dialogue, step)
    }

    /// A line was typed. Returns what to print, and the next step.
    pub(crate) fn typed(&mut self, input: Input) -> (String, Step) {
        let line = match (input, self.place) {
            (Input::End, _) => return (String::new(), Step::Exit(self.give_up())),
            (Input::Line(line), _) => line,
            (Input::TooLong, Place::Name) => return self.name_refused("it is too long"),
            (Input::TooLong, Place::Password) => return self.password_too_long(),
        };
        match self.place {
            Place::Name if line.trim().len() > NAME_BYTES_MAX => self.name_refused("it is too long"),
            Place::Name => (String::new(), self.look_up(line.trim().to_owned())),
            Place::Password if line.len() > PASSWORD_BYTES_MAX => self.password_too_long(),
            Place::Password => {
                let step = Step::LogIn { name: self.name.clone(), password: line, register: self.new };
                (String::new(), step)
            }
        }
    }

    /// The name was looked up.
    pub(crate) fn found(&mut self, found: &Found) -> (String, Step) {
        self.new = match found.answer() {
            found::Answer::Refused => return self.name_refused(&found.reason),
            found::Answer::New => true,
            found::Answer::Known | found::Answer::Unspecified => false,
        };
        (String::new(), self.ask_password())
    }

    /// The login was refused.
    pub(crate) fn refused(&mut self, reason: Reason, words: &str) -> (String, Step) {
        if reason == Reason::NameTaken {
            self.new = false;
            return (String::new(), self.ask_password());
        }
        self.refused = true;
        let step = match reason {
            Reason::WrongPassword | Reason::PasswordRefused => self.ask_password(),
            Reason::InUse | Reason::NameRefused => self.ask_name(),
            _ => Step::Exit(1),
        };
        (text::login_refused(reason, words), step)
    }

    /// The exit code if the user leaves now.
    pub(crate) fn give_up(&self) -> u8 {
        u8::from(self.refused)
    }

    fn look_up(&mut self, name: String) -> Step {
        self.name.clone_from(&name);
        Step::LookUp(name)
    }

    fn ask_name(&mut self) -> Step {
        self.place = Place::Name;
        Step::Ask { prompt: text::USERNAME, secret: false }
    }

    fn ask_password(&mut self) -> Step {
        self.place = Place::Password;
        Step::Ask { prompt: if self.new { text::NEW_USER } else { text::PASSWORD }, secret: true }
    }

    fn name_refused(&mut self, reason: &str) -> (String, Step) {
        self.refused = true;
        (text::name_refused(reason), self.ask_name())
    }

    fn password_too_long(&mut self) -> (String, Step) {
        self.refused = true;
        (text::PASSWORD_TOO_LONG.to_owned(), self.ask_password())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Input {
        Input::Line(text.to_owned())
    }

    fn ask(prompt: &'static str) -> Step {
        Step::Ask { prompt, secret: prompt != text::USERNAME }
    }

    fn check((printed, step): (String, Step), expected: &str, next: &Step) {
        assert_eq!(printed, expected);
        assert!(step == *next, "another step after {expected:?}");
    }

    fn found(answer: found::Answer) -> Found {
        Found { answer: answer.into(), reason: "it is reserved".to_owned() }
    }

    fn log_in(password: &str, register: bool) -> Step {
        Step::LogIn { name: "hans".to_owned(), password: password.to_owned(), register }
    }

    /// As far as the question for the password.
    fn at_password(answer: found::Answer) -> Dialogue {
        let (mut dialogue, step) = Dialogue::begin(None);
        assert!(step == ask("Username: "));
        check(dialogue.typed(line(" hans ")), "", &Step::LookUp("hans".to_owned()));
        let prompt = if answer == found::Answer::New {
            "This is a new user. Enter a password: "
        } else {
            "Password: "
        };
        check(dialogue.found(&found(answer)), "", &ask(prompt));
        dialogue
    }

    #[test]
    fn a_known_name_is_asked_for_its_password() {
        let mut dialogue = at_password(found::Answer::Known);
        check(dialogue.typed(line(" pass word ")), "", &log_in(" pass word ", false));
    }

    #[test]
    fn a_new_name_is_registered() {
        let mut dialogue = at_password(found::Answer::New);
        check(dialogue.typed(line("secret")), "", &log_in("secret", true));
        check(
            dialogue.refused(Reason::PasswordRefused, "A password has 1 to 128 characters"),
            "Error. A password has 1 to 128 characters\n",
            &ask("This is a new user. Enter a password: "),
        );
        check(dialogue.refused(Reason::NameTaken, ""), "", &ask("Password: "));
        check(dialogue.typed(line("secret")), "", &log_in("secret", false));
    }

    #[test]
    fn a_given_name_is_not_asked_for_unless_refused() {
        let (mut dialogue, step) = Dialogue::begin(Some("admin".to_owned()));
        assert!(step == Step::LookUp("admin".to_owned()));
        check(
            dialogue.found(&found(found::Answer::Refused)),
            "Error. This name cannot be used: it is reserved\n",
            &ask("Username: "),
        );
    }

    #[test]
    fn refusals_ask_again_or_end() {
        let cases = [
            (Reason::WrongPassword, ask("Password: ")),
            (Reason::InUse, ask("Username: ")),
            (Reason::NameRefused, ask("Username: ")),
            (Reason::LockedNow, Step::Exit(1)),
            (Reason::Locked, Step::Exit(1)),
            (Reason::Throttled, Step::Exit(1)),
            (Reason::BadDevice, Step::Exit(1)),
            (Reason::Disabled, Step::Exit(1)),
        ];
        for (reason, expected) in cases {
            let mut dialogue = at_password(found::Answer::Known);
            check(dialogue.refused(reason, "why"), &text::login_refused(reason, "why"), &expected);
            check(dialogue.typed(Input::End), "", &Step::Exit(1));
        }
    }

    #[test]
    fn giving_up_is_no_failure_unless_something_was_refused() {
        let mut dialogue = at_password(found::Answer::Known);
        check(dialogue.typed(Input::End), "", &Step::Exit(0));
        check(dialogue.refused(Reason::NameTaken, ""), "", &ask("Password: "));
        check(dialogue.typed(Input::End), "", &Step::Exit(0));
    }

    #[test]
    fn what_fits_in_no_frame_is_not_sent() {
        let (mut dialogue, _) = Dialogue::begin(None);
        let refused = "Error. This name cannot be used: it is too long\n";
        check(dialogue.typed(line(&"x".repeat(2000))), refused, &ask("Username: "));
        check(dialogue.typed(Input::TooLong), refused, &ask("Username: "));
        let mut dialogue = at_password(found::Answer::Known);
        let refused = "Error. A password has 128 characters at most\n";
        check(dialogue.typed(line(&"x".repeat(9000))), refused, &ask("Password: "));
        check(dialogue.typed(Input::TooLong), refused, &ask("Password: "));
    }
}
