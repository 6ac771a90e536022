//! What goes in and out of [`Swarm`](super::Swarm).

use hobnob_protocol::limits::FILE_CHUNKS_MAX;

use super::ChunkSet;

/// Names another device within this process. The driver gives the same number to the same key, as long as the
/// download lasts: who is dropped for a lie stays dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer(pub u64);

/// The file.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its length in bytes.
    pub size: u64,
    /// Bytes in a chunk; the last one has what remains.
    pub chunk_bytes: u64,
    /// What is already here and verified.
    pub have: ChunkSet,
    /// So many chunks are chosen at random, before the rarest are.
    pub random_first: u32,
}

impl Setup {
    /// A file of which nothing is here. `None`: it has more than [`FILE_CHUNKS_MAX`], or chunks of no bytes.
    #[must_use]
    pub fn new(size: u64, chunk_bytes: u64) -> Option<Self> {
        let chunks = size.checked_add(chunk_bytes.checked_sub(1)?)? / chunk_bytes;
        let chunks = u32::try_from(chunks).ok().filter(|chunks| *chunks <= FILE_CHUNKS_MAX)?;
        let have = ChunkSet::none(chunks);
        Some(Self { size, chunk_bytes, have, random_first: super::limits::RANDOM_FIRST })
    }
}

/// A device that may have some of the file.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which.
    pub peer: Peer,
    /// What it has, if that is known.
    pub map: Option<ChunkSet>,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Event {
    /// A source was found other than by asking the server, or its whole map came.
    SourceFound(Found),
    /// It has nothing of this, or gives nothing. Tried again later, after a minute at most.
    SourceGone {
        /// Which.
        peer: Peer,
    },
    /// There is a link to it: the one asked for with [`Effect::Connect`], or one that the other made, in which case
    /// this is also how it is found; its map follows. Told again when the path changes.
    LinkUp {
        /// To whom.
        peer: Peer,
        /// It runs over the relay.
        relayed: bool,
    },
    /// The link that was asked for has to wait until the driver has place for it. Until it begins it is not late, and
    /// the download does not stall meanwhile.
    LinkWaits {
        /// To whom.
        peer: Peer,
    },
    /// After [`Event::LinkWaits`]: it is being made now.
    LinkBegins {
        /// To whom.
        peer: Peer,
    },
    /// The link could not be made, or is lost. Tried again later.
    LinkFailed {
        /// To whom.
        peer: Peer,
    },
    /// The peer tells of more chunks that it has.
    MapDelta {
        /// Who.
        peer: Peer,
        /// Which; those that the file does not have are passed over.
        chunks: Vec<u32>,
    },
    /// A chunk came to its end, or all that will come of it.
    ChunkArrived {
        /// From whom.
        peer: Peer,
        /// Which.
        chunk: u32,
        /// All its bytes.
        bytes: u64,
        /// It is what the manifest says, and is stored.
        verified: bool,
    },
    /// Some of a chunk came.
    Progress {
        /// From whom.
        peer: Peer,
        /// Of which.
        chunk: u32,
        /// Bytes of it so far.
        bytes: u64,
    },
    /// A request will not be answered.
    Refused {
        /// By whom.
        peer: Peer,
        /// What was asked for.
        chunk: u32,
        /// Why.
        why: Refusal,
    },
    /// The answer to [`Effect::AskSources`].
    ServerSources(Vec<Found>),
    /// The deadline has passed. The first event, which may be this one, starts the download.
    Tick,
    /// No more of this: nothing follows after the effects of this event.
    Stop,
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The peer does not have it.
    NotHere,
    /// Too many ask.
    Busy,
    /// Not to you.
    Denied,
}

/// What has to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make a link: [`Event::LinkUp`] or [`Event::LinkFailed`] follows, or first [`Event::LinkWaits`].
    Connect {
        /// To whom.
        peer: Peer,
    },
    /// The link, or the attempt to make it, is not needed for this download any more, and its requests are void: the
    /// driver takes them back. The other may still need the link.
    Disconnect {
        /// Which.
        peer: Peer,
    },
    /// Ask for a chunk.
    Request {
        /// Of whom.
        peer: Peer,
        /// Which.
        chunk: u32,
    },
    /// Take a request back. What comes of it nevertheless may be told, and is welcome when it is verified.
    CancelRequest {
        /// Of whom.
        peer: Peer,
        /// Which.
        chunk: u32,
    },
    /// Ask the server who has some of the file.
    AskSources,
    /// Tell all linked peers that these chunks are here now.
    TellPeers(Vec<u32>),
    /// Tell the server.
    TellServer(Report),
    /// [`Effect::Disconnect`] for a fault of the other.
    Drop {
        /// Whom.
        peer: Peer,
        /// Why.
        why: Fault,
    },
    /// Everything is here.
    Completed,
    /// Nobody gives anything that is missing, for now; it goes on being tried.
    Stalled,
    /// After [`Effect::Stalled`]: something came.
    GoesOn,
}

/// What the server is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The first chunk is here.
    First(u32),
    /// These are here, too.
    More(Vec<u32>),
    /// All are here.
    Complete,
}

/// Why a source is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It sent a wrong chunk: never asked again.
    Lied,
    /// Others are much faster. Tried again later.
    Slow,
    /// Not a byte and no refusal for too long. Tried again later.
    Silent,
}
