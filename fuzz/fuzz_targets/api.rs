//! The public API, driven by the fuzzer and held against a model; see `drivers/api.rs`. It says now and then how many calls
//! were made, as an execution makes many.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../drivers/mod.rs"]
mod drivers;

use std::sync::atomic::{AtomicU64, Ordering};

use drivers::api;

/// What has been said.
static SAID: AtomicU64 = AtomicU64::new(0);
const EVERY: u64 = 10_000_000;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    api::run(bytes);
    let calls = api::CALLS.load(Ordering::Relaxed);
    if calls >= SAID.load(Ordering::Relaxed) + EVERY {
        SAID.store(calls, Ordering::Relaxed);
        eprintln!("{calls} calls");
    }
});
