//! The driver of a session in line mode: waits for lines, events, peers and signals, and carries out what they lead to.

mod leaving;

use std::{collections::VecDeque, io, time::Duration};

use hobnob_client::{Aside, Client, Command, Event, Events};
use hobnob_peer::{files, network::LinkEvent, talk::Talks};
use tokio::time::{Instant, sleep_until};

use super::{
    ahead::Ahead,
    exchange::Exchange,
    face::{Face, Input},
    line::{Effect, Session},
    peers::Peers,
    text,
};
use crate::{files::aside, signals::Signals};
use leaving::FAREWELL_MAX;

/// How long after a signal lines are read at the least. What was typed before it may only now leave the hands of the
/// thread that reads.
const LAST_LINES: Duration = Duration::from_millis(50);

/// Carries out what a session in line mode wants.
pub(super) struct Driver<'a> {
    face: &'a mut Face,
    client: Client,
    events: Events,
    peers: Peers,
    exchange: Exchange,
    signals: &'a Signals,
    session: Session,
    /// When the session's time began.
    epoch: Instant,
    /// What the server is called.
    server: String,
    phase: Phase,
    /// Commands that wait for their place in the client, which takes only so many. A line adds one at most, and what private
    /// talk adds is bounded there.
    giving: VecDeque<Command>,
    /// What waits to be passed on for files, which tell of nothing more until it is.
    passing: Option<(u64, Aside)>,
    /// Lines behind them.
    ahead: Ahead,
    /// Set by a signal: only what is typed already is still read, and until when it is on its way for sure.
    last: Option<Instant>,
    /// Until when lines wait for room among private messages though somebody wants to leave.
    patience: Option<Instant>,
    /// Whether the connection is lost.
    away: bool,
    /// Whether something typed was given up.
    unsent: bool,
    /// Whether everything is said to peers.
    left: bool,
    /// The session is over, with this code.
    exit: Option<u8>,
}

/// How far a session is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Lines are read.
    Reading,
    /// What was typed has yet to be judged. The session sees that it does not take for ever.
    Waiting,
    /// Peers are told good-bye, until then at the latest.
    Parting(Instant),
    /// Logging out: only events count.
    Leaving,
}

/// What happened.
enum Wake {
    Signal,
    Event(Option<Event>),
    Given,
    /// What files have to say to the server is passed on.
    Passed,
    /// There will be no place for the command.
    GivenUp,
    Due,
    Peers(LinkEvent),
    Files(files::Event),
    Typed(Input),
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        face: &'a mut Face,
        (client, events): (Client, Events),
        (peers, talks, exchange): (Peers, Talks, Exchange),
        server: String,
        signals: &'a Signals,
    ) -> Self {
        let place = exchange.place(face.has_row());
        Self {
            face,
            client,
            events,
            peers,
            exchange,
            signals,
            session: Session::new(talks, place),
            epoch: Instant::now(),
            server,
            phase: Phase::Reading,
            giving: VecDeque::new(),
            passing: None,
            ahead: Ahead::default(),
            last: None,
            patience: None,
            away: false,
            unsent: false,
            left: false,
            exit: None,
        }
    }

    /// Greets, and goes on until the session is over; the result is the exit code.
    ///
    /// # Errors
    /// Printing failed. The session is logged out then.
    pub(super) async fn run(mut self, greeting: &str) -> io::Result<u8> {
        let result = self.talk(greeting).await;
        if result.is_err() {
            self.leave().await;
        }
        self.close().await;
        result
    }

    async fn talk(&mut self, greeting: &str) -> io::Result<u8> {
        self.face.print(greeting)?;
        self.face.commands()?;
        for effect in self.session.begin() {
            self.carry_out(effect).await?;
        }
        loop {
            if let Some(code) = self.exit.filter(|_| self.has_parted()) {
                return Ok(code.max(u8::from(self.unsent)));
            }
            if matches!(self.phase, Phase::Parting(_)) && self.exit.is_none() && self.has_parted() {
                // While the server still knows this device its relay carries the last words.
                self.close().await;
                self.client.logout().await;
                self.phase = Phase::Leaving;
            }
            let wake = self.next().await?;
            let effects = self.take(wake)?;
            for effect in effects {
                self.carry_out(effect).await?;
            }
        }
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// Whether the next line can take effect.
    fn is_free(&self) -> bool {
        self.phase == Phase::Reading && self.giving.is_empty() && !self.is_held()
    }

    /// Waits for the next thing to happen.
    async fn next(&mut self) -> io::Result<Wake> {
        self.be_patient();
        let (free, reading) = (self.is_free(), self.phase == Phase::Reading);
        if free && let Some(input) = self.ahead.pop() {
            return Ok(Wake::Typed(input));
        }
        let unplaced = reading && self.away && !self.giving.is_empty();
        let give_up = unplaced && self.wants_to_leave();
        let look_ahead = (unplaced || reading && self.is_held()) && self.ahead.has_room();
        let due = self.due();
        let give = async {
            match self.giving.front() {
                Some(command) if self.phase != Phase::Leaving => self.client.submit(command.clone()).await,
                _ => std::future::pending().await,
            }
        };
        let pass = async {
            match &self.passing {
                Some((id, aside)) => self.client.aside(*id, aside.clone()).await,
                None => std::future::pending().await,
            }
        };
        let event = async {
            if free && self.last.is_some() {
                // Whoever wants to leave is not kept by what comes in without end.
                tokio::task::yield_now().await;
            }
            self.events.next().await
        };
        let typed_or_peers = async {
            // None can keep the others from being heard.
            tokio::select! {
                event = self.peers.next() => Ok(Wake::Peers(event)),
                event = self.exchange.next(), if self.passing.is_none() => Ok(Wake::Files(event)),
                input = self.face.read(self.last), if free || look_ahead => input.map(Wake::Typed),
            }
        };
        // What came in comes first, so that it is shown before more goes out.
        tokio::select! {
            biased;
            () = self.signals.first().cancelled(), if self.last.is_none() && reading => Ok(Wake::Signal),
            event = event => Ok(Wake::Event(event)),
            // If the session is over, an event says so.
            _ = give => Ok(Wake::Given),
            _ = pass => Ok(Wake::Passed),
            () = std::future::ready(()), if give_up => Ok(Wake::GivenUp),
            () = sleep_until(due.unwrap_or(self.epoch)), if due.is_some() => Ok(Wake::Due),
            wake = typed_or_peers => wake,
        }
    }

    /// When something has to be done, if nothing happens before.
    fn due(&self) -> Option<Instant> {
        let session = self.session.deadline().map(|deadline| self.epoch + deadline);
        let patience = self.patience.filter(|_| self.is_held());
        let parting = if let Phase::Parting(until) = self.phase { Some(until) } else { None };
        [session, patience, parting].into_iter().flatten().min()
    }

    /// What follows from what happened.
    fn take(&mut self, wake: Wake) -> io::Result<Vec<Effect>> {
        let now = self.now();
        Ok(match wake {
            Wake::Signal => {
                self.last = Some(Instant::now() + LAST_LINES);
                Vec::new()
            }
            Wake::Given => {
                self.giving.pop_front();
                Vec::new()
            }
            Wake::Passed => {
                self.passing = None;
                Vec::new()
            }
            Wake::GivenUp => {
                self.unsent = true;
                self.giving.clear();
                self.face.print(text::NOT_SENT)?;
                self.session.typed(Input::End, now)
            }
            Wake::Event(event) => self.event(event, now),
            Wake::Due => self.session.tick(now),
            Wake::Peers(event) => self.session.network(event, now),
            Wake::Files(event) => self.session.files(event, now),
            Wake::Typed(input) => self.typed(input, now)?,
        })
    }

    fn typed(&mut self, input: Input, now: Duration) -> io::Result<Vec<Effect>> {
        let mut effects = Vec::new();
        if self.is_free() {
            effects = self.session.typed(input, now);
        } else {
            self.ahead.push(input);
        }
        if !effects.iter().any(|effect| matches!(effect, Effect::Ask(_) | Effect::Wait | Effect::LogOut)) {
            self.face.commands()?;
        }
        Ok(effects)
    }

    fn event(&mut self, event: Option<Event>, now: Duration) -> Vec<Effect> {
        match &event {
            Some(Event::Disconnected) => self.away = true,
            Some(Event::Reconnected) => self.away = false,
            _ => {}
        }
        match event {
            Some(event) => self.session.event(event, now),
            None => vec![Effect::Left, Effect::Exit(1)],
        }
    }

    async fn carry_out(&mut self, effect: Effect) -> io::Result<()> {
        match effect {
            Effect::Print(text) => self.face.print(&text)?,
            Effect::Question(text) => self.face.question(&text)?,
            Effect::Ask(prompt) => self.face.ask(prompt, true)?,
            Effect::Contact(fingerprint) => {
                self.face.warn(&text::first_contact(&self.server, &fingerprint))?
            }
            Effect::Know(name) if text::one_line(&name) == name => self.face.know(&name),
            Effect::Know(_) => {}
            Effect::Path(link) => {
                let path = link.and_then(|link| self.peers.path(link));
                self.face.print(&text::private::path(path.as_ref()))?;
            }
            Effect::Row(row) => self.face.show(row)?,
            Effect::Wait => {
                self.face.rest();
                self.phase = Phase::Waiting;
            }
            Effect::LogOut => {
                self.face.rest();
                self.phase = Phase::Parting(Instant::now() + FAREWELL_MAX);
            }
            effect => {
                let words = self.carry_out_unseen(effect).await;
                self.face.print(&words)?;
            }
        }
        Ok(())
    }

    /// Carries out what prints nothing unless it fails; the result is what to say then.
    async fn carry_out_unseen(&mut self, effect: Effect) -> String {
        match effect {
            Effect::Submit(command) => self.giving.push_back(command),
            Effect::Shown(stream, seq) => self.client.shown(stream, seq),
            Effect::Network(effect) => return self.peers.carry_out(effect).await,
            Effect::Reachable(contact) => self.exchange.reachable(contact),
            Effect::BeginFiles(blocked) => self.exchange.begin(blocked),
            Effect::Files(wish) => return self.exchange.carry_out(wish, &mut self.peers).await,
            Effect::Listening(port) => self.exchange.listening(port),
            Effect::Pass(id, request) => {
                self.passing = Some((id.0, aside(request)));
                return self.exchange.join(&mut self.peers).await;
            }
            Effect::Active => self.client.active(),
            Effect::SaveKeys(keys) => return self.peers.save(&keys),
            Effect::Left => self.left = true,
            Effect::Exit(code) => {
                self.exit = Some(code);
                if matches!(self.phase, Phase::Reading | Phase::Waiting) {
                    self.face.rest();
                    self.phase = Phase::Parting(Instant::now() + FAREWELL_MAX);
                }
            }
            _ => {}
        }
        String::new()
    }
}
