//! A box of a borrowed arena is pinned.

use mallocator::Mallocator;

fn main() {
    let arena = Mallocator::growing();
    let boxed: mallocator::Box<'_, [u8; 4]> = arena.alloc_boxed([0; 4]);
    let _pinned = mallocator::Box::into_pin(boxed);
}
