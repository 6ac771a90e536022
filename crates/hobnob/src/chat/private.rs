//! Private talk in line mode: what goes between the session and [`Talks`]. Pure.

use std::{collections::VecDeque, time::Duration};

use hobnob_client::event::{Answer, Command};
use hobnob_peer::{
    network::LinkEvent,
    talk::{self, Input, Invite, News, Talks},
};
use hobnob_protocol::v1::{invited, submitted::Outcome};

use super::{
    line::{Effect, Session, print},
    text,
};

/// Questions to the server without an answer, beyond which none is asked: only a server without sense leads to as many.
const ASKED_MAX: usize = 1024;

/// The private talks of a session.
pub(super) struct Private {
    talks: Talks,
    /// The connection to the server is lost.
    away: bool,
    /// Questions to the server without an answer.
    asked: usize,
}

/// What an answer of the server is for.
#[derive(Clone)]
pub(super) enum Pending {
    /// To a request, by the name as typed.
    Invite(String),
    /// To an answer that was given.
    Answer(Invite),
    /// Whether this user may be seen.
    Sight(String),
    /// Nothing that matters any more.
    Nothing,
}

impl Private {
    pub(super) fn new(talks: Talks) -> Self {
        Self { talks, away: false, asked: 0 }
    }

    fn has_room(&self) -> bool {
        self.asked < ASKED_MAX
    }

    /// Whether the server can be asked what cannot wait.
    fn may_ask(&self) -> bool {
        !self.away && self.has_room()
    }
}

impl Session {
    /// When to come back for [`tick`](Self::tick), if nothing happens before.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        [self.private.talks.deadline(), self.leaving_until()].into_iter().flatten().min()
    }

    /// The deadline has passed.
    pub(crate) fn tick(&mut self, now: Duration) -> Vec<Effect> {
        let mut effects = self.talk(Input::Tick, now);
        effects.extend(self.wait_no_more(now));
        effects
    }

    /// So many private messages are on their way that nothing more should be typed for now.
    pub(crate) fn is_full(&self) -> bool {
        self.private.talks.is_full()
    }

    /// Something happened on the network of peers.
    pub(crate) fn network(&mut self, event: LinkEvent, now: Duration) -> Vec<Effect> {
        let mut effects = match &event {
            LinkEvent::Contact(contact) => vec![Effect::Reachable(contact.clone())],
            // While the whole server is away this is no news.
            LinkEvent::NoRelay(_) if self.private.away => Vec::new(),
            LinkEvent::NoRelay(why) => print(text::private::no_relay(why)),
            _ => Vec::new(),
        };
        effects.extend(self.talk(Input::Link(event), now));
        effects
    }

    /// The connection to the server is lost.
    pub(super) fn is_away(&self) -> bool {
        self.private.away
    }

    /// Something happened to private talk.
    pub(super) fn talk(&mut self, input: Input, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        // What the server cannot be asked is answered here.
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for effect in self.private.talks.handle(input, now) {
                match effect {
                    talk::Effect::Invite(typed) if !self.private.may_ask() => {
                        inputs.push_back(Input::Invited { typed, answer: None });
                    }
                    talk::Effect::MaySee(user) if !self.private.may_ask() => {
                        inputs.push_back(Input::Sight { user, may: true });
                    }
                    effect => effects.extend(self.translate(effect)),
                }
            }
        }
        effects
    }

    /// What an effect means for the driver.
    fn translate(&mut self, effect: talk::Effect) -> Vec<Effect> {
        vec![match effect {
            talk::Effect::Invite(user) => {
                self.ask_server(Command::Invite(user.clone()), Pending::Invite(user))
            }
            talk::Effect::MaySee(user) => {
                self.ask_server(Command::MaySee(user.clone()), Pending::Sight(user))
            }
            // These wait for the server's return: the request may still stand then.
            talk::Effect::Answer { invite, accept } => {
                let command = Command::AnswerInvite { invite: invite.clone(), accept };
                return self.tell_server(command, Pending::Answer(invite));
            }
            talk::Effect::Cancel(invite) => {
                return self.tell_server(Command::CancelInvite(invite), Pending::Nothing);
            }
            talk::Effect::Active => Effect::Active,
            talk::Effect::Tell(news) => return tell(news),
            talk::Effect::SaveKeys => Effect::SaveKeys(self.private.talks.keys().to_text()),
            talk::Effect::Done => Effect::Left,
            effect => Effect::Network(effect),
        }]
    }

    fn ask_server(&mut self, command: Command, pending: Pending) -> Effect {
        self.private.asked += 1;
        self.submit_asked(command, pending)
    }

    fn tell_server(&mut self, command: Command, pending: Pending) -> Vec<Effect> {
        let room = self.private.has_room();
        room.then(|| self.ask_server(command, pending)).into_iter().collect()
    }

    /// The server has answered.
    pub(super) fn answer_to(&mut self, asked: Pending, answer: Answer, now: Duration) -> Vec<Effect> {
        self.private.asked = self.private.asked.saturating_sub(1);
        let input = match (asked, answer) {
            (Pending::Invite(typed), Answer::Invited(invited)) => {
                Input::Invited { typed, answer: Some(invited) }
            }
            (Pending::Invite(typed), _) => Input::Invited { typed, answer: None },
            (Pending::Answer(invite), Answer::Invited(it)) if it.outcome() == invited::Outcome::Gone => {
                Input::Gone(invite)
            }
            (Pending::Answer(invite), Answer::Refused { .. }) => Input::Gone(invite),
            (Pending::Sight(user), Answer::Sight(may)) => Input::Sight { user, may },
            (Pending::Sight(user), _) => Input::Sight { user, may: true },
            (Pending::Answer(_) | Pending::Nothing, _) => return Vec::new(),
        };
        self.talk(input, now)
    }

    /// The connection to the server is lost, or back. What it was asked and cannot wait is answered without it, whatever
    /// else stands before it in the queue.
    pub(super) fn server_is(&mut self, up: bool, now: Duration) -> Vec<Effect> {
        self.private.away = !up;
        let mut inputs = vec![Input::ServerUp(up)];
        if !up {
            for asked in self.asked() {
                match asked {
                    Pending::Invite(typed) => {
                        inputs.push(Input::Invited { typed: std::mem::take(typed), answer: None });
                    }
                    Pending::Sight(user) => {
                        inputs.push(Input::Sight { user: std::mem::take(user), may: true });
                    }
                    Pending::Answer(_) | Pending::Nothing => continue,
                }
                *asked = Pending::Nothing;
            }
        }
        inputs.into_iter().flat_map(|input| self.talk(input, now)).collect()
    }

    /// Who is blocked is not told when the user leaves.
    pub(super) fn note_block(&mut self, command: &Command, answer: &Answer, now: Duration) -> Vec<Effect> {
        let Answer::Submitted { outcome, user } = answer else { return Vec::new() };
        let on = match (command, outcome) {
            (Command::Block(_), Outcome::Accepted | Outcome::AlreadyBlocked) => true,
            (Command::Unblock(_), Outcome::Accepted | Outcome::NotBlocked) => false,
            _ => return Vec::new(),
        };
        self.talk(Input::Block { user: user.clone(), on }, now)
    }
}

/// Shows news.
fn tell(news: News) -> Vec<Effect> {
    match news {
        News::Path { link, .. } => vec![Effect::Path(link)],
        News::Question(ref user) => {
            vec![Effect::Know(user.clone()), Effect::Question(text::private::news(&news))]
        }
        news => print(text::private::news(&news)),
    }
}

#[cfg(test)]
mod tests;
