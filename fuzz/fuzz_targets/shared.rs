//! Shares of one range in several threads at the same time; see `drivers/api/threads.rs`.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../drivers/mod.rs"]
mod drivers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    drivers::api::run_as(drivers::api::Kind::Threads, bytes);
    drivers::api::say_calls();
});
