//! Random options and random safe calls: whatever they are, nothing kills the process, and no model breaks. A seed decides
//! all of a sequence. `MALLOCATOR_SEQUENCES` says how many there are, and `MALLOCATOR_SEED` which one is run alone.
#![cfg_attr(feature = "nightly", feature(allocator_api))]

#[path = "sequences/borrowed.rs"]
mod borrowed;
#[path = "sequences/calls.rs"]
mod calls;
mod common;
#[path = "sequences/model.rs"]
mod model;
#[path = "sequences/owner.rs"]
mod owner;
#[path = "sequences/random.rs"]
mod random;

use std::cell::Cell;
use std::fs::{self, File};
use std::panic::{self, AssertUnwindSafe};
use std::time::Instant;

use model::Model;
use random::Random;

/// As many as a test in passing may have.
const SEQUENCES: u64 = 20_000;

/// Each has its own seeds.
const THREADS: u64 = 2;

thread_local! {
    /// Whether panics of this thread are meant.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// One sequence.
fn run(seed: u64) {
    let mut model = Model::new(Random::new(seed));
    match model.random.below(6) {
        0 => return borrowed::share(&mut model),
        1 => return borrowed::lent(&mut model),
        _ => {}
    }
    let mut arena = model.build();
    for _ in 0..=model.random.below(12) {
        let Some(left) = arena else { return };
        arena = owner::step(&mut model, left);
    }
    if let Some(arena) = arena {
        owner::end(&mut model, arena);
    }
}

/// Where the process writes which seeds it is at, so that they are known when it is killed.
fn progress() -> String {
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!("{}/sequences-{build}", env!("CARGO_TARGET_TMPDIR"))
}

fn write_at(file: &File, seed: u64, offset: u64) {
    let bytes = seed.to_le_bytes();
    #[cfg(unix)]
    let written = std::os::unix::fs::FileExt::write_at(file, &bytes, offset);
    #[cfg(windows)]
    let written = std::os::windows::fs::FileExt::seek_write(file, &bytes, offset);
    assert_eq!(written.unwrap(), bytes.len());
}

fn seeds() -> String {
    let bytes = fs::read(progress()).unwrap_or_default();
    let seeds = bytes.chunks_exact(8).map(|seed| u64::from_le_bytes(seed.try_into().unwrap()));
    let seeds: Vec<String> = seeds.map(|seed| seed.to_string()).collect();
    format!("each thread was at one of these: MALLOCATOR_SEED={}", seeds.join(" or "))
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|number| number.parse().unwrap())
}

/// The seeds that a thread runs, one after the other.
fn run_all(seeds: impl Iterator<Item = u64>, thread: u64, file: &File) {
    for seed in seeds {
        write_at(file, seed, 8 * thread);
        if let Err(thrown) = panic::catch_unwind(AssertUnwindSafe(|| run(seed))) {
            eprintln!("MALLOCATOR_SEED={seed}");
            panic::resume_unwind(thrown);
        }
    }
}

#[test]
fn no_sequence_of_safe_calls_kills_the_process_or_breaks_the_model() {
    let body = || {
        common::announce_faults();
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            if !QUIET.get() {
                print(what);
            }
        }));
        let file = File::create(progress()).unwrap();
        if let Some(seed) = number("MALLOCATOR_SEED") {
            return run_all(std::iter::once(seed), 0, &file);
        }
        let count = number("MALLOCATOR_SEQUENCES").unwrap_or(SEQUENCES);
        let start = Instant::now();
        std::thread::scope(|threads| {
            for thread in 0..THREADS {
                let file = &file;
                let seeds = (thread..count).step_by(usize::try_from(THREADS).unwrap());
                threads.spawn(move || run_all(seeds, thread, file));
            }
        });
        println!("{count} sequences in {:?}", start.elapsed());
    };
    common::alone_or("no_sequence_of_safe_calls_kills_the_process_or_breaks_the_model", body, seeds);
}
