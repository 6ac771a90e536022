//! The end of a session in line mode: what is still waited for, and for how long.

use std::time::Duration;

use hobnob_peer::network::LinkEvent;
use hobnob_protocol::v1::talk_frame::Body;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Driver, Effect, Phase};

/// How long a logout may take when nobody reads what is printed.
const LEAVING_MAX: Duration = Duration::from_secs(8);

/// How long lines wait for room among private messages once somebody wants to leave: behind it, no room is needed.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long the good-bye to peers may take. Private talk has less time for it.
pub(super) const FAREWELL_MAX: Duration = Duration::from_secs(4);

impl Driver<'_> {
    /// Whether all was said to peers, or there was time enough for it.
    pub(super) fn has_parted(&self) -> bool {
        let late = matches!(self.phase, Phase::Parting(until) if until <= Instant::now());
        self.phase == Phase::Leaving || late || self.left && self.giving.is_empty()
    }

    /// Whether lines wait because private messages do.
    pub(super) fn is_held(&self) -> bool {
        self.session.is_full() && self.patience.is_none_or(|patience| Instant::now() < patience)
    }

    pub(super) fn wants_to_leave(&self) -> bool {
        self.last.is_some() || self.ahead.leaves()
    }

    /// Begins to be, where somebody wants to leave and lines are held back. After a signal it is not begun anew.
    pub(super) fn be_patient(&mut self) {
        if self.session.is_full() && self.wants_to_leave() {
            self.patience.get_or_insert(Instant::now() + PATIENCE);
        } else if self.last.is_none() {
            self.patience = None;
        }
    }

    /// Logs out with nobody to tell.
    pub(super) async fn leave(&mut self) {
        let leaving = async {
            self.part().await;
            self.client.logout().await;
            // Messages that come now are not shown, so they are not noted either and come again.
            while self.events.next().await.is_some() {}
        };
        if timeout(LEAVING_MAX, leaving).await.is_err() {
            self.client.leave();
        }
    }

    /// Says good-bye to peers, and prints nothing.
    async fn part(&mut self) {
        let until = Instant::now() + FAREWELL_MAX;
        let mut effects = self.session.leave(self.now());
        while !self.left && Instant::now() < until {
            for effect in effects {
                // A message that is not shown is not noted.
                if !matches!(effect, Effect::Shown(..) | Effect::Submit(_)) {
                    self.carry_out_unseen(effect).await;
                }
            }
            if self.left {
                break;
            }
            let due = self.due().unwrap_or(until).min(until);
            effects = tokio::select! {
                event = self.peers.next() => match event {
                    // Who sent it learns that nobody has read it.
                    LinkEvent::Frame { frame: Body::Text(_), .. } => Vec::new(),
                    event => self.session.network(event, self.epoch.elapsed()),
                },
                () = sleep_until(due) => self.session.tick(self.now()),
            };
        }
        self.close().await;
    }

    /// Ends what goes on with others: files first, which run over the network too.
    pub(super) async fn close(&mut self) {
        self.passing = None;
        self.exchange.leave().await;
        self.peers.close().await;
    }
}
