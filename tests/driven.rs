//! The drivers of the fuzz targets: calls of the whole API on each kind of arena, scopes eight deep, collections inside and
//! outside of them, panics, and exhaustion; text; every combination of options; seals. Fed with random bytes, and with what the
//! fuzzer found worth keeping.
#![cfg_attr(feature = "nightly", feature(allocator_api))]

mod common;
#[path = "../fuzz/drivers/mod.rs"]
mod drivers;
#[path = "sequences/random.rs"]
mod random;

use std::fs;
use std::time::Instant;

use drivers::api::Kind;
use proptest::collection::vec;
use proptest::prelude::*;
use random::Random;

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn blocks_and_collections_hold_in_scopes_eight_deep(bytes in vec(any::<u8>(), 1..4000)) {
        drivers::api::run_as(Kind::Own, &bytes);
    }

    #[test]
    fn blocks_and_collections_hold_in_a_share(bytes in vec(any::<u8>(), 1..4000)) {
        drivers::api::run_as(Kind::Share, &bytes);
    }

    #[test]
    fn blocks_and_collections_hold_in_lent_memory(bytes in vec(any::<u8>(), 1..4000)) {
        drivers::api::run_as(Kind::Lent, &bytes);
    }

    #[test]
    fn blocks_and_collections_hold_in_shares_of_several_threads(bytes in vec(any::<u8>(), 1..4000)) {
        drivers::api::run_as(Kind::Threads, &bytes);
    }

    #[test]
    fn text_is_written_as_a_plain_reading_of_the_documentation_has_it(bytes in vec(any::<u8>(), 1..1000)) {
        drivers::text::run(&bytes);
    }
}

// The system is asked for much here, which takes its time.
proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_a_builder_is_asked_for_is_had_or_refused_with_its_cause(bytes in vec(any::<u8>(), 1..500)) {
        drivers::options::run(&bytes);
    }

    #[test]
    fn what_was_sealed_is_what_was_written(bytes in vec(any::<u8>(), 1..500)) {
        drivers::seal::run(&bytes);
    }
}

/// Random bytes until so many calls were made of each kind of arena, a fourth of `MALLOCATOR_CALLS`.
#[test]
fn calls_without_number_hold_on_each_kind_of_arena() {
    let all: u64 = std::env::var("MALLOCATOR_CALLS").map_or(40_000, |calls| calls.parse().unwrap());
    let made = |kind| drivers::api::calls().into_iter().find(|&(of, _)| of == kind).unwrap().1;
    let mut seed = 0;
    for kind in Kind::ALL {
        let (start, before) = (Instant::now(), made(kind));
        while made(kind) - before < all / 4 {
            seed += 1;
            let mut random = Random::new(seed);
            let len = random.below(4096);
            let bytes: Vec<u8> =
                std::iter::repeat_with(|| random.next().to_le_bytes()).flatten().take(len).collect();
            drivers::api::run_as(kind, &bytes);
        }
        println!("{kind:?}: {} calls in {:?}, up to seed {seed}", made(kind) - before, start.elapsed());
    }
}

/// Runs what the fuzzer found, and says how many inputs that is.
fn replay(target: &str, run: impl Fn(&[u8])) -> usize {
    let corpus = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    fs::read_dir(corpus).unwrap().map(|file| run(&fs::read(file.unwrap().path()).unwrap())).count()
}

/// Each input with an arena of its own, and with one of the other kinds: that which the first byte says, or one in turn.
#[test]
fn the_corpus_still_holds() {
    let run = |bytes: &[u8]| {
        drivers::api::run_as(Kind::Own, bytes);
        let other = match Kind::of(bytes) {
            Kind::Own => [Kind::Share, Kind::Lent, Kind::Threads][bytes.len() % 3],
            other => other,
        };
        drivers::api::run_as(other, bytes);
    };
    assert!(replay("api", run) > 100);
}

#[test]
fn the_corpus_of_text_still_holds() {
    assert!(replay("text", drivers::text::run) > 50);
}

#[test]
fn the_corpus_of_options_still_holds() {
    assert!(replay("options", drivers::options::run) > 50);
}

#[test]
fn the_corpus_of_seals_still_holds() {
    assert!(replay("seal", drivers::seal::run) > 50);
}
