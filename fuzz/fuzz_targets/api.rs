//! The public API, driven by the fuzzer and held against a model; see `driver.rs`. It says now and then how many calls
//! were made, as an execution makes many.
#![no_main]

#[path = "../driver.rs"]
mod driver;

use std::sync::atomic::{AtomicU64, Ordering};

/// What has been said.
static SAID: AtomicU64 = AtomicU64::new(0);
const EVERY: u64 = 10_000_000;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    driver::run(bytes);
    let calls = driver::CALLS.load(Ordering::Relaxed);
    if calls >= SAID.load(Ordering::Relaxed) + EVERY {
        SAID.store(calls, Ordering::Relaxed);
        eprintln!("{calls} calls");
    }
});
