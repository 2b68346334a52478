//! The driver of the fuzz target: calls of the whole API, scopes eight deep, collections inside and outside of them,
//! panics, and exhaustion. Fed with random bytes, and with what the fuzzer found worth keeping.
#![cfg_attr(feature = "nightly", feature(allocator_api))]

#[path = "../fuzz/driver.rs"]
mod driver;

use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn blocks_and_collections_hold_in_scopes_eight_deep(bytes in vec(any::<u8>(), 1..4000)) {
        driver::run(&bytes);
    }
}

#[test]
fn the_corpus_still_holds() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/api");
    let mut runs = 0;
    for file in fs::read_dir(corpus).unwrap() {
        driver::run(&fs::read(file.unwrap().path()).unwrap());
        runs += 1;
    }
    assert!(runs > 100, "{runs} files");
}
