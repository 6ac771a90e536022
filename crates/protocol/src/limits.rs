//! The bounds that both sides keep, asserted against each other.

use std::time::Duration;

/// Largest text of a message, in bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Largest frame from a client after login, in bytes.
pub const FRAME_BYTES_MAX: usize = 128 * 1024;
/// Largest frame from a server, in bytes: a list of everyone online is one answer.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Largest frame before login, in bytes.
pub const LOGIN_FRAME_BYTES_MAX: usize = 16 * 1024;
/// Most frames before login on one connection.
pub const LOGIN_FRAMES_MAX: u32 = 32;
/// Longest time without a login on one connection: people type slowly.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest TLS handshake, and longest wait for the first HTTP request.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Characters in a name.
pub const NAME_CHARS_MAX: usize = 32;
/// Characters in a password.
pub const PASSWORD_CHARS_MAX: usize = 128;

/// How often the server pings.
pub const PING_PERIOD: Duration = Duration::from_secs(25);
/// How long it waits for the pong.
pub const PONG_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that heard nothing for this long takes the connection for dead.
pub const SILENCE_MAX: Duration = Duration::from_secs(45);
/// How long a broken session still counts as online.
pub const GRACE: Duration = Duration::from_secs(30);
/// How long a login waits to learn whether the live session answers.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a resume token lives after its last use.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// Submits without an answer that a client may have under way on a connection.
pub const IN_FLIGHT_MAX: usize = 32;
/// Outcomes that the server keeps of an outbox, to answer repeats.
pub const OUTCOMES_KEPT: usize = 64;
/// Entries after which a client tells what it received.
pub const RECEIVED_ENTRIES: u64 = 64;
/// Time after which it does.
pub const RECEIVED_DELAY: Duration = Duration::from_millis(200);

/// Committed entries that wait in memory for one session; what more there are wait in the store.
pub const MAILBOX_FRAMES: usize = 256;
/// Bytes that may wait to be written to one connection.
pub const OUT_BYTES_MAX: usize = 256 * 1024;
/// A connection that takes nothing for this long is closed.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Requests that wait for the writer.
pub const WRITER_QUEUE: usize = 4096;
/// How often the heads of all streams are compared with what was sent.
pub const SWEEP_PERIOD: Duration = Duration::from_secs(5);

/// How long a request for private talk waits for its answer.
pub const INVITE_LIFETIME: Duration = Duration::from_secs(60);
/// How long after consent a first connection between the two may be made.
pub const INTRODUCTION_LIFETIME: Duration = Duration::from_secs(30);
/// Requests for private talk of one session that may stand at once.
pub const INVITES_OUT_MAX: usize = 32;
/// Requests for private talk with one user that may stand at once.
pub const INVITES_IN_MAX: usize = 64;
/// Addresses in a contact.
pub const CONTACT_ADDRESSES_MAX: usize = 16;
/// Largest frame of a private talk, in bytes.
pub const TALK_FRAME_BYTES_MAX: usize = FRAME_BYTES_MAX;
/// A link between two peers that is silent for this long is lost.
pub const LINK_SILENCE_MAX: Duration = Duration::from_secs(15);
/// How long after the relay's return a relayed talk may take to go on.
pub const TALK_RETURN_MAX: Duration = Duration::from_secs(60);
/// Private messages that may wait for the other's acknowledgement.
pub const TALK_UNACKED_MAX: usize = 256;
/// Bytes a second that one user may send over the server's relay, unless the server says otherwise.
pub const RELAY_RATE: u32 = 16 << 20;

/// Smallest chunk of a file, in bytes: a power of two, doubled until there are few enough of them.
pub const FILE_CHUNK_BYTES_MIN: u64 = 256 * 1024;
/// Chunks of a file.
pub const FILE_CHUNKS_MAX: u32 = 16_384;
/// Largest file, in bytes.
pub const FILE_BYTES_MAX: u64 = 1 << 62;
/// A file's name, in bytes.
pub const FILE_NAME_BYTES_MAX: usize = 255;
/// Files that one session may say it holds.
pub const FILES_HELD_MAX: usize = 2_048;
/// Sources in one answer.
pub const SOURCES_MAX: usize = 30;
/// How long a ticket is good.
pub const TICKET_LIFETIME: Duration = Duration::from_secs(24 * 3600);

// A text fits in its frame with room for names and numbers, also before it is known to be too long.
const _: () = assert!(TEXT_BYTES_MAX + 4096 <= FRAME_BYTES_MAX);
// Whatever is under way can be asked again.
const _: () = assert!(IN_FLIGHT_MAX < OUTCOMES_KEPT);
// A login fits: name and password at four bytes a character, keys, numbers.
const _: () = assert!((NAME_CHARS_MAX + PASSWORD_CHARS_MAX) * 4 + 1024 <= LOGIN_FRAME_BYTES_MAX);
// A client notices a dead server only after at least one ping should have come.
const _: () = assert!(PING_PERIOD.as_secs() + PONG_TIMEOUT.as_secs() <= SILENCE_MAX.as_secs());
// A bit for each chunk is a small part of a frame, and sources with theirs are of an answer.
const _: () = assert!(FILE_CHUNKS_MAX as usize / 8 <= FRAME_BYTES_MAX / 8);
const _: () = assert!(SOURCES_MAX * (FILE_CHUNKS_MAX as usize / 8 + 4096) <= ANSWER_BYTES_MAX / 8);
// Any frame fits in an empty out-queue.
const _: () = assert!(FRAME_BYTES_MAX <= OUT_BYTES_MAX);
