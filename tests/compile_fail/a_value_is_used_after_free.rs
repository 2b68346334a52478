//! A value is used after free.

use mallocator::Mallocator;

fn main() {
    let arena = Mallocator::growing();
    let text = arena.alloc_str("gone");
    arena.free().unwrap();
    println!("{text}");
}
