//! A share is reset by itself, as if its memory were its own.

use mallocator::Mallocator;

fn main() {
    let shared = Mallocator::builder().build_sync().unwrap();
    shared.local().reset();
}
