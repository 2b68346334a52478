//! Random bytes through the driver of the fuzz target: calls of the whole API, scopes eight deep, collections inside and
//! outside of them, panics, and exhaustion.

#[path = "../fuzz/driver.rs"]
mod driver;

use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn blocks_and_collections_hold_in_scopes_eight_deep(bytes in vec(any::<u8>(), 1..4000)) {
        driver::run(&bytes);
    }
}
