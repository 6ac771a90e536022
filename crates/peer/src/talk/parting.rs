//! How talks end, and what is said of messages that did not arrive.

use std::time::Duration;

use hobnob_protocol::v1::TalkBye;
use hobnob_protocol::v1::talk_bye::Reason;
use hobnob_protocol::v1::talk_frame::Body;

use crate::network::Link;

use super::event::{Effect, Invite, News, TalkError};
use super::mail::Mail;
use super::session::Talk;
use super::{Other, TALKS_MAX, Talks};

/// How long a talk that was stopped, or a user who leaves, waits for the last messages to be acknowledged.
const LAST_WORDS_MAX: Duration = Duration::from_secs(3);
/// How long the server may take to say whether a user may be seen.
const SIGHT_MAX: Duration = Duration::from_secs(5);

/// The user is about to leave, or has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    No,
    Until(Duration),
    Done,
}

impl Leaving {
    pub(super) fn until(self) -> Option<Duration> {
        if let Self::Until(until) = self { Some(until) } else { None }
    }
}

/// A talk that this side has stopped, while its last messages are on their way.
#[derive(Debug)]
pub(super) struct Closing {
    invite: Invite,
    link: Link,
    user: String,
    mail: Mail,
    pub(super) until: Duration,
}

/// A talk that ended without a word of the other's: the server is asked what may be said.
#[derive(Debug)]
pub(super) struct Parting {
    user: String,
    undelivered: usize,
    /// The end is yet to be told.
    ended: bool,
    pub(super) until: Duration,
}

impl Talks {
    /// `stopprivate <user>`
    pub(super) fn stop(&mut self, typed: &str) {
        let user = if let Other::User(user) = self.other(typed) { user } else { String::new() };
        let asked = self.withdraw(&user);
        let question = self.stop_question(&user);
        let talk = self.talks.remove(&user);
        let name = talk.as_ref().map(|talk| talk.user.clone()).or(question).or(asked);
        match name {
            Some(name) => self.tell(News::Stopped(name)),
            None => self.error(TalkError::NoSession(typed.to_owned())),
        }
        talk.into_iter().for_each(|talk| self.close(talk));
        self.show_next();
    }

    /// Ends a talk by the user's will. What is still on its way may arrive.
    fn close(&mut self, talk: Talk) {
        if talk.is_connecting() {
            self.effects.push(Effect::Cancel(talk.invite.clone()));
        }
        let Talk { invite, user, link, mail, .. } = talk;
        link.into_iter().for_each(|link| self.say_bye(link, Reason::Stopped));
        match link {
            // Not forgotten yet: that would end the link.
            Some(link) if mail.len() > 0 && self.closings.len() < TALKS_MAX => {
                let until = self.now + LAST_WORDS_MAX;
                self.closings.push(Closing { invite, link, user, mail, until });
            }
            _ => {
                self.effects.extend(link.map(Effect::Close));
                self.effects.push(Effect::Forget(invite));
                self.part(user, mail.len(), false);
            }
        }
    }

    fn say_bye(&mut self, link: Link, reason: Reason) {
        self.send(link, vec![Body::Bye(TalkBye { reason: reason.into() })]);
    }

    /// The other ends the talk.
    pub(super) fn bye(&mut self, user: &str, reason: Reason) {
        let Some(talk) = self.talks.remove(user) else { return };
        let Talk { invite, user, link, mail, .. } = talk;
        self.effects.extend(link.map(Effect::Close));
        self.effects.push(Effect::Forget(invite));
        // Who stops is online, and of who says no more nothing may be said.
        self.undelivered(&user, mail.len(), reason != Reason::Left);
        self.tell(match reason {
            Reason::Stopped => News::StoppedBy(user),
            Reason::Left | Reason::Ended => News::Ended { user, left: reason == Reason::Left },
        });
    }

    /// The link is gone for good, without a word.
    pub(super) fn lose(&mut self, user: &str) {
        let Some(talk) = self.talks.remove(user) else { return };
        self.effects.push(Effect::Forget(talk.invite));
        self.part(talk.user, talk.mail.len(), true);
    }

    /// Ends a talk whose other side makes no sense, or does nothing.
    pub(super) fn cut(&mut self, user: &str) {
        if let Some(link) = self.talks.get_mut(user).and_then(|talk| talk.link.take()) {
            self.say_bye(link, Reason::Ended);
            self.effects.push(Effect::Close(link));
        }
        self.lose(user);
    }

    /// A new talk takes the place of one that the other has no more. The other is there, so it must not be
    /// said that it is not.
    pub(super) fn replace(&mut self, user: &str) {
        let Some(talk) = self.talks.remove(user) else { return };
        let began = !talk.is_connecting();
        let Talk { invite, user, link, mail, .. } = talk;
        self.effects.extend(link.map(Effect::Close));
        self.effects.push(Effect::Forget(invite));
        self.undelivered(&user, mail.len(), true);
        if began {
            self.tell(News::Ended { user, left: false });
        }
    }

    /// Tells the end of a talk, as soon as it is known what may be said of messages that were lost with it.
    fn part(&mut self, user: String, undelivered: usize, ended: bool) {
        let parting = Parting { user, undelivered, ended, until: self.now + SIGHT_MAX };
        if undelivered > 0 && self.server_up && self.partings.len() < TALKS_MAX {
            self.effects.push(Effect::MaySee(parting.user.clone()));
            self.partings.push_back(parting);
        } else {
            self.tell_parting(parting, false);
        }
    }

    fn tell_parting(&mut self, parting: Parting, discreet: bool) {
        let Parting { user, undelivered, ended, .. } = parting;
        self.undelivered(&user, undelivered, discreet);
        if ended {
            self.tell(News::Ended { user, left: false });
        }
    }

    fn undelivered(&mut self, user: &str, count: usize, discreet: bool) {
        (0..count).for_each(|_| self.tell(News::Undelivered { user: user.to_owned(), discreet }));
    }

    /// The server's answer.
    pub(super) fn sight(&mut self, user: &str, may: bool) {
        let at = self.partings.iter().position(|parting| parting.user == user);
        let parting = at.and_then(|at| self.partings.remove(at));
        parting.into_iter().for_each(|parting| self.tell_parting(parting, !may));
    }

    /// The server cannot be asked.
    pub(super) fn part_unasked(&mut self) {
        std::mem::take(&mut self.partings).into_iter().for_each(|parting| self.tell_parting(parting, false));
    }

    /// A frame on the link of a talk that was stopped: only whether the last words have arrived matters.
    pub(super) fn frame_of_closing(&mut self, link: Link, frame: &Body) {
        let Some(at) = self.closings.iter().position(|closing| closing.link == link) else { return };
        let closing = &mut self.closings[at];
        let over = match frame {
            Body::Ack(ack) => closing.mail.acked(ack.upto).is_err() || closing.mail.len() == 0,
            Body::Text(_) => false,
            Body::Bye(_) | Body::Hello(_) => true,
        };
        if over {
            self.closed(at);
        }
    }

    /// Nothing more comes on a link.
    pub(super) fn closing_down(&mut self, link: Link) {
        let at = self.closings.iter().position(|closing| closing.link == link);
        at.into_iter().for_each(|at| self.closed(at));
    }

    fn closed(&mut self, at: usize) {
        let Closing { invite, link, user, mail, .. } = self.closings.remove(at);
        self.effects.extend([Effect::Close(link), Effect::Forget(invite)]);
        self.part(user, mail.len(), false);
    }

    pub(super) fn due_partings(&mut self) {
        let now = self.now;
        while let Some(at) = self.closings.iter().position(|closing| closing.until <= now) {
            self.closed(at);
        }
        while let Some(parting) = self.partings.pop_front_if(|parting| parting.until <= now) {
            self.tell_parting(parting, false);
        }
    }

    /// The session at the server ends. The server tells those who were asked, or who have asked.
    pub(super) fn leave(&mut self) {
        if self.leaving != Leaving::No {
            return;
        }
        self.leaving = Leaving::Until(self.now + LAST_WORDS_MAX);
        self.asks.clear();
        self.questions.clear();
        self.answered.clear();
        self.talks.retain(|_, talk| {
            if talk.is_connecting() {
                self.effects.push(Effect::Cancel(talk.invite.clone()));
                self.effects.push(Effect::Forget(talk.invite.clone()));
            }
            !talk.is_connecting()
        });
    }

    /// Says good-bye to all once everything that was typed has arrived, or there was time enough for it.
    pub(super) fn finish_leaving(&mut self) {
        let Leaving::Until(until) = self.leaving else { return };
        let waits = self.talks.values().any(|talk| talk.mail.len() > 0);
        if (waits || !self.closings.is_empty() || !self.partings.is_empty()) && self.now < until {
            return;
        }
        self.leaving = Leaving::Done;
        for talk in std::mem::take(&mut self.talks).into_values() {
            let Talk { invite, user, link, mail, blocked, .. } = talk;
            // The others are still there, for all that is known.
            self.undelivered(&user, mail.len(), true);
            if let Some(link) = link {
                self.say_bye(link, if blocked { Reason::Ended } else { Reason::Left });
                self.effects.push(Effect::Close(link));
            }
            self.effects.push(Effect::Forget(invite));
        }
        for Closing { invite, link, user, mail, .. } in std::mem::take(&mut self.closings) {
            self.undelivered(&user, mail.len(), true);
            self.effects.extend([Effect::Close(link), Effect::Forget(invite)]);
        }
        for parting in std::mem::take(&mut self.partings) {
            self.tell_parting(parting, true);
        }
        self.effects.push(Effect::Done);
    }
}
