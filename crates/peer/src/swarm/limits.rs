//! How much, how often, how long.

use std::time::Duration;

/// Chunks chosen at random before the rarest are: a first chunk to offer matters more than which one it is.
pub(super) const RANDOM_FIRST: u32 = 4;

/// Requests that stand at one source, at least and at most.
pub(super) const DEPTH_MIN: u32 = 2;
pub(super) const DEPTH_MAX: u32 = 16;
/// How long a source should have to do with what it was asked for.
pub(super) const PIPELINE: Duration = Duration::from_millis(400);
/// Requests that stand at all sources together.
pub(super) const IN_FLIGHT_MAX: u32 = 256;
/// Chunks missing, at most, when one may be asked for twice.
pub(super) const END_GAME: u32 = 32;

/// A request that did not begin is left where it is for so long.
pub(super) const MOVE_AFTER: Duration = Duration::from_millis(100);
/// So long after a chunk was asked of two in vain a third takes the place of the first.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(1);
/// How often a source with nothing to do looks for something to take over.
pub(super) const HELP_PERIOD: Duration = Duration::from_millis(50);
/// Requests that stand and bring no byte and no refusal for so long: the source is silent.
pub(super) const SILENCE: Duration = Duration::from_secs(10);
/// A chunk that takes so many times the median and at least so long shows a slow source; so many of them and it is
/// dropped.
pub(super) const SLOW_TIMES: u32 = 4;
pub(super) const SLOW_MIN: Duration = Duration::from_secs(10);
pub(super) const SLOW_STRIKES: u32 = 3;
/// How often silence and slowness are looked for.
pub(super) const CHECK_PERIOD: Duration = Duration::from_secs(1);
/// So many refusals without a chunk between them: the map of the source is worth nothing.
pub(super) const NOT_HERE_MAX: u32 = 16;
/// With nothing asked for so long the download is stalled.
pub(super) const STALL_AFTER: Duration = Duration::from_secs(5);

/// With fewer links this download makes more, also when everything was asked for and is waited for; with so many, this
/// device takes no more from others.
pub(super) const LINKS_WANTED: usize = 20;
pub(super) const LINKS_AT_END: usize = 30;
pub(super) const LINKS_MAX: usize = 40;
/// Links that are being made at once.
pub(super) const CONNECTING_MAX: usize = 10;
/// An attempt without an answer has failed.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the link that brings least makes place for another, and how long each has to show what it brings.
pub(super) const ROTATE_PERIOD: Duration = Duration::from_secs(1);
pub(super) const USELESS_AFTER: Duration = Duration::from_secs(5);
/// Sources remembered, and sources remembered as liars.
pub(super) const KNOWN_MAX: usize = 512;
pub(super) const BANNED_MAX: usize = 4096;

/// How long a failed source is left alone: doubled each time.
pub(super) const RETRY_MIN: Duration = Duration::from_secs(2);
pub(super) const RETRY_MAX: Duration = Duration::from_secs(300);
/// The same after it said that it serves others.
pub(super) const BUSY_MIN: Duration = Duration::from_millis(500);
pub(super) const BUSY_MAX: Duration = Duration::from_secs(8);
/// The same after it said no.
pub(super) const DENIED: Duration = Duration::from_secs(60);

/// How often the server is asked for sources: while there are few, while there are fewer than wanted, and otherwise.
/// Doubled each time that brings nothing new.
pub(super) const ASK_MIN: Duration = Duration::from_secs(1);
pub(super) const ASK_MORE: Duration = Duration::from_secs(5);
pub(super) const ASK_MAX: Duration = Duration::from_secs(60);
/// Fewer links than this are few.
pub(super) const FEW: usize = 8;

/// What arrived is told to peers after so long or so many chunks, sooner where they are few, and to the server after so
/// long.
pub(super) const TELL_PEERS: Duration = Duration::from_millis(250);
pub(super) const TELL_PEERS_FEW: Duration = Duration::from_millis(100);
pub(super) const TELL_PEERS_CHUNKS: usize = 8;
pub(super) const TELL_SERVER: Duration = Duration::from_secs(2);

/// Requests that one peer may have waiting here, and all together.
pub(super) const WAITING_MAX: u32 = 16;
pub(super) const WAITING_ALL_MAX: usize = 1024;
/// A request is served or refused within this time: a source that says nothing is taken for dead.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(5);
/// A chunk on its way for so long, and so many times the usual, does not count: its receiver is slow, and others
/// shall not wait for it.
pub(super) const LONG_SERVE: Duration = Duration::from_secs(2);
pub(super) const LONG_SERVE_TIMES: u32 = 4;
/// Chunks on their way at once, slow receivers included, are at most so many times the ordinary.
pub(super) const SERVES_TIMES: usize = 8;

const _: () = assert!(WAIT_MAX.as_millis() < SILENCE.as_millis());
const _: () = assert!(DEPTH_MAX <= WAITING_MAX);
const _: () = assert!(LINKS_WANTED < LINKS_MAX && LINKS_MAX < KNOWN_MAX);
