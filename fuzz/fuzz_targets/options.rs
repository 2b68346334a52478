//! The options of the builder, and what is granted; see `drivers/options/`.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../drivers/mod.rs"]
mod drivers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drivers::options::run(bytes));
