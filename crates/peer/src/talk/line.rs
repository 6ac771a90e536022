//! The links of talks: frames both ways, and what becomes of a talk whose link is cut.

use hobnob_protocol::limits::TALK_RETURN_MAX;
use hobnob_protocol::v1::talk_frame::Body;
use hobnob_protocol::v1::{TalkAck, TalkText};

use crate::network::Link;

use super::event::{Effect, Invite, News, TalkError};
use super::session::{Interruption, Phase, Talk};
use super::{Other, Talks};

impl Talks {
    /// `private <user> <message>`
    pub(super) fn private(&mut self, typed: &str, text: String) {
        let user = match self.other(typed) {
            Other::Me => return self.error(TalkError::PrivateSelf),
            Other::User(user) => user,
            Other::Nobody => String::new(),
        };
        let Some(talk) = self.talks.get_mut(&user).filter(|talk| !talk.is_connecting()) else {
            return self.error(TalkError::NotEnabled(typed.to_owned()));
        };
        if talk.mail.is_full() {
            // It is interrupted, or the other takes nothing; it may well go on.
            let user = talk.user.clone();
            return self.tell(News::Undelivered { user, discreet: true });
        }
        talk.mail.keep(text);
        if let Some(link) = talk.link {
            let frames = talk.mail.unsent();
            self.send(link, frames);
        }
    }

    /// `path <user>`
    pub(super) fn path(&mut self, typed: &str) {
        let user = if let Other::User(user) = self.other(typed) { user } else { String::new() };
        match self.talks.get(&user).filter(|talk| !talk.is_connecting()) {
            Some(talk) => {
                let link = talk.link.filter(|_| talk.phase == Phase::Open);
                let news = News::Path { user: talk.user.clone(), link };
                self.tell(news);
            }
            None => self.error(TalkError::NoSession(typed.to_owned())),
        }
    }

    pub(super) fn send(&mut self, link: Link, frames: Vec<Body>) {
        self.effects.extend(frames.into_iter().map(|frame| Effect::Send { link, frame }));
    }

    /// Both ends of a link have proven their keys.
    pub(super) fn up(&mut self, invite: &Invite, link: Link, relayed: bool) {
        let Some(user) = self.user_of(invite) else {
            return self.effects.push(Effect::Close(link));
        };
        let Some(talk) = self.talks.get_mut(&user) else { return };
        talk.link = Some(link);
        talk.relayed = relayed;
        talk.dialling = Default::default();
        let frames = talk.mail.again();
        self.go_on(&user);
        self.send(link, frames);
    }

    /// There is a link that works.
    fn go_on(&mut self, user: &str) {
        let Some(talk) = self.talks.get_mut(user) else { return };
        let name = talk.user.clone();
        let news = match std::mem::replace(&mut talk.phase, Phase::Open) {
            Phase::Connecting { .. } if talk.dials => News::Accepted(name),
            Phase::Connecting { .. } => News::Started(name),
            Phase::Interrupted(Interruption { tell_at: None, .. }) => News::GoesOn(name),
            Phase::Interrupted(_) | Phase::Open => return,
        };
        self.tell(news);
    }

    pub(super) fn frame(&mut self, link: Link, frame: Body) {
        let Some(user) = self.user_on(link) else { return self.frame_of_closing(link, &frame) };
        // While the relay is away it can only be one that came before.
        if self.relay_up && !matches!(frame, Body::Bye(_)) {
            self.go_on(&user);
        }
        match frame {
            Body::Text(text) => self.text(&user, link, text),
            Body::Ack(ack) => self.acked(&user, &ack),
            Body::Bye(bye) => self.bye(&user, bye.reason()),
            // The driver has taken the one that there is.
            Body::Hello(_) => self.cut(&user),
        }
    }

    fn text(&mut self, user: &str, link: Link, text: TalkText) {
        let Some(talk) = self.talks.get_mut(user) else { return };
        match talk.mail.take(text) {
            Ok(text) => {
                let (user, ack) = (talk.user.clone(), talk.mail.ack());
                // Acknowledged is what was shown.
                text.into_iter().for_each(|text| self.tell(News::Message { user: user.clone(), text }));
                self.send(link, vec![ack]);
            }
            Err(_) => self.cut(user),
        }
    }

    fn acked(&mut self, user: &str, ack: &TalkAck) {
        let Some(talk) = self.talks.get_mut(user) else { return };
        match talk.mail.acked(ack.upto) {
            Ok(true) => self.full_since = None,
            Ok(false) => {}
            Err(_) => self.cut(user),
        }
    }

    pub(super) fn path_changed(&mut self, link: Link, relayed: bool) {
        let Some(user) = self.user_on(link) else { return };
        let relay_up = self.relay_up;
        let Some(talk) = self.talks.get_mut(&user) else { return };
        talk.relayed = relayed;
        if !relayed {
            self.go_on(&user);
        } else if !relay_up {
            self.interrupt(&user);
        }
    }

    pub(super) fn down(&mut self, link: Link) {
        let Some(user) = self.user_on(link) else { return self.closing_down(link) };
        let may_return = self.may_return();
        let Some(talk) = self.talks.get_mut(&user) else { return };
        talk.link = None;
        let returns = matches!(talk.phase, Phase::Interrupted(_)) || (talk.relayed && may_return);
        if !returns {
            return self.lose(&user);
        }
        let wants_link = talk.wants_link();
        self.interrupt(&user);
        if wants_link {
            self.dial(&user);
        }
    }

    /// The relay is away, or was until a while ago, so that a relayed link may be dead though nobody has
    /// left.
    fn may_return(&self) -> bool {
        self.is_away() || self.returned.is_some_and(|at| self.now < at + TALK_RETURN_MAX)
    }

    fn is_away(&self) -> bool {
        !self.server_up || !self.relay_up
    }

    /// Nothing gets through, for now.
    fn interrupt(&mut self, user: &str) {
        let (now, away) = (self.now, self.is_away());
        let Some(talk) = self.talks.get_mut(user).filter(|talk| talk.phase == Phase::Open) else { return };
        let mut interruption = Interruption::new(now);
        if let Some(at) = self.returned.filter(|_| !away) {
            interruption.returned(at);
        }
        talk.phase = Phase::Interrupted(interruption);
    }

    pub(super) fn relay(&mut self, up: bool) {
        let was_away = self.is_away();
        self.relay_up = up;
        for user in self.users(|talk| talk.relayed && talk.link.is_some()) {
            if up { self.prove(&user) } else { self.interrupt(&user) }
        }
        if up {
            let waiting = |talk: &Talk| talk.wants_link() && talk.dialling.next.is_some();
            self.users(waiting).iter().for_each(|user| self.dial(user));
        }
        self.away_changed(was_away);
    }

    pub(super) fn server(&mut self, up: bool) {
        let was_away = self.is_away();
        self.server_up = up;
        self.away_changed(was_away);
        if !up {
            self.part_unasked();
        }
    }

    fn away_changed(&mut self, was_away: bool) {
        let (now, away) = (self.now, self.is_away());
        if was_away && !away {
            self.returned = Some(now);
        }
        if was_away != away {
            let interruptions = self.talks.values_mut().filter_map(Talk::interruption);
            interruptions.for_each(|it| if away { it.away_again() } else { it.returned(now) });
        }
    }

    /// The relay is back and the link still there: says something on it, so that the other sees it works.
    fn prove(&mut self, user: &str) {
        let now = self.now;
        let Some(talk) = self.talks.get_mut(user) else { return };
        let (link, ack) = (talk.link, talk.mail.ack());
        let Some(interruption) = talk.interruption() else { return };
        interruption.prove(now);
        link.into_iter().for_each(|link| self.send(link, vec![ack.clone()]));
    }

    pub(super) fn due_talks(&mut self) {
        let now = self.now;
        for user in self.users(|talk| talk.deadline().is_some_and(|at| at <= now)) {
            self.due_talk(&user);
        }
    }

    fn due_talk(&mut self, user: &str) {
        let now = self.now;
        let Some(talk) = self.talks.get_mut(user) else { return };
        if talk.dialling.next.is_some_and(|at| at <= now) {
            self.dial(user);
        }
        let Some(talk) = self.talks.get_mut(user) else { return };
        let is_linked = talk.link.is_some();
        match &mut talk.phase {
            Phase::Connecting { until } if *until <= now => self.give_up(user),
            Phase::Interrupted(it) if it.until <= now => self.cut(user),
            Phase::Interrupted(it) => {
                let tell = it.tell_at.take_if(|at| *at <= now).is_some();
                let proven = it.proven_at.take_if(|at| *at <= now).is_some();
                if tell {
                    let user = talk.user.clone();
                    self.tell(News::Interrupted(user));
                }
                // A link that was dead would have been found so by now.
                if proven && is_linked {
                    self.go_on(user);
                }
            }
            Phase::Connecting { .. } | Phase::Open => {}
        }
    }

    fn user_on(&self, link: Link) -> Option<String> {
        self.talks.iter().find(|(_, talk)| talk.link == Some(link)).map(|(user, _)| user.clone())
    }

    fn users(&self, which: impl Fn(&Talk) -> bool) -> Vec<String> {
        self.talks.iter().filter(|(_, talk)| which(talk)).map(|(user, _)| user.clone()).collect()
    }
}
