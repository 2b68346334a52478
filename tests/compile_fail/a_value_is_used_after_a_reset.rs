//! A value is used after a reset.

use mallocator::Mallocator;

fn main() {
    let mut arena = Mallocator::growing();
    let text = arena.alloc_str("gone");
    arena.reset();
    println!("{text}");
}
