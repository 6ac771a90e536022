//! What holds whatever people do, and whenever.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{
    tests::{contact, invite, party},
    *,
};

const USERS: i64 = 4;
const SESSIONS: i64 = 2;

/// What somebody does; numbers choose among what there is.
#[derive(Clone, Debug)]
enum Act {
    Ask(usize, i64),
    Answer(usize, usize, bool),
    Cancel(usize, usize),
    Contact(usize),
    Arrive(usize),
    Break(usize),
    Leave(usize),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let who = || 0..(USERS * SESSIONS) as usize;
    prop_oneof![
        4 => (who(), 0..USERS).prop_map(|(who, whom)| Act::Ask(who, whom)),
        4 => (who(), any::<usize>(), any::<bool>()).prop_map(|(who, which, yes)| Act::Answer(who, which, yes)),
        1 => (who(), any::<usize>()).prop_map(|(who, which)| Act::Cancel(who, which)),
        2 => who().prop_map(Act::Contact),
        2 => who().prop_map(Act::Arrive),
        1 => who().prop_map(Act::Break),
        1 => who().prop_map(Act::Leave),
        2 => (0u64..40_000).prop_map(Act::Wait),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Connected,
    Broken,
    Gone,
}

/// How a request ended for one session that it concerned.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Introduced,
    Told(Reason),
    /// Its own answer or withdrawal.
    Own,
}

struct World {
    invites: Invites,
    now: Instant,
    parties: Vec<(Party, State)>,
    /// Every request: who asked, and whom.
    made: Vec<(Bytes, SessionId, AccountId)>,
    /// Which sessions may know each other's contact: those that have consented.
    consented: BTreeSet<(Bytes, SessionId)>,
    /// The last contact of each session that has one.
    contacts: BTreeMap<SessionId, v1::Contact>,
    contacts_made: u16,
    /// Ends told to sessions since they are connected.
    ends: BTreeMap<(Bytes, SessionId), Vec<End>>,
    /// Sessions that have lost what they were told at some time.
    lossy: BTreeSet<SessionId>,
}

impl World {
    fn new() -> Self {
        let all =
            (1..=USERS).flat_map(|user| (0..SESSIONS).map(move |number| party(AccountId(user), number)));
        Self {
            invites: Invites::default(),
            now: Instant::now(),
            parties: all.map(|party| (party, State::Connected)).collect(),
            made: Vec::new(),
            consented: BTreeSet::new(),
            contacts: BTreeMap::new(),
            contacts_made: 0,
            ends: BTreeMap::new(),
            lossy: BTreeSet::new(),
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Ask(who, whom) => self.ask(who, AccountId(whom + 1)),
            Act::Answer(who, which, accept) => self.answer(who, which, accept),
            Act::Cancel(who, which) => self.cancel(who, which),
            Act::Contact(who) => self.contact(who),
            Act::Arrive(who) => {
                let resumed = self.parties[who].1 == State::Broken;
                self.parties[who].1 = State::Connected;
                let party = self.parties[who].0.clone();
                let tells = self.invites.arrived(party.account, party.session, resumed, self.now);
                assert!(tells.len() <= 2 * (INVITES_IN_MAX + INVITES_OUT_MAX) + INVITES_IN_MAX);
                assert!(tells.iter().all(|tell| tell.to == To::Session(party.account, party.session)));
                self.lossy.insert(party.session);
                self.tell(tells);
            }
            Act::Break(who) if self.parties[who].1 == State::Connected => {
                self.parties[who].1 = State::Broken;
                self.lossy.insert(self.parties[who].0.session);
            }
            Act::Break(_) => {}
            Act::Leave(who) => self.leave(who),
            Act::Wait(ms) => self.wait(Duration::from_millis(ms)),
        }
        self.check_bounds();
    }

    fn is_online(&self, account: AccountId) -> bool {
        self.parties.iter().any(|(party, state)| party.account == account && *state != State::Gone)
    }

    fn connected(&self, who: usize) -> Option<Party> {
        (self.parties[who].1 == State::Connected).then(|| self.parties[who].0.clone())
    }

    fn ask(&mut self, who: usize, whom: AccountId) {
        let Some(asker) = self.connected(who).filter(|asker| asker.account != whom) else { return };
        if !self.is_online(whom) {
            return;
        }
        let name = invite(self.made.len() as u64);
        let asking = self.invites.ask(asker.clone(), whom, "somebody", name.clone(), self.now);
        match asking {
            Asking::Asked(invite, tells) if invite == name => {
                self.made.push((invite, asker.session, whom));
                assert_eq!(tells.len(), 1);
                self.tell(tells);
            }
            Asking::Asked(first, tells) => {
                assert!(tells.is_empty());
                assert!(self.made.contains(&(first, asker.session, whom)));
            }
            Asking::Consented(invite, tells) => self.consent(&invite, asker.session, tells),
            Asking::Full => panic!("so many there are not"),
        }
    }

    fn consent(&mut self, invite: &Bytes, by: SessionId, tells: Vec<Tell>) {
        let asker = self.made.iter().find(|(made, ..)| made == invite).unwrap().1;
        self.consented.insert((invite.clone(), asker));
        self.consented.insert((invite.clone(), by));
        self.tell(tells);
    }

    fn answer(&mut self, who: usize, which: usize, accept: bool) {
        let (Some(by), false) = (self.connected(who), self.made.is_empty()) else { return };
        let (invite, _, asked) = self.made[which % self.made.len()].clone();
        let Some(tells) = self.invites.answer(&by, &invite, accept, self.now) else { return };
        assert_eq!(by.account, asked, "only the asked answers");
        match tells.is_empty() {
            true => {}
            false if accept => self.consent(&invite, by.session, tells),
            false => {
                self.ended(&invite, by.session, End::Own);
                self.tell(tells);
            }
        }
    }

    fn cancel(&mut self, who: usize, which: usize) {
        let (Some(by), false) = (self.connected(who), self.made.is_empty()) else { return };
        let (invite, asker, _) = self.made[which % self.made.len()].clone();
        let tells = self.invites.cancel(by.session, &invite, self.now);
        let introduced = self.consented.contains(&(invite.clone(), by.session));
        if !tells.is_empty() && !introduced {
            assert_eq!(asker, by.session, "only the asker takes it back");
            self.ended(&invite, by.session, End::Own);
        }
        self.tell(tells);
    }

    fn contact(&mut self, who: usize) {
        let Some(by) = self.connected(who) else { return };
        self.contacts_made += 1;
        let new = contact(&[&format!("192.0.2.{}:{}", by.session.0 % 256, self.contacts_made)]);
        self.contacts.insert(by.session, new.clone());
        let tells = self.invites.contact(by.session, &new, self.now);
        self.tell(tells);
    }

    fn leave(&mut self, who: usize) {
        self.parties[who].1 = State::Gone;
        let party = self.parties[who].0.clone();
        self.contacts.remove(&party.session);
        self.lossy.insert(party.session);
        let last = !self.is_online(party.account);
        let tells = self.invites.left(party.account, party.session, last, |_| false, self.now);
        self.tell(tells);
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.invites.deadline().filter(|due| *due <= until) {
            assert!(due >= self.now, "nothing is overdue");
            self.now = due;
            let tells = self.invites.expire(due);
            self.tell(tells);
        }
        self.now = until;
    }

    /// Hands out what is told, and checks it.
    fn tell(&mut self, tells: Vec<Tell>) {
        for tell in tells {
            let all = self.parties.iter().filter(|(_, state)| *state == State::Connected);
            let to: Vec<_> = all
                .map(|(party, _)| (party.account, party.session))
                .filter(|(account, session)| match tell.to {
                    To::Session(..) => tell.to == To::Session(*account, *session),
                    To::Account(to) => to == *account,
                    To::Others(to, not) => to == *account && not != *session,
                })
                .collect();
            for (account, session) in to {
                assert_ne!(account, tell.about);
                self.told(session, &tell);
            }
        }
    }

    fn told(&mut self, session: SessionId, tell: &Tell) {
        match tell.event.event.clone().unwrap() {
            Event::Asked(asked) => {
                let (_, asker, _) = self.made.iter().find(|(made, ..)| *made == asked.invite).unwrap();
                assert_ne!(*asker, session);
            }
            Event::Ended(ended) => {
                if self.consented.contains(&(ended.invite.clone(), session)) {
                    assert_eq!(ended.reason(), Reason::Withdrawn, "an introduction is only given up");
                } else {
                    self.ended(&ended.invite, session, End::Told(ended.reason()));
                }
            }
            Event::Introduced(to) => {
                self.may_see(session, tell, &to.invite, to.contact.as_ref().unwrap());
                self.ended(&to.invite, session, End::Introduced);
            }
            Event::Contact(to) => self.may_see(session, tell, &to.invite, to.contact.as_ref().unwrap()),
        }
    }

    /// A contact is shown after consent only, and it is the last of the other session.
    fn may_see(&self, session: SessionId, tell: &Tell, invite: &Bytes, shown: &v1::Contact) {
        let key = (invite.clone(), session);
        assert!(self.consented.contains(&key), "before consent");
        let others = self.consented.iter().filter(|(of, other)| of == invite && *other != session);
        let other = others.map(|(_, other)| *other).next().unwrap();
        let party = self.parties.iter().find(|(party, _)| party.session == other).unwrap();
        assert_eq!(party.0.account, tell.about);
        let expected = self.contacts.get(&other).cloned().unwrap_or_default();
        assert_eq!(*shown, expected);
    }

    fn ended(&mut self, invite: &Bytes, session: SessionId, end: End) {
        let ends = self.ends.entry((invite.clone(), session)).or_default();
        assert!(ends.is_empty() || self.lossy.contains(&session), "{ends:?}, then {end:?}");
        assert!(ends.iter().all(|earlier| *earlier == end), "{ends:?}, then {end:?}");
        ends.push(end);
    }

    fn check_bounds(&self) {
        let book = &self.invites.book;
        book.len();
        for (party, _) in &self.parties {
            let open = |(_, one): &(Serial, &Request)| one.is_open(self.now);
            assert!(book.of_session(party.session).filter(open).count() <= INVITES_OUT_MAX);
            assert!(book.of_asked(party.account).filter(open).count() <= INVITES_IN_MAX);
        }
    }

    /// Everybody who heard of a request and lost nothing was told its end.
    fn check_ends(&mut self) {
        self.wait(Duration::from_secs(300));
        assert_eq!((self.invites.book.len(), self.invites.deadline()), (0, None));
        for (invite, asker, asked) in &self.made {
            let concerned =
                self.parties.iter().filter(|(party, _)| party.account == *asked || party.session == *asker);
            for (party, _) in concerned.filter(|(party, _)| !self.lossy.contains(&party.session)) {
                let ends = self.ends.get(&(invite.clone(), party.session));
                assert_eq!(ends.map_or(0, Vec::len), 1, "{invite:?} for {party:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn every_request_ends_once_and_contacts_follow_consent(acts in proptest::collection::vec(act(), 0..120)) {
        let mut world = World::new();
        acts.into_iter().for_each(|act| world.act(act));
        world.check_ends();
    }
}
