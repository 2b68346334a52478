//! Text and hexadecimal bytes; see `drivers/text.rs`.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../drivers/mod.rs"]
mod drivers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drivers::text::run(bytes));
