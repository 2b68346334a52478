//! A value outlives its arena.

use mallocator::Mallocator;

fn main() {
    let text = {
        let arena = Mallocator::growing();
        arena.alloc_str("gone")
    };
    println!("{text}");
}
