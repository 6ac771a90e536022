//! Bytes from another person's machine to frames: `cargo +nightly fuzz run peer`.
#![no_main]

#[path = "../properties/peer.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
