//! Arenas that are sealed, with and without a root; see `drivers/seal/`.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../drivers/mod.rs"]
mod drivers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drivers::seal::run(bytes));
