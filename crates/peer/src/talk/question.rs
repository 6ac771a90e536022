//! The asked side of requests: one question at a time, and answers that the server may have to be told twice.

use std::time::Duration;

use hobnob_protocol::limits::{INTRODUCTION_LIFETIME, INVITE_LIFETIME};
use hobnob_protocol::v1;
use v1::invite_ended::Reason;

use super::event::{Effect, Invite, News, TalkError};
use super::request::SLACK;
use super::{Other, Talks, is_invite};

/// Questions that may wait; further ones are not heard.
const QUESTIONS_MAX: usize = 64;
/// Answers that are remembered.
const ANSWERED_MAX: usize = 128;

/// A request of somebody else that waits for an answer.
#[derive(Debug)]
pub(super) struct Question {
    invite: Invite,
    /// As the server writes the name.
    name: String,
    /// By its key.
    user: String,
    /// It stands on the screen.
    shown: bool,
    pub(super) until: Duration,
}

/// A request that was answered. The server may not have heard it: it then asks again, and is told again.
#[derive(Debug)]
pub(super) struct Answered {
    invite: Invite,
    name: String,
    user: String,
    accept: bool,
    /// How often the server was told.
    told: u32,
    pub(super) until: Duration,
}

impl Talks {
    /// Somebody asks, or is told to ask once more.
    pub(super) fn asked(&mut self, asked: v1::Asked) {
        let Other::User(user) = self.other(&asked.user) else { return };
        if !is_invite(&asked.invite) || self.user_of(&asked.invite).is_some() {
            return;
        }
        if let Some(answered) = self.answered.iter_mut().find(|answered| answered.invite == asked.invite) {
            answered.told += 1;
            let (invite, accept) = (asked.invite, answered.accept);
            return self.effects.push(Effect::Answer { invite, accept });
        }
        if self.questions.iter().any(|question| question.invite == asked.invite) {
            return;
        }
        let (invite, name, until) = (asked.invite, asked.user, self.now + INVITE_LIFETIME + SLACK);
        let question = Question { invite, name, user, shown: false, until };
        // Who asks again has no other request standing, whatever was heard of its end.
        match self.questions.iter().position(|earlier| earlier.user == question.user) {
            Some(at) => self.questions[at] = question,
            None if self.questions.len() >= QUESTIONS_MAX => return,
            None => self.questions.push_back(question),
        }
        self.effects.push(Effect::Prepare);
        self.show_next();
    }

    /// `y`, `n`, `accept <user>`, `decline <user>`
    pub(super) fn answer(&mut self, typed: Option<&str>, accept: bool) {
        let at = match typed.map(|typed| self.other(typed)) {
            None => self.questions.iter().position(|question| question.shown),
            Some(Other::User(user)) => self.questions.iter().position(|question| question.user == user),
            Some(_) => None,
        };
        match at.and_then(|at| self.questions.remove(at)) {
            None => self.error(TalkError::NoRequest),
            Some(question) => self.give_answer(question, accept),
        }
        self.show_next();
    }

    fn give_answer(&mut self, question: Question, accept: bool) {
        let Question { invite, name, user, until, .. } = question;
        self.effects.push(Effect::Answer { invite: invite.clone(), accept });
        let introduced = self.now + INTRODUCTION_LIFETIME + SLACK;
        let until = if accept { introduced } else { until };
        if self.answered.len() >= ANSWERED_MAX {
            self.answered.pop_front();
        }
        self.answered.push_back(Answered { invite, name, user, accept, told: 1, until });
    }

    /// This user's request is accepted, and the introduction has yet to come.
    pub(super) fn has_accepted(&self, user: &str) -> bool {
        self.answered.iter().any(|answered| answered.accept && answered.user == user)
    }

    /// `stopprivate` on a question, or on one that was accepted: the name of who asked.
    pub(super) fn stop_question(&mut self, user: &str) -> Option<String> {
        if let Some(at) = self.questions.iter().position(|question| question.user == user) {
            let question = self.questions.remove(at)?;
            let name = question.name.clone();
            self.give_answer(question, false);
            return Some(name);
        }
        let accepted = |answered: &Answered| answered.accept && answered.user == user;
        let at = self.answered.iter().position(accepted)?;
        let answered = self.answered.remove(at)?;
        self.effects.push(Effect::Cancel(answered.invite));
        Some(answered.name)
    }

    /// A question is answered by what the person did otherwise.
    pub(super) fn drop_question(&mut self, user: &str) {
        self.questions.retain(|question| question.user != user);
        self.show_next();
    }

    /// Somebody's request ended. False: it is none of theirs.
    pub(super) fn question_ended(&mut self, invite: &Invite, reason: Reason) -> bool {
        let name = match self.questions.iter().position(|question| question.invite == *invite) {
            Some(at) => self.questions.remove(at).map(|question| question.name),
            None => match self.answered.iter().position(|answered| answered.invite == *invite) {
                Some(at) => self.answered.remove(at).filter(|it| it.accept).map(|answered| answered.name),
                None => return false,
            },
        };
        match (name, reason) {
            (Some(name), Reason::Withdrawn) => self.tell(News::StoppedBy(name)),
            (Some(name), Reason::Expired) => self.tell(News::Expired(name)),
            // Another session of this user has declined.
            _ => {}
        }
        self.show_next();
        true
    }

    /// The server knows nothing of a request that was answered.
    pub(super) fn gone(&mut self, invite: &Invite) {
        let Some(at) = self.answered.iter().position(|answered| answered.invite == *invite) else { return };
        let answered = &mut self.answered[at];
        // Of several answers one may have been heard.
        answered.told = answered.told.saturating_sub(1);
        if answered.told == 0 {
            let answered = self.answered.remove(at).filter(|answered| answered.accept);
            answered.into_iter().for_each(|answered| self.tell(News::Expired(answered.name)));
        }
    }

    /// The introduction that came of a question: whether it was accepted.
    pub(super) fn claim_question(&mut self, invite: &Invite, user: &str) -> bool {
        let meant =
            |answered: &Answered| answered.accept && answered.invite == *invite && answered.user == user;
        let at = self.answered.iter().position(meant);
        at.is_some_and(|at| self.answered.remove(at).is_some())
    }

    /// Nothing of a user's requests matters any more.
    pub(super) fn forget_questions(&mut self, user: &str) {
        self.answered.retain(|answered| answered.user != user || !answered.accept);
        self.drop_question(user);
    }

    pub(super) fn due_questions(&mut self) {
        let now = self.now;
        let late: Vec<_> =
            (0..self.questions.len()).rev().filter(|at| self.questions[*at].until <= now).collect();
        let mut expired: Vec<_> = late.into_iter().filter_map(|at| self.questions.remove(at)).collect();
        expired.reverse();
        expired.into_iter().for_each(|question| self.tell(News::Expired(question.name)));
        while let Some(at) = self.answered.iter().position(|answered| answered.until <= now) {
            if let Some(answered) = self.answered.remove(at).filter(|answered| answered.accept) {
                self.effects.push(Effect::Cancel(answered.invite));
                self.tell(News::Expired(answered.name));
            }
        }
        self.show_next();
    }

    /// One at a time: the next is shown when none stands.
    pub(super) fn show_next(&mut self) {
        if self.questions.iter().any(|question| question.shown) {
            return;
        }
        if let Some(question) = self.questions.front_mut() {
            question.shown = true;
            let name = question.name.clone();
            self.tell(News::Question(name));
        }
    }
}
