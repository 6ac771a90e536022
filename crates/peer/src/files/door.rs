//! Who comes to fetch something: over TCP or QUIC, shows a ticket, and is let in to the manager.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hobnob_protocol::v1::file_refused::Why;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep, timeout};

use super::event::Content;
use super::limits::{
    MORE_OF_KEY_MAX, PENDING_MAX, SHAKE_MAX, SHAKES_OF_ADDRESS_MAX, TAKERS_MAX, TAKERS_OF_KEY_MAX,
};
use super::note::Note;
use super::ticket::Right;
use super::{Common, ticket};
use crate::network::{self, FileCall, FilesPort};
use crate::transfer::wire::Frames;
use crate::transfer::{Stream, serve, tls};

/// What a stream of chunks runs over, whatever it is.
pub(super) type Conn = Box<dyn Stream>;

/// After an error of the listener, which is most likely a lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Somebody with a good ticket.
pub(super) struct Arrival {
    pub(super) content: Content,
    pub(super) user: String,
    pub(super) key: [u8; 32],
    /// When its ticket is worth nothing any more, in ms since 1970.
    pub(super) expires_ms: i64,
    pub(super) frames: Frames<ReadHalf<Conn>>,
    pub(super) io: WriteHalf<Conn>,
    pub(super) place: Place,
}

/// How many have come in.
#[derive(Debug, Default)]
pub(super) struct Door {
    /// Something is offered.
    open: AtomicBool,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Who have shown a ticket.
    takers: usize,
    /// Who have shown no ticket yet, over TCP and over QUIC.
    pending: [usize; 2],
    keys: BTreeMap<[u8; 32], usize>,
    shakes: BTreeMap<IpAddr, usize>,
}

impl Door {
    pub(super) fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
    }

    /// Somebody comes, from this address if it comes over TCP.
    fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Place> {
        let mut counts = self.lock();
        let shakes = address.map_or(0, |address| counts.shakes.get(&address).copied().unwrap_or(0));
        let way = usize::from(address.is_none());
        let full = counts.takers >= TAKERS_MAX || counts.pending[way] >= PENDING_MAX;
        if full || !self.open.load(Ordering::Relaxed) || shakes >= SHAKES_OF_ADDRESS_MAX {
            return None;
        }
        counts.pending[way] += 1;
        if let Some(address) = address {
            *counts.shakes.entry(address).or_default() += 1;
        }
        Some(Place { door: Arc::clone(self), pending: Some(way), address, key: None, call: None })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place of one who has come in, given back in the end.
pub(super) struct Place {
    door: Arc<Door>,
    /// It has shown no ticket yet: where that counts.
    pending: Option<usize>,
    address: Option<IpAddr>,
    key: Option<[u8; 32]>,
    /// The connection of the stream, if it is one of QUIC.
    call: Option<FileCall>,
}

impl Place {
    /// It has proven its key. `false`: there are too many of this key.
    fn proven(&mut self, key: [u8; 32]) -> bool {
        let mut counts = self.door.lock();
        let of_key = counts.keys.entry(key).or_default();
        *of_key += 1;
        self.key = Some(key);
        *of_key <= TAKERS_OF_KEY_MAX + MORE_OF_KEY_MAX
    }

    /// It has shown a good ticket. `false`: there is no place for it.
    fn admitted(&mut self) -> bool {
        let mut counts = self.door.lock();
        if counts.takers >= TAKERS_MAX {
            return false;
        }
        if let Some(way) = self.pending.take() {
            counts.pending[way] -= 1;
            counts.takers += 1;
        }
        if let Some(address) = self.address.take() {
            discount(&mut counts.shakes, address);
        }
        true
    }

    /// Something is given: the connection may find a direct way. `false`: it is lost.
    pub(super) async fn let_in(&self) -> bool {
        match &self.call {
            Some(call) => timeout(SHAKE_MAX, call.admit()).await.unwrap_or(false),
            None => true,
        }
    }

    /// Waits a little for what was said last to arrive.
    pub(super) async fn linger(&self) {
        if let Some(call) = &self.call {
            call.linger().await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.door.lock();
        match self.pending {
            Some(way) => counts.pending[way] -= 1,
            None => counts.takers -= 1,
        }
        if let Some(address) = self.address {
            discount(&mut counts.shakes, address);
        }
        if let Some(key) = self.key {
            discount(&mut counts.keys, key);
        }
    }
}

fn discount<K: Ord>(counts: &mut BTreeMap<K, usize>, of: K) {
    if let Some(now) = counts.get_mut(&of) {
        *now -= 1;
        if *now == 0 {
            counts.remove(&of);
        }
    }
}

/// Takes in who comes over TCP. Never ends by itself.
pub(super) async fn listen(listener: TcpListener, common: Arc<Common>, notes: mpsc::Sender<Note>) {
    let mut shakes = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, address)) => {
                    let Some(place) = common.door.enter(Some(network::source(address.ip()))) else { continue };
                    shakes.spawn(shake_hands(socket, place, Arc::clone(&common), notes.clone()));
                }
                Err(error) => {
                    tracing::debug!(%error, "nobody can come in");
                    sleep(PAUSE).await;
                }
            },
            Some(_) = shakes.join_next() => {}
        }
    }
}

async fn shake_hands(socket: TcpStream, mut place: Place, common: Arc<Common>, notes: mpsc::Sender<Note>) {
    // Small frames shall not wait for large ones.
    if socket.set_nodelay(true).is_err() {
        return;
    }
    let shake = tls::accept(Arc::clone(&common.tls_server), socket);
    let Ok(Ok(stream)) = timeout(SHAKE_MAX, shake).await else { return };
    let Some(key) = tls::peer_key(stream.get_ref().1.peer_certificates()) else { return };
    if place.proven(key) {
        welcome(Box::new(stream), key, place, &common, notes).await;
    }
}

/// Takes in who comes over QUIC, until the network is closed.
pub(super) async fn attend(port: FilesPort, common: Arc<Common>, notes: mpsc::Sender<Note>) {
    let mut shakes = JoinSet::new();
    loop {
        tokio::select! {
            call = port.accept() => {
                let Some(mut call) = call else { return };
                let Some(mut place) = common.door.enter(None) else { continue };
                let (key, io) = (call.key(), call.take_io());
                place.call = Some(call);
                if let Some(io) = io && place.proven(key) {
                    let (common, notes) = (Arc::clone(&common), notes.clone());
                    shakes.spawn(async move { welcome(Box::new(io), key, place, &common, notes).await });
                }
            }
            Some(_) = shakes.join_next() => {}
        }
    }
}

/// What the caller wants, and by what right.
async fn welcome(conn: Conn, key: [u8; 32], mut place: Place, common: &Common, notes: mpsc::Sender<Note>) {
    let Ok((open, frames, io)) = serve::open(conn).await else { return };
    match ticket::check(&open, &common.ticket_key, &key, ticket::now_ms()) {
        Ok(_) if !place.admitted() => {
            serve::refuse(io, Why::Busy).await;
            place.linger().await;
        }
        Ok(Right { content, user, expires_ms }) => {
            let arrival = Arrival { content, user, key, expires_ms, frames, io, place };
            // Nobody listens when everything ends.
            let _ = notes.send(Note::Arrived(Box::new(arrival))).await;
        }
        Err(error) => {
            tracing::debug!(%error, "somebody has no right to what it wants");
            // Who calls by the key alone hears nothing of somebody it has no business with.
            if place.call.is_none() {
                serve::refuse(io, Why::Denied).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(door: &Arc<Door>, address: &str) -> Option<Place> {
        door.enter(Some(network::source(address.parse().unwrap())))
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address_and_tcp_takes_no_place_of_quic() {
        let door = Arc::new(Door::default());
        assert!(enter(&door, "192.0.2.1").is_none(), "nothing is offered");
        door.set_open(true);
        let mut places: Vec<_> =
            (1..20).filter_map(|end| enter(&door, &format!("2001:db8:1:2::{end:x}"))).collect();
        assert_eq!(places.len(), SHAKES_OF_ADDRESS_MAX);
        places.extend((0..100).filter_map(|net| enter(&door, &format!("2001:db8:2:{net:x}::1"))));
        assert_eq!(places.len(), PENDING_MAX);
        let mut called: Vec<_> = (0..100).filter_map(|_| door.enter(None)).collect();
        assert_eq!(called.len(), PENDING_MAX);
        assert!(places.iter_mut().chain(&mut called).all(Place::admitted));
        assert!(door.enter(None).is_none(), "all places are taken");
        drop(places.pop());
        let mut two = [door.enter(None).unwrap(), enter(&door, "192.0.2.1").unwrap()];
        assert!(two[0].admitted() && !two[1].admitted());
        drop((places, called, two));
        let counts = door.lock();
        assert_eq!((counts.takers, counts.pending, counts.shakes.len()), (0, [0, 0], 0));
    }
}
