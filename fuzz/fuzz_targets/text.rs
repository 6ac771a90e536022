//! Text and names from others: `cargo +nightly fuzz run text`.
#![no_main]

#[path = "../properties/text.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
