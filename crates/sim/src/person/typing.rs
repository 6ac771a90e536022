//! What a person types.

use std::time::Duration;

use hobnob_client::Command;
use tokio::time::Instant;

use super::{Person, Seat};

impl Person {
    pub(super) fn goes_on_typing(&self) -> bool {
        if self.sim.is_calm() { self.last_words > 0 } else { self.typed < self.sim.mood.typed_max }
    }

    pub(super) fn type_something(&mut self, seat: &mut Seat) {
        if !self.goes_on_typing() {
            // The pause began before.
            return;
        }
        self.typed += 1;
        if self.sim.is_calm() {
            self.last_words -= 1;
            self.state().last_words = self.last_words;
        }
        if seat.burst == 0 && self.chance.per_mille(50) {
            seat.burst = self.chance.within(5..=40);
        }
        seat.burst = seat.burst.saturating_sub(1);
        let pause = if seat.burst > 0 { Duration::ZERO } else { self.chance.ms(1..=self.sim.mood.typing_ms) };
        seat.type_at = Instant::now() + pause;
        let command = self.command();
        if let Command::Unblock(user) = &command {
            self.block_told.remove(user);
        }
        seat.to_submit = Some(command);
    }

    fn command(&self) -> Command {
        let other = || self.chance.pick(&self.others).clone();
        match self.chance.next() % 1000 {
            0..20 => self.message("nobody".to_owned()),
            20..30 => self.message(self.name.clone()),
            30..650 => self.message(other()),
            650..780 => Command::Broadcast { text: self.text(None) },
            780..840 => Command::Block(other()),
            840..930 => Command::Unblock(other()),
            930..955 => Command::WhoElse,
            955..980 => Command::WhoElseSince(self.chance.within(1..=100)),
            _ => Command::Blocks,
        }
    }

    fn message(&self, to: String) -> Command {
        let text = self.text(Some(&to));
        Command::Message { to, text }
    }

    fn text(&self, to: Option<&str>) -> String {
        let number = self.sim.ledger.typed(&self.name, to);
        let filler = if self.chance.per_mille(30) { self.chance.within(100..=9000) as usize } else { 0 };
        self.sim.trace.note(format_args!("{} types m{number} to {to:?}", self.name));
        if filler > 0 { format!("m{number} {}", "x".repeat(filler)) } else { format!("m{number}") }
    }
}
