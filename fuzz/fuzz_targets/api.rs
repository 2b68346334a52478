//! The public API, driven by the fuzzer and held against a model; see `drivers/api/`. It says now and then how many calls
//! were made, as an execution makes many.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../drivers/mod.rs"]
mod drivers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    drivers::api::run(bytes);
    drivers::api::say_calls();
});
