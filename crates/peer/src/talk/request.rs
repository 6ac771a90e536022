//! The asker's side of requests: from `startprivate` until the server introduces, or somebody or something
//! says no.

use std::time::Duration;

use hobnob_protocol::limits::{INTRODUCTION_LIFETIME, INVITE_LIFETIME};
use hobnob_protocol::v1;
use v1::invite_ended::Reason;
use v1::invited::Outcome;

use super::event::{Effect, Invite, News, TalkError};
use super::{Other, TALKS_MAX, Talks, fold, is_invite};

/// The server ends a request in time. Who has not heard of it this much later never will.
pub(super) const SLACK: Duration = Duration::from_secs(2);

/// A request of one's own.
#[derive(Debug)]
pub(super) struct Ask {
    /// As in `Effect::Invite`.
    typed: String,
    /// By the key of the name.
    user: String,
    /// As the server writes it, or as typed as long as it has said nothing.
    shown: String,
    stage: Stage,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// Given to the server, which has yet to say what it thinks of it.
    Given,
    /// The same, but what comes of it is not wanted any more.
    Dropped,
    /// The other is asked.
    Standing { invite: Invite, until: Duration },
    /// The other had asked already: the introduction follows.
    Consented { invite: Invite, until: Duration },
}

impl Ask {
    pub(super) fn until(&self) -> Option<Duration> {
        match self.stage {
            Stage::Standing { until, .. } | Stage::Consented { until, .. } => Some(until),
            Stage::Given | Stage::Dropped => None,
        }
    }

    fn invite(&self) -> Option<&Invite> {
        match &self.stage {
            Stage::Standing { invite, .. } | Stage::Consented { invite, .. } => Some(invite),
            Stage::Given | Stage::Dropped => None,
        }
    }

    fn is_of(&self, user: &str) -> bool {
        self.user == user && self.stage != Stage::Dropped
    }
}

impl Talks {
    /// `startprivate <user>`
    pub(super) fn start(&mut self, typed: &str) {
        let user = match self.other(typed) {
            Other::Nobody => return self.error(TalkError::InvalidUser),
            Other::Me => return self.error(TalkError::StartSelf),
            Other::User(user) => user,
        };
        if let Some(error) = self.why_not(&user, typed) {
            return self.error(error);
        }
        let typed = typed.to_owned();
        self.effects.extend([Effect::Prepare, Effect::Invite(typed.clone())]);
        self.asks.push(Ask { shown: typed.clone(), typed, user, stage: Stage::Given });
    }

    /// What is known here and speaks against asking.
    fn why_not(&self, user: &str, typed: &str) -> Option<TalkError> {
        if let Some(talk) = self.talks.get(user) {
            let name = talk.user.clone();
            let connecting = talk.is_connecting();
            return Some(if connecting { TalkError::AlreadyAsked(name) } else { TalkError::Connected(name) });
        }
        if self.asks.iter().any(|ask| ask.is_of(user)) || self.has_accepted(user) {
            return Some(TalkError::AlreadyAsked(typed.to_owned()));
        }
        (self.asks.len() + self.talks.len() >= TALKS_MAX).then_some(TalkError::TooMany)
    }

    /// The server's answer.
    pub(super) fn invited(&mut self, typed: &str, answer: Option<v1::Invited>) {
        // Answers come in the order of the requests.
        let unanswered = |ask: &Ask| ask.typed == typed && matches!(ask.stage, Stage::Given | Stage::Dropped);
        let Some(at) = self.asks.iter().position(unanswered) else { return };
        let mut ask = self.asks.remove(at);
        let (outcome, name, invite) =
            answer.map_or_else(Default::default, |answer| (answer.outcome(), answer.user, answer.invite));
        // Errors name the user as typed, as long as the server does not know better.
        if fold(&name).is_some_and(|name| name == ask.user) {
            ask.shown = name;
        }
        match outcome {
            Outcome::Asked | Outcome::Consented if !self.is_new(&invite) => {
                self.forget_quietly(&ask, &invite);
            }
            // Who has asked anew meanwhile means the same request: the server keeps one for two users.
            Outcome::Asked | Outcome::Consented if ask.stage == Stage::Dropped => {
                if !self.asks.iter().any(|other| other.is_of(&ask.user)) {
                    self.effects.push(Effect::Cancel(invite));
                }
            }
            _ if ask.stage == Stage::Dropped => {}
            Outcome::Asked => {
                let until = self.now + INVITE_LIFETIME + SLACK;
                self.tell(News::Started(ask.shown.clone()));
                self.asks.push(Ask { stage: Stage::Standing { invite, until }, ..ask });
            }
            Outcome::Consented => {
                self.drop_question(&ask.user);
                let until = self.now + INTRODUCTION_LIFETIME;
                self.asks.push(Ask { stage: Stage::Consented { invite, until }, ..ask });
            }
            Outcome::InvalidUser => self.error(TalkError::InvalidUser),
            Outcome::Self_ => self.error(TalkError::StartSelf),
            Outcome::Blocked => self.error(TalkError::Blocked(ask.shown)),
            Outcome::Offline => self.error(TalkError::Offline(ask.shown)),
            Outcome::Busy => self.error(TalkError::TooMany),
            Outcome::Unspecified | Outcome::Gone => self.error(TalkError::NotAsked),
        }
    }

    /// A request or talk by this name is not known yet.
    fn is_new(&self, invite: &Invite) -> bool {
        let known = self.asks.iter().any(|ask| ask.invite() == Some(invite));
        is_invite(invite) && !known && self.user_of(invite).is_none()
    }

    /// The answer names a request that has become a talk meanwhile, which is as it should be, or makes no
    /// sense.
    fn forget_quietly(&mut self, ask: &Ask, invite: &Invite) {
        let is_talk = self.talks.get(&ask.user).is_some_and(|talk| talk.invite == *invite);
        if ask.stage == Stage::Given && !is_talk {
            self.error(TalkError::NotAsked);
        }
    }

    /// A request ended without consent. False: it is none of this side.
    pub(super) fn request_ended(&mut self, invite: &Invite, reason: Reason) -> bool {
        let Some(at) = self.asks.iter().position(|ask| ask.invite() == Some(invite)) else { return false };
        let ask = self.asks.remove(at);
        self.tell(match (ask.stage, reason) {
            (Stage::Consented { .. }, Reason::Withdrawn) => News::StoppedBy(ask.shown),
            (Stage::Consented { .. }, _) => News::Error(TalkError::NoConnection(ask.shown)),
            (_, Reason::Declined) => News::Declined(ask.shown),
            _ => News::NoAnswer(ask.shown),
        });
        true
    }

    /// Takes back what this user is asked; false: nothing.
    pub(super) fn withdraw(&mut self, user: &str) -> Option<String> {
        let ask = self.asks.iter_mut().find(|ask| ask.is_of(user))?;
        let shown = ask.shown.clone();
        match ask.invite().cloned() {
            // Cancelled as soon as the server has said how it is called.
            None => ask.stage = Stage::Dropped,
            Some(invite) => {
                self.asks.retain(|ask| !ask.is_of(user));
                self.effects.push(Effect::Cancel(invite));
            }
        }
        Some(shown)
    }

    /// The introduction that came of a request: whether there is one of this user that means it. The server
    /// has said before how the request is called.
    pub(super) fn claim_request(&mut self, invite: &Invite, user: &str) -> bool {
        let meant = |ask: &Ask| ask.is_of(user) && ask.invite() == Some(invite);
        let at = self.asks.iter().position(meant);
        at.into_iter().for_each(|at| drop(self.asks.remove(at)));
        at.is_some()
    }

    pub(super) fn due_requests(&mut self) {
        let now = self.now;
        let late = |ask: &mut Ask| ask.until().is_some_and(|until| until <= now);
        let late: Vec<_> = self.asks.extract_if(.., late).collect();
        for ask in late {
            self.effects.extend(ask.invite().cloned().map(Effect::Cancel));
            self.tell(match ask.stage {
                Stage::Consented { .. } => News::Error(TalkError::NoConnection(ask.shown)),
                _ => News::NoAnswer(ask.shown),
            });
        }
    }
}
