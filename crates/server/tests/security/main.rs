//! What `SECURITY.md` promises of sessions, class by class: each module is named after a class of bugs that other chat
//! servers had. Real sessions over links in memory, on a store in memory.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod addresses_before_consent;
mod forged_copies;
mod names_and_sessions;
mod parser_amplification;
mod revoked_sessions;
