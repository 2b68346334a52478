//! A reset inside a scope.

use mallocator::Mallocator;

fn main() {
    let mut arena = Mallocator::growing();
    arena.scope(|scratch| {
        let text = scratch.alloc_str("gone");
        arena.reset();
        println!("{text}");
    });
}
