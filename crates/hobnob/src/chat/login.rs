//! The dialogue before a session: what is asked, and what becomes of the answers. Pure.

use hobnob_protocol::{
    invitation::{Code, Invitation},
    v1::{Found, found, login_refused::Reason},
};

use super::{PASSWORD_BYTES_MAX, face::Input, text};

/// What a name may have in bytes to fit in a frame before login. The server says what it really may have.
const NAME_BYTES_MAX: usize = 1024;
/// Invitations that are worth nothing before the dialogue ends.
const INVITATIONS_MAX: u32 = 3;

/// What to do next.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Print this prompt, and read a line for [`Dialogue::typed`].
    Ask { prompt: &'static str, secret: bool },
    /// Look the name up for [`Dialogue::found`], with an invitation if there is one. A key that it names has to be the
    /// server's before anything is sent.
    LookUp { name: String, invitation: Option<Invitation> },
    /// Log in; what comes of it other than a session is for [`Dialogue::refused`].
    LogIn { name: String, password: String, account: Account },
    /// End the process with this code.
    Exit(u8),
}

/// Whose account somebody logs in to.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Account {
    /// One that may be there.
    Known,
    /// One to be made.
    New,
    /// One to be made by an invitation.
    Invited(Code),
}

/// Where the dialogue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Name,
    Password,
    Invitation,
}

/// The dialogue.
#[derive(Debug)]
pub(crate) struct Dialogue {
    place: Place,
    name: String,
    /// Whether the name is to be registered.
    new: bool,
    /// Whether new users are asked for an invitation.
    by_invitation: bool,
    /// The one that was given, if the server did not refuse it.
    invitation: Option<Invitation>,
    /// How many were worth nothing.
    invitations_refused: u32,
    /// Whether anything was refused; then giving up is a failure.
    refused: bool,
}

impl Dialogue {
    /// Begins it, with the name if it is known.
    pub(crate) fn begin(user: Option<String>) -> (Self, Step) {
        let mut dialogue = Self {
            place: Place::Name,
            name: String::new(),
            new: false,
            by_invitation: false,
            invitation: None,
            invitations_refused: 0,
            refused: false,
        };
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
            (Input::TooLong, Place::Invitation) => return self.invitation_refused(),
        };
        match self.place {
            Place::Name if line.trim().len() > NAME_BYTES_MAX => self.name_refused("it is too long"),
            Place::Name => (String::new(), self.look_up(line.trim().to_owned())),
            Place::Password if line.len() > PASSWORD_BYTES_MAX => self.password_too_long(),
            // A password is never empty, so this is how to say that there is none yet.
            Place::Password if line.is_empty() && self.by_invitation && !self.new => {
                (String::new(), self.ask_invitation())
            }
            Place::Password => (String::new(), self.log_in(line)),
            Place::Invitation => match line.parse() {
                Ok(invitation) => {
                    self.invitation = Some(invitation);
                    (String::new(), self.look_up(self.name.clone()))
                }
                Err(_) => self.invitation_refused(),
            },
        }
    }

    /// The name was looked up.
    pub(crate) fn found(&mut self, found: &Found) -> (String, Step) {
        use found::Answer;
        self.new = match found.answer() {
            Answer::Refused => return self.name_refused(&found.reason),
            Answer::InvitationRefused => return self.invitation_refused(),
            Answer::TryLater => return self.refused(Reason::Throttled, text::TRY_LATER),
            Answer::ByInvitation => return self.ask_by_invitation(),
            Answer::Known if self.invitation.is_some() => return self.name_taken(),
            Answer::New => true,
            Answer::Known | Answer::Unspecified => false,
        };
        (String::new(), self.ask_password())
    }

    /// The login was refused.
    pub(crate) fn refused(&mut self, reason: Reason, words: &str) -> (String, Step) {
        if reason == Reason::NotInvited {
            return self.invitation_refused();
        }
        if reason == Reason::NameTaken {
            if self.invitation.is_some() {
                return self.name_taken();
            }
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
        Step::LookUp { name, invitation: self.invitation.clone() }
    }

    fn log_in(&self, password: String) -> Step {
        let account = match &self.invitation {
            _ if !self.new => Account::Known,
            None => Account::New,
            Some(invitation) => Account::Invited(invitation.code.clone()),
        };
        Step::LogIn { name: self.name.clone(), password, account }
    }

    /// Nobody is told here which names there are: whoever is new says so.
    fn ask_by_invitation(&mut self) -> (String, Step) {
        let first = !std::mem::replace(&mut self.by_invitation, true);
        self.new = false;
        (if first { text::BY_INVITATION.to_owned() } else { String::new() }, self.ask_password())
    }

    fn ask_invitation(&mut self) -> Step {
        self.place = Place::Invitation;
        Step::Ask { prompt: text::INVITATION, secret: false }
    }

    fn invitation_refused(&mut self) -> (String, Step) {
        self.refused = true;
        self.new = false;
        self.invitation = None;
        self.invitations_refused += 1;
        let over = self.invitations_refused >= INVITATIONS_MAX;
        (text::NOT_INVITED.to_owned(), if over { Step::Exit(1) } else { self.ask_invitation() })
    }

    /// The invitation is still good for another name.
    fn name_taken(&mut self) -> (String, Step) {
        self.refused = true;
        (text::NAME_TAKEN.to_owned(), self.ask_name())
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
        Step::Ask { prompt, secret: prompt != text::USERNAME && prompt != text::INVITATION }
    }

    fn check((printed, step): (String, Step), expected: &str, next: &Step) {
        assert_eq!(printed, expected);
        assert!(step == *next, "another step after {expected:?}");
    }

    fn found(answer: found::Answer) -> Found {
        Found { answer: answer.into(), reason: "it is reserved".to_owned() }
    }

    fn look_up(name: &str, invitation: Option<&Invitation>) -> Step {
        Step::LookUp { name: name.to_owned(), invitation: invitation.cloned() }
    }

    fn log_in(password: &str, account: Account) -> Step {
        Step::LogIn { name: "hans".to_owned(), password: password.to_owned(), account }
    }

    /// As far as the question for the password.
    fn at_password(answer: found::Answer) -> Dialogue {
        let (mut dialogue, step) = Dialogue::begin(None);
        assert!(step == ask("Username: "));
        check(dialogue.typed(line(" hans ")), "", &look_up("hans", None));
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
        check(dialogue.typed(line(" pass word ")), "", &log_in(" pass word ", Account::Known));
    }

    #[test]
    fn a_new_name_is_registered() {
        let mut dialogue = at_password(found::Answer::New);
        check(dialogue.typed(line("secret")), "", &log_in("secret", Account::New));
        check(
            dialogue.refused(Reason::PasswordRefused, "A password has 1 to 128 characters"),
            "Error. A password has 1 to 128 characters\n",
            &ask("This is a new user. Enter a password: "),
        );
        check(dialogue.refused(Reason::NameTaken, ""), "", &ask("Password: "));
        check(dialogue.typed(line("secret")), "", &log_in("secret", Account::Known));
    }

    #[test]
    fn a_given_name_is_not_asked_for_unless_refused() {
        let (mut dialogue, step) = Dialogue::begin(Some("admin".to_owned()));
        assert!(step == look_up("admin", None));
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

    fn invitation() -> Invitation {
        Invitation { code: Code([7; 16]), key: Some(hobnob_protocol::fingerprint(&[1; 32])) }
    }

    /// As far as the question for an invitation.
    fn at_invitation() -> Dialogue {
        let (mut dialogue, _) = Dialogue::begin(Some("hans".to_owned()));
        let hint = "New users need an invitation here. If you have one, leave the password empty\n";
        check(dialogue.found(&found(found::Answer::ByInvitation)), hint, &ask("Password: "));
        check(dialogue.typed(line("")), "", &ask("Invitation: "));
        dialogue
    }

    /// As far as the question for a new password.
    fn invited() -> Dialogue {
        let mut dialogue = at_invitation();
        let given = invitation();
        check(dialogue.typed(line(&format!(" {given} "))), "", &look_up("hans", Some(&given)));
        check(dialogue.found(&found(found::Answer::New)), "", &ask("This is a new user. Enter a password: "));
        dialogue
    }

    #[test]
    fn where_new_users_are_invited_the_others_log_in_as_ever() {
        let (mut dialogue, _) = Dialogue::begin(Some("hans".to_owned()));
        let _ = dialogue.found(&found(found::Answer::ByInvitation));
        check(dialogue.typed(line("secret")), "", &log_in("secret", Account::Known));
        check(dialogue.refused(Reason::InUse, ""), text::IN_USE, &ask("Username: "));
        check(dialogue.typed(line("hans")), "", &look_up("hans", None));
        // Once is enough.
        check(dialogue.found(&found(found::Answer::ByInvitation)), "", &ask("Password: "));
    }

    #[test]
    fn who_is_invited_is_registered() {
        let mut dialogue = invited();
        let account = || Account::Invited(invitation().code);
        check(dialogue.typed(line("secret")), "", &log_in("secret", account()));
        let refused = dialogue.refused(Reason::PasswordRefused, "why");
        check(refused, "Error. why\n", &ask("This is a new user. Enter a password: "));
        check(dialogue.typed(line("")), "", &log_in("", account()));
    }

    #[test]
    fn another_name_needs_no_other_invitation() {
        let taken = "Error. This name is taken. Please enter another username\n";
        let mut dialogue = invited();
        check(dialogue.refused(Reason::NameTaken, ""), taken, &ask("Username: "));
        check(dialogue.typed(line("yoda")), "", &look_up("yoda", Some(&invitation())));
        check(dialogue.found(&found(found::Answer::Known)), taken, &ask("Username: "));
        let _ = dialogue.typed(line("admin"));
        let refused = "Error. This name cannot be used: it is reserved\n";
        check(dialogue.found(&found(found::Answer::Refused)), refused, &ask("Username: "));
        check(dialogue.typed(line("luke")), "", &look_up("luke", Some(&invitation())));
    }

    #[test]
    fn the_third_invitation_that_is_worth_nothing_ends_it() {
        let refused = "Error. This invitation is not valid\n";
        let mut dialogue = at_invitation();
        check(dialogue.typed(line("")), refused, &ask("Invitation: "));
        let _ = dialogue.typed(line(&invitation().to_string()));
        check(dialogue.found(&found(found::Answer::InvitationRefused)), refused, &ask("Invitation: "));
        check(dialogue.typed(Input::TooLong), refused, &Step::Exit(1));
        // Used up by others while the password was typed.
        let mut dialogue = invited();
        let _ = dialogue.typed(line("secret"));
        check(dialogue.refused(Reason::NotInvited, ""), refused, &ask("Invitation: "));
        check(dialogue.typed(Input::End), "", &Step::Exit(1));
        let mut dialogue = at_invitation();
        let later = "Error. Too many tries from your address. Please try again later\n";
        check(dialogue.found(&found(found::Answer::TryLater)), later, &Step::Exit(1));
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
