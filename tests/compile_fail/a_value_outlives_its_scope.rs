//! A value outlives its scope.

use mallocator::Mallocator;

fn main() {
    let arena = Mallocator::growing();
    let _text: &mut str = arena.scope(|scratch| scratch.alloc_str("gone"));
}
