//! A person with a real client: types, reads, crashes, comes back.

mod reading;
mod typing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hobnob_client::{Client, Command, Config, Door, Events, Login, Message, Parts, Proof, Ticket};
use hobnob_protocol::v1::login_refused::Reason;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use crate::chance::Chance;
use crate::disk::Disk;
use crate::ledger::Kind;
use crate::net::Net;
use crate::sim::Sim;

/// What happens to a person.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// The client dies and is started again after a while.
    Crash(Duration),
    /// The person ends it in the regular way and comes back after a while.
    LogOut(Duration),
    /// The same, at once and without a word to the server.
    Leave(Duration),
    /// Ask who is there and who is blocked.
    Ask,
}

/// How a person is, for whoever directs the run.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) online: bool,
    pub(crate) unanswered: usize,
    /// What the person will still type.
    pub(crate) last_words: u64,
    pub(crate) here: Option<Vec<String>>,
    pub(crate) blocks: Option<Vec<String>>,
}

/// A person.
pub(crate) struct Person {
    pub(crate) sim: Arc<Sim>,
    pub(crate) net: Arc<Net>,
    pub(crate) index: usize,
    pub(crate) name: String,
    pub(crate) others: Vec<String>,
    pub(crate) chance: Chance,
    pub(crate) disk: Arc<Disk>,
    pub(crate) config: Config,
    pub(crate) parts: Parts,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) state: Arc<Mutex<State>>,
    /// Blocks that the person was told are in force.
    pub(crate) block_told: BTreeSet<String>,
    /// Commands so far.
    pub(crate) typed: u64,
    /// Commands to come when all is calm: what is said last is not brought along by anything later.
    pub(crate) last_words: u64,
}

/// One run of the client.
struct Seat {
    client: Client,
    events: Events,
    /// Commands without an answer, and what the last answer was to.
    asked: BTreeMap<Ticket, Command>,
    answered: Option<Ticket>,
    /// What is on the screen and not yet noted, and when it will be.
    on_screen: Option<(Message, Instant)>,
    to_submit: Option<Command>,
    type_at: Instant,
    burst: u64,
    calm: bool,
    /// Asked to end, and how long the person stays away then.
    leaving: Option<Duration>,
    /// Who was said to be here on this connection.
    presence: BTreeMap<String, bool>,
}

impl Person {
    /// Lives until the run is over.
    pub(crate) async fn live(mut self) {
        let mut away = self.chance.ms(0..=2000);
        loop {
            tokio::select! {
                biased;
                () = self.sim.calm.cancelled() => sleep(Duration::from_millis(10)).await,
                () = sleep(away) => {}
            }
            let Some((client, events)) = self.log_in().await else {
                away = self.chance.ms(100..=3000);
                continue;
            };
            away = self.sit(client, events).await;
            self.state().online = false;
            self.disk.abandon();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn problem(&self, kind: Kind, what: &str) {
        self.sim.trace.note(format_args!("PROBLEM {} {what}", self.name));
        self.sim.ledger.problem(kind, format!("{}: {what}", self.name));
    }

    async fn log_in(&mut self) -> Option<(Client, Events)> {
        let mut door = Door::with_parts(self.config.clone(), self.parts.clone()).await.ok()?;
        for register in [false, true, false] {
            if register {
                let found = door.lookup(&self.name).await.ok()?;
                if found.answer() != hobnob_protocol::v1::found::Answer::New {
                    continue;
                }
            } else if !self.knows_account(&mut door).await? {
                continue;
            }
            let token = door.saved_token(&self.name).filter(|_| !register && self.chance.per_mille(300));
            let proof = token.unwrap_or_else(|| Proof::Password("secret".to_owned()));
            match door.login(&self.name, proof, register).await.ok()? {
                Login::In { client, events, welcome } => {
                    self.sim.count("login");
                    self.sim.trace.note(format_args!("{} is in, {} left over", self.name, welcome.left_over));
                    return Some((client, events));
                }
                // Or the server cannot write just now.
                Login::Refused { reason: Reason::InUse | Reason::Throttled, .. } => return None,
                Login::Refused { reason: Reason::NameTaken, .. } => {}
                // The token of a session that has ended.
                Login::Refused { reason: Reason::Replaced | Reason::LoggedOut, .. } => return None,
                Login::Refused { reason, .. } => {
                    self.problem(Kind::Ended, &format!("cannot log in: {reason:?}"));
                    return None;
                }
            }
        }
        None
    }

    async fn knows_account(&self, door: &mut Door) -> Option<bool> {
        let found = door.lookup(&self.name).await.ok()?;
        Some(found.answer() == hobnob_protocol::v1::found::Answer::Known)
    }

    /// Uses the client until it ends; returns how long the person stays away.
    async fn sit(&mut self, client: Client, events: Events) -> Duration {
        let mut seat = Seat {
            client,
            events,
            asked: BTreeMap::new(),
            answered: None,
            on_screen: None,
            to_submit: None,
            type_at: Instant::now(),
            burst: 0,
            calm: false,
            leaving: None,
            presence: BTreeMap::new(),
        };
        *self.state() = State { online: true, last_words: self.last_words, ..State::default() };
        loop {
            let note_at = seat.on_screen.as_ref().map_or(seat.type_at, |(_, at)| *at);
            let may_type = seat.leaving.is_none() && seat.to_submit.is_none() && self.goes_on_typing();
            let command = seat.to_submit.clone();
            tokio::select! {
                biased;
                () = self.disk.died.notified() => return self.crashed(seat, Duration::from_millis(500), false),
                Some(order) = self.orders.recv() => {
                    if let Order::Crash(away) = order {
                        let silent = self.chance.per_mille(300);
                        return self.crashed(seat, away, silent);
                    }
                    self.obey(&mut seat, order).await;
                }
                () = sleep_until(note_at), if seat.on_screen.is_some() => note(&mut seat),
                ticket = submit(&seat.client, command.clone()), if command.is_some() => {
                    if let (Some(ticket), Some(command)) = (ticket, seat.to_submit.take()) {
                        seat.asked.insert(ticket, command);
                    }
                }
                event = seat.events.next(), if seat.on_screen.is_none() => {
                    let Some(event) = event else { break };
                    self.event(&mut seat, event);
                }
                // Last words are still to be typed.
                () = self.sim.calm.cancelled(), if !seat.calm => seat.calm = true,
                () = sleep_until(seat.type_at), if may_type => self.type_something(&mut seat),
            }
            self.state().unanswered = seat.asked.len() + usize::from(seat.to_submit.is_some());
        }
        if seat.leaving.is_none() {
            self.problem(Kind::Ended, "the client ended by itself");
        }
        seat.leaving.unwrap_or_default()
    }

    fn crashed(&mut self, seat: Seat, away: Duration, silent: bool) -> Duration {
        self.sim.trace.note(format_args!("{} crashes", self.name));
        if let Some((message, _)) = seat.on_screen {
            self.sim.count("client crash between showing and noting");
            self.sim.ledger.may_come_again(&self.name, message.text);
        }
        if silent {
            self.net.silence(self.index);
        }
        self.disk.abandon();
        away
    }

    async fn obey(&mut self, seat: &mut Seat, order: Order) {
        match order {
            Order::LogOut(away) => {
                self.sim.trace.note(format_args!("{} logs out", self.name));
                seat.leaving = Some(away);
                seat.to_submit = None;
                seat.client.logout().await;
            }
            Order::Leave(away) => {
                self.sim.trace.note(format_args!("{} leaves", self.name));
                seat.leaving = Some(away);
                seat.to_submit = None;
                seat.client.leave();
            }
            Order::Ask => {
                for command in [Command::WhoElse, Command::Blocks] {
                    if let Ok(ticket) = seat.client.submit(command.clone()).await {
                        seat.asked.insert(ticket, command);
                    }
                }
            }
            Order::Crash(_) => {}
        }
    }
}

impl Seat {
    /// Whether the end of a block was typed and is not answered.
    fn will_unblock(&self, user: &str) -> bool {
        let typed = self.asked.values().chain(&self.to_submit);
        typed.into_iter().any(|command| matches!(command, Command::Unblock(of) if of == user))
    }
}

/// Notes what is on the screen.
fn note(seat: &mut Seat) {
    if let Some((message, _)) = seat.on_screen.take() {
        seat.client.shown(message.stream, message.seq);
    }
}

async fn submit(client: &Client, command: Option<Command>) -> Option<Ticket> {
    client.submit(command?).await.ok()
}
