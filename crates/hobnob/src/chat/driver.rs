//! The driver of a session in line mode: waits for lines, events and signals, and carries out what they lead to.

use std::{io, time::Duration};

use hobnob_client::{Client, Command, Event, Events};
use tokio::time::Instant;

use super::{
    ahead::Ahead,
    face::{Face, Input},
    line::{Effect, Session},
    text,
};
use crate::signals::Signals;

/// How long after a signal lines are read at the least. What was typed before it may only now leave the hands of the
/// thread that reads.
const LAST_LINES: Duration = Duration::from_millis(50);

/// How long a logout may take when nobody reads what is printed.
const LEAVING_MAX: Duration = Duration::from_secs(8);

/// Carries out what a session in line mode wants.
pub(super) struct Driver<'a> {
    face: &'a mut Face,
    client: Client,
    events: Events,
    signals: &'a Signals,
    session: Session,
    /// What the server is called.
    server: String,
    /// Lines behind a command that waits for its place.
    ahead: Ahead,
    /// Set by a signal: only what is typed already is still read, and until when it is on its way for sure.
    last: Option<Instant>,
    /// Whether the connection is lost.
    away: bool,
    /// Whether something typed was given up.
    unsent: bool,
}

/// How far a session is.
enum Phase {
    /// Lines are read.
    Reading,
    /// A command waits for its place in the client, which takes only so many.
    Giving(Command),
    /// Logging out: only events count.
    Leaving,
}

/// What happened.
enum Wake {
    Signal,
    Event(Option<Event>),
    Given,
    /// There will be no place for the command.
    GivenUp,
    Typed(Input),
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        face: &'a mut Face,
        (client, events): (Client, Events),
        server: String,
        signals: &'a Signals,
    ) -> Self {
        let (session, ahead) = (Session::default(), Ahead::default());
        let (last, away, unsent) = (None, false, false);
        Self { face, client, events, signals, session, server, ahead, last, away, unsent }
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
        result
    }

    async fn talk(&mut self, greeting: &str) -> io::Result<u8> {
        self.face.print(greeting)?;
        self.face.commands()?;
        let mut phase = Phase::Reading;
        loop {
            let effects = match self.next(&phase).await? {
                Wake::Signal => {
                    self.last = Some(Instant::now() + LAST_LINES);
                    continue;
                }
                Wake::Given => {
                    phase = Phase::Reading;
                    continue;
                }
                Wake::GivenUp => {
                    self.unsent = true;
                    self.face.print(text::NOT_SENT)?;
                    vec![Effect::LogOut]
                }
                Wake::Event(event) => self.event(event),
                Wake::Typed(input) => self.typed(input, &phase)?,
            };
            for effect in effects {
                match effect {
                    Effect::Submit(command) => phase = Phase::Giving(command),
                    Effect::LogOut => phase = self.log_out().await,
                    Effect::Exit(code) => return Ok(code.max(u8::from(self.unsent))),
                    effect => self.show(effect)?,
                }
            }
        }
    }

    /// Waits for the next thing to happen.
    async fn next(&mut self, phase: &Phase) -> io::Result<Wake> {
        let (reading, leaving) = (matches!(phase, Phase::Reading), matches!(phase, Phase::Leaving));
        if reading && let Some(input) = self.ahead.pop() {
            return Ok(Wake::Typed(input));
        }
        let stuck = self.away && !reading && !leaving;
        let give_up = stuck && (self.last.is_some() || self.ahead.leaves());
        let give = async {
            match phase {
                Phase::Giving(command) => self.client.submit(command.clone()).await,
                _ => std::future::pending().await,
            }
        };
        let event = async {
            if reading && self.last.is_some() {
                // Whoever wants to leave is not kept by what comes in without end.
                tokio::task::yield_now().await;
            }
            self.events.next().await
        };
        // What came in comes first, so that it is shown before more goes out.
        Ok(tokio::select! {
            biased;
            () = self.signals.first().cancelled(), if self.last.is_none() && !leaving => Wake::Signal,
            event = event => Wake::Event(event),
            // If the session is over, an event says so.
            _ = give => Wake::Given,
            () = std::future::ready(()), if give_up => Wake::GivenUp,
            input = self.face.read(self.last), if reading || stuck && self.ahead.has_room() => {
                Wake::Typed(input?)
            }
        })
    }

    fn typed(&mut self, input: Input, phase: &Phase) -> io::Result<Vec<Effect>> {
        let mut effects = Vec::new();
        if matches!(phase, Phase::Reading) {
            effects = self.session.typed(input);
        } else {
            self.ahead.push(input);
        }
        if !effects.iter().any(|effect| matches!(effect, Effect::Ask(_) | Effect::LogOut)) {
            self.face.commands()?;
        }
        Ok(effects)
    }

    fn event(&mut self, event: Option<Event>) -> Vec<Effect> {
        match &event {
            Some(Event::Disconnected) => self.away = true,
            Some(Event::Reconnected) => self.away = false,
            _ => {}
        }
        match event {
            Some(event) => self.session.event(event),
            None => vec![Effect::Exit(1)],
        }
    }

    fn show(&mut self, effect: Effect) -> io::Result<()> {
        match effect {
            Effect::Print(text) => self.face.print(&text)?,
            Effect::Ask(prompt) => self.face.ask(prompt, true)?,
            Effect::Contact(fingerprint) => {
                self.face.warn(&text::first_contact(&self.server, &fingerprint))?
            }
            Effect::Shown(stream, seq) => self.client.shown(stream, seq),
            Effect::Know(name) if text::one_line(&name) == name => self.face.know(&name),
            _ => {}
        }
        Ok(())
    }

    async fn log_out(&mut self) -> Phase {
        self.face.rest();
        self.client.logout().await;
        Phase::Leaving
    }

    /// Logs out with nobody to tell.
    async fn leave(&mut self) {
        self.client.logout().await;
        // Messages that come now are not shown, so they are not noted either and come again.
        let rest = async { while self.events.next().await.is_some() {} };
        if tokio::time::timeout(LEAVING_MAX, rest).await.is_err() {
            self.client.leave();
        }
    }
}
