//! A vector is used after a reset.

use mallocator::Mallocator;

fn main() {
    let mut arena = Mallocator::growing();
    let mut numbers = mallocator::Vec::new_in(&arena);
    numbers.push(1);
    arena.reset();
    numbers.push(2);
}
