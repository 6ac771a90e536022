//! The driver of a session in line mode: waits for lines, events and signals, and carries out what they lead to.

use std::{
    io,
    pin::{Pin, pin},
    time::Duration,
};

use hobnob_client::{Client, Command, Event, Events};

use super::{
    face::Face,
    line::{Effect, Session},
    text,
};
use crate::signals::Signals;

/// How long lines are still read after a signal.
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
}

/// How far a session is.
enum Phase {
    /// Lines are read.
    Reading,
    /// A command waits for its turn in the client, which takes only so many; `last`: then log out.
    Giving { command: Command, last: bool },
    /// Logging out: only events count.
    Leaving,
}

impl<'a> Driver<'a> {
    pub(super) fn new(face: &'a mut Face, client: Client, events: Events, signals: &'a Signals) -> Self {
        Self { face, client, events, signals, session: Session::default() }
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
        let mut leaving = pin!(last_lines_read(self.signals));
        loop {
            let (effects, given) = self.next(&phase, leaving.as_mut()).await?;
            if given {
                phase = match phase {
                    Phase::Giving { last: true, .. } => self.log_out().await,
                    _ => Phase::Reading,
                };
            }
            for effect in effects {
                match effect {
                    Effect::Submit(command) => phase = Phase::Giving { command, last: false },
                    Effect::LogOut => {
                        phase = match phase {
                            Phase::Giving { command, .. } => Phase::Giving { command, last: true },
                            Phase::Leaving => Phase::Leaving,
                            Phase::Reading => self.log_out().await,
                        }
                    }
                    Effect::Exit(code) => return Ok(code),
                    effect => self.show(effect)?,
                }
            }
        }
    }

    /// Waits for the next thing to happen: its effects, and whether the command of the phase was given.
    async fn next(
        &mut self,
        phase: &Phase,
        leaving: Pin<&mut impl Future<Output = ()>>,
    ) -> io::Result<(Vec<Effect>, bool)> {
        let going = !matches!(phase, Phase::Leaving | Phase::Giving { last: true, .. });
        let give = async {
            match phase {
                Phase::Giving { command, .. } => self.client.submit(command.clone()).await,
                _ => std::future::pending().await,
            }
        };
        // A wish to leave comes first; then what came in, so that it is shown before more goes out.
        let input = tokio::select! {
            biased;
            () = leaving, if going => return Ok((vec![Effect::LogOut], false)),
            event = self.events.next() => return Ok((self.event(event), false)),
            // If the session is over, an event says so.
            _ = give => return Ok((Vec::new(), true)),
            input = self.face.read(), if matches!(phase, Phase::Reading) => input?,
        };
        let effects = self.session.typed(input);
        if !effects.iter().any(|effect| matches!(effect, Effect::Ask(_) | Effect::LogOut)) {
            self.face.commands()?;
        }
        Ok((effects, false))
    }

    fn event(&mut self, event: Option<Event>) -> Vec<Effect> {
        match event {
            Some(event) => self.session.event(event),
            None => vec![Effect::Exit(1)],
        }
    }

    fn show(&mut self, effect: Effect) -> io::Result<()> {
        match effect {
            Effect::Print(text) => self.face.print(&text)?,
            Effect::Ask(prompt) => self.face.ask(prompt, true)?,
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

/// Ends a little after a signal: what was typed before it is still on its way through the reading thread.
async fn last_lines_read(signals: &Signals) {
    signals.first().cancelled().await;
    tokio::time::sleep(LAST_LINES).await;
}
