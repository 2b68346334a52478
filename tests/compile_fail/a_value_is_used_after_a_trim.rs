//! A value is used after a trim.

use mallocator::Mallocator;

fn main() {
    let mut arena = Mallocator::growing();
    let text = arena.alloc_str("gone");
    arena.trim();
    println!("{text}");
}
