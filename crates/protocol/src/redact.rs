//! `Debug` for the frames that hold a password, a token or a right: it says what they are, not what they hold.

use std::fmt;

use crate::v1::{ChangePassword, Login, Lookup, Opened, Resume, Sources, TalkText, login::Proof};

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("name", &self.name)
            .field("register", &self.register)
            .field("background", &self.background)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(..)",
            Self::Token(_) => "Token(..)",
        })
    }
}

impl fmt::Debug for Resume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resume").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for ChangePassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChangePassword(..)")
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("sources", &self.sources).finish_non_exhaustive()
    }
}

impl fmt::Debug for TalkText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TalkText").field("number", &self.number).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let (invitation, proof) = ("hunter2".into(), Some(Proof::Password("hunter2".into())));
        let login = Login { name: "hans".into(), proof, invitation, ..Login::default() };
        let lookup = Lookup { name: "hans".into(), invitation: "hunter2".into() };
        let change = ChangePassword { old_password: "hunter2".into(), new_password: "hunter2".into() };
        let resume = Resume { token: "hunter2".into(), ..Resume::default() };
        let opened = Opened { token: "hunter2".into(), ..Opened::default() };
        let sources = Sources { ticket: "hunter2".into(), signature: "hunter2".into(), sources: Vec::new() };
        let talk = TalkText { number: 1, text: "hunter2".into() };
        assert!(!format!("{talk:?}").contains("hunter2"));
        let shown =
            format!("{login:?} {lookup:?} {:?} {change:?} {resume:?} {opened:?} {sources:?}", login.proof);
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!shown.contains("104, 117"), "{shown}");
    }
}
