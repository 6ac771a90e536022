//! Bad input against a real server: whatever comes, it says why it closes, its memory stays flat, and others talk on.
//! Rules that need no socket are tested in memory by the server's own tests. A module that is named after a class of bugs
//! holds what `SECURITY.md` promises of it.

mod client;
mod fake;
mod frame;
mod net;
mod pair;
mod server;

mod claimed_lengths;
mod memory_before_login;
mod parser_amplification;
mod paths_and_escapes;
mod poison_rows;

mod guesses;
mod slow;
mod websocket;
