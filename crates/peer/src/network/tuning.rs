//! How long things may take.

use std::time::Duration;

use hobnob_protocol::limits;

/// How long things may take on a network. Only tests have reason to differ from the default.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// A link that is silent for this long is lost.
    pub silence: Duration,
    /// How often a link that has nothing to say gives a sign of life.
    pub keep_alive: Duration,
    /// Longest handshake of somebody who comes in, up to and with the first frame.
    pub handshake: Duration,
    /// Longest attempt to make a link.
    pub dial: Duration,
    /// How long a link that is closed waits until what was sent has arrived.
    pub flush: Duration,
    /// Time without the relay after which the person is told, at the beginning.
    pub relay_wait: Duration,
    /// The same once it was there: it may only be restarting, and that is told otherwise.
    pub relay_return: Duration,
    /// Least time between two contacts that are told.
    pub contact_pause: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            silence: limits::LINK_SILENCE_MAX,
            keep_alive: Duration::from_secs(5),
            handshake: Duration::from_secs(10),
            dial: Duration::from_secs(10),
            flush: Duration::from_secs(1),
            relay_wait: Duration::from_secs(10),
            relay_return: limits::TALK_RETURN_MAX,
            contact_pause: Duration::from_millis(250),
        }
    }
}
