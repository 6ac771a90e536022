//! All private talks of one user as a pure machine: what happens changes the state and yields effects, which
//! the driver carries out in their order. No socket, no clock, no random source.
//!
//! A talk begins as a request (`request.rs` on the asker's side, `question.rs` on the other's), becomes a
//! link between two devices after the server has introduced them (`meeting.rs`), carries messages (`mail.rs`,
//! `line.rs`) and ends (`parting.rs`). Nothing of it stands for ever: what waits for somebody has a time of
//! its own, so that a server or a peer that falls silent ends in a word to the person.

mod event;
mod line;
mod mail;
mod meeting;
mod parting;
mod question;
mod request;
mod session;
mod trust;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hobnob_protocol::limits::{LINK_SILENCE_MAX, TALK_UNACKED_MAX};
use hobnob_protocol::name::Name;
use hobnob_protocol::v1;
use v1::peer_event::Event;

use crate::keys::Keys;
use crate::network::LinkEvent;

pub use event::{Effect, Input, Invite, News, TalkError};
use mail::UNACKED_BYTES_MAX;
use parting::{Closing, Leaving, Parting};
use question::{Answered, Question};
use request::Ask;
use session::Talk;

/// Requests and talks of one's own at once.
const TALKS_MAX: usize = 256;
/// Between two signs of life, in time.
const ACTIVE_PERIOD: Duration = Duration::from_millis(200);

/// How long typing waits for a peer that acknowledges nothing.
const HOLD_MAX: Duration = Duration::from_secs(2);

/// All private talks of one user on one device.
///
/// [`handle`](Self::handle) it what happens, carry out what it says, and come back at its
/// [`deadline`](Self::deadline). While it [`is_full`](Self::is_full), no `Input::Private` should come.
#[derive(Debug)]
pub struct Talks {
    /// The user, by the key of the name.
    me: String,
    /// The device's public key.
    key: [u8; 32],
    keys: Keys,
    now: Duration,
    /// What the input at hand has brought about so far.
    effects: Vec<Effect>,
    asks: Vec<Ask>,
    questions: VecDeque<Question>,
    answered: VecDeque<Answered>,
    /// By the key of the other's name.
    talks: BTreeMap<String, Talk>,
    closings: Vec<Closing>,
    partings: VecDeque<Parting>,
    server_up: bool,
    relay_up: bool,
    /// When server and relay were last found to be back.
    returned: Option<Duration>,
    active_at: Option<Duration>,
    /// Since when nothing more may be typed and nothing was acknowledged.
    full_since: Option<Duration>,
    /// Keys whose safety number was shown last, by user.
    compared: BTreeMap<String, [u8; 32]>,
    leaving: Leaving,
}

impl Talks {
    /// For the user `name` (as the server writes it), whose device has this public key. The server is up.
    #[must_use]
    pub fn new(name: &str, key: [u8; 32], keys: Keys) -> Self {
        Self {
            me: fold(name).unwrap_or_else(|| name.to_owned()),
            key,
            keys,
            now: Duration::ZERO,
            effects: Vec::new(),
            asks: Vec::new(),
            questions: VecDeque::new(),
            answered: VecDeque::new(),
            talks: BTreeMap::new(),
            closings: Vec::new(),
            partings: VecDeque::new(),
            server_up: true,
            relay_up: true,
            returned: None,
            active_at: None,
            full_since: None,
            compared: BTreeMap::new(),
            leaving: Leaving::No,
        }
    }

    /// What happens, when (since the beginning), and what follows from it.
    pub fn handle(&mut self, input: Input, now: Duration) -> Vec<Effect> {
        self.now = self.now.max(now);
        if self.leaving == Leaving::Done {
            return Vec::new();
        }
        match input {
            Input::Server(event) => self.told(event),
            Input::Invited { typed, answer } => self.invited(&typed, answer),
            Input::Gone(invite) => self.gone(&invite),
            Input::Sight { user, may } => self.sight(&user, may),
            Input::ServerUp(up) => self.server(up),
            Input::Block { user, on } => self.block(&user, on),
            Input::Link(event) => self.network(event),
            Input::Tick => {}
            Input::Leave => self.leave(),
            // Who has left types nothing more.
            _ if self.leaving != Leaving::No => {}
            typed => self.typed(typed),
        }
        self.due();
        self.watch_fullness();
        self.finish_leaving();
        std::mem::take(&mut self.effects)
    }

    /// When to come back with a `Tick`, if nothing happens before. Not later than the last `now` if something
    /// is due already.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let talks = self.talks.values().filter_map(Talk::deadline);
        let asks = self.asks.iter().filter_map(Ask::until);
        let questions = self.questions.iter().map(|question| question.until);
        let answered = self.answered.iter().map(|answered| answered.until);
        let closings = self.closings.iter().map(|closing| closing.until);
        let partings = self.partings.iter().map(|parting| parting.until);
        let rest = self.leaving.until().into_iter().chain(self.full_until());
        talks.chain(asks).chain(questions).chain(answered).chain(closings).chain(partings).chain(rest).min()
    }

    /// So much waits to be acknowledged that nothing more should be typed for a moment. A peer that acknowledges
    /// nothing does not hold up what is for others: after 2 s it is only its own messages that come to nothing, and
    /// after 15 s it is cut off.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.is_over() && self.full_since.is_none_or(|since| self.now < since + HOLD_MAX)
    }

    fn is_over(&self) -> bool {
        let linked = || self.talks.values().filter(|talk| talk.link.is_some());
        linked().map(|talk| talk.mail.len()).sum::<usize>() >= TALK_UNACKED_MAX
            || linked().map(|talk| talk.mail.bytes()).sum::<usize>() >= UNACKED_BYTES_MAX
    }

    /// Nothing stands: no request, no question, no talk, nothing to be said.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.asks.is_empty()
            && self.questions.is_empty()
            && self.answered.is_empty()
            && self.talks.is_empty()
            && self.closings.is_empty()
            && self.partings.is_empty()
    }

    /// Whose keys were seen, to be kept after `Effect::SaveKeys`.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    fn typed(&mut self, input: Input) {
        let before = self.effects.len();
        match input {
            Input::Start(user) => self.start(&user),
            Input::Answer { user, accept } => self.answer(user.as_deref(), accept),
            Input::Private { to, text } => self.private(&to, text),
            Input::Stop(user) => self.stop(&user),
            Input::Verify { user, confirm } => self.verify(&user, confirm),
            Input::Path(user) => self.path(&user),
            _ => return,
        }
        // These two are a sign of life by themselves.
        let asks = |effect: &Effect| matches!(effect, Effect::Invite(_) | Effect::Answer { .. });
        if !self.effects[before..].iter().any(asks) {
            self.show_life();
        }
    }

    fn told(&mut self, event: v1::PeerEvent) {
        if self.leaving != Leaving::No {
            return;
        }
        match event.event {
            Some(Event::Asked(asked)) => self.asked(asked),
            Some(Event::Ended(ended)) => self.invite_ended(&ended),
            Some(Event::Introduced(introduced)) => self.introduced(introduced),
            Some(Event::Contact(contact)) => self.peer_contact(contact),
            None => {}
        }
    }

    /// A request ended, be it one's own, the other's, or one that both had consented to.
    fn invite_ended(&mut self, ended: &v1::InviteEnded) {
        let reason = ended.reason();
        if !self.request_ended(&ended.invite, reason) && !self.question_ended(&ended.invite, reason) {
            self.introduction_ended(&ended.invite, reason);
        }
    }

    fn network(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Up { invite, link, relayed } => self.up(&invite, link, relayed),
            LinkEvent::Failed { invite } => self.failed(&invite),
            LinkEvent::Frame { link, frame } => self.frame(link, frame),
            LinkEvent::Path { link, relayed } => self.path_changed(link, relayed),
            LinkEvent::Down { link } => self.down(link),
            LinkEvent::Relay(up) => self.relay(up),
            // The driver takes these to the server and to the person.
            LinkEvent::Contact(_) | LinkEvent::NoRelay(_) => {}
        }
    }

    /// Everything whose time has come.
    fn due(&mut self) {
        self.due_requests();
        self.due_questions();
        self.due_talks();
        self.due_partings();
    }

    fn block(&mut self, user: &str, on: bool) {
        let talk = fold(user).and_then(|user| self.talks.get_mut(&user));
        talk.into_iter().for_each(|talk| talk.blocked = on);
        if on && let Some(user) = fold(user) {
            // Nothing of this user is to be heard any more; the server lets the request expire.
            self.drop_question(&user);
        }
    }

    fn full_until(&self) -> Option<Duration> {
        let since = self.full_since?;
        let held = since + HOLD_MAX;
        Some(if self.now < held { held } else { since + LINK_SILENCE_MAX })
    }

    /// A peer that acknowledges nothing must not keep a person from typing.
    fn watch_fullness(&mut self) {
        if !self.is_over() {
            self.full_since = None;
            return;
        }
        let since = *self.full_since.get_or_insert(self.now);
        if since + LINK_SILENCE_MAX <= self.now {
            self.full_since = Some(self.now);
            let linked = self.talks.iter().filter(|(_, talk)| talk.link.is_some());
            let fullest = linked.max_by_key(|(_, talk)| (talk.mail.len(), talk.mail.bytes()));
            if let Some(user) = fullest.map(|(user, _)| user.clone()) {
                self.cut(&user);
            }
            self.full_since = self.is_over().then_some(self.now);
        }
    }

    fn show_life(&mut self) {
        if self.active_at.is_none_or(|at| at + ACTIVE_PERIOD <= self.now) {
            self.active_at = Some(self.now);
            self.effects.push(Effect::Active);
        }
    }

    fn tell(&mut self, news: News) {
        self.effects.push(Effect::Tell(news));
    }

    fn error(&mut self, error: TalkError) {
        self.tell(News::Error(error));
    }

    /// The key of the other user's name.
    fn other(&self, typed: &str) -> Other {
        match fold(typed) {
            None => Other::Nobody,
            Some(key) if key == self.me => Other::Me,
            Some(key) => Other::User(key),
        }
    }

    /// The user of the talk that comes of this request.
    fn user_of(&self, invite: &Invite) -> Option<String> {
        self.talks.iter().find(|(_, talk)| talk.invite == *invite).map(|(user, _)| user.clone())
    }
}

/// Whom a typed name means.
enum Other {
    /// It cannot be a name.
    Nobody,
    Me,
    /// By the key of the name.
    User(String),
}

/// The key of a name; `None`: it cannot be one.
fn fold(name: &str) -> Option<String> {
    Name::parse(name).ok().map(|name| name.key().to_owned())
}

/// As the server names requests.
fn is_invite(invite: &Invite) -> bool {
    invite.len() == 16
}

#[cfg(test)]
mod tests;
