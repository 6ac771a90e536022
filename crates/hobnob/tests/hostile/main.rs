//! Bad input against a real server: whatever comes, it says why it closes, its memory stays flat, and others talk on.
//! Rules that need no socket are tested in memory by the server's own tests.

mod client;
mod frame;
mod net;
mod pair;
mod server;

mod crowd;
mod guesses;
mod handshake;
mod noise;
mod slow;
mod waiting;
mod websocket;
