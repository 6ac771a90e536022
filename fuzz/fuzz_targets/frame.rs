//! Bytes from the network to frames: `cargo +nightly fuzz run frame`.
#![no_main]

#[path = "../properties/frame.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
