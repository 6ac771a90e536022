//! How much, how many, how long.

use std::time::Duration;

use hobnob_protocol::limits::FILES_HELD_MAX;
/// Sources that are taken of one answer of the server.
pub(super) use hobnob_protocol::limits::SOURCES_MAX;

/// Streams of takers at once; of these, with one key.
pub(super) const TAKERS_MAX: usize = 64;
pub(super) const TAKERS_OF_KEY_MAX: usize = 16;
/// With one key besides: who has shown no ticket yet, and what is about to end.
pub(super) const MORE_OF_KEY_MAX: usize = 8;
/// Streams to one source at once, of all downloads, and those among them that are not open yet; others wait for their
/// turn. Fewer than a source takes, since it may not have noticed at once that one has ended.
pub(super) const STREAMS_OF_KEY_MAX: usize = 12;
pub(super) const DIALS_OF_KEY_MAX: usize = 4;
/// Who have shown no ticket yet, over TCP and over QUIC: neither takes the other's places, nor those of streams.
pub(super) const PENDING_MAX: usize = 32;
/// Of those over TCP, who come from one address, or one network of IPv6.
pub(super) const SHAKES_OF_ADDRESS_MAX: usize = 8;
/// How long a taker may ask for nothing while nothing is on its way to it.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(120);
/// Longest handshake.
pub(super) const SHAKE_MAX: Duration = Duration::from_secs(10);
/// Chunks of one file that are on their way to takers at once.
pub(super) const SLOTS: usize = 4;
/// Orders that wait for a stream, and asks: more than an honest end lets stand.
pub(super) const ORDERS: usize = 128;
/// Below this many free places only what must be said is said.
pub(super) const ORDERS_LOW: usize = 64;
/// Requests of a taker that could not be met, at most; an honest one learns what is there.
pub(super) const VAIN_MAX: u32 = 1024;
/// Manifests that one taker may ask for.
pub(super) const MANIFESTS_MAX: u32 = 8;
/// Chunk numbers in one frame.
pub(super) const HAVE_MAX: usize = 8_000;

const _: () = assert!(STREAMS_OF_KEY_MAX < TAKERS_OF_KEY_MAX && DIALS_OF_KEY_MAX < MORE_OF_KEY_MAX);

/// How long a TCP connection to a source may take, with its handshake; other ways are tried after the first of these.
pub(super) const TCP_ALONE: Duration = Duration::from_millis(200);
pub(super) const TCP_MAX: Duration = Duration::from_millis(1500);
/// TCP addresses of a source that are tried, all at once: as many as the server takes.
pub(super) const TCP_ADDRESSES_MAX: usize = hobnob_protocol::limits::CONTACT_ADDRESSES_MAX;
/// Longest attempt to reach a source otherwise.
pub(super) const DIAL_MAX: Duration = Duration::from_secs(15);

/// How long whoever gives the manifest may say nothing, and how long all of it may take, before another is asked.
pub(super) const PROOF_SILENCE: Duration = Duration::from_secs(10);
pub(super) const PROOF_MAX: Duration = Duration::from_secs(10);
/// Bytes a second that the proof may count on.
pub(super) const PROOF_RATE: u64 = 256 * 1024;

/// What was verified is made durable after so long or so many bytes.
pub(super) const COMMIT_AFTER: Duration = Duration::from_secs(2);
pub(super) const COMMIT_BYTES: u64 = 128 << 20;
/// A deadline that has passed is not met again before.
pub(super) const TICK_MIN: Duration = Duration::from_millis(20);
/// How often progress is told.
pub(super) const PROGRESS: Duration = Duration::from_millis(500);

/// Devices that one download knows, those that it will not hear of again included.
pub(super) const DEVICES_MAX: usize = 8_192;

/// Downloads at once, each file of a folder counted; what is more waits.
pub(super) const DOWNLOADS_MAX: usize = 256;
/// Files of one folder that are fetched at once.
pub(super) const OF_FOLDER_MAX: usize = 3;
/// Files that are hashed at once.
pub(super) const HASHES_MAX: usize = 2;
/// Files that are offered: the server takes no more.
pub(super) const OFFERS_MAX: usize = FILES_HELD_MAX;
/// Requests to the server that stand at once, but the short ones that nobody waits for: so many holds, and so many
/// releases.
pub(super) const HOLDS_MAX: usize = 16;

/// Commands, notes of streams, and events that wait to be taken.
pub(super) const COMMANDS: usize = 1024;
pub(super) const NOTES: usize = 256;
pub(super) const EVENTS: usize = 64;
/// Notes that are taken at once.
pub(super) const NOTES_AT_ONCE: usize = 64;
/// With so many events that nobody took, no further commands are taken.
pub(super) const OUTBOX_MAX: usize = 4096;
/// How often a few offers are looked at, whether they are still what they were, and how many.
pub(super) const LOOK: Duration = Duration::from_secs(5);
pub(super) const LOOK_AT: usize = 128;
/// Longest listing of a folder, in bytes.
pub(super) const LISTING_BYTES_MAX: u64 = 8 << 20;
