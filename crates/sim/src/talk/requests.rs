//! What the server does with what clients ask.

use bytes::Bytes;
use hobnob_protocol::v1;
use hobnob_server::rules::invite::{Asking, Party, Tell};
use v1::invited::Outcome;

use super::people::{NAMES, person};
use super::server::{Answer, Request, account};
use super::world::World;

impl World {
    pub(super) fn at_server(&mut self, who: usize, connection: u64, id: u64, request: Request) {
        let gets_through = self.server.up && !self.people[who].isolated && self.server.is_alive(connection);
        let current = self.server.sessions.get(&who).is_some_and(|it| it.connection == Some(connection));
        let Some(party) = self.server.party(who).filter(|_| gets_through && current) else { return };
        let now = self.server_now();
        let (answer, tells) = match request {
            Request::Invite(typed) => self.invite(who, party, &typed),
            Request::Answer { invite, accept } => {
                match self.server.invites.answer(&party, &invite, accept, now) {
                    Some(tells) => (Answer::Done, tells),
                    None => (invited(Outcome::Gone, None, Bytes::new()), Vec::new()),
                }
            }
            Request::Cancel(invite) => {
                (Answer::Done, self.server.invites.cancel(party.session, &invite, now))
            }
            Request::MaySee(name) => {
                let may = person(&name).is_some_and(|other| !self.server.blocks.contains(&(other, who)));
                (Answer::Sight(may), Vec::new())
            }
            Request::Contact(contact) => {
                (Answer::Done, self.server.invites.contact(party.session, &contact, now))
            }
            Request::Block { user, on } => {
                if on {
                    self.server.blocks.insert((who, user))
                } else {
                    self.server.blocks.remove(&(who, user))
                };
                (Answer::Done, Vec::new())
            }
            Request::LogOut => {
                self.server.sessions.remove(&who);
                return self.session_over(who, party.session, true);
            }
        };
        self.answer(who, connection, id, answer);
        self.tell(tells);
    }

    fn invite(&mut self, who: usize, asker: Party, typed: &str) -> (Answer, Vec<Tell>) {
        let Some(other) = person(typed).filter(|other| *other < self.people.len()) else {
            return (invited(Outcome::InvalidUser, None, Bytes::new()), Vec::new());
        };
        if self.server.blocks.contains(&(other, who)) {
            return (invited(Outcome::Blocked, Some(other), Bytes::new()), Vec::new());
        }
        if !self.server.is_online(other) {
            return (invited(Outcome::Offline, Some(other), Bytes::new()), Vec::new());
        }
        let name = Bytes::from([self.name().to_be_bytes(); 2].concat());
        let now = self.server_now();
        match self.server.invites.ask(asker, account(other), NAMES[other], name, now) {
            Asking::Asked(invite, tells) => (invited(Outcome::Asked, Some(other), invite), tells),
            Asking::Consented(invite, tells) => (invited(Outcome::Consented, Some(other), invite), tells),
            Asking::Full => (invited(Outcome::Busy, Some(other), Bytes::new()), Vec::new()),
        }
    }
}

fn invited(outcome: Outcome, user: Option<usize>, invite: Bytes) -> Answer {
    let user = user.map_or_else(String::new, |user| NAMES[user].to_owned());
    Answer::Invited(v1::Invited { outcome: outcome.into(), user, invite })
}
