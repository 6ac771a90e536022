//! One case each of what can become of a request.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use hobnob_protocol::limits::CONTACT_ADDRESSES_MAX;

use super::*;

const A: AccountId = AccountId(1);
const B: AccountId = AccountId(2);
const C: AccountId = AccountId(3);

/// The first, second … session of a user.
pub(super) fn party(account: AccountId, number: i64) -> Party {
    let session = SessionId(account.0 * 100 + number);
    let name = format!("user{}", account.0);
    Party { account, session, name: name.into(), key: vec![session.0 as u8; 32].into() }
}

pub(super) fn invite(number: u64) -> Bytes {
    Bytes::copy_from_slice(&[number.to_be_bytes(); 2].concat())
}

pub(super) fn contact(addresses: &[&str]) -> v1::Contact {
    v1::Contact {
        addresses: addresses.iter().map(|one| (*one).to_owned()).collect(),
        relay: true,
        tcp: Vec::new(),
    }
}

struct World {
    invites: Invites,
    now: Instant,
    asked: u64,
}

impl World {
    fn new() -> Self {
        Self { invites: Invites::default(), now: Instant::now(), asked: 0 }
    }

    fn later(&mut self, time: Duration) -> Instant {
        self.now += time;
        self.now
    }

    fn ask(&mut self, asker: &Party, asked: AccountId) -> Asking {
        self.asked += 1;
        let name = party(asked, 0).name;
        self.invites.ask(asker.clone(), asked, &name, invite(self.asked), self.now)
    }

    /// A new request.
    fn asked(&mut self, asker: &Party, asked: AccountId) -> Bytes {
        match self.ask(asker, asked) {
            Asking::Asked(invite, tells) if tells.len() == 1 => invite,
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, by: &Party, invite: &Bytes, accept: bool) -> Option<Vec<String>> {
        self.invites.answer(by, invite, accept, self.now).map(shown)
    }

    fn arrived(&self, who: &Party, resumed: bool) -> Vec<String> {
        shown(self.invites.arrived(who.account, who.session, resumed, self.now))
    }

    fn left(&mut self, who: &Party, last: bool) -> Vec<String> {
        shown(self.invites.left(who.account, who.session, last, |_| false, self.now))
    }
}

/// Each as `to: what`, for reading.
fn shown(tells: Vec<Tell>) -> Vec<String> {
    let to = |to| match to {
        To::Session(_, session) => session.0.to_string(),
        To::Account(account) => format!("all of {}", account.0),
        To::Others(account, session) => format!("all of {} but {}", account.0, session.0),
    };
    let what = |event| match event {
        Event::Asked(asked) => format!("{} asks", asked.user),
        Event::Ended(ended) => format!("{} {:?}", ended.user, ended.reason()),
        Event::Introduced(to) => {
            assert!(!to.you_block, "that is not known here");
            let does = if to.dials { "dial" } else { "await" };
            let at = to.contact.unwrap().addresses.join(" ");
            format!("{does} {} {} [{at}] {} ms", to.user, to.key[0], to.valid_ms)
        }
        Event::Contact(to) => format!("[{}]", to.contact.unwrap().addresses.join(" ")),
    };
    tells.into_iter().map(|tell| format!("{}: {}", to(tell.to), what(tell.event.event.unwrap()))).collect()
}

#[test]
fn consent_introduces_both() {
    let (mut world, a, b) = (World::new(), party(A, 0), party(B, 0));
    assert!(world.invites.contact(a.session, &contact(&["192.0.2.1:1"]), world.now).is_empty());
    let asking = world.ask(&a, B);
    let Asking::Asked(invite, tells) = asking else { panic!("{asking:?}") };
    assert_eq!(shown(tells), ["all of 2: user1 asks"]);
    let told = world.answer(&b, &invite, true).unwrap();
    assert_eq!(
        told,
        [
            "100: dial user2 200 [] 30000 ms",
            "200: await user1 100 [192.0.2.1:1] 30000 ms",
            "all of 2 but 200: user1 Expired",
        ]
    );
    // Where the other is comes later, and again when it changes.
    let now = world.later(Duration::from_secs(5));
    let told = shown(world.invites.contact(b.session, &contact(&["192.0.2.2:2"]), now));
    assert_eq!(told, ["100: [192.0.2.2:2]"]);
    assert!(world.invites.contact(b.session, &contact(&["192.0.2.2:2"]), now).is_empty(), "it is known");
    assert_eq!(world.answer(&b, &invite, true), Some(Vec::new()), "the answer was lost and comes again");
    assert_eq!(world.answer(&b, &invite, false), None);
    assert_eq!(world.arrived(&a, true), ["100: dial user2 200 [192.0.2.2:2] 25000 ms"]);
    assert_eq!(world.arrived(&b, true), ["200: await user1 100 [192.0.2.1:1] 25000 ms"]);
    let now = world.later(Duration::from_secs(30));
    assert_eq!(world.arrived(&a, true), ["100: dial user2 200 [192.0.2.2:2] 0 ms"]);
    assert_eq!(shown(world.invites.contact(a.session, &contact(&[]), now)), ["200: []"]);
    let now = world.later(Duration::from_secs(25));
    assert!(world.arrived(&a, true).is_empty());
    assert!(world.invites.contact(a.session, &contact(&["192.0.2.1:1"]), now).is_empty());
    assert!(world.invites.expire(now).is_empty());
    assert_eq!((world.invites.book.len(), world.invites.deadline()), (0, None));
}

#[test]
fn mutual_requests_are_consent_and_the_earlier_asker_dials() {
    let (mut world, a, b) = (World::new(), party(A, 0), party(B, 0));
    let invite = world.asked(&a, B);
    let asking = world.ask(&b, A);
    let Asking::Consented(consented, tells) = asking else { panic!("{asking:?}") };
    assert_eq!(consented, invite);
    let told = shown(tells);
    assert_eq!(told[..2], ["100: dial user2 200 [] 30000 ms", "200: await user1 100 [] 30000 ms"]);
    // What they ask after that is another request.
    assert_ne!(world.asked(&b, A), invite);
}

#[test]
fn a_refusal_is_for_the_asker_and_settles_it_for_all_sessions() {
    let (mut world, a, b, other) = (World::new(), party(A, 0), party(B, 0), party(B, 1));
    let invite = world.asked(&a, B);
    let told = world.answer(&b, &invite, false).unwrap();
    assert_eq!(told, ["100: user2 Declined", "all of 2 but 200: user1 Expired"]);
    assert_eq!(world.answer(&other, &invite, true), None);
    assert_eq!(world.answer(&b, &invite, true), None);
    assert_eq!(world.answer(&b, &invite, false), Some(Vec::new()), "the answer was lost and comes again");
    assert_eq!(world.arrived(&a, true), ["100: user2 Declined"]);
    assert_eq!(world.arrived(&other, true), ["201: user1 Expired"]);
    assert!(world.arrived(&b, true).is_empty());
    assert!(world.arrived(&other, false).is_empty(), "a new session knows nothing of it");
    world.asked(&a, B);
}

#[test]
fn nobody_answers() {
    let (mut world, a, b) = (World::new(), party(A, 0), party(B, 0));
    let invite = world.asked(&a, B);
    let now = world.later(INVITE_LIFETIME - Duration::from_millis(1));
    assert!(world.invites.expire(now).is_empty());
    assert_eq!(world.arrived(&b, false), ["200: user1 asks"]);
    let now = world.later(Duration::from_millis(1));
    assert_eq!(world.invites.deadline(), Some(now));
    assert_eq!(world.answer(&b, &invite, true), None, "in time counts, not whether it was noticed");
    assert!(world.arrived(&b, false).is_empty());
    let told = shown(world.invites.expire(now));
    assert_eq!(told, ["100: user2 Expired", "all of 2: user1 Expired"]);
    assert!(world.invites.expire(now).is_empty());
    assert_eq!(world.arrived(&a, true), ["100: user2 Expired"]);
    let now = world.later(ENDED_KEPT);
    assert!(world.invites.expire(now).is_empty());
    assert_eq!(world.invites.book.len(), 0);
}

#[test]
fn the_asker_takes_it_back() {
    let (mut world, a, b) = (World::new(), party(A, 0), party(B, 0));
    let invite = world.asked(&a, B);
    for not_the_asker in [&b, &party(A, 1), &party(C, 0)] {
        assert!(world.invites.cancel(not_the_asker.session, &invite, world.now).is_empty());
    }
    let told = shown(world.invites.cancel(a.session, &invite, world.now));
    assert_eq!(told, ["all of 2: user1 Withdrawn"]);
    assert_eq!(world.answer(&b, &invite, true), None);
    assert!(world.invites.cancel(a.session, &invite, world.now).is_empty());
    assert!(world.arrived(&a, true).is_empty());
    assert_eq!(world.arrived(&b, true), ["200: user1 Withdrawn"]);
}

#[test]
fn an_introduction_that_is_given_up_is_forgotten() {
    for by_asker in [true, false] {
        let (mut world, a, b) = (World::new(), party(A, 0), party(B, 0));
        let invite = world.asked(&a, B);
        world.answer(&b, &invite, true).unwrap();
        assert!(world.invites.cancel(party(C, 0).session, &invite, world.now).is_empty());
        assert_eq!(world.invites.book.len(), 1);
        let [by, other] = if by_asker { [&a, &b] } else { [&b, &a] };
        let tells = world.invites.cancel(by.session, &invite, world.now);
        let [Tell { to: To::Session(_, told), event, .. }] = &tells[..] else { panic!("{tells:?}") };
        let Some(Event::Ended(ended)) = &event.event else { panic!("{event:?}") };
        assert_eq!((*told, ended.reason()), (other.session, Reason::Withdrawn));
        assert_eq!(ended.user, *by.name);
        assert_eq!(world.invites.book.len(), 0);
        assert!(world.invites.contact(a.session, &contact(&["192.0.2.1:1"]), world.now).is_empty());
    }
}

#[test]
fn only_the_asked_user_answers() {
    let (mut world, a) = (World::new(), party(A, 0));
    let made = world.asked(&a, B);
    for by in [&a, &party(A, 1), &party(C, 0)] {
        for accept in [true, false] {
            assert_eq!(world.answer(by, &made, accept), None);
        }
    }
    for garbage in [Bytes::new(), invite(99), vec![0; 100_000].into()] {
        assert_eq!(world.answer(&party(B, 0), &garbage, true), None);
    }
    assert_eq!(world.arrived(&party(B, 0), false), ["200: user1 asks"]);
}

#[test]
fn one_side_leaves() {
    let (mut world, a, b, other) = (World::new(), party(A, 0), party(B, 0), party(B, 1));
    world.asked(&a, B);
    assert!(world.left(&b, false).is_empty(), "the user has another session");
    assert_eq!(world.left(&other, true), ["100: user2 Expired", "all of 2: user1 Expired"]);
    world.asked(&a, B);
    assert!(world.left(&party(A, 1), false).is_empty(), "it is not of that session");
    assert_eq!(world.left(&a, true), ["100: user2 Expired", "all of 2: user1 Expired"]);
    assert_eq!(world.arrived(&b, true), ["200: user1 Expired"; 2]);
    // With an introduction there is nothing to tell.
    let invite = world.asked(&a, B);
    world.answer(&b, &invite, true).unwrap();
    assert!(world.left(&b, true).is_empty());
    assert!(world.arrived(&a, true).iter().all(|told| told.ends_with("Expired")));
}

#[test]
fn who_is_blocked_does_not_learn_who_leaves() {
    let (mut world, a, b) = (World::new(), party(A, 0), party(B, 0));
    // B was asked by A and leaves: A waits its time.
    let invite = world.asked(&a, B);
    assert!(world.invites.left(B, b.session, true, |user| user == A, world.now).is_empty());
    assert!(world.arrived(&a, true).is_empty());
    // A was asked by B: it could have been taken back.
    let asking = world.ask(&b, C);
    assert!(matches!(asking, Asking::Asked(..)));
    let told = shown(world.invites.left(B, b.session, true, |user| user == A || user == C, world.now));
    assert_eq!(told, ["200: user3 Expired", "all of 3: user2 Withdrawn"]);
    let now = world.later(INVITE_LIFETIME);
    assert_eq!(shown(world.invites.expire(now))[0], "100: user2 Expired");
    assert_eq!(world.answer(&b, &invite, true), None);
}

#[test]
fn a_second_request_to_the_same_user_is_the_first() {
    let (mut world, a) = (World::new(), party(A, 0));
    let first = world.asked(&a, B);
    assert_eq!(world.ask(&a, B), Asking::Asked(first.clone(), Vec::new()));
    assert_ne!(world.asked(&party(A, 1), B), first, "another session asks for itself");
    world.later(INVITE_LIFETIME);
    assert_ne!(world.asked(&a, B), first);
}

#[test]
fn requests_are_bounded() {
    let mut world = World::new();
    let a = party(A, 0);
    for user in 10..10 + INVITES_OUT_MAX as i64 {
        world.asked(&a, AccountId(user));
    }
    assert_eq!(world.ask(&a, B), Asking::Full);
    assert!(matches!(world.ask(&a, AccountId(10)), Asking::Asked(..)), "this one stands");
    let mut world = World::new();
    for user in 10..10 + INVITES_IN_MAX as i64 {
        world.asked(&party(AccountId(user), 0), B);
    }
    assert_eq!(world.ask(&a, B), Asking::Full);
    assert!(matches!(world.ask(&party(B, 0), AccountId(10)), Asking::Consented(..)), "this makes room");
    world.asked(&a, B);
    assert_eq!(world.ask(&a, A), Asking::Full, "nobody asks themselves");
    assert_eq!(world.invites.ask(a, C, "user3", invite(1), world.now), Asking::Full, "the name is taken");
}

#[test]
fn what_is_kept_for_resuming_is_bounded() {
    let mut world = World::new();
    let a = party(A, 0);
    for _ in 0..1000 {
        let invite = world.asked(&a, B);
        world.invites.cancel(a.session, &invite, world.now);
        let invite = world.asked(&party(AccountId(world.asked as i64 + 10), 0), B);
        world.answer(&party(B, 0), &invite, false).unwrap();
    }
    assert!(world.invites.book.len() <= INVITES_IN_MAX);
    // One introduction of the same two, and not too many of one session.
    let mut world = World::new();
    for user in 10..200 {
        for _ in 0..3 {
            let invite = world.asked(&a, AccountId(user));
            world.answer(&party(AccountId(user), 0), &invite, true).unwrap();
        }
    }
    assert_eq!(world.invites.book.len(), INVITES_IN_MAX);
}

#[test]
fn a_contact_holds_only_what_can_be_sent_to() {
    let (mut world, a, b) = (World::new(), party(A, 0), party(B, 0));
    let invite = world.asked(&a, B);
    let junk = [
        "192.0.2.1:40000",
        "[2001:db8:0::7]:40000",
        "example.org:80",
        "192.0.2.1",
        "192.0.2.1:65536",
        "192.0.2.1:0",
        "0.0.0.0:1",
        "[ff02::1]:1",
        "\u{1b}[2J",
        "",
    ];
    world.invites.contact(b.session, &contact(&junk), world.now);
    let told = world.answer(&b, &invite, true).unwrap();
    assert_eq!(told[0], "100: dial user2 200 [192.0.2.1:40000 [2001:db8::7]:40000] 30000 ms");
    let many: Vec<_> = (1..60_000).map(|port| format!("192.0.2.1:{port}")).collect();
    let many = v1::Contact { addresses: many.clone(), relay: false, tcp: many };
    let told = world.invites.contact(b.session, &many, world.now);
    let Some(Event::Contact(told)) = told[0].event.event.clone() else { panic!("{told:?}") };
    let told = told.contact.unwrap();
    assert_eq!(
        (told.addresses.len(), told.tcp.len(), told.relay),
        (CONTACT_ADDRESSES_MAX, CONTACT_ADDRESSES_MAX, false)
    );
}

#[test]
fn a_contact_goes_with_its_session() {
    let (mut world, a, b) = (World::new(), party(A, 0), party(B, 0));
    world.invites.contact(b.session, &contact(&["192.0.2.2:2"]), world.now);
    world.left(&b, true);
    let invite = world.asked(&a, B);
    let told = world.answer(&b, &invite, true).unwrap();
    assert_eq!(told[0], "100: dial user2 200 [] 30000 ms");
}
