//! The drivers of the fuzz targets: calls of the whole API, scopes eight deep, collections inside and outside of them,
//! panics, and exhaustion; text; every combination of options; seals. Fed with random bytes, and with what the fuzzer found
//! worth keeping.
#![cfg_attr(feature = "nightly", feature(allocator_api))]

mod common;
#[path = "../fuzz/drivers/mod.rs"]
mod drivers;

use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn blocks_and_collections_hold_in_scopes_eight_deep(bytes in vec(any::<u8>(), 1..4000)) {
        drivers::api::run(&bytes);
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

/// Runs what the fuzzer found, and says how many inputs that is.
fn replay(target: &str, run: impl Fn(&[u8])) -> usize {
    let corpus = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    fs::read_dir(corpus).unwrap().map(|file| run(&fs::read(file.unwrap().path()).unwrap())).count()
}

#[test]
fn the_corpus_still_holds() {
    assert!(replay("api", drivers::api::run) > 100);
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
