//! From the introduction to the first link: whom the server introduces, and attempts to reach them.

use std::time::Duration;

use hobnob_protocol::limits::INTRODUCTION_LIFETIME;
use hobnob_protocol::v1;
use v1::invite_ended::Reason;

use crate::keys::Trust;

use super::event::{Effect, Invite, News, TalkError};
use super::mail::Mail;
use super::request::SLACK;
use super::session::{Dialling, Phase, Talk};
use super::{Other, TALKS_MAX, Talks, is_invite};

impl Talks {
    /// Both have consented, says the server, or says it once more.
    pub(super) fn introduced(&mut self, introduced: v1::Introduced) {
        if let Some(user) = self.user_of(&introduced.invite) {
            return self.introduced_again(&user, introduced);
        }
        if !is_invite(&introduced.invite) {
            return;
        }
        match self.claim(&introduced) {
            Some((user, key)) => self.meet(user, key, introduced),
            // Given up, or never asked for.
            None => self.effects.push(Effect::Cancel(introduced.invite)),
        }
    }

    /// Who is meant, by the key of the name, and the device's key; `None`: this side wants no such talk.
    fn claim(&mut self, introduced: &v1::Introduced) -> Option<(String, [u8; 32])> {
        let Other::User(user) = self.other(&introduced.user) else { return None };
        let key = <[u8; 32]>::try_from(&introduced.key[..]).ok()?;
        // Who has answered may have asked as well.
        let answered = self.claim_question(&introduced.invite, &user);
        let asked = self.claim_request(&introduced.invite, &user);
        (answered || asked).then_some((user, key))
    }

    fn meet(&mut self, user: String, key: [u8; 32], introduced: v1::Introduced) {
        let v1::Introduced { invite, user: name, contact, dials, you_block, valid_ms, .. } = introduced;
        self.forget_requests(&user);
        if self.judge(&user, &name, key) == Trust::Refused {
            return self.effects.push(Effect::Cancel(invite));
        }
        self.replace(&user);
        if self.talks.len() >= TALKS_MAX {
            self.effects.push(Effect::Cancel(invite));
            return self.error(TalkError::TooMany);
        }
        let valid = Duration::from_millis(valid_ms.into()).min(INTRODUCTION_LIFETIME);
        // Who is dialled waits a little longer: an attempt that began in time may still work.
        let until = self.now + valid + if dials { Duration::ZERO } else { SLACK };
        let talk = Talk {
            invite: invite.clone(),
            user: name,
            key,
            contact: contact.unwrap_or_default(),
            dials,
            blocked: you_block,
            phase: Phase::Connecting { until },
            link: None,
            relayed: false,
            dialling: Dialling::default(),
            mail: Mail::default(),
        };
        self.talks.insert(user.clone(), talk);
        if dials {
            self.dial(&user);
        } else {
            self.effects.push(Effect::Expect { invite, key });
        }
    }

    /// What else there is between the two is settled by the introduction.
    fn forget_requests(&mut self, user: &str) {
        while self.withdraw(user).is_some() {}
        self.forget_questions(user);
    }

    fn introduced_again(&mut self, user: &str, introduced: v1::Introduced) {
        let Some(talk) = self.talks.get_mut(user) else { return };
        if talk.key[..] != introduced.key[..] {
            return;
        }
        talk.blocked |= introduced.you_block;
        let contact = introduced.contact.unwrap_or_default();
        self.reach(user, contact);
    }

    /// Where the other is now.
    pub(super) fn peer_contact(&mut self, told: v1::PeerContact) {
        if let Some(user) = self.user_of(&told.invite) {
            self.reach(&user, told.contact.unwrap_or_default());
        }
    }

    fn reach(&mut self, user: &str, contact: v1::Contact) {
        let Some(talk) = self.talks.get_mut(user) else { return };
        let moved = talk.contact != contact;
        talk.contact = contact;
        let call = talk.wants_link() && (moved || !talk.dialling.under_way);
        if call && talk.dialling.moved(self.now) {
            self.dial(user);
        }
    }

    /// Makes a link now.
    pub(super) fn dial(&mut self, user: &str) {
        let Some(talk) = self.talks.get_mut(user) else { return };
        talk.dialling.under_way = true;
        talk.dialling.next = None;
        let (invite, key, contact) = (talk.invite.clone(), talk.key, talk.contact.clone());
        self.effects.push(Effect::Dial { invite, key, contact });
    }

    /// A link could not be made.
    pub(super) fn failed(&mut self, invite: &Invite) {
        let now = self.now;
        let talk = self.user_of(invite).and_then(|user| self.talks.get_mut(&user));
        if let Some(talk) = talk.filter(|talk| talk.wants_link()) {
            talk.dialling.failed(now);
        }
    }

    /// The other has given up before there was a link. An open talk is none of the server's business.
    pub(super) fn introduction_ended(&mut self, invite: &Invite, reason: Reason) {
        let Some(user) = self.user_of(invite) else { return };
        if !self.talks.get(&user).is_some_and(Talk::is_connecting) {
            return;
        }
        let Some(talk) = self.talks.remove(&user) else { return };
        self.effects.push(Effect::Forget(talk.invite));
        self.tell(match reason {
            Reason::Withdrawn => News::StoppedBy(talk.user),
            Reason::Declined | Reason::Expired | Reason::Unspecified => {
                News::Error(TalkError::NoConnection(talk.user))
            }
        });
    }

    /// Nobody could be reached in time.
    pub(super) fn give_up(&mut self, user: &str) {
        if let Some(talk) = self.talks.remove(user) {
            self.effects.push(Effect::Forget(talk.invite));
            self.error(TalkError::NoConnection(talk.user));
        }
    }
}
