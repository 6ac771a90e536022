//! What is expected and what runs: the one state of a network, behind a lock that is short and never held across an
//! await. What a link tells goes through here, so that nothing of a link follows its end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hobnob_protocol::limits::TALK_UNACKED_MAX;
use iroh::endpoint::Connection;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio_util::sync::CancellationToken;

use super::{Link, LinkEvent};

/// Frames that wait to be sent on a link: all texts that may be unacknowledged, as many acknowledgements of the other's,
/// and as much again. Only a peer that sends without reading fills it, and loses its link.
const QUEUE_FRAMES: usize = 4 * TALK_UNACKED_MAX;

/// The board as all tasks share it.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedBoard(Arc<Mutex<Board>>);

impl SharedBoard {
    pub(super) fn lock(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which talks are expected, and which links there are. A talk has one link at most, and one attempt to make one.
#[derive(Debug, Default)]
pub(super) struct Board {
    talks: BTreeMap<Bytes, Talk>,
    links: BTreeMap<Link, Running>,
    /// Names of links and of attempts so far.
    named: u64,
}

#[derive(Debug)]
struct Talk {
    key: [u8; 32],
    link: Option<Link>,
    dial: Option<Dial>,
    /// One permit: whose attempt exchanges greetings.
    turn: Arc<Semaphore>,
}

#[derive(Debug)]
struct Dial {
    number: u64,
    cut: CancellationToken,
}

#[derive(Debug)]
struct Running {
    invite: Bytes,
    connection: Connection,
    /// Dropped, the link ends in order.
    outgoing: mpsc::Sender<Bytes>,
    /// The link ends at once.
    cut: CancellationToken,
}

/// An attempt to make a link.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// For this talk.
    pub(super) invite: Bytes,
    /// With this key.
    pub(super) key: [u8; 32],
    number: u64,
    /// The attempt is not wanted any more, unless it has come so far as to greet.
    pub(super) cut: CancellationToken,
    /// To exchange greetings.
    pub(super) turn: Arc<Semaphore>,
}

/// What the task of a new link works with.
#[derive(Debug)]
pub(super) struct Ends {
    /// How the link is called.
    pub(super) link: Link,
    /// What to send; ends when the link is to end in order.
    pub(super) outgoing: mpsc::Receiver<Bytes>,
    /// The link is to end at once.
    pub(super) cut: CancellationToken,
}

/// How a talk came to a link.
pub(super) enum Origin<'a> {
    /// The other has called.
    Accepted {
        /// The talk it named.
        invite: &'a Bytes,
        /// The key it proved.
        key: &'a [u8; 32],
    },
    /// By this attempt.
    Dialled(&'a Attempt),
}

impl Board {
    /// Anybody is expected.
    pub(super) fn expects_any(&self) -> bool {
        !self.talks.is_empty()
    }

    /// This key is expected, for any talk.
    pub(super) fn expects(&self, key: &[u8; 32]) -> bool {
        self.talks.values().any(|talk| talk.key == *key)
    }

    /// This key is expected for this talk.
    pub(super) fn admits(&self, key: &[u8; 32], invite: &Bytes) -> bool {
        self.talks.get(invite).is_some_and(|talk| talk.key == *key)
    }

    /// From now on, this key is right for this talk, and no other.
    pub(super) fn expect(&mut self, invite: Bytes, key: [u8; 32]) {
        if self.talks.get(&invite).is_some_and(|talk| talk.key != key) {
            self.forget(&invite);
        }
        self.talks.entry(invite).or_insert_with(|| Talk {
            key,
            link: None,
            dial: None,
            turn: Arc::new(Semaphore::new(1)),
        });
    }

    /// A link is to be made; an earlier attempt for the same talk ends.
    pub(super) fn attempt(&mut self, invite: Bytes, key: [u8; 32]) -> Attempt {
        self.expect(invite.clone(), key);
        self.named += 1;
        let turn = Arc::new(Semaphore::new(1));
        let mut attempt = Attempt { invite, key, number: self.named, cut: CancellationToken::new(), turn };
        if let Some(talk) = self.talks.get_mut(&attempt.invite) {
            attempt.turn = Arc::clone(&talk.turn);
            let dial = Dial { number: attempt.number, cut: attempt.cut.clone() };
            if let Some(earlier) = talk.dial.replace(dial) {
                earlier.cut.cancel();
            }
        }
        attempt
    }

    /// The attempt came to nothing, which is told if it is still wanted.
    pub(super) fn failed(&mut self, attempt: &Attempt, permit: OwnedPermit<LinkEvent>) {
        if let Some(talk) = self.talks.get_mut(&attempt.invite)
            && talk.dial.as_ref().is_some_and(|dial| dial.number == attempt.number)
        {
            talk.dial = None;
            permit.send(LinkEvent::Failed { invite: attempt.invite.clone() });
        }
    }

    /// A connection has become a link, if that is still wanted; an earlier one of the same talk ends at once.
    pub(super) fn raise(
        &mut self,
        origin: &Origin<'_>,
        connection: &Connection,
        relayed: bool,
        permit: OwnedPermit<LinkEvent>,
    ) -> Option<Ends> {
        let (invite, key) = match origin {
            Origin::Accepted { invite, key } => (*invite, *key),
            Origin::Dialled(attempt) => (&attempt.invite, &attempt.key),
        };
        let talk = self.talks.get_mut(invite).filter(|talk| talk.key == *key)?;
        // An attempt whose place another has taken while it greeted is as good.
        if let Origin::Dialled(_) = origin
            && let Some(dial) = talk.dial.take()
        {
            dial.cut.cancel();
        }
        self.named += 1;
        let link = Link(self.named);
        if let Some(earlier) = talk.link.replace(link).and_then(|link| self.links.remove(&link)) {
            earlier.cut.cancel();
        }
        let (queue, outgoing) = mpsc::channel(QUEUE_FRAMES);
        let cut = CancellationToken::new();
        let running = Running {
            invite: invite.clone(),
            connection: connection.clone(),
            outgoing: queue,
            cut: cut.clone(),
        };
        self.links.insert(link, running);
        permit.send(LinkEvent::Up { invite: invite.clone(), link, relayed });
        Some(Ends { link, outgoing, cut })
    }

    /// Something of a link is to be told, unless it has ended.
    pub(super) fn tell(&self, link: Link, permit: OwnedPermit<LinkEvent>, event: LinkEvent) {
        if self.links.contains_key(&link) {
            permit.send(event);
        }
    }

    /// The link is lost, which is told unless it had ended before.
    pub(super) fn lost(&mut self, link: Link, permit: OwnedPermit<LinkEvent>) {
        if self.take(link).is_some() {
            permit.send(LinkEvent::Down { link });
        }
    }

    /// Queues a frame. Where the queue is full, and where nobody would read the frame, the link is given up, and told
    /// to be lost.
    pub(super) fn send(&self, link: Link, frame: Option<Bytes>) {
        let Some(running) = self.links.get(&link) else { return };
        let queued = frame.is_some_and(|frame| running.outgoing.try_send(frame).is_ok());
        if !queued {
            running.cut.cancel();
        }
    }

    /// The link ends once what was sent has arrived.
    pub(super) fn finish(&mut self, link: Link) {
        drop(self.take(link));
    }

    /// The talk is over: its attempt ends at once, its link in order.
    pub(super) fn forget(&mut self, invite: &Bytes) {
        let Some(talk) = self.talks.remove(invite) else { return };
        if let Some(dial) = talk.dial {
            dial.cut.cancel();
        }
        if let Some(link) = talk.link {
            self.links.remove(&link);
        }
    }

    /// All talks are over.
    pub(super) fn forget_all(&mut self) {
        while let Some(invite) = self.talks.keys().next().cloned() {
            self.forget(&invite);
        }
    }

    /// The connection of a link.
    pub(super) fn connection(&self, link: Link) -> Option<Connection> {
        self.links.get(&link).map(|running| running.connection.clone())
    }

    fn take(&mut self, link: Link) -> Option<Running> {
        let running = self.links.remove(&link)?;
        if let Some(talk) = self.talks.get_mut(&running.invite) {
            talk.link.take_if(|of_talk| *of_talk == link);
        }
        Some(running)
    }
}
