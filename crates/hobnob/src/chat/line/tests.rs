use hobnob_client::event::{End, Message, Ticket};
use hobnob_protocol::v1::submitted::Outcome;

use hobnob_peer::keys::Keys;

use super::*;

pub(in crate::chat) struct World {
    pub(in crate::chat) session: Session,
    pub(in crate::chat) given: VecDeque<Command>,
    /// Wishes for the network of peers.
    pub(in crate::chat) network: Vec<talk::Effect>,
    /// Wishes about files.
    pub(in crate::chat) wishes: Vec<Wish>,
    pub(in crate::chat) now: Duration,
    tickets: u64,
}

impl Default for World {
    fn default() -> Self {
        Self::at(Place::default())
    }
}

impl World {
    pub(in crate::chat) fn at(place: Place) -> Self {
        Self {
            session: Session::new(Talks::new("Yoda", [1; 32], Keys::default()), place),
            given: VecDeque::new(),
            network: Vec::new(),
            wishes: Vec::new(),
            now: Duration::ZERO,
            tickets: 0,
        }
    }

    /// Types a line. Prompts and other effects come as text; commands are kept for [`answer`](Self::answer).
    pub(in crate::chat) fn typed(&mut self, line: &str) -> String {
        let effects = self.session.typed(Input::Line(line.to_owned()), self.now);
        self.shown(effects)
    }

    pub(in crate::chat) fn event(&mut self, event: Event) -> String {
        let effects = self.session.event(event, self.now);
        self.shown(effects)
    }

    pub(in crate::chat) fn answer(&mut self, answer: Answer) -> String {
        let command = self.given.pop_front().expect("a command was given");
        self.tickets += 1;
        self.event(Event::Answer { ticket: Some(Ticket(self.tickets)), command, answer })
    }

    /// Answers the last command that was given before the others.
    pub(in crate::chat) fn answer_last(&mut self, answer: Answer) -> String {
        let command = self.given.pop_back().expect("a command was given");
        let ticket = self.tickets + self.given.len() as u64 + 1;
        self.event(Event::Answer { ticket: Some(Ticket(ticket)), command, answer })
    }

    pub(in crate::chat) fn shown(&mut self, effects: Vec<Effect>) -> String {
        effects
            .into_iter()
            .map(|effect| match effect {
                Effect::Print(text) | Effect::Question(text) => text,
                Effect::Ask(prompt) => prompt.to_owned(),
                Effect::Submit(command) => {
                    self.given.push_back(command);
                    String::new()
                }
                Effect::Shown(stream, seq) => format!("[shown {stream:?} {seq}]"),
                Effect::Know(_) => String::new(),
                Effect::Contact(fingerprint) => format!("[contact {fingerprint}]"),
                Effect::Network(effect) => {
                    self.network.push(effect);
                    String::new()
                }
                Effect::Path(link) => format!("[path {link:?}]"),
                Effect::Reachable(contact) => format!("[reachable {:?}]", contact.addresses),
                Effect::BeginFiles(blocked) => format!("[begin {blocked:?}]"),
                Effect::Files(wish) => {
                    self.wishes.push(wish);
                    String::new()
                }
                Effect::Listening(port) => format!("[listening {port}]"),
                Effect::Pass(id, _) => format!("[pass {}]", id.0),
                Effect::Row(row) => format!("[row {}]", row.map_or_else(String::new, |row| row.text(60))),
                Effect::Active => "[active]".to_owned(),
                Effect::SaveKeys(keys) => format!("[keep {}]", keys.lines().count()),
                Effect::Left => "[left]".to_owned(),
                Effect::Wait => "[wait]".to_owned(),
                Effect::LogOut => "[log out]".to_owned(),
                Effect::Exit(code) => format!("[exit {code}]"),
            })
            .collect()
    }
}

fn submitted(outcome: Outcome) -> Answer {
    Answer::Submitted { outcome, user: "Bob".to_owned() }
}

fn names(names: &[&str]) -> Answer {
    Answer::Names(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn answers_are_printed_in_the_order_typed() {
    let mut world = World::default();
    for line in ["message bob hi", "nonsense", "block bob", "whoelse", "help block"] {
        assert_eq!(world.typed(line), "", "nothing is printed before its turn");
    }
    assert_eq!(world.answer(submitted(Outcome::Accepted)), "");
    assert_eq!(world.answer(Answer::Local), "Error. Invalid command\n");
    assert_eq!(world.answer(submitted(Outcome::Accepted)), "Bob is blocked\n");
    assert_eq!(world.answer(names(&[])), "No one else is online now.\n");
    assert!(world.answer(Answer::Local).starts_with("block <user>: "));
}

#[test]
fn what_needs_no_server_does_not_wait_for_one_that_takes_nothing() {
    use hobnob_protocol::v1::Trouble;
    let stuck = || Event::Trouble(Some(Trouble::NotWritable));
    for (held_up, again) in [(stuck(), Event::Trouble(None)), (Event::Disconnected, Event::Reconnected)] {
        let mut world = World::default();
        world.typed("message bob hi");
        assert_eq!(world.typed("nonsense"), "", "not before its turn");
        let said = world.event(held_up);
        assert!(said.ends_with("\nError. Invalid command\n"), "{said}");
        assert_eq!(world.typed("message"), "Error. Usage: message <user> <message>\n");
        assert!(world.typed("help block").starts_with("[active]block <user>: "));
        assert_eq!(world.typed("whoelse"), "", "this is for the server to answer");
        world.event(again);
        assert_eq!(world.answer(submitted(Outcome::Accepted)), "");
        assert_eq!(world.answer(Answer::Local), "", "it was printed");
        assert_eq!(world.answer(names(&["Hans"])), "Hans\n");
        assert_eq!(world.typed("nonsense"), "", "in turn, as ever");
    }
}

#[test]
fn mistakes_are_no_activity_and_help_is() {
    let mut world = World::default();
    for (line, active) in
        [("nonsense", false), ("message bob", false), ("help nonsense", false), ("help", true)]
    {
        world.typed(line);
        assert!(world.given.pop_back() == Some(Command::Local { active }), "{line}");
    }
    world.typed("   ");
    assert!(world.given.is_empty(), "an empty line is nothing");
}

#[test]
fn each_list_has_its_own_words_for_nobody() {
    let mut world = World::default();
    for (line, none) in [
        ("whoelse", "No one else is online now.\n"),
        ("whoelsesince 05", "No one else is logged in since 05 seconds ago.\n"),
        ("blocks", "You have blocked no one\n"),
    ] {
        world.typed(line);
        assert_eq!(world.answer(names(&[])), none);
        world.typed(line);
        assert_eq!(world.answer(names(&["Hans", "x"])), "Hans\nx\n");
    }
}

#[test]
fn passwords_are_asked_three_times_and_changed() {
    let mut world = World::default();
    assert_eq!(world.typed("passwd"), "Old password: ");
    assert_eq!(world.typed("old"), "New password: ");
    assert_eq!(world.typed(" new "), "Repeat the new password: ");
    assert_eq!(world.typed(" new "), "");
    let change = Command::ChangePassword { old: "old".to_owned(), new: " new ".to_owned() };
    assert!(world.given.front() == Some(&change));
    assert_eq!(world.answer(Answer::Done), "Password changed\n");
    assert_eq!(world.typed("logout"), "[log out][left]");
}

#[test]
fn passwd_says_what_went_wrong() {
    let refused = Answer::Refused {
        reason: hobnob_protocol::v1::refused::Reason::WrongPassword,
        text: "That is not your password".to_owned(),
    };
    let mut world = World::default();
    for line in ["passwd", "old", "new", "now"] {
        world.typed(line);
    }
    assert_eq!(world.answer(Answer::Local), "Error. The passwords differ\n");
    for (answer, expected) in
        [(refused, "Error. That is not your password\n"), (Answer::Lost, text::PASSWORD_UNKNOWN)]
    {
        for line in ["passwd", "old", "new", "new"] {
            world.typed(line);
        }
        assert_eq!(world.answer(answer), expected);
    }
}

#[test]
fn events_are_shown_and_messages_noted() {
    let mut world = World::default();
    let message = Message {
        stream: Stream::Inbox,
        seq: 7,
        sender: "hans".to_owned(),
        text: "hi\nbob: no".to_owned(),
        sent_ms: 0,
    };
    assert_eq!(world.event(Event::Message(message)), "hans: hi\n  bob: no\n[shown Inbox 7]");
    let presence = Event::Presence { user: "hans".to_owned(), online: false };
    assert_eq!(world.event(presence), "hans logged out\n");
    assert_eq!(world.event(Event::Disconnected), "Lost the connection to the server, trying again\n");
    assert_eq!(world.event(Event::Reconnected), "Connected again\n");
    assert_eq!(world.event(Event::FirstContact("SHA256:x".to_owned())), "[contact SHA256:x]");
}

#[test]
fn left_over_commands_are_told_like_others() {
    let mut world = World::default();
    let mut left_over = |command: Command, outcome| {
        let answer = submitted(outcome);
        world.event(Event::Answer { ticket: None, command, answer })
    };
    let message = || Command::Message { to: "bob".to_owned(), text: "hi".to_owned() };
    assert_eq!(left_over(message(), Outcome::Accepted), "");
    assert_eq!(left_over(Command::Block("bob".to_owned()), Outcome::Accepted), "Bob is blocked\n");
    assert_eq!(left_over(message(), Outcome::InboxFull), "Error. Bob's inbox is full\n");
}

#[test]
fn every_end_is_final() {
    let mut world = World::default();
    assert_eq!(world.event(Event::Ended(End::LoggedOut { waiting: 0 })), "Goodbye.\n[left][exit 0]");
    assert_eq!(
        world.event(Event::Ended(End::LoggedOut { waiting: 1 })),
        "1 messages wait for the server\nGoodbye.\n[left][exit 0]"
    );
    assert_eq!(world.event(Event::Ended(End::Replaced)), "You have logged in elsewhere\n[left][exit 1]");
}

#[test]
fn the_end_of_input_logs_out() {
    for line in ["", "passwd"] {
        let mut session = World::default().session;
        session.typed(Input::Line(line.to_owned()), Duration::ZERO);
        let effects = session.typed(Input::End, Duration::ZERO);
        assert!(effects == [Effect::LogOut, Effect::Left], "also in the middle of a question");
    }
}

#[test]
fn a_line_without_bounds_is_refused_in_its_turn() {
    let mut world = World::default();
    let effects = world.session.typed(Input::TooLong, world.now);
    world.shown(effects);
    assert_eq!(world.answer(Answer::Local), "Error. The message is too long, 64 KiB at most\n");
}
