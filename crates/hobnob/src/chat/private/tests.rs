use hobnob_client::event::{End, Event};
use hobnob_peer::network::Link;
use hobnob_protocol::v1::{
    self, Asked, Contact, Introduced, InviteEnded, Invited, PeerEvent, TalkText, invite_ended, invited,
    peer_event, talk_frame::Body,
};

use super::{super::line::tests::World, *};

fn invite(number: u8) -> Invite {
    Invite::copy_from_slice(&[number; 16])
}

fn peer(event: peer_event::Event) -> Event {
    Event::Peer(PeerEvent { event: Some(event) })
}

fn asked(number: u8, user: &str) -> Event {
    peer(peer_event::Event::Asked(Asked { invite: invite(number), user: user.to_owned() }))
}

fn ended(number: u8, user: &str, reason: invite_ended::Reason) -> Event {
    let (invite, user) = (invite(number), user.to_owned());
    peer(peer_event::Event::Ended(InviteEnded { invite, user, reason: reason.into() }))
}

fn introduced(number: u8, user: &str, dials: bool) -> Event {
    peer(peer_event::Event::Introduced(Introduced {
        invite: invite(number),
        user: user.to_owned(),
        key: vec![number; 32].into(),
        contact: Some(Contact::default()),
        dials,
        you_block: false,
        valid_ms: 30_000,
    }))
}

fn invited(outcome: invited::Outcome, user: &str, number: u8) -> Answer {
    Answer::Invited(Invited { outcome: outcome.into(), user: user.to_owned(), invite: invite(number) })
}

impl World {
    fn link(&mut self, event: LinkEvent) -> String {
        let effects = self.session.network(event, self.now);
        self.shown(effects)
    }

    /// Time passes up to the next thing that is due.
    fn waits(&mut self) -> String {
        self.now = self.now.max(self.session.deadline().expect("something is due"));
        let effects = self.session.tick(self.now);
        self.shown(effects)
    }

    /// A talk with Luke, who has asked.
    fn talks_to_luke(&mut self) {
        self.event(asked(2, "Luke"));
        self.typed("y");
        self.answer(Answer::Done);
        self.event(introduced(2, "Luke", false));
        let up = LinkEvent::Up { invite: invite(2), link: Link(7), relayed: false };
        assert_eq!(self.link(up), "Start private messaging with Luke\n");
        self.network.clear();
    }
}

#[test]
fn who_asks_is_told_each_step() {
    let mut world = World::default();
    assert_eq!(world.typed("startprivate luke"), "");
    assert_eq!(world.network, [talk::Effect::Prepare]);
    assert!(world.given.front() == Some(&Command::Invite("luke".to_owned())));
    let started = world.answer(invited(invited::Outcome::Asked, "Luke", 2));
    assert_eq!(started, "Start private messaging with Luke\n");
    assert_eq!(world.event(introduced(2, "Luke", true)), "[keep 1]");
    let up = LinkEvent::Up { invite: invite(2), link: Link(7), relayed: false };
    assert_eq!(world.link(up), "Luke accepts private messaging\n");
    assert_eq!(world.typed("private luke hi"), "[active]");
    assert!(matches!(
        world.network.last(),
        Some(talk::Effect::Send { link: Link(7), frame: Body::Text(TalkText { number: 1, text }) }) if text == "hi"
    ));
    world.now += Duration::from_secs(1);
    assert_eq!(world.typed("path luke"), "[path Some(Link(7))][active]");
    world.now += Duration::from_secs(1);
    let number = world.typed("verify luke");
    assert!(number.starts_with("Safety number with Luke: ") && number.ends_with("[active]"), "{number}");
    world.now += Duration::from_secs(1);
    let verified = world.typed("verify luke ok");
    assert!(
        verified.contains("The key of Luke is verified\n") && verified.contains("[keep 1]"),
        "{verified}"
    );
    assert!(world.typed("stopprivate luke").contains("Stop private messaging with Luke\n"));
}

#[test]
fn answers_of_private_talk_take_their_turn() {
    let mut world = World::default();
    for line in ["message bob hi", "startprivate luke", "startprivate han", "whoelse"] {
        assert_eq!(world.typed(line), "");
    }
    let accepted = Answer::Submitted { outcome: Outcome::Accepted, user: "Bob".to_owned() };
    assert_eq!(world.answer(accepted), "");
    assert_eq!(
        world.answer(invited(invited::Outcome::Blocked, "Luke", 0)),
        "Error. Cannot start private messaging. Luke has blocked you\n"
    );
    assert_eq!(
        world.answer(invited(invited::Outcome::Offline, "Han", 0)),
        "Error. Cannot start private messaging. Han is offline\n"
    );
    assert_eq!(world.answer(Answer::Names(vec!["x".to_owned()])), "x\n");
    // What is known here is said at once.
    world.typed("whoelse");
    assert!(
        world.typed("startprivate yoda").starts_with("Error. Cannot start private messaging with self\n")
    );
}

#[test]
fn a_question_is_a_prompt_and_commands_work_below_it() {
    let mut world = World::default();
    let question = "Luke would like to private message, enter y or n: ";
    assert_eq!(world.event(asked(2, "Luke")), question);
    assert_eq!(world.event(asked(3, "Han")), "", "one at a time");
    world.typed("whoelse");
    assert_eq!(world.answer(Answer::Names(Vec::new())), "No one else is online now.\n");
    assert_eq!(world.typed("y"), "Han would like to private message, enter y or n: ");
    assert_eq!(world.typed("decline han"), "");
    assert!(
        world.given
            == [(2, true), (3, false)]
                .map(|(number, accept)| Command::AnswerInvite { invite: invite(number), accept })
    );
    assert!(world.typed("n").starts_with("Error. No request to answer\n"));
    assert_eq!(world.answer(invited(invited::Outcome::Gone, "", 2)), "The request of Luke has expired\n");
    assert_eq!(world.answer(Answer::Done), "");
}

#[test]
fn a_request_that_ends_is_told() {
    let mut world = World::default();
    world.event(asked(2, "Luke"));
    let expired = world.event(ended(2, "Luke", invite_ended::Reason::Expired));
    assert_eq!(expired, "The request of Luke has expired\n");
    world.typed("startprivate han");
    world.answer(invited(invited::Outcome::Asked, "Han", 3));
    let declined = world.event(ended(3, "Han", invite_ended::Reason::Declined));
    assert_eq!(declined, "Han declines private messaging\n");
    world.typed("startprivate han");
    world.answer(invited(invited::Outcome::Asked, "Han", 4));
    assert_eq!(world.waits(), "Han did not answer\n");
}

#[test]
fn messages_are_shown_before_they_are_acknowledged() {
    let mut world = World::default();
    world.talks_to_luke();
    let text = TalkText { number: 1, text: "one\nLuke: two".to_owned() };
    let effects =
        world.session.network(LinkEvent::Frame { link: Link(7), frame: Body::Text(text) }, world.now);
    let [Effect::Print(shown), Effect::Network(talk::Effect::Send { frame: Body::Ack(_), .. })] =
        &effects[..]
    else {
        panic!("other effects")
    };
    assert_eq!(shown, "Luke(private): one\n  Luke: two\n");
}

#[test]
fn without_the_server_nothing_waits_for_it() {
    let lost = "Lost the connection to the server, trying again\n";
    let unasked = "Error. The server could not be asked. Please try again later\n";
    let mut world = World::default();
    world.typed("message bob hi");
    world.typed("startprivate luke");
    assert_eq!(world.event(Event::Disconnected), format!("{lost}{unasked}"), "although a message waits");
    assert_eq!(world.typed("startprivate han"), unasked);
    let accepted = Answer::Submitted { outcome: Outcome::Accepted, user: "Bob".to_owned() };
    assert_eq!(world.event(Event::Reconnected), "Connected again\n");
    assert_eq!(world.answer(accepted), "");
    assert_eq!(world.answer(Answer::Lost), "", "was told already");
    assert!(world.given.is_empty());
    world.typed("startprivate luke");
    assert_eq!(world.answer(Answer::Lost), unasked);
    assert_eq!(world.session.private.asked, 0);
}

#[test]
fn an_answer_waits_for_the_server() {
    let mut world = World::default();
    world.event(asked(2, "Luke"));
    world.event(Event::Disconnected);
    assert_eq!(world.typed("y"), "");
    assert!(matches!(world.given.front(), Some(Command::AnswerInvite { accept: true, .. })));
}

#[test]
fn what_may_be_said_of_who_is_gone_is_asked() {
    let gone = "Error. Luke is no longer online\nPrivate messaging with Luke ended\n";
    let discreet = "Error. Not delivered to Luke\nPrivate messaging with Luke ended\n";
    for (answer, expected) in
        [(Answer::Sight(true), gone), (Answer::Sight(false), discreet), (Answer::Lost, gone)]
    {
        let mut world = World::default();
        world.talks_to_luke();
        world.typed("private luke hi");
        assert_eq!(world.link(LinkEvent::Down { link: Link(7) }), "");
        assert!(world.given.front() == Some(&Command::MaySee("Luke".to_owned())));
        assert_eq!(world.answer(answer), expected);
    }
    let mut world = World::default();
    world.talks_to_luke();
    world.typed("private luke hi");
    world.link(LinkEvent::Down { link: Link(7) });
    assert!(world.event(Event::Disconnected).ends_with(gone), "the server cannot be asked");
    assert_eq!(world.answer(Answer::Lost), "");
}

#[test]
fn a_server_without_sense_fills_nothing() {
    let mut world = World::default();
    world.event(asked(2, "Luke"));
    world.typed("n");
    for _ in 0..3 * ASKED_MAX {
        world.event(asked(2, "Luke"));
        world.typed("startprivate han");
        world.typed("stopprivate han");
    }
    assert!(world.given.len() <= ASKED_MAX, "{}", world.given.len());
    while !world.given.is_empty() {
        world.answer(Answer::Done);
    }
    assert_eq!(world.session.private.asked, 0);
}

fn bye(world: &World) -> Option<v1::talk_bye::Reason> {
    world.network.iter().find_map(|effect| match effect {
        talk::Effect::Send { frame: Body::Bye(bye), .. } => Some(bye.reason()),
        _ => None,
    })
}

#[test]
fn leaving_says_good_bye_first() {
    let mut world = World::default();
    world.talks_to_luke();
    assert_eq!(world.typed("logout"), "[log out][left]");
    assert_eq!(bye(&world), Some(v1::talk_bye::Reason::Left));
    assert_eq!(world.event(Event::Ended(End::LoggedOut { waiting: 0 })), "Goodbye.\n[left][exit 0]");

    let mut world = World::default();
    world.talks_to_luke();
    world.typed("private luke hi");
    assert_eq!(world.typed("logout"), "[log out]", "not before what was typed has arrived");
    let ack = Body::Ack(v1::TalkAck { upto: 1 });
    assert_eq!(world.link(LinkEvent::Frame { link: Link(7), frame: ack }), "[left]");

    let mut world = World::default();
    world.talks_to_luke();
    let told = world.event(Event::Ended(End::TimedOut));
    assert_eq!(told, "Timeout. You are logged out due to inactivity\n[left][exit 0]");
    assert_eq!(bye(&world), Some(v1::talk_bye::Reason::Left));

    let mut world = World::default();
    world.talks_to_luke();
    assert_eq!(world.event(Event::Ended(End::Replaced)), "You have logged in elsewhere\n[left][exit 1]");
    assert_eq!(bye(&world), None, "the user may not have left");
}

#[test]
fn who_is_blocked_is_not_told_why() {
    for (line, outcome, reason) in [
        ("block luke", Outcome::Accepted, v1::talk_bye::Reason::Ended),
        ("block luke", Outcome::AlreadyBlocked, v1::talk_bye::Reason::Ended),
        ("block luke", Outcome::InvalidUser, v1::talk_bye::Reason::Left),
        ("unblock luke", Outcome::Accepted, v1::talk_bye::Reason::Left),
    ] {
        let mut world = World::default();
        world.talks_to_luke();
        world.typed(line);
        world.answer(Answer::Submitted { outcome, user: "Luke".to_owned() });
        world.typed("logout");
        assert_eq!(bye(&world), Some(reason), "{line}, {outcome:?}");
    }
}

#[test]
fn a_block_that_is_not_judged_is_waited_for() {
    let accepted = |outcome| Answer::Submitted { outcome, user: "Luke".to_owned() };
    for (outcome, said, reason) in [
        (Outcome::Accepted, "Luke is blocked\n", v1::talk_bye::Reason::Ended),
        (Outcome::InvalidUser, "Error. Invalid user\n", v1::talk_bye::Reason::Left),
    ] {
        let mut world = World::default();
        world.talks_to_luke();
        world.typed("whoelse");
        world.typed("block LUKE");
        assert_eq!(world.typed("logout"), "[wait]");
        assert_eq!(world.event(asked(3, "Han")), "", "nobody could answer");
        assert_eq!(world.answer(Answer::Names(vec!["x".to_owned()])), "x\n");
        assert_eq!(bye(&world), None, "before the block is judged");
        assert_eq!(world.answer(accepted(outcome)), format!("{said}[log out][left]"));
        assert_eq!(bye(&world), Some(reason));
    }
}

#[test]
fn what_cannot_be_judged_holds_nobody_and_counts() {
    let goes = |world: &mut World, event: &str| match event {
        "lost" => world.event(Event::Disconnected),
        "time" => world.waits(),
        _ => world.event(Event::Ended(End::TimedOut)),
    };
    for (event, leaves) in
        [("lost", "[log out][left]"), ("time", "[log out][left]"), ("over", "[left][exit 0]")]
    {
        let mut world = World::default();
        world.talks_to_luke();
        world.typed("block luke");
        assert_eq!(world.typed("logout"), "[wait]");
        let told = goes(&mut world, event);
        assert!(told.ends_with(leaves), "{event}: {told}");
        assert_eq!(bye(&world), Some(v1::talk_bye::Reason::Ended), "{event}");
    }
    let mut world = World::default();
    world.talks_to_luke();
    world.event(Event::Disconnected);
    world.typed("block luke");
    assert_eq!(world.typed("logout"), "[log out][left]", "it is away already");
    assert_eq!(bye(&world), Some(v1::talk_bye::Reason::Ended));
}

#[test]
fn the_network_tells_where_this_client_is_and_what_is_wrong() {
    let mut world = World::default();
    let contact = Contact { addresses: vec!["127.0.0.1:1".to_owned()], relay: false, tcp: Vec::new() };
    assert_eq!(world.link(LinkEvent::Contact(contact)), "[reachable [\"127.0.0.1:1\"]]");
    let refused = world.link(LinkEvent::NoRelay("it says\nno".to_owned()));
    assert_eq!(refused, "Error. Private messages may not get through: it says␊no\n");
    world.event(Event::Disconnected);
    assert_eq!(world.link(LinkEvent::NoRelay("it is away".to_owned())), "");
}

#[test]
fn a_request_is_answered_before_a_message_that_the_server_cannot_take() {
    let mut world = World::default();
    world.typed("message luke hi");
    world.event(Event::Trouble(Some(v1::Trouble::NotWritable)));
    world.typed("startprivate luke");
    let started = world.answer_last(invited(invited::Outcome::Asked, "Luke", 2));
    assert_eq!(started, "Start private messaging with Luke\n");
    world.event(introduced(2, "Luke", true));
    let up = LinkEvent::Up { invite: invite(2), link: Link(7), relayed: false };
    assert_eq!(world.link(up), "Luke accepts private messaging\n");
    let outcome = Outcome::Blocked;
    let blocked = world.answer(Answer::Submitted { outcome, user: "Luke".to_owned() });
    assert_eq!(blocked, "Your message could not be delivered as the recipient has blocked you\n");
}
